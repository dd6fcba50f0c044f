//! `check --plan`: every launch of a plan, and the conflicts between them.
//!
//! Each unikernel is judged as `check` judges one image. [`Plan::conflicts`] finds the conflicts;
//! this host tells which paths lead to the same file.

mod report;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target};
use solo5_image::Image;
use solo5_launch::{Access, guest_memory};
use solo5_policies::codes;
use solo5_policies::plan::{self, Block, Identity, Plan, Sums, Unikernel};
use solo5_policy::Outcome;
use solo5_policy::model::At;
use solo5_report::escape::shell_word;
use solo5_report::{Colour, Diagnostic, Severity, human, one_line, os_text};
use solo5_source::size;

use crate::admit;
use crate::ask::{Answer, Question, ask};
use crate::console::{Console, Exit, Failure};
use crate::files::{name, read, readable};
use crate::guest_words::Tender;
use crate::options::ReportFormat;
use crate::policy_files::{Host, Lists, given};
use report::{Planned, Report, SumShown, SumsShown};

/// The options of `check --plan`.
pub(crate) struct PlanOptions<'o> {
    /// The plan.
    pub(crate) plan: &'o Path,
    /// Policies to ask besides the plan's own.
    pub(crate) policies: &'o [PathBuf],
    /// Folder with the policies of another host.
    pub(crate) host: Option<&'o Path>,
    /// Where to write what is admitted.
    pub(crate) lock: Option<&'o Path>,
    /// Whether to show the plan as a table.
    pub(crate) explain: bool,
    pub(crate) format: ReportFormat,
}

/// A device that an image declares.
struct Declared {
    kind: DeviceType,
    name: String,
    optional: bool,
    read_only: bool,
}

/// A unikernel of the plan with what was found out about it.
struct Entry<'p> {
    unikernel: &'p Unikernel,
    path: PathBuf,
    /// The target of the image, if there is a tender for it.
    target: Option<Target>,
    devices: Vec<Declared>,
    answer: Answer,
    /// The arguments of its tender, without policies and the image.
    words: Vec<OsString>,
    policies: Vec<PathBuf>,
}

pub(crate) fn run(console: &Console, options: &PlanOptions<'_>) -> Result<Exit, Failure> {
    let path = options.plan;
    let bytes = read(path).map_err(|why| Failure::of(path, why))?;
    let plan = plan::read(&name(path), &bytes).map_err(Failure::Wrong)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut findings, mut lists) = (Vec::new(), Lists::new(console));
    let entries: Vec<Entry<'_>> = plan
        .unikernels
        .iter()
        .map(|unikernel| look(&plan, unikernel, folder, options, &mut lists, &mut findings))
        .collect();
    let access = |index: usize, number: usize| {
        let entry = entries.get(index);
        let access =
            entry.and_then(|entry| Some(entry.access(entry.unikernel.blocks.get(number)?)));
        access.unwrap_or(Access::ReadWrite)
    };
    let sums = plan.sums(|index| entries.get(index).map_or(0, Entry::memory));
    findings.extend(plan.conflicts(access, identity, sums));
    let place = |found: &Diagnostic| found.labels.first().map_or(0, |label| label.span.start);
    findings.sort_by_key(place);

    let mut exit = Exit::Clean;
    let mut admitted = BTreeMap::new();
    for entry in &entries {
        exit = exit.max(entry.answer.exit());
        admitted.extend(entry.answer.admission(&entry.path));
        if let Answer::Failed(why) = &entry.answer {
            let (name, image) = (&entry.unikernel.name.value, name(&entry.path));
            console.say(format_args!("{name}: {image}: {why}"));
        }
    }
    let errors = findings.iter().filter(|found| found.severity == Severity::Error).count();
    exit = exit.max(Exit::objection_if(errors > 0));
    match options.format {
        ReportFormat::Json => {
            console.print_json(&report(&plan, &entries, sums, &findings, exit))?;
        }
        ReportFormat::Html => {
            console.print(&report(&plan, &entries, sums, &findings, exit).page())?;
        }
        ReportFormat::Human => {
            let mut text = String::new();
            if options.explain {
                text += &table(&plan, &entries, sums);
                text.push('\n');
            }
            for entry in &entries {
                text += &entry.answer.human(&entry.unikernel.name.value);
            }
            if !findings.is_empty() {
                text.push('\n');
                text += &human::human(&findings, Colour::detect(&io::stdout()));
                text.push('\n');
            }
            console.print(&(text + &closing(&plan, &entries, sums, errors)))?;
        }
    }
    let asked = entries.iter().any(|entry| matches!(entry.answer, Answer::Decided(_)));
    admit::record(console, options.lock, &admitted, exit, asked)?;
    Ok(exit)
}

/// Examines an image and judges its launch. Devices of the plan that the image does not have go to
/// `findings`.
fn look<'p>(
    plan: &Plan,
    unikernel: &'p Unikernel,
    folder: &Path,
    options: &PlanOptions<'_>,
    lists: &mut Lists<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Entry<'p> {
    let path = folder.join(&unikernel.image.value);
    let named = plan.policies.iter().chain(&unikernel.policies);
    let named = named.map(|policy| folder.join(&policy.value));
    let policies: Vec<PathBuf> = options.policies.iter().cloned().chain(named).collect();
    let words = plan.words(unikernel).into_iter();
    let words: Vec<OsString> = words.map(OsString::from).collect();
    let (mut target, mut devices, mut wrong) = (None, Vec::new(), Vec::new());
    // If the file is no image or a broken one, `examine` reports that.
    if let Ok((file, _)) = readable(&path)
        && let Ok(image) = Image::read(&file, &Arch::ALL)
        && let Some(declared) = all_declared(&image)
    {
        target = image.target().filter(|target| target.starter().is_some());
        devices = declared;
        wrong = undeclared(plan, unikernel, &devices);
    }
    let answer = if wrong.is_empty() {
        let policies = given(&policies);
        let host = &Host::asked(options.host, !policies.is_empty());
        let (path, words, policies) = (&path, &words[..], &policies[..]);
        let (tender, lock) = (Tender::Plain, options.lock);
        let question = Question { path, words, tender, policies, host, lock };
        ask(&question, lists)
    } else {
        Answer::Cannot(wrong.iter().map(|found| found.message.clone()).collect())
    };
    findings.extend(wrong);
    Entry { unikernel, path, target, devices, answer, words, policies }
}

/// The devices an image declares; `None` if that cannot be read.
fn all_declared(image: &Image) -> Option<Vec<Declared>> {
    let (manifest, properties) = (image.checked_manifest().ok()?, image.properties().ok()?);
    let devices = manifest.devices().filter_map(|(index, entry)| {
        let properties = properties.as_ref().map(|all| all.device(index));
        let properties = properties.unwrap_or_default();
        Some(Declared {
            kind: entry.kind()?,
            name: entry.name().to_owned(),
            optional: properties.optional,
            read_only: properties.read_only,
        })
    });
    Some(devices.collect())
}

fn declared<'d>(
    devices: &'d [Declared],
    kind: DeviceType,
    name: &At<String>,
) -> Option<&'d Declared> {
    devices.iter().find(|device| device.kind == kind && device.name == name.value)
}

/// Devices that the plan attaches or declines and the image does not declare, and declined devices
/// that the image needs.
fn undeclared(plan: &Plan, unikernel: &Unikernel, devices: &[Declared]) -> Vec<Diagnostic> {
    let Unikernel { nets, blocks, without_nets, without_blocks, .. } = unikernel;
    let (net, block) = (DeviceType::NetBasic, DeviceType::BlockBasic);
    let attached = nets.iter().map(|one| (net, &one.name, false));
    let attached = attached.chain(blocks.iter().map(|one| (block, &one.name, false)));
    let declined = without_nets.iter().map(|name| (net, name, true));
    let declined = declined.chain(without_blocks.iter().map(|name| (block, name, true)));
    let wrong = attached.chain(declined).filter_map(|(kind, name, declines)| {
        let kind_name = word(kind);
        let image = &unikernel.image.value;
        let diagnostic = match declared(devices, kind, name) {
            Some(device) if !declines || device.optional => return None,
            Some(_) => {
                let message = format!("{image} cannot go without {kind_name} '{}'", name.value);
                let help = "attach something to it; the manifest does not call it optional";
                Diagnostic::error(codes::NOT_OPTIONAL, message).with_help(help)
            }
            None => {
                let of_kind = devices.iter().filter(|device| device.kind == kind);
                let names: Vec<&str> = of_kind.map(|device| device.name.as_str()).collect();
                let message = format!("{image} declares no {kind_name} '{}'", name.value);
                let help = if names.is_empty() {
                    format!("it declares no {kind_name} device; remove this")
                } else {
                    format!("it declares {}", names.join(", "))
                };
                Diagnostic::error(codes::UNDECLARED, message).with_help(help)
            }
        };
        Some(diagnostic.label(&plan.source, name.span.clone(), ""))
    });
    wrong.collect()
}

const fn word(kind: DeviceType) -> &'static str {
    match kind {
        DeviceType::NetBasic => "net",
        DeviceType::BlockBasic => "block",
    }
}

/// What a path leads to on this host, links followed.
fn identity(path: &str) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    if found.file_type().is_block_device() {
        return Some(Identity::Device(found.rdev()));
    }
    Some(Identity::File(found.dev(), found.ino()))
}

impl Entry<'_> {
    /// The verdict in a word or two.
    fn verdict(&self) -> String {
        match &self.answer {
            Answer::Failed(_) => String::from("not asked"),
            Answer::Cannot(_) => String::from("cannot start"),
            Answer::Decided(found) => match found.decision.outcome {
                Outcome::Allowed => String::from("allowed"),
                Outcome::Conditional => match found.decision.conditions.len() {
                    1 => String::from("allowed on 1 condition"),
                    count => format!("allowed on {count} conditions"),
                },
                Outcome::Denied => {
                    let reasons = found.decision.reasons.iter();
                    let mut codes: Vec<&str> = reasons.map(|reason| reason.code).collect();
                    codes.dedup();
                    format!("denied {}", codes.join(" "))
                }
            },
        }
    }

    /// Bytes of memory that its guest gets, as far as the target is known.
    fn memory(&self) -> u64 {
        let (asked, nets) = (self.unikernel.memory.value, !self.unikernel.nets.is_empty());
        let given = self.target.map(|target| guest_memory(target, asked, nets));
        given.map_or(asked, |given| given.unwrap_or_else(|too_much| too_much.bytes))
    }

    /// The access it gets to a block device.
    fn access(&self, block: &Block) -> Access {
        let declared = declared(&self.devices, DeviceType::BlockBasic, &block.name);
        if declared.is_some_and(|device| device.read_only) {
            Access::ReadOnly
        } else {
            block.access
        }
    }

    /// The command that starts it; `None` if no tender starts its image.
    fn command(&self) -> Option<Vec<OsString>> {
        let tender = self.target?.starter()?;
        let policies = self.policies.iter().map(|path| {
            let mut option = OsString::from("--policy=");
            option.push(path);
            option
        });
        let mut words = self.words.iter().cloned();
        let options: Vec<OsString> = words.by_ref().take_while(|word| word != "--").collect();
        let image = [OsString::from("--"), self.path.clone().into_os_string()];
        let command = std::iter::once(OsString::from(tender))
            .chain(policies)
            .chain(options)
            .chain(image)
            .chain(words);
        Some(command.collect())
    }

    fn nets(&self) -> Vec<String> {
        let nets = &self.unikernel.nets;
        let attached = nets.iter().map(|net| format!("{}={}", net.name.value, net.tap.value));
        let without = self.unikernel.without_nets.iter();
        attached.chain(without.map(|name| format!("{} none", name.value))).collect()
    }

    fn blocks(&self) -> Vec<String> {
        let attached = self.unikernel.blocks.iter().map(|block| {
            let access = match self.access(block) {
                Access::ReadOnly => "ro",
                Access::ReadWrite => "rw",
            };
            format!("{}={} {access}", block.name.value, block.path.value)
        });
        let without = self.unikernel.without_blocks.iter();
        attached.chain(without.map(|name| format!("{} none", name.value))).collect()
    }
}

/// `3 of 4`, or `3` where there is no limit.
fn of(sum: String, limit: Option<String>) -> String {
    match limit {
        Some(limit) => format!("{sum} of {limit}"),
        None => sum,
    }
}

/// The plan as a table, then the commands that start its unikernels.
fn table(plan: &Plan, entries: &[Entry<'_>], sums: Sums) -> String {
    let cell = |text: &str| vec![text.to_owned()];
    let head = ["unikernel", "image", "memory", "net", "block", "verdict"];
    let mut rows: Vec<[Vec<String>; 6]> = vec![head.map(cell)];
    for entry in entries {
        let unikernel = entry.unikernel;
        rows.push([
            cell(&unikernel.name.value),
            cell(&unikernel.image.value),
            cell(&size::display(entry.memory())),
            entry.nets(),
            entry.blocks(),
            cell(&entry.verdict()),
        ]);
    }
    let limits = &plan.limits;
    let number = |limit: &Option<At<u64>>| limit.as_ref().map(|limit| limit.value.to_string());
    let most = limits.memory.as_ref().map(|limit| size::display(limit.value));
    rows.push([
        cell("in sum"),
        cell(&of(sums.unikernels.to_string(), number(&limits.unikernels))),
        cell(&of(size::display(sums.memory), most)),
        cell(&of(sums.net.to_string(), number(&limits.net))),
        cell(&of(sums.block.to_string(), number(&limits.block))),
        cell(""),
    ]);
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            let longest = cell.iter().map(|line| one_line(line).chars().count()).max();
            *width = longest.unwrap_or(0).max(*width);
        }
    }
    let mut out = String::new();
    for row in &rows {
        let lines = row.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for line in 0..lines {
            let cells = row.iter().zip(widths).map(|(cell, width)| {
                let text = cell.get(line).map(|text| one_line(text)).unwrap_or_default();
                format!("{text:<width$}")
            });
            let cells: Vec<String> = cells.collect();
            out += cells.join("  ").trim_end();
            out.push('\n');
        }
    }
    let commands = entries.iter().filter_map(Entry::command);
    let commands = commands.map(|command| {
        let words: Vec<String> = command.iter().map(|word| shell_word(word)).collect();
        words.join(" ") + "\n"
    });
    let commands: String = commands.collect();
    if !commands.is_empty() {
        out.push('\n');
    }
    out + &commands
}

/// The summary line.
fn closing(plan: &Plan, entries: &[Entry<'_>], sums: Sums, errors: usize) -> String {
    let Sums { unikernels, memory, .. } = sums;
    let name = plan.name.as_deref().unwrap_or("plan");
    let count = |is: fn(&Answer) -> bool| entries.iter().filter(|entry| is(&entry.answer)).count();
    let failed = count(|answer| matches!(answer, Answer::Failed(_)));
    let cannot = count(|answer| matches!(answer, Answer::Cannot(_)));
    let outcome = |wanted: Outcome| {
        let outcomes = entries.iter().filter_map(|entry| match &entry.answer {
            Answer::Decided(found) => Some(found.decision.outcome),
            _ => None,
        });
        outcomes.filter(|outcome| *outcome == wanted).count()
    };
    let parts: Vec<String> = [
        (outcome(Outcome::Allowed), "allowed"),
        (outcome(Outcome::Conditional), "allowed under conditions"),
        (outcome(Outcome::Denied), "denied"),
        (cannot, "cannot start"),
        (failed, "not asked"),
        (errors, if errors == 1 { "error in the plan" } else { "errors in the plan" }),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let plural = if unikernels == 1 { "" } else { "s" };
    format!(
        "{}: {unikernels} unikernel{plural}, {}: {}\n",
        one_line(name),
        size::display(memory),
        parts.join(", ")
    )
}

fn report<'p>(
    plan: &'p Plan,
    entries: &[Entry<'p>],
    sums: Sums,
    findings: &'p [Diagnostic],
    exit: Exit,
) -> Report<'p> {
    let unikernels = entries.iter().map(|entry| Planned {
        answer: entry.answer.shown(),
        image: name(&entry.path),
        name: &entry.unikernel.name.value,
        memory: entry.memory(),
        command: entry
            .command()
            .map(|words| words.iter().map(|word| os_text(word).into_owned()).collect()),
    });
    let limits = &plan.limits;
    let shown = |sum: u64, limit: &Option<At<u64>>| SumShown {
        sum,
        limit: limit.as_ref().map(|limit| limit.value),
    };
    Report {
        plan: &plan.source.name,
        name: plan.name.as_deref(),
        passed: exit == Exit::Clean,
        unikernels: unikernels.collect(),
        findings,
        sums: SumsShown {
            unikernels: shown(sums.unikernels, &limits.unikernels),
            memory: shown(sums.memory, &limits.memory),
            net: shown(sums.net, &limits.net),
            block: shown(sums.block, &limits.block),
        },
    }
}
