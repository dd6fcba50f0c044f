//! The findings of an audit in each format: one printer for each.

mod github;
mod html;
mod human;
mod json;
mod junit;
mod printer;
mod sarif;

use clap::ValueEnum;
use solo5_audit::Rule;
use solo5_report::Colour;

pub(crate) use printer::{Audited, Counts, Printer, Totals};

/// The formats of `audit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    /// For people
    #[default]
    Human,
    /// For programs; `schemas/report.json` describes it
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands of GitHub Actions
    Github,
    /// JUnit's XML, for CI
    Junit,
    /// A page for browsers, in one file
    Html,
}

/// The printer of a format, for a report about `rules`.
pub(crate) fn printer(
    format: AuditFormat,
    colour: Colour,
    rules: Vec<&'static Rule>,
) -> Box<dyn Printer> {
    match format {
        AuditFormat::Human => Box::new(human::Human { colour, rules: rules.len() }),
        AuditFormat::Json => Box::new(json::Json { rules: rules.len() }),
        AuditFormat::Sarif => Box::new(sarif::Sarif { rules }),
        AuditFormat::Github => Box::new(github::Github),
        AuditFormat::Junit => Box::new(junit::Junit { rules }),
        AuditFormat::Html => Box::new(html::Html { rules: rules.len() }),
    }
}
