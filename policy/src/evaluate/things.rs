//! What a launch asks for: each thing with the question that a policy is asked about it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use solo5_report::os_text;
use solo5_source::size;

use super::alternatives::{Alternatives, quoted};
use super::verdict::{Phase, Section, Switch, Verdict, absent};
use super::{block, image, net};
use crate::codes;
use crate::facts::{Asked, Fact, HeapAsker, HostFacts};
use crate::model::{At, Policy, Process};

/// Most words of a command line that a denial by one policy names.
const WORDS_MAX: usize = 16;

/// One thing that a launch asks for.
pub(super) struct Thing<'e> {
    pub(super) subject: String,
    /// The section that decides it.
    pub(super) section: &'static str,
    /// The code of the denial if no policy says anything about it.
    pub(super) silence: &'static str,
    /// What the launch asks for, for the message about silence.
    pub(super) asks: String,
    /// Set if it is not known yet whether the launch asks for the thing: the condition under which it
    /// does not. A no then becomes this condition.
    pub(super) unless: Option<&'static str>,
    pub(super) judge: Box<dyn Fn(&Policy) -> Verdict + 'e>,
}

/// Every thing that a launch asks for, in the order of sections; devices in the order of options.
pub(super) fn things<'e>(asked: &'e Asked, facts: &'e HostFacts, phase: Phase) -> Vec<Thing<'e>> {
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
            Some(section) => net::judge(section, net, facts.nets.get(index), phase),
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
            Some(section) => block::judge(section, block, facts.blocks.get(index), phase),
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
    let thing = |state: BadState, judge: fn(&Policy, &Process, &str) -> Verdict| {
        let asks = state.asks.clone();
        Thing {
            subject: "process".to_owned(),
            section: "process",
            silence: codes::SILENT_PROCESS,
            asks: state.asks,
            unless: state.unless,
            judge: Box::new(move |policy: &Policy| match &policy.process {
                None => absent(policy),
                Some(process) => judge(policy, process, &asks),
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
        thing(state, |policy, process, message| {
            let switch = Switch {
                allowed: process.root_allowed.clone(),
                section: "process",
                allows: "root: allow",
                code: codes::PROCESS_ROOT,
                message,
                wants: "forbids it",
            };
            switch.verdict(policy)
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
        thing(state, |policy, process, message| {
            let required = &process.sandbox_required;
            let switch = Switch {
                allowed: At { value: !required.value, span: required.span.clone() },
                section: "process",
                allows: "sandbox: optional",
                code: codes::PROCESS_SANDBOX,
                message,
                wants: "requires a sandbox",
            };
            switch.verdict(policy)
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
                    let switch = Switch {
                        allowed: memory.executable_heap_allowed.clone(),
                        section: "memory",
                        allows: "executable-heap: allow",
                        code: codes::EXECUTABLE_HEAP,
                        message: asks,
                        wants: "forbids it",
                    };
                    switch.verdict(policy)
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
                let mut patterns = Alternatives::default();
                for pattern in &allow.value {
                    patterns.add(&quoted(&pattern.value));
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
    let forbidden = |allowed: &At<bool>, allows, code, message| Switch {
        allowed: allowed.clone(),
        section: "debug",
        allows,
        code,
        message,
        wants: "forbids it",
    };
    let gdb = asked.launch.gdb.is_some().then(|| {
        let message = "gdb is to be attached";
        let judge: Box<dyn Fn(&Policy) -> Verdict> = Box::new(move |policy| match &policy.debug {
            None => absent(policy),
            Some(debug) => {
                forbidden(&debug.gdb_allowed, "gdb: allow", codes::GDB, message).verdict(policy)
            }
        });
        thing(message, judge)
    });
    let dumpcore = asked.launch.dumpcore.is_some().then(|| {
        let message = "the guest's memory may be dumped";
        let judge: Box<dyn Fn(&Policy) -> Verdict> = Box::new(move |policy| match &policy.debug {
            None => absent(policy),
            Some(debug) => {
                let allowed = &debug.dumpcore_allowed;
                forbidden(allowed, "dumpcore: allow", codes::DUMPCORE, message).verdict(policy)
            }
        });
        thing(message, judge)
    });
    gdb.into_iter().chain(dumpcore)
}
