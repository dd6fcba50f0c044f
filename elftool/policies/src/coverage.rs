//! Which parts of a policy matter to a set of situations, as tests of policies want to know.
//!
//! A policy is taken apart into [`Clause`]s: each thing it says, with the policy as it would be
//! without saying it. A clause *decided* a situation if without it the decision is another one: it
//! denied what would be allowed, allowed what would be denied, or gave another reason. So nothing
//! has to be recorded while policies are evaluated, and a rule that only repeats another is found.

use std::collections::HashSet;
use std::ops::Range;

use solo5_report::Diagnostic;

use crate::audit::{is_asked, judge};
use solo5_policy::date::Date;
use solo5_policy::decision::{Decision, Outcome};
use solo5_policy::evaluate::{Phase, applies, decide, fitting_block_rules, fitting_net_rules};
use solo5_policy::facts::{Asked, HostFacts};
use solo5_policy::glob::Pattern;
use solo5_policy::model::{At, BackingRule, BlockRule, Devices, NetRule, Policy};

/// A launch, as far as policies ask about it.
#[derive(Clone, Debug)]
pub struct Situation {
    /// What is asked for.
    pub asked: Asked,
    /// What the host says.
    pub facts: HostFacts,
    /// What an audit finds of the image.
    pub findings: Vec<Diagnostic>,
    /// Whether one policy at least must apply.
    pub require: bool,
    /// The day that waivers are compared with.
    pub today: Date,
}

impl Situation {
    /// What `policies` say of it. What the host was not asked for makes a condition.
    pub fn decide(&self, policies: &[Policy]) -> Decision {
        let (asked, facts) = (&self.asked, &self.facts);
        let mut decision = decide(policies, asked, facts, Phase::Strings, self.require);
        if is_asked(policies, asked) {
            decision.deny(judge(policies, asked, &self.findings, self.today).reasons);
        }
        decision
    }
}

/// One thing a policy says.
pub struct Clause<'c> {
    /// What it is, by its keys: `net.allow[2].interface`.
    pub what: String,
    /// Where it says so.
    pub span: Range<usize>,
    scope: Scope,
    edit: Box<dyn FnOnce(&mut Policy) + 'c>,
}

impl Clause<'_> {
    /// Makes `policy` one without the clause; a switch is the other way round.
    pub fn take_from(self, policy: &mut Policy) {
        (self.edit)(policy);
    }
}

/// What a clause can change the answer to, so that not every situation has to be decided again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Whether the policy applies.
    Match,
    /// Anything that the policy is asked.
    Policy,
    /// The words that fit this pattern.
    Word(usize),
    /// The network interfaces that this rule is for, or, with `true`, whatever their names.
    Net(usize, bool),
    /// As `Net`, of block devices.
    Block(usize, bool),
}

/// Whether a clause mattered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// What it is, by its keys.
    pub what: String,
    /// Where it says so.
    pub span: Range<usize>,
    /// Whether it decided any situation.
    pub decided: bool,
}

/// The clauses of each of the first `count` of `policies`, in the order of [`clauses`], and which of
/// them decided any of `situations`.
pub fn decided(policies: &[Policy], count: usize, situations: &[Situation]) -> Vec<Vec<Covered>> {
    let before: Vec<_> = situations
        .iter()
        .map(|situation| (situation, essence(&situation.decide(policies))))
        .collect();
    let mut changed = policies.to_vec();
    let mut all = Vec::new();
    for (index, policy) in policies.iter().enumerate().take(count) {
        let mut covered = Vec::new();
        let touched: Vec<_> = before
            .iter()
            .map(|(situation, before)| (*situation, before, Touched::of(policy, situation)))
            .collect();
        clauses(policy, |clause| {
            let (what, span, scope) = (clause.what.clone(), clause.span.clone(), clause.scope);
            let mut left = touched.iter().filter(|(_, _, touched)| touched.can_change(scope));
            let mut left = left.by_ref().peekable();
            if left.peek().is_none() {
                covered.push(Covered { what, span, decided: false });
                return;
            }
            if let Some(place) = changed.get_mut(index) {
                *place = policy.clone();
                clause.take_from(place);
            }
            let decided =
                left.any(|(situation, before, _)| essence(&situation.decide(&changed)) != **before);
            covered.push(Covered { what, span, decided });
        });
        if let Some(place) = changed.get_mut(index) {
            *place = policy.clone();
        }
        all.push(covered);
    }
    all
}

/// What a situation asks a policy, as far as it tells which clauses cannot change the answer.
struct Touched {
    applies: bool,
    /// Patterns that are the only ones a word fits.
    words: HashSet<usize>,
    nets: Vec<Fits>,
    blocks: Vec<Fits>,
}

/// Rules and one device.
struct Fits {
    /// The first two rules that it fits entirely: one is a yes, whatever becomes of the others.
    rules: Vec<usize>,
    /// Rules whose name it fits. One for another name stays so without any of its further keys, and
    /// without all of it the reasons have the same codes.
    named: HashSet<usize>,
}

impl Fits {
    /// Whether the answer can change with this rule, or with its name, if `renamed`.
    fn can_change(&self, rule: usize, renamed: bool) -> bool {
        let another = self.rules.iter().any(|fits| *fits != rule);
        !another && (renamed || self.named.contains(&rule))
    }
}

impl Touched {
    fn of(policy: &Policy, situation: &Situation) -> Touched {
        let Situation { asked, facts, .. } = situation;
        let words = policy.arguments.as_ref().and_then(|section| section.allow.as_ref());
        let words = words.map(|allow| only_patterns(&allow.value, asked)).unwrap_or_default();
        let phase = Phase::Strings;
        let named = |names: &mut dyn Iterator<Item = &Pattern>, device: &str| {
            let fitting = names.enumerate().filter(|(_, name)| name.fits_name(device.as_bytes()));
            fitting.map(|(index, _)| index).collect()
        };
        let nets = policy.net.as_ref().and_then(|section| section.allow.as_ref());
        let nets = nets.map(|allow| {
            let fits = asked.launch.nets.iter().enumerate().map(|(index, net)| Fits {
                rules: fitting_net_rules(&allow.value, net, facts.nets.get(index), phase),
                named: named(&mut allow.value.iter().map(|rule| &rule.value.name.value), &net.name),
            });
            fits.collect()
        });
        let blocks = policy.block.as_ref().and_then(|section| section.allow.as_ref());
        let blocks = blocks.map(|allow| {
            let fits = asked.launch.blocks.iter().enumerate().map(|(index, block)| Fits {
                rules: fitting_block_rules(&allow.value, block, facts.blocks.get(index), phase),
                named: named(
                    &mut allow.value.iter().map(|rule| &rule.value.name.value),
                    &block.name,
                ),
            });
            fits.collect()
        });
        Touched {
            applies: applies(policy, asked),
            words,
            nets: nets.unwrap_or_default(),
            blocks: blocks.unwrap_or_default(),
        }
    }

    /// Whether a clause of this scope can change what is decided.
    fn can_change(&self, scope: Scope) -> bool {
        let any = |fits: &[Fits], rule, renamed| {
            fits.iter().any(|device| device.can_change(rule, renamed))
        };
        match scope {
            Scope::Match => true,
            _ if !self.applies => false,
            Scope::Policy => true,
            Scope::Word(pattern) => self.words.contains(&pattern),
            Scope::Net(rule, renamed) => any(&self.nets, rule, renamed),
            Scope::Block(rule, renamed) => any(&self.blocks, rule, renamed),
        }
    }
}

/// The patterns that are the only ones that a word of the command line fits.
fn only_patterns(patterns: &[At<Pattern>], asked: &Asked) -> HashSet<usize> {
    let words: HashSet<_> = asked.arguments.iter().map(|word| word.as_encoded_bytes()).collect();
    let only = words.into_iter().filter_map(|word| {
        let mut fitting =
            patterns.iter().enumerate().filter(|(_, pattern)| pattern.value.fits_text(word));
        match (fitting.next(), fitting.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    });
    only.collect()
}

/// What is compared of two decisions.
type Essence = (Outcome, Vec<&'static str>, Vec<String>);

fn essence(decision: &Decision) -> Essence {
    let codes = decision.reasons.iter().map(|reason| reason.code).collect();
    let conditions = decision.conditions.iter();
    let conditions = conditions.map(|condition| condition.message.clone());
    (decision.outcome, codes, conditions.collect())
}

/// Visits everything a policy says, in the order of its sections. One clause at a time: each has a
/// policy in it, and a policy can have thousands.
pub fn clauses(policy: &Policy, mut visit: impl FnMut(Clause<'_>)) {
    let visit = &mut visit;
    let mut out = Clauses { policy, scope: Scope::Match, visit };
    selector(&mut out);
    out.scope = Scope::Policy;
    if let Some(span) = &policy.otherwise_allow {
        out.add("otherwise", span, |policy| policy.otherwise_allow = None);
    }
    image(&mut out);
    process(&mut out);
    memory(&mut out);
    arguments(&mut out);
    net(&mut out);
    block(&mut out);
    debug(&mut out);
    if let Some(file) = &policy.admitted {
        out.add("admitted", &file.span, |policy| policy.admitted = None);
    }
    if let Some(audit) = &policy.audit {
        let span = &audit.fail_on.span;
        out.add("audit.fail-on", span, |policy| policy.audit = None);
        for (index, waiver) in audit.waive.iter().enumerate() {
            out.add(item("audit.waive", index), &waiver.span, |policy| {
                policy.audit.as_mut().map(|audit| audit.waive.remove(index));
            });
        }
    }
}

fn item(list: &str, index: usize) -> String {
    format!("{list}[{}]", index + 1)
}

struct Clauses<'p> {
    policy: &'p Policy,
    /// That of the clauses that are added next.
    scope: Scope,
    visit: &'p mut dyn FnMut(Clause<'_>),
}

impl Clauses<'_> {
    fn add(
        &mut self,
        what: impl Into<String>,
        span: &Range<usize>,
        edit: impl FnOnce(&mut Policy),
    ) {
        let (what, span) = (what.into(), span.clone());
        (self.visit)(Clause { what, span, scope: self.scope, edit: Box::new(edit) });
    }

    /// A list that `at` finds in a policy: the whole of it, and each of several items.
    fn values<T>(
        &mut self,
        what: &str,
        list: Option<&At<Vec<T>>>,
        at: impl Fn(&mut Policy) -> Option<&mut Option<At<Vec<T>>>>,
    ) {
        let Some(list) = list else { return };
        self.add(what, &list.span, |policy| {
            at(policy).map(Option::take);
        });
        if list.value.len() < 2 {
            return;
        }
        for index in 0..list.value.len() {
            self.add(item(what, index), &list.span, |policy| {
                let list = at(policy).and_then(Option::as_mut);
                list.map(|list| list.value.remove(index));
            });
        }
    }

    /// A switch, if it is written and not implied by the section's key.
    fn switch(
        &mut self,
        section: &str,
        key: &str,
        switch: &At<bool>,
        at: impl Fn(&mut Policy) -> Option<&mut At<bool>>,
    ) {
        let written = self.policy.source.text.get(switch.span.clone());
        if written.map(|word| word.trim_matches(['"', '\''])) == Some(section) {
            return;
        }
        self.add(format!("{section}.{key}"), &switch.span, |policy| {
            if let Some(switch) = at(policy) {
                switch.value = !switch.value;
            }
        });
    }
}

fn selector(out: &mut Clauses<'_>) {
    let selector = &out.policy.selector;
    for (index, label) in selector.labels.iter().enumerate() {
        let what = format!("match.label.{}", label.key);
        out.add(what, &label.span, |policy| {
            policy.selector.labels.remove(index);
        });
    }
    let proofs = &selector.proofs;
    out.values("match.digest", proofs.digests.as_ref(), |policy| {
        Some(&mut policy.selector.proofs.digests)
    });
    out.values("match.signed-by", proofs.signed_by.as_ref(), |policy| {
        Some(&mut policy.selector.proofs.signed_by)
    });
}

fn image(out: &mut Clauses<'_>) {
    let Some(image) = &out.policy.image else {
        return;
    };
    out.add("image", &image.span, |policy| policy.image = None);
    out.values("image.targets", image.targets.as_ref(), |policy| {
        Some(&mut policy.image.as_mut()?.targets)
    });
    if let Some(minimum) = &image.minimum_manifest {
        out.add("image.minimum-manifest", &minimum.span, |policy| {
            policy.image.as_mut().map(|image| image.minimum_manifest.take());
        });
    }
    out.values("image.digest", image.proofs.digests.as_ref(), |policy| {
        Some(&mut policy.image.as_mut()?.proofs.digests)
    });
    out.values("image.signed-by", image.proofs.signed_by.as_ref(), |policy| {
        Some(&mut policy.image.as_mut()?.proofs.signed_by)
    });
}

fn process(out: &mut Clauses<'_>) {
    let Some(process) = &out.policy.process else {
        return;
    };
    out.switch("process", "root", &process.root_allowed, |policy| {
        Some(&mut policy.process.as_mut()?.root_allowed)
    });
    out.switch("process", "sandbox", &process.sandbox_required, |policy| {
        Some(&mut policy.process.as_mut()?.sandbox_required)
    });
}

fn memory(out: &mut Clauses<'_>) {
    let Some(memory) = &out.policy.memory else {
        return;
    };
    out.add("memory", &memory.span, |policy| policy.memory = None);
    if let Some(maximum) = &memory.maximum {
        out.add("memory.maximum", &maximum.span, |policy| {
            policy.memory.as_mut().map(|memory| memory.maximum.take());
        });
    }
    let heap = &memory.executable_heap_allowed;
    out.switch("memory", "executable-heap", heap, |policy| {
        Some(&mut policy.memory.as_mut()?.executable_heap_allowed)
    });
}

fn arguments(out: &mut Clauses<'_>) {
    let Some(arguments) = &out.policy.arguments else {
        return;
    };
    out.add("arguments", &arguments.span, |policy| policy.arguments = None);
    if let Some(maximum) = &arguments.maximum_length {
        out.add("arguments.maximum-length", &maximum.span, |policy| {
            let arguments = policy.arguments.as_mut();
            arguments.map(|arguments| arguments.maximum_length.take());
        });
    }
    let Some(allow) = &arguments.allow else {
        return;
    };
    out.add("arguments.allow", &allow.span, |policy| {
        let arguments = policy.arguments.as_mut();
        arguments.map(|arguments| arguments.allow.take());
    });
    for (index, pattern) in allow.value.iter().enumerate() {
        out.scope = Scope::Word(index);
        out.add(item("arguments.allow", index), &pattern.span, |policy| {
            let allow = policy.arguments.as_mut().and_then(|all| all.allow.as_mut());
            allow.map(|allow| allow.value.remove(index));
        });
    }
    out.scope = Scope::Policy;
}

/// A section of devices; `at` finds it in a policy. What a rule has beyond a name is left to
/// `parts`, which is called for each rule with its name among the clauses.
fn devices<Rule>(
    out: &mut Clauses<'_>,
    section: &str,
    devices: &Devices<Rule>,
    at: impl Fn(&mut Policy) -> &mut Option<Devices<Rule>>,
    scope: fn(usize, bool) -> Scope,
    mut parts: impl FnMut(&mut Clauses<'_>, &str, usize, &Rule),
) {
    out.add(section, &devices.span, |policy| *at(policy) = None);
    if let Some(maximum) = &devices.maximum {
        out.add(format!("{section}.maximum"), &maximum.span, |policy| {
            at(policy).as_mut().map(|devices| devices.maximum.take());
        });
    }
    let Some(allow) = &devices.allow else {
        return;
    };
    let list = format!("{section}.allow");
    out.add(list.as_str(), &allow.span, |policy| {
        at(policy).as_mut().map(|devices| devices.allow.take());
    });
    for (index, rule) in allow.value.iter().enumerate() {
        let what = item(&list, index);
        out.scope = scope(index, false);
        out.add(what.as_str(), &rule.span, |policy| {
            let allow = at(policy).as_mut().and_then(|all| all.allow.as_mut());
            allow.map(|allow| allow.value.remove(index));
        });
        parts(out, &what, index, &rule.value);
    }
    out.scope = Scope::Policy;
}

/// The rule with this index in a section of devices.
fn rule<Rule>(devices: &mut Option<Devices<Rule>>, index: usize) -> Option<&mut Rule> {
    let allow = devices.as_mut()?.allow.as_mut()?;
    allow.value.get_mut(index).map(|rule| &mut rule.value)
}

/// A pattern of any name, in place of one; `None` if it is one already.
fn any(name: &At<Pattern>) -> Option<At<Pattern>> {
    let value = Pattern::new("*").ok()?;
    let span = name.span.clone();
    (name.value != value).then_some(At { value, span })
}

fn net(out: &mut Clauses<'_>) {
    let Some(section) = &out.policy.net else {
        return;
    };
    let find: fn(&mut Policy) -> &mut Option<Devices<NetRule>> = |policy| &mut policy.net;
    devices(out, "net", section, find, Scope::Net, |out, what, index, found| {
        if let Some(any) = any(&found.name) {
            out.scope = Scope::Net(index, true);
            out.add(format!("{what}.name"), &found.name.span, |policy| {
                if let Some(rule) = rule(&mut policy.net, index) {
                    rule.name = any;
                }
            });
            out.scope = Scope::Net(index, false);
        }
        if let Some(part) = &found.interface {
            out.add(format!("{what}.interface"), &part.span, |policy| {
                rule(&mut policy.net, index).map(|rule| rule.interface.take());
            });
        }
        if let Some(part) = &found.bridge {
            out.add(format!("{what}.bridge"), &part.span, |policy| {
                rule(&mut policy.net, index).map(|rule| rule.bridge.take());
            });
        }
        if let Some(part) = &found.mac {
            out.add(format!("{what}.mac"), &part.span, |policy| {
                rule(&mut policy.net, index).map(|rule| rule.mac.take());
            });
        }
        if let Some(part) = &found.descriptor {
            out.add(format!("{what}.descriptor"), &part.span, |policy| {
                rule(&mut policy.net, index).map(|rule| rule.descriptor.take());
            });
        }
    });
}

fn block(out: &mut Clauses<'_>) {
    let Some(section) = &out.policy.block else {
        return;
    };
    let find: fn(&mut Policy) -> &mut Option<Devices<BlockRule>> = |policy| &mut policy.block;
    devices(out, "block", section, find, Scope::Block, |out, what, index, found| {
        if let Some(any) = any(&found.name) {
            out.scope = Scope::Block(index, true);
            out.add(format!("{what}.name"), &found.name.span, |policy| {
                if let Some(rule) = rule(&mut policy.block, index) {
                    rule.name = any;
                }
            });
            out.scope = Scope::Block(index, false);
        }
        if let Some(part) = &found.backing {
            let key = match part.value {
                BackingRule::FileUnder(_) => "file",
                BackingRule::Device(_) => "device",
                BackingRule::Descriptor => "descriptor",
            };
            out.add(format!("{what}.{key}"), &part.span, |policy| {
                rule(&mut policy.block, index).map(|rule| rule.backing.take());
            });
        }
        if let Some(part) = &found.access {
            out.add(format!("{what}.access"), &part.span, |policy| {
                rule(&mut policy.block, index).map(|rule| rule.access.take());
            });
        }
        if let Some(part) = &found.capacity_maximum {
            out.add(format!("{what}.capacity"), &part.span, |policy| {
                rule(&mut policy.block, index).map(|rule| rule.capacity_maximum.take());
            });
        }
        let sizes = found.sector_sizes.as_ref();
        out.values(&format!("{what}.sector-size"), sizes, |policy| {
            Some(&mut rule(&mut policy.block, index)?.sector_sizes)
        });
    });
}

fn debug(out: &mut Clauses<'_>) {
    let Some(debug) = &out.policy.debug else {
        return;
    };
    out.switch("debug", "gdb", &debug.gdb_allowed, |policy| {
        Some(&mut policy.debug.as_mut()?.gdb_allowed)
    });
    out.switch("debug", "dumpcore", &debug.dumpcore_allowed, |policy| {
        Some(&mut policy.debug.as_mut()?.dumpcore_allowed)
    });
}
