//! `NO_COLOR` and `CLICOLOR_FORCE`, for every program and with output that goes to a pipe.

use std::fs;
use std::path::Path;
use std::process::Command;

use solo5_tests::tree::Tree;

/// A program, its arguments, and whether what it then prints has colours at all.
const RUNS: &[(&str, &[&str], bool)] = &[
    ("solo5-mft", &["check", "bad.yaml"], true),
    ("solo5-mft", &["--help"], true),
    ("solo5-elftool", &["audit", "bad.yaml"], true),
    ("solo5-elftool", &["policy", "check", "bad.yaml"], true),
    ("solo5-elftool", &["check", "--plan", "bad.yaml"], true),
    ("solo5-elftool", &["--help"], true),
    ("solo5-ld", &["-z", "solo5-abi=none"], true),
    ("solo5-cc", &["-z", "solo5-abi=none", "bad.c"], true),
    ("solo5-objcopy", &["none"], false),
    ("solo5-spt", &["--policy=bad.yaml", "none"], false),
    ("solo5-hvt", &["--help"], false),
    ("solo5-hvt-debug", &["--policy=bad.yaml", "none"], false),
    ("solo5-virtio-run", &["--policy=bad.yaml", "none"], false),
    ("solo5-virtio-mkimage", &["disk.img", "bad.yaml"], true),
    ("solo5-virtio-mkimage", &["--help"], true),
    ("solo5-run", &["--help"], true),
    ("solo5-run", &["create", "--bundle=none", "name"], false),
];

/// Whether the program prints an escape sequence.
fn coloured(tree: &Tree, folder: &Path, program: &str, arguments: &[&str], set: &[&str]) -> bool {
    let mut command = Command::new(tree.program(program));
    command.args(arguments).current_dir(folder).env("TERM", "xterm");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    let output = command.envs(set.iter().map(|name| (name, "1"))).output().expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    assert!(!text.is_empty(), "{program} {arguments:?} prints nothing");
    text.contains(&0x1b)
}

#[test]
fn every_program_obeys_the_variables_about_colours() {
    let (tree, folder) = (Tree::staged().expect("a tree"), tempfile::tempdir().expect("a folder"));
    fs::write(folder.path().join("bad.yaml"), "devises: []\n").expect("a file");
    fs::write(folder.path().join("bad.c"), "int x;\n").expect("a file");
    let mut wrong = Vec::new();
    for &(program, arguments, any) in RUNS {
        for (set, expected) in [
            (&[][..], false),
            (&["CLICOLOR_FORCE"][..], any),
            (&["NO_COLOR", "CLICOLOR_FORCE"][..], false),
        ] {
            if coloured(&tree, folder.path(), program, arguments, set) != expected {
                wrong.push(format!("{program} {arguments:?} with {set:?}: not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
