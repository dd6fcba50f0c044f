//! The short options of `solo5-virtio-run`, which the program of this name has in Solo5 0.12, in both
//! spellings that `getopt` takes, `-d DISK` and `-dDISK`: [`spelled`] writes them as long options.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use solo5_abi::target::Target;

use super::modules::Modules;

/// A short option with a value, and its long name.
const VALUES: [(u8, &str); 5] = [
    (b'd', "--disk"),
    (b'm', "--mem"),
    (b'n', "--interface"),
    (b'H', "--hypervisor"),
    (b'M', "--machine"),
];
/// The long name of `-q`, which has no value.
const QUIET: &str = "--quiet";

/// The letter of the short option for the long one called `name`.
pub(super) fn letter(name: &str) -> Option<char> {
    let value = VALUES.iter().find(|(_, long)| *long == name);
    value.map(|(letter, _)| char::from(*letter)).or((name == QUIET).then_some('q'))
}

/// The long name of the option that `word` is the letter of.
pub(super) fn long(word: &OsStr) -> Option<&'static str> {
    let &[b'-', letter] = word.as_bytes() else {
        return None;
    };
    VALUES.iter().find(|(known, _)| *known == letter).map(|(_, long)| *long)
}

/// The long option that a word such as `-m64` or `-q` stands for in `solo5-virtio-run`.
pub(super) fn written_long(word: &str) -> Option<(&'static str, String)> {
    let rest = word.strip_prefix('-')?;
    if rest == "q" {
        return Some((QUIET, QUIET.to_owned()));
    }
    let letter = rest.as_bytes().first()?;
    let (_, long) = VALUES.iter().find(|(known, _)| known == letter)?;
    let value = rest.get(1..).filter(|value| !value.is_empty()).unwrap_or("VALUE");
    Some((long, format!("{long}={value}")))
}

/// Advice on a short option of `solo5-virtio-run` that lacks its value, as in `-n` or `-qn`.
pub(super) fn lacking(word: &str, modules: &Modules) -> Option<String> {
    let letter = word.strip_prefix('-')?.trim_start_matches('q');
    let &[letter] = letter.as_bytes() else { return None };
    let (_, long) = VALUES.iter().find(|(known, _)| *known == letter)?;
    (modules.target == Target::Virtio).then(|| {
        let letter = char::from(letter);
        format!("-{letter} lacks its value; write -{letter} VALUE or {long}=VALUE")
    })
}

/// `arguments` with long options in place of short ones, for the runner of virtio machines; as they
/// are for other tenders. Stops at the first word that is no option. A word that is not understood
/// stays as it is, for the reader to refuse.
pub fn spelled<'a>(arguments: &'a [OsString], modules: &Modules) -> Cow<'a, [OsString]> {
    if modules.target != Target::Virtio {
        return Cow::Borrowed(arguments);
    }
    let mut out = Vec::new();
    let mut rest = arguments;
    while let Some((word, after)) = rest.split_first() {
        let bytes = word.as_bytes();
        if !bytes.starts_with(b"-") || bytes == b"--" || bytes == b"-" {
            break;
        }
        rest = after;
        match cluster(word, after.first()) {
            Some((words, taken)) => {
                out.extend(words);
                rest = if taken { after.get(1..).unwrap_or_default() } else { after };
            }
            None => out.push(word.clone()),
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// The long options of a word such as `-qd` or `-m64`, and whether `next` is the value of the last one.
fn cluster(word: &OsStr, next: Option<&OsString>) -> Option<(Vec<OsString>, bool)> {
    let mut letters = word.as_bytes().strip_prefix(b"-")?;
    let mut words = Vec::new();
    while let Some((letter, value)) = letters.split_first() {
        if *letter == b'q' {
            words.push(QUIET.into());
            letters = value;
            continue;
        }
        let (_, name) = VALUES.iter().find(|(known, _)| known == letter)?;
        let long = |value: &[u8]| OsString::from_vec([name.as_bytes(), b"=", value].concat());
        if !value.is_empty() {
            words.push(long(value));
            return Some((words, false));
        }
        words.push(long(next?.as_bytes()));
        return Some((words, true));
    }
    (!words.is_empty()).then_some((words, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(text: &str, target: Target) -> String {
        let words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        let spelled = spelled(&words, &Modules::ordinary(target)).into_owned();
        spelled.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_short_option_without_its_value_is_advised_on() {
        let said = |word: &str, target| lacking(word, &Modules::ordinary(target));
        let lacks = "-n lacks its value; write -n VALUE or --interface=VALUE";
        assert_eq!(said("-n", Target::Virtio).as_deref(), Some(lacks));
        assert_eq!(said("-qn", Target::Virtio).as_deref(), Some(lacks));
        for word in ["-q", "-x", "-n1", "--", "-", ""] {
            assert_eq!(said(word, Target::Virtio), None, "{word}");
        }
        assert_eq!(said("-n", Target::Spt), None, "it has no short options");
    }

    #[test]
    fn short_options_in_every_spelling_become_long_ones() {
        for (short, wanted) in [
            ("-d disk -m 64 k", "--disk=disk --mem=64 k"),
            ("-ddisk -m64 k", "--disk=disk --mem=64 k"),
            ("-qd disk k -d x", "--quiet --disk=disk k -d x"),
            (
                "-n tap:1400 -Hqemu -M q35 -- k",
                "--interface=tap:1400 --hypervisor=qemu --machine=q35 -- k",
            ),
            ("--mem=4 -qqq k", "--mem=4 --quiet --quiet --quiet k"),
            ("-x k", "-x k"),
            ("-qx k", "-qx k"),
            ("-m", "-m"),
            ("- k", "- k"),
        ] {
            assert_eq!(long(short, Target::Virtio), wanted);
            assert_eq!(long(short, Target::Spt), short, "another tender");
        }
    }
}
