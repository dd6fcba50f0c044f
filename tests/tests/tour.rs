//! The README's tour: every command of its `console` blocks is run, in order, in one shell, and
//! must print what the page shows. A line `...` stands for any lines, and `...` at the end of a line
//! stands for any text.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Separates the output of one command from the next's.
const MARK: &str = "@@tour-step@@";

struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (index, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: index + 1, command: command.to_owned(), expected: Vec::new() });
        } else if inside && let Some(step) = steps.last_mut() {
            step.expected.push(line.to_owned());
        }
    }
    steps
}

/// Whether `output` is what the page shows, `...` standing for any lines.
fn matches(expected: &[String], output: &[&str]) -> bool {
    match expected.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=output.len()).any(|skipped| matches(rest, &output[skipped..]))
        }
        Some((first, rest)) => {
            let line = |line: &&str| match first.strip_suffix("...") {
                Some(start) => line.starts_with(start),
                None => line.trim_end() == first.trim_end(),
            };
            output.first().is_some_and(line) && matches(rest, &output[1..])
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder is writable");
    for entry in fs::read_dir(from).expect("the example exists") {
        let entry = entry.expect("a readable folder");
        if entry.file_type().expect("a file type").is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a readable file");
        }
    }
}

#[test]
fn the_readme_tour_prints_what_it_shows() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let prefix = env::var_os("SOLO5_PREFIX").map_or(root.join("target/solo5"), PathBuf::from);
    let bin = prefix.join("bin").canonicalize().expect("run `cargo xtask build` first");
    let page = fs::read_to_string(root.join("README.md")).expect("there is a README");
    let steps = steps(&page);
    assert!(steps.len() > 5, "the tour has {} commands; are its blocks marked?", steps.len());

    let work = tempfile::tempdir().expect("a temporary folder");
    copy(&root.join("examples/hello"), &work.path().join("examples/hello"));
    let mut script = String::new();
    for step in &steps {
        script += &format!("{}\necho '{MARK}'\n", step.command);
    }
    let path = format!("{}:{}", bin.display(), env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(work.path())
        .env("PATH", path)
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .output()
        .expect("sh starts");
    let output = String::from_utf8_lossy(&output.stdout);
    let outputs: Vec<&str> = output.split(&format!("{MARK}\n")).collect();
    assert_eq!(outputs.len(), steps.len() + 1, "a command ended the shell:\n{output}");
    for (step, output) in steps.iter().zip(outputs) {
        let mut expected = step.expected.clone();
        while expected.last().is_some_and(String::is_empty) {
            expected.pop();
        }
        let lines: Vec<&str> = output.trim_end().lines().collect();
        assert!(
            matches(&expected, &lines),
            "README.md:{}: $ {}\nshows:\n{}\nprints:\n{output}",
            step.line,
            step.command,
            expected.join("\n"),
        );
    }
}

#[test]
fn three_dots_stand_for_any_lines() {
    let page = "```console\n$ a\nx\n...\ny\n$ b\n```\n$ not this\n```sh\n$ nor this\n```\n";
    let steps = steps(page);
    assert_eq!(steps.iter().map(|step| step.command.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(matches(&steps[0].expected, &["x", "y"]));
    assert!(matches(&steps[0].expected, &["x", "1", "2", "y"]));
    assert!(!matches(&steps[0].expected, &["x", "y", "z"]));
    assert!(!matches(&steps[0].expected, &["y"]));
    assert!(matches(&["ab...".to_owned()], &["abc"]) && !matches(&["ab...".to_owned()], &["ac"]));
    assert!(matches(&steps[1].expected, &[]) && !matches(&steps[1].expected, &["z"]));
}
