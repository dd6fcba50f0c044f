//! Findings of an audit against the `audit` sections. Asked by `solo5-elftool check` before
//! deployment; a tender runs no audit and knows no day.

use solo5_report::{Diagnostic, Severity};

use crate::codes;
use crate::date::Date;
use crate::decision::{Place, Reason};
use crate::evaluate::applies;
use crate::facts::Asked;
use crate::model::{At, Audit, Policy, Waiver};

/// What the `audit` sections make of findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Findings that are a denial.
    pub reasons: Vec<Reason>,
    /// Findings that would be and are accepted for a time.
    pub waived: Vec<Waived>,
}

/// A finding that is accepted for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waived {
    /// Code of the finding.
    pub code: &'static str,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is.
    pub until: Date,
    /// Which policy accepts it, and where.
    pub place: Place,
}

impl Waived {
    /// The waiver on one line: `S401 accepted until 2026-12-31: REASON; edge-node (FILE:LINE:COL)`.
    pub fn line(&self) -> String {
        let Waived {
            code,
            reason,
            until,
            place,
        } = self;
        let shown = place.shown();
        crate::decision::one_line(&format!(
            "{code} accepted until {until}: {reason}; {} ({shown})",
            place.policy
        ))
    }
}

/// Whether any policy that applies has something to say to an audit.
pub fn is_asked(policies: &[Policy], asked: &Asked) -> bool {
    policies
        .iter()
        .any(|policy| policy.audit.is_some() && applies(policy, asked))
}

/// Puts `findings` of one image to each policy that applies, on the day `today`. Waivers count only
/// if the image's digest is proven; errors are never waived, since the image cannot start.
pub fn judge(
    policies: &[Policy],
    asked: &Asked,
    findings: &[Diagnostic],
    today: Date,
) -> Judgement {
    let mut judgement = Judgement::default();
    for policy in policies.iter().filter(|policy| applies(policy, asked)) {
        let Some(audit) = &policy.audit else { continue };
        let place = |span: &std::ops::Range<usize>| Place {
            policy: policy.name.clone(),
            source: policy.source.clone(),
            span: span.clone(),
        };
        let failing = findings
            .iter()
            .filter(|finding| finding.severity >= audit.fail_on.value);
        for finding in failing {
            let mut waivers: Vec<_> = waivers(audit, asked, finding).collect();
            waivers.sort_by_key(|waiver| waiver.value.until);
            let last = waivers.last();
            let limit = format!("wants nothing of severity {}", audit.fail_on.value.name());
            let wants = match last {
                Some(waiver) if waiver.value.until >= today => {
                    judgement.waived.push(Waived {
                        code: finding.code,
                        reason: waiver.value.reason.clone(),
                        until: waiver.value.until,
                        place: place(&waiver.span),
                    });
                    continue;
                }
                Some(waiver) => format!("{limit}, and its waiver ended {}", waiver.value.until),
                None if audit.fail_on.value == Severity::Error => limit,
                None => format!("{limit} or above"),
            };
            judgement.reasons.push(Reason {
                code: codes::AUDIT,
                subject: "audit".to_owned(),
                message: format!("{} {}", finding.code, finding.message),
                wants,
                place: Some(place(&audit.fail_on.span)),
            });
        }
    }
    judgement
}

/// The waivers for `finding` of this image, whatever their last day.
fn waivers<'p>(
    audit: &'p Audit,
    asked: &Asked,
    finding: &Diagnostic,
) -> impl Iterator<Item = &'p At<Waiver>> {
    let digest = asked.proof.as_ref().map(|proof| proof.digest);
    let code = finding.code;
    let waivable = finding.severity < Severity::Error;
    audit.waive.iter().filter(move |waiver| {
        waivable
            && code.starts_with(&waiver.value.rule)
            && digest.is_some_and(|digest| waiver.value.images.contains(&digest))
    })
}
