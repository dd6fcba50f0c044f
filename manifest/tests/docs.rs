//! The commands in `docs/manifest.md` do what the page says.
//!
//! In a `console` block, `$ ` starts a command, `> ` continues it, `? ` gives its exit status if that is
//! not 0, and the other lines are its output.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// A command, its exit status and its output.
type Step = (String, i32, String);

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            steps.push((command.to_owned(), 0, String::new()));
        } else if inside && let Some((command, status, text)) = steps.last_mut() {
            match (line.strip_prefix("> "), line.strip_prefix("? ")) {
                (Some(more), _) if text.is_empty() => write!(command, "\n{more}").unwrap(),
                (_, Some(number)) if text.is_empty() => *status = number.parse().unwrap(),
                _ => writeln!(text, "{line}").unwrap(),
            }
        }
    }
    steps
}

#[test]
fn commands_on_the_page_print_what_it_shows() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/manifest.md");
    let page = std::fs::read_to_string(page).unwrap();
    let steps = steps(&page);
    assert!(page.find("```console").unwrap() < 40, "the page starts with something to run");
    assert!(steps.len() > 4);
    let folder = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_solo5-mft")).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    for (command, status, text) in steps {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 2>&1; {command}")]).current_dir(folder.path());
        let output = shell.env("PATH", &path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), text, "{command}");
        assert_eq!(output.status.code(), Some(status), "{command}");
    }
}
