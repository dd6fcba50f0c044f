//! `test`: everything there is to test, with the counts and the named skips of all of it.

use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};

use crate::run::{cargo, show};
use crate::{Arguments, Result, stage};

pub(crate) const HELP: &str =
    "Build, then run every test; arguments go to `cargo test`. SOLO5_NO_SKIP=1 refuses skips.";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    println!("== build");
    stage::build()?;
    println!("== tests");
    let mut tests = cargo();
    tests
        .current_dir(crate::root())
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(&arguments)
        .env("SOLO5_PREFIX", stage::prefix())
        .stdout(Stdio::piped());
    let mut child = tests.spawn()?;
    let mut summary = Summary::default();
    let output = child.stdout.take().ok_or("the tests have no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        summary.read(&line);
    }
    let status = child.wait()?;
    println!("\n== summary");
    for skip in &summary.skips {
        println!("{skip}");
    }
    println!(
        "{} passed, {} failed, {} skipped",
        summary.passed,
        summary.failed,
        summary.skips.len()
    );
    if !status.success() {
        return Err(format!("{}: {status}", show(&tests)).into());
    }
    if std::env::var_os("SOLO5_NO_SKIP").is_some() && !summary.skips.is_empty() {
        return Err("tests were skipped, and SOLO5_NO_SKIP is set".into());
    }
    Ok(ExitCode::SUCCESS)
}

/// What the closing lines of the test programs add up to.
#[derive(Default)]
struct Summary {
    passed: usize,
    failed: usize,
    skips: Vec<String>,
}

impl Summary {
    fn read(&mut self, line: &str) {
        // `test result: ok. 11 passed; 0 failed; 1 ignored; …`
        if let Some(counts) = line.strip_prefix("test result: ") {
            let words: Vec<_> = counts.split_whitespace().collect();
            for pair in words.windows(2) {
                let Ok(count) = pair[0].parse::<usize>() else {
                    continue;
                };
                match pair[1].trim_end_matches(';') {
                    "passed" => self.passed += count,
                    "failed" => self.failed += count,
                    _ => {}
                }
            }
        }
        if line.starts_with("skip: ") {
            self.skips.push(line.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_skips_add_up() {
        let mut summary = Summary::default();
        summary.read("test result: ok. 11 passed; 0 failed; 0 ignored; 0 measured");
        summary.read("test result: FAILED. 2 passed; 3 failed; 0 ignored");
        summary.read("skip: net: no namespace");
        summary.read("test other ... ok");
        assert_eq!((summary.passed, summary.failed), (13, 3));
        assert_eq!(summary.skips, ["skip: net: no namespace"]);
    }
}
