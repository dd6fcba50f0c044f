//! What a message names of a list: some of it, so that a denial does not repeat a long list.

use crate::glob::Pattern;

/// A pattern as reasons show it.
pub(super) fn quoted(pattern: &Pattern) -> String {
    format!("\"{}\"", pattern.as_str())
}

/// Most alternatives that a reason or a condition names. Without a limit, a denial would repeat a whole
/// list for each thing that fits none of its items.
const NAMED_MAX: usize = 8;
/// Most bytes of all named alternatives; the first one is always named.
const NAMED_BYTES_MAX: usize = 512;

/// The alternatives that a message names.
#[derive(Default)]
pub(super) struct Alternatives {
    named: Vec<String>,
    bytes: usize,
    others: bool,
}

impl Alternatives {
    /// Adds one, unless it is named already.
    pub(super) fn add(&mut self, one: &str) {
        if self.named.iter().any(|known| known == one) {
            return;
        }
        let fits = self.named.len() < NAMED_MAX && self.bytes + one.len() <= NAMED_BYTES_MAX;
        if self.others || !(fits || self.named.is_empty()) {
            self.others = true;
            return;
        }
        self.bytes = self.bytes.saturating_add(one.len());
        self.named.push(one.to_owned());
    }

    /// Whether no further alternative will be named.
    pub(super) fn is_full(&self) -> bool {
        self.others
    }

    /// All of them, joined by `between`.
    pub(super) fn joined(&self, between: &str) -> String {
        let others = if self.others { format!("{between}others") } else { String::new() };
        self.named.join(between) + &others
    }

    /// `wants A or B`.
    pub(super) fn wants(&self) -> String {
        match self.named.is_empty() {
            true => "allows none".to_owned(),
            false => format!("wants {}", self.joined(" or ")),
        }
    }
}
