//! A page for browsers: a table of all images, and below each row its segments, findings and budgets.

use std::io::{self, Write};

use maud::{Markup, html};
use solo5_audit::Subject;

use super::printer::{Audited, Counts, Printer, Totals};
use crate::draw;
use crate::html::{
    Pieces, budget_row, controls, finding, left_out, number, page, segments, text, tiles, waived,
};
use crate::inputs::InputError;

/// Columns of the table.
const COLUMNS: usize = 9;

pub(super) struct Html {
    /// How many rules were applied.
    pub(super) rules: usize,
}

impl Printer for Html {
    fn is_whole(&self) -> bool {
        true
    }

    fn image(&self, image: &Audited<'_>, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", entry(image).into_string())
    }

    fn unreadable(&self, file: &InputError, out: &mut dyn Write) -> io::Result<()> {
        let row = html! {
            tbody data-result="unreadable" {
                tr {
                    th scope="row" { (text(&file.name)) }
                    td { span.tag.error { "not readable" } }
                    td colspan=(COLUMNS - 2) { (text(&file.why)) }
                }
            }
        };
        write!(out, "{}", row.into_string())
    }

    fn whole(&self, pieces: &Pieces, totals: &Totals, out: &mut dyn Write) -> io::Result<()> {
        let Totals { images, failed, found, skipped, unreadable } = totals;
        let Counts { errors, warnings, notes, waived } = found;
        let counts = [
            (*images, "", "images"),
            (*failed, "error", "fail"),
            (images.saturating_sub(*failed), "good", "pass"),
            (*errors, "error", "errors"),
            (*warnings, "warning", "warnings"),
            (*notes, "note", "notes"),
            (*waived, "waived", "waived"),
            (*skipped, "", "not ELF"),
            (*unreadable, "error", "not readable"),
        ];
        // Sums of what most audits have none of are shown where there is one.
        let counts = counts.into_iter().enumerate();
        let counts = counts.filter(|(at, (count, ..))| *at < 6 || *count > 0);
        let counts: Vec<(usize, &str, &str)> = counts.map(|(_, count)| count).collect();
        let body = html! {
            (tiles(&counts))
            (left_out(pieces.left_out, images.saturating_add(*unreadable)))
            h2 #images { "Images" }
            (controls("name, device, S201 …", &[
                ("fail", "fails"), ("found", "passes, with findings"), ("clean", "passes"),
                ("unreadable", "not readable"),
            ]))
            table.fleet aria-labelledby="images" {
                thead { tr {
                    th scope="col" { "Image" }
                    th scope="col" { "Result" }
                    th.minor scope="col" { "Target" }
                    th.minor scope="col" { "Devices" }
                    th.number.minor scope="col" { "File" }
                    th.number.minor scope="col" { "Least memory" }
                    th.number scope="col" { "Errors" }
                    th.number scope="col" { "Warnings" }
                    th.number.minor scope="col" { "Notes" }
                } }
                (pieces.markup())
            }
        };
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (rules, title) = (self.rules, format!("Audit of {images} image{}", plural(*images)));
        let from = format!("{rules} rule{} applied", plural(rules));
        write!(out, "{}", page(&title, &from, &body))
    }

    fn closing(&self, _: &Totals, _: &[InputError], _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// An image: its row, and what is known about it.
fn entry(image: &Audited<'_>) -> Markup {
    let Audited { subject, size, findings } = image;
    let counts = Counts::of(findings);
    let (result, class, word) = match (findings.fail(), findings.standing.is_empty()) {
        (true, _) => ("fail", "error", "fails"),
        (false, false) => ("found", "good", "passes"),
        (false, true) => ("clean", "good", "passes"),
    };
    let devices = subject.image().map(draw::devices).unwrap_or_default();
    let memory = subject.least_memory();
    let count = |count: usize, minor| number(u64::try_from(count).ok(), &count.to_string(), minor);
    let size_cell = number(*size, &size.map(draw::bytes).unwrap_or_default(), true);
    let memory_cell = number(memory, &memory.map(mebibytes).unwrap_or_default(), true);
    html! {
        tbody data-result=(result) {
            tr {
                th scope="row" { (text(subject.name())) }
                td { span class={ "tag " (class) } { (word) } }
                td.minor { (target(subject)) }
                td.minor { @for device in &devices { (text(device)) br; } }
                (size_cell)
                (memory_cell)
                (count(counts.errors, false))
                (count(counts.warnings, false))
                (count(counts.notes, true))
            }
            tr.more {
                td colspan=(COLUMNS) {
                    details open[findings.fail()] {
                        summary { "Details of " (text(subject.name())) }
                        div.card { (details(image, &devices)) }
                    }
                }
            }
        }
    }
}

/// Memory as a tender's `--mem` is given: rounded up.
fn mebibytes(memory: u64) -> String {
    format!("{} MiB", memory.div_ceil(1 << 20))
}

fn details(image: &Audited<'_>, devices: &[String]) -> Markup {
    let Audited { subject, size, findings } = image;
    let memory =
        subject.least_memory().map(|memory| format!("at least {} of memory", mebibytes(memory)));
    let facts = [target(subject)].into_iter().chain(size.map(draw::bytes)).chain(memory);
    let facts: Vec<String> = facts.chain(devices.iter().cloned()).collect();
    html! {
        h3 { "Image" }
        p { (text(facts.join(" · "))) }
        @if !findings.standing.is_empty() || !findings.waived.is_empty() {
            h3 { "Findings" }
            ul.findings {
                @for found in &findings.standing { (finding(found)) }
                @for (found, by) in &findings.waived { (waived(found, &by.justification())) }
            }
        }
        @if !subject.budgets().is_empty() {
            h3 { "Budgets" }
            div.scroll {
                table.lines aria-label="Budgets" {
                    thead { tr {
                        th scope="col" { "What" }
                        th.number scope="col" { "Size" }
                        th.number scope="col" { "Budget" }
                        th scope="col" { "Result" }
                        th scope="col" { "Used" }
                    } }
                    tbody { @for budget in subject.budgets() { (budget_row(subject, budget)) } }
                }
            }
        }
        (segments(subject, &findings.standing))
    }
}

/// Target, version of the ABI, and machine.
fn target(subject: &Subject<'_>) -> String {
    let Some(image) = subject.image() else {
        return String::from("no unikernel image");
    };
    let abi = image.abi().map_or_else(
        |_| String::from("no ABI note"),
        |abi| format!("{} ABI {}", abi.target_name(), abi.version()),
    );
    format!("{abi}, {}", image.arch().name())
}
