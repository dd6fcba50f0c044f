//! Reads an argument of the linker, as far as the wrapper needs it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Options of a linker that a static executable at fixed addresses cannot have. Compilers and
/// `rustc` pass them unasked.
pub const POSITION_INDEPENDENT: &[&str] = &["-pie", "--pie", "-pic-executable", "--pic-executable"];

/// Options of a linker that ask for shared libraries, which a static executable cannot have.
const SHARED: &[&str] = &["-Bdynamic", "-dy", "-call_shared"];

/// Options of a linker that name a file to write. All are taken with one dash and with two, and with
/// an equals sign as well as with the next argument.
const SIDE_FILES: &[&str] =
    &["Map", "dependency-file", "reproduce", "why-extract", "print-archive-stats"];

/// The kinds of linker argument that the wrapper tells apart.
#[derive(Clone, Copy)]
pub enum Name {
    /// `-z`.
    Keyword,
    /// `-l`.
    Library,
    /// `-L`.
    Folder,
    /// `-o`.
    Output,
    /// One of [`SIDE_FILES`].
    SideFile(&'static str),
    /// `--sysroot`.
    Sysroot,
    /// `-r`.
    Relocatable,
    /// One of [`POSITION_INDEPENDENT`].
    PositionIndependent,
    /// One of [`SHARED`].
    Shared,
    /// Any other.
    Other,
}

/// The value of an option.
pub enum Value {
    /// It has none.
    None,
    /// It is in the same argument.
    Joined(OsString),
    /// It is the next argument.
    Next,
}

/// An argument of the linker, read.
pub struct LinkerOption {
    /// Which it is.
    pub name: Name,
    /// Its value, for those that have one.
    pub value: Value,
}

/// Options with a value by their letter, with the long names that mean the same.
const LETTERS: &[(&str, &[&str], Name)] = &[
    ("-z", &[], Name::Keyword),
    ("-l", &["library"], Name::Library),
    ("-L", &["library-path"], Name::Folder),
    ("-o", &["output"], Name::Output),
];

impl LinkerOption {
    /// Reads an argument.
    pub fn of(word: &OsStr) -> LinkerOption {
        let text = word.as_bytes();
        let is = |list: &[&str]| list.iter().any(|option| option.as_bytes() == text);
        let plain = |name| LinkerOption { name, value: Value::None };
        if is(POSITION_INDEPENDENT) {
            return plain(Name::PositionIndependent);
        }
        if is(SHARED) {
            return plain(Name::Shared);
        }
        if is(&["-r", "-i", "-Ur", "--relocatable"]) {
            return plain(Name::Relocatable);
        }
        let sides = SIDE_FILES.iter().map(|option| (*option, Name::SideFile(option), 1));
        let long =
            LETTERS.iter().flat_map(|(_, long, name)| long.iter().map(|one| (*one, *name, 2)));
        for (option, name, dashes) in sides.chain([("sysroot", Name::Sysroot, 1)]).chain(long) {
            if let Some(value) = long_value(text, option, dashes) {
                return LinkerOption { name, value };
            }
        }
        for (letter, _, name) in LETTERS {
            if let Some(joined) = text.strip_prefix(letter.as_bytes()) {
                let value = if joined.is_empty() { Value::Next } else { Value::Joined(os(joined)) };
                return LinkerOption { name: *name, value };
            }
        }
        plain(Name::Other)
    }
}

/// The value of the long option `option`, if `text` is that option with at least `dashes` dashes.
fn long_value(text: &[u8], option: &str, dashes: usize) -> Option<Value> {
    let rest = text.strip_prefix(if dashes == 1 { &b"-"[..] } else { b"--" })?;
    let rest = rest.strip_prefix(b"-").filter(|_| dashes == 1).unwrap_or(rest);
    let rest = rest.strip_prefix(option.as_bytes())?;
    match rest.split_first() {
        None => Some(Value::Next),
        Some((b'=', value)) => Some(Value::Joined(os(value))),
        Some(_) => None,
    }
}

fn os(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An argument, and what its value is: `=…`, `next`, or nothing.
    #[test]
    fn values_are_joined_or_next() {
        let cases = [
            ("-lc", "=c"),
            ("-l", "next"),
            ("--library=c", "=c"),
            ("--library", "next"),
            ("-Lx", "=x"),
            ("--library-path", "next"),
            ("-ox", "=x"),
            ("-o", "next"),
            ("--output=x", "=x"),
            ("-Map=x", "=x"),
            ("--Map", "next"),
            ("-dependency-file=x", "=x"),
            ("--sysroot=/x", "=/x"),
            ("-znow", "=now"),
            ("-z", "next"),
            ("-Mapping", ""),
            ("--gc-sections", ""),
            ("-Bdynamic", ""),
            ("-r", ""),
        ];
        for (word, expected) in cases {
            let found = match LinkerOption::of(OsStr::new(word)).value {
                Value::None => String::new(),
                Value::Joined(value) => format!("={}", value.display()),
                Value::Next => "next".to_owned(),
            };
            assert_eq!(found, expected, "{word}");
        }
    }
}
