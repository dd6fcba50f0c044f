//! Diagnostics as JUnit XML, which CI systems read as test results.
//!
//! A report is printed piece by piece: [`OPENING`], a [`suite`] for each subject, [`CLOSING`].

use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use crate::diagnostic::Diagnostic;
use crate::escape::one_line;
use crate::human::place_text;

/// The start of a report.
pub const OPENING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
/// The end of a report.
pub const CLOSING: &str = "</testsuites>\n";

/// How a test ended.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// Passed; findings below the threshold are shown.
    Passed(Vec<&'a Diagnostic>),
    /// Failed because of these findings.
    Failed(Vec<&'a Diagnostic>),
    /// The findings are waived, for this reason.
    Skipped(String),
    /// The test could not run, for this reason.
    Error(String),
}

/// One test: a rule, for instance.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// The tests of one subject as a `testsuite` element.
pub fn suite(name: &str, cases: &[Case<'_>]) -> String {
    let count = |is: fn(&Outcome<'_>) -> bool| {
        let number = cases.iter().filter(|case| is(&case.outcome)).count();
        number.to_string()
    };
    let (name, tests) = (text(name), cases.len().to_string());
    let failures = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let errors = count(|outcome| matches!(outcome, Outcome::Error(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let attributes = [
        ("name", name.as_str()),
        ("tests", &tests),
        ("failures", &failures),
        ("errors", &errors),
        ("skipped", &skipped),
    ];
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to memory cannot fail.
    let _ = writer.create_element("testsuite").with_attributes(attributes).write_inner_content(
        |writer| cases.iter().try_for_each(|case| write_case(writer, &name, case)),
    );
    let mut out = String::from_utf8(writer.into_inner()).unwrap_or_default();
    out.push('\n');
    out
}

fn write_case(writer: &mut Writer<Vec<u8>>, suite: &str, case: &Case<'_>) -> io::Result<()> {
    let name = text(&case.name);
    let attributes = [("classname", suite), ("name", name.as_str())];
    let element = writer.create_element("testcase").with_attributes(attributes);
    match &case.outcome {
        Outcome::Passed(findings) if findings.is_empty() => element.write_empty()?,
        Outcome::Passed(findings) => element.write_inner_content(|writer| {
            let shown: Vec<String> = findings.iter().copied().map(words).collect();
            let shown = BytesText::new(&shown.join("\n")).into_owned();
            writer.create_element("system-out").write_text_content(shown)?;
            Ok(())
        })?,
        Outcome::Failed(findings) => element.write_inner_content(|writer| {
            for finding in findings {
                let message = text(&finding.message);
                let attributes = [("type", finding.severity.name()), ("message", message.as_str())];
                writer
                    .create_element("failure")
                    .with_attributes(attributes)
                    .write_text_content(BytesText::new(&words(finding)))?;
            }
            Ok(())
        })?,
        Outcome::Skipped(reason) | Outcome::Error(reason) => {
            let skipped = matches!(case.outcome, Outcome::Skipped(_));
            let element_name = if skipped { "skipped" } else { "error" };
            let reason = text(reason);
            element.write_inner_content(|writer| {
                writer
                    .create_element(element_name)
                    .with_attributes([("message", reason.as_str())])
                    .write_empty()?;
                Ok(())
            })?
        }
    };
    Ok(())
}

/// A finding in sentences.
fn words(finding: &Diagnostic) -> String {
    let mut lines = vec![format!("{}: {}", finding.severity.name(), text(&finding.message))];
    lines.extend(finding.place.as_deref().map(|place| characters(place_text(place))));
    lines.extend(finding.notes.iter().chain(&finding.help).map(|more| text(more)));
    lines.join("\n")
}

/// A text on one line. XML readers would turn line ends in attributes into spaces.
fn text(words: &str) -> String {
    characters(one_line(words))
}

/// Escapes U+FFFE and U+FFFF, which XML 1.0 cannot represent. Other printers leave them alone.
fn characters(words: String) -> String {
    words.replace('\u{fffe}', "\\u{fffe}").replace('\u{ffff}', "\\u{ffff}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_well_formed() {
        let odd = Diagnostic::warning("S202", "<&>\"' \u{1b}\u{ffff}\nx").with_help("mend ]]>");
        let outcomes = [
            Outcome::Passed(Vec::new()),
            Outcome::Passed(vec![&odd]),
            Outcome::Failed(vec![&odd, &odd]),
            Outcome::Skipped(String::from("known & accepted")),
            Outcome::Error(String::from("gone")),
        ];
        let cases: Vec<Case<'_>> = outcomes
            .into_iter()
            .map(|outcome| Case { name: String::from("S202"), outcome })
            .collect();
        let report = format!("{OPENING}{}{CLOSING}", suite("a<b>\u{7}.spt", &cases));
        let document = roxmltree::Document::parse(&report).unwrap_or_else(|e| panic!("{e}"));
        let suite = document.root_element().first_element_child().unwrap();
        let attribute = |name| suite.attribute(name).unwrap();
        assert_eq!(attribute("name"), "a<b>\\u{7}.spt");
        assert_eq!(["tests", "failures", "errors", "skipped"].map(attribute), ["5", "1", "1", "1"]);
        let failures = suite.descendants().filter(|node| node.has_tag_name("failure"));
        let messages: Vec<_> = failures.map(|node| node.attribute("message")).collect();
        assert_eq!(messages, [Some("<&>\"' \\u{1b}\\u{ffff}\\nx"); 2]);
    }
}
