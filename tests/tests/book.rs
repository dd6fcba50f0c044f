//! The book of `cargo xtask book` in a browser: its search finds pages, and its scripts make no errors.

use std::process::Command;

use solo5_tests::tree::repository;

/// A new browser without windows, which calls nobody.
const OPTIONS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
];

/// The page as it is once its scripts have run, and what the browser logs.
fn open(address: &str) -> std::io::Result<(String, String)> {
    let folder = tempfile::tempdir()?;
    let output = Command::new("chromium")
        .args(OPTIONS)
        .arg(format!("--user-data-dir={}", folder.path().display()))
        .args(["--virtual-time-budget=10000", "--dump-dom", address])
        .output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((text(output.stdout), text(output.stderr)))
}

#[test]
fn a_browser_shows_the_book_and_searches_it() {
    let index = repository().join("target/book/index.html");
    if !index.exists() {
        println!("skip: book: there is none; `cargo xtask book` makes it");
        return;
    }
    let index = index.canonicalize().expect("a path");
    let page = match open(&format!("file://{}?search=bridge", index.display())) {
        Err(error) => return println!("skip: book: chromium: {error}"),
        Ok((page, log)) => {
            let complaints: Vec<_> = log.lines().filter(|line| line.contains(":CONSOLE")).collect();
            assert!(complaints.is_empty(), "{complaints:#?}");
            page
        }
    };
    let results = page.split_once("id=\"mdbook-searchresults\"").expect("results of a search").1;
    for found in ["docs/codes/P313.html", "docs/policy.html", "docs/cookbook.html"] {
        assert!(results.contains(found), "{found} is not among the results");
    }
    assert!(page.contains("docs/codes/T424.html"), "the contents lack a page");
}
