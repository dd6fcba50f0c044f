//! `audit`: applies the rules to any number of images, in parallel. Memory is bounded: each thread
//! holds the headers and findings of a few images. A page is held whole, and has a bound.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};
use solo5_audit::{Budget, Measure, RULES, Selection, Subject, measure};
use solo5_report::{Colour, Severity};
use solo5_source::size;

use crate::console::{Console, Exit, Failure};
use crate::files::{is_elf, name, readable};
use crate::html::Pieces;
use crate::inputs::{Input, InputError, List, inputs};
use crate::options::Level;
use crate::parallel::in_order;
use crate::policy_files::{Host, given, load, today};
use crate::printers::{AuditFormat, Audited, Counts, Printer, Totals, printer};
use crate::waive::Criteria;

/// Most unreadable files that the end of a report lists.
const UNREADABLE_MAX: usize = 1000;

#[derive(Debug, clap::Args)]
pub(crate) struct AuditOptions {
    /// Images, folders of images, and patterns such as 'dist/**/*.spt'
    #[arg(required_unless_present = "files_from")]
    images: Vec<PathBuf>,
    /// Take further names from this file, one a line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    files_from: Vec<PathBuf>,
    /// Names in --files-from end with NUL, as `find -print0` writes them
    #[arg(short = '0', long, requires = "files_from")]
    null: bool,
    /// How many images to look at in parallel; one per processor unless given
    #[arg(short, long, value_name = "NUMBER")]
    jobs: Option<NonZeroUsize>,
    /// The least severity that makes the audit fail
    #[arg(long, value_enum, default_value = "error")]
    fail_on: Level,
    /// Apply only rules whose code starts with this, such as S2 or S201
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    select: Vec<String>,
    /// Apply every rule, including the optional families S4 and S5
    #[arg(long, conflicts_with = "select")]
    all: bool,
    /// Leave out rules whose code starts with this, except where they find errors
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Report (S503) if `loaded`, `memory` or a section is larger, such as `.text=300KiB`
    #[arg(long, value_name = "WHAT=SIZE", value_parser = budget)]
    budget: Vec<Budget>,
    /// Take waivers, and what to fail on besides --fail-on, from `audit` of this policy
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Exit 0 whatever is found
    #[arg(long)]
    exit_zero: bool,
    /// How to print findings
    #[arg(long, value_enum, default_value_t)]
    format: AuditFormat,
}

/// The outcome of one input.
enum Outcome {
    /// An image: its piece of the report, its findings, whether they make the audit fail, and which
    /// budgets are for something that it has.
    Audited(Vec<u8>, Counts, bool, Vec<bool>),
    /// A file in a folder that is not ELF.
    Skipped,
    /// A file that cannot be read.
    Unreadable(InputError),
}

impl AuditOptions {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let criteria = self.criteria()?;
        let rules = RULES.iter().filter(|rule| criteria.selection.selects(rule)).collect();
        let printer = printer(self.format, Colour::detect(&io::stdout()), rules);
        let files_from = self.files_from.iter().cloned();
        let lists: Vec<List> = files_from.map(|file| List { file, null: self.null }).collect();
        let threads =
            self.jobs.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let progress = progress();
        let mut report = Report {
            printer: &*printer,
            totals: Totals::default(),
            pieces: 0,
            held: printer.is_whole().then(Pieces::default),
        };
        let mut fails = false;
        // By budget: whether no image has had what it is for.
        let mut unused: Option<Vec<bool>> = None;
        let mut unreadable = Vec::new();
        let mut written = console.stream(|out| printer.opening(out));
        in_order(
            threads,
            inputs(self.images.clone(), lists),
            |input| look(input, &criteria, &*printer),
            |outcome| {
                let piece = match outcome {
                    Outcome::Skipped => {
                        report.totals.skipped += 1;
                        return;
                    }
                    Outcome::Unreadable(unusable) => {
                        progress.suspend(|| console.say(&unusable));
                        report.totals.unreadable += 1;
                        let piece = piece(|out| printer.unreadable(&unusable, out));
                        if unreadable.len() < UNREADABLE_MAX {
                            unreadable.push(unusable);
                        }
                        piece
                    }
                    Outcome::Audited(piece, counts, failed, has) => {
                        fails |= failed;
                        let unused = unused.get_or_insert_with(|| vec![true; has.len()]);
                        unused.iter_mut().zip(has).for_each(|(unused, has)| *unused &= !has);
                        report.totals.add(&counts, failed);
                        piece
                    }
                };
                progress.inc(1);
                if written.is_ok() {
                    written = report.piece(console, &piece);
                }
            },
        );
        progress.finish_and_clear();
        written?;
        console.stream(|out| match &report.held {
            Some(pieces) => printer.whole(pieces, &report.totals, out),
            None => printer.closing(&report.totals, &unreadable, out),
        })?;
        for (budget, _) in self.budget.iter().zip(unused.into_iter().flatten()).filter(|one| one.1)
        {
            if let Measure::Section(name) = &budget.what {
                console.say(format_args!(
                    "no image has a section '{name}', so its budget limits nothing"
                ));
            }
        }
        // A list may be empty: it says what there is to audit.
        let nothing = !self.images.is_empty() && report.totals.images == 0;
        if nothing && report.totals.unreadable == 0 {
            console.say("nothing was audited: no ELF file was found");
        }
        Ok(if report.totals.unreadable > 0 || nothing {
            Exit::Incomplete
        } else {
            Exit::objection_if(fails && !self.exit_zero)
        })
    }

    fn criteria(&self) -> Result<Criteria, Failure> {
        if let Some(unknown) = self.unknown_prefix() {
            let text = format!("no rule starts with '{unknown}'; see `explain`");
            return Err(Failure::Cannot(text));
        }
        Ok(Criteria {
            selection: Selection {
                select: self.select.clone(),
                all: self.all,
                // Without this rule a budget would have no effect.
                also: if self.budget.is_empty() { Vec::new() } else { vec!["S503"] },
                ignore: self.ignore.clone(),
                least: None,
            },
            budgets: self.budget.clone(),
            fail_on: Severity::from(self.fail_on),
            policies: load(&given(&self.policy), &Host::None).map_err(Failure::Wrong)?,
            today: today(),
        })
    }

    fn unknown_prefix(&self) -> Option<&String> {
        let mut prefixes = self.select.iter().chain(&self.ignore);
        prefixes.find(|prefix| {
            let prefix = prefix.to_ascii_uppercase();
            prefix.is_empty() || !RULES.iter().any(|rule| rule.code.starts_with(&prefix))
        })
    }
}

/// A report that is being printed.
struct Report<'p> {
    printer: &'p dyn Printer,
    totals: Totals,
    /// How many pieces were printed that are not empty.
    pieces: usize,
    /// The pieces of a format that is printed whole.
    held: Option<Pieces>,
}

impl Report<'_> {
    fn piece(&mut self, console: &Console, piece: &[u8]) -> Result<(), Failure> {
        if piece.is_empty() {
            return Ok(());
        }
        if let Some(held) = &mut self.held {
            held.add(&String::from_utf8_lossy(piece));
            return Ok(());
        }
        let separator = if self.pieces > 0 { self.printer.separator() } else { "" };
        self.pieces += 1;
        console.stream(|out| {
            out.write_all(separator.as_bytes())?;
            out.write_all(piece)
        })
    }
}

/// What `print` writes, in memory: pieces are made in parallel and printed in order.
fn piece(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _ = print(&mut out);
    out
}

/// A progress counter on standard error, if that is a terminal and standard output is not.
fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    // The total is unknown: inputs are found while others are audited.
    let style =
        ProgressStyle::with_template("{spinner} {human_pos} images, {rate} a second, {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        // A rate of less than one is shown as none; a count goes on beside it.
        let _ = write!(out, "{}", HumanCount(state.per_sec() as u64));
    };
    ProgressBar::new_spinner().with_style(style.with_key("rate", rate))
}

fn look(input: Result<Input, InputError>, criteria: &Criteria, printer: &dyn Printer) -> Outcome {
    let input = match input {
        Ok(input) => input,
        Err(unusable) => return Outcome::Unreadable(unusable),
    };
    let (file, size) = match readable(&input.path) {
        Ok(found) => found,
        Err(why) => return Outcome::Unreadable(InputError::new(&input.path, why)),
    };
    if !input.named && is_elf(&file) == Ok(false) {
        return Outcome::Skipped;
    }
    let name = name(&input.path);
    let subject = Subject::new(&name, &file).with_budgets(&criteria.budgets);
    let findings = criteria.audit(&input.path, &file, &subject);
    let image = Audited { subject: &subject, size, findings: &findings };
    let piece = piece(|out| printer.image(&image, out));
    let has = |budget: &Budget| measure(&subject, &budget.what).is_some();
    let has = criteria.budgets.iter().map(has).collect();
    Outcome::Audited(piece, Counts::of(&findings), findings.fail(), has)
}

/// Reads `WHAT=SIZE`.
fn budget(text: &str) -> Result<Budget, String> {
    let (what, size) = text.split_once('=').ok_or("write WHAT=SIZE")?;
    let bytes = size::parse(size)
        .map_err(|_| format!("'{size}' is not a size; write a number and KiB, MiB or GiB"))?;
    let what = match what {
        "loaded" => Measure::Loaded,
        "memory" => Measure::Memory,
        name if name.starts_with('.') => Measure::Section(name.to_owned()),
        _ => {
            return Err(String::from("WHAT is loaded, memory, or the name of a section"));
        }
    };
    Ok(Budget { what, bytes })
}
