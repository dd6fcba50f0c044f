//! The answer of one policy about one thing.

use std::ops::Range;

use crate::model::{At, Policy};

/// How far a launch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is opened yet, or this is another host: an unknown fact makes a condition.
    Strings,
    /// Everything is opened: a fact that is still unknown is a no.
    Descriptors,
}

/// The answer of one policy about one thing.
pub(super) enum Verdict {
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
pub(super) struct Provision {
    pub(super) message: String,
    pub(super) span: Range<usize>,
}

/// A reason without its policy.
pub(super) struct Denial {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) wants: String,
    pub(super) span: Range<usize>,
}

/// The answer of a policy that does not have the section.
pub(super) fn absent(policy: &Policy) -> Verdict {
    match &policy.otherwise_allow {
        Some(span) => Verdict::Yes(span.clone()),
        None => Verdict::Silent,
    }
}

/// Collects the denials of one section.
pub(super) struct Section {
    span: Range<usize>,
    denials: Vec<Denial>,
}

impl Section {
    pub(super) fn new(span: &Range<usize>) -> Section {
        Section { span: span.clone(), denials: Vec::new() }
    }

    pub(super) fn deny(
        &mut self,
        code: &'static str,
        message: String,
        wants: String,
        span: &Range<usize>,
    ) {
        self.denials.push(Denial { code, message, wants, span: span.clone() });
    }

    pub(super) fn verdict(self) -> Verdict {
        if self.denials.is_empty() { Verdict::Yes(self.span) } else { Verdict::No(self.denials) }
    }
}

/// A switch of a section that a policy may leave out. It then does not allow.
pub(super) struct Switch<'s> {
    /// Whether it allows, and where that is said.
    pub(super) allowed: At<bool>,
    /// Its section.
    pub(super) section: &'static str,
    /// The line of the section that allows.
    pub(super) allows: &'static str,
    /// The code of a denial.
    pub(super) code: &'static str,
    /// What is asked for.
    pub(super) message: &'s str,
    /// What the policy says to that if it does not allow.
    pub(super) wants: &'static str,
}

impl Switch<'_> {
    /// The answer of `policy`: yes if the switch allows. If the policy does not mention the switch, the
    /// reason says so, since its place is that of the section.
    pub(super) fn verdict(self, policy: &Policy) -> Verdict {
        let Switch { allowed, section: name, allows, code, message, wants } = self;
        let mut section = Section::new(&allowed.span);
        if !allowed.value {
            let wants = match policy.leaves_out(name, &allowed) {
                true => format!("{wants}, since its `{name}` does not say `{allows}`"),
                false => wants.to_owned(),
            };
            section.deny(code, message.to_owned(), wants, &allowed.span);
        }
        section.verdict()
    }
}
