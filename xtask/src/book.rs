//! `book`: the pages as a book for browsers, with search, under `target/book`.
//!
//! 1. [`pages`] copies the pages that `docs/SUMMARY.md` lists, each to its own path, so that their links
//!    stay as they are. It adds a chapter for each page in the folder of a listed `README.md`, and copies files
//!    that are linked but are not pages.
//! 2. mdBook renders them. It is a program of its own, installed under `target/tools` at the first run,
//!    so that a build of the suite needs none of its crates.
//! 3. [`links`] follows every link of the result.

mod links;
mod pages;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::run::{cargo, output, run};
use crate::{Arguments, Result};

pub(crate) const HELP: &str = "Write docs/ as a book for browsers, with search, to target/book, and follow its links; installs mdBook under target/tools at the first run.";

/// The release that is installed. Any other with the same two first numbers is used as it is.
const MDBOOK: &str = "0.5.4";

const CONFIGURATION: &str = r#"[book]
title = "Solo5, in Rust"
language = "en"
src = "src"

[build]
create-missing = false
# One of them would rename each README, and links to it would lead nowhere.
use-default-preprocessors = false

[output.html]
default-theme = "light"
preferred-dark-theme = "navy"
no-section-label = true
smart-punctuation = false
additional-css = ["book.css"]

[output.html.fold]
enable = true
level = 0

[output.html.search]
limit-results = 30
boost-title = 3
expand = true

[output.html.print]
enable = false

[output.html.playground]
runnable = false
"#;

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    if let Some(argument) = arguments.first() {
        return Err(format!("unknown argument '{argument}'; there is none").into());
    }
    let root = crate::root();
    let book = root.join("target/book");
    let mdbook = mdbook()?;
    let source = tempfile::Builder::new().prefix("book").tempdir_in(root.join("target"))?;
    fs::write(source.path().join("book.toml"), CONFIGURATION)?;
    fs::write(source.path().join("book.css"), include_str!("book/book.css"))?;
    let count = pages::copy(&root, &source.path().join("src"))?;
    println!("rendering {count} pages");
    let start = Instant::now();
    let mut render = Command::new(&mdbook);
    render.arg("build").arg(source.path()).arg("--dest-dir").arg(&book);
    output(&mut render)?;
    let followed = links::follow(&book)?;
    println!(
        "{count} pages in {:.1} s; {followed} links lead somewhere: {}",
        start.elapsed().as_secs_f32(),
        book.join("index.html").display()
    );
    Ok(ExitCode::SUCCESS)
}

/// An mdBook that understands the configuration: ours, the machine's, or a new one.
fn mdbook() -> Result<PathBuf> {
    let tools = crate::root().join("target/tools");
    let ours = tools.join("bin/mdbook");
    let series = MDBOOK.rsplit_once('.').map_or(MDBOOK, |(series, _)| series);
    for candidate in [ours.clone(), PathBuf::from("mdbook")] {
        let found = Command::new(&candidate).arg("--version").output();
        let says = found.map(|found| String::from_utf8_lossy(&found.stdout).into_owned());
        if says.is_ok_and(|says| says.contains(&format!("v{series}."))) {
            return Ok(candidate);
        }
    }
    println!("installing mdBook {MDBOOK} under {}: some minutes, once", tools.display());
    let build =
        tempfile::Builder::new().prefix("tools").tempdir_in(crate::root().join("target"))?;
    let mut install = cargo();
    install
        // It renders the pages in seconds without optimisation too, and is compiled in half the time.
        .args(["install", "mdbook", "--locked", "--quiet", "--debug"])
        .args(["--version", &format!("={MDBOOK}")])
        .args(["--no-default-features", "--features", "search"])
        .arg("--root")
        .arg(&tools)
        .arg("--target-dir")
        .arg(build.path());
    run(&mut install)?;
    Ok(ours)
}
