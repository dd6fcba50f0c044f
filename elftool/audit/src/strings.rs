//! Text in an image that reveals where and when it was built.

use solo5_image::ReadAt;
use solo5_image::elf::{SHF_ALLOC, SHF_EXECINSTR};
use solo5_image::sections::{Section, Sections};

use crate::content::{Allowance, Window};

/// Folders in which people and services build. Paths below them differ between machines.
const BUILD_FOLDERS: [&str; 11] = [
    "/home/",
    "/root/",
    "/Users/",
    "/tmp/",
    "/var/tmp/",
    "/build/",
    "/builds/",
    "/workspace/",
    "/github/",
    "/__w/",
    "/usr/src/",
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Most texts of a kind kept of one image.
const KEPT: usize = 4;
/// Longest text kept, in bytes.
const TEXT_MAX: usize = 120;

/// A text and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// The text, cut where it is long.
    pub(crate) text: String,
    /// Its offset in the file.
    pub(crate) offset: u64,
    /// The section it is in.
    pub(crate) section: String,
}

/// Texts of one kind.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// How many there are.
    pub(crate) count: u64,
    /// The first of them, each text once.
    pub(crate) first: Vec<Text>,
}

/// What the texts of an image reveal about its build.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// Absolute paths of folders where things are built.
    pub(crate) paths: Texts,
    /// Points in time.
    pub(crate) times: Texts,
}

/// Looks through all loaded data, and the texts of debug information.
pub(crate) fn traces(reader: &dyn ReadAt, sections: &Sections) -> Traces {
    let mut traces = Traces::default();
    let mut allowance = Allowance::default();
    for section in sections.all().iter().filter(|section| has_text(section)) {
        allowance.visit(reader, &section.header, |window| {
            search(window, section, &mut traces);
        });
    }
    traces
}

fn has_text(section: &Section) -> bool {
    let data = section.has(SHF_ALLOC) && !section.has(SHF_EXECINSTR);
    data || matches!(section.name.as_str(), ".debug_str" | ".debug_line_str" | ".comment")
}

fn search(window: &Window<'_>, section: &Section, traces: &mut Traces) {
    for at in 0..window.own {
        let Some(rest) = window.bytes.get(at..) else {
            return;
        };
        let found = match rest.first() {
            Some(b'/') if starts_text(window.bytes, at) && is_path(rest) => &mut traces.paths,
            Some(b'2' | b'J' | b'F' | b'M' | b'A' | b'S' | b'O' | b'N' | b'D') if is_time(rest) => {
                &mut traces.times
            }
            _ => continue,
        };
        found.count += 1;
        if found.first.len() < KEPT {
            let text = text(rest);
            if found.first.iter().all(|known| known.text != text) {
                let place = section.header.sh_offset.saturating_add(window.at);
                found.first.push(Text {
                    text,
                    offset: place.saturating_add(at as u64),
                    section: section.name.clone(),
                });
            }
        }
    }
}

/// Whether a path may start here, rather than continue an earlier one.
fn starts_text(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"._-/~+".contains(byte))
}

fn is_path(rest: &[u8]) -> bool {
    BUILD_FOLDERS.iter().any(|folder| {
        let below = rest.strip_prefix(folder.as_bytes());
        below.and_then(<[u8]>::first).is_some_and(u8::is_ascii_alphanumeric)
    })
}

/// The forms of `__DATE__` (`Nov 22 2026`) and of RFC 3339 (`2026-11-22T14:03:59`), in this century.
fn is_time(rest: &[u8]) -> bool {
    let month = MONTHS.iter().any(|month| rest.starts_with(month.as_bytes()));
    let after_month = rest.get(3..).unwrap_or_default();
    (month && fits(after_month, b" _9 2099")) || fits(rest, b"2099-99-99T99:99:99")
}

/// Whether bytes start in this form: `9` is a digit, `_` a digit or a blank, `T` the separator of
/// day and time.
fn fits(bytes: &[u8], form: &[u8]) -> bool {
    bytes.len() >= form.len()
        && bytes.iter().zip(form).all(|(byte, form)| match form {
            b'9' => byte.is_ascii_digit(),
            b'_' => byte.is_ascii_digit() || *byte == b' ',
            b'T' => matches!(byte, b'T' | b' '),
            _ => byte == form,
        })
}

fn text(rest: &[u8]) -> String {
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let text = rest.iter().take(TEXT_MAX).take_while(|byte| printable(byte));
    text.map(|byte| char::from(*byte)).collect()
}
