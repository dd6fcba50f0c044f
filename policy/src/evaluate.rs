//! Evaluation: the yes-and-no rule.
//!
//! Every applicable policy is asked about each thing that the launch asks for; its answer is a
//! [`Verdict`]. One no is a denial. No yes at all is silence, which is a denial too. An answer that
//! depends on facts not known yet is a condition. Evaluation does not stop at the first no, so a
//! denial names every reason, up to [`REASONS_MAX`].
//!
//! There are two layers. If one of the host's policies applies, every yes must come from the host's,
//! and the launch's policies can only deny. If none of the host's applies, only the launch's count.
//!
//! [`rules`] judges devices against lists of rules, [`image`] the image by what it claims and what is
//! proven of it.

mod image;
mod rules;

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use solo5_report::os_text;
use solo5_signature::{Proof, PublicKey};
use solo5_source::size;

use crate::codes;
use crate::decision::{Condition, Decision, Grant, Outcome, Place, Reason};
use crate::facts::{Asked, Fact, HeapAsker, HostFacts};
use crate::model::{At, LabelRule, Layer, Policy, Process, Proofs};
use solo5_launch::Label;

pub use rules::{Distance, Standing, block_standing, directories, net_standing, rest_beneath};

/// How far a launch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is opened yet, or this is another host: an unknown fact makes a condition.
    Strings,
    /// Everything is opened: a fact that is still unknown is a no.
    Descriptors,
}

/// Most words of a command line that a denial by one policy names.
const WORDS_MAX: usize = 16;

/// Most reasons that a denial names. Of the others it names only the first of each further code.
pub const REASONS_MAX: usize = 256;

/// The answer of one policy about one thing.
enum Verdict {
    /// The policy says nothing about it.
    Silent,
    /// Yes, and where it says so.
    Yes(Range<usize>),
    /// Yes, if facts that are not known yet turn out like this.
    If(Vec<Provision>),
    /// No, for these reasons.
    No(Vec<Denial>),
}

/// A condition, before the policy that sets it is added.
struct Provision {
    message: String,
    span: Range<usize>,
}

/// A reason without its policy.
struct Denial {
    code: &'static str,
    message: String,
    wants: String,
    span: Range<usize>,
}

/// One thing that a launch asks for.
struct Thing<'e> {
    subject: String,
    /// The section that decides it.
    section: &'static str,
    /// The code of the denial if no policy says anything about it.
    silence: &'static str,
    /// What the launch asks for, for the message about silence.
    asks: String,
    /// Set if it is not known yet whether the launch asks for the thing: the condition under which it
    /// does not. A no then becomes this condition.
    unless: Option<&'static str>,
    judge: Box<dyn Fn(&Policy) -> Verdict + 'e>,
}

/// The decision of `policies` about a launch. With `require`, at least one policy must apply: one of
/// the host's, if the host has any.
pub fn decide(
    policies: &[Policy],
    asked: &Asked,
    facts: &HostFacts,
    phase: Phase,
    require: bool,
) -> Decision {
    let (applicable, skipped): (Vec<&Policy>, Vec<&Policy>) =
        policies.iter().partition(|policy| applies(policy, asked));
    let names = |policies: &[&Policy]| policies.iter().map(|policy| policy.name.clone()).collect();
    let mut decision = Decision {
        outcome: Outcome::Allowed,
        applicable: names(&applicable),
        skipped: names(&skipped),
        reasons: Vec::new(),
        conditions: Vec::new(),
        grants: Vec::new(),
        untold: 0,
        denying: 0,
    };
    let hosts =
        |policies: &[&Policy]| policies.iter().filter(|policy| policy.layer == Layer::Host).count();
    let decisive = if hosts(&applicable) > 0 { Layer::Host } else { Layer::Launch };
    let host_is_silent = decisive == Layer::Launch && hosts(&skipped) > 0;
    if require && (applicable.is_empty() || host_is_silent) {
        decision.outcome = Outcome::Denied;
        let (whose, count) = match host_is_silent {
            true => (" of the host's", hosts(&skipped)),
            false => ("", skipped.len()),
        };
        decision.reasons.push(Reason {
            code: codes::NONE_APPLIES,
            subject: "policy".to_owned(),
            message: format!("one{whose} is required and none applies"),
            wants: match count {
                0 => "there is none".to_owned(),
                count => format!("`match` holds for none of {count}"),
            },
            place: None,
        });
    }
    if decision.is_denied() || applicable.is_empty() {
        return decision;
    }
    let mut denying = vec![false; applicable.len()];
    for thing in things(asked, facts, phase) {
        ask(&thing, &applicable, decisive, &mut decision, &mut denying);
    }
    for (policy, denies) in applicable.iter().zip(&mut denying) {
        for (subject, denial) in rules::limits(policy, asked) {
            *denies = true;
            tell(reason(policy, subject, denial), &mut decision);
        }
    }
    decision.denying = denying.iter().filter(|denies| **denies).count();
    if !decision.reasons.is_empty() {
        decision.outcome = Outcome::Denied;
        decision.conditions.clear();
    } else if !decision.conditions.is_empty() {
        decision.outcome = Outcome::Conditional;
    }
    decision
}

/// Whether `match` holds. Without a proof, a policy that selects by proof applies too, and then denies
/// the image: the caller should have proven the content first.
pub fn applies(policy: &Policy, asked: &Asked) -> bool {
    labels_hold(policy, &asked.launch.labels) && selects(policy, asked.proof.as_ref())
}

/// Whether the proofs that `match` wants hold, as in [`applies`].
pub fn selects(policy: &Policy, proof: Option<&Proof>) -> bool {
    let proofs = &policy.selector.proofs;
    proof.is_none_or(|proof| has_digest(proofs, proof) && is_signed(proofs, proof))
}

fn labels_hold(policy: &Policy, labels: &[Label]) -> bool {
    policy.selector.labels.iter().all(|rule| label_holds(rule, labels))
}

/// Whether one label that `match` asks for is among those of a launch.
pub fn label_holds(rule: &LabelRule, labels: &[Label]) -> bool {
    let fits =
        |label: &Label| label.key == rule.key && rule.value.fits_text(label.value.as_bytes());
    labels.iter().any(fits)
}

fn has_digest(proofs: &Proofs, proof: &Proof) -> bool {
    let digests = proofs.digests.as_ref();
    digests.is_none_or(|digests| digests.value.contains(&proof.digest))
}

fn is_signed(proofs: &Proofs, proof: &Proof) -> bool {
    let keys = proofs.signed_by.as_ref();
    keys.is_none_or(|keys| keys.value.iter().any(|key| proof.signed_by.contains(key)))
}

/// The keys to compare an image's signatures with before [`decide`]. `None` if no policy whose labels
/// hold asks for a proof: the content then need not be read.
pub fn keys_to_prove(policies: &[Policy], labels: &[Label]) -> Option<Vec<PublicKey>> {
    let mut needed = false;
    let mut keys: Vec<PublicKey> = Vec::new();
    // A policy may have thousands of keys.
    let mut seen: HashSet<&PublicKey> = HashSet::new();
    for policy in policies.iter().filter(|policy| labels_hold(policy, labels)) {
        let image = policy.image.as_ref().map(|image| &image.proofs);
        needed |= policy.admitted.is_some();
        for proofs in [&policy.selector.proofs].into_iter().chain(image) {
            needed |= !proofs.is_empty();
            for key in proofs.signed_by.iter().flat_map(|keys| &keys.value) {
                if seen.insert(key) {
                    keys.push(key.clone());
                }
            }
        }
    }
    needed.then_some(keys)
}

/// The lists of admitted images that policies which apply ask about.
pub fn admission_lists<'p>(policies: &'p [Policy], asked: &Asked) -> BTreeSet<&'p str> {
    let policies = policies.iter().filter(|policy| applies(policy, asked));
    policies.filter_map(|policy| Some(policy.admitted.as_ref()?.value.as_str())).collect()
}

/// Asks every applicable policy about `thing`. A yes counts only from the `decisive` layer.
fn ask(
    thing: &Thing<'_>,
    policies: &[&Policy],
    decisive: Layer,
    decision: &mut Decision,
    denying: &mut [bool],
) {
    let (mut answered, mut overruled) = (false, false);
    let mut denied = Vec::new();
    let mut provisions = Vec::new();
    for (policy, denies) in policies.iter().zip(denying) {
        let place =
            |span| Place { policy: policy.name.clone(), source: policy.source.clone(), span };
        match (thing.judge)(policy) {
            Verdict::Silent => {}
            Verdict::Yes(_) if policy.layer != decisive => overruled = true,
            Verdict::Yes(span) => {
                answered = true;
                let subject = thing.subject.clone();
                decision.grants.push(Grant { subject, place: place(span) });
            }
            Verdict::If(list) => {
                answered |= policy.layer == decisive;
                overruled |= policy.layer != decisive;
                provisions.extend(list.into_iter().map(|provision| Condition {
                    subject: thing.subject.clone(),
                    message: provision.message,
                    place: Some(place(provision.span)),
                }));
            }
            Verdict::No(denials) => {
                answered = true;
                // It is not known whether the launch asks for the thing, so the no becomes a condition.
                if let Some(unless) = thing.unless {
                    provisions.extend(denials.into_iter().map(|denial| Condition {
                        subject: thing.subject.clone(),
                        message: unless.to_owned(),
                        place: Some(place(denial.span)),
                    }));
                    continue;
                }
                *denies = true;
                let subject = || thing.subject.clone();
                denied.extend(denials.into_iter().map(|one| reason(policy, subject(), one)));
            }
        }
    }
    if !answered {
        let whose = if overruled { " of the host" } else { "" };
        let nobody = format!("no applicable policy{whose} says anything about it");
        match thing.unless {
            Some(unless) => provisions.push(Condition {
                subject: thing.subject.clone(),
                message: format!("{unless} ({nobody})"),
                place: None,
            }),
            None => denied.push(Reason {
                code: thing.silence,
                subject: thing.subject.clone(),
                message: format!("{}, and {nobody}", thing.asks),
                wants: format!("add `{}:` or `otherwise: allow` to one", thing.section),
                place: None,
            }),
        }
    }
    for reason in denied {
        tell(reason, decision);
    }
    decision.conditions.extend(provisions);
}

/// Adds a reason. Above the limit it is only counted, unless its code is new.
fn tell(reason: Reason, decision: &mut Decision) {
    let known = || decision.reasons.iter().any(|known| known.code == reason.code);
    if decision.reasons.len() >= REASONS_MAX && known() {
        decision.untold = decision.untold.saturating_add(1);
    } else {
        decision.reasons.push(reason);
    }
}

fn reason(policy: &Policy, subject: String, denial: Denial) -> Reason {
    Reason {
        code: denial.code,
        subject,
        message: denial.message,
        wants: denial.wants,
        place: Some(Place {
            policy: policy.name.clone(),
            source: policy.source.clone(),
            span: denial.span,
        }),
    }
}

/// The answer of a policy that does not have the section.
fn absent(policy: &Policy) -> Verdict {
    match &policy.otherwise_allow {
        Some(span) => Verdict::Yes(span.clone()),
        None => Verdict::Silent,
    }
}

/// Collects the denials of one section.
struct Section {
    span: Range<usize>,
    denials: Vec<Denial>,
}

impl Section {
    fn new(span: &Range<usize>) -> Section {
        Section { span: span.clone(), denials: Vec::new() }
    }

    fn deny(&mut self, code: &'static str, message: String, wants: String, span: &Range<usize>) {
        self.denials.push(Denial { code, message, wants, span: span.clone() });
    }

    fn verdict(self) -> Verdict {
        if self.denials.is_empty() { Verdict::Yes(self.span) } else { Verdict::No(self.denials) }
    }
}

/// The answer of a switch: yes if it allows.
fn switch(allowed: &At<bool>, code: &'static str, message: &str, wants: &str) -> Verdict {
    let mut section = Section::new(&allowed.span);
    if !allowed.value {
        section.deny(code, message.to_owned(), wants.to_owned(), &allowed.span);
    }
    section.verdict()
}

/// Every thing that a launch asks for, in the order of sections; devices in the order of options.
fn things<'e>(asked: &'e Asked, facts: &'e HostFacts, phase: Phase) -> Vec<Thing<'e>> {
    let mut things = vec![image(asked, facts, phase)];
    things.extend(process(facts, phase));
    things.extend(memory(asked));
    if asked.launch.command_line_length() > 0 {
        things.push(arguments(asked));
    }
    things.extend(asked.launch.nets.iter().enumerate().map(|(index, net)| Thing {
        subject: format!("net '{}'", net.name),
        section: "net",
        silence: codes::SILENT_NET,
        asks: "a network interface is asked for".to_owned(),
        unless: None,
        judge: Box::new(move |policy| match &policy.net {
            None => absent(policy),
            Some(section) => rules::net(section, net, facts.nets.get(index), phase),
        }),
    }));
    things.extend(asked.launch.blocks.iter().enumerate().map(|(index, block)| Thing {
        subject: format!("block '{}'", block.name),
        section: "block",
        silence: codes::SILENT_BLOCK,
        asks: "a block device is asked for".to_owned(),
        unless: None,
        judge: Box::new(move |policy| match &policy.block {
            None => absent(policy),
            Some(section) => rules::block(section, block, facts.blocks.get(index), phase),
        }),
    }));
    things.extend(debug(asked));
    things
}

fn image<'e>(asked: &'e Asked, facts: &'e HostFacts, phase: Phase) -> Thing<'e> {
    Thing {
        subject: "image".to_owned(),
        section: "image",
        silence: codes::SILENT_IMAGE,
        asks: format!("an image for {} is to run", asked.target.name()),
        unless: None,
        judge: Box::new(move |policy| image::judge(policy, asked, facts, phase)),
    }
}

/// A risky state of the process. A launch asks for it if the process is, or may be, in that state.
struct BadState {
    /// The state, for people.
    asks: String,
    /// Set if the state is not known yet: the condition under which the launch does not ask for it.
    unless: Option<&'static str>,
}

/// Running as root and running without a sandbox. A launch asks for them if the host says so, if the
/// host cannot say, or if nobody has asked the host yet.
fn process(facts: &HostFacts, phase: Phase) -> Vec<Thing<'static>> {
    let bad = |fact: &Fact<bool>, good, asks: &str, question: &str, unless| {
        let unread = |why: &str| format!("whether {question} cannot be read: {why}");
        let (asks, unless) = match fact {
            Fact::Known(state) if *state == good => return None,
            Fact::Known(_) => (asks.to_owned(), None),
            Fact::Unknown if phase == Phase::Strings => (asks.to_owned(), Some(unless)),
            Fact::Unknown => (unread("no answer"), None),
            Fact::Unreadable(why) => (unread(why), None),
        };
        Some(BadState { asks, unless })
    };
    let thing = |state: BadState, judge: fn(&Process, &str) -> Verdict| {
        let asks = state.asks.clone();
        Thing {
            subject: "process".to_owned(),
            section: "process",
            silence: codes::SILENT_PROCESS,
            asks: state.asks,
            unless: state.unless,
            judge: Box::new(move |policy: &Policy| match &policy.process {
                None => absent(policy),
                Some(process) => judge(process, &asks),
            }),
        }
    };
    let root = bad(
        &facts.root,
        false,
        "the tender runs as root",
        "the tender runs as root",
        "the tender does not run as root",
    );
    let root = root.map(|state| {
        thing(state, |process, asks| {
            switch(&process.root_allowed, codes::PROCESS_ROOT, asks, "forbids it")
        })
    });
    let cannot = match facts.lacking.as_slice() {
        [] => "the host cannot confine the tender".to_owned(),
        lacking => format!("the host cannot confine the tender: it lacks {}", lacking.join("; ")),
    };
    let loose = bad(
        &facts.sandbox,
        true,
        &cannot,
        "the host can confine the tender",
        "the host can confine the tender",
    );
    let loose = loose.map(|state| {
        thing(state, |process, asks| {
            let allowed = At {
                value: !process.sandbox_required.value,
                span: process.sandbox_required.span.clone(),
            };
            switch(&allowed, codes::PROCESS_SANDBOX, asks, "requires a sandbox")
        })
    });
    root.into_iter().chain(loose).collect()
}

fn memory(asked: &Asked) -> impl Iterator<Item = Thing<'_>> {
    let thing = |asks, judge| Thing {
        subject: "memory".to_owned(),
        section: "memory",
        silence: codes::SILENT_MEMORY,
        asks,
        unless: None,
        judge,
    };
    let wanted = size::display(asked.launch.memory_asked());
    let message = match asked.launch.memory_asked() == asked.memory {
        true => format!("{wanted} asked for"),
        false => format!("{wanted} asked for, and {} given", size::display(asked.memory)),
    };
    let size = thing(
        message.clone(),
        Box::new(move |policy: &Policy| {
            let Some(rules) = &policy.memory else {
                return absent(policy);
            };
            let mut section = Section::new(&rules.span);
            if let Some(maximum) = &rules.maximum
                && asked.memory > maximum.value
            {
                section.deny(
                    codes::MEMORY_MAXIMUM,
                    message.clone(),
                    format!("wants at most {}", size::display(maximum.value)),
                    &maximum.span,
                );
            }
            section.verdict()
        }),
    );
    let heap = asked.executable_heap.map(|by| {
        let asks = match by {
            HeapAsker::Option => "`--x-exec-heap` asks for an executable heap",
            HeapAsker::Manifest => "the manifest asks for an executable heap",
        };
        thing(
            asks.to_owned(),
            Box::new(move |policy: &Policy| match &policy.memory {
                None => absent(policy),
                Some(memory) => {
                    let allowed = &memory.executable_heap_allowed;
                    switch(allowed, codes::EXECUTABLE_HEAP, asks, "forbids it")
                }
            }),
        )
    });
    std::iter::once(size).chain(heap)
}

fn arguments(asked: &Asked) -> Thing<'_> {
    Thing {
        subject: "arguments".to_owned(),
        section: "arguments",
        silence: codes::SILENT_ARGUMENTS,
        asks: "the guest is given arguments".to_owned(),
        unless: None,
        judge: Box::new(|policy| {
            let Some(rules) = &policy.arguments else {
                return absent(policy);
            };
            let mut section = Section::new(&rules.span);
            let length = asked.launch.command_line_length();
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            if let Some(maximum) = &rules.maximum_length
                && length > maximum.value
            {
                section.deny(
                    codes::ARGUMENTS_LENGTH,
                    format!("they are {length} bytes long"),
                    format!("wants at most {}", maximum.value),
                    &maximum.span,
                );
            }
            if let Some(allow) = &rules.allow {
                let fits = |word: &&OsString| {
                    let bytes = word.as_bytes();
                    allow.value.iter().any(|pattern| pattern.value.fits_text(bytes))
                };
                let mut patterns = rules::Alternatives::default();
                for pattern in &allow.value {
                    patterns.add(&rules::quoted(&pattern.value));
                    if patterns.is_full() {
                        break;
                    }
                }
                let span = allow.value.first().map_or(&allow.span, |first| &first.span);
                let words: BTreeSet<_> = asked.arguments.iter().collect();
                let ordered = asked.arguments.iter().filter({
                    let mut left = words;
                    move |word| left.remove(word)
                });
                let mut wrong = ordered.filter(|word| !fits(word));
                for word in wrong.by_ref().take(WORDS_MAX) {
                    let message = format!("'{}' fits no rule", os_text(word));
                    section.deny(codes::ARGUMENT, message, patterns.wants(), span);
                }
                if wrong.next().is_some() {
                    let message = "other words fit no rule either".to_owned();
                    section.deny(codes::ARGUMENT, message, patterns.wants(), span);
                }
            }
            section.verdict()
        }),
    }
}

fn debug(asked: &Asked) -> impl Iterator<Item = Thing<'_>> {
    let thing = |asks: &str, judge| Thing {
        subject: "debug".to_owned(),
        section: "debug",
        silence: codes::SILENT_DEBUG,
        asks: asks.to_owned(),
        unless: None,
        judge,
    };
    let gdb = asked.launch.gdb.is_some().then(|| {
        let judge: Box<dyn Fn(&Policy) -> Verdict> = Box::new(|policy| match &policy.debug {
            None => absent(policy),
            Some(debug) => {
                let message = "gdb is to be attached";
                switch(&debug.gdb_allowed, codes::GDB, message, "forbids it")
            }
        });
        thing("gdb is to be attached", judge)
    });
    let dumpcore = asked.launch.dumpcore.is_some().then(|| {
        let judge: Box<dyn Fn(&Policy) -> Verdict> = Box::new(|policy| match &policy.debug {
            None => absent(policy),
            Some(debug) => {
                let message = "the guest's memory may be dumped";
                switch(&debug.dumpcore_allowed, codes::DUMPCORE, message, "forbids it")
            }
        });
        thing("the guest's memory may be dumped", judge)
    });
    gdb.into_iter().chain(dumpcore)
}
