//! Passes the tool's output on to the user. It replaces the paths of temporary objects by the name
//! of their manifest, and notes undefined symbols.
//!
//! A linker names its inputs in maps, dependency files, traces and messages. The temporary object
//! is gone when these are read, and its folder has another name each time.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use solo5_report::{one_line, os_text};

/// Longest piece of a line that is searched at once.
const LINE_MAX: u64 = 1 << 20;
/// Most undefined symbols noted.
const UNDEFINED_MAX: usize = 1000;
/// Texts of GNU ld and lld in front of an undefined symbol.
const UNDEFINED: &[&str] = &["undefined reference to `", "undefined symbol: "];

/// Replaces names.
#[derive(Debug, Default)]
pub struct Relay {
    /// Paths of objects, and their replacements.
    names: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Findings in the tool's output.
#[derive(Debug, Default)]
pub struct Heard {
    /// Symbols that the linker found undefined.
    pub undefined: BTreeSet<String>,
    /// Why the output could not be passed on. A reader that has closed the pipe is no reason.
    pub unwritten: Option<io::Error>,
}

impl Relay {
    /// A relay that replaces the path of each of `objects` by the name of the manifest.
    pub fn new(objects: &[impl AsRef<Path>], manifest: &OsStr) -> Relay {
        let bytes = |object: &Path| object.as_os_str().as_bytes().to_vec();
        let pair = |object: &Path| (bytes(object), manifest.as_bytes().to_vec());
        Relay { names: objects.iter().map(|object| pair(object.as_ref())).collect() }
    }

    /// The same names as `make` reads them.
    fn for_make(&self) -> Relay {
        let escaped = |(object, name): &(Vec<u8>, Vec<u8>)| (for_make(object), for_make(name));
        Relay { names: self.names.iter().map(escaped).collect() }
    }

    /// The same names as people see them: they may have any character.
    fn for_people(&self) -> Relay {
        let shown = |(object, name): &(Vec<u8>, Vec<u8>)| {
            let name = one_line(&os_text(OsStr::from_bytes(name)));
            (object.clone(), name.into_bytes())
        };
        Relay { names: self.names.iter().map(shown).collect() }
    }

    /// Passes on all of `from`.
    pub fn pass(&self, from: impl Read, mut to: impl Write) -> Heard {
        let names = self.for_people();
        let mut from = BufReader::new(from);
        let mut heard = Heard::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            match from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return heard,
                Ok(_) => {}
            }
            if heard.undefined.len() < UNDEFINED_MAX {
                heard.undefined.extend(undefined(&line));
            }
            // A failure to write does not stop the tool, just as without the relay.
            let passed = to.write_all(&names.replaced(&line)).and_then(|()| to.flush());
            match passed {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    heard.unwritten.get_or_insert(error);
                }
                _ => {}
            }
        }
    }

    /// `text` with all names replaced.
    pub fn replaced(&self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        for (object, name) in &self.names {
            text = replace(&text, object, name);
        }
        text
    }

    /// A dependency file, with the names replaced as `make` reads them.
    pub fn replaced_for_make(&self, text: &[u8]) -> Vec<u8> {
        self.replaced(&self.for_make().replaced(text))
    }
}

/// The symbol that a linker's message calls undefined.
fn undefined(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    UNDEFINED.iter().find_map(|words| {
        let (_, rest) = line.split_once(words)?;
        let end = rest.find(['\'', '\n', '\r', '\u{1b}', ' ']).unwrap_or(rest.len());
        (end > 0).then(|| rest[..end].to_owned())
    })
}

/// `path`, escaped for `make`.
pub fn for_make(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            b' ' | b'#' => out.push(b'\\'),
            b'$' => out.push(b'$'),
            _ => {}
        }
        out.push(byte);
    }
    out
}

/// `text` with each `old` replaced by `new`.
pub fn replace(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while !old.is_empty()
        && let Some(at) = rest.windows(old.len()).position(|window| window == old)
    {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// File name for an object of the manifest `file`. It shows in archives that linkers make of their
/// inputs.
pub fn object_name(file: &OsStr, kind: &str) -> OsString {
    const STEM_MAX: usize = 64;
    let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let stem = name.chars().take(STEM_MAX).map(|letter| if plain(letter) { letter } else { '_' });
    format!("{}.{kind}", stem.collect::<String>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> Relay {
        Relay::new(&["/tmp/x y/app.yaml.o"], OsStr::new("my app.yaml"))
    }

    #[test]
    fn names_are_replaced_wherever_they_stand() {
        let mut out = Vec::new();
        relay().pass(&b"a /tmp/x y/app.yaml.o:(.n) /tmp/x y/app.yaml.o\nlast"[..], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "a my app.yaml:(.n) my app.yaml\nlast");
        let make = relay().replaced_for_make(b"x: /tmp/x\\ y/app.yaml.o\n/tmp/x y/app.yaml.o:\n");
        assert_eq!(String::from_utf8(make).unwrap(), "x: my\\ app.yaml\nmy app.yaml:\n");
    }

    #[test]
    fn names_are_escaped_in_what_people_see() {
        let relay = Relay::new(&["/tmp/o"], OsStr::from_bytes(b"a\x1b[31m\xff.yaml"));
        let mut out = Vec::new();
        relay.pass(&b"/tmp/o\n"[..], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "a\\u{1b}[31m\\xff.yaml\n");
        assert_eq!(relay.replaced(b"/tmp/o"), b"a\x1b[31m\xff.yaml", "a file names it as it is");
    }

    #[test]
    fn undefined_symbols_are_heard() {
        let said = "ld: a.o: in function `f':\na.c:(.text+0x1): undefined reference to `getrandom'\n\
                    ld.lld: error: undefined symbol: \n\
                    ld.lld: error: undefined symbol: write\n>>> referenced by a.c\n";
        let heard = Relay::default().pass(said.as_bytes(), std::io::sink());
        let found: Vec<_> = heard.undefined.iter().map(String::as_str).collect();
        assert_eq!(found, ["getrandom", "write"]);
    }

    #[test]
    fn objects_are_named_after_their_manifest() {
        assert_eq!(object_name(OsStr::new("a/my app.yaml"), "o"), "my_app.yaml.o");
    }
}
