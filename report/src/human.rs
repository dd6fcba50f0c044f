//! Diagnostics for people: one snippet each, in the style of compilers.

use std::ffi::OsString;
use std::fmt::Write;
use std::io::IsTerminal;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::escape::{one_line, source};

/// Whether output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Without escape sequences.
    Never,
    /// With escape sequences.
    Always,
}

impl Colour {
    /// No colour if `NO_COLOR` is set; else colour if `CLICOLOR_FORCE` is, and is not 0; else colour on a
    /// terminal, unless `CLICOLOR` is 0 or `TERM` is `dumb`. An empty variable counts as not set.
    pub fn detect(stream: &impl IsTerminal) -> Colour {
        Colour::choose(stream.is_terminal(), |name| std::env::var_os(name))
    }

    fn choose(terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> Colour {
        let value = |name| variable(name).filter(|value| !value.is_empty());
        let is = |name, wanted| value(name).is_some_and(|value| value == wanted);
        let never = value("NO_COLOR").is_some();
        let force = value("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0");
        let shows = terminal && !is("CLICOLOR", "0") && !is("TERM", "dumb");
        if !never && (force || shows) { Colour::Always } else { Colour::Never }
    }
}

/// Renders all `diagnostics`, with an empty line between two and a line end after the last.
pub fn human(diagnostics: &[Diagnostic], colour: Colour) -> String {
    let renderer = match colour {
        Colour::Never => Renderer::plain(),
        Colour::Always => Renderer::styled(),
    };
    let mut out = String::new();
    for (index, diagnostic) in diagnostics.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(&render(diagnostic, &renderer));
        out.push('\n');
    }
    out
}

fn render(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(one_line(&diagnostic.message)).id(diagnostic.code);
    let mut group = Group::with_title(title);
    let mut labels = diagnostic.labels.iter().enumerate().peekable();
    while let Some((index, first)) = labels.next() {
        let mut shown = window(first);
        let mut run = vec![(index, first)];
        while let Some((index, next)) = labels.next_if(|(_, next)| {
            let both = union(&shown, &window(next));
            next.source == first.source && both.len() <= WINDOW_MAX
        }) {
            shown = union(&shown, &window(next));
            run.push((index, next));
        }
        let name = one_line(&first.source.name);
        let line = first.source.position(shown.start).line;
        let text = first.source.text.get(shown.clone()).unwrap_or_default();
        let escaped = source(text);
        let mut snippet = Snippet::source(escaped.clone()).line_start(line);
        let whole_lines = shown.start == 0 || first.source.text[..shown.start].ends_with('\n');
        if whole_lines && escaped == text {
            snippet = snippet.path(name);
        } else {
            // The renderer would count columns from the cut and in escaped text, so it is told the
            // position of the label instead.
            let at = first.source.position(first.span.start);
            let origin = Origin::path(name);
            group = group.element(origin.line(at.line).char_column(at.column));
        }
        for (index, label) in run {
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            // The label's range may start or end inside a character.
            let all = label.source.text.as_str();
            let place = |offset: usize| {
                let in_text = offset.clamp(shown.start, shown.end) - shown.start;
                let before = text.get(..in_text).unwrap_or_default();
                source(before).len()
            };
            let span = place(all.floor_char_boundary(label.span.start))
                ..place(all.ceil_char_boundary(label.span.end));
            let said = (!label.text.is_empty()).then(|| one_line(&label.text));
            snippet = snippet.annotation(kind.span(span).label(said));
        }
        group = group.element(snippet);
    }
    if let Some(place) = &diagnostic.place {
        group = group.element(Origin::path(place_text(place)));
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(one_line(note)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(one_line(help)));
    }
    renderer.render(&[group]).to_string()
}

/// Most bytes shown of a label, and of its line on each side of it.
const SIDE: usize = 512;
/// Most bytes of text in one snippet. Labels further apart get separate snippets.
const WINDOW_MAX: usize = 8192;

/// The part of the text to show for `label`: its lines, with long ones cut. Rendering takes time and
/// memory in proportion to this part, so the renderer never gets the whole text.
fn window(label: &crate::Label) -> Range<usize> {
    let text = label.source.text.as_str();
    let start = label.span.start.min(text.len());
    let end = label.span.end.clamp(start, (start + SIDE).min(text.len()));
    let (start, end) = (text.floor_char_boundary(start), text.ceil_char_boundary(end));
    let from = text.floor_char_boundary(start.saturating_sub(SIDE));
    let to = text.floor_char_boundary((end + SIDE).min(text.len())).max(end);
    let before = text[from..start].rfind('\n').map_or(from, |at| from + at + 1);
    let after = text[end..to].find('\n').map_or(to, |at| end + at);
    before..after
}

fn union(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    a.start.min(b.start)..a.end.max(b.end)
}

/// A place in a binary as one phrase, such as `a.hvt: phdr[2] 0x3000+0x100 in .data (table)`.
pub fn place_text(place: &Place) -> String {
    let mut out = one_line(&place.file);
    // Writing to a String cannot fail.
    if let Some(part) = &place.part {
        let _ = write!(out, ": {}", one_line(part));
    }
    if let Some(offset) = place.offset {
        let _ = write!(out, "{} {offset:#x}", if place.part.is_some() { "" } else { ":" });
        if let Some(length) = place.length {
            let _ = write!(out, "+{length:#x}");
        }
    }
    // The input section tells more than the output section, so only the input section is named.
    if let Some(origin) = &place.origin {
        let _ = write!(out, ", from {}", one_line(origin));
        return out;
    }
    if let Some(section) = &place.section {
        let _ = write!(out, " in {}", one_line(section));
    }
    if let Some(symbol) = &place.symbol {
        let _ = write!(out, " ({})", one_line(symbol));
    }
    if let Some(source) = &place.source {
        let _ = write!(out, " at {}:{}", one_line(&source.file), source.line);
    }
    out
}

/// A diagnostic on one line, `FILE:LINE:COLUMN: severity[CODE]: message; help`, for logs.
pub fn line(diagnostic: &Diagnostic) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    if let Some(label) = diagnostic.labels.first() {
        let at = label.source.position(label.span.start);
        let name = one_line(&label.source.name);
        let _ = write!(out, "{name}:{}:{}: ", at.line, at.column);
    } else if let Some(place) = &diagnostic.place {
        let _ = write!(out, "{}: ", place_text(place));
    }
    let severity = diagnostic.severity.name();
    let _ = write!(out, "{severity}[{}]: {}", diagnostic.code, one_line(&diagnostic.message));
    if let Some(help) = &diagnostic.help {
        let _ = write!(out, "; {}", one_line(help));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::SourceText;

    fn sample() -> Diagnostic {
        let source =
            Arc::new(SourceText { name: "m.yaml".into(), text: "version: 9\ntype: x\n".into() });
        Diagnostic::error("M104", "unknown version 9")
            .label(&source, 9..10, "versions are 1 and 2")
            .with_help("write `version: 2`")
    }

    #[test]
    fn variables_choose_the_colour() {
        let choose = |terminal, variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
            Colour::choose(terminal, |name| find(name).map(|(_, value)| OsString::from(value)))
        };
        for (terminal, variables) in [
            (true, &[][..]),
            (true, &[("NO_COLOR", ""), ("TERM", "xterm"), ("CLICOLOR", "1")]),
            (false, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")]),
        ] {
            assert_eq!(choose(terminal, variables), Colour::Always, "{variables:?}");
        }
        for (terminal, variables) in [
            (false, &[][..]),
            (false, &[("CLICOLOR_FORCE", "0"), ("CLICOLOR", "1")]),
            (false, &[("CLICOLOR_FORCE", "")]),
            (true, &[("NO_COLOR", "0"), ("CLICOLOR_FORCE", "1")]),
            (true, &[("CLICOLOR", "0")]),
            (true, &[("TERM", "dumb")]),
        ] {
            assert_eq!(choose(terminal, variables), Colour::Never, "{variables:?}");
        }
    }

    #[test]
    fn labels_inside_characters_and_past_the_end_are_shown() {
        let source = Arc::new(SourceText { name: "m.yaml".into(), text: "- ü\n- ß".into() });
        for start in 0..12 {
            for end in start..12 {
                let found = Diagnostic::error("Y030", "x").label(&source, start..end, "");
                assert!(human(&[found], Colour::Never).contains("error[Y030]"));
            }
        }
    }

    #[test]
    fn a_snippet_shows_where_and_what_to_do() {
        let shown = human(&[sample()], Colour::Never);
        for part in
            ["error[M104]: unknown version 9", "m.yaml:1:10", "versions are 1", "help: write"]
        {
            assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
        }
        assert!(!shown.contains('\x1b'));
        assert!(human(&[sample()], Colour::Always).contains('\x1b'));
    }

    #[test]
    fn one_line_has_position_code_and_help() {
        let expected = "m.yaml:1:10: error[M104]: unknown version 9; write `version: 2`";
        assert_eq!(line(&sample()), expected);
    }

    #[test]
    fn a_long_text_is_not_shown_whole() {
        let text =
            format!("{}a: b\n{}{}", "\n".repeat(9), "x".repeat(1 << 20), "\n".repeat(1 << 20));
        let source = Arc::new(SourceText { name: "long".into(), text });
        let at = 14 + 600_000;
        let diagnostic = Diagnostic::error("M101", "far apart")
            .label(&source, at..at + 3, "here")
            .label(&source, 9..10, "there");
        let shown = human(&[diagnostic], Colour::Never);
        assert!(shown.contains("long:11:600001") && shown.contains("long:10:1"), "{shown}");
        assert!(shown.contains("^^^ here") && shown.contains("- there"), "{shown}");
        assert!(shown.len() < 4096, "{}", shown.len());
    }

    /// A snippet marks the label's text even if escapes come before it.
    #[test]
    fn labels_after_escapes_stand_under_their_text() {
        let text = String::from("a: \u{202e}\u{9b}x bad\u{2028} end\n");
        let start = text.find("bad").unwrap();
        let source = Arc::new(SourceText { name: "m\n.yaml".into(), text });
        let diagnostic = Diagnostic::error("Y030", "odd\nerror: forged").label(
            &source,
            start..start + 3,
            "here\nforged",
        );
        let shown = human(&[diagnostic], Colour::Never);
        assert!(!shown.contains(|c| c != '\n' && crate::escape::is_unsafe(c)), "{shown}");
        assert!(shown.contains("error[Y030]: odd\\nerror: forged\n"), "{shown}");
        assert!(shown.contains("--> m\\n.yaml:1:8\n"), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        let at = lines.iter().position(|line| line.contains("bad")).unwrap();
        assert_eq!(lines[at].find("bad"), lines[at + 1].find("^^^ here\\nforged"), "{shown}");
    }

    #[test]
    fn spans_outside_the_text_do_not_panic() {
        let mut diagnostic = sample();
        diagnostic.labels[0].span = 500..900;
        assert!(human(&[diagnostic], Colour::Never).contains("M104"));
    }
}
