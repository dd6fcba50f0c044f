//! `test`: all tests, with one total of their counts and the names of those skipped.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitCode, Stdio};

use solo5_abi::Arch;

use crate::run::{cargo, this_program};
use crate::{Arguments, Result, demo, lab, libc, needs, peer, stage};

pub(crate) const HELP: &str = "Build, then run every test; arguments go to `cargo test`. SOLO5_NO_SKIP=1 makes a skip \
     a failure, unless the same test passes in the lab. Without programs that the tests use, it names their packages \
     and ends; with SOLO5_MISSING=ignore it goes on.";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    if !needs::has_tests(&crate::root())? {
        return of_release();
    }
    let missing = needs::missing(&crate::root())?;
    if !missing.is_empty() {
        let advice = needs::advice(&missing);
        if arguments.is_empty()
            && std::env::var_os("SOLO5_MISSING").is_none_or(|set| set != "ignore")
        {
            return Err(advice.into());
        }
        println!("{advice}");
    }
    println!("== build");
    stage::build(stage::Effort::Full)?;
    let mut summary = Summary::default();
    println!("== another Solo5");
    summary.peer();
    println!("== a C library");
    let built = summary.libc();
    println!("== tests of the workspace");
    let workspace = ["--workspace", "--no-fail-fast"].map(str::to_owned);
    let mut passed =
        built & summary.test(workspace.into_iter().chain(arguments.iter().cloned()))?;
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
        println!("== tests in the lab");
        passed &= summary.lab();
    }
    println!("\n== summary");
    for skip in &summary.skips {
        println!("{skip}");
    }
    for wrong in &summary.wrong {
        println!("failed: {wrong}");
    }
    let Summary { passed: good, failed: bad, skips, .. } = &summary;
    println!("{good} passed, {bad} failed, {} skipped", skips.len());
    if !passed {
        return Err("there are failures: the lines above that begin with 'failed:'".into());
    }
    let is_foreign = |skip: &String| FOREIGN.iter().any(|name| skip.starts_with(name));
    let nowhere = |skip: &&String| !is_foreign(skip) && !summary.ran_in_lab(skip);
    if std::env::var_os("SOLO5_NO_SKIP").is_some()
        && let Some(skip) = skips.iter().find(nowhere)
    {
        return Err(
            format!("SOLO5_NO_SKIP is set, and this skipped test ran nowhere: {skip}").into()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// What the sources of a release can show without their tests: they build, and the demo runs.
fn of_release() -> Result<ExitCode> {
    println!("== the demo, with and without the right to make a network namespace");
    let mut summary = Summary::default();
    let passed = summary.demo()?;
    let skip =
        "skip: tests: the sources of a release have none; git clone https://github.com/Solo5/solo5";
    summary.skips.push(skip.to_owned());
    println!("\n== summary");
    for line in summary.skips.iter().chain(&summary.wrong) {
        println!("{line}");
    }
    println!(
        "{} passed, {} failed, {} skipped",
        summary.passed,
        summary.failed,
        summary.skips.len()
    );
    if passed { Ok(ExitCode::SUCCESS) } else { Err("the demo did not end as it has to".into()) }
}

/// How skips begin for which this repository is not to blame: the sources of musl and Lua cannot be fetched, or
/// this host makes no containers.
const FOREIGN: [&str; 2] = ["skip: libc", "skip: containers/"];

/// Examples in Rust with tests of their own. Their tests are run from the root, because cargo's
/// configuration in their folders is for unikernels.
const EXAMPLES: [&str; 1] = ["examples/http"];

/// The totals of the closing lines of the test programs.
#[derive(Default)]
struct Summary {
    passed: usize,
    failed: usize,
    skips: Vec<String>,
    /// Names of tests that failed, and what else went wrong.
    wrong: Vec<String>,
    /// Names of the tests that passed in the lab.
    in_lab: HashSet<String>,
}

impl Summary {
    /// Runs `cargo test` in the root, shows what it prints, and counts; false if it failed.
    fn test(&mut self, arguments: impl Iterator<Item = String>) -> Result<bool> {
        let mut tests = cargo();
        tests
            .current_dir(crate::root())
            .arg("test")
            .args(arguments)
            // Otherwise the harness hides the output of passing tests, which contains the skips.
            .args(["--", "--show-output"])
            .env("SOLO5_PREFIX", stage::prefix())
            .stdout(Stdio::piped());
        match peer::there() {
            Some(peer) => tests.env("SOLO5_PEER", peer),
            None => tests.env_remove("SOLO5_PEER"),
        };
        let mut child = tests.spawn()?;
        let output = child.stdout.take().ok_or("the tests have no output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            self.read(&line);
        }
        let ended = child.wait()?;
        if !ended.success() {
            self.wrong.push(format!("cargo test ended with {ended}"));
        }
        Ok(ended.success())
    }

    /// Prepares the peer. If that fails, notes that its tests are skipped.
    fn peer(&mut self) {
        if std::env::var_os("SOLO5_PEER").is_none()
            && let Err(error) = peer::prepare()
        {
            let skip = format!("skip: peer: {error}");
            println!("{skip}");
            self.skips.push(skip);
        }
    }

    /// Adds the C library to the tree, and fetches the sources of a program. If there are no sources, notes
    /// that the tests with it are skipped. False if the library cannot be built.
    fn libc(&mut self) -> bool {
        match libc::prepare() {
            Ok(None) => true,
            Ok(Some(why)) => {
                let skip = format!("skip: libc: {why}");
                println!("{skip}");
                self.skips.push(skip);
                true
            }
            Err(error) => {
                let wrong = format!("libc: {error}");
                println!("failed: {wrong}");
                self.failed += 1;
                self.wrong.push(wrong);
                false
            }
        }
    }

    /// Runs the demo twice, the second time with an `unshare` that fails. False if one run did not end as
    /// it has to.
    fn demo(&mut self) -> Result<bool> {
        let run = |demo: &mut Command| -> Result<Option<i32>> {
            Ok(demo.arg("demo").stdin(Stdio::null()).status()?.code())
        };
        let whole = run(&mut Command::new(this_program()?))?;
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
        let mut without = Command::new(this_program()?);
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
                    let statuses = format!("{whole:?}, {without:?}");
                    self.wrong.push(format!("the demo {what} namespaces: {statuses}"));
                }
            }
        }
        Ok(held == [true, true])
    }

    /// Runs every scenario of the lab, or skips it where its machine cannot be made; false if one
    /// failed.
    fn lab(&mut self) -> bool {
        let mut machines = Vec::new();
        let mut passed = true;
        for scenario in lab::SCENARIOS.iter().filter(|scenario| scenario.in_test) {
            let name = scenario.name;
            if let Err(error) = scenario.prepare() {
                let skip = format!("skip: lab/{name}: {error}");
                println!("{skip}");
                self.skips.push(skip);
                continue;
            }
            match scenario.machines(None) {
                Ok(all) => machines.extend(all),
                Err(error) => {
                    self.wrong.push(format!("lab/{name}: {error}"));
                    passed = false;
                }
            }
        }
        lab::run_all(&machines, &mut |line| match line {
            lab::Line::Said { machine, text } => {
                println!("{}: {text}", machine.name);
                self.read_in_lab(machine.scenario, &text);
            }
            lab::Line::Ended { machine, result } => {
                let name = &machine.name;
                println!("lab/{name} ended: {result:?}");
                if let Err(error) = &result {
                    self.wrong.push(format!("lab/{name}: {error}"));
                }
                passed &= result == Ok(true);
            }
        });
        passed
    }

    /// Reads a line of a scenario. Skips and failures get the scenario's name: no other run makes up
    /// for such a skip.
    fn read_in_lab(&mut self, scenario: &str, line: &str) {
        let (skips, wrong) = (self.skips.len(), self.wrong.len());
        self.read(line);
        for skip in &mut self.skips[skips..] {
            *skip = skip.replacen("skip: ", &format!("skip: lab/{scenario}: "), 1);
        }
        for test in &mut self.wrong[wrong..] {
            *test = format!("lab/{scenario}: {test}");
        }
        // What passes on another architecture says nothing about this one.
        if lab::SCENARIOS.iter().any(|it| it.name == scenario && Arch::HOST != Some(it.arch)) {
            return;
        }
        let test = line.strip_prefix("test ").and_then(|test| test.strip_suffix(" ... ok"));
        // A skip does not name its test's module.
        let name = test.and_then(|name| name.trim_end().rsplit("::").next());
        self.in_lab.extend(name.map(str::to_owned));
    }

    /// Whether the test that was skipped here passed in the lab.
    fn ran_in_lab(&self, skip: &str) -> bool {
        let skip = skip.strip_prefix("skip: ").and_then(|skip| skip.split_once(": "));
        skip.is_some_and(|(test, _)| self.in_lab.contains(test))
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
        if let Some(name) =
            line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"))
        {
            self.wrong.push(name.trim_end().to_owned());
        }
        // When tests run one at a time, the skip is on the line of the test's name.
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
        summary.read("test guest/net/spt      ... FAILED");
        assert_eq!(summary.wrong, ["guest/net/spt"]);
    }

    #[test]
    fn what_passed_in_the_lab_may_be_skipped_here() {
        let mut summary = Summary::default();
        summary.read("skip: guest/fpu/hvt: no usable KVM here; the lab runs it");
        summary.read("skip: guest/blk/hvt: no usable KVM here; the lab runs it");
        summary.read("skip: a_cpu_that_stops: no KVM; the lab runs it");
        summary.read_in_lab("vmx", "test guest/fpu/hvt      ... ok");
        summary.read_in_lab("vmx", "test guest/blk/hvt      ... FAILED");
        summary.read_in_lab("vmx", "test machine::a_cpu_that_stops ... ok");
        summary.read_in_lab("vmx", "test guest/fpu/hvt ... skip: guest/fpu/hvt: no tap");
        summary.read("skip: guest/tls/hvt: no usable KVM here; the lab runs it");
        summary.read_in_lab("aarch64", "test guest/tls/hvt      ... ok");
        let ran: Vec<_> = summary.skips.iter().map(|skip| summary.ran_in_lab(skip)).collect();
        assert_eq!(ran, [true, false, true, false, false]);
    }
}
