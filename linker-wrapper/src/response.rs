//! Response files: `@FILE` among the arguments stands for the arguments written in FILE.
//!
//! Compilers and linkers agree on the syntax: arguments separated by white space, quotes of both
//! kinds, a backslash before a character that is meant literally. If FILE cannot be read, `@FILE`
//! is an ordinary argument. Files may name further files.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Most files followed. GCC, too, takes more for a cycle.
const FILES_MAX: usize = 2000;
/// Longest response file in bytes.
const FILE_MAX: u64 = 64 << 20;
/// Arguments of more bytes are passed on in a response file. The limit is far below a kernel's for a
/// command line, and far above what people write by hand.
const INLINE_MAX: usize = 32 << 10;

/// Arguments without response files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The arguments.
    pub arguments: Vec<OsString>,
    /// Whether a response file was among them.
    pub from_file: bool,
}

/// Replaces every response file by its content. A file that cannot be read, or that is one too many,
/// stays as it is: the underlying tool reports it.
pub fn expand(arguments: impl IntoIterator<Item = OsString>) -> Expanded {
    let mut pending: Vec<OsString> = arguments.into_iter().collect();
    pending.reverse();
    let mut expanded = Expanded::default();
    let mut files = 0;
    while let Some(argument) = pending.pop() {
        let content = match argument.as_bytes().strip_prefix(b"@") {
            Some(name) if files < FILES_MAX => read(OsStr::from_bytes(name)),
            _ => None,
        };
        match content {
            Some(content) => {
                files += 1;
                expanded.from_file = true;
                pending.extend(split(&content).into_iter().rev());
            }
            None => expanded.arguments.push(argument),
        }
    }
    expanded
}

fn read(name: &OsStr) -> Option<Vec<u8>> {
    let file = File::open(name).ok()?;
    let mut content = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= FILE_MAX).then_some(content)
}

fn split(content: &[u8]) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut current: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = content.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => current.get_or_insert_default().extend(bytes.next()),
            (_, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => current.get_or_insert_default().push(byte),
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                current.get_or_insert_default();
            }
            // What C calls white space; Rust's set lacks the vertical tab.
            (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, None) => {
                arguments.extend(current.take().map(OsString::from_vec));
            }
            (_, None) => current.get_or_insert_default().push(byte),
        }
    }
    arguments.extend(current.map(OsString::from_vec));
    arguments
}

/// Whether `arguments` are so long that they are better passed in a response file.
pub fn too_long(arguments: &[OsString]) -> bool {
    arguments.iter().map(|one| one.len() + 1).sum::<usize>() > INLINE_MAX
}

/// Writes `arguments` so that [`expand`] and the tools read the same ones back.
pub fn write(arguments: &[OsString], mut to: impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    for argument in arguments {
        line.clear();
        for &byte in argument.as_bytes() {
            if byte.is_ascii_whitespace() || matches!(byte, 0x0b | b'\\' | b'\'' | b'"') {
                line.push(b'\\');
            }
            line.push(byte);
        }
        if line.is_empty() {
            line.extend(b"''");
        }
        line.push(b'\n');
        to.write_all(&line)?;
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_as_compilers_do() {
        let cases: [(&str, &[&str]); 7] = [
            ("-c a.c\n\t-o  a.o ", &["-c", "a.c", "-o", "a.o"]),
            ("'two words' \"and 'more'\"", &["two words", "and 'more'"]),
            (r#"a\ b \\ \" "c\"d""#, &["a b", r"\", "\"", "c\"d"]),
            ("'' x", &["", "x"]),
            ("joined' 'word", &["joined word"]),
            ("'never closed", &["never closed"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let arguments = ["", "a b", "q'\"\\", "line\nend", "\u{b}", "@x", "plain"];
        let arguments: Vec<OsString> = arguments.map(OsString::from).to_vec();
        let mut text = Vec::new();
        write(&arguments, &mut text).unwrap();
        assert_eq!(split(&text), arguments);
    }

    #[test]
    fn files_nest_and_cycles_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(file("a"), format!("-c @{} last", file("b"))).unwrap();
        std::fs::write(file("b"), "'b c'").unwrap();
        std::fs::write(file("self"), format!("x @{}", file("self"))).unwrap();
        let expanded = expand([format!("@{}", file("a")).into(), "@missing".into()]);
        assert_eq!(expanded.arguments, ["-c", "b c", "last", "@missing"]);
        assert!(expanded.from_file);
        assert!(!expand(["@missing".into()]).from_file);
        let cycle = expand([format!("@{}", file("self")).into()]);
        assert_eq!(cycle.arguments.len(), FILES_MAX + 1);
    }
}
