//! Programs as the pages describe them: each block of a page is written to its file, and the
//! programs are built and run.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};

use solo5_tests::tree::{Tree, repository};
use tempfile::TempDir;

/// A build script, which runs here and not in a unikernel.
const BUILD_SCRIPT: &str = "fn main() { println!(\"cargo::rerun-if-changed=build.rs\"); }\n";

/// The blocks of a page: the file (the last name in front of the block), the language, the text.
fn blocks(page: &str) -> Vec<(String, String, String)> {
    let mut blocks: Vec<(String, String, String)> = Vec::new();
    let (mut name, mut inside) = (String::new(), false);
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                blocks.push((name.clone(), language.to_owned(), String::new()));
            }
        } else if inside && let Some((_, _, text)) = blocks.last_mut() {
            *text += &format!("{line}\n");
        } else if let Some(last) = line.split('`').skip(1).step_by(2).last() {
            name = last.to_owned();
        }
    }
    blocks
}

fn page(name: &str) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(repository().join("docs").join(name)).expect("a page in docs");
    blocks(&text)
}

/// The block of a page for a file.
fn file(page: &[(String, String, String)], name: &str) -> String {
    let found = page.iter().find(|(file, _, _)| file.ends_with(name));
    found.unwrap_or_else(|| panic!("no block for {name}")).2.clone()
}

/// A folder as the pages describe it: the repository, with the tree under test, is beside the program.
struct Work {
    folder: TempDir,
    tree: Tree,
}

impl Work {
    fn new() -> Work {
        let (folder, tree) =
            (tempfile::tempdir().expect("a folder"), Tree::staged().expect("a tree"));
        let beside = folder.path().join("solo5");
        fs::create_dir_all(beside.join("target")).expect("a folder");
        for entry in fs::read_dir(repository()).expect("the repository") {
            let entry = entry.expect("an entry");
            if entry.file_name() != "target" {
                symlink(entry.path(), beside.join(entry.file_name())).expect("a link");
            }
        }
        symlink(tree.prefix(), beside.join("target/solo5")).expect("a link");
        let work = Work { folder, tree };
        work.find_vendored_crates();
        // With this lock file Cargo finds all crates without a network.
        let lock = fs::read_to_string(repository().join("Cargo.lock")).expect("a lock file");
        work.write("Cargo.lock", &lock);
        work
    }

    /// In a checkout that has its crates inside, Cargo finds them by its configuration, which the program
    /// does not see.
    fn find_vendored_crates(&self) {
        let inside = repository().join(".cargo");
        let Ok(text) = fs::read_to_string(inside.join("config.toml")) else { return };
        let sources = sources_of(&text, &repository());
        let folder = self.folder.path().join(".cargo");
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("config.toml"), sources).expect("a file");
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join("greeter").join(name);
        let folder = path.parent().expect("a file has a folder");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    #[track_caller]
    fn run(&self, line: &str) -> Output {
        let bin = self.tree.program("solo5-spt");
        let bin = bin.parent().unwrap_or(Path::new("/")).display().to_string();
        let output = Command::new("sh")
            .args(["-ec", line])
            .current_dir(self.folder.path().join("greeter"))
            .env("PATH", format!("{bin}:{}", env::var("PATH").unwrap_or_default()))
            .env("CARGO_NET_OFFLINE", "true")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .expect("sh starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{text}{errors}");
        output
    }

    /// The target of the image in `path`.
    fn target(&self, path: &str) -> String {
        let output = self.run(&format!("solo5-elftool query-abi {path}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// The tables of a Cargo configuration that say where crates are, with whole paths below `root`.
fn sources_of(configuration: &str, root: &Path) -> String {
    let mut is_source = false;
    let mut out = String::new();
    for line in configuration.lines() {
        if line.starts_with('[') {
            is_source = line.starts_with("[source.");
        }
        let folder = line.strip_prefix("directory = \"").and_then(|rest| rest.strip_suffix('"'));
        match folder {
            _ if !is_source => {}
            Some(folder) => out += &format!("directory = {:?}\n", root.join(folder)),
            None => out += &format!("{line}\n"),
        }
    }
    out
}

#[test]
fn crates_inside_the_checkout_are_found() {
    let configuration = "[alias]\nxtask = \"run\"\n[source.crates-io]\nreplace-with = \"v\"\n\
                         [source.v]\ndirectory = \"vendor\"\n[build]\njobs = 1\n";
    assert_eq!(
        sources_of(configuration, Path::new("/r")),
        "[source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"/r/vendor\"\n"
    );
}

const IMAGE: &str = "target/x86_64-unknown-linux-gnu/debug/greeter";

#[test]
fn a_rust_program_is_checked_built_and_run_as_its_page_says() {
    let (work, page) = (Work::new(), page("rust.md"));
    for name in ["Cargo.toml", "manifest.yaml", "src/main.rs", ".cargo/config.toml", "hvt.toml"] {
        work.write(name, &file(&page, name));
    }
    work.write("build.rs", BUILD_SCRIPT);
    work.run("cargo check --all-targets");
    work.run("cargo build");
    let greeting = work.run(&format!("solo5-spt --mem=8 {IMAGE} World"));
    let text = String::from_utf8_lossy(&greeting.stdout);
    assert!(text.contains("Hello, World\n"), "{text}");
    assert!(work.target(IMAGE).contains("\"spt\""));
    work.run("cargo build --config hvt.toml");
    assert!(work.target(IMAGE).contains("\"hvt\""));
    // The page's file without the lines about tests.
    let cargo = file(&page, "Cargo.toml");
    let short: String = cargo
        .lines()
        .filter(|line| !line.contains("= false"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(short.len() < cargo.len());
    work.write("Cargo.toml", &short);
    work.run("cargo check --all-targets");
}

#[test]
fn the_toolchains_page_builds_c_and_rust() {
    let (work, page) = (Work::new(), page("toolchain.md"));
    let (_, _, script) = page.iter().find(|(_, language, _)| language == "sh").expect("a block");
    let output = work.run(script);
    assert!(String::from_utf8_lossy(&output.stdout).contains("SUCCESS"));

    let rust = self::page("rust.md");
    work.write("src/main.rs", &file(&rust, "src/main.rs").replace("manifest.yaml", "app.yaml"));
    work.write("Cargo.toml", &file(&rust, "Cargo.toml"));
    work.write("build.rs", BUILD_SCRIPT);
    let config = page.iter().find(|(_, language, _)| language == "toml").expect("a block");
    work.write(".cargo/config.toml", &config.2);
    work.run("cargo build");
    assert!(work.target(IMAGE).contains("\"spt\""));
}

#[test]
fn blocks_belong_to_the_name_in_front() {
    let page =
        "Four files. `A.toml`:\n\n```toml\nx\n```\n\n`b/c.rs` and `d.rs`:\n\n```rust\ny\nz\n```\n";
    let expected = [("A.toml", "toml", "x\n"), ("d.rs", "rust", "y\nz\n")];
    let expected = expected
        .map(|(name, language, text)| (name.to_owned(), language.to_owned(), text.to_owned()));
    assert_eq!(blocks(page), expected);
}
