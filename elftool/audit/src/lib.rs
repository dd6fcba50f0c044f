//! The audit: rules over one unikernel image.
//!
//! | phase | file |
//! |---|---|
//! | searching the content: texts, references to functions | `content`, `strings`, `calls` |
//! | reading: the image, every reason to refuse it, sections and symbols on demand | [`mod@subject`] |
//! | one finding; limits for sizes | `finding`, `budget` |
//! | the checks by family: S1 loadable, S2 memory protection, S3 notes and manifest | `loadable`, `protection`, `notes` |
//! | optional checks: S4 provenance and hardening, S5 size and attack surface | `provenance`, `surface` |
//! | the rules: code, severity, title, help, check; one table | [`rules`] |
//! | JSON Schemas of a report and of a lock | [`schema`] |
//!
//! Severity *error* means exactly that the loader of the image's target refuses it for every size
//! of guest memory; everything else is at most a warning. So, for hvt and spt, an image loads into
//! `memory` bytes if and only if there is no error and `memory >= least_memory`, which counts the stack. A virtio,
//! xen or muen image has no tender in this suite; what a tender would refuse is a warning there.
//! Errors cannot be ignored, only left out by selecting other rules.
//!
//! Adversary: a hostile file of any size. Work and findings are bounded by the limits of
//! `solo5_image` and [`FINDINGS_MAX`].

#![forbid(unsafe_code)]

mod budget;
mod calls;
mod content;
mod finding;
mod loadable;
mod notes;
mod protection;
mod provenance;
pub mod rules;
pub mod schema;
mod strings;
pub mod subject;
mod surface;

use solo5_abi::stack;
use solo5_image::{ImageError, ReadAt};
use solo5_report::{Diagnostic, Place, Severity};

pub use budget::{Budget, Measure};
pub use finding::FINDINGS_MAX;
pub use rules::{RULES, Rule};
pub use subject::Subject;
pub use surface::measure;

/// Which rules to apply. Codes are compared by prefix: `S2` is the whole family.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Apply only rules with one of these prefixes; empty for S1 to S3.
    pub select: Vec<String>,
    /// With an empty `select`: apply S4 and S5 too. They are optional because their findings matter only
    /// for some uses, and some of them read all code.
    pub all: bool,
    /// Apply these rules too, by their whole code.
    pub also: Vec<&'static str>,
    /// Leave out rules with one of these prefixes, except where they find errors.
    pub ignore: Vec<String>,
    /// Report nothing below this severity.
    pub least: Option<Severity>,
}

impl Selection {
    /// For a linker: only errors, which mean that a loader would refuse the output.
    pub fn errors() -> Selection {
        Selection { least: Some(Severity::Error), ..Selection::default() }
    }

    /// Whether `rule` is selected.
    pub fn selects(&self, rule: &Rule) -> bool {
        let chosen = match self.select.is_empty() {
            true => self.all || !rule.is_opt_in(),
            false => has_prefix(rule.code, &self.select),
        };
        chosen || self.also.contains(&rule.code)
    }

    fn reports(&self, rule: &Rule, severity: Severity) -> bool {
        let ignored = severity != Severity::Error && has_prefix(rule.code, &self.ignore);
        !ignored && self.least.is_none_or(|least| severity >= least)
    }
}

fn has_prefix(code: &str, prefixes: &[String]) -> bool {
    let matches = |prefix: &String| {
        code.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    prefixes.iter().any(matches)
}

/// The findings about the image that `reader` holds, gravest first, then by code. `name` is the
/// file's, for the places of findings.
pub fn audit(name: &str, reader: &dyn ReadAt, selection: &Selection) -> Vec<Diagnostic> {
    audit_subject(&Subject::new(name, reader), selection)
}

/// The rule that says why section headers cannot be read.
const UNREADABLE_SECTIONS: &str = "S319";

/// As [`audit`], for an image already read.
pub fn audit_subject(subject: &Subject<'_>, selection: &Selection) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    // The first rule that could not read the sections.
    let mut missed = None;
    for rule in RULES.iter().filter(|rule| selection.selects(rule)) {
        let severity = rule.severity_in(subject);
        // Rules below the least severity need not run; some rules for warnings are slow.
        if !selection.reports(rule, severity) {
            continue;
        }
        let mut findings = Vec::new();
        subject.take_missed();
        (rule.check)(subject, &mut findings);
        if subject.take_missed() {
            missed = missed.or(Some(rule));
        }
        for finding in findings.into_iter().take(FINDINGS_MAX) {
            let severity = if finding.is_note { Severity::Note } else { severity };
            if selection.least.is_some_and(|least| severity < least) {
                continue;
            }
            let mut diagnostic = Diagnostic::new(severity, rule.code, finding.message)
                .at(finding.place)
                .with_help(rule.help);
            diagnostic.notes = finding.notes;
            diagnostics.push(diagnostic);
        }
    }
    let says_why = |found: &Diagnostic| found.code == UNREADABLE_SECTIONS;
    if let Some(rule) = missed.filter(|_| !diagnostics.iter().any(says_why))
        && selection.least.is_none_or(|least| Severity::Note >= least)
    {
        let why = subject.unreadable_sections().unwrap_or_default();
        let message = format!("rules about sections and symbols checked nothing: {why}");
        let place = Place { file: subject.name().to_owned(), ..Place::default() };
        let found = Diagnostic::note(rule.code, message).at(place);
        diagnostics
            .push(found.with_help("copy or link the file again; it was damaged or cut short"));
    }
    diagnostics.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity));
    diagnostics
}

/// Whether the loader of the image's target accepts it for `memory` bytes of guest memory, which
/// must hold the stack that the manifest asks for. Tests
/// compare severity *error* with this function.
pub fn loads(reader: &dyn ReadAt, memory: u64) -> Result<(), Refused> {
    let image = solo5_image::Image::read(reader, &solo5_abi::Arch::ALL)?;
    let abi = image.abi()?;
    let Some(target) = abi.target() else {
        // Without a known target the check fails for any.
        return Ok(image.abi_of(solo5_abi::Target::Hvt).map(drop)?);
    };
    image.abi_of(target)?;
    image.checked_manifest()?;
    image.features()?;
    let plan = image.plan(reader, target)?;
    let memory = memory.min(subject::most_memory_of(&image, target));
    plan.fits(memory)?;
    let stack = subject::stack_of(&image).filter(|_| target.has_tender());
    let guard = stack.map(|stack| stack::guard(plan.minimum_memory, stack, memory));
    if guard == Some(None) { Err(Refused::Stack) } else { Ok(()) }
}

/// Why [`loads`] refuses an image.
#[derive(Debug)]
pub enum Refused {
    /// The loader does.
    Image(ImageError),
    /// There is no room for heap, guard and stack.
    Stack,
}

impl From<ImageError> for Refused {
    fn from(error: ImageError) -> Refused {
        Refused::Image(error)
    }
}
