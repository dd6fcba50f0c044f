//! The frame of a page, and parts that pages share.

use ct_codecs::{Base64, Encoder};
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use solo5_report::one_line;
use solo5_signature::Digest;

/// Most bytes of a report's entries. Entries that do not fit are counted.
const ENTRIES_MAX: usize = 32 << 20;
/// Most bytes of one entry.
const ENTRY_MAX: usize = 1 << 20;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Text for a template.
pub(crate) struct Text(String);

impl Render for Text {
    fn render_to(&self, out: &mut String) {
        self.0.as_str().render_to(out);
    }
}

/// A text from outside.
pub(crate) fn text(text: impl AsRef<str>) -> Text {
    Text(one_line(text.as_ref()))
}

/// What a printer for people made: lines whose unsafe characters it has escaped.
pub(crate) fn printed(lines: String) -> Text {
    Text(lines)
}

/// The entries of a report, within its bound.
#[derive(Default)]
pub(crate) struct Pieces {
    /// The entries that fit.
    pub(crate) kept: String,
    /// How many do not fit.
    pub(crate) left_out: usize,
}

impl Pieces {
    /// Adds an entry, if there is room for it.
    pub(crate) fn add(&mut self, piece: &str) {
        let fits = piece.len() <= ENTRY_MAX && self.kept.len() + piece.len() <= ENTRIES_MAX;
        if fits {
            self.kept.push_str(piece);
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn markup(&self) -> PreEscaped<&str> {
        PreEscaped(&self.kept)
    }
}

/// A notice about entries that do not fit; nothing if all do.
pub(crate) fn left_out(count: usize, of: usize) -> Markup {
    html! {
        @if count > 0 {
            p.notice role="note" {
                strong { (count) " of " (of) " are not shown" }
                ", because this page has a bound of " (ENTRIES_MAX >> 20) " MiB, and each of its entries one of "
                (ENTRY_MAX >> 20) " MiB. The sums count them. " code { "--format=json" } " has them all."
            }
        }
    }
}

/// Counts with their names.
pub(crate) fn tiles(counts: &[(usize, &str, &str)]) -> Markup {
    html! {
        dl.tiles {
            @for (count, class, name) in counts {
                div {
                    dt { (*name) }
                    dd class=[(*count > 0 && !class.is_empty()).then_some(*class)] { (count) }
                }
            }
        }
    }
}

/// A cell with a number that a column is sorted by, and what is shown for it.
pub(crate) fn number(value: Option<u64>, shown: &str, minor: bool) -> Markup {
    html! {
        td.number.minor[minor] data-value=(value.map(|value| value.to_string()).unwrap_or_default()) { (shown) }
    }
}

/// What the script needs to filter a table; `results` are values and words of its second column.
pub(crate) fn controls(example: &str, results: &[(&str, &str)]) -> Markup {
    html! {
        div.controls hidden {
            label.wide { "Filter by words" input #words type="search" placeholder=(example) autocomplete="off"; }
            label {
                "Result"
                select #result {
                    option value="" { "all" }
                    @for (value, word) in results { option value=(*value) { (*word) } }
                }
            }
            button #open type="button" aria-pressed="false" { "Open all details" }
            output #count for="words result" {}
        }
    }
}

/// A whole page. `from` says what made it and of what.
pub(crate) fn page(title: &str, from: &str, body: &Markup) -> String {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        source(STYLE),
        source(SCRIPT)
    );
    let title = text(title);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.quiet { (text(from)) }
                }
                main { (body) }
                footer {
                    p { "solo5-elftool " (solo5_report::VERSION) " made this page. It loads nothing from elsewhere." }
                    p { code { "solo5-elftool explain CODE" } " explains a code." }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string() + "\n"
}

/// The source expression that allows exactly this inline text.
fn source(inline: &str) -> String {
    let digest = Digest::of(inline.as_bytes());
    let encoded = Base64::encode_to_string(digest.bytes()).unwrap_or_default();
    format!("sha256-{encoded}")
}
