//! The completion scripts in `docs/completions`. Those of the tenders are made from the table of
//! options; `SOLO5_BLESS=1` writes them anew. The bash scripts are tested in a real bash.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use solo5_abi::{Arch, Target};
use solo5_launch::Modules;
use solo5_launch::completion::{Shell, names, script};

const TENDERS: [(&str, Modules); 4] = [
    ("solo5-spt", Modules::ordinary(Target::Spt)),
    ("solo5-hvt", Modules::ordinary(Target::Hvt)),
    ("solo5-hvt-debug", Modules::debug(Target::Hvt)),
    ("solo5-virtio-run", Modules::ordinary(Target::Virtio)),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/completions")
}

#[test]
fn the_tenders_scripts_match_the_table_of_options() {
    for shell in Shell::ALL {
        for (program, modules) in TENDERS {
            let path = folder().join(shell.name()).join(program);
            let made = script(shell, program, &modules);
            if std::env::var_os("SOLO5_BLESS").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &made).unwrap();
            }
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(kept, made, "{}: write it with SOLO5_BLESS=1", path.display());
        }
    }
}

/// What bash offers for a line whose last word is being typed.
fn completed(program: &str, line: &str) -> Vec<String> {
    completed_by(program, program, line)
}

/// As [`completed`], by the script of another program.
fn completed_by(script: &str, program: &str, line: &str) -> Vec<String> {
    let run = Command::new("bash")
        .args(["--norc", "-c"])
        .arg(
            ". \"$1\" || exit 1
             function=$(complete -p \"$2\" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
             COMP_LINE=$3 COMP_POINT=${#3}
             read -ra COMP_WORDS <<< \"$3\"
             COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
             \"$function\" \"$2\" \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"
             printf '%s\\n' \"${COMPREPLY[@]}\"",
        )
        .arg("bash")
        .arg(folder().join("bash").join(script))
        .args([program, line])
        .current_dir(folder())
        .output()
        .expect("bash");
    assert_eq!(String::from_utf8_lossy(&run.stderr), "", "{line}");
    let text = String::from_utf8(run.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_options_and_values_of_tenders() {
    for (program, modules) in TENDERS {
        let line = |rest: &str| completed(program, &format!("{program} {rest}"));
        let offered = line("--");
        for name in names(&modules) {
            let has = offered.iter().any(|one| one.trim_end_matches(['=', ':']) == name);
            assert!(has, "{program} {name}: {offered:?}");
        }
        assert_eq!(line("--me"), ["--mem="]);
        assert_eq!(line("--mem=4 --format=h"), ["human"]);
        assert_eq!(line("--block-access:a=read-o"), ["read-only"]);
        assert_eq!(line("--policy=ba"), ["bash"]);
        assert_eq!(line("ba"), ["bash"]);
        assert_eq!(line("--gdb-p").is_empty(), !modules.gdb);
    }
}

#[test]
fn values_of_short_options_are_completed() {
    let line = |rest: &str| completed("solo5-virtio-run", &format!("solo5-virtio-run {rest}"));
    assert_eq!(line("-M mi"), ["microvm"]);
    assert_eq!(line("-q -H b"), ["best", "bhyve"]);
    assert_eq!(line("-d ba"), ["bash"]);
    assert_eq!(completed("solo5-spt", "solo5-spt -M mi"), [""; 0], "has no short options");
}

#[test]
fn bash_completes_the_options_of_the_linker_wrapper() {
    for program in called("cc").into_iter().chain(called("ld")) {
        let line = |rest: &str| completed_by("solo5-cc", &program, &format!("{program} {rest}"));
        assert_eq!(line("-z solo5-ab"), ["solo5-abi="]);
        assert_eq!(line("-z solo5-abi=sp"), ["spt"]);
        assert_eq!(line("-z solo5-audit=w"), ["warning"]);
        assert_eq!(line("-z solo5-manifest=ba"), ["bash"]);
        assert_eq!(line("ba"), ["bash"]);
    }
}

/// A tool's names: one that starts with `solo5-`, and one with the triple of each architecture.
fn called(tool: &str) -> Vec<String> {
    let triples = Arch::ALL.map(|arch| format!("{}-{tool}", arch.triple()));
    [format!("solo5-{tool}")].into_iter().chain(triples).collect()
}

#[test]
fn every_shell_knows_every_name_of_the_wrapper() {
    for shell in Shell::ALL {
        for (file, tools) in [("solo5-cc", &["cc", "ld"][..]), ("solo5-objcopy", &["objcopy"])] {
            let path = folder().join(shell.name()).join(file);
            let script = fs::read_to_string(&path).unwrap();
            let words: Vec<&str> = script.split_whitespace().collect();
            for name in tools.iter().flat_map(|tool| called(tool)) {
                assert!(words.contains(&name.as_str()), "{}: {name}", path.display());
            }
        }
    }
}

#[test]
fn bash_completes_files_for_objcopy_and_the_words_of_the_toolchain() {
    for program in called("objcopy") {
        let line =
            |rest: &str| completed_by("solo5-objcopy", &program, &format!("{program} {rest}"));
        assert_eq!(line("-O binary ba"), ["bash"]);
        assert_eq!(line("--extract-symbol ba"), ["bash"]);
    }
    let line = |rest: &str| completed("solo5-toolchain", &format!("solo5-toolchain {rest}"));
    assert_eq!(line("ob"), ["objcopy"]);
    assert_eq!(line("script "), Arch::ALL.map(Arch::name));
    let stub = ["stub"].into_iter();
    let targets: BTreeSet<&str> = Target::ALL
        .into_iter()
        .filter(|target| *target != Target::Genode)
        .map(Target::name)
        .chain(stub)
        .collect();
    let offered = line("script x86_64 ");
    assert_eq!(offered.iter().map(String::as_str).collect::<BTreeSet<_>>(), targets);
    assert_eq!(line("cc ba"), ["bash"]);
}
