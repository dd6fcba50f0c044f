//! How a device compares with one rule, key by key.

use std::ops::Range;

use super::alternatives::quoted;
use super::verdict::Phase;
use crate::facts::Fact;
use crate::glob::Pattern;
use crate::model::At;

/// Whether one key of a rule fits.
pub(super) enum Fit {
    Yes,
    No,
    /// It depends on a fact not known yet.
    Open,
    /// It depends on a fact that cannot be known, for this reason.
    Unread(String),
}

/// One key of one rule, compared with what is asked for.
pub(super) struct Check {
    pub(super) fit: Fit,
    /// The code if it does not fit.
    pub(super) code: &'static str,
    /// The code if the fact cannot be read.
    pub(super) unread: &'static str,
    /// What is asked for, such as `interface 'tap7'`.
    pub(super) what: String,
    /// What the rule says, such as `"tap-*"`.
    pub(super) wants: String,
    /// What must turn out true, if it is open.
    pub(super) condition: String,
    pub(super) span: Range<usize>,
}

/// Compares the name of a device, which is always known.
pub(super) fn name_check(name: &str, rule: &At<Pattern>, code: &'static str) -> Check {
    Check {
        fit: known(rule.value.fits_name(name.as_bytes())),
        code,
        unread: code,
        what: format!("name '{name}'"),
        wants: quoted(&rule.value),
        condition: String::new(),
        span: rule.span.clone(),
    }
}

pub(super) fn known(fits: bool) -> Fit {
    if fits { Fit::Yes } else { Fit::No }
}

/// Compares a fact. Once everything is opened, a fact that is still unknown could not be read.
pub(super) fn fact<T>(fact: Option<&Fact<T>>, phase: Phase, fits: impl FnOnce(&T) -> bool) -> Fit {
    match fact {
        Some(Fact::Known(value)) => known(fits(value)),
        Some(Fact::Unreadable(why)) => Fit::Unread(why.clone()),
        None | Some(Fact::Unknown) => match phase {
            Phase::Strings => Fit::Open,
            Phase::Descriptors => Fit::Unread("no answer".to_owned()),
        },
    }
}

/// Whether the host was not asked for a fact yet.
pub(super) fn is_unknown<T>(fact: Option<&Fact<T>>) -> bool {
    matches!(fact, None | Some(Fact::Unknown))
}

/// A fact for people; empty if it is not known.
pub(super) fn shown<T>(fact: Option<&Fact<T>>, show: impl FnOnce(&T) -> String) -> String {
    match fact {
        Some(Fact::Known(value)) => show(value),
        _ => String::new(),
    }
}

/// How a device compares with one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The device fits all keys of the rule.
    Fits,
    /// It fits if this condition holds.
    Open(String),
    /// It does not fit.
    Misses(Distance, Vec<Miss>),
}

/// How far a rule is from fitting: whether its name misses, and how many keys do.
pub type Distance = (bool, usize);

/// One key of a rule that a device does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The code of the reason.
    pub code: &'static str,
    /// What is wrong with the device.
    pub message: String,
    /// What the rule wants.
    pub(super) wants: String,
    pub(super) span: Range<usize>,
}

impl Standing {
    /// `checks` compares a device with every key of one rule, the name first.
    pub(super) fn of(checks: Vec<Check>) -> Standing {
        let misses = |check: &Check| matches!(check.fit, Fit::No | Fit::Unread(_));
        let name_misses = checks.first().is_some_and(misses);
        let count = checks.iter().filter(|check| misses(check)).count();
        if count > 0 {
            let missed = checks.into_iter().filter(misses).map(Miss::of);
            return Standing::Misses((name_misses, count), missed.collect());
        }
        let open = checks.into_iter().filter(|check| matches!(check.fit, Fit::Open));
        let conditions: Vec<_> = open.map(|check| check.condition).collect();
        match conditions.is_empty() {
            true => Standing::Fits,
            false => Standing::Open(conditions.join(" and ")),
        }
    }
}

impl Miss {
    fn of(check: Check) -> Miss {
        let Check { fit, code, unread, what, wants, span, .. } = check;
        let (code, message) = match fit {
            Fit::Unread(why) => (unread, format!("{what} cannot be read: {why}")),
            _ => (code, format!("{what} fits no rule")),
        };
        Miss { code, message, wants, span }
    }
}
