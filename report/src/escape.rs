//! Hostile text made fit for people's eyes: the one place that says which characters may not be
//! printed, and what stands for them.
//!
//! A name or a message may hold anything. Control characters drive terminals, line ends start lines
//! that look like ours, and bidirectional controls show text in another order than it has. Each is
//! written as an escape, `\n` or `\u{1b}`, and a backslash that would be read as the start of one is
//! doubled, so that two texts that differ are printed differently. [`unescape`] gives the text back.
//! Text is escaped once, where it is printed: what is stored, compared or handed on is the text
//! itself.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether a character is printed as an escape: controls (C0, DEL, C1), the separators of lines and
/// paragraphs, and Unicode's bidirectional controls.
pub const fn is_unsafe(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Whether a backslash before `next` has to be doubled: escapes start so, and so does whatever is
/// escaped next.
const fn starts_escape(next: char) -> bool {
    matches!(next, 'n' | 'r' | 't' | 'u' | '\\') || is_unsafe(next)
}

/// `text` on one line, with an escape for everything that may not be printed.
pub fn one_line(text: &str) -> String {
    escaped(text, is_unsafe).into_owned()
}

/// `text` with an escape for everything that may not be printed but line ends.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_unsafe(c))
}

fn escaped(text: &str, is_unsafe: impl Fn(char) -> bool) -> Cow<'_, str> {
    let pairs = || text.chars().zip(text.chars().skip(1).map(Some).chain([None]));
    let doubled = |c: char, next: Option<char>| c == '\\' && next.is_some_and(starts_escape);
    if !pairs().any(|(c, next)| is_unsafe(c) || doubled(c, next)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (c, next) in pairs() {
        match c {
            '\n' | '\r' | '\t' if is_unsafe(c) => out.extend(c.escape_default()),
            // Writing to a String cannot fail.
            _ if is_unsafe(c) => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
            _ if doubled(c, next) => out.push_str("\\\\"),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A piece of source as a snippet shows it: with an escape for everything that may not be printed but
/// line ends and tabs. Backslashes are the author's own and stay, so that pieces can be put together.
pub(crate) fn source(text: &str) -> Cow<'_, str> {
    let is_unsafe = |c: char| !matches!(c, '\n' | '\t') && is_unsafe(c);
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_unsafe(c) {
            // Writing to a String cannot fail.
            true => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The text that [`one_line`] made `escaped` of; `None` if it made it of none.
pub fn unescape(escaped: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let behind = escape.get(1..)?;
        let (c, length) = match behind.chars().next() {
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('t') => ('\t', 1),
            Some('\\') => ('\\', 1),
            Some('u') => {
                let (digits, _) = behind.strip_prefix("u{")?.split_once('}')?;
                (char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, digits.len() + 3)
            }
            _ => ('\\', 0),
        };
        out.push(c);
        rest = behind.get(length..)?;
    }
    out.push_str(rest);
    Some(out)
}

/// The name of a file, or any words of the system's, as text: two that differ stay two. A byte that
/// is no UTF-8 is written `\xff`. In such a name, and in one that could be taken for one, backslashes
/// are doubled; every other name is itself, so that programs may open what they read in a report.
pub fn os_text(text: &OsStr) -> Cow<'_, str> {
    let (bytes, whole) = (text.as_bytes(), text.to_str());
    let looks_escaped = |text: &str| {
        text.match_indices('\\').any(|(at, _)| match text.as_bytes().get(at + 1..) {
            Some([b'\\', ..]) => true,
            // Bytes that are no UTF-8 have the highest bit.
            Some([b'x', high, ..]) => matches!(high, b'8'..=b'9' | b'a'..=b'f'),
            _ => false,
        })
    };
    if let Some(whole) = whole.filter(|whole| !looks_escaped(whole)) {
        return Cow::Borrowed(whole);
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    Cow::Owned(out)
}

/// As [`os_text`], of a path.
pub fn path_text(path: &Path) -> Cow<'_, str> {
    os_text(path.as_os_str())
}

/// A word as a POSIX shell with `$'…'` takes it, bash for instance: what a person copies from the
/// screen is the word itself, whatever is in it.
pub fn shell_word(word: &OsStr) -> String {
    let bytes = word.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_=./:,@+%".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    if let Some(text) = word.to_str().filter(|text| !text.contains(is_unsafe)) {
        return format!("'{}'", text.replace('\'', "'\\''"));
    }
    let mut out = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Writing to a String cannot fail.
            let _ = match c {
                '\'' | '\\' => write!(out, "\\{c}"),
                '\n' | '\r' | '\t' => write!(out, "{}", c.escape_default()),
                // Byte by byte: `\u` depends on the locale of whoever runs it.
                c if is_unsafe(c) => {
                    let mut utf8 = [0; 4];
                    let bytes = c.encode_utf8(&mut utf8).bytes();
                    bytes
                        .map(|byte| format!("\\{byte:03o}"))
                        .try_for_each(|one| write!(out, "{one}"))
                }
                c => write!(out, "{c}"),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\{byte:03o}");
        }
    }
    out + "'"
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    /// Unicode's categories Cc, Zl and Zp, and its property `Bidi_Control`, written out.
    fn listed() -> Vec<char> {
        let codes = (0..0x20)
            .chain(0x7f..0xa0)
            .chain([0x61c, 0x200e, 0x200f, 0x2028, 0x2029])
            .chain(0x202a..=0x202e)
            .chain(0x2066..=0x2069);
        codes.map(|code| char::from_u32(code).unwrap()).collect()
    }

    #[test]
    fn every_control_and_bidirectional_character_is_escaped_and_comes_back() {
        let listed = listed();
        for c in '\0'..=char::MAX {
            assert_eq!(is_unsafe(c), listed.contains(&c), "{c:?}");
        }
        for c in listed {
            for text in [format!("{c}"), format!("a{c}b"), format!("\\{c}"), format!("{c}{c}\\")] {
                let shown = one_line(&text);
                assert!(!shown.contains(is_unsafe), "{text:?}");
                assert_eq!(unescape(&shown).as_deref(), Some(text.as_str()), "{shown}");
                let kept = printable(&text);
                assert!(!kept.contains(|c| c != '\n' && is_unsafe(c)), "{text:?}");
            }
        }
    }

    /// All texts of up to five of these characters.
    #[test]
    fn different_texts_are_printed_differently() {
        const CHARACTERS: [char; 8] = ['\\', 'n', 'x', 'u', '{', '1', '\n', '\u{1b}'];
        let mut seen = HashSet::new();
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            texts =
                texts.iter().flat_map(|text| CHARACTERS.map(|c| format!("{text}{c}"))).collect();
            for text in &texts {
                let shown = one_line(text);
                assert_eq!(unescape(&shown).as_ref(), Some(text), "{shown}");
                assert!(seen.insert(shown), "{text:?}");
            }
        }
    }

    #[test]
    fn plain_text_is_left_alone() {
        for text in ["plain", "C:\\dir", "ü → \\d", "a\\", "\u{feff}x"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text}");
            assert_eq!(one_line(text), text);
        }
        assert_eq!(printable("two\nlines\n"), "two\nlines\n");
        assert_eq!(one_line("plain\n\x1b\u{9b}"), "plain\\n\\u{1b}\\u{9b}");
        assert_eq!(one_line("a\\n"), "a\\\\n");
    }

    #[test]
    fn names_that_differ_stay_different() {
        let text = |bytes: &[u8]| os_text(OsStr::from_bytes(bytes)).into_owned();
        assert_eq!(text(b"a\\x2db"), "a\\x2db", "as systemd names things");
        assert_eq!(text(b"b\xff.spt"), "b\\xff.spt");
        assert_eq!(text(b"b\\xff.spt"), "b\\\\xff.spt");
        let mut seen = HashSet::new();
        let mut names = vec![Vec::new()];
        for _ in 0..5 {
            let longer = names.iter().flat_map(|name: &Vec<u8>| {
                [b'\\', b'x', b'f', b'2', 0xff, 0xfe].map(|byte| [&name[..], &[byte]].concat())
            });
            names = longer.collect();
            for name in &names {
                assert!(seen.insert(text(name)), "{:?}", OsString::from_vec(name.clone()));
            }
        }
    }

    /// What a shell makes of a word is the word.
    #[test]
    fn words_for_a_shell() {
        let of = |bytes: &[u8]| shell_word(OsStr::from_bytes(bytes));
        assert_eq!(of(b"--mem=4"), "--mem=4");
        assert_eq!(of(b""), "''");
        assert_eq!(of(b"it's"), "'it'\\''s'");
        assert_eq!(of(b"new\nline"), "$'new\\nline'");
        assert_eq!(of("\u{1b}'\\\u{202e}".as_bytes()), "$'\\033\\'\\\\\\342\\200\\256'");
        assert_eq!(of(b"b\xff1"), "$'b\\3771'");
        let every: Vec<u8> = (1..=255).collect();
        let words = [&every[..], "\u{61c}\u{2028}\u{9b}7".as_bytes(), b"\x011"];
        for word in words {
            let script = format!("printf %s {}", of(word));
            let run = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(run.stdout, word, "{script}");
        }
    }
}
