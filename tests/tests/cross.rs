//! Every test unikernel, compiled and linked on this machine for each architecture and target that has bindings: the audit
//! finds no error, another folder gives the same bytes, and lld's segments and notes are GNU ld's.
//!
//! ```text
//! cargo xtask build --cross=aarch64; cargo xtask build --cross=ppc64le
//! cargo test -p solo5-tests --test cross -- --ignored --nocapture
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use solo5_tests::guest::{self, C_FLAGS, Guest};
use solo5_tests::not_yet;
use solo5_tests::tree::{ARCH, Tree, repository};

/// The tools for `arch` on this machine.
fn tools(arch: &str) -> Tree {
    let prefix = match arch {
        ARCH => Tree::staged().expect("a staged tree").prefix().to_owned(),
        _ => repository().join("target").join(arch).join("toolchain"),
    };
    let tools = Tree::toolchain(&prefix, arch);
    tools.unwrap_or_else(|_| panic!("run `cargo xtask build --cross={arch}` first"))
}

/// Runs a program in `folder`, and returns what it prints.
fn output(command: &mut Command, folder: &Path) -> String {
    let done = command.current_dir(folder).output().expect("it starts");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {text}{errors}");
    text
}

/// A copy of the unikernels' sources in a folder with this name.
fn sources(parent: &Path, name: &str) -> std::path::PathBuf {
    let folder = parent.join(name);
    let mut copy = Command::new("cp");
    output(copy.arg("-R").arg(guest::directory()).arg(&folder), parent);
    folder
}

fn compile(tree: &Tree, folder: &Path, source: &str, object: &str) {
    // Debugging information has the folder's name.
    let flags = C_FLAGS.iter().filter(|flag| **flag != "-g");
    let mut cc = Command::new(tree.cc());
    output(cc.args(flags).args(["-I", "kit", "-c", source, "-o", object]), folder);
}

fn link(tree: &Tree, folder: &Path, guest: &Guest, target: &str, linker: Option<&str>) -> String {
    let image = format!("{}.{target}{}", guest.name, linker.map_or("", |_| ".lld"));
    let manifest = guest.manifest.file_name().expect("a name").to_string_lossy();
    let mut ld = Command::new(tree.ld());
    if let Some(linker) = linker {
        ld.env("SOLO5_LD", linker);
    }
    ld.arg("-z").arg(format!("solo5-abi={target}"));
    // The stub is for build systems that probe a compiler.
    if target != "stub" {
        ld.arg("-z").arg(format!("solo5-manifest={manifest}"));
    }
    output(ld.args([&format!("{}.o", guest.name), "kit.o", "-o", &image]), folder);
    image
}

/// What linkers must agree on, as readelf says it: type and rights of each segment with content, and each note. lld leaves out
/// empty segments, GNU ld does not; and lld does not align a segment for the thread-local zeros behind it, which take no memory there.
fn shape(folder: &Path, image: &str) -> (Vec<String>, BTreeSet<String>) {
    let text = output(Command::new("readelf").args(["-lW", image]), folder);
    let headers = text.lines().skip_while(|line| !line.contains("VirtAddr"));
    let rows = headers.skip(1).take_while(|line| !line.is_empty());
    let segments = rows.filter_map(|line| {
        // Type, offset, two addresses, two sizes, rights in one to three words, alignment.
        let words: Vec<_> = line.split_whitespace().collect();
        let [kind, _, _, _, _, memory, rights @ .., _] = words.as_slice() else { return None };
        let is_empty = memory.trim_start_matches("0x").bytes().all(|digit| digit == b'0');
        (!is_empty && !kind.starts_with('[')).then(|| format!("{kind} {}", rights.concat()))
    });
    let text = output(Command::new("readelf").args(["-nW", image]), folder);
    let notes = text.split("Displaying notes found in: ").skip(1);
    (segments.collect(), notes.map(|note| note.trim().to_owned()).collect())
}

/// All about one unikernel; returns the images for targets.
fn check(tree: &Tree, [one, other]: [&Path; 2], guest: &Guest, targets: &[String]) -> Vec<String> {
    let own = |target: &&String| {
        let name = format!("guest/{}/{target}", guest.name);
        let runs =
            |name: &String| guest.directives.runs.iter().any(|run| run.targets.contains(name));
        *target == "stub" || runs(target) && not_yet::reason(tree.arch(), &name).is_none()
    };
    let source = format!("{}.c", guest.name);
    for folder in [one, other] {
        compile(tree, folder, &source, &format!("{}.o", guest.name));
    }
    let mut images = Vec::new();
    for target in targets.iter().filter(own) {
        let image = link(tree, one, guest, target, None);
        assert_eq!(image, link(tree, other, guest, target, None));
        let [ours, theirs] =
            [one, other].map(|folder| fs::read(folder.join(&image)).expect("an image"));
        assert!(ours == theirs, "{}: {image} has other bytes in another folder", tree.arch());
        // Nobody loads the stub, which has no notes.
        if target != "stub" {
            let lld = link(tree, one, guest, target, Some("ld.lld"));
            let [gnu, lld] = [&image, &lld].map(|image| shape(one, image));
            assert!(gnu.0.len() > 3 && gnu.1.len() > 2, "{image}: {gnu:?}");
            assert_eq!(gnu, lld, "{}: {image}", tree.arch());
            images.push(image);
        }
    }
    images
}

#[test]
#[ignore = "takes most of a minute, and needs the tools that `cargo xtask build --cross` makes; docs/testing.md"]
fn every_unikernel_is_made_for_every_architecture() {
    let guests = guest::all().expect("the unikernels");
    for arch in ["x86_64", "aarch64", "ppc64le"] {
        let tree = tools(arch);
        let folder = tempfile::tempdir().expect("a folder");
        let [one, other] = ["one", "a longer name"].map(|name| sources(folder.path(), name));
        let names = fs::read_dir(tree.lib()).expect("bindings");
        let names = names.map(|entry| entry.expect("an entry").file_name());
        let mut targets: Vec<_> = names
            .filter_map(|name| {
                Some(name.to_str()?.strip_prefix("solo5_")?.strip_suffix(".o")?.to_owned())
            })
            .collect();
        targets.sort();
        for folder in [&one, &other] {
            compile(&tree, folder, "kit/kit.c", "kit.o");
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut images = Vec::new();
            while let Some(guest) = guests.get(next.fetch_add(1, Relaxed)) {
                images.extend(check(&tree, [&one, &other], guest, &targets));
            }
            images
        };
        let images = std::thread::scope(|scope| {
            let others = scope.spawn(work);
            let mut images = work();
            images.extend(others.join().expect("no failure"));
            images
        });
        let mut audit = Command::new(tree.program("solo5-elftool"));
        output(audit.arg("audit").args(&images), &one);
        println!("{arch}: {} images for {}", images.len(), targets.join(", "));
        assert!(images.len() > 50, "{arch}");
    }
}
