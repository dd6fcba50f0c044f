//! Linker scripts in the place of libraries. GNU ld and lld read a file that is neither an object nor an
//! archive as a script, and `INPUT` and `GROUP` in it name further files and libraries. The linker looks
//! for these in every folder of the link, the host's among them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Most bytes read of a script.
const SCRIPT_MAX: u64 = 1 << 20;

/// Starts of files that are no scripts: archives, thin archives, ELF, and LLVM's two kinds of bitcode.
const BINARY: &[&[u8]] =
    &[b"!<arch>\n", b"!<thin>\n", b"\x7fELF", b"BC\xc0\xde", b"\xde\xc0\x17\x0b"];

/// What a script names.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    /// `-lNAME`
    Library(OsString),
    /// The name of a file, with or without a folder.
    File(OsString),
}

/// What the linker script at `path` names, in order; nothing if the file is no script.
pub fn named(path: &Path) -> Vec<Named> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SCRIPT_MAX).read_to_end(&mut text));
    if read.is_err() || BINARY.iter().any(|start| text.starts_with(start)) {
        return Vec::new();
    }
    names(&text)
}

/// The names in `INPUT(…)` and `GROUP(…)`, those in `AS_NEEDED(…)` among them.
fn names(script: &[u8]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut before: &[u8] = b"";
    for word in words(&without_comments(script)) {
        match word {
            b"(" if depth > 0 || matches!(before, b"INPUT" | b"GROUP") => depth += 1,
            b")" => depth = depth.saturating_sub(1),
            b"AS_NEEDED" => {}
            _ if depth > 0 => found.push(match word.strip_prefix(b"-l") {
                Some(library) => Named::Library(OsStr::from_bytes(library).to_owned()),
                None => Named::File(OsStr::from_bytes(word).to_owned()),
            }),
            _ => {}
        }
        before = word;
    }
    found
}

/// Words and parentheses. Commas and white space are between words, and quotes around some.
fn words(script: &[u8]) -> Vec<&[u8]> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, byte) in script.iter().enumerate() {
        let ends = match byte {
            b'"' => {
                quoted = !quoted;
                true
            }
            b'(' | b')' | b',' | b';' => !quoted,
            byte => !quoted && byte.is_ascii_whitespace(),
        };
        if !ends {
            start.get_or_insert(at);
            continue;
        }
        words.extend(start.take().and_then(|start| script.get(start..at)));
        if matches!(byte, b'(' | b')') {
            words.extend(script.get(at..=at));
        }
    }
    words.extend(start.and_then(|start| script.get(start..)));
    words
}

fn without_comments(script: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = script;
    let find = |text: &[u8], mark: &[u8]| text.windows(2).position(|two| two == mark);
    while let Some(at) = find(rest, b"/*") {
        out.extend_from_slice(&rest[..at]);
        out.push(b' ');
        rest = &rest[at + 2..];
        rest = find(rest, b"*/").map_or(&[][..], |end| &rest[end + 2..]);
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_input_and_group() {
        let library = |name: &str| Named::Library(name.into());
        let file = |name: &str| Named::File(name.into());
        for (script, expected) in [
            ("INPUT(-lc)", vec![library("c")]),
            (
                "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\n\
                 GROUP ( /lib/libc.so.6 libc_nonshared.a  AS_NEEDED ( -ldl,\"a b.a\" ) )",
                vec![
                    file("/lib/libc.so.6"),
                    file("libc_nonshared.a"),
                    library("dl"),
                    file("a b.a"),
                ],
            ),
            ("SECTIONS { .text : { *(.text) } }", vec![]),
            ("INPUT(a.o) /* INPUT(-lm) ", vec![file("a.o")]),
            ("INPUT(", vec![]),
            (")) INPUT ( -l:libc.a", vec![library(":libc.a")]),
        ] {
            assert_eq!(names(script.as_bytes()), expected, "{script}");
        }
    }
}
