//! The staged tree as a whole: its manual pages are complete, and its bytes do not depend on where
//! it was built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use solo5_tests::tree::{Tree, repository};

/// A written page, without roff's escapes.
fn page(name: &str) -> String {
    let path = repository().join("docs/man").join(name);
    let text = fs::read_to_string(&path).expect("a page in docs/man");
    ["\\-", "\\fB", "\\fR", "\\fI"]
        .iter()
        .zip(["-", "", "", ""])
        .fold(text, |text, (escape, plain)| text.replace(escape, plain))
}

/// The words of `text` that start with `--`. Digits, letters and hyphens make a word.
fn options(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_tenders_pages_have_every_option_of_their_help() {
    let tree = Tree::staged().expect("a staged tree");
    for (tender, name) in [
        ("solo5-spt", "solo5-spt.1"),
        ("solo5-hvt", "solo5-hvt.1"),
        ("solo5-hvt-debug", "solo5-hvt.1"),
        ("solo5-virtio-run", "solo5-virtio-run.1"),
    ] {
        let output =
            Command::new(tree.program(tender)).arg("--help").output().expect("the tender starts");
        let help = options(&String::from_utf8_lossy(&output.stderr));
        assert!(help.len() > 10, "--help names only {} options", help.len());
        let told = options(&page(name));
        let missing: Vec<_> = help.difference(&told).collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
    }
}

#[test]
fn a_tender_has_at_most_two_mebibytes() {
    let tree = Tree::staged().expect("a staged tree");
    for tender in ["solo5-spt", "solo5-hvt", "solo5-hvt-debug", "solo5-virtio-run"] {
        let size = fs::metadata(tree.program(tender)).expect("a tender").len();
        assert!(size <= 2 << 20, "{tender} has {size} bytes");
    }
}

/// The pages that `text`, a page in roff, refers to in section 1.
fn references(text: &str) -> BTreeSet<String> {
    let text = text.replace("\\-", "-");
    text.lines()
        .filter_map(|line| line.strip_prefix(".BR ")?.split_once(" (1)"))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("solo5-"))
        .collect()
}

#[test]
fn every_program_has_a_page_and_every_page_exists() {
    let tree = Tree::staged().expect("a staged tree");
    let pages = tree.prefix().join("share/man/man1");
    let names: BTreeSet<_> = fs::read_dir(&pages)
        .expect("staged pages")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().trim_end_matches(".1").to_owned())
        .collect();
    for program in fs::read_dir(tree.prefix().join("bin")).expect("staged programs") {
        let program = program.expect("an entry").file_name();
        let program = program.to_string_lossy();
        assert!(names.contains(&*program), "{program} has no page");
    }
    for name in &names {
        let path = pages.join(format!("{name}.1"));
        let text = fs::read_to_string(path).expect("a readable page");
        let unknown: Vec<_> = references(&text).difference(&names).cloned().collect();
        assert!(unknown.is_empty(), "{name} refers to {unknown:?}");
    }
}

#[test]
fn the_toolchains_page_has_every_option_of_its_guide() {
    let guide = repository().join("docs/toolchain.md");
    let guide = fs::read_to_string(guide).expect("docs/toolchain.md");
    let page = page("solo5-cc.1");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `solo5-"));
    let options: Vec<_> = rows.filter_map(|row| row.split('=').next()).collect();
    assert!(options.len() >= 3, "the guide has {options:?}");
    for option in options {
        assert!(page.contains(&format!("solo5-{option}=")), "{option}");
    }
}

/// Only `solo5-elftool` reads debugging information: programs that run or link guests do not
/// contain a decoder of it.
#[test]
fn only_the_elftool_has_gimli() {
    let has_gimli = |package: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(repository())
            .args(["tree", "--offline", "--locked", "--edges=normal,build"])
            .args(["--prefix=none", "--package", package]);
        let output = cargo.output().expect("cargo runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{package}: {said}");
        let tree = String::from_utf8_lossy(&output.stdout);
        tree.lines().any(|line| line.starts_with("gimli "))
    };
    assert!(has_gimli("solo5-elftool"));
    for package in ["solo5-spt", "solo5-hvt", "solo5-linker-wrapper", "solo5-manifest"] {
        assert!(!has_gimli(package), "{package}");
    }
}

/// The content of a path in a tree.
#[derive(PartialEq)]
enum Entry {
    Link(PathBuf),
    File(Vec<u8>),
}

fn entries(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let entry = entry.expect("an entry");
            let path = entry.path();
            let kind = entry.file_type().expect("a file type");
            let held = if kind.is_dir() {
                folders.push(path);
                continue;
            } else if kind.is_symlink() {
                Entry::Link(fs::read_link(&path).expect("a readable link"))
            } else {
                Entry::File(fs::read(&path).expect("a readable file"))
            };
            let name = path.strip_prefix(root).expect("a path in the tree");
            // `cargo xtask libc` adds it, not a build.
            if name.components().nth(2).is_some_and(|part| part.as_os_str() == "musl") {
                continue;
            }
            all.insert(name.to_owned(), held);
        }
    }
    all
}

/// Copies a checkout without its history and its build results.
fn copy_sources(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a writable folder");
    for entry in fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() {
            // Cargo marks the folders it builds into; a name could also be a folder of sources.
            let built = entry.path().join("CACHEDIR.TAG").exists();
            if !built && name != ".git" {
                copy_sources(&entry.path(), &to.join(name));
            }
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(name)).expect("a copy");
        }
    }
}

/// Compares the staged tree with one built from the same sources in another folder, whose path has
/// another length.
#[test]
#[ignore = "builds everything a second time, which takes minutes"]
fn two_builds_in_different_folders_are_the_same_bytes() {
    let tree = Tree::staged().expect("a staged tree");
    let version = Command::new(tree.program("solo5-mft"))
        .arg("--version")
        .output()
        .expect("the compiler of manifests starts");
    let version = String::from_utf8(version.stdout).expect("text");
    let version = version.split_whitespace().last().expect("a version");

    let place = tempfile::tempdir().expect("a temporary folder");
    let copy = place.path().join("another folder with a long name");
    copy_sources(&repository(), &copy);
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["xtask", "build"]).current_dir(&copy);
    // Variables for this test's own build must not reach the copy's.
    for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS"] {
        build.env_remove(variable);
    }
    let status = build.env("SOLO5_VERSION", version).status();
    assert!(status.expect("cargo starts").success());

    let (first, second) = (entries(tree.prefix()), entries(&copy.join("target/solo5")));
    let names: BTreeSet<_> = first.keys().chain(second.keys()).collect();
    assert!(names.len() > 20, "only {} files were staged", names.len());
    let differ: Vec<_> =
        names.into_iter().filter(|name| first.get(*name) != second.get(*name)).collect();
    assert!(differ.is_empty(), "these differ: {differ:#?}");
}
