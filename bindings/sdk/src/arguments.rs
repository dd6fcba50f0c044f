//! The words of a command line.

/// One word of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// `--name` or `--name=value`.
    Option {
        /// The name without the two dashes.
        name: &'a str,
        /// What follows the first `=`, if there is one.
        value: Option<&'a str>,
    },
    /// Any other word.
    Word(&'a str),
}

/// Iterator over the words of a command line.
///
/// A tender joins its arguments with single spaces, so a word cannot hold a space and quotes have
/// no meaning.
///
/// ```
/// use solo5::{Argument, Arguments};
///
/// let mut arguments = Arguments::new("--ipv4=10.0.0.2/24 --verbose now");
/// assert_eq!(
///     arguments.next(),
///     Some(Argument::Option { name: "ipv4", value: Some("10.0.0.2/24") })
/// );
/// assert_eq!(arguments.next(), Some(Argument::Option { name: "verbose", value: None }));
/// assert_eq!(arguments.next(), Some(Argument::Word("now")));
/// assert_eq!(arguments.next(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Arguments<'a> {
    words: core::str::SplitAsciiWhitespace<'a>,
}

impl<'a> Arguments<'a> {
    /// The words of `command_line`.
    #[must_use]
    pub fn new(command_line: &'a str) -> Arguments<'a> {
        Arguments { words: command_line.split_ascii_whitespace() }
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = Argument<'a>;

    fn next(&mut self) -> Option<Argument<'a>> {
        let word = self.words.next()?;
        Some(match word.strip_prefix("--") {
            None | Some("") => Argument::Word(word),
            Some(option) => match option.split_once('=') {
                None => Argument::Option { name: option, value: None },
                Some((name, value)) => Argument::Option { name, value: Some(value) },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(line: &str) -> Vec<Argument<'_>> {
        Arguments::new(line).collect()
    }

    #[test]
    fn nothing() {
        assert_eq!(all(""), []);
        assert_eq!(all(" \t\n"), []);
    }

    #[test]
    fn words_and_options() {
        assert_eq!(
            all("  a --b  --c= --d=e=f -g -- "),
            [
                Argument::Word("a"),
                Argument::Option { name: "b", value: None },
                Argument::Option { name: "c", value: Some("") },
                Argument::Option { name: "d", value: Some("e=f") },
                Argument::Word("-g"),
                Argument::Word("--"),
            ]
        );
    }
}
