//! Reads options one by one, in argument order.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use solo5_abi::mft1::{DeviceType, is_name};
use solo5_report::os_text;

use super::draft::{Draft, ValueError};
use super::error::OptionError;
use super::modules::Modules;
use super::options::{EXPLAIN, Form, OPTIONS, Row, ends, meant};
use super::request::{Mention, Request};
use super::resolve::Placed;
use super::short;

/// Reads `options`, each of which begins with `-`. A final `--` ends them.
pub(super) fn read(
    options: &[OsString],
    kernel: &OsStr,
    guest: &[OsString],
    modules: &Modules,
) -> Request {
    let mut draft = Draft::new(kernel, guest, modules.target);
    let mut error = None;
    for (index, option) in options.iter().enumerate() {
        if option == "--" {
            break;
        }
        if let Err(wrong) = self::option(&mut draft, index, option, modules) {
            error.get_or_insert(wrong);
        }
    }
    draft.settle();
    let Draft { launch, wishes, mentions, .. } = draft;
    Request { launch, wishes, error, mentions, taken_as_kernel: None }
}

/// Advice if `next` was taken as KERNEL because `word`, in front of it, is an option without its value or
/// is no option at all.
pub(super) fn taken_as_kernel(word: &OsStr, next: &OsStr, modules: &Modules) -> Option<String> {
    let mut draft = Draft::new(next, &[], modules.target);
    if word == "--" || option(&mut draft, 0, word, modules).is_ok() {
        return None;
    }
    if let Some(advice) = apart(word, next, modules) {
        return Some(advice);
    }
    let (word, shown) = (os_text(word), os_text(next));
    Some(format!(
        "'{shown}' is taken as the unikernel, and {word} in front of it is a wrong option"
    ))
}

/// What to write if `next` is the value of the option `word`, in a word of its own.
pub fn apart(word: &OsStr, next: &OsStr, modules: &Modules) -> Option<String> {
    let mut draft = Draft::new(next, &[], modules.target);
    let known = short::long(word).map_or(word, OsStr::new);
    let joined = OsString::from_vec([known.as_bytes(), b"=", next.as_bytes()].concat());
    option(&mut draft, 0, &joined, modules).ok()?;
    let (word, shown, joined) = (os_text(word), os_text(next), os_text(&joined));
    Some(format!("if '{shown}' is the value of {word}, write {joined}"))
}

fn option(
    draft: &mut Draft,
    index: usize,
    option: &OsStr,
    modules: &Modules,
) -> Result<(), OptionError> {
    let bytes = option.as_bytes();
    let end = bytes.iter().position(|byte| matches!(byte, b':' | b'=')).unwrap_or(bytes.len());
    let (name, rest) = bytes.split_at(end);
    let row = OPTIONS
        .iter()
        .find(|row| row.name.as_bytes() == name && row.module.is_in(modules))
        .ok_or_else(|| OptionError::invalid(index, option, None, meant(name, modules)))?;
    apply(draft, row, rest, index, option).map_err(|wrong| match wrong {
        ValueError::Invalid if name == EXPLAIN && rest.starts_with(b"=") => {
            OptionError::invalid(index, option, None, Some(ends(&os_text(option))))
        }
        ValueError::Invalid => {
            let advice = format!("write it as in usage:{}", row.usage.trim_end());
            OptionError::invalid(index, option, None, Some(advice))
        }
        ValueError::Because(why, advice) => {
            OptionError::invalid(index, option, Some(why), Some(advice))
        }
        ValueError::SectorSize => {
            let why = "Block size must be a multiple of 2 greater than or equal 512";
            let advice = "a sector size is a power of two from 512 to 32768, such as 4096";
            OptionError::invalid(index, option, Some(why.to_owned()), Some(advice.to_owned()))
        }
        ValueError::Malformed => {
            malformed(index, row, format!("write it as in usage:{}", row.usage.trim_end()))
        }
        ValueError::Advised(advice) => malformed(index, row, advice),
    })
}

/// Applies an option; `rest` is what follows its name.
fn apply(
    draft: &mut Draft,
    row: &Row,
    rest: &[u8],
    argument: usize,
    option: &OsStr,
) -> Result<(), ValueError> {
    let mention = |kind, name: &str, declines| Mention {
        argument,
        option: option.to_owned(),
        kind,
        name: name.to_owned(),
        declines,
    };
    match row.form {
        Form::Flag(set) if rest.is_empty() => set(draft),
        Form::Flag(_) => return Err(ValueError::Invalid),
        Form::Value(set) => set(draft, rest.strip_prefix(b"=").ok_or(ValueError::Invalid)?)?,
        Form::Next(attachment) => {
            let value = rest.strip_prefix(b"=").filter(|value| !value.is_empty());
            let what = attachment(value.ok_or(ValueError::Invalid)?)?;
            draft.wishes.placed.push(Placed { argument, option: option.to_owned(), what });
        }
        Form::Device(kind, set) => {
            let (name, value) = device(rest).ok_or(ValueError::Invalid)?;
            let value = value.filter(|value| !value.is_empty()).ok_or(ValueError::Invalid)?;
            let done = set(draft, name, value);
            // As upstream: if the value is malformed, only that is reported. If it is refused
            // for a reason, an undeclared device is reported first
            // (`docs/reference/downstream.md#options`).
            if matches!(done, Ok(()) | Err(ValueError::Because(..) | ValueError::SectorSize)) {
                draft.mentions.push(mention(kind, name, false));
            }
            done?;
        }
        Form::Without(kind) => {
            let (name, value) = device(rest).ok_or(ValueError::Invalid)?;
            if value.is_some() {
                return Err(ValueError::Invalid);
            }
            draft.mentions.push(mention(kind, name, true));
            draft.once(kind, name)?;
            match kind {
                DeviceType::NetBasic => draft.launch.without_nets.push(name.to_owned()),
                DeviceType::BlockBasic => draft.launch.without_blocks.push(name.to_owned()),
            }
        }
    }
    Ok(())
}

/// Upstream's text on a value that is none, with what to write.
fn malformed(argument: usize, row: &Row, advice: String) -> OptionError {
    let lines = vec![format!("Malformed argument to {}", row.name)];
    OptionError { argument, lines, usage: false, advice: Some(advice) }
}

/// `:NAME` or `:NAME=VALUE`.
fn device(rest: &[u8]) -> Option<(&str, Option<&[u8]>)> {
    let rest = rest.strip_prefix(b":")?;
    let end = rest.iter().position(|byte| *byte == b'=');
    let (name, value) = match end {
        Some(end) => (rest.get(..end)?, rest.get(end + 1..)),
        None => (rest, None),
    };
    is_name(name).then_some(())?;
    Some((str::from_utf8(name).ok()?, value))
}
