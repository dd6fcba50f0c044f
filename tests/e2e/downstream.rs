//! How other programs use ours, one test each (`docs/reference/downstream.md`), and what they read
//! in our images.

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use solo5_tests::outcome::Outcome;
use solo5_tests::process::{self, Running};
use solo5_tests::tree::{TRIPLE, Tree};
use solo5_tests::{elf, ensure, guest, namespace};

use crate::{Suite, trial};

/// `n_type` of the manifest's note (`docs/reference/notes.md#kinds`).
const MFT1: u32 = 0x3154_464d;
/// `n_type` of the ABI note.
const ABI1: u32 = 0x3149_4241;

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let named =
        |name: &str, body: fn(&Suite) -> Outcome| trial(suite, format!("downstream/{name}"), body);
    vec![
        named("mirage-dune-rule", mirage_dune_rule),
        named("ocaml-solo5-configure", ocaml_solo5_configure),
        named("ocaml-solo5-keeps-the-manifest", ocaml_solo5_keeps_the_manifest),
        named("ocaml-solo5-elftool-reads-sections", ocaml_solo5_elftool_reads_sections),
        named("albatross-version", albatross_version),
        named("albatross-launch", albatross_launch),
        named("albatross-does-not-restart-what-is-denied", albatross_denied),
        named("urunc-launch", urunc_launch),
        named("query", query),
        named("too-many-entries", too_many_entries),
        named("buggy-elf", buggy_elf),
        named("no-exec", no_exec),
        named("tree-is-relocatable", tree_is_relocatable),
        named("stub-is-refused", stub_is_refused),
    ]
}

fn tool(program: PathBuf, arguments: &[&dyn AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|argument| argument.as_ref()));
    command
}

/// Mirage writes `manifest.json`, runs exactly this dune rule, and compiles the result as a
/// foreign stub with nothing but `-I include/solo5` (`docs/reference/downstream.md#mirage`).
fn mirage_dune_rule(suite: &Suite) -> Outcome {
    let directory = tempfile::tempdir()?;
    let json = br#"{"type":"solo5.manifest","version":1,"devices":[{"name":"service","type":"NET_BASIC"},{"name":"storage","type":"BLOCK_BASIC"}]}"#;
    std::fs::write(directory.path().join("manifest.json"), json)?;
    let mut rule = suite.tool("solo5-elftool");
    rule.args(["gen-manifest", "manifest.json", "manifest.c"]).current_dir(&directory);
    process::succeed(rule)?;

    let include = suite.tree.include().join("solo5");
    for (compiler, object) in [(suite.tree.cc(), "ours.o"), (PathBuf::from("cc"), "plain.o")] {
        let mut cc = tool(compiler, &[&"-c", &"-I", &include, &"manifest.c", &"-o", &object]);
        cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-fno-strict-aliasing"]);
        cc.current_dir(&directory);
        process::succeed(cc)?;
    }

    let main = "#include \"solo5.h\"\nint solo5_app_main(const struct solo5_start_info *info)\n\
                { (void)info; solo5_console_write(\"SUCCESS\\n\", 8); return 0; }\n";
    std::fs::write(directory.path().join("main.c"), main)?;
    for object in ["ours.o", "plain.o"] {
        // The effect of `-cclib "-z solo5-abi=spt"`.
        let mut cc = tool(suite.tree.cc(), &[&"-z", &"solo5-abi=spt", &"main.c", &object]);
        cc.args(["-o", "main.spt"]).current_dir(&directory);
        process::succeed(cc)?;
        let image = directory.path().join("main.spt");
        let query = tool(suite.tree.program("solo5-elftool"), &[&"query-manifest", &image]);
        let printed = process::succeed(query)?;
        let expected = "    { \"name\": \"service\", \"type\": \"NET_BASIC\" },\n    { \"name\": \
                        \"storage\", \"type\": \"BLOCK_BASIC\" }\n";
        ensure!(printed.contains(expected), "query-manifest printed:\n{printed}");
    }
    Ok(())
}

/// ocaml-solo5's configure script asks the compiler these things
/// (`docs/reference/downstream.md#ocaml-solo5`).
fn ocaml_solo5_configure(suite: &Suite) -> Outcome {
    let directory = tempfile::tempdir()?;
    let cc = || {
        let mut cc = Command::new(suite.tree.cc());
        cc.current_dir(&directory);
        cc
    };

    let mut machine = cc();
    machine.arg("-dumpmachine");
    let machine = process::succeed(machine)?;
    ensure!(machine.starts_with("x86_64-"), "-dumpmachine printed {machine:?}");

    let mut macros = cc();
    macros.args(["-dM", "-E", "-"]);
    let macros = process::succeed(macros)?;
    ensure!(macros.contains("#define __x86_64__ 1"), "-dM -E - printed:\n{macros}");

    // A probe as autoconf makes it: a program with `main` and without Solo5.
    std::fs::write(directory.path().join("conftest.c"), "int main(void) { return 0; }\n")?;
    let mut probe = cc();
    probe.args(["-o", "conftest", "conftest.c"]);
    process::succeed(probe)?;
    // And one that must fail, or every probe would find everything.
    std::fs::write(
        directory.path().join("absent.c"),
        "int no_such_function(void);\nint main(void) { return no_such_function(); }\n",
    )?;
    let mut probe = cc();
    probe.args(["-o", "absent", "absent.c"]);
    ensure!(process::run(probe)?.status != 0, "a program with an undefined symbol was linked");
    ensure!(!directory.path().join("absent").exists(), "the failed link left a file");

    // The host's own headers are not for unikernels.
    std::fs::write(directory.path().join("stdio.c"), "#include <stdio.h>\n")?;
    let mut probe = cc();
    probe.args(["-c", "stdio.c"]);
    ensure!(process::run(probe)?.status != 0, "the host's <stdio.h> was found");

    for mode in ["-S", "-E", "-c"] {
        let mut step = cc();
        step.args([mode, "conftest.c", "-o", "conftest.out"]);
        process::succeed(step)?;
    }
    Ok(())
}

/// The examples of ocaml-solo5 link the manifest from an archive and force it in by its symbol.
fn ocaml_solo5_keeps_the_manifest(suite: &Suite) -> Outcome {
    let directory = tempfile::tempdir()?;
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text);
    write("manifest.json", r#"{"type":"solo5.manifest","version":1,"devices":[]}"#)?;
    write(
        "main.c",
        "#include \"solo5.h\"\nint solo5_app_main(const struct solo5_start_info *info)\n\
         { (void)info; return 7; }\n",
    )?;
    let mut generate = suite.tool("solo5-elftool");
    generate.args(["gen-manifest", "manifest.json", "manifest.c"]).current_dir(&directory);
    process::succeed(generate)?;
    let mut compile = Command::new(suite.tree.cc());
    compile.args(["-c", "manifest.c", "main.c"]).current_dir(&directory);
    process::succeed(compile)?;
    let mut archive = Command::new("ar");
    archive.args(["rcs", "libmanifest.a", "manifest.o"]).current_dir(&directory);
    process::succeed(archive)?;

    let mut link = Command::new(suite.tree.cc());
    link.args(["-z", "solo5-abi=spt", "-u", "__solo5_mft1_note", "main.o"]);
    link.args(["-L.", "-Wl,--start-group", "-lmanifest", "-Wl,--end-group", "-o", "main.spt"]);
    link.current_dir(&directory);
    process::succeed(link)?;
    let mut symbols = Command::new("nm");
    symbols.arg("main.spt").current_dir(&directory);
    let symbols = process::succeed(symbols)?;
    ensure!(symbols.contains(" __solo5_mft1_note\n"), "no __solo5_mft1_note in:\n{symbols}");
    let mut run = suite.tool("solo5-spt");
    run.args(["--mem=2", "main.spt"]).current_dir(&directory);
    process::run(run)?.expect(7, "").map(drop)
}

/// ocaml-solo5-elftool and builder-web find notes by section name and take the first note of each
/// (`docs/reference/downstream.md#elftool-library`).
fn ocaml_solo5_elftool_reads_sections(suite: &Suite) -> Outcome {
    // One manifest of each version: what version 2 adds must not come first.
    for name in ["net_2if", "optional_device"] {
        let image = elf::Image(std::fs::read(suite.spt_image(name)?)?);
        let abi = section(&image, ".note.solo5.abi")?;
        ensure!(image.get(abi + 8, 4)? == u64::from(ABI1), "{name}: no ABI1 in its section");
        // spt is target 2, version 2.
        ensure!((image.get(abi + 20, 4)?, image.get(abi + 24, 4)?) == (2, 2), "{name}: other ABI");
        let manifest = section(&image, ".note.solo5.manifest")?;
        ensure!(image.get(manifest + 8, 4)? == u64::from(MFT1), "{name}: no MFT1 first");
        let (version, entries) = (image.get(manifest + 24, 4)?, image.get(manifest + 28, 4)?);
        ensure!(version == 1, "{name}: manifest version {version}");
        let devices = if name == "net_2if" { 2 } else { 3 };
        ensure!(entries == devices + 1, "{name}: {entries} entries");
        ensure!(
            image.get(manifest + 4, 4)? == 4 + 8 + 104 * entries,
            "{name}: the descriptor has another size"
        );
        let first_type = image.get(manifest + 32 + 68, 4)?;
        ensure!(first_type == 1 << 30, "{name}: the first entry has type {first_type:#x}");
    }
    Ok(())
}

/// The file offset of a section, by the section header table.
fn section(image: &elf::Image, wanted: &str) -> Outcome<usize> {
    let table = image.get(40, 8)? as usize;
    let (size, count) = (image.get(58, 2)? as usize, image.get(60, 2)? as usize);
    let header = |index: usize| table + index * size;
    let names = image.get(header(image.get(62, 2)? as usize) + 24, 8)? as usize;
    for index in 0..count {
        let name = names + image.get(header(index), 4)? as usize;
        let end = name + wanted.len();
        if image.0.get(name..end) == Some(wanted.as_bytes()) && image.get(end, 1)? == 0 {
            return Ok(image.get(header(index) + 24, 8)? as usize);
        }
    }
    Err(format!("no section {wanted}").into())
}

/// Albatross tries `solo5-spt.2` before `solo5-spt`, and looks for the ABI's line in `--version`
/// (`docs/reference/downstream.md#albatross`).
fn albatross_version(suite: &Suite) -> Outcome {
    let directory = tempfile::tempdir()?;
    let suffixed = directory.path().join("solo5-spt.2");
    symlink(suite.tree.program("solo5-spt"), &suffixed)?;
    for (program, name) in
        [(suite.tree.program("solo5-spt"), "solo5-spt"), (suffixed, "solo5-spt.2")]
    {
        let printed = process::succeed(tool(program.clone(), &[&"--version"]))?;
        ensure!(
            printed.lines().any(|line| line == "ABI version 2"),
            "{name} --version printed:\n{printed}"
        );
        ensure!(
            printed.starts_with(&format!("{name} tender, version v0.12.")),
            "{name} --version printed:\n{printed}"
        );
        process::run(tool(program, &[&"--", &"/nonexistent"]))?.expect(
            1,
            &format!("{name}: /nonexistent: Could not open: No such file or directory"),
        )?;
    }
    Ok(())
}

/// Albatross's command line, one fifo for all output, and SIGTERM to stop it.
fn albatross_launch(suite: &Suite) -> Outcome {
    let image = suite.spt_image("blk_writer")?;
    namespace::with_network(|| {
        namespace::add_tap("tap100", None)?;
        namespace::bring_up("tap100", "10.0.0.1/24")?;
        let directory = tempfile::tempdir()?;
        let disk = directory.path().join("disk");
        std::fs::File::create(&disk)?.set_len(65536)?;
        let mut block = std::ffi::OsString::from("--block:storage=");
        block.push(&disk);
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(suite.tree.program("solo5-spt"));
        command.args(["--mem=32", "--net:service0=tap100", "--net-mac:service0=02:00:00:00:00:01"]);
        command.arg(block).args(["--block-sector-size:storage=4096", "--"]).arg(&image);
        command.args(["--name=web", "--solo5:quiet", "--ipv4=10.0.0.2/24"]);
        let mut running = Running::start(command)?;
        running.wait_for("blk_writer")?;
        std::thread::sleep(Duration::from_millis(50));
        let process = rustix::process::Pid::from_raw(i32::try_from(running.id())?)
            .ok_or("the tender has no process id")?;
        rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
        // 128 and SIGTERM: anything but 1 and 60 to 64, which mean "do not restart".
        running.finish()?.expect(143, "Solo5: Bindings version")?;
        let written = std::fs::read(&disk)?;
        ensure!(written.iter().any(|byte| *byte != 0), "nothing was written before the signal");
        Ok(())
    })
}

/// Albatross restarts a unikernel unless its status is 1 or 60 to 64. So a denial must be one of
/// these, and 60 distinguishes it from every other failure.
fn albatross_denied(suite: &Suite) -> Outcome {
    let directory = tempfile::tempdir()?;
    let policy = directory.path().join("node.yaml");
    let image = suite.spt_image("hello")?;
    let launch = |memory: &str| {
        let mut option = std::ffi::OsString::from("--policy=");
        option.push(&policy);
        tool(suite.tree.program("solo5-spt"), &[&memory, &option, &"--", &image, &"Hello_Solo5"])
    };
    let text = "type: solo5.policy\nversion: 1\nname: node\notherwise: allow\n\
                memory: { maximum: 4MiB }\n";
    std::fs::write(&policy, text)?;
    process::run(launch("--mem=4"))?.expect(0, "SUCCESS")?;
    let denied = process::run(launch("--mem=5"))?.expect(60, "solo5-spt: denied: P3")?;
    ensure!(denied.printed("node.yaml:5:"), "no place in the policy:\n{}", denied.text());
    ensure!(!denied.printed("Hello, World"), "the denied guest ran:\n{}", denied.text());
    // A file that is not a policy, or is not there, must stop the start.
    std::fs::write(&policy, "type: solo5.policy\nversion: 1\nmemry: {}\n")?;
    let refused = process::run(launch("--mem=4"))?;
    ensure!(matches!(refused.status, 1 | 60), "status {}:\n{}", refused.status, refused.text());
    std::fs::remove_file(&policy)?;
    let refused = process::run(launch("--mem=4"))?;
    ensure!(matches!(refused.status, 1 | 60), "status {}:\n{}", refused.status, refused.text());
    Ok(())
}

/// urunc passes no `--`, and joins no arguments (`docs/reference/downstream.md#urunc`).
fn urunc_launch(suite: &Suite) -> Outcome {
    let image = suite.spt_image("acquire_twice")?;
    namespace::with_network(|| {
        namespace::add_tap("tap0_urunc", None)?;
        namespace::bring_up("tap0_urunc", "10.0.0.1/24")?;
        let directory = tempfile::tempdir()?;
        let disk = directory.path().join("disk");
        std::fs::File::create(&disk)?.set_len(65536)?;
        let mut block = std::ffi::OsString::from("--block:storage=");
        block.push(&disk);
        let mut command = suite.tool("solo5-spt");
        command.args(["--mem=256", "--net:service0=tap0_urunc"]).arg(block).arg(&image);
        command.args(["{\"cmdline\":\"app\"}", "--verbose"]);
        process::run(command)?.expect(0, "SUCCESS").map(drop)
    })
}

/// Both queries print these bytes (`docs/reference/manifest.md#queries`).
fn query(suite: &Suite) -> Outcome {
    let image = suite.spt_image("net")?;
    let abi = tool(suite.tree.program("solo5-elftool"), &[&"query-abi", &image]);
    let printed = process::succeed(abi)?;
    let expected = "{\n  \"type\": \"solo5.abi\",\n  \"target\": \"spt\",\n  \"version\": 2\n}\n";
    ensure!(printed == expected, "query-abi printed:\n{printed}");

    let manifest = tool(suite.tree.program("solo5-elftool"), &[&"query-manifest", &image]);
    let printed = process::succeed(manifest)?;
    let expected = "{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [\n    \
                    { \"name\": \"service0\", \"type\": \"NET_BASIC\" }\n  ]\n}\n";
    ensure!(printed == expected, "query-manifest printed:\n{printed}");

    for verb in ["query-abi", "query-manifest"] {
        let command = tool(suite.tree.program("solo5-elftool"), &[&verb, &"/nonexistent"]);
        process::run(command)?.expect(1, "/nonexistent: Could not open")?;
    }
    Ok(())
}

/// 64 devices are one too many, and the output is not touched.
fn too_many_entries(suite: &Suite) -> Outcome {
    let directory = tempfile::tempdir()?;
    let output = directory.path().join("manifest.c");
    std::fs::write(&output, "as it was")?;
    let manifest = guest::directory().join("too_many_entries.json");
    let command = tool(suite.tree.program("solo5-elftool"), &[&"gen-manifest", &manifest, &output]);
    process::run(command)?.expect(1, "too many entries, maximum 63")?;
    ensure!(std::fs::read(&output)? == b"as it was", "the output was touched");
    Ok(())
}

/// A manifest note of one byte once made a tender read beyond it.
fn buggy_elf(suite: &Suite) -> Outcome {
    let mut image = elf::Image(std::fs::read(suite.spt_image("hello")?)?);
    let note = image.note(MFT1)?;
    image.set(note + 4, 4, 1)?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("buggy.spt");
    std::fs::write(&path, &image.0)?;
    for command in [
        tool(suite.tree.program("solo5-spt"), &[&"--mem=2", &"--", &path]),
        tool(suite.tree.program("solo5-elftool"), &[&"query-manifest", &path]),
    ] {
        process::run(command)?.expect(1, "note does not fall within valid size")?;
    }
    Ok(())
}

/// The host refuses to run a unikernel as a program (`docs/reference/notes.md#interp`).
fn no_exec(suite: &Suite) -> Outcome {
    for name in ["hello", "optional_device"] {
        let image = suite.spt_image(name)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", "\"$1\"", "sh"]).arg(image);
        let finished = process::run(shell)?;
        ensure!(finished.status == 127, "{name}: status {}", finished.status);
        ensure!(
            ["No such file or directory", "required file not found", ": not found"]
                .iter()
                .any(|text| finished.printed(text)),
            "{name} printed:\n{}",
            finished.text()
        );
    }
    Ok(())
}

/// The wrappers find everything from their real location: in a moved tree, with a blank in its
/// path, and through a symbolic link.
fn tree_is_relocatable(suite: &Suite) -> Outcome {
    let directory = tempfile::tempdir()?;
    let moved = directory.path().join("moved tree");
    std::fs::create_dir(&moved)?;
    let mut copy = Command::new("cp");
    copy.arg("-a");
    copy.args(["bin", "include", "lib"].map(|part| suite.tree.prefix().join(part))).arg(&moved);
    process::succeed(copy)?;
    let elsewhere = directory.path().join("bin");
    std::fs::create_dir(&elsewhere)?;
    for tool in ["cc", "ld", "objcopy"] {
        let name = format!("{TRIPLE}-{tool}");
        symlink(moved.join("bin").join(&name), elsewhere.join(&name))?;
    }
    let manifest = suite.spt_image("hello")?.with_file_name("hello.manifest.o");
    let source = guest::directory();
    for cc in [moved.join("bin"), elsewhere].map(|bin| bin.join(format!("{TRIPLE}-cc"))) {
        let image = directory.path().join("hello.spt");
        let mut link = Command::new(&cc);
        link.args(["-z", "solo5-abi=spt", "-I"]).arg(source.join("kit"));
        link.arg(source.join("hello.c")).arg(source.join("kit/kit.c")).arg(&manifest);
        link.arg("-o").arg(&image);
        process::succeed(link)?;
        hello(&suite.tree, &image).map_err(|stop| stop.during(cc.display()))?;
        std::fs::remove_file(image)?;
    }
    Ok(())
}

fn hello(tree: &Tree, image: &Path) -> Outcome {
    let command = tool(tree.program("solo5-spt"), &[&"--mem=2", &"--", &image, &"Hello_Solo5"]);
    process::run(command)?.expect(0, "SUCCESS").map(drop)
}

/// A stub links everywhere and runs nowhere.
fn stub_is_refused(suite: &Suite) -> Outcome {
    let stub = suite.builder.image(suite.guest("hello")?, "stub")?;
    let command = tool(suite.tree.program("solo5-spt"), &[&"--mem=2", &"--", &stub]);
    let finished = process::run(command)?;
    ensure!(finished.status == 1, "status {}:\n{}", finished.status, finished.text());
    Ok(())
}
