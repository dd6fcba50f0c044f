//! For programs. `solo5_audit::schema` describes it, with stable names of fields.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use solo5_policies::audit::Waived;
use solo5_report::Diagnostic;
use solo5_report::json::{json, text};

use super::printer::{Audited, Printer, Totals};
use crate::inputs::InputError;

pub(super) struct Json {
    /// How many rules were applied.
    pub(super) rules: usize,
}

#[derive(Serialize)]
struct Image<'a> {
    file: &'a str,
    size: Option<u64>,
    arch: Option<&'static str>,
    target: Option<&'static str>,
    abi_version: Option<u32>,
    findings: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waived: Vec<WaivedFinding<'a>>,
}

#[derive(Serialize)]
struct WaivedFinding<'a> {
    #[serde(flatten)]
    finding: Value,
    reason: &'a str,
    until: String,
    policy: &'a str,
}

#[derive(Serialize)]
struct Summary {
    images: usize,
    rules: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    waived: usize,
    skipped: usize,
    unreadable: usize,
}

impl Printer for Json {
    fn opening(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\"images\":[")
    }

    fn image(&self, image: &Audited<'_>, out: &mut dyn Write) -> io::Result<()> {
        let facts = image.subject.image();
        let abi = facts.and_then(|image| image.abi().ok());
        let waived = image.findings.waived.iter();
        let image = Image {
            file: image.subject.name(),
            size: image.size,
            arch: facts.map(|image| image.arch().name()),
            target: abi.map(|abi| abi.target_name()),
            abi_version: abi.map(|abi| abi.version()),
            findings: image.findings.standing.iter().map(json).collect(),
            waived: waived.map(|(finding, waived)| accepted(finding, waived)).collect(),
        };
        write!(out, "{}", text(&image))
    }

    fn separator(&self) -> &'static str {
        ",\n"
    }

    fn closing(&self, totals: &Totals, _: &[InputError], out: &mut dyn Write) -> io::Result<()> {
        let summary = Summary {
            images: totals.images,
            rules: self.rules,
            errors: totals.found.errors,
            warnings: totals.found.warnings,
            notes: totals.found.notes,
            waived: totals.found.waived,
            skipped: totals.skipped,
            unreadable: totals.unreadable,
        };
        writeln!(out, "\n],\"summary\":{}}}", text(&summary))
    }
}

fn accepted<'a>(finding: &Diagnostic, waived: &'a Waived) -> WaivedFinding<'a> {
    WaivedFinding {
        finding: json(finding),
        reason: &waived.reason,
        until: waived.until.to_string(),
        policy: &waived.place.policy,
    }
}
