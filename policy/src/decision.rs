//! The outcome of an evaluation, and its two forms: lines for people, JSON for programs.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use solo5_report::SourceText;

/// Whether a launch may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It may.
    Allowed,
    /// It may, if facts that are not known yet turn out as [`Decision::conditions`] say.
    Conditional,
    /// It may not.
    Denied,
}

impl Outcome {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::Conditional => "conditional",
            Outcome::Denied => "denied",
        }
    }
}

/// A place in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The policy's name.
    pub policy: String,
    /// Its text.
    pub source: Arc<SourceText>,
    /// Range in bytes in it.
    pub span: Range<usize>,
}

/// One reason for a denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Stable code, `P3xx`.
    pub code: &'static str,
    /// What was asked for, such as `net 'service'`.
    pub subject: String,
    /// What is wrong with it, such as `interface 'tap7' fits no rule`.
    pub message: String,
    /// What the policy says instead, such as `wants "tap-*"`; empty for silence.
    pub wants: String,
    /// Which policy says no, and where; `None` for silence.
    pub place: Option<Place>,
}

/// Something that must be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What was asked for.
    pub subject: String,
    /// The condition, such as `its tap is on bridge "br-public"`.
    pub message: String,
    /// Which policy sets it, and where; `None` if no policy says anything about the thing.
    pub place: Option<Place>,
}

/// One policy's yes to one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What was asked for.
    pub subject: String,
    /// Which policy says yes, and where.
    pub place: Place,
}

/// The decision of policies about a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub outcome: Outcome,
    /// Names of the policies that apply, in the order given.
    pub applicable: Vec<String>,
    /// Names of those whose `match` does not hold.
    pub skipped: Vec<String>,
    /// The reasons for a denial: [`REASONS_MAX`](crate::evaluate::REASONS_MAX) at most, plus the first
    /// of each code that is not among them; empty unless denied.
    pub reasons: Vec<Reason>,
    /// How many further reasons there are, which are only counted.
    pub untold: usize,
    /// Every condition; empty if denied.
    pub conditions: Vec<Condition>,
    /// Every yes, with its place.
    pub grants: Vec<Grant>,
    /// How many policies said no to something.
    pub denying: usize,
}

impl Reason {
    /// The reason on one line:
    /// `P311 net 'service': interface 'tap7' fits no rule; edge-node wants "tap-*" (FILE:LINE:COL)`.
    pub fn line(&self) -> String {
        format!("{} {}", self.code, self.text())
    }

    /// [`Reason::line`] without the code.
    pub fn text(&self) -> String {
        let mut line = format!("{}: {}", self.subject, self.message);
        // Writing to a String cannot fail.
        let _ = match &self.place {
            Some(place) => write!(line, "; {} {} ({})", place.policy, self.wants, place.shown()),
            None if self.wants.is_empty() => Ok(()),
            None => write!(line, "; {}", self.wants),
        };
        line
    }
}

impl Condition {
    /// The condition on one line, to follow `allowed, if`.
    pub fn line(&self) -> String {
        let mut line = format!("{}: {}", self.subject, self.message);
        if let Some(place) = &self.place {
            // Writing to a String cannot fail.
            let _ = write!(line, "; {} wants it ({})", place.policy, place.shown());
        }
        line
    }
}

impl Grant {
    /// The yes on one line: `memory: allowed by edge-node (FILE:LINE:COL)`.
    pub fn line(&self) -> String {
        let Place { policy, .. } = &self.place;
        let at = self.place.shown();
        format!("{}: allowed by {policy} ({at})", self.subject)
    }
}

impl Place {
    /// `FILE:LINE:COLUMN`.
    pub fn shown(&self) -> String {
        let at = self.source.position(self.span.start);
        format!("{}:{}:{}", self.source.name, at.line, at.column)
    }
}

impl Decision {
    /// Adds reasons, such as those of an audit.
    pub fn deny(&mut self, reasons: Vec<Reason>) {
        self.reasons.extend(reasons);
        if self.reasons.is_empty() {
            return;
        }
        self.outcome = Outcome::Denied;
        self.conditions.clear();
        let mut sources: Vec<&Arc<SourceText>> = Vec::new();
        for place in self.reasons.iter().filter_map(|reason| reason.place.as_ref()) {
            if !sources.iter().any(|known| Arc::ptr_eq(known, &place.source)) {
                sources.push(&place.source);
            }
        }
        self.denying = sources.len();
    }

    /// Whether the launch may not go on.
    pub fn is_denied(&self) -> bool {
        self.outcome == Outcome::Denied
    }

    /// The decision for people, a line each: `denied:` and a reason or `allowed, if` and a
    /// condition, then [`Decision::closing`].
    pub fn lines(&self) -> Vec<String> {
        let reasons = self.reasons.iter().map(|reason| format!("denied: {}", reason.line()));
        let conditions =
            self.conditions.iter().map(|condition| format!("allowed, if {}", condition.line()));
        reasons.chain(conditions).chain([self.closing()]).collect()
    }

    /// The last line, such as `not started: denied by 1 of 2 applicable policies, 1 reason`.
    pub fn closing(&self) -> String {
        let count = self.applicable.len();
        match self.outcome {
            Outcome::Denied => {
                let count_all = self.reasons.len().saturating_add(self.untold);
                let reasons = plural(count_all, "reason", "reasons");
                let by = match (count, self.denying) {
                    (0, _) => "no policy applies".to_owned(),
                    (_, 0) => format!("allowed by none of {count} applicable policies"),
                    (_, denying) => format!("denied by {denying} of {count} applicable policies"),
                };
                let told = match self.untold {
                    0 => String::new(),
                    untold => format!(", {untold} of them not shown"),
                };
                format!("not started: {by}, {reasons}{told}")
            }
            Outcome::Conditional => {
                let conditions =
                    plural(self.conditions.len(), "condition holds", "conditions hold");
                let policies = plural(count, "applicable policy", "applicable policies");
                format!("allowed by {policies}, if {conditions}")
            }
            Outcome::Allowed if count == 0 => "allowed: no policy applies".to_owned(),
            Outcome::Allowed => {
                format!("allowed by {}", plural(count, "applicable policy", "applicable policies"))
            }
        }
    }

    /// The decision for programs. Field names are stable; fields that do not apply are left out.
    pub fn json(&self) -> Value {
        let place = |place: &Place| {
            let at = place.source.position(place.span.start);
            JsonPlace {
                policy: place.policy.clone(),
                file: place.source.name.clone(),
                line: at.line,
                column: at.column,
            }
        };
        let entry = |code, subject: &str, message, wants: &str, at: Option<&Place>| JsonEntry {
            code,
            subject: subject.to_owned(),
            message,
            wants: (!wants.is_empty()).then(|| wants.to_owned()),
            place: at.map(place),
        };
        let reasons = self.reasons.iter().map(|reason| {
            let message = Some(reason.message.clone());
            let place = reason.place.as_ref();
            entry(Some(reason.code), &reason.subject, message, &reason.wants, place)
        });
        let conditions = self.conditions.iter().map(|condition| {
            let message = Some(condition.message.clone());
            entry(None, &condition.subject, message, "", condition.place.as_ref())
        });
        let grants = self
            .grants
            .iter()
            .map(|grant| entry(None, &grant.subject, None, "", Some(&grant.place)));
        serde_json::to_value(JsonDecision {
            decision: self.outcome,
            applicable: &self.applicable,
            skipped: &self.skipped,
            reasons: reasons.collect(),
            conditions: conditions.collect(),
            grants: grants.collect(),
        })
        .unwrap_or(Value::Null)
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[derive(Serialize)]
struct JsonDecision<'d> {
    decision: Outcome,
    applicable: &'d [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    skipped: &'d [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<JsonEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<JsonEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<JsonEntry>,
}

#[derive(Serialize)]
struct JsonEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wants: Option<String>,
    #[serde(flatten)]
    place: Option<JsonPlace>,
}

#[derive(Serialize)]
struct JsonPlace {
    policy: String,
    file: String,
    line: usize,
    column: usize,
}
