//! `policy show`: policies as a tender understands them, with what their silence denies.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use solo5_launch::{Access, FileOrFd};
use solo5_policy::Policy;
use solo5_policy::glob::Pattern;
use solo5_policy::model::{At, BackingRule, BlockRule, Devices, NetRule, Proofs};
use solo5_report::one_line;
use solo5_source::size;

use super::load;
use crate::cli::{FAILED, Format};
use crate::files::print;

#[derive(Debug, clap::Args)]
pub(crate) struct ShowOptions {
    /// Policies that are used together; those of this host if none is given
    files: Vec<PathBuf>,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is asked for, by the section that answers, and what its silence denies.
const SECTIONS: [(&str, &str); 7] = [
    ("image", "every image"),
    ("process", "running as root, running without a sandbox"),
    ("memory", "every launch, as each asks for memory"),
    ("arguments", "arguments"),
    ("net", "network interfaces"),
    ("block", "block devices"),
    ("debug", "gdb, dumping memory"),
];

pub(crate) fn run(program: &str, options: &ShowOptions) -> u8 {
    let given: Vec<FileOrFd> =
        options.files.iter().map(|path| FileOrFd::Path(path.into())).collect();
    let policies = match load(&given, given.is_empty()) {
        Ok(policies) => policies,
        Err(text) => {
            eprint!("{text}");
            return FAILED;
        }
    };
    let text = match options.format {
        Format::Human => {
            let mut text: String = policies.iter().map(human).collect();
            text += &closing(&policies);
            text
        }
        Format::Json => {
            let shown: Vec<Value> = policies.iter().map(json_policy).collect();
            let silent: Vec<&str> = silent(&policies).map(|(section, _)| section).collect();
            format!("{:#}\n", json!({ "policies": shown, "denied-by-silence": silent }))
        }
    };
    print(program, &text, 0, FAILED)
}

/// Sections that every policy is silent about.
fn silent(policies: &[Policy]) -> impl Iterator<Item = (&'static str, &'static str)> {
    SECTIONS.into_iter().filter(|(section, _)| {
        let silent = |policy: &Policy| policy.otherwise_allow.is_none() && !has(policy, section);
        policies.iter().all(silent)
    })
}

fn has(policy: &Policy, section: &str) -> bool {
    match section {
        "image" => policy.image.is_some() || policy.admitted.is_some(),
        "process" => policy.process.is_some(),
        "memory" => policy.memory.is_some(),
        "arguments" => policy.arguments.is_some(),
        "net" => policy.net.is_some(),
        "block" => policy.block.is_some(),
        _ => policy.debug.is_some(),
    }
}

fn closing(policies: &[Policy]) -> String {
    if policies.is_empty() {
        return String::from("no policies: a tender starts what it is told to start\n");
    }
    let mut out = String::new();
    for (section, what) in silent(policies) {
        out += &format!("denied, as no policy says anything about `{section}`: {what}\n");
    }
    if out.is_empty() {
        out += "no section is denied by silence if all of these apply\n";
    }
    out
}

/// One policy: a line for each thing it says, with the line of the file that says it.
fn human(policy: &Policy) -> String {
    let file = one_line(&policy.source.name);
    let mut out = format!("{} ({file})\n", policy.name);
    let mut say = |what: &str, at: Option<usize>, text: String| {
        let line = at.map(|at| policy.source.position(at).line);
        let line = line.map_or_else(String::new, |line| format!("{line:>5}"));
        let text = one_line(&text);
        out += &format!("{line:>5}  {what:<10} {text}\n");
    };
    let selector = &policy.selector;
    let mut selectors: Vec<String> = selector
        .labels
        .iter()
        .map(|rule| format!("label {}={}", rule.key, rule.value.as_str()))
        .collect();
    selectors.extend(proofs(&selector.proofs));
    if selectors.is_empty() {
        say("applies", None, String::from("always"));
    } else {
        let at = Some(selector.span.start);
        say("applies", at, format!("to launches with {}", selectors.join(" and ")));
    }
    if let Some(image) = &policy.image {
        let mut wants = Vec::new();
        wants.extend(image.targets.as_ref().map(|targets| {
            let names: Vec<&str> = targets.value.iter().map(|target| target.name()).collect();
            format!("for {}", any_of(&names, "no target"))
        }));
        wants.extend(
            image
                .minimum_manifest
                .as_ref()
                .map(|minimum| format!("with a manifest of version {} at least", minimum.value)),
        );
        wants.extend(proofs(&image.proofs));
        let text = if wants.is_empty() { String::from("any") } else { wants.join(", ") };
        say("image", Some(image.span.start), text);
    }
    if let Some(file) = &policy.admitted {
        say("image", Some(file.span.start), format!("listed in {}", file.value));
    }
    let switch = |allowed: &At<bool>, yes: &str, no: &str| {
        String::from(if allowed.value { yes } else { no })
    };
    if let Some(process) = &policy.process {
        let root = &process.root_allowed;
        say("process", Some(root.span.start), switch(root, "may run as root", "not as root"));
        let sandbox = &process.sandbox_required;
        let text = switch(sandbox, "sandbox required", "may run without a sandbox");
        say("process", Some(sandbox.span.start), text);
    }
    if let Some(memory) = &policy.memory {
        let (at, text) = match &memory.maximum {
            Some(maximum) => (&maximum.span, format!("at most {}", size::display(maximum.value))),
            None => (&memory.span, String::from("any amount")),
        };
        say("memory", Some(at.start), text);
        let heap = &memory.executable_heap_allowed;
        let text = switch(heap, "the heap may be executable", "no executable heap");
        say("memory", Some(heap.span.start), text);
    }
    if let Some(arguments) = &policy.arguments {
        if let Some(maximum) = &arguments.maximum_length {
            let text = format!("at most {} bytes", maximum.value);
            say("arguments", Some(maximum.span.start), text);
        }
        match &arguments.allow {
            None => say("arguments", Some(arguments.span.start), String::from("any words")),
            Some(allow) => {
                let words: Vec<String> = allow.value.iter().map(|one| quoted(&one.value)).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let text = format!("each word {}", any_of(&words, "none: no words"));
                say("arguments", Some(allow.span.start), text);
            }
        }
    }
    if let Some(section) = &policy.net {
        devices("net", section, net_rule, &mut say);
    }
    if let Some(section) = &policy.block {
        devices("block", section, block_rule, &mut say);
    }
    if let Some(debug) = &policy.debug {
        let gdb = &debug.gdb_allowed;
        say("debug", Some(gdb.span.start), switch(gdb, "gdb may be attached", "no gdb"));
        let dump = &debug.dumpcore_allowed;
        let text = switch(dump, "memory may be dumped", "no dumping of memory");
        say("debug", Some(dump.span.start), text);
    }
    if let Some(audit) = &policy.audit {
        let severity = audit.fail_on.value.name();
        let text =
            format!("nothing of severity {severity} or above (asked by solo5-elftool alone)");
        say("audit", Some(audit.fail_on.span.start), text);
        for waiver in &audit.waive {
            let waived = &waiver.value;
            let text = format!(
                "but {} in {} images until {}: {}",
                waived.rule,
                waived.images.len(),
                waived.until,
                waived.reason
            );
            say("audit", Some(waiver.span.start), text);
        }
    }
    let otherwise = policy.otherwise_allow.as_ref();
    let absent: Vec<&str> = SECTIONS
        .iter()
        .map(|(section, _)| *section)
        .filter(|section| !has(policy, section))
        .collect();
    if !absent.is_empty() {
        let what = absent.join(", ");
        let text = match otherwise {
            Some(_) => format!("allowed: {what}"),
            None => format!("not said, so denied unless another policy allows it: {what}"),
        };
        say("otherwise", otherwise.map(|span| span.start), text);
    }
    out.push('\n');
    out
}

fn any_of(words: &[&str], none: &str) -> String {
    match words {
        [] => none.to_owned(),
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.join(""),
    }
}

fn quoted(pattern: &Pattern) -> String {
    format!("\"{}\"", pattern.as_str())
}

fn proofs(proofs: &Proofs) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(digests) = &proofs.digests {
        let digests: Vec<String> = digests.value.iter().map(ToString::to_string).collect();
        let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
        out.push(format!("digest {}", any_of(&digests, "of none")));
    }
    if let Some(keys) = &proofs.signed_by {
        let keys: Vec<String> = keys.value.iter().map(ToString::to_string).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        out.push(format!("signed by {}", any_of(&keys, "nobody")));
    }
    out
}

fn devices<Rule>(
    what: &str,
    section: &Devices<Rule>,
    rule: fn(&Rule) -> Vec<String>,
    say: &mut impl FnMut(&str, Option<usize>, String),
) {
    if let Some(maximum) = &section.maximum {
        say(what, Some(maximum.span.start), format!("at most {}", maximum.value));
    }
    match &section.allow {
        None => say(what, Some(section.span.start), String::from("any")),
        Some(allow) if allow.value.is_empty() => {
            say(what, Some(allow.span.start), String::from("none, as the list is empty"));
        }
        Some(allow) => {
            for one in &allow.value {
                say(what, Some(one.span.start), rule(&one.value).join(", "));
            }
        }
    }
}

fn net_rule(rule: &NetRule) -> Vec<String> {
    let mut parts = vec![format!("name {}", quoted(&rule.name.value))];
    let more = [("interface", &rule.interface), ("bridge", &rule.bridge), ("mac", &rule.mac)];
    for (key, pattern) in more {
        parts.extend(pattern.as_ref().map(|one| format!("{key} {}", quoted(&one.value))));
    }
    parts
}

fn block_rule(rule: &BlockRule) -> Vec<String> {
    let mut parts = vec![format!("name {}", quoted(&rule.name.value))];
    parts.extend(rule.backing.as_ref().map(|backing| match &backing.value {
        BackingRule::FileUnder(folder) => format!("a file under {folder}"),
        BackingRule::Device(pattern) => format!("a block device /dev/{}", pattern.as_str()),
    }));
    let access = rule.access.as_ref();
    parts.extend(access.map(|access| match access.value {
        Access::ReadOnly => String::from("read-only"),
        Access::ReadWrite => String::from("read-write or read-only"),
    }));
    let capacity = rule.capacity_maximum.as_ref();
    parts.extend(capacity.map(|most| format!("at most {}", size::display(most.value))));
    parts.extend(rule.sector_sizes.as_ref().map(|sizes| {
        let sizes: Vec<String> = sizes.value.iter().map(u64::to_string).collect();
        let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
        format!("sectors of {} bytes", any_of(&sizes, "no"))
    }));
    parts
}

/// A policy with everything filled in that it leaves to defaults. A section that is not there says
/// what `otherwise` makes of it.
fn json_policy(policy: &Policy) -> Value {
    let switch = |allowed: &At<bool>| if allowed.value { "allow" } else { "forbid" };
    let texts = |patterns: &[At<Pattern>]| -> Value {
        patterns.iter().map(|one| one.value.as_str()).collect()
    };
    let mut sections: Map<String, Value> = Map::new();
    let absent = match policy.otherwise_allow {
        Some(_) => "allow",
        None => "silent",
    };
    for (section, _) in SECTIONS {
        if !has(policy, section) {
            sections.insert(section.to_owned(), absent.into());
        }
    }
    let mut image = Map::new();
    if let Some(section) = &policy.image {
        if let Some(targets) = &section.targets {
            let names: Value = targets.value.iter().map(|target| target.name()).collect();
            image.insert("targets".into(), names);
        }
        if let Some(minimum) = &section.minimum_manifest {
            image.insert("minimum-manifest".into(), minimum.value.into());
        }
        image.extend(json_proofs(&section.proofs));
    }
    if let Some(file) = &policy.admitted {
        image.insert("admitted".into(), file.value.clone().into());
    }
    if has(policy, "image") {
        sections.insert("image".into(), image.into());
    }
    if let Some(process) = &policy.process {
        let sandbox = if process.sandbox_required.value { "require" } else { "optional" };
        let value = json!({ "root": switch(&process.root_allowed), "sandbox": sandbox });
        sections.insert("process".into(), value);
    }
    if let Some(memory) = &policy.memory {
        let value = json!({
            "maximum": memory.maximum.as_ref().map(|most| most.value),
            "executable-heap": switch(&memory.executable_heap_allowed),
        });
        sections.insert("memory".into(), value);
    }
    if let Some(arguments) = &policy.arguments {
        let value = json!({
            "maximum-length": arguments.maximum_length.as_ref().map(|most| most.value),
            "allow": arguments.allow.as_ref().map(|allow| texts(&allow.value)),
        });
        sections.insert("arguments".into(), value);
    }
    if let Some(net) = &policy.net {
        sections.insert("net".into(), json_devices(net, json_net));
    }
    if let Some(block) = &policy.block {
        sections.insert("block".into(), json_devices(block, json_block));
    }
    if let Some(debug) = &policy.debug {
        let value = json!({
            "gdb": switch(&debug.gdb_allowed),
            "dumpcore": switch(&debug.dumpcore_allowed),
        });
        sections.insert("debug".into(), value);
    }
    let mut value = json!({ "name": policy.name, "file": policy.source.name });
    let selector = &policy.selector;
    let mut matching = json_proofs(&selector.proofs);
    if !selector.labels.is_empty() {
        let labels = selector.labels.iter();
        let labels = labels.map(|rule| (rule.key.clone(), Value::from(rule.value.as_str())));
        matching.insert("label".into(), labels.collect::<Map<_, _>>().into());
    }
    if let Some(fields) = value.as_object_mut() {
        fields.insert("match".into(), matching.into());
        fields.extend(sections);
        if let Some(audit) = &policy.audit {
            let waive = audit.waive.iter().map(|waiver| {
                let waiver = &waiver.value;
                json!({
                    "rule": waiver.rule,
                    "images": waiver.images.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "reason": waiver.reason,
                    "until": waiver.until.to_string(),
                })
            });
            let waive: Vec<Value> = waive.collect();
            let audit = json!({ "fail-on": audit.fail_on.value.name(), "waive": waive });
            fields.insert("audit".into(), audit);
        }
    }
    value
}

fn json_proofs(proofs: &Proofs) -> Map<String, Value> {
    let mut out = Map::new();
    if let Some(digests) = &proofs.digests {
        let digests: Value = digests.value.iter().map(ToString::to_string).collect();
        out.insert("digest".into(), digests);
    }
    if let Some(keys) = &proofs.signed_by {
        let keys: Value = keys.value.iter().map(ToString::to_string).collect();
        out.insert("signed-by".into(), keys);
    }
    out
}

fn json_devices<Rule>(section: &Devices<Rule>, rule: fn(&Rule) -> Value) -> Value {
    let allow = section.allow.as_ref().map(|allow| {
        let rules = allow.value.iter().map(|one| rule(&one.value));
        rules.collect::<Vec<_>>()
    });
    json!({
        "maximum": section.maximum.as_ref().map(|most| most.value),
        "allow": allow,
    })
}

fn json_net(rule: &NetRule) -> Value {
    let text =
        |pattern: &Option<At<Pattern>>| pattern.as_ref().map(|one| one.value.as_str().to_owned());
    json!({
        "name": rule.name.value.as_str(),
        "interface": text(&rule.interface),
        "bridge": text(&rule.bridge),
        "mac": text(&rule.mac),
    })
}

fn json_block(rule: &BlockRule) -> Value {
    let (mut under, mut device) = (None, None);
    match rule.backing.as_ref().map(|backing| &backing.value) {
        Some(BackingRule::FileUnder(folder)) => under = Some(folder.clone()),
        Some(BackingRule::Device(pattern)) => device = Some(pattern.as_str().to_owned()),
        None => {}
    }
    json!({
        "name": rule.name.value.as_str(),
        "under": under,
        "device": device,
        "access": rule.access.as_ref().map(|access| access.value.name()),
        "capacity": rule.capacity_maximum.as_ref().map(|most| most.value),
        "sector-size": rule.sector_sizes.as_ref().map(|sizes| sizes.value.clone()),
    })
}
