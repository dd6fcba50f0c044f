//! The commands of the underlying tools, recorded by scripts that replace the tools.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use solo5_abi::{Arch, Target};
use solo5_linker_wrapper::script::{Bindings, render};

use crate::tree::{Tree, arch, assert_ok, errors};

/// A script that prints its arguments, one a line.
const ECHO: &str = "printf '%s\\n' \"$@\"";

/// Runs `tool` with a script called `behind` in place of all tools; returns the script's arguments.
fn seen(tree: &Tree, behind: &str, tool: &str, line: &str) -> Vec<String> {
    let echo = tree.script(behind, ECHO);
    let output = tree
        .command(tool)
        .env("PATH", format!("{}:/usr/bin:/bin", tree.work.display()))
        .env("SOLO5_CC", echo.file_name().unwrap())
        .env("SOLO5_LD", echo.file_name().unwrap())
        .env("SOLO5_OBJCOPY", echo.file_name().unwrap())
        .args(line.split_whitespace())
        .output()
        .unwrap();
    assert_ok(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// `template` in words, with `{I}` and `{L}` replaced by the installed folders.
fn words(tree: &Tree, template: &str) -> Vec<String> {
    let prefix = fs::canonicalize(&tree.prefix).unwrap();
    let include = prefix.join("include").display().to_string();
    let library = prefix.join("lib").join(arch().triple()).display().to_string();
    template
        .split_whitespace()
        .map(|word| {
            word.replace("{I}", &include)
                .replace("{L}", &library)
                .replace("{TRIPLE}", arch().triple())
                .replace("{PAGE}", &format!("{:#x}", arch().page_size_max()))
        })
        .collect()
}

/// The commands of `docs/reference/toolchain.md#arguments`. GUARD and CLASH stand for options that
/// not every architecture has.
#[test]
fn commands_are_those_of_the_specification() {
    let tree = Tree::new();
    let gcc = "-nostdinc GUARD -isystem {I}/{TRIPLE} -I {I}/solo5 -ffreestanding \
               -fstack-protector-strong CLASH";
    let clang = "-nostdlibinc -Wno-unused-command-line-argument GUARD \
                 -I {I}/solo5 -ffreestanding -fstack-protector-strong CLASH";
    let link = "-nostdlib -L {L} -z max-page-size={PAGE} -static";
    let spt = "-T {L}/solo5_spt.lds {L}/solo5_spt.o";
    let stub = "-T {L}/solo5_stub.lds {L}/solo5_stub.o";
    let driver = "-Wl,--build-id=none -no-pie";
    let cases = [
        ("gcc", "cc", "-c a.c -z solo5-abi=spt", format!("{gcc} -c a.c")),
        ("clang", "cc", "-E a.c", format!("{clang} -E a.c")),
        (
            "gcc",
            "cc",
            "a.o -z solo5-abi=spt -z solo5-audit=off -o a",
            format!("{gcc} {driver} {link} {spt} a.o -o a"),
        ),
        (
            "gcc",
            "cc",
            "a.o -Wl,--build-id,-z,solo5-abi=spt,-z,solo5-audit=off",
            format!("{gcc} {driver} {link} {spt} a.o -Wl,--build-id"),
        ),
        (
            "gcc",
            "cc",
            "conftest.c -o conftest -lm",
            format!("{gcc} {driver} {link} {stub} conftest.c -o conftest -lm"),
        ),
        ("gcc", "cc", "a.o -z solo5-abi=", format!("{gcc} {driver} {link} a.o")),
        ("gcc", "cc", "-r a.o -o b.o", format!("{gcc} {driver} {link} -r a.o -o b.o")),
        ("gcc", "cc", "-v", "-v".to_owned()),
        ("gcc", "cc", "--version", format!("{gcc} --version")),
        ("gcc", "ld", "a.o -z solo5-abi=stub -o a", format!("{link} {stub} a.o -o a")),
        ("gcc", "ld", "-r a.o -o b.o", format!("{link} -r a.o -o b.o")),
        ("gcc", "ld", "", link.to_owned()),
        ("gcc", "objcopy", "-w -G x a.o", "-w -G x a.o".to_owned()),
    ];
    let guard = "-mstack-protector-guard=global";
    let clash = "-fstack-clash-protection";
    for (behind, tool, line, expected) in cases {
        let mut got = seen(&tree, behind, &format!("solo5-{tool}"), line);
        got.retain(|word| word != guard && word != clash);
        let mut expected = words(&tree, &expected);
        expected.retain(|word| word != "GUARD" && word != "CLASH");
        // The prefix has a space in it, which splitting the template must not see.
        assert_eq!(got.join("\n"), expected.join("\n"), "{tool} {line}");
    }
}

#[test]
fn a_chosen_linker_is_the_compilers_too() {
    let tree = Tree::new();
    let linker = tree.script("my-ld", "true");
    let clang = tree.script("clang", ECHO);
    let run = |line: &[&str]| {
        let output = tree
            .command("solo5-cc")
            .env("SOLO5_CC", &clang)
            .env("SOLO5_LD", &linker)
            .args(line)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let option = format!("--ld-path={}", linker.display());
    assert!(run(&["a.o"]).contains(&option));
    assert!(!run(&["a.o", "-fuse-ld=lld"]).contains(&option));
}

#[test]
fn a_tool_may_be_given_with_arguments() {
    let tree = Tree::new();
    let echo = tree.script("gcc", ECHO);
    let output = tree
        .command("solo5-cc")
        .env("SOLO5_CC", format!("{} -m64  -g", echo.display()))
        .args(["-c", "a.c"])
        .output()
        .unwrap();
    assert!(output.stdout.starts_with(b"-m64\n-g\n"));
}

#[test]
fn the_wrapper_ends_with_the_tools_status() {
    let tree = Tree::new();
    let status = |body: &str, arguments: &[&str]| {
        let tool = tree.script("gcc", body);
        let output =
            tree.command("solo5-cc").env("SOLO5_CC", tool).args(arguments).output().unwrap();
        output.status.code()
    };
    let link = ["a.o", "-z", "solo5-abi=spt"];
    assert_eq!(status("exit 7", &["-c", "a.c"]), Some(7));
    assert_eq!(status("exit 7", &link), Some(7));
    assert_eq!(status("kill -9 $$", &link), Some(137));
    let output =
        tree.command("solo5-cc").env("SOLO5_CC", "/nonexistent/gcc").args(link).output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(errors(&output).contains("error[L504]"), "{}", errors(&output));
}

#[test]
fn no_arguments_are_an_error_on_standard_error() {
    let tree = Tree::new();
    let output = tree.run::<&str>("solo5-cc", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(errors(&output), "solo5-cc: No input files. Compilation terminated.\n");
    assert!(output.stdout.is_empty());
    let output = tree.run::<&str>("solo5-ld", &[]);
    assert_ne!(output.status.code(), Some(0));
    assert!(errors(&output).contains("no input files"));
}

/// Build systems take the printed machine for the prefix of `ar`, `nm` and `ranlib`, and pass it to
/// `config.sub`.
#[test]
fn the_machine_is_what_the_compiler_says() {
    let tree = Tree::new();
    for compiler in ["gcc", "clang"] {
        let Ok(expected) = Command::new(compiler).arg("-dumpmachine").output() else {
            println!("skip: -dumpmachine of {compiler}: not installed");
            continue;
        };
        for tool in ["solo5-cc".to_owned(), format!("{}-cc", arch().triple())] {
            let output =
                tree.command(&tool).env("SOLO5_CC", compiler).arg("-dumpmachine").output().unwrap();
            assert_ok(&output);
            assert_eq!(output.stdout, expected.stdout, "{tool} with {compiler}");
        }
    }
}

#[test]
fn a_missing_folder_is_named() {
    let tree = Tree::new();
    let library = tree.prefix.join("lib").join(arch().triple());
    fs::remove_dir_all(tree.prefix.join("lib")).unwrap();
    let lines =
        ["a.o", "-z solo5-abi=hvt a.o", "-z solo5-abi=virtio a.o", "-z solo5-abi= a.o", "-r a.o"];
    for (tool, line) in [("solo5-cc", "-c a.c")]
        .into_iter()
        .chain(["solo5-cc", "solo5-ld"].into_iter().flat_map(|tool| lines.map(|line| (tool, line))))
    {
        let words: Vec<_> = line.split(' ').collect();
        let output = tree.run(tool, &words);
        assert_eq!(output.status.code(), Some(1));
        let text = errors(&output);
        let first = format!(
            "{tool}: error[L511]: Could not determine library path: no bindings for {} in {}\n",
            arch().name(),
            library.display()
        );
        assert!(text.starts_with(&first), "{line}: {text}");
        assert!(text.contains("`cargo xtask build`"), "{text}");
    }
    fs::remove_dir_all(tree.prefix.join("include")).unwrap();
    let text = errors(&tree.run("solo5-cc", &["a.o"]));
    let include = tree.prefix.join("include");
    let first = format!(
        "solo5-cc: error[L511]: Could not determine include path: no headers of unikernels in {}\n",
        include.display()
    );
    assert!(text.starts_with(&first), "{text}");
}

#[test]
fn the_bindings_of_another_architecture_may_be_missing() {
    let tree = Tree::new();
    for other in Arch::ALL.into_iter().filter(|other| *other != arch()) {
        let [name, triple] = [other.name(), other.triple()];
        let how = format!("`cargo xtask build --cross={name}`");
        for tool in ["cc", "ld"] {
            let tool = format!("{triple}-{tool}");
            symlink("solo5-cc", tree.tool(&tool)).unwrap();
            let text = errors(&tree.run(&tool, &["-z", "solo5-abi=spt", "a.o"]));
            assert!(text.contains(&format!("no bindings for {name} in ")), "{text}");
            assert!(text.contains(&how), "{text}");
        }
        // It adds nothing that would have to be installed.
        let tool = format!("{triple}-objcopy");
        symlink("solo5-cc", tree.tool(&tool)).unwrap();
        assert_eq!(seen(&tree, "objcopy", &tool, "a b"), ["a", "b"]);
        // A folder without bindings.
        fs::create_dir_all(tree.prefix.join("lib").join(triple)).unwrap();
        let text = errors(&tree.run(&format!("{triple}-ld"), &["-z", "solo5-abi=spt", "a.o"]));
        assert!(text.contains("error[L501]") && text.contains(&how), "{text}");
    }
}

#[test]
fn the_tree_is_found_from_wherever_the_program_is_called() {
    let tree = Tree::new();
    let object = tree.object("app", crate::tree::APPLICATION);
    let folder = tree.elsewhere("other bin");
    let triple_cc = format!("{}-cc", arch().triple());
    // A link to a link, a link of another name, and a moved prefix.
    symlink(tree.tool(&triple_cc), folder.join(&triple_cc)).unwrap();
    symlink(folder.join(&triple_cc), folder.join("guest-compiler")).unwrap();
    let link = |program: &Path| {
        let output = Command::new(program)
            .current_dir(&tree.work)
            .arg(&object)
            .args(["-o", "linked"])
            .output()
            .unwrap();
        assert_ok(&output);
        fs::remove_file(tree.work.join("linked")).unwrap();
    };
    link(&folder.join(&triple_cc));
    link(&folder.join("guest-compiler"));
    let search = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .current_dir(&tree.work)
        .env("PATH", search)
        .args(["-c", "guest-compiler app.o -o linked"])
        .output()
        .unwrap();
    assert_ok(&output);
    let moved = tree.elsewhere("moved").join("prefix");
    fs::rename(&tree.prefix, &moved).unwrap();
    link(&moved.join("bin").join(&triple_cc));
}

#[test]
fn response_files_hide_nothing() {
    let tree = Tree::new();
    tree.object("app", crate::tree::APPLICATION);
    // Compile mode from within a file.
    tree.file("compile.rsp", "-c app.c -o 'again.o'");
    assert_ok(&tree.run("solo5-cc", &["@compile.rsp"]));
    assert!(tree.has("again.o"));
    // The ABI from within a nested file, and so many arguments that a file is needed again.
    tree.file("abi.rsp", "-z solo5-abi=nowhere");
    let many = "-Wl,--defsym=x=1 ".repeat(8000);
    tree.file("link.rsp", format!("app.o {many} @abi.rsp"));
    for tool in ["solo5-cc", "solo5-ld"] {
        let output = tree.run(tool, &["@link.rsp"]);
        assert!(errors(&output).contains("unknown ABI 'nowhere'"), "{}", errors(&output));
    }
    tree.file("abi.rsp", "-z solo5-abi=stub -o linked");
    let output = tree.command("solo5-cc").env("__V", "1").arg("@link.rsp").output().unwrap();
    assert_ok(&output);
    assert!(tree.has("linked"));
    assert!(errors(&output).lines().next().unwrap().contains(" @"), "{}", errors(&output));
}

#[test]
fn commands_are_traced_when_asked() {
    let tree = Tree::new();
    let output = tree.command("solo5-ld").env("__V", "1").arg("--version").output().unwrap();
    let traced = errors(&output);
    assert!(traced.starts_with("+ ld -nostdlib -L '/"), "{traced}");
    assert!(errors(&tree.run("solo5-ld", &["--version"])).is_empty());
}

#[test]
fn an_unknown_abi_is_refused_with_the_known_ones() {
    let tree = Tree::new();
    for abi in ["sqt", "../spt", "spt.lds"] {
        let output = tree.run("solo5-cc", &["a.o", "-z", &format!("solo5-abi={abi}")]);
        let text = errors(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(text.contains("error[L501]"), "{text}");
        assert!(text.contains("installed are hvt, spt, stub"), "{text}");
    }
    assert!(!tree.has("a.out"));
}

/// Under a name that names no tool, the program reads the tool from its first argument.
#[test]
fn the_tool_may_be_the_first_argument() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_solo5-toolchain")).args(arguments).output().unwrap()
    };
    assert_ok(&run(&["objcopy", "--version"]));
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("TRIPLE-TOOL"));
}

#[test]
fn the_linker_scripts_that_are_installed_can_be_printed() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_solo5-toolchain")).args(arguments).output().unwrap()
    };
    let output = run(&["script", "x86_64", "spt"]);
    assert_ok(&output);
    let expected = render(Arch::X86_64, Bindings::Target(Target::Spt));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    for unknown in [&["script"][..], &["script", "x86_64"], &["script", "ppc64le", "hvt"]] {
        let output = run(unknown);
        assert_eq!(output.status.code(), Some(1), "{unknown:?}");
        assert!(errors(&output).contains("takes an architecture"), "{unknown:?}");
    }
}

#[test]
fn every_code_of_ours_is_explained() {
    let tree = Tree::new();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_solo5-toolchain")).args(arguments).output().unwrap()
    };
    let list = run(&["explain"]);
    assert_ok(&list);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().any(|line| line.starts_with("L501: ")), "{list}");
    assert!(list.lines().any(|line| line.starts_with("S201: ")), "{list}");
    for line in list.lines() {
        let (code, _) = line.split_once(": ").unwrap();
        let page = run(&["explain", code]);
        assert_ok(&page);
        assert!(page.stdout.starts_with(format!("# {line}\n").as_bytes()));
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_solo5-toolchain"));
    let refused = program.args(["explain", "L501"]).stdout(full).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("No space left on device"), "{}", errors(&refused));
    for (output, status) in [(">&-", 1), ("1</dev/null", 1), ("1<>/dev/null", 0)] {
        let script =
            format!("exec '{}' explain L501 {output}", env!("CARGO_BIN_EXE_solo5-toolchain"));
        let run = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(run.status.code(), Some(status), "{output}: {}", errors(&run));
    }
    let unknown = run(&["explain", "L999"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(errors(&unknown).contains("there is no code L999"));
    // Under a tool's name, `explain` is an argument of the tool.
    let tool = tree.run("solo5-ld", &["explain"]);
    assert!(errors(&tool).contains("explain"), "{}", errors(&tool));
    assert!(tool.stdout.is_empty());
}

/// Neither the host's headers nor variables that point at them are seen; the compiler's own are.
#[test]
fn headers_of_the_host_are_out_of_reach() {
    let tree = Tree::new();
    for compiler in ["gcc", "clang"] {
        if Command::new(compiler).arg("--version").output().is_err() {
            println!("skip: headers with {compiler}: not installed");
            continue;
        }
        let compile = |source: &str| {
            tree.file("probe.c", source);
            tree.command("solo5-cc")
                .env("SOLO5_CC", compiler)
                .env("CPATH", "/usr/include")
                .env("C_INCLUDE_PATH", "/usr/include")
                .args(["-c", "probe.c"])
                .output()
                .unwrap()
        };
        let freestanding = "#include <stddef.h>\n#include <stdint.h>\n#include <stdarg.h>\n\
                            #include <stdbool.h>\n#include <float.h>\n";
        assert_ok(&compile(freestanding));
        let output = compile("#include <stdio.h>\n");
        assert_ne!(output.status.code(), Some(0), "{compiler} found stdio.h");
        assert!(errors(&output).contains("stdio.h"), "{}", errors(&output));
    }
}
