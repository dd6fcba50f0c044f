//! A wrong option, in upstream's words, with advice.

use std::ffi::OsStr;
use std::fmt;

use solo5_report::os_text;

/// A wrong option. Every one ends a tender with status 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Index of the argument in the list that was read.
    pub argument: usize,
    /// Lines to print, each after the program's name.
    pub lines: Vec<String>,
    /// Whether to print usage after them. It is printed only if the lines give no reason.
    pub usage: bool,
    /// What the mistake is and how to mend it, if upstream's lines do not say so.
    pub advice: Option<String>,
}

impl OptionError {
    /// Upstream's `Invalid option`: after a line that says why, or without a reason and before usage.
    pub(super) fn invalid(
        argument: usize,
        option: &OsStr,
        why: Option<String>,
        advice: Option<String>,
    ) -> OptionError {
        let invalid = format!("Invalid option: `{}'", os_text(option));
        let usage = why.is_none();
        OptionError { argument, lines: why.into_iter().chain([invalid]).collect(), usage, advice }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self.lines.iter().chain(&self.advice).map(String::as_str).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for OptionError {}
