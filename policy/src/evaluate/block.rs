//! Block devices compared with rules.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use solo5_launch::{Backing, Block};
use solo5_report::os_text;
use solo5_source::size;

use super::applies::applies;
use super::rules;
use super::standing::{Check, Fit, Standing, fact, known, name_check, shown};
use super::verdict::{Phase, Verdict};
use crate::codes;
use crate::facts::{Asked, BlockFacts, BlockKind, Fact};
use crate::model::{At, BackingRule, BlockRule, Devices, Policy};

/// The answer of a `block` section about one block device.
pub(super) fn judge(
    section: &Devices<BlockRule>,
    block: &Block,
    facts: Option<&BlockFacts>,
    phase: Phase,
) -> Verdict {
    rules::judge(section, codes::BLOCK_NAME, |rule| block_standing(rule, block, facts, phase))
}

/// How one block device compares with one rule.
pub fn block_standing(
    rule: &BlockRule,
    block: &Block,
    facts: Option<&BlockFacts>,
    phase: Phase,
) -> Standing {
    Standing::of(block_checks(rule, block, facts, phase))
}

fn block_checks(
    rule: &BlockRule,
    block: &Block,
    facts: Option<&BlockFacts>,
    phase: Phase,
) -> Vec<Check> {
    let mut checks = vec![name_check(&block.name, &rule.name, codes::BLOCK_NAME)];
    // For a device of another name, only the name is compared.
    if matches!(checks.as_slice(), [Check { fit: Fit::No, .. }]) {
        return checks;
    }
    if let Some(backing) = &rule.backing {
        checks.push(backing_check(backing, block, facts, phase));
    }
    let check = |code, span: &Range<usize>, fit, what, wants, condition| Check {
        fit,
        code,
        unread: codes::BLOCK_UNREAD,
        what,
        wants,
        condition,
        span: span.clone(),
    };
    if let Some(access) = &rule.access {
        checks.push(check(
            codes::BLOCK_ACCESS,
            &access.span,
            known(block.access <= access.value),
            format!("access {}", block.access.name()),
            access.value.name().to_owned(),
            String::new(),
        ));
    }
    if let Some(maximum) = &rule.capacity_maximum {
        let capacity = facts.map(|facts| &facts.capacity);
        let found = shown(capacity, |bytes| format!("capacity {}", size::display(*bytes)));
        let wants = format!("at most {}", size::display(maximum.value));
        checks.push(check(
            codes::BLOCK_CAPACITY,
            &maximum.span,
            fact(capacity, phase, |bytes| *bytes <= maximum.value),
            if found.is_empty() { "capacity".to_owned() } else { found },
            wants.clone(),
            format!("its capacity is {wants}"),
        ));
    }
    if let Some(sizes) = &rule.sector_sizes {
        let list: Vec<_> = sizes.value.iter().map(u64::to_string).collect();
        checks.push(check(
            codes::BLOCK_SECTOR_SIZE,
            &sizes.span,
            known(sizes.value.contains(&block.sector_size.bytes().into())),
            format!("sector size {}", block.sector_size),
            list.join(" or "),
            String::new(),
        ));
    }
    checks
}

fn backing_check(
    rule: &At<BackingRule>,
    block: &Block,
    facts: Option<&BlockFacts>,
    phase: Phase,
) -> Check {
    let (shown_path, path) = match &block.backing {
        Backing::Path(path) => {
            // Rules name places from `/` on.
            let relative = if Path::new(path).is_relative() { "relative " } else { "" };
            (format!("{relative}path '{}'", os_text(path)), Some(path))
        }
        Backing::Fd(fd) => (format!("descriptor {fd}"), None),
    };
    let kind = facts.map(|facts| &facts.kind);
    let check = |fit, code, what, wants, condition| Check {
        fit,
        code,
        unread: codes::BLOCK_UNREAD,
        what,
        wants,
        condition,
        span: rule.span.clone(),
    };
    // If the kind is known and wrong, the reason names the kind too.
    let wrong_kind = |wanted| match kind {
        Some(Fact::Known(kind)) if *kind != wanted => Some(kind.name()),
        _ => None,
    };
    match &rule.value {
        BackingRule::Descriptor => {
            let wants = "a descriptor".to_owned();
            check(known(path.is_none()), codes::BLOCK_DESCRIPTOR, shown_path, wants, String::new())
        }
        BackingRule::FileUnder(folder) => {
            let beneath = facts.map(|facts| &facts.beneath);
            // A reason must not tell whether a file outside the folder exists.
            let (fit, what) = if path.is_none_or(|path| rest_beneath(path, folder).is_none())
                || matches!(beneath, Some(Fact::Known(found)) if !found.contains(folder))
            {
                (Fit::No, shown_path)
            } else if let Some(kind) = wrong_kind(BlockKind::File) {
                (Fit::No, format!("{shown_path}, {kind},"))
            } else {
                let fit = match fact(kind, phase, |_| true) {
                    Fit::Yes => fact(beneath, phase, |found| found.contains(folder)),
                    open => open,
                };
                (fit, shown_path)
            };
            let wants = format!("a file under {folder}");
            let condition = format!("it is a regular file, reached without leaving {folder}");
            check(fit, codes::BLOCK_FILE, what, wants, condition)
        }
        BackingRule::Device(pattern) => {
            let name = path.and_then(|path| rest_beneath(path, "/dev"));
            let fits = name.is_some_and(|name| pattern.fits_name(name.as_bytes()));
            let (fit, what) = if !fits {
                (Fit::No, shown_path)
            } else if let Some(kind) = wrong_kind(BlockKind::Device) {
                (Fit::No, format!("{shown_path}, {kind},"))
            } else {
                (fact(kind, phase, |_| true), shown_path)
            };
            let wants = format!("a block device /dev/{}", pattern.as_str());
            let condition = "it is a block device".to_owned();
            check(fit, codes::BLOCK_DEVICE, what, wants, condition)
        }
    }
}

/// The folders of rules that the path of `block` lies below. The caller opens the file beneath each of
/// them and lists those that it was reached from in [`BlockFacts::beneath`].
pub fn directories<'p>(policies: &'p [Policy], asked: &Asked, block: &Block) -> BTreeSet<&'p str> {
    let Backing::Path(path) = &block.backing else {
        return BTreeSet::new();
    };
    policies
        .iter()
        .filter(|policy| applies(policy, asked))
        .filter_map(|policy| policy.block.as_ref()?.allow.as_ref())
        .flat_map(|allow| &allow.value)
        .filter(|rule| rule.value.name.value.fits_name(block.name.as_bytes()))
        .filter_map(|rule| match &rule.value.backing.as_ref()?.value {
            BackingRule::FileUnder(folder) => Some(folder.as_str()),
            BackingRule::Device(_) | BackingRule::Descriptor => None,
        })
        .filter(|folder| rest_beneath(path, folder).is_some())
        .collect()
}

/// The part of `path` below `folder`, if both are absolute and the path has no `..` in it.
pub fn rest_beneath(path: &OsStr, folder: &str) -> Option<OsString> {
    let path = Path::new(path);
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let rest = path.strip_prefix(folder).ok()?;
    (rest != Path::new("")).then(|| rest.as_os_str().to_owned())
}
