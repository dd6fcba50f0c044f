//! Policies for people: a line for each thing they say.

use solo5_launch::Access;
use solo5_policy::Policy;
use solo5_policy::glob::Pattern;
use solo5_policy::model::{At, BackingRule, BlockRule, Devices, Layer, NetRule, Proofs};
use solo5_report::one_line;
use solo5_source::size;

use crate::policies::sections::{SECTIONS, has, silent};

/// What the silence of all policies denies.
pub(super) fn closing(policies: &[Policy]) -> String {
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
    let are = |layer| policies.iter().any(|policy| policy.layer == layer);
    if are(Layer::Host) && are(Layer::Launch) {
        out += "where one of the host's policies applies, the others can only deny\n";
    }
    out
}

/// One policy: a line for each thing it says, with the line of the file that says it.
pub(super) fn human(policy: &Policy) -> String {
    let file = one_line(&policy.source.name);
    let whose = match policy.layer {
        Layer::Host => ", of the host",
        Layer::Launch => "",
    };
    let mut out = format!("{} ({file}){whose}\n", one_line(&policy.name));
    let mut rows: Vec<(String, Option<usize>, String)> = Vec::new();
    let mut say = |what: &str, at, text| rows.push((what.to_owned(), at, text));
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
        let text = format!("nothing of severity {severity} or above (only solo5-elftool asks)");
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
    let mut places = policy.source.positions(rows.iter().filter_map(|(_, at, _)| *at)).into_iter();
    for (what, at, text) in rows {
        let line = at.and_then(|_| places.next()).map(|place| place.line.to_string());
        let line = line.unwrap_or_default();
        out += &format!("{line:>5}  {what:<10} {}\n", one_line(&text));
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
    parts.extend(rule.descriptor.as_ref().map(|_| String::from("a descriptor")));
    parts
}

fn block_rule(rule: &BlockRule) -> Vec<String> {
    let mut parts = vec![format!("name {}", quoted(&rule.name.value))];
    parts.extend(rule.backing.as_ref().map(|backing| match &backing.value {
        BackingRule::FileUnder(folder) => format!("a file under {folder}"),
        BackingRule::Device(pattern) => format!("a block device /dev/{}", pattern.as_str()),
        BackingRule::Descriptor => String::from("a descriptor"),
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
