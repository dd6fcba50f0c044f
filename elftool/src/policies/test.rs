//! `policy test`: runs cases, shows failures, and counts the clauses of policies that decided a case.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use solo5_abi::Target;
use solo5_abi::mft1::Mft1;
use solo5_abi::mft2::Mft2;
use solo5_abi::note::{self, Notes};
use solo5_audit::{RULES, Selection, Subject, audit_subject};
use solo5_policies::case::{self, Case, Suite};
use solo5_policies::codes;
use solo5_policies::coverage::{Situation, decided};
use solo5_policy::model::At;
use solo5_policy::{Asked, Decision, HostFacts, Policy, keys_to_prove};
use solo5_report::json::json as diagnostic_json;
use solo5_report::{Colour, Diagnostic, Severity, SourceText, human, one_line};

use crate::ask::{AskError, examine, options};
use crate::console::{Console, Exit, Failure};
use crate::content::Content;
use crate::files::{name, read};
use crate::guest_words::Tender;
use crate::options::Format;
use crate::policy_files::{Host, load, read_policy, today};

#[derive(Debug, clap::Args)]
pub(crate) struct TestOptions {
    /// Files of tests
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Folder with the policies of another host; where one of them applies, the policies that a file
    /// names can only deny
    #[arg(long, value_name = "DIR")]
    host_policies: Option<PathBuf>,
    /// Fail if less than this percentage of the policies' clauses decided a case
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    coverage: Option<u8>,
    /// How to print results
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The result of one case.
struct Ran {
    case: Case,
    decision: Decision,
    /// What differed, if anything did.
    failure: Option<Diagnostic>,
}

/// The results of one file of tests.
struct Report {
    file: String,
    cases: Vec<Ran>,
}

/// A clause of a policy and whether it decided a case.
#[derive(Serialize)]
struct Clause {
    #[serde(rename = "clause")]
    what: String,
    line: usize,
    column: usize,
    decided: bool,
}

/// The coverage of one policy.
#[derive(Serialize)]
struct Tested {
    /// The name under which it was first read.
    file: String,
    clauses: Vec<Clause>,
}

/// The coverage of each policy, by its canonical path.
type Coverage = BTreeMap<PathBuf, Tested>;

impl TestOptions {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let mut reports = Vec::new();
        let mut coverage = Coverage::new();
        let mut broken = false;
        let model = self.host_policies.as_deref();
        let host = load(&[], &Host::asked(model, true)).map_err(Failure::Wrong)?;
        for path in &self.files {
            match suite(console, path, &host, &mut coverage) {
                Some(report) => reports.push(report),
                None => broken = true,
            }
        }
        let all: Vec<&Clause> = coverage.values().flat_map(|one| &one.clauses).collect();
        let decided = all.iter().filter(|clause| clause.decided).count();
        let least = usize::from(self.coverage.unwrap_or(0));
        let ran = || reports.iter().flat_map(|report| &report.cases);
        let summary = Summary {
            cases: ran().count(),
            failed: ran().filter(|ran| ran.failure.is_some()).count(),
            clauses: all.len(),
            decided,
            coverage: (decided * 100).checked_div(all.len()).unwrap_or(100),
            enough: decided * 100 >= least * all.len(),
        };
        match self.format {
            Format::Json => console.print_json(&Tests {
                suites: reports.iter().map(SuiteShown::of).collect(),
                policies: coverage.values().collect(),
                summary: &summary,
            })?,
            // No file could be used, and the reason was printed already.
            Format::Human if reports.is_empty() => {}
            Format::Human => console.print(&self.human(&reports, &coverage, &summary))?,
        }
        let exit = Exit::objection_if(summary.failed > 0 || !summary.enough);
        Ok(if broken { Exit::Incomplete } else { exit })
    }

    fn human(&self, reports: &[Report], coverage: &Coverage, summary: &Summary) -> String {
        let ran = reports.iter().flat_map(|report| &report.cases);
        let failures: Vec<Diagnostic> = ran.filter_map(|ran| ran.failure.clone()).collect();
        let mut text = human::human(&failures, Colour::detect(&io::stdout()));
        if !failures.is_empty() {
            text.push('\n');
        }
        for Tested { file, clauses } in coverage.values() {
            let file = one_line(file);
            for clause in clauses.iter().filter(|clause| !clause.decided) {
                let Clause { what, line, column, .. } = clause;
                text += &format!("{file}:{line}:{column}: {what} decided no case\n");
            }
        }
        let Summary { cases, failed, clauses, decided, coverage, enough } = summary;
        let passed = cases - failed;
        text += &format!(
            "{passed} passed, {failed} failed; {decided} of {clauses} clauses decided a case, \
             {coverage} %"
        );
        match self.coverage {
            Some(least) if !enough => text += &format!(", and {least} % are wanted\n"),
            _ => text.push('\n'),
        }
        text
    }
}

/// Runs the cases of one file. `None` if the file, or one that it names, cannot be used; the reason is
/// printed. The `host`'s policies are asked too, and their clauses are not counted.
fn suite(
    console: &Console,
    path: &Path,
    host: &[Policy],
    coverage: &mut Coverage,
) -> Option<Report> {
    let bytes = read(path).map_err(|why| console.say_of(path, why)).ok()?;
    let show = |found: Vec<Diagnostic>| console.show(&found);
    let name = name(path);
    let suite = case::read(&name, &bytes).map_err(show).ok()?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let paths = suite.policies.iter().map(|named| folder.join(&named.value));
    let paths: Vec<PathBuf> = paths.collect();
    let policies: Vec<Option<Policy>> = paths
        .iter()
        .map(|path| read_policy(console, path).ok().map(|(policy, _)| policy))
        .collect();
    let mut policies: Vec<Policy> = policies.into_iter().collect::<Option<_>>()?;
    policies.extend_from_slice(host);
    let situations: Result<Vec<Situation>, Vec<Diagnostic>> = {
        let made = suite
            .cases
            .iter()
            .map(|case| situation(case, &suite, folder, &policies).map_err(|found| *found));
        let (good, bad): (Vec<_>, Vec<_>) = made.partition(Result::is_ok);
        if bad.is_empty() {
            Ok(good.into_iter().filter_map(Result::ok).collect())
        } else {
            Err(bad.into_iter().filter_map(Result::err).collect())
        }
    };
    let situations = situations.map_err(show).ok()?;
    cover(&paths, &policies, &situations, coverage);
    let source = suite.source;
    let cases = suite.cases.into_iter().zip(&situations);
    let cases = cases.map(|(case, situation)| {
        let decision = situation.decide(&policies);
        let failure = difference(&source, &case, &decision);
        Ran { case, decision, failure }
    });
    Some(Report { file: name, cases: cases.collect() })
}

/// Adds the coverage by one file's cases. A clause that decided a case of another file stays counted.
fn cover(
    paths: &[PathBuf],
    policies: &[Policy],
    situations: &[Situation],
    coverage: &mut Coverage,
) {
    let decided = decided(policies, paths.len(), situations);
    for ((path, policy), found) in paths.iter().zip(policies).zip(decided) {
        let file = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let Some(known) = coverage.get_mut(&file) {
            for (clause, found) in known.clauses.iter_mut().zip(found) {
                clause.decided |= found.decided;
            }
            continue;
        }
        let source = &policy.source;
        let places = source.positions(found.iter().map(|clause| clause.span.start));
        let clauses = found.into_iter().zip(places).map(|(found, place)| Clause {
            what: found.what,
            line: place.line,
            column: place.column,
            decided: found.decided,
        });
        let tested = Tested { file: source.name.clone(), clauses: clauses.collect() };
        coverage.insert(file, tested);
    }
}

/// The difference between the decision and the expected one.
fn difference(source: &Arc<SourceText>, case: &Case, decision: &Decision) -> Option<Diagnostic> {
    let name = &case.name.value;
    let found = decision.outcome.name();
    let wanted = case.decision.value.name();
    let mut codes: Vec<&str> = decision.reasons.iter().map(|reason| reason.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let listed = &case.codes.value;
    let missing: Vec<&str> = listed.iter().copied().filter(|code| !codes.contains(code)).collect();
    let further: Vec<&str> = codes.into_iter().filter(|code| !listed.contains(code)).collect();
    let (message, span) = if found != wanted {
        let message = format!("case `{name}` is {found}, and {wanted} was expected");
        (message, &case.decision.span)
    } else if missing.is_empty() && further.is_empty() {
        return None;
    } else {
        let message = format!("case `{name}` is denied for other reasons than expected");
        (message, &case.codes.span)
    };
    let mut diagnostic =
        Diagnostic::error(codes::CASE_FAILED, message).label(source, span.clone(), "");
    if !missing.is_empty() {
        let missing = missing.join(", ");
        diagnostic = diagnostic.with_note(format!("expected and not given: {missing}"));
    }
    if !further.is_empty() {
        let further = further.join(", ");
        diagnostic = diagnostic.with_note(format!("given and not expected: {further}"));
    }
    for line in decision.lines() {
        diagnostic = diagnostic.with_note(line);
    }
    Some(diagnostic.with_help("mend the policy, or, if the decision is right, the test"))
}

/// Cases may have `--gdb` and `--dumpcore`: they are what `debug` of a policy is about.
const TENDER: Tender = Tender::Debug;

/// What is wrong with a case, so that it cannot be run.
type Fault = Box<Diagnostic>;

/// A case as a situation that policies can decide.
fn situation(
    case: &Case,
    suite: &Suite,
    folder: &Path,
    policies: &[Policy],
) -> Result<Situation, Fault> {
    let source = &suite.source;
    let refuse = |span: &Range<usize>, message: String| {
        let help = "the case is about a launch that a tender would not ask policies about";
        let found = Diagnostic::error(codes::CASE_LAUNCH, message).label(source, span.clone(), "");
        Box::new(found.with_help(help))
    };
    let words = words(case).map_err(|why| refuse(&case.options.span, why))?;
    let unasked = |path: &At<String>, why: AskError| match why {
        AskError::Image(why) | AskError::Target(why) => {
            refuse(&path.span, format!("{}: {why}", path.value))
        }
        AskError::Options(why) => refuse(&case.options.span, why),
        AskError::Launch(problems) => refuse(&case.options.span, problems.join("; ")),
    };
    let (asked, findings) = match &case.subject {
        case::Subject::Image(path) => {
            let found = image(&folder.join(&path.value), &words, policies);
            found.map_err(|why| unasked(path, why))?
        }
        case::Subject::Manifest { path, target, proof, findings } => {
            let found = manifest(&folder.join(&path.value), *target, &words);
            let mut asked = found.map_err(|why| unasked(path, why))?;
            asked.proof = proof.clone();
            let findings = findings.iter().map(|code| {
                let wrong = |message: String, help: &str| {
                    let mut found = refuse(&code.span, message);
                    found.help = Some(help.to_owned());
                    found
                };
                finding(&code.value).map_err(|(message, help)| wrong(message, help))
            });
            (asked, findings.collect::<Result<Vec<_>, _>>()?)
        }
    };
    let mut facts = HostFacts {
        root: case.host.root.clone(),
        sandbox: case.host.sandbox.clone(),
        lacking: Vec::new(),
        admitted: case.host.admitted.clone(),
        nets: vec![Default::default(); asked.launch.nets.len()],
        blocks: vec![Default::default(); asked.launch.blocks.len()],
    };
    let unknown = |name: &At<String>| {
        let message = format!("the launch attaches no device '{}'", name.value);
        refuse(&name.span, message)
    };
    for (name, found) in &case.host.nets {
        let index = asked.launch.nets.iter().position(|net| net.name == name.value);
        let place = index.and_then(|index| facts.nets.get_mut(index));
        *place.ok_or_else(|| unknown(name))? = found.clone();
    }
    for (name, found) in &case.host.blocks {
        let index = asked.launch.blocks.iter().position(|block| block.name == name.value);
        let place = index.and_then(|index| facts.blocks.get_mut(index));
        *place.ok_or_else(|| unknown(name))? = found.clone();
    }
    if !asked.launch.policies.is_empty() {
        let message = "policies are named in `policies` of the file, not in options";
        return Err(refuse(&case.options.span, message.to_owned()));
    }
    Ok(Situation {
        require: asked.launch.require_policy,
        asked,
        facts,
        findings,
        today: case.today.unwrap_or_else(today),
    })
}

/// A finding of an audit by its code. The error is a message and help, if `check` never has such a finding.
fn finding(code: &str) -> Result<Diagnostic, (String, &'static str)> {
    let Some(rule) = RULES.iter().find(|rule| rule.code == code) else {
        let message = format!("`{code}` is not a rule of the audit");
        return Err((message, "`solo5-elftool explain` lists them"));
    };
    if !Selection::default().selects(rule) {
        let message = format!("`check` does not apply {code}, so no policy sees such a finding");
        return Err((message, "remove it, or write one of S1 to S3"));
    }
    if rule.severity == Severity::Error {
        let message = format!("an image with {code} cannot start, so no policy is asked");
        return Err((message, "remove it, or name a rule that finds warnings or notes"));
    }
    Ok(Diagnostic::new(rule.severity, rule.code, rule.title))
}

/// The arguments of the tender, without the image.
fn words(case: &Case) -> Result<Vec<OsString>, String> {
    let options = &case.options.value;
    let option = |word: &&String| word.starts_with("--") && *word != "--";
    if let Some(word) = options.iter().find(|word| !option(word)) {
        return Err(format!("`{word}` is not an option of a tender"));
    }
    let options = options.iter().map(OsString::from);
    let arguments = case.arguments.iter().map(OsString::from);
    let words = options.chain([OsString::from("--")]).chain(arguments);
    Ok(words.collect())
}

/// What the image at `path` asks for, and the findings of an audit.
fn image(
    path: &Path,
    words: &[OsString],
    policies: &[Policy],
) -> Result<(Asked, Vec<Diagnostic>), AskError> {
    let content = Content::open(path).map_err(AskError::Image)?;
    let asked = examine(&content.bytes, path, words, TENDER)?;
    let keys = keys_to_prove(policies, &asked.launch.labels).unwrap_or_default();
    let proof = content.prove(path, &keys).map_err(AskError::Image)?;
    let asked = Asked { proof: Some(proof), ..asked };
    let name = name(path);
    let findings = audit_subject(&Subject::new(&name, &content.bytes), &Selection::default());
    Ok((asked, findings))
}

/// What an image of `target` with the manifest whose source is at `path` asks for.
fn manifest(path: &Path, target: Target, words: &[OsString]) -> Result<Asked, AskError> {
    let bytes = read(path).map_err(AskError::Image)?;
    let name = name(path);
    let checked = solo5_manifest::parse(&name, &bytes).map_err(|found| {
        let errors = found.iter().filter(|one| one.severity == Severity::Error);
        AskError::Image(errors.map(solo5_report::line).next().unwrap_or_default())
    })?;
    let notes = checked.manifest.notes();
    let descriptor = |bytes, kind| {
        let mut notes = Notes::new(bytes).filter_map(Result::ok);
        let found = notes.find(|found| found.is(note::OWNER_SOLO5, kind));
        found.map(|found| found.descriptor)
    };
    let broken = || AskError::Image(String::from("its notes cannot be read back"));
    let mft1 = descriptor(notes.mft1(), note::TYPE_MFT1).and_then(|note| Mft1::parse(note).ok());
    let mft1 = mft1.ok_or_else(broken)?;
    let mft2 = notes
        .mft2()
        .map(|bytes| {
            let note = descriptor(bytes, note::TYPE_MFT2);
            note.and_then(|note| Mft2::parse(note, &mft1).ok()).ok_or_else(broken)
        })
        .transpose()?;
    let (launch, problems) =
        options(path.as_os_str(), words, (TENDER, target), &mft1, mft2.as_ref())?;
    if !problems.is_empty() {
        return Err(AskError::Launch(problems));
    }
    Ok(Asked::new(launch, target, mft2.as_ref()))
}

/// The JSON output.
#[derive(Serialize)]
struct Tests<'t> {
    suites: Vec<SuiteShown<'t>>,
    policies: Vec<&'t Tested>,
    summary: &'t Summary,
}

/// All cases and clauses in numbers.
#[derive(Serialize)]
struct Summary {
    cases: usize,
    failed: usize,
    clauses: usize,
    decided: usize,
    /// In percent.
    coverage: usize,
    /// Whether that is as much as `--coverage` asks for.
    enough: bool,
}

#[derive(Serialize)]
struct SuiteShown<'t> {
    file: &'t str,
    cases: Vec<CaseShown<'t>>,
}

#[derive(Serialize)]
struct CaseShown<'t> {
    name: &'t str,
    passed: bool,
    expected: Expected<'t>,
    found: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Value>,
}

#[derive(Serialize)]
struct Expected<'t> {
    decision: &'static str,
    codes: &'t [&'static str],
}

impl SuiteShown<'_> {
    fn of(report: &Report) -> SuiteShown<'_> {
        let cases = report.cases.iter().map(|Ran { case, decision, failure }| CaseShown {
            name: &case.name.value,
            passed: failure.is_none(),
            expected: Expected { decision: case.decision.value.name(), codes: &case.codes.value },
            found: decision.json(),
            failure: failure.as_ref().map(diagnostic_json),
        });
        SuiteShown { file: &report.file, cases: cases.collect() }
    }
}
