//! `audit`: the rules over any number of images, in parallel. In memory at a time are a few images'
//! headers and findings for each thread, however many images there are.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread::available_parallelism;

use indicatif::{ProgressBar, ProgressStyle};
use solo5_audit::{RULES, Selection, Subject};
use solo5_image::{ReadAt, ReadError, elf};
use solo5_launch::FileOrFd;
use solo5_report::{Colour, Severity};

use crate::cli::{AuditOptions, FAILED};
use crate::files::{complain, open, print, reason};
use crate::formats::{Audited, Counts, Printer, Totals};
use crate::inputs::{Input, List, Trouble, inputs};
use crate::parallel::in_order;
use crate::policies;
use crate::waive::Scales;

/// Most unreadable files that the end of a report lists.
const UNREADABLE_MAX: usize = 1000;

/// What came of one input.
enum Outcome {
    /// An image: its piece of the report, its findings, and whether they make the audit fail.
    Audited(String, Counts, bool),
    /// A file in a folder that is not ELF.
    Skipped,
    /// Nothing that can be read.
    Unreadable(Trouble),
}

pub(crate) fn run(program: &str, options: &AuditOptions) -> u8 {
    let selection = Selection {
        select: options.select.clone(),
        all: options.all,
        ignore: options.ignore.clone(),
        least: None,
    };
    if let Some(unknown) = unknown_prefix(options) {
        complain(program, format_args!("no rule starts with '{unknown}'; see `explain`"));
        return FAILED;
    }
    let given: Vec<FileOrFd> =
        options.policy.iter().map(|path| FileOrFd::Path(path.into())).collect();
    let policies = match policies::load(&given, false) {
        Ok(policies) => policies,
        Err(text) => {
            eprint!("{text}");
            return FAILED;
        }
    };
    let rules = RULES.iter().filter(|rule| selection.selects(rule));
    let printer = Printer {
        format: options.format,
        colour: Colour::detect(&io::stdout()),
        rules: rules.collect(),
    };
    let scales = Scales {
        selection,
        budgets: options.budget.clone(),
        fail_on: Severity::from(options.fail_on),
        policies,
        today: policies::today(),
    };
    let files_from = options.files_from.iter().cloned();
    let lists: Vec<List> = files_from.map(|file| List { file, null: options.null }).collect();
    let threads =
        options.jobs.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let progress = progress();
    let mut totals = Totals::default();
    let mut fails = false;
    let mut pieces = 0_usize;
    let mut unreadable = Vec::new();
    let mut status = print(program, &printer.opening(), 0, FAILED);
    in_order(
        threads,
        inputs(options.images.clone(), lists),
        |input| look(input, &scales, &printer),
        |outcome| {
            let piece = match outcome {
                Outcome::Skipped => {
                    totals.skipped += 1;
                    return;
                }
                Outcome::Unreadable(Trouble { name, why }) => {
                    progress.suspend(|| complain(program, format_args!("{name}: {why}")));
                    totals.unreadable += 1;
                    let piece = printer.unreadable(&name, &why);
                    if unreadable.len() < UNREADABLE_MAX {
                        unreadable.push((name, why));
                    }
                    piece
                }
                Outcome::Audited(piece, counts, failed) => {
                    fails |= failed;
                    totals.add(&counts);
                    piece
                }
            };
            progress.inc(1);
            if !piece.is_empty() {
                let separator = if pieces > 0 { printer.separator() } else { "" };
                pieces += 1;
                status = status.max(print(program, &(separator.to_owned() + &piece), 0, FAILED));
            }
        },
    );
    progress.finish_and_clear();
    let closing = printer.closing(&totals, &unreadable);
    status = status.max(print(program, &closing, 0, FAILED));
    if status != 0 || totals.unreadable > 0 {
        FAILED
    } else {
        u8::from(fails && !options.exit_zero)
    }
}

fn unknown_prefix(options: &AuditOptions) -> Option<&String> {
    let mut prefixes = options.select.iter().chain(&options.ignore);
    prefixes.find(|prefix| {
        let prefix = prefix.to_ascii_uppercase();
        prefix.is_empty() || !RULES.iter().any(|rule| rule.code.starts_with(&prefix))
    })
}

/// A count of images on standard error, if a person sees it and no results there.
fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    // How many there will be is not known: inputs are found on the way.
    let style = ProgressStyle::with_template("{spinner} {human_pos} images, {per_sec}, {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn look(input: Result<Input, Trouble>, scales: &Scales, printer: &Printer) -> Outcome {
    let input = match input {
        Ok(input) => input,
        Err(trouble) => return Outcome::Unreadable(trouble),
    };
    let name = input.path.to_string_lossy();
    let (file, size) = match readable(&input.path) {
        Ok(found) => found,
        Err(why) => {
            let name = name.into_owned();
            return Outcome::Unreadable(Trouble { name, why });
        }
    };
    if !input.named && is_elf(&file) == Ok(false) {
        return Outcome::Skipped;
    }
    let subject = Subject::new(&name, &file).with_budgets(&scales.budgets);
    let findings = scales.weigh(&input.path, &file, &subject);
    let piece = printer.image(&Audited { subject: &subject, size, findings: &findings });
    Outcome::Audited(piece, Counts::of(&findings), findings.fail())
}

/// Whether a file starts as an ELF file does.
pub(crate) fn is_elf(file: &File) -> Result<bool, ReadError> {
    let mut magic = [0; elf::MAGIC.len()];
    let got = file.read_at(0, &mut magic)?;
    Ok(got == magic.len() && magic == elf::MAGIC)
}

/// Opens an image and says how long it is.
pub(crate) fn readable(path: &Path) -> Result<(File, Option<u64>), String> {
    let file = open(path).map_err(|error| reason(&error))?;
    let metadata = file.metadata().map_err(|error| reason(&error))?;
    if metadata.is_dir() {
        return Err(String::from("is a folder; name the images in it"));
    }
    let size = metadata.is_file().then_some(metadata.len());
    Ok((file, size))
}
