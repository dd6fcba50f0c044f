//! Segments in memory, and sizes beside their limits, drawn to scale.
//!
//! Geometry is in attributes of SVG in percent, so it needs no inline style, which the page's policy on content
//! forbids, and its letters keep their size when the page gets narrow.

use maud::{Markup, html};
use solo5_audit::{Budget, Measure, Subject, measure};
use solo5_image::ProgramHeader;
use solo5_image::elf::{PF_W, PF_X};
use solo5_report::Diagnostic;

use super::page::text;
use crate::draw;

/// Most segments that are drawn.
const SEGMENTS_MAX: usize = 32;
/// Parts of a percent in a length.
const THOUSANDTHS: u128 = 1000;
/// The least width, in thousandths of a percent, in which letters fit.
const LETTERS: u128 = 9 * THOUSANDTHS;
/// The least width of a segment: one that is drawn to scale may be too thin to see.
const HAIR: u128 = THOUSANDTHS / 4;

/// The segments of an image that are loaded: a map, and a table with the codes of `findings` in each.
pub(crate) fn segments(subject: &Subject<'_>, findings: &[Diagnostic]) -> Markup {
    let all = subject.image().map_or(&[][..], |image| image.segments());
    let loads = || all.iter().enumerate().filter(|(_, header)| header.is_load());
    let drawn: Vec<(usize, &ProgramHeader)> = loads().take(SEGMENTS_MAX).collect();
    let further = loads().count().saturating_sub(drawn.len());
    let low = drawn.iter().map(|(_, header)| header.p_vaddr).min().unwrap_or(0);
    let high = drawn.iter().map(|(_, header)| end(header)).max().unwrap_or(0);
    html! {
        @if !drawn.is_empty() {
            h3 { "Memory" }
            svg.map width="100%" height="36" role="img"
                aria-label={ "Segments in memory from " (address(u128::from(low))) " to " (address(high)) "; the table below has them" } {
                @for (_, header) in &drawn { (drawn_segment(header, u128::from(low), high)) }
            }
            div.ends aria-hidden="true" { span { (address(u128::from(low))) } span { (address(high)) } }
            div.scroll {
                table.lines aria-label="Segments" {
                    thead { tr {
                        th scope="col" { "Rights" }
                        th scope="col" { "Address" }
                        th scope="col" { "Holds" }
                        th.number scope="col" { "Memory" }
                        th.number scope="col" { "File" }
                        th scope="col" { "Found" }
                    } }
                    tbody {
                        @for (index, header) in &drawn {
                            tr {
                                td { span class={ "rights " (class(header)) } { (draw::rights(header.p_flags)) } }
                                td { code { (address(u128::from(header.p_vaddr))) } }
                                td { (draw::segment_name(subject, header)) }
                                td.number { (draw::bytes(header.p_memsz)) }
                                td.number { (draw::bytes(header.p_filesz)) }
                                td { (draw::codes_in(findings, *index).join(" ")) }
                            }
                        }
                    }
                }
            }
            @if further > 0 { p.quiet { (further) " further segments are not drawn." } }
        }
    }
}

fn drawn_segment(header: &ProgramHeader, low: u128, high: u128) -> Markup {
    let span = high.saturating_sub(low);
    let from = share(u128::from(header.p_vaddr).saturating_sub(low), span);
    let width = share(u128::from(header.p_memsz), span).max(HAIR);
    let rights = draw::rights(header.p_flags);
    html! {
        rect class=(class(header)) x=(percent(from)) y="0" width=(percent(width)) height="36" {
            title { (rights) " at " (address(u128::from(header.p_vaddr))) ", " (draw::bytes(header.p_memsz)) }
        }
        @if width >= LETTERS {
            text class=(class(header)) x=(percent(from + width / 2)) y="22" { (rights) }
        }
    }
}

/// A size beside its limit: a bar that is full at the limit.
pub(crate) fn bar(size: u64, limit: u64) -> Markup {
    let (size, limit) = (u128::from(size), u128::from(limit));
    let width = share(size.min(limit), limit);
    html! {
        svg.bar width="100%" height="14" aria-hidden="true" {
            rect.over[size > limit] x="0" y="0" width=(percent(width)) height="14" {}
        }
    }
}

/// A row about a budget and what the image has of it.
pub(crate) fn budget_row(subject: &Subject<'_>, budget: &Budget) -> Markup {
    let size = measure(subject, &budget.what);
    let what = match &budget.what {
        Measure::Loaded => "loaded",
        Measure::Memory => "memory",
        Measure::Section(name) => name,
    };
    html! {
        tr {
            th scope="row" { (text(what)) }
            @if let Some(size) = size {
                td.number { (draw::bytes(size)) }
                td.number { (draw::bytes(budget.bytes)) }
                td { @if size > budget.bytes { span.tag.error { "over" } } @else { span.tag.good { "within" } } }
                td { (bar(size, budget.bytes)) }
            } @else {
                td { "none" }
                td.number { (draw::bytes(budget.bytes)) }
                td {}
                td {}
            }
        }
    }
}

/// The colour of a segment's rights.
fn class(header: &ProgramHeader) -> &'static str {
    match (header.has(PF_W), header.has(PF_X)) {
        (true, true) => "wx",
        (true, false) => "w",
        (false, true) => "x",
        (false, false) => "r",
    }
}

fn end(header: &ProgramHeader) -> u128 {
    u128::from(header.p_vaddr) + u128::from(header.p_memsz)
}

/// A part of a whole in thousandths of a percent.
fn share(part: u128, whole: u128) -> u128 {
    let all = 100 * THOUSANDTHS;
    (part * all).checked_div(whole).map_or(all, |share| share.min(all))
}

fn percent(thousandths: u128) -> String {
    format!("{}.{:03}%", thousandths / THOUSANDTHS, thousandths % THOUSANDTHS)
}

fn address(address: u128) -> String {
    format!("{address:#x}")
}
