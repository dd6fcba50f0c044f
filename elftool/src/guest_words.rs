//! Which words of a launch are the tender's options and which are the guest's arguments.
//!
//! A tender knows by the image's name where its options end. `check` has the image's name already, so
//! the words may leave it out, and the first word that no tender takes starts the guest's arguments.
//! Where that could hide an option from the tender, `check` asks for `--` instead of guessing.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use solo5_abi::Target;
use solo5_abi::mft1::Mft1;
use solo5_abi::mft2::Mft2;
use solo5_launch::{Launch, Modules, OptionError, apart, completion, read_spelled_for, spelled};
use solo5_report::os_text;

/// Whose options the words are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tender {
    /// `solo5-spt`, `solo5-hvt` or `solo5-virtio-run`.
    Plain,
    /// The debug tender, for a target that has one.
    Debug,
}

impl Tender {
    fn modules(self, target: Target) -> Modules {
        match (self, target) {
            (Tender::Debug, Target::Hvt) => Modules::debug(target),
            _ => Modules::ordinary(target),
        }
    }
}

/// Reads the words of a launch against a manifest.
///
/// # Errors
///
/// What the tender would say, or that an option follows the guest's first argument.
pub(crate) fn read(
    kernel: &OsStr,
    words: &[OsString],
    (tender, target): (Tender, Target),
    manifest: &Mft1<'_>,
    properties: Option<&Mft2<'_>>,
) -> Result<Launch, OptionError> {
    let modules = tender.modules(target);
    let words = &*spelled(words, &modules);
    let check =
        |words: &[OsString]| read_spelled_for(kernel, words, &modules).check(manifest, properties);
    let is_end = |word: &OsString| word == "--" || !word.as_bytes().starts_with(b"-");
    let end = words.iter().position(is_end).unwrap_or(words.len());
    let (options, rest) = words.split_at(end);
    match rest.split_first() {
        Some((first, _)) if first == "--" => return check(words),
        Some((first, arguments)) if first == kernel => return check(&parted(options, arguments)),
        _ => {}
    }
    let start = match check(&parted(options, rest)) {
        Ok(_) => end,
        Err(error) if error.usage && is_guests(words.get(error.argument)) => error.argument,
        Err(error) => return Err(advised(error, words, tender, target)),
    };
    let (options, arguments) = words.split_at(start);
    if let Some((first, others)) = arguments.split_first()
        && let Some(offset) = others.iter().position(|word| tender_option(word).is_some())
        && let Some(option) = others.get(offset)
    {
        return Err(follows(start + 1 + offset, option, first));
    }
    check(&parted(options, arguments))
}

/// Options and arguments with `--` between them.
fn parted(options: &[OsString], arguments: &[OsString]) -> Vec<OsString> {
    let separator = [OsString::from("--")];
    options.iter().chain(&separator).chain(arguments).cloned().collect()
}

/// The option of any tender that a word is or resembles.
fn tender_option(word: &OsStr) -> Option<&'static str> {
    let word = word.as_bytes();
    let name = word.split(|byte| matches!(byte, b'=' | b':')).next()?;
    let name = str::from_utf8(name).ok().filter(|name| name.starts_with("--"))?;
    let is_like =
        |known: &str| name.starts_with(known) || strsim::damerau_levenshtein(known, name) <= 1;
    // Together these two have the options of all tenders.
    let mut all = completion::names(&Modules::debug(Target::Hvt));
    all.extend(completion::names(&Modules::ordinary(Target::Virtio)));
    let exact = all.iter().copied().find(|known| *known == name);
    exact.or_else(|| all.into_iter().find(|known| is_like(known)))
}

/// Whether a word that looks like an option can only be meant for the guest. A short option cannot be
/// told from one of a tender: with few letters, any of them may be a mistake for another.
fn is_guests(word: Option<&OsString>) -> bool {
    word.is_some_and(|word| word.as_bytes().starts_with(b"--") && tender_option(word).is_none())
}

/// Adds advice to an error about a word that may be meant for the guest.
fn advised(
    mut error: OptionError,
    words: &[OsString],
    tender: Tender,
    target: Target,
) -> OptionError {
    let Some(word) = words.get(error.argument).filter(|_| error.usage) else {
        return error;
    };
    let guests = "if the guest is to get this word, write -- in front of it";
    let modules = tender.modules(target);
    if let Some(next) = words.get(error.argument + 1)
        && let Some(advice) = apart(word, next, &modules)
    {
        error.advice = Some(format!("{advice}; {guests}"));
        return error;
    }
    let advice = error.advice.take();
    let Some(known) = tender_option(word) else {
        let advice = advice.unwrap_or_else(|| "no tender has it".to_owned());
        error.advice = Some(format!("{advice}; {guests}"));
        return error;
    };
    let is_own = |tender: Tender| completion::names(&tender.modules(target)).contains(&known);
    let ask = if !is_own(tender) && is_own(Tender::Debug) {
        ", which --debug-tender asks about"
    } else {
        ""
    };
    let advice = match advice {
        None => format!("{known} is an option of a tender; {guests}"),
        Some(advice) if word.as_bytes().starts_with(known.as_bytes()) => {
            format!("{advice}{ask}; {guests}")
        }
        Some(advice) => advice,
    };
    error.advice = Some(advice);
    error
}

/// The error that an option of a tender follows `first`, the guest's first argument.
fn follows(argument: usize, option: &OsStr, first: &OsStr) -> OptionError {
    let (option, first) = (os_text(option), os_text(first));
    OptionError {
        argument,
        lines: vec![format!(
            "'{option}' follows '{first}', which is not an option of the tender and so ended its options"
        )],
        usage: false,
        advice: Some(format!(
            "write -- before the guest's arguments, or move '{option}' in front of '{first}'"
        )),
    }
}
