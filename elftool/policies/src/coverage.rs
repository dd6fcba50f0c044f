//! Coverage of policies by tests: which parts of a policy decide a set of launches.
//!
//! A policy is split into [`Clause`]s. A clause *decided* a situation if the decision without it is
//! different: a launch it denied is allowed, one it allowed is denied, the reasons have other
//! codes, or the conditions differ. So evaluation need not record anything, and a rule that only
//! repeats another is seen to decide nothing.
//!
//! Deciding every situation again for every clause would take time in the cube of a policy's
//! length. A clause of a long list (rules, patterns, digests, keys, labels, waivers) is therefore
//! first compared with the other clauses of its list. Only the few clauses that may matter need a
//! decision each.

mod ballot;
mod clauses;

use std::collections::HashSet;
use std::ops::Range;

use solo5_policy::codes;
use solo5_policy::date::Date;
use solo5_policy::decision::{Decision, Outcome};
use solo5_policy::evaluate::{
    Phase, Standing, applies, block_standing, decide, label_holds, net_standing, selects,
};
use solo5_policy::facts::{Asked, HostFacts};
use solo5_policy::glob::Pattern;
use solo5_policy::model::{At, BlockRule, NetRule, Policy};
use solo5_report::Diagnostic;

use crate::audit::{is_asked, judge};
use ballot::Ballot;
use clauses::Scope;
pub use clauses::{Clause, clauses};

/// Nothing is opened, so a fact that a situation leaves out makes a condition.
const PHASE: Phase = Phase::Strings;

/// A launch, as far as policies ask about it.
#[derive(Clone, Debug)]
pub struct Situation {
    /// What the launch asks for.
    pub asked: Asked,
    /// What the host says.
    pub facts: HostFacts,
    /// What an audit finds in the image.
    pub findings: Vec<Diagnostic>,
    /// Whether at least one policy must apply.
    pub require: bool,
    /// The day that waivers are compared with.
    pub today: Date,
}

impl Situation {
    /// The decision of `policies`. A fact that is not known makes a condition.
    pub fn decide(&self, policies: &[Policy]) -> Decision {
        let (asked, facts) = (&self.asked, &self.facts);
        let mut decision = decide(policies, asked, facts, PHASE, self.require);
        if is_asked(policies, asked) {
            decision.deny(judge(policies, asked, &self.findings, self.today).reasons);
        }
        decision
    }

    fn without_devices(&self) -> Situation {
        let mut bare = self.clone();
        bare.asked.launch.nets.clear();
        bare.asked.launch.blocks.clear();
        bare
    }
}

/// Whether a clause mattered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Its keys, as in [`Clause`].
    pub what: String,
    /// Its place in the source.
    pub span: Range<usize>,
    /// Whether it decided any situation.
    pub decided: bool,
}

/// The clauses of each of the first `count` of `policies`, in the order of [`clauses`], and which of
/// them decided any of `situations`.
pub fn decided(policies: &[Policy], count: usize, situations: &[Situation]) -> Vec<Vec<Covered>> {
    let whole = situations.iter().map(|one| Round::new(policies, one.clone()));
    let whole: Vec<_> = whole.collect();
    let bare_policies: Vec<_> = policies.iter().map(without_devices).collect();
    let bare = situations.iter().map(|one| Round::new(&bare_policies, one.without_devices()));
    let bare: Vec<_> = bare.collect();
    let mut all = Vec::new();
    for (index, policy) in policies.iter().enumerate().take(count) {
        let clauses = clauses(policy);
        let mut decided = vec![false; clauses.len()];
        for (whole, bare) in whole.iter().zip(&bare) {
            let touched = Touched::of(policy, whole);
            for (clause, decided) in clauses.iter().zip(&mut decided) {
                *decided = *decided
                    || match touched.by(&clause.scope) {
                        Change::None => false,
                        Change::Certain => true,
                        Change::Possible => whole.differs(policies, index, clause, false),
                        Change::PossibleBesideDevices => {
                            bare.differs(&bare_policies, index, clause, touched.denied)
                        }
                    };
            }
        }
        let clauses = clauses.into_iter().zip(decided);
        let covered =
            clauses.map(|(Clause { what, span, .. }, decided)| Covered { what, span, decided });
        all.push(covered.collect());
    }
    all
}

fn without_devices(policy: &Policy) -> Policy {
    Policy { net: None, block: None, ..policy.clone() }
}

/// A situation and its decision.
struct Round {
    situation: Situation,
    essence: Essence,
}

impl Round {
    fn new(policies: &[Policy], situation: Situation) -> Round {
        let essence = Essence::of(&situation.decide(policies));
        Round { situation, essence }
    }

    /// Whether the decision changes if `clause` is removed from the policy with this index. If the
    /// launch is `denied` anyway, conditions do not count.
    fn differs(&self, policies: &[Policy], index: usize, clause: &Clause, denied: bool) -> bool {
        let mut changed = policies.to_vec();
        if let Some(policy) = changed.get_mut(index) {
            clause.take_from(policy);
        }
        let changed = Essence::of(&self.situation.decide(&changed));
        changed.codes != self.essence.codes || (!denied && changed != self.essence)
    }
}

/// What a clause changes in one situation, as far as its scope tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// The situation has to be decided without the clause.
    Possible,
    /// As `Possible`, and devices and their rules can be left out of both decisions.
    PossibleBesideDevices,
    Certain,
}

/// The parts of a policy that a situation is about.
struct Touched<'t> {
    policy: &'t Policy,
    situation: &'t Situation,
    denied: bool,
    applies: bool,
    /// Whether the policy is asked about devices and words. It is not if a policy is required and
    /// none applies.
    counts: bool,
    /// The label that alone keeps the policy from applying.
    label: Option<usize>,
    /// Patterns that are the only one for some word.
    words: HashSet<usize>,
    nets: Vec<Ballot>,
    blocks: Vec<Ballot>,
}

impl<'t> Touched<'t> {
    fn of(policy: &'t Policy, round: &'t Round) -> Touched<'t> {
        let Round { situation, essence } = round;
        let Situation { asked, facts, .. } = situation;
        let labels = policy.selector.labels.iter().enumerate();
        let mut failing = labels.filter(|(_, label)| !label_holds(label, &asked.launch.labels));
        let label = match (failing.next(), failing.next()) {
            (Some((index, _)), None) if selects(policy, asked.proof.as_ref()) => Some(index),
            _ => None,
        };
        let applies = applies(policy, asked);
        let mut touched = Touched {
            policy,
            situation,
            denied: essence.outcome == Outcome::Denied,
            applies,
            counts: applies && !essence.codes.contains(&codes::NONE_APPLIES),
            label,
            words: HashSet::new(),
            nets: Vec::new(),
            blocks: Vec::new(),
        };
        if !touched.counts {
            return touched;
        }
        if let Some(allow) = policy.arguments.as_ref().and_then(|section| section.allow.as_ref()) {
            touched.words = only_patterns(&allow.value, asked);
        }
        if let Some(allow) = policy.net.as_ref().and_then(|section| section.allow.as_ref()) {
            let ballots = asked.launch.nets.iter().enumerate().map(|(index, net)| {
                let (rules, facts) = (allow.value.iter(), facts.nets.get(index));
                let standings = rules.map(|rule| net_standing(&rule.value, net, facts, PHASE));
                Ballot::new(codes::NET_NAME, standings.collect())
            });
            touched.nets = ballots.collect();
        }
        if let Some(allow) = policy.block.as_ref().and_then(|section| section.allow.as_ref()) {
            let ballots = asked.launch.blocks.iter().enumerate().map(|(index, block)| {
                let (rules, facts) = (allow.value.iter(), facts.blocks.get(index));
                let standings = rules.map(|rule| block_standing(&rule.value, block, facts, PHASE));
                Ballot::new(codes::BLOCK_NAME, standings.collect())
            });
            touched.blocks = ballots.collect();
        }
        touched
    }

    /// What a clause of this scope changes.
    fn by(&self, scope: &Scope) -> Change {
        let asked = &self.situation.asked;
        let proof = asked.proof.as_ref();
        let possible = |it: bool| if it { Change::Possible } else { Change::None };
        let certain = |it: bool| if it { Change::Certain } else { Change::None };
        match scope {
            Scope::Match => Change::Possible,
            Scope::Label(index) => possible(self.label == Some(*index)),
            _ if !self.applies => Change::None,
            Scope::Policy => Change::Possible,
            Scope::BesideDevices => Change::PossibleBesideDevices,
            Scope::NetMaximum(most) => certain(self.counts && exceeds(&asked.launch.nets, *most)),
            Scope::BlockMaximum(most) => {
                certain(self.counts && exceeds(&asked.launch.blocks, *most))
            }
            Scope::Digest(digest) => possible(proof.is_some_and(|proof| proof.digest == *digest)),
            Scope::Key(key) => possible(proof.is_some_and(|proof| proof.signed_by.contains(key))),
            Scope::Waiver(index) => {
                let audit = self.policy.audit.as_ref();
                let waiver = audit.and_then(|audit| audit.waive.get(*index));
                possible(waiver.zip(proof).is_some_and(|(waiver, proof)| {
                    let mut findings = self.situation.findings.iter();
                    waiver.value.images.contains(&proof.digest)
                        && findings.any(|finding| finding.code.starts_with(&waiver.value.rule))
                }))
            }
            Scope::Word(pattern) => certain(self.words.contains(pattern)),
            Scope::Net(rule, changed) => certain(self.net(*rule, changed.as_ref())),
            Scope::Block(rule, changed) => certain(self.block(*rule, changed.as_ref())),
        }
    }

    /// Whether the answer for a network interface changes if this rule is removed, or replaced with
    /// `changed`.
    fn net(&self, rule: usize, changed: Option<&NetRule>) -> bool {
        let Situation { asked, facts, .. } = self.situation;
        let allow = self.policy.net.as_ref().and_then(|section| section.allow.as_ref());
        let name = allow.and_then(|allow| allow.value.get(rule)).map(|rule| &rule.value.name);
        self.nets.iter().zip(&asked.launch.nets).enumerate().any(|(index, (ballot, net))| {
            let facts = facts.nets.get(index);
            let changed = |old: &Standing| {
                let changed = changed?;
                let kept = misses_by_name(old) && name == Some(&changed.name);
                Some(if kept { old.clone() } else { net_standing(changed, net, facts, PHASE) })
            };
            ballot.changes(rule, changed, self.denied)
        })
    }

    /// As [`Touched::net`], of block devices.
    fn block(&self, rule: usize, changed: Option<&BlockRule>) -> bool {
        let Situation { asked, facts, .. } = self.situation;
        let allow = self.policy.block.as_ref().and_then(|section| section.allow.as_ref());
        let name = allow.and_then(|allow| allow.value.get(rule)).map(|rule| &rule.value.name);
        self.blocks.iter().zip(&asked.launch.blocks).enumerate().any(|(index, (ballot, block))| {
            let facts = facts.blocks.get(index);
            let changed = |old: &Standing| {
                let changed = changed?;
                let kept = misses_by_name(old) && name == Some(&changed.name);
                Some(if kept { old.clone() } else { block_standing(changed, block, facts, PHASE) })
            };
            ballot.changes(rule, changed, self.denied)
        })
    }
}

fn exceeds<T>(devices: &[T], most: u64) -> bool {
    u64::try_from(devices.len()).is_ok_and(|count| count > most)
}

/// Whether a rule is for a device of another name. Its further keys are then not compared.
fn misses_by_name(standing: &Standing) -> bool {
    matches!(standing, Standing::Misses((true, _), _))
}

/// The patterns that are the only one for some word of the command line.
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

/// The parts of a decision that are compared with another.
#[derive(PartialEq, Eq)]
struct Essence {
    outcome: Outcome,
    /// Sorted: the same reasons in another order are the same denial.
    codes: Vec<&'static str>,
    conditions: Vec<String>,
}

impl Essence {
    fn of(decision: &Decision) -> Essence {
        let mut codes: Vec<_> = decision.reasons.iter().map(|reason| reason.code).collect();
        codes.sort_unstable();
        let conditions = decision.conditions.iter();
        let conditions = conditions.map(|condition| condition.message.clone());
        Essence { outcome: decision.outcome, codes, conditions: conditions.collect() }
    }
}
