//! Puts the answers of all policies that apply together.

use super::applies::applies;
use super::rules::limits;
use super::things::{Thing, things};
use super::verdict::{Denial, Phase, Verdict};
use crate::codes;
use crate::decision::{Condition, Decision, Grant, Outcome, Place, Reason};
use crate::facts::{Asked, HostFacts};
use crate::model::{Layer, Policy};

/// Most reasons that a denial names. Of the others it names only the first of each further code.
pub const REASONS_MAX: usize = 256;

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
        for (subject, denial) in limits(policy, asked) {
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
