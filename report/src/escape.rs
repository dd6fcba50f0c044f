//! Makes hostile text safe to print. Only this file decides which characters must not be printed, and
//! how they are escaped.
//!
//! A name or a message may contain any character. Control characters control terminals, a line end can
//! start a line that looks like this program's output, bidirectional controls reorder the text on
//! the screen, and characters that nobody sees make two names look alike. Each is written as an
//! escape, such as `\n` or `\u{1b}`. A backslash that would start an escape is doubled, so that
//! different texts are printed differently. [`unescape`] restores the text. Text is escaped once,
//! where it is printed. Everywhere else the original text is stored, compared and passed on.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether a character is printed as an escape: controls (C0, DEL, C1), the separators of lines and
/// paragraphs, Unicode's bidirectional controls, and characters that nobody sees ([`is_invisible`]).
pub const fn is_unsafe(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}'..='\u{202e}') || is_invisible(c)
}

/// Whether a character has Unicode's property `Default_Ignorable_Code_Point`, or is one of the controls of
/// interlinear annotations. Among them are zero-width characters, variation selectors, tags and fillers. With
/// one of them, two names look alike and are not.
///
/// The property is stable: it covers the code points that Unicode keeps for later characters of this kind.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a backslash before `next` must be doubled, because `next` could continue an escape or is
/// itself escaped.
const fn starts_escape(next: char) -> bool {
    matches!(next, 'n' | 'r' | 't' | 'u' | '\\') || is_unsafe(next)
}

/// `text` on one line, with every unsafe character escaped.
pub fn one_line(text: &str) -> String {
    escaped(text, is_unsafe).into_owned()
}

/// `text` with every unsafe character escaped, except line ends.
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

/// A piece of source for a snippet, with every unsafe character escaped except line ends and tabs. The
/// author's backslashes are not doubled, so the escaped form of a text is that of its pieces joined.
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

/// The text whose [`one_line`] form is `escaped`; `None` if there is none.
pub fn unescape(escaped: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let after = escape.get(1..)?;
        let (c, length) = match after.chars().next() {
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('t') => ('\t', 1),
            Some('\\') => ('\\', 1),
            Some('u') => {
                let (digits, _) = after.strip_prefix("u{")?.split_once('}')?;
                (char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, digits.len() + 3)
            }
            _ => ('\\', 0),
        };
        out.push(c);
        rest = after.get(length..)?;
    }
    out.push_str(rest);
    Some(out)
}

/// A file name, or another string of the system, as text. Different names stay different. A byte that
/// is not UTF-8 is written `\xff`. Backslashes are doubled in such a name and in a name that looks like
/// one. Every other name is unchanged, so programs can open a file that a report names.
pub fn os_text(text: &OsStr) -> Cow<'_, str> {
    let (bytes, whole) = (text.as_bytes(), text.to_str());
    let looks_escaped = |text: &str| {
        text.match_indices('\\').any(|(at, _)| match text.as_bytes().get(at + 1..) {
            Some([b'\\', ..]) => true,
            // Bytes that are not UTF-8 have the highest bit set.
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

/// Like [`os_text`], for a path.
pub fn path_text(path: &Path) -> Cow<'_, str> {
    os_text(path.as_os_str())
}

/// A word quoted for a POSIX shell that knows `$'…'`, such as bash. A person can copy the quoted form
/// from the screen, whatever characters the word has.
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
                // Bytes, because `\u` depends on the locale of the shell.
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

    /// Unicode's categories Cc, Zl and Zp, its properties `Bidi_Control` and `Default_Ignorable_Code_Point`, and
    /// the controls of annotations, as Perl knows them.
    fn listed() -> HashSet<char> {
        let script = r"no warnings; for (0..0xd7ff, 0xe000..0x10ffff) { print qq($_ ) if chr =~
            /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\x{fff9}-\x{fffb}]/ }";
        let run = std::process::Command::new("perl").args(["-e", script]).output().unwrap();
        let codes = String::from_utf8(run.stdout).unwrap();
        let codes = codes.split_whitespace().map(|code| code.parse().unwrap());
        codes.map(|code| char::from_u32(code).unwrap()).collect()
    }

    #[test]
    fn unsafe_characters_are_escaped_and_unescaped() {
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
        for text in ["plain", "C:\\dir", "ü → \\d", "a\\", "e\u{301}"] {
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

    /// A shell reads a quoted word as the original word.
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
