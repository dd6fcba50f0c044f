//! Why a container is not created, on one line.

use solo5_policy::Decision;
use solo5_report::{Diagnostic, one_line};

/// Exit status if a container cannot be created.
pub const EXIT_CANNOT: u8 = 1;
/// Exit status if a policy denies it, as of a tender.
pub const EXIT_DENIED: u8 = 60;

/// Most bytes of a message.
const TEXT_MAX: usize = 8 << 10;

/// Why nothing was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The message, a line without an end.
    line: String,
    denied: bool,
}

impl Failure {
    /// An error with a page about its `code`.
    pub fn new(code: &str, text: impl AsRef<str>) -> Failure {
        Failure { line: bounded(&format!("error[{code}]: {}", text.as_ref())), denied: false }
    }

    /// A denial. Every reason is on the one line, because engines show one.
    pub fn denied(decision: &Decision) -> Failure {
        let mut lines: Vec<String> = decision.reasons.iter().map(|reason| reason.line()).collect();
        lines.push(decision.closing());
        Failure { line: bounded(&format!("denied: {}", lines.join("; "))), denied: true }
    }

    /// What is wrong with the policies.
    pub fn policies(found: &[Diagnostic]) -> Failure {
        let lines: Vec<String> = found.iter().map(solo5_report::line).collect();
        Failure { line: bounded(&format!("not started: {}", lines.join("; "))), denied: false }
    }

    /// The message on one line, without the program's name.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        if self.denied { EXIT_DENIED } else { EXIT_CANNOT }
    }
}

/// A line of bounded length that every log can take.
fn bounded(text: &str) -> String {
    let line = one_line(text);
    if line.len() <= TEXT_MAX {
        return line;
    }
    let end = line.floor_char_boundary(TEXT_MAX);
    format!("{}…", line.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let failure = Failure::new("R701", format!("a\nb\u{1b}{}", "é".repeat(TEXT_MAX)));
        assert!(failure.line().starts_with(r"error[R701]: a\nb\u{1b}é"), "{}", failure.line());
        assert!(failure.line().len() <= TEXT_MAX + "…".len());
        assert_eq!(failure.status(), 1);
    }
}
