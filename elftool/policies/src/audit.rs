//! Compares findings of an audit with the `audit` sections of policies. `solo5-elftool check` does so
//! before deployment ([`judge`]); `solo5-elftool audit`, which launches nothing, does so with
//! [`opinions`]. A tender runs no audit and reads no calendar.

use std::ops::Range;

use solo5_report::{Diagnostic, Severity};
use solo5_signature::{Proof, PublicKey};

use crate::codes;
use solo5_policy::date::Date;
use solo5_policy::decision::{Place, Reason};
use solo5_policy::evaluate::{applies, selects};
use solo5_policy::facts::Asked;
use solo5_policy::model::{At, Audit, Policy};

/// What the `audit` sections of policies decide about findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Findings that deny the launch.
    pub reasons: Vec<Reason>,
    /// Findings that would deny it and are accepted for a time.
    pub waived: Vec<Waived>,
}

/// A finding that is accepted for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waived {
    /// Code of the finding.
    pub code: &'static str,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is accepted.
    pub until: Date,
    /// Which policy accepts it, and where.
    pub place: Place,
}

impl Waived {
    /// The waiver on one line: `S401 accepted until 2026-12-31: REASON; edge-node (FILE:LINE:COL)`.
    pub fn line(&self) -> String {
        let Waived { code, reason, until, place } = self;
        let shown = place.shown();
        format!("{code} accepted until {until}: {reason}; {} ({shown})", place.policy)
    }

    /// The text on a waiver whose last day is over: `its waiver ended 2026-01-01 (REASON; edge-node,
    /// FILE:LINE:COL)`.
    pub fn ended(&self) -> String {
        let (place, policy) = (self.place.shown(), &self.place.policy);
        let (until, reason) = (self.until, &self.reason);
        format!("its waiver ended {until} ({reason}; {policy}, {place})")
    }

    /// Why the finding does not count: `REASON, until 2026-12-31 (edge-node, FILE:LINE:COL)`.
    pub fn justification(&self) -> String {
        let (place, policy) = (self.place.shown(), &self.place.policy);
        let (until, reason) = (self.until, &self.reason);
        format!("{reason}, until {until} ({policy}, {place})")
    }
}

/// Whether any policy that applies has an `audit` section.
pub fn is_asked(policies: &[Policy], asked: &Asked) -> bool {
    policies.iter().any(|policy| policy.audit.is_some() && applies(policy, asked))
}

/// Judges the `findings` of one image by each policy that applies, on the day `today`. Waivers
/// count only if the image's digest is proven; errors are never waived, since the image cannot
/// start.
pub fn judge(
    policies: &[Policy],
    asked: &Asked,
    findings: &[Diagnostic],
    today: Date,
) -> Judgement {
    let mut judgement = Judgement::default();
    for policy in policies.iter().filter(|policy| applies(policy, asked)) {
        let Some(audit) = &policy.audit else { continue };
        let failing = findings.iter().filter(|finding| finding.severity >= audit.fail_on.value);
        for finding in failing {
            let last = last_waiver(policy, audit, asked.proof.as_ref(), finding);
            let limit = format!("wants nothing of severity {}", audit.fail_on.value.name());
            let wants = match last {
                Some(waiver) if waiver.until >= today => {
                    judgement.waived.push(waiver);
                    continue;
                }
                Some(waiver) => format!("{limit}, and its waiver ended {}", waiver.until),
                None if audit.fail_on.value == Severity::Error => limit,
                None => format!("{limit} or above"),
            };
            judgement.reasons.push(Reason {
                code: codes::AUDIT,
                subject: "audit".to_owned(),
                message: format!("{} {}", finding.code, finding.message),
                wants,
                place: Some(place(policy, &audit.fail_on.span)),
            });
        }
    }
    judgement
}

/// The answer of policies about one finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// It counts: no policy accepts it, or one fails on it.
    Stands {
        /// Whether a policy fails on it.
        fails: bool,
        /// The waiver that would count if its last day were not over.
        ended: Option<Waived>,
    },
    /// A policy accepts it for a time, and none fails on it.
    Waived(Waived),
}

/// The opinion on each of `findings` of an audit that launches nothing. There are no labels to compare,
/// so those in `match` are taken to hold; the proofs in `match` are compared with `proof`.
pub fn opinions(
    policies: &[Policy],
    proof: Option<&Proof>,
    findings: &[Diagnostic],
    today: Date,
) -> Vec<Opinion> {
    let policies = || {
        let policies = policies.iter().filter(|policy| selects(policy, proof));
        policies.filter_map(|policy| Some((policy, policy.audit.as_ref()?)))
    };
    let opinion = |finding: &Diagnostic| {
        let (mut fails, mut waived, mut ended) = (false, None, None);
        for (policy, audit) in policies() {
            match last_waiver(policy, audit, proof, finding) {
                Some(waiver) if waiver.until >= today => waived = waived.or(Some(waiver)),
                last => {
                    fails |= finding.severity >= audit.fail_on.value;
                    ended = ended.or(last);
                }
            }
        }
        match waived {
            Some(waived) if !fails => Opinion::Waived(waived),
            _ => Opinion::Stands { fails, ended },
        }
    };
    findings.iter().map(opinion).collect()
}

/// Whether [`opinions`] could differ if the digest of the image were known.
pub fn needs_proof(policies: &[Policy], findings: &[Diagnostic]) -> bool {
    let waivers = |policy: &Policy, finding: &Diagnostic| {
        let mut waivers = policy.audit.iter().flat_map(|audit| &audit.waive);
        waivers.any(|waiver| finding.code.starts_with(&waiver.value.rule))
    };
    findings.iter().any(|finding| {
        policies.iter().any(|policy| {
            let selects = !policy.selector.proofs.is_empty() && policy.audit.is_some();
            selects || (finding.severity < Severity::Error && waivers(policy, finding))
        })
    })
}

/// The keys to compare an image's signatures with before [`opinions`].
pub fn keys(policies: &[Policy]) -> Vec<PublicKey> {
    let proofs = policies.iter().map(|policy| &policy.selector.proofs);
    let keys = proofs.filter_map(|proofs| proofs.signed_by.as_ref());
    keys.flat_map(|keys| keys.value.iter().cloned()).collect()
}

/// The waiver of `policy` for `finding` of this image that lasts longest; its last day may be over.
fn last_waiver(
    policy: &Policy,
    audit: &Audit,
    proof: Option<&Proof>,
    finding: &Diagnostic,
) -> Option<Waived> {
    let digest = proof?.digest;
    let waivers = audit.waive.iter().filter(|waiver| {
        finding.severity < Severity::Error
            && finding.code.starts_with(&waiver.value.rule)
            && waiver.value.images.contains(&digest)
    });
    let At { value, span } = waivers.max_by_key(|waiver| waiver.value.until)?;
    Some(Waived {
        code: finding.code,
        reason: value.reason.clone(),
        until: value.until,
        place: place(policy, span),
    })
}

fn place(policy: &Policy, span: &Range<usize>) -> Place {
    Place { policy: policy.name.clone(), source: policy.source.clone(), span: span.clone() }
}
