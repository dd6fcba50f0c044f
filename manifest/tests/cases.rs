//! Compares the diagnostics of every file under `tests/cases` with the expected ones.
//!
//! The expected diagnostics are in the file itself, one per line, in comment lines at its end that
//! start with `#!`. JSON has no comments, so its expected diagnostics are in a file beside it that
//! ends in `.expect`. No line means no diagnostic. Run with `SOLO5_BLESS=1` to write the actual
//! diagnostics as the expected ones, and read the diff.

use std::fs;
use std::path::{Path, PathBuf};

use solo5_report::line;

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|suffix| suffix != "expect") {
            out.push(path);
        }
    }
}

/// The source of a case and its expected diagnostics.
fn split(path: &Path) -> (Vec<u8>, Vec<String>) {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|suffix| suffix == "json") {
        let expected = fs::read_to_string(path.with_extension("expect")).unwrap_or_default();
        return (bytes, expected.lines().map(str::to_owned).collect());
    }
    let text = String::from_utf8(bytes).unwrap();
    let end = text.find("\n#! ").map_or(text.len(), |at| at + 1);
    let (source, expected) = text.split_at(end);
    let expected = expected.lines().map(|line| line.trim_start_matches("#! ").to_owned());
    (source.as_bytes().to_vec(), expected.collect())
}

#[test]
fn every_case_gets_its_expected_diagnostics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases = Vec::new();
    files(&folder, &mut cases);
    cases.sort();
    assert!(cases.len() > 120, "only {} cases found", cases.len());
    let bless = std::env::var_os("SOLO5_BLESS").is_some();
    let mut failures = String::new();
    for case in &cases {
        let (source, expected) = split(case);
        let found = match solo5_manifest::parse("CASE", &source) {
            Ok(checked) => checked.remarks,
            Err(diagnostics) => diagnostics,
        };
        let found: Vec<_> =
            found.iter().map(|found| line(found).trim_start_matches("CASE:").to_owned()).collect();
        if found == expected {
            continue;
        }
        if bless {
            if case.extension().is_some_and(|suffix| suffix == "json") {
                fs::write(case.with_extension("expect"), found.join("\n") + "\n").unwrap();
            } else {
                let mut text = source.clone();
                for line in &found {
                    text.extend_from_slice(format!("#! {line}\n").as_bytes());
                }
                fs::write(case, text).unwrap();
            }
        }
        failures.push_str(&format!(
            "{}\n  expected\n    {}\n  found\n    {}\n",
            case.strip_prefix(&folder).unwrap().display(),
            expected.join("\n    "),
            found.join("\n    "),
        ));
    }
    assert!(bless || failures.is_empty(), "\n{failures}");
}

#[test]
fn accepted_cases_have_no_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/accepted");
    let mut cases = Vec::new();
    files(&folder, &mut cases);
    assert!(!cases.is_empty());
    for case in cases {
        let (source, _) = split(&case);
        let checked = solo5_manifest::parse("CASE", &source);
        assert!(checked.is_ok(), "{}: {checked:?}", case.display());
    }
}
