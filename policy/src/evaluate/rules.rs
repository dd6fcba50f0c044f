//! Compares devices with lists of rules. One rule that fits entirely is enough.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use solo5_report::os_text;
use solo5_source::size;

use super::{Denial, Phase, Provision, Verdict, applies};
use crate::codes;
use crate::facts::{Asked, BlockFacts, BlockKind, Fact, NetFacts};
use crate::glob::Pattern;
use crate::model::{At, BackingRule, BlockRule, Devices, NO_BRIDGE, NetRule, Policy};
use solo5_launch::{Backing, Block, Interface, Net};

/// Whether one key of a rule fits.
enum Fit {
    Yes,
    No,
    /// It depends on a fact not known yet.
    Open,
    /// It depends on a fact that cannot be known, for this reason.
    Unread(String),
}

/// One key of one rule, compared with what is asked for.
struct Check {
    fit: Fit,
    /// The code if it does not fit.
    code: &'static str,
    /// The code if the fact cannot be read.
    unread: &'static str,
    /// What is asked for, such as `interface 'tap7'`.
    what: String,
    /// What the rule says, such as `"tap-*"`.
    wants: String,
    /// What must turn out true, if it is open.
    condition: String,
    span: Range<usize>,
}

/// A pattern as reasons show it.
pub(super) fn quoted(pattern: &Pattern) -> String {
    format!("\"{}\"", pattern.as_str())
}

/// Most alternatives that a reason or a condition names. Without a limit, a denial would repeat a whole
/// list for each thing that fits none of its items.
const NAMED_MAX: usize = 8;
/// Most bytes of all named alternatives; the first one is always named.
const NAMED_BYTES_MAX: usize = 512;

/// The alternatives that a message names.
#[derive(Default)]
pub(super) struct Alternatives {
    named: Vec<String>,
    bytes: usize,
    others: bool,
}

impl Alternatives {
    /// Adds one, unless it is named already.
    pub(super) fn add(&mut self, one: &str) {
        if self.named.iter().any(|known| known == one) {
            return;
        }
        let fits = self.named.len() < NAMED_MAX && self.bytes + one.len() <= NAMED_BYTES_MAX;
        if self.others || !(fits || self.named.is_empty()) {
            self.others = true;
            return;
        }
        self.bytes = self.bytes.saturating_add(one.len());
        self.named.push(one.to_owned());
    }

    /// Whether no further alternative will be named.
    pub(super) fn is_full(&self) -> bool {
        self.others
    }

    /// All of them, joined by `between`.
    fn joined(&self, between: &str) -> String {
        let others = if self.others { format!("{between}others") } else { String::new() };
        self.named.join(between) + &others
    }

    /// `wants A or B`.
    pub(super) fn wants(&self) -> String {
        match self.named.is_empty() {
            true => "allows none".to_owned(),
            false => format!("wants {}", self.joined(" or ")),
        }
    }
}

/// Compares the name of a device, which is always known.
fn name_check(name: &str, rule: &At<Pattern>, code: &'static str) -> Check {
    Check {
        fit: known(rule.value.fits_name(name.as_bytes())),
        code,
        unread: code,
        what: format!("name '{name}'"),
        wants: quoted(&rule.value),
        condition: String::new(),
        span: rule.span.clone(),
    }
}

fn known(fits: bool) -> Fit {
    if fits { Fit::Yes } else { Fit::No }
}

/// Compares a fact. Once everything is opened, a fact that is still unknown could not be read.
fn fact<T>(fact: Option<&Fact<T>>, phase: Phase, fits: impl FnOnce(&T) -> bool) -> Fit {
    match fact {
        Some(Fact::Known(value)) => known(fits(value)),
        Some(Fact::Unreadable(why)) => Fit::Unread(why.clone()),
        None | Some(Fact::Unknown) => match phase {
            Phase::Strings => Fit::Open,
            Phase::Descriptors => Fit::Unread("no answer".to_owned()),
        },
    }
}

/// Whether the host was not asked for a fact yet.
fn is_unknown<T>(fact: Option<&Fact<T>>) -> bool {
    matches!(fact, None | Some(Fact::Unknown))
}

/// A fact for people; empty if it is not known.
fn shown<T>(fact: Option<&Fact<T>>, show: impl FnOnce(&T) -> String) -> String {
    match fact {
        Some(Fact::Known(value)) => show(value),
        _ => String::new(),
    }
}

/// The answer of a `net` section about one network interface.
pub(super) fn net(
    section: &Devices<NetRule>,
    net: &Net,
    facts: Option<&NetFacts>,
    phase: Phase,
) -> Verdict {
    judge(section, codes::NET_NAME, |rule| net_standing(rule, net, facts, phase))
}

/// How one network interface compares with one rule.
pub fn net_standing(rule: &NetRule, net: &Net, facts: Option<&NetFacts>, phase: Phase) -> Standing {
    Standing::of(net_checks(rule, net, facts, phase))
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

fn net_checks(rule: &NetRule, net: &Net, facts: Option<&NetFacts>, phase: Phase) -> Vec<Check> {
    let mut checks = vec![name_check(&net.name, &rule.name, codes::NET_NAME)];
    // For a device of another name, only the name is compared.
    if matches!(checks.as_slice(), [Check { fit: Fit::No, .. }]) {
        return checks;
    }
    let check = |code, pattern: &At<Pattern>, fit, what, condition| Check {
        fit,
        code,
        unread: codes::NET_UNREAD,
        what,
        wants: quoted(&pattern.value),
        condition,
        span: pattern.span.clone(),
    };
    if let Some(pattern) = &rule.interface {
        let tap = facts.map(|facts| &facts.tap);
        let fits = |name: &OsStr| pattern.value.fits_name(name.as_bytes());
        let (fit, name) = match &net.interface {
            // Before the tap is attached, the name given is judged. Once the host has reported a
            // name, that one is judged.
            Interface::Tap(name) if !fits(name) || (phase == Phase::Strings && is_unknown(tap)) => {
                (known(fits(name)), os_text(name).into_owned())
            }
            Interface::Tap(_) | Interface::Fd(_) => {
                let name = shown(tap, |name| os_text(name).into_owned());
                (fact(tap, phase, |name| fits(name)), name)
            }
        };
        let what =
            if name.is_empty() { "interface".to_owned() } else { format!("interface '{name}'") };
        let condition = format!("its tap is called {}", quoted(&pattern.value));
        checks.push(check(codes::NET_INTERFACE, pattern, fit, what, condition));
    }
    if let Some(pattern) = &rule.bridge {
        let bridge = facts.map(|facts| &facts.bridge);
        let wants_none = pattern.value.as_str() == NO_BRIDGE;
        let fit = fact(bridge, phase, |bridge| match bridge {
            Some(name) => !wants_none && pattern.value.fits_name(name.as_bytes()),
            None => wants_none,
        });
        let what = shown(bridge, |bridge| match bridge {
            Some(name) => format!("bridge '{}'", os_text(name)),
            None => "a tap without bridge".to_owned(),
        });
        let what = if what.is_empty() { "bridge".to_owned() } else { what };
        let condition = match wants_none {
            true => "its tap is on no bridge".to_owned(),
            false => format!("its tap is on bridge {}", quoted(&pattern.value)),
        };
        checks.push(check(codes::NET_BRIDGE, pattern, fit, what, condition));
    }
    if let Some(allowed) = &rule.descriptor {
        let (fits, what) = match &net.interface {
            Interface::Fd(_) => (true, String::new()),
            Interface::Tap(name) => (false, format!("interface '{}'", os_text(name))),
        };
        checks.push(Check {
            fit: known(fits),
            code: codes::NET_DESCRIPTOR,
            unread: codes::NET_UNREAD,
            what,
            wants: "a descriptor".to_owned(),
            condition: String::new(),
            span: allowed.span.clone(),
        });
    }
    if let Some(pattern) = &rule.mac {
        // A random address differs at each start, so only `*` is sure to fit.
        let (fits, what) = match net.mac {
            Some(mac) => {
                let text = mac.to_string();
                (pattern.value.fits_name(text.as_bytes()), format!("address '{text}'"))
            }
            None => (pattern.value.as_str() == "*", "a random address".to_owned()),
        };
        checks.push(check(codes::NET_MAC, pattern, known(fits), what, String::new()));
    }
    checks
}

/// The answer of a `block` section about one block device.
pub(super) fn block(
    section: &Devices<BlockRule>,
    block: &Block,
    facts: Option<&BlockFacts>,
    phase: Phase,
) -> Verdict {
    judge(section, codes::BLOCK_NAME, |rule| block_standing(rule, block, facts, phase))
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

/// How a device compares with one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The device fits all keys of the rule.
    Fits,
    /// It fits if this condition holds.
    Open(String),
    /// It does not fit.
    Misses(Distance, Vec<Miss>),
}

/// How far a rule is from fitting: whether its name misses, and how many keys do.
pub type Distance = (bool, usize);

/// One key of a rule that a device does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The code of the reason.
    pub code: &'static str,
    /// What is wrong with the device.
    pub message: String,
    /// What the rule wants.
    wants: String,
    span: Range<usize>,
}

impl Standing {
    /// `checks` compares a device with every key of one rule, the name first.
    fn of(checks: Vec<Check>) -> Standing {
        let misses = |check: &Check| matches!(check.fit, Fit::No | Fit::Unread(_));
        let name_misses = checks.first().is_some_and(misses);
        let count = checks.iter().filter(|check| misses(check)).count();
        if count > 0 {
            let missed = checks.into_iter().filter(misses).map(Miss::of);
            return Standing::Misses((name_misses, count), missed.collect());
        }
        let open = checks.into_iter().filter(|check| matches!(check.fit, Fit::Open));
        let conditions: Vec<_> = open.map(|check| check.condition).collect();
        match conditions.is_empty() {
            true => Standing::Fits,
            false => Standing::Open(conditions.join(" and ")),
        }
    }
}

impl Miss {
    fn of(check: Check) -> Miss {
        let Check { fit, code, unread, what, wants, span, .. } = check;
        let (code, message) = match fit {
            Fit::Unread(why) => (unread, format!("{what} cannot be read: {why}")),
            _ => (code, format!("{what} fits no rule")),
        };
        Miss { code, message, wants, span }
    }
}

/// Judges a device by a section's rules; `standing` compares it with one of them. `empty_list` is the
/// code of a denial by a list without rules.
fn judge<Rule>(
    section: &Devices<Rule>,
    empty_list: &'static str,
    standing: impl Fn(&Rule) -> Standing,
) -> Verdict {
    let Some(allow) = &section.allow else {
        // The section only has a limit: every device fits.
        return Verdict::Yes(section.span.clone());
    };
    let mut open: Option<(Alternatives, Range<usize>)> = None;
    let mut closest = Closest::default();
    for rule in &allow.value {
        match standing(&rule.value) {
            Standing::Fits => return Verdict::Yes(rule.span.clone()),
            Standing::Open(condition) => {
                let first = || (Alternatives::default(), rule.span.clone());
                open.get_or_insert_with(first).0.add(&condition);
            }
            Standing::Misses(distance, misses) => closest.add(distance, misses),
        }
    }
    if let Some((conditions, span)) = open {
        return Verdict::If(vec![Provision { message: conditions.joined(", or "), span }]);
    }
    Verdict::No(closest.denials(empty_list, &allow.span))
}

/// The reasons of the rules that come closest: if the name of any rule fits, those whose name fits; and
/// of these, the ones with the fewest keys that do not fit. Other rules are meant for other devices.
#[derive(Default)]
struct Closest {
    distance: Option<Distance>,
    reasons: Vec<(Denial, Alternatives)>,
}

impl Closest {
    /// Adds a rule that does not fit.
    fn add(&mut self, distance: Distance, misses: Vec<Miss>) {
        match self.distance {
            Some(least) if distance > least => return,
            Some(least) if distance == least => {}
            _ => self.reasons.clear(),
        }
        self.distance = Some(distance);
        for Miss { code, message, wants, span } in misses {
            // Rules that miss for the same reason make one reason with all they want.
            match self.reasons.iter_mut().find(|(known, _)| known.message == message) {
                Some((_, wanted)) => wanted.add(&wants),
                None => {
                    let mut wanted = Alternatives::default();
                    wanted.add(&wants);
                    let denial = Denial { code, message, wants: String::new(), span };
                    self.reasons.push((denial, wanted));
                }
            }
        }
    }

    /// The reasons. `empty_list` is the code if the list, which is at `list`, has no rules.
    fn denials(self, empty_list: &'static str, list: &Range<usize>) -> Vec<Denial> {
        if self.distance.is_none() {
            return vec![Denial {
                code: empty_list,
                message: "the list of rules is empty".to_owned(),
                wants: "allows none".to_owned(),
                span: list.clone(),
            }];
        }
        let reasons = self.reasons.into_iter();
        reasons.map(|(denial, wanted)| Denial { wants: wanted.wants(), ..denial }).collect()
    }
}

/// A denial for each limit on the number of devices that a launch exceeds, with its section.
pub(super) fn limits(policy: &Policy, asked: &Asked) -> Vec<(String, Denial)> {
    let limit = |maximum: Option<&At<u64>>, count: usize, section: &str, code| {
        let maximum = maximum?;
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        (count > maximum.value).then(|| {
            let denial = Denial {
                code,
                message: format!("{count} asked for"),
                wants: format!("wants at most {}", maximum.value),
                span: maximum.span.clone(),
            };
            (section.to_owned(), denial)
        })
    };
    let net = policy.net.as_ref().and_then(|section| section.maximum.as_ref());
    let block = policy.block.as_ref().and_then(|section| section.maximum.as_ref());
    [
        limit(net, asked.launch.nets.len(), "net", codes::NET_MAXIMUM),
        limit(block, asked.launch.blocks.len(), "block", codes::BLOCK_MAXIMUM),
    ]
    .into_iter()
    .flatten()
    .collect()
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
