//! Where linkers and compilers write about their inputs, they name the manifest, and they write the
//! same each time.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use crate::tree::{APPLICATION, MANIFEST, Tree, assert_ok, errors, linkers};

const MANIFEST_NAME: &str = "my app.yaml";

fn link(tree: &Tree, linker: &str, arguments: &[&str]) -> Output {
    tree.command("solo5-ld")
        .env("SOLO5_LD", linker)
        .args(["-z", "solo5-abi=spt", "-z", &format!("solo5-manifest={MANIFEST_NAME}")])
        .args(["app.o", "-o", "image"])
        .args(arguments)
        .output()
        .unwrap()
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

fn tree() -> Tree {
    let tree = Tree::new();
    tree.object("app", APPLICATION);
    tree.file(MANIFEST_NAME, MANIFEST);
    tree
}

/// Options, the file they write, and how the manifest is named in it.
const FILES: &[(&[&str], &str, &str, &[&str])] = &[
    (&["--dependency-file=out.d"], "out.d", "my\\ app.yaml", &["ld", "ld.lld"]),
    (&["--dependency-file", "out.d"], "out.d", "my\\ app.yaml", &["ld", "ld.lld"]),
    (&["-Map=out.map"], "out.map", MANIFEST_NAME, &["ld", "ld.lld"]),
    (&["-Map", "out.map"], "out.map", MANIFEST_NAME, &["ld", "ld.lld"]),
    (&["--Map=out.map"], "out.map", MANIFEST_NAME, &["ld", "ld.lld"]),
    (&["-Map=maps"], "maps/image.map", MANIFEST_NAME, &["ld"]),
    (&["-Map=%.map"], "image.map", MANIFEST_NAME, &["ld"]),
    (&["--reproduce=out.tar"], "out.tar", "my_app.yaml.o", &["ld.lld"]),
];

#[test]
fn files_beside_the_image_name_the_manifest() {
    let tree = tree();
    fs::create_dir(tree.work.join("maps")).unwrap();
    for linker in linkers() {
        for (arguments, file, name, _) in
            FILES.iter().filter(|(_, _, _, linkers)| linkers.contains(&linker))
        {
            let written = || {
                assert_ok(&link(&tree, linker, arguments));
                let path = tree.work.join(file);
                let text = fs::read(&path).unwrap();
                fs::remove_file(path).unwrap();
                text
            };
            let text = written();
            let shown = String::from_utf8_lossy(&text);
            assert!(!contains(&text, "solo5-link"), "{linker} {arguments:?}: {shown}");
            assert!(contains(&text, name), "{linker} {arguments:?}: {shown}");
            assert!(text == written(), "{linker} {arguments:?}: other bytes the second time");
        }
    }
}

/// The archive of the inputs can be unpacked, and holds the object.
#[test]
fn reproduced_inputs_are_an_archive() {
    let tree = tree();
    if !linkers().contains(&"ld.lld") {
        return;
    }
    let output = tree
        .command("solo5-ld")
        .env("SOLO5_LD", "ld.lld")
        .env("LLD_REPRODUCE", "out.tar")
        .args(["-z", "solo5-abi=spt", "-z", &format!("solo5-manifest={MANIFEST_NAME}")])
        .args(["app.o", "-o", "image"])
        .output()
        .unwrap();
    assert_ok(&output);
    let unpacked = std::process::Command::new("tar")
        .args(["xf", "out.tar"])
        .current_dir(&tree.work)
        .output()
        .unwrap();
    assert_ok(&unpacked);
    assert_eq!(errors(&unpacked), "");
    let again = std::process::Command::new("ld.lld")
        .current_dir(tree.work.join("out"))
        .args(["@response.txt", "-o", "../again"])
        .output()
        .unwrap();
    assert_ok(&again);
    assert!(
        fs::read(tree.work.join("again")).unwrap() == fs::read(tree.work.join("image")).unwrap()
    );
}

#[test]
fn what_is_printed_names_the_manifest() {
    let tree = tree();
    for linker in linkers() {
        for arguments in [&["-t"][..], &["--trace"], &["--print-map"], &["-M"], &["-Map=-"]] {
            let output = link(&tree, linker, arguments);
            assert_ok(&output);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains(MANIFEST_NAME), "{linker} {arguments:?}: {text}");
            assert!(!text.contains("solo5-link"), "{linker} {arguments:?}: {text}");
            assert_eq!(output.stdout, link(&tree, linker, arguments).stdout);
        }
        // Two manifests, one of them an object.
        tree.manifest();
        let text = errors(&link(&tree, linker, &["manifest.o"]));
        assert!(text.contains(MANIFEST_NAME), "{linker}: {text}");
        assert!(!text.contains("solo5-link"), "{linker}: {text}");
    }
}

/// Compiled and linked at once, the image depends on the manifest as on its sources.
#[test]
fn dependencies_that_a_compiler_writes_have_the_manifest() {
    let tree = tree();
    for compiler in ["gcc", "clang"] {
        let compile = |arguments: &[&str]| {
            let output = tree
                .command("solo5-cc")
                .env("SOLO5_CC", compiler)
                .args(["-z", "solo5-abi=spt", "-z", &format!("solo5-manifest={MANIFEST_NAME}")])
                .args(["app.c", "-o", "image.spt"])
                .args(arguments)
                .output()
                .unwrap();
            assert_ok(&output);
        };
        if std::process::Command::new(compiler).arg("--version").output().is_err() {
            println!("skip: dependencies by {compiler}: not installed");
            continue;
        }
        for (arguments, file, phony) in [
            (&["-MD"][..], "image.d", false),
            (&["-MMD", "-MF", "own.d"], "own.d", false),
            (&["-MMD", "-MFown.d", "-MP"], "own.d", true),
        ] {
            compile(arguments);
            let text = fs::read_to_string(tree.work.join(file)).unwrap();
            fs::remove_file(tree.work.join(file)).unwrap();
            let rule = text.split("\n\n").next().unwrap();
            assert!(rule.starts_with("image.spt: app.c"), "{compiler} {arguments:?}: {text}");
            let rule = rule.replace("\\\n", "");
            assert!(rule.lines().next().unwrap().ends_with("my\\ app.yaml"), "{compiler}: {text}");
            assert_eq!(text.contains("\nmy\\ app.yaml:\n"), phony, "{compiler}: {text}");
        }
    }
}

/// A log that standard output goes to is not the rules that a compiler writes into it.
#[test]
fn a_log_is_not_taken_for_a_file_of_dependencies() {
    let tree = tree();
    let log = tree.work.join("log");
    let first = "first: line\n";
    fs::write(&log, first).unwrap();
    let output = tree
        .command("solo5-cc")
        .args(["-z", "solo5-abi=spt", "-z", &format!("solo5-manifest={MANIFEST_NAME}")])
        .args(["app.c", "-o", "image.spt", "-MD", "-MF", "/dev/stdout"])
        .stdout(fs::OpenOptions::new().append(true).open(&log).unwrap())
        .output()
        .unwrap();
    assert_ok(&output);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with(first) && text.contains("image.spt: app.c"), "{text}");
}

/// GNU ld writes through a symbolic link. An image that a loader refuses must not stay at its target.
#[test]
fn a_refused_image_is_gone_where_a_link_points() {
    let tree = tree();
    let code = "__asm__(\".section .data.jit,\\\"awx\\\"\\n.long 0\\n.previous\");\n";
    tree.object("app", &format!("{APPLICATION}{code}"));
    for linker in linkers() {
        let (image, real) = (tree.work.join("image"), tree.work.join("real"));
        symlink("middle", &image).unwrap();
        let _ = symlink("real", tree.work.join("middle"));
        for before in [true, false] {
            if before {
                fs::write(&real, "an older image").unwrap();
            }
            let output = link(&tree, linker, &["--dependency-file=out.d", "-Map=out.map"]);
            assert_eq!(output.status.code(), Some(1), "{linker}");
            assert!(errors(&output).contains("error[S201]"), "{}", errors(&output));
            // lld replaces the symbolic link, and does not touch its target.
            let left = fs::read(&real).ok();
            assert!(left.is_none() || left.as_deref() == Some(b"an older image"), "{linker}");
            assert!(!image.exists() || left.is_some() && is_link(&image), "{linker}");
            // The second link, which finds the section's object, must not write over these files.
            for file in ["out.d", "out.map"] {
                let text = fs::read_to_string(tree.work.join(file)).unwrap();
                assert!(!text.contains("solo5-link"), "{linker} {file}: {text}");
            }
        }
        let _ = fs::remove_file(&image);
        let _ = fs::remove_file(&real);
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

#[test]
fn a_manifest_without_a_target_is_pointed_out() {
    let tree = tree();
    let manifest = format!("solo5-manifest={MANIFEST_NAME}");
    for (tool, arguments, warned) in [
        ("solo5-cc", &["app.o"][..], true),
        ("solo5-ld", &["app.o", "--entry=solo5_app_main", "--unresolved-symbols=ignore-all"], true),
        ("solo5-cc", &["app.o", "-z", "solo5-abi=stub"], false),
        ("solo5-cc", &["app.o", "-z", "solo5-abi=spt"], false),
        ("solo5-cc", &["-c", "app.c"], false),
        ("solo5-ld", &["-r", "app.o"], false),
    ] {
        let line = [&["-z", &manifest, "-o", "out"], arguments].concat();
        let output = tree.run(tool, &line);
        assert_ok(&output);
        let text = errors(&output);
        assert_eq!(text.contains("warning[L510]"), warned, "{tool} {arguments:?}: {text}");
        assert_eq!(text.contains("-z solo5-abi="), warned, "{tool} {arguments:?}: {text}");
    }
}

/// The linker reads response files of its own.
#[test]
fn options_in_response_files_of_the_linker_count() {
    let tree = tree();
    tree.file("abi.rsp", "-z solo5-abi=spt --defsym=a=MAX(1,2) -z 'solo5-manifest=my app.yaml'");
    tree.file("nested.rsp", "@abi.rsp");
    tree.file("half.rsp", "solo5-abi=spt");
    let with = format!("-Wl,-z,solo5-manifest={MANIFEST_NAME}");
    for arguments in [
        &["-Wl,@abi.rsp"][..],
        &["-Wl,@nested.rsp"],
        &["-Wl,-z,@half.rsp", &with],
        &["-Wl,-z", "-Wl,@half.rsp", &with],
    ] {
        let output = tree.run("solo5-cc", &[&["app.o", "-o", "image"], arguments].concat());
        assert_ok(&output);
        assert_eq!(errors(&output), "", "{arguments:?}");
        crate::image::Linked::open(&tree.work.join("image")).assert_complete();
        fs::remove_file(tree.work.join("image")).unwrap();
    }
}
