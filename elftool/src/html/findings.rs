//! Findings: the code, what is wrong, where, and what to do.

use maud::{Markup, html};
use solo5_report::{Colour, Diagnostic, Place, human};

use super::page::{printed, text};

/// A finding that counts.
pub(crate) fn finding(found: &Diagnostic) -> Markup {
    let severity = found.severity.name();
    html! {
        li class=(severity) {
            (headline(severity, severity, found))
            @if found.labels.is_empty() {
                @for note in &found.notes { p { (text(note)) } }
                @if let Some(help) = &found.help { p { strong { "Mend: " } (text(help)) } }
            } @else {
                // The snippet has the notes and the help too.
                pre tabindex="0" aria-label="Lines of the source" {
                    (printed(human::human(std::slice::from_ref(found), Colour::Never)))
                }
            }
        }
    }
}

/// A finding that a policy waives, and why.
pub(crate) fn waived(found: &Diagnostic, why: &str) -> Markup {
    html! {
        li.waived {
            (headline("waived", "waived", found))
            p { (text(why)) }
        }
    }
}

fn headline(class: &str, word: &str, found: &Diagnostic) -> Markup {
    html! {
        p { span class={ "tag " (class) } { (word) " " (found.code) } " " (text(&found.message)) }
        @if let Some(place) = &found.place { (where_it_is(place)) }
    }
}

fn where_it_is(place: &Place) -> Markup {
    let range = place.offset.map(|offset| match place.length {
        Some(length) => format!("{offset:#x}+{length:#x}"),
        None => format!("{offset:#x}"),
    });
    let line = place.source.as_ref().map(|source| format!("{}:{}", source.file, source.line));
    let parts = [
        ("", place.part.as_ref()),
        ("file offset ", range.as_ref()),
        ("section ", place.section.as_ref()),
        ("from ", place.origin.as_ref()),
        ("symbol ", place.symbol.as_ref()),
        ("source line ", line.as_ref()),
    ];
    let parts = parts.into_iter().filter_map(|(word, part)| Some((word, part?)));
    html! {
        p.quiet {
            @for (index, (word, part)) in parts.enumerate() {
                @if index > 0 { " · " }
                (word) code { (text(part)) }
            }
        }
    }
}
