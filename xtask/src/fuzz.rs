//! `fuzz`: coverage-guided fuzzing of everything that reads foreign bytes, with stable Rust.
//!
//! `fuzz/` has the targets, in one program that is linked with libFuzzer. libFuzzer learns from LLVM's
//! coverage instrumentation, which stable rustc adds when flags ask for it. The program is built
//! once; then the targets run one after another, on one core.
//!
//! The content of `target/fuzz/TARGET`:
//!
//! | name | what |
//! |---|---|
//! | `seeds`, `words` | inputs to start from and a dictionary, written anew by the program |
//! | `corpus` | inputs that reached something new, in this run and those before it |
//! | `found` | inputs that make the target fail |
//! | `log` | what libFuzzer printed |

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use crate::run::{cargo, output, run, show};
use crate::{Arguments, Result, cross};

pub(crate) const ARGUMENTS: &str = "[TARGET...] [--seconds=N] [--reproduce=FILE]";
pub(crate) const HELP: &str =
    "Fuzz every target, or those named, for N seconds each, 60 by default.";

/// Seconds for a target.
const SECONDS: u32 = 60;

/// Flags that make LLVM count edges and report comparisons, in the form that libFuzzer reads.
const INSTRUMENTATION: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Limits for one input, in seconds and MiB. Ten seconds are a thousand times what any input needs, so a
/// busy machine is not mistaken for a hang.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=512"];

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let mut seconds = SECONDS;
    let mut reproduce = None;
    let mut names = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.split_once('=') {
            Some(("--seconds", number)) => seconds = number.parse()?,
            None if argument == "--seconds" => {
                let number = arguments.next().ok_or("--seconds needs a number")?;
                seconds = number.parse()?;
            }
            Some(("--reproduce", file)) => reproduce = Some(fs::canonicalize(file)?),
            _ if argument.starts_with('-') => {
                return Err(format!("unknown argument '{argument}'; known: {ARGUMENTS}").into());
            }
            _ => names.push(argument),
        }
    }
    let fuzzer = Fuzzer::build()?;
    let names = fuzzer.choose(names)?;
    if let Some(file) = reproduce {
        let [name] = names.as_slice() else {
            return Err("--reproduce needs the one target that the file is for".into());
        };
        run(fuzzer.command(name).args(LIMITS).arg(file))?;
        println!("{name}: nothing is wrong with this input");
        return Ok(ExitCode::SUCCESS);
    }
    fuzzer.fuzz(&names, seconds)
}

/// The program with all targets.
struct Fuzzer {
    program: PathBuf,
    /// The folder with the targets' folders.
    folder: PathBuf,
}

impl Fuzzer {
    fn build() -> Result<Fuzzer> {
        let root = crate::root();
        let compiler = compiler()?;
        // With `--target`, cargo does not instrument build scripts and macros.
        let host = cross::host_triple()?;
        let folder = root.join("target/fuzz");
        let target_dir = folder.join("build");
        println!("== build");
        run(cargo()
            .current_dir(root.join("fuzz"))
            .args(["build", "--quiet", "--release", "--features", "libfuzzer"])
            .args(["--target", &host])
            .arg("--target-dir")
            .arg(&target_dir)
            .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\x1f"))
            .env("CXX", compiler))?;
        Ok(Fuzzer { program: target_dir.join(host).join("release/solo5-fuzz"), folder })
    }

    /// The targets with these names, or all targets if there are no names.
    fn choose(&self, names: Vec<String>) -> Result<Vec<String>> {
        let all = output(Command::new(&self.program).env_remove("SOLO5_FUZZ"))?;
        let all = String::from_utf8(all)?;
        if let Some(unknown) = names.iter().find(|name| all.lines().all(|known| known != *name)) {
            let all: Vec<_> = all.lines().collect();
            return Err(format!("there is no target '{unknown}', but {}", all.join(", ")).into());
        }
        Ok(if names.is_empty() { all.lines().map(str::to_owned).collect() } else { names })
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("SOLO5_FUZZ", name).env_remove("SOLO5_FUZZ_FOLDER");
        command
    }

    /// Gives every target its seconds, and fails if any of them failed.
    fn fuzz(&self, names: &[String], seconds: u32) -> Result<ExitCode> {
        println!("== fuzz, {seconds} s each");
        println!(
            "{:<12} {:>11} {:>9} {:>9} {:>8}  verdict",
            "target", "executions", "a second", "features", "corpus"
        );
        let mut failed = Vec::new();
        for name in names {
            let (status, log) = self.run(name, seconds)?;
            let Summary { executions, per_second, features, corpus, found } = Summary::read(&log);
            let verdict = if status.success() { "holds" } else { "FAILED" };
            println!(
                "{name:<12} {executions:>11} {per_second:>9} {features:>9} {corpus:>8}  {verdict}"
            );
            if !status.success() {
                failed.push((name, status, found, log));
            }
        }
        for (name, status, found, log) in &failed {
            println!("\n== {name}: {status}");
            for line in complaint(log) {
                println!("{line}");
            }
            match found {
                Some(found) => {
                    println!("input: {found}\nagain: cargo xtask fuzz {name} --reproduce={found}")
                }
                None => println!("see {}", self.folder.join(name).join("log").display()),
            }
        }
        Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs one target, and returns how it ended and what it printed.
    fn run(&self, name: &str, seconds: u32) -> Result<(ExitStatus, String)> {
        let folder = self.folder.join(name);
        for part in ["corpus", "found"] {
            fs::create_dir_all(folder.join(part))?;
        }
        // Written again, so that obsolete seeds disappear.
        let seeds = folder.join("seeds");
        if seeds.exists() {
            fs::remove_dir_all(&seeds)?;
        }
        let path = folder.join("log");
        let log = File::create(&path)?;
        let mut command = self.command(name);
        command
            .env("SOLO5_FUZZ_FOLDER", &folder)
            .args(LIMITS)
            .arg(format!("-max_total_time={seconds}"))
            .arg("-print_final_stats=1")
            .arg(prefixed("-artifact_prefix=", &folder.join("found"), "/"))
            .arg(prefixed("-dict=", &folder.join("words"), ""))
            .args([folder.join("corpus"), seeds])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let status = command.status().map_err(|error| format!("{}: {error}", show(&command)))?;
        Ok((status, String::from_utf8_lossy(&fs::read(path)?).into_owned()))
    }
}

fn prefixed(option: &str, path: &Path, end: &str) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(option);
    argument.push(path);
    argument.push(end);
    argument
}

/// The C++ compiler: `CXX`, or the first that is installed.
fn compiler() -> Result<std::ffi::OsString> {
    if let Some(named) = std::env::var_os("CXX") {
        return Ok(named);
    }
    let runs = |name: &&&str| {
        let mut command = Command::new(name);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    match ["c++", "g++", "clang++"].iter().find(runs) {
        Some(name) => Ok(name.into()),
        None => Err("libFuzzer is C++: install g++ or clang++, or name a compiler in CXX".into()),
    }
}

/// The numbers in a log, as text; `-` for one that the log lacks, because the run ended early.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    executions: String,
    per_second: String,
    features: String,
    corpus: String,
    /// The input that made the target fail.
    found: Option<String>,
}

impl Summary {
    fn read(log: &str) -> Summary {
        let last = |label: &str| {
            let found = log.lines().rev().find_map(|line| {
                let (_, behind) = line.split_once(label)?;
                // `corp: 963/84Kb` has the number of inputs and their size.
                behind.split_whitespace().next()?.split('/').next()
            });
            found.unwrap_or("-").to_owned()
        };
        let mut found = log.lines().filter(|line| !line.contains("slow-unit-"));
        Summary {
            executions: last("stat::number_of_executed_units:"),
            per_second: last("stat::average_exec_per_sec:"),
            features: last(" ft: "),
            corpus: last(" corp: "),
            found: found.find_map(|line| {
                let (_, path) = line.split_once("Test unit written to ")?;
                Some(path.trim().to_owned())
            }),
        }
    }
}

/// The lines that say what was wrong: a panic and its message, or libFuzzer's error.
fn complaint(log: &str) -> impl Iterator<Item = &str> {
    let starts = |line: &&str| !line.contains("panicked at") && !line.contains("ERROR: libFuzzer");
    log.lines().skip_while(starts).take(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_summarised() {
        let log = "#2\tINITED cov: 7 ft: 8 corp: 1/2b exec/s: 0 rss: 30Mb\n\
            artifact_prefix='f/'; Test unit written to f/slow-unit-1\n\
            #94208\tDONE   cov: 1234 ft: 5678 corp: 963/84Kb lim: 4096 exec/s: 15701 rss: 33Mb\n\
            Done 94208 runs in 6 second(s)\n\
            stat::number_of_executed_units: 94208\n\
            stat::average_exec_per_sec:     15701\n";
        let summary = Summary::read(log);
        assert_eq!(summary.executions, "94208");
        assert_eq!(summary.per_second, "15701");
        assert_eq!(summary.features, "5678");
        assert_eq!(summary.corpus, "963");
        assert_eq!(summary.found, None);
    }

    #[test]
    fn a_failure_names_its_input() {
        let log = "INFO: -max_len is not provided\n\
            thread '<unnamed>' panicked at targets/image.rs:1:1:\nforged\n\
            ==1== ERROR: libFuzzer: deadly signal\n\
            artifact_prefix='/f/'; Test unit written to /f/crash-0\n";
        assert_eq!(Summary::read(log).found.as_deref(), Some("/f/crash-0"));
        assert_eq!(Summary::read(log).executions, "-");
        assert_eq!(complaint(log).nth(1), Some("forged"));
    }
}
