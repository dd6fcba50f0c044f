//! The command line, which is runc's and crun's.
//!
//! It is scanned, not parsed: a word that is not known here is handed to the runtime underneath, which
//! may know it. For the same reason the words of a known option are kept in their order.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::codes;
use crate::failure::Failure;
use crate::log::{Format, Log};

/// Global options that have a value, with or without `=`: those of runc, crun and this program.
const GLOBAL_WITH_VALUE: [&str; 8] =
    ["root", "log", "log-format", "log-level", "criu", "rootless", "cgroup-manager", RUNTIME];

/// Options of `create` and `run` that have a value.
const VERB_WITH_VALUE: [&str; 8] =
    ["bundle", "b", "config", "f", "console-socket", "pidfd-socket", "pid-file", "preserve-fds"];

/// Options of `exec` that have a value.
const EXEC_WITH_VALUE: [&str; 18] = [
    "additional-gids",
    "apparmor",
    "c",
    "cap",
    "cgroup",
    "console-socket",
    "cwd",
    "e",
    "env",
    "g",
    "p",
    "pid-file",
    "pidfd-socket",
    "preserve-fds",
    "process",
    "process-label",
    "u",
    "user",
];

/// The option of this program alone.
const RUNTIME: &str = "runtime";

/// A command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The global options, without this program's own.
    pub globals: Vec<OsString>,
    /// The verb; `None` if there is none.
    pub verb: Option<OsString>,
    /// What follows the verb, without `--bundle` if the verb takes one.
    pub rest: Vec<OsString>,
    /// The bundle of `create` and `run`.
    pub bundle: Option<PathBuf>,
    /// The container.
    pub id: Option<OsString>,
    /// Where errors go.
    pub log: Log,
    /// The runtime that `--runtime` names.
    pub runtime: Option<PathBuf>,
}

/// What an option is called, and its value if that is in the same word.
fn option(word: &OsStr) -> Option<(&str, Option<&OsStr>)> {
    let bytes = word.as_bytes();
    let name = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-"))?;
    let (name, value) = match name.iter().position(|byte| *byte == b'=') {
        Some(at) => (name.get(..at)?, name.get(at + 1..).map(OsStr::from_bytes)),
        None => (name, None),
    };
    let name = str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    Some((name, value))
}

impl Words {
    /// Scans the words behind the program's name. The second value is the error, if there is any: a log
    /// that is named is known even then.
    pub fn scan(words: impl IntoIterator<Item = OsString>) -> (Words, Result<(), Failure>) {
        let mut found = Words::default();
        let result = found.read(&mut words.into_iter());
        (found, result)
    }

    fn read(&mut self, words: &mut impl Iterator<Item = OsString>) -> Result<(), Failure> {
        while let Some(word) = words.next() {
            let Some((name, value)) = option(&word) else {
                self.verb = Some(word);
                break;
            };
            if !GLOBAL_WITH_VALUE.contains(&name) {
                self.globals.push(word);
                continue;
            }
            let following = if value.is_none() { Some(next(&word, words)?) } else { None };
            let given = following.as_deref().or(value).unwrap_or_default();
            match name {
                "log" => self.log.path = (!given.is_empty()).then(|| PathBuf::from(given)),
                "log-format" => {
                    self.log.format = Format::parse(given).ok_or_else(|| {
                        Failure::new(codes::WORDS, "--log-format is text or json")
                    })?;
                }
                RUNTIME => {
                    self.runtime = Some(PathBuf::from(given));
                    continue;
                }
                _ => {}
            }
            self.globals.push(word);
            self.globals.extend(following);
        }
        match self.verb.as_deref().map(OsStr::as_bytes) {
            Some(b"create" | b"run") => self.read_create(words),
            verb => {
                let is_exec = verb == Some(b"exec");
                self.rest = words.collect();
                self.id = operand(&self.rest, if is_exec { &EXEC_WITH_VALUE } else { &[] });
                Ok(())
            }
        }
    }

    /// The words of `create` and `run`. crun takes options behind the container's name too.
    fn read_create(&mut self, words: &mut impl Iterator<Item = OsString>) -> Result<(), Failure> {
        while let Some(word) = words.next() {
            let known = if word == "--" { None } else { option(&word) };
            let Some((name, value)) = known else {
                if self.id.is_some() && word != "--" {
                    let text = "the container's name is one word; there is another one behind it";
                    return Err(Failure::new(codes::WORDS, text));
                }
                let is_end = word == "--";
                self.id = if is_end { words.next() } else { Some(word.clone()) };
                self.rest.push(word);
                if is_end {
                    self.rest.extend(self.id.clone());
                }
                continue;
            };
            if !VERB_WITH_VALUE.contains(&name) {
                self.rest.push(word);
                continue;
            }
            let following = if value.is_none() { Some(next(&word, words)?) } else { None };
            let given = following.as_deref().or(value).unwrap_or_default();
            match name {
                "bundle" | "b" => self.bundle = Some(PathBuf::from(given)),
                "config" | "f" => {
                    let text = "crun's option --config is not supported; config.json of the bundle is read";
                    return Err(Failure::new(codes::WORDS, text));
                }
                _ => {
                    self.rest.push(word);
                    self.rest.extend(following);
                }
            }
        }
        Ok(())
    }

    /// The words for the runtime underneath. `bundle` replaces the one that was named.
    pub fn handed_on(&self, bundle: Option<&OsStr>) -> Vec<OsString> {
        let mut words = self.globals.clone();
        words.extend(self.verb.clone());
        if let Some(bundle) = bundle.or(self.bundle.as_ref().map(|path| path.as_os_str())) {
            words.extend(["--bundle".into(), bundle.to_owned()]);
        }
        words.extend(self.rest.iter().cloned());
        words
    }
}

/// The first operand: behind options, of which those in `with_value` have the next word as their value.
fn operand(words: &[OsString], with_value: &[&str]) -> Option<OsString> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        match option(word) {
            None => return Some(word.clone()),
            Some((name, None)) if with_value.contains(&name) => drop(words.next()),
            Some(_) => {}
        }
    }
    words.next().cloned()
}

/// The value of the option `word`, which is the next word.
fn next(word: &OsStr, words: &mut impl Iterator<Item = OsString>) -> Result<OsString, Failure> {
    let text = || format!("{} needs a value", solo5_report::os_text(word));
    words.next().ok_or_else(|| Failure::new(codes::WORDS, text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(line: &str) -> (Words, Result<(), Failure>) {
        Words::scan(line.split_whitespace().map(OsString::from))
    }

    fn good(line: &str) -> Words {
        let (words, result) = scan(line);
        assert_eq!(result, Ok(()), "{line}");
        words
    }

    fn text(words: Vec<OsString>) -> String {
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_container_of_an_exec_stands_behind_the_options_and_their_values() {
        // containerd's shim, conmon, and by hand.
        for line in [
            "exec --process /run/p --console-socket /s --detach --pid-file /f c",
            "exec --pid-file /f --process=/run/p --detach c",
            "exec -u 0:0 -e A=b --tty c sh -c x",
            "exec -- c sh",
        ] {
            assert_eq!(good(line).id.as_deref(), Some(OsStr::new("c")), "{line}");
        }
        assert_eq!(good("exec --detach").id, None);
        assert_eq!(good("--log-level debug create -b B c").bundle, Some(PathBuf::from("B")));
        assert_eq!(good("run --pidfd-socket /s c").id.as_deref(), Some(OsStr::new("c")));
    }

    #[test]
    fn command_lines_of_engines_are_understood() {
        // conmon, containerd's shim, crun's style, and one by hand.
        for (line, bundle, id) in [
            (
                "--log-format=json --log=/l create --bundle /b --pid-file /p --no-pivot c",
                Some("/b"),
                "c",
            ),
            (
                "--root /r --log /l --log-format json --systemd-cgroup create --bundle /b --pid-file /p c",
                Some("/b"),
                "c",
            ),
            ("--log=/l --log-format=json run c --bundle=/b -d", Some("/b"), "c"),
            ("-log /l -log-format json run -b /b -- c", Some("/b"), "c"),
            ("--debug --log=/l --log-format json run --console-socket b c", None, "c"),
        ] {
            let words = good(line);
            assert_eq!(words.bundle.as_deref(), bundle.map(std::path::Path::new), "{line}");
            assert_eq!(words.id.as_deref(), Some(OsStr::new(id)), "{line}");
            assert_eq!(words.log, Log { path: Some("/l".into()), format: Format::Json }, "{line}");
        }
    }

    #[test]
    fn words_are_handed_on_in_order_with_the_new_bundle_in_front() {
        let line = "--runtime /x/crun --root=/r --unknown create --preserve-fds 2 -b /b --new id";
        let words = good(line);
        assert_eq!(words.runtime.as_deref(), Some(std::path::Path::new("/x/crun")));
        assert_eq!(
            text(words.handed_on(Some(OsStr::new("/n")))),
            "--root=/r --unknown create --bundle /n --preserve-fds 2 --new id"
        );
        for line in ["kill --all c 9", "--root /r delete --force c", "events --interval 5s c", ""] {
            assert_eq!(text(good(line).handed_on(None)), line);
        }
        assert_eq!(text(good("run -- c").handed_on(None)), "run -- c");
    }

    #[test]
    fn the_log_is_known_even_if_a_later_word_is_wrong() {
        for line in [
            "--log /l create --bundle",
            "--log /l --root",
            "--log=/l create a b",
            "--log /l run -f x c",
            "--log /l --log-format=xml create c",
        ] {
            let (words, result) = scan(line);
            assert!(result.unwrap_err().line().starts_with("error[R701]: "), "{line}");
            assert_eq!(words.log.path, Some("/l".into()), "{line}");
        }
    }
}
