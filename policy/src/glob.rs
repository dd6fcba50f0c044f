//! Patterns: `*` stands for any text, `?` for one character. In names of the host (files, devices,
//! interfaces, bridges) both stop at `/`, which separates folders there. Elsewhere `/` is a character
//! like any other, as in `--ipv4=10.1.0.2/24`.
//!
//! This is not taken from `globset`, because tenders link it: `globset` brings a regular expression
//! engine several times the size of this crate, and more syntax than a policy should have. Characters
//! with a meaning in shells are refused instead of taken literally: a pattern that silently matches
//! less than intended could keep a policy from applying.

use std::fmt;

/// Longest pattern in bytes; matching takes at most its length times that of the text.
pub const LENGTH_MAX: usize = 1024;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// Longer than [`LENGTH_MAX`].
    Long,
    /// A character that is reserved for later meanings.
    Character(char),
    /// `**`, which crosses `/` in other tools.
    TwoStars,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternError::Long => write!(f, "is longer than {LENGTH_MAX} bytes"),
            PatternError::Character(c) => {
                write!(f, "has a `{c}`, which has no meaning in a pattern")
            }
            PatternError::TwoStars => write!(f, "has `**`, which has no meaning in a pattern"),
        }
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Takes `text` as a pattern.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        if text.len() > LENGTH_MAX {
            return Err(PatternError::Long);
        }
        if let Some(free) = text.chars().find(|c| "[]{}\\".contains(*c)) {
            return Err(PatternError::Character(free));
        }
        if text.contains("**") {
            return Err(PatternError::TwoStars);
        }
        Ok(Pattern { text: text.to_owned() })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern fits all of `text`, which need not be UTF-8.
    pub fn fits_text(&self, text: &[u8]) -> bool {
        part_fits(self.text.as_bytes(), text)
    }

    /// As [`Pattern::fits_text`] for a name of the host: neither `*` nor `?` stands for a `/`.
    pub fn fits_name(&self, text: &[u8]) -> bool {
        let mut parts = text.split(|byte| *byte == b'/');
        self.text
            .as_bytes()
            .split(|byte| *byte == b'/')
            .all(|pattern| parts.next().is_some_and(|part| part_fits(pattern, part)))
            && parts.next().is_none()
    }
}

/// Whether `pattern` fits `text`; a `/` is like any other character. Going back to the last star is
/// enough: whatever more an earlier star could take, the last one can take too.
fn part_fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    let mut last_star = None;
    while let Some(byte) = text.get(in_text) {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, in_text));
                at += 1;
                continue;
            }
            Some(b'?') => {
                if let Some(length) = character_length(text, in_text) {
                    at += 1;
                    in_text += length;
                    continue;
                }
            }
            Some(wanted) if wanted == byte => {
                at += 1;
                in_text += 1;
                continue;
            }
            _ => {}
        }
        let Some((star, taken)) = last_star else {
            return false;
        };
        last_star = Some((star, taken + 1));
        at = star + 1;
        in_text = taken + 1;
    }
    let rest = pattern.get(at..).unwrap_or_default();
    rest.iter().all(|byte| *byte == b'*')
}

/// Length in bytes of the character at `at`; `None` if the bytes there are not UTF-8.
fn character_length(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let longest = rest.get(..4).unwrap_or(rest);
    let valid = longest.utf8_chunks().next()?.valid();
    valid.chars().next().map(char::len_utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stop_at_slashes() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "tap7", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("a/*", "a/", true),
            ("a/*", "a", false),
            ("tap-*", "tap-7", true),
            ("tap-*", "tap7", false),
            ("tap-*", "xtap-7", false),
            ("*a*b", "xaxb", true),
            ("*a*b", "xbxa", false),
            ("*ab", "aab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "a/c", false),
            ("?", "é", true),
            ("??", "é", false),
            ("--ipv4=10.1.*/24", "--ipv4=10.1.0.2/24", true),
            ("--ipv4=10.1.*", "--ipv4=10.1.0.2/24", false),
        ] {
            let fits = Pattern::new(pattern).unwrap().fits_name(text.as_bytes());
            assert_eq!(fits, expected, "{pattern:?} on {text:?}");
        }
        assert!(Pattern::new("a*").unwrap().fits_name(b"a\xff\xfe"));
    }

    #[test]
    fn a_question_mark_is_one_character() {
        let fits = |pattern: &str, text: &[u8]| Pattern::new(pattern).unwrap().fits_text(text);
        for text in ["a", "\u{e9}", "\u{20ac}", "\u{1f980}"] {
            assert!(fits("?", text.as_bytes()) && fits("*?", text.as_bytes()), "{text}");
            assert!(!fits("??", text.as_bytes()) && !fits("*??", text.as_bytes()), "{text}");
        }
        for stray in [&b"a\x80"[..], b"a\x80\x80", b"\xe9", b"\x80", b"\xc3", b"\xf0\x9f\xa6"] {
            assert!(!fits("?", stray), "{stray:?}");
            assert!(fits("*", stray));
        }
        assert!(!fits("a??", b"a\x80\x80") && !fits("*?", b"\x80"));
    }

    #[test]
    fn in_a_text_a_slash_is_a_character() {
        for (pattern, text, expected) in [
            ("*", "a/b", true),
            ("a?c", "a/c", true),
            ("--ipv4=10.1.*", "--ipv4=10.1.0.2/24", true),
            ("--ipv4=10.1.*/24", "--ipv4=10.1.0.2/24", true),
            ("--ipv4=10.1.*/24", "--ipv4=10.1.0.2/16", false),
        ] {
            let fits = Pattern::new(pattern).unwrap().fits_text(text.as_bytes());
            assert_eq!(fits, expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn characters_with_a_meaning_in_shells_are_refused() {
        assert_eq!(Pattern::new("tap[0-9]"), Err(PatternError::Character('[')));
        assert_eq!(Pattern::new("{a,b}"), Err(PatternError::Character('{')));
        assert_eq!(Pattern::new("a\\*"), Err(PatternError::Character('\\')));
        assert_eq!(Pattern::new("/srv/**"), Err(PatternError::TwoStars));
        assert_eq!(Pattern::new(&"a".repeat(LENGTH_MAX + 1)), Err(PatternError::Long));
    }

    /// The definition of a match, without regard for time.
    fn slow(pattern: &[char], text: &[char], stop: Option<char>) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                slow(rest, text, stop)
                    || matches!(text, [c, after @ ..]
                        if Some(*c) != stop && slow(pattern, after, stop))
            }
            (['?', rest @ ..], [c, after @ ..]) => Some(*c) != stop && slow(rest, after, stop),
            ([p, rest @ ..], [c, after @ ..]) => p == c && slow(rest, after, stop),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab/é*?]{0,8}", text in "[ab/é]{0,8}") {
            prop_assume!(!pattern.contains("**"));
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let compiled = Pattern::new(&pattern).unwrap();
            let (pattern, bytes) = (chars(&pattern), text.as_bytes());
            let text = chars(&text);
            prop_assert_eq!(compiled.fits_name(bytes), slow(&pattern, &text, Some('/')));
            prop_assert_eq!(compiled.fits_text(bytes), slow(&pattern, &text, None));
        }
    }
}
