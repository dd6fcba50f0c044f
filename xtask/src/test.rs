//! `test`: everything there is to test, with the counts and the named skips of all of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitCode, Stdio};

use crate::run::cargo;
use crate::{Arguments, Result, demo, lab, stage};

pub(crate) const HELP: &str = "Build, then run every test; arguments go to `cargo test`. SOLO5_NO_SKIP=1 refuses skips, but \
     for want of KVM.";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    println!("== build");
    stage::build()?;
    let mut summary = Summary::default();
    println!("== tests of the workspace");
    let workspace = ["--workspace", "--no-fail-fast"].map(str::to_owned);
    let mut passed = summary.test(workspace.into_iter().chain(arguments.iter().cloned()))?;
    if arguments.is_empty() {
        for example in EXAMPLES {
            println!("== tests of {example}");
            let manifest = format!("{example}/Cargo.toml");
            let library = ["--manifest-path", &manifest, "--lib"].map(str::to_owned);
            passed &= summary.test(library.into_iter())?;
        }
        println!("== fuzz targets, without a fuzzer");
        let targets = ["--manifest-path", "fuzz/Cargo.toml", "--tests"];
        let folder = ["--target-dir", "target/fuzz/test"];
        let arguments = targets.into_iter().chain(folder).map(str::to_owned);
        passed &= summary.test(arguments)?;
        println!("== the demo, with and without the right to make a network namespace");
        passed &= summary.demo()?;
        println!("== tests in the lab: hvt");
        passed &= summary.lab();
    }
    println!("\n== summary");
    for skip in &summary.skips {
        println!("{skip}");
    }
    let Summary {
        passed: good,
        failed: bad,
        skips,
    } = &summary;
    println!("{good} passed, {bad} failed, {} skipped", skips.len());
    if !passed {
        return Err("there are failures".into());
    }
    if std::env::var_os("SOLO5_NO_SKIP").is_some() && skips.iter().any(|skip| !is_of_kvm(skip)) {
        return Err("tests were skipped, and SOLO5_NO_SKIP is set".into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Examples in Rust with tests of their own. They are run from the root: the configuration in
/// their folders links unikernels, not tests.
const EXAMPLES: [&str; 1] = ["examples/http"];

/// Whether a test was skipped for want of a usable KVM, which no host has to have: the lab has one.
fn is_of_kvm(skip: &str) -> bool {
    skip.to_ascii_lowercase().contains("kvm")
}

/// What the closing lines of the test programs add up to.
#[derive(Default)]
struct Summary {
    passed: usize,
    failed: usize,
    skips: Vec<String>,
}

impl Summary {
    /// Runs `cargo test` in the root, shows what it prints, and counts; false if it failed.
    fn test(&mut self, arguments: impl Iterator<Item = String>) -> Result<bool> {
        let mut tests = cargo();
        tests
            .current_dir(crate::root())
            .arg("test")
            .args(arguments)
            // Otherwise the harness keeps what a passing test says, and a skip is such a thing.
            .args(["--", "--show-output"])
            .env("SOLO5_PREFIX", stage::prefix())
            .stdout(Stdio::piped());
        let mut child = tests.spawn()?;
        let output = child.stdout.take().ok_or("the tests have no output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            self.read(&line);
        }
        Ok(child.wait()?.success())
    }

    /// Runs the demo, then once more where `unshare` fails; false if one did not end as it must.
    fn demo(&mut self) -> Result<bool> {
        let run = |demo: &mut Command| -> Result<Option<i32>> {
            Ok(demo.arg("demo").stdin(Stdio::null()).status()?.code())
        };
        let whole = run(&mut Command::new(std::env::current_exe()?))?;
        if whole == Some(demo::NO_NAMESPACE.into()) {
            let skip = "skip: demo: no network namespace can be made".to_owned();
            println!("{skip}");
            self.skips.push(skip);
        }
        let folder = tempfile::tempdir()?;
        let refuses = folder.path().join("unshare");
        fs::write(&refuses, "#!/bin/sh\necho 'not permitted' >&2\nexit 1\n")?;
        fs::set_permissions(&refuses, fs::Permissions::from_mode(0o755))?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut without = Command::new(std::env::current_exe()?);
        without.env("PATH", format!("{}:{path}", folder.path().display()));
        let without = run(&mut without)?;
        let held = [
            whole == Some(0) || whole == Some(demo::NO_NAMESPACE.into()),
            without == Some(demo::NO_NAMESPACE.into()),
        ];
        for (held, what) in held.into_iter().zip(["with", "without"]) {
            match held {
                true => self.passed += 1,
                false => {
                    self.failed += 1;
                    println!("the demo {what} namespaces ended {whole:?}, {without:?}");
                }
            }
        }
        Ok(held == [true, true])
    }

    /// Runs the lab's scenarios, or skips them where a machine cannot be made; false if one failed.
    fn lab(&mut self) -> bool {
        if let Err(error) = lab::prepare() {
            let skip = format!("skip: lab/hvt: {error}");
            println!("{skip}");
            self.skips.push(skip);
            return true;
        }
        let result = lab::hvt(None, &mut |line| {
            println!("{line}");
            self.read(line);
        });
        result.unwrap_or_else(|error| {
            println!("lab/hvt: {error}");
            false
        })
    }

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
        // Behind the test's name, where tests run one at a time.
        let said = line.rsplit_once("... ").map_or(line, |(_, said)| said);
        if said.starts_with("skip: ") {
            self.skips.push(said.to_owned());
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
        summary.read("test one/at/a/time ... skip: one/at/a/time: no tap");
        summary.read("test other ... ok");
        assert_eq!((summary.passed, summary.failed), (13, 3));
        let skips = ["skip: net: no namespace", "skip: one/at/a/time: no tap"];
        assert_eq!(summary.skips, skips);
    }
}
