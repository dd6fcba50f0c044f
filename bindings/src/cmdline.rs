//! Options for Solo5 at the beginning of the guest's command line
//! (`docs/reference/guest-api.md#options`).

use crate::log::Level;

/// Every option, with the level it sets. `quiet` is not silent: errors are still printed.
const OPTIONS: [(&[u8], Level); 5] = [
    (b"quiet", Level::Error),
    (b"error", Level::Error),
    (b"warn", Level::Warn),
    (b"info", Level::Info),
    (b"debug", Level::Debug),
];

/// Prefix of every option.
const PREFIX: &[u8] = b"--solo5:";

/// The options at the beginning of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// The last level given.
    pub level: Option<Level>,
    /// Offset in bytes of the application's part of the line.
    pub rest: usize,
    /// A word with the prefix that is not an option. It stays in the application's part.
    pub unknown: Option<&'a [u8]>,
}

/// White space as C knows it: blank, tab, newline, vertical tab, form feed, carriage return.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Reads options up to the first word that is not an option. Words that `is_for_target` takes are
/// options of the target, which reads them itself.
pub fn parse(line: &[u8], is_for_target: impl Fn(&[u8]) -> bool) -> Options<'_> {
    let mut options = Options { level: None, rest: 0, unknown: None };
    let mut left = line;
    loop {
        let blanks = left.iter().take_while(|byte| is_space(byte)).count();
        left = left.get(blanks..).unwrap_or_default();
        options.rest = line.len() - left.len();
        let len = left.iter().take_while(|byte| !is_space(byte)).count();
        let (word, after) = left.split_at_checked(len).unwrap_or_default();
        let Some(name) = word.strip_prefix(PREFIX) else {
            return options;
        };
        if is_for_target(word) {
            left = after;
            continue;
        }
        let Some((_, level)) = OPTIONS.iter().find(|(option, _)| *option == name) else {
            options.unknown = Some(word);
            return options;
        };
        options.level = Some(*level);
        left = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As most targets do: none has options of its own.
    fn parse(line: &[u8]) -> Options<'_> {
        super::parse(line, |_| false)
    }

    #[test]
    fn options_of_the_target_are_taken_off() {
        let line = b"--solo5:net=a@1 --solo5:quiet --solo5:net=b --solo5:x --solo5:net=c";
        let options = super::parse(line, |word| word.starts_with(b"--solo5:net="));
        assert_eq!(options.level, Some(Level::Error));
        assert_eq!(line.get(options.rest..), Some(&b"--solo5:x --solo5:net=c"[..]));
        assert_eq!(options.unknown, Some(&b"--solo5:x"[..]));
    }

    #[test]
    fn cases() {
        let cases: [(&str, Option<Level>, &str); 14] = [
            ("", None, ""),
            ("app --solo5:quiet", None, "app --solo5:quiet"),
            ("--solo5:quiet", Some(Level::Error), ""),
            ("--solo5:error x", Some(Level::Error), "x"),
            ("--solo5:warn x", Some(Level::Warn), "x"),
            ("--solo5:info x", Some(Level::Info), "x"),
            ("--solo5:debug a  b ", Some(Level::Debug), "a  b "),
            (" \t\n\x0b\x0c\r--solo5:quiet \n x", Some(Level::Error), "x"),
            ("--solo5:quiet --solo5:debug x", Some(Level::Debug), "x"),
            ("--solo5:quietx y", None, "--solo5:quietx y"),
            ("--solo5:quiet --solo5:none", Some(Level::Error), "--solo5:none"),
            ("--solo5: x", None, "--solo5: x"),
            ("--solo5", None, "--solo5"),
            ("  x", None, "x"),
        ];
        for (line, level, rest) in cases {
            let options = parse(line.as_bytes());
            assert_eq!(options.level, level, "{line:?}");
            assert_eq!(line.get(options.rest..), Some(rest), "{line:?}");
        }
    }

    #[test]
    fn a_word_that_looks_like_an_option_is_reported() {
        assert_eq!(parse(b"--solo5:quietx y").unknown, Some(&b"--solo5:quietx"[..]));
        assert_eq!(parse(b"--solo5:quiet y").unknown, None);
        assert_eq!(parse(b"y --solo5:quietx").unknown, None);
    }
}
