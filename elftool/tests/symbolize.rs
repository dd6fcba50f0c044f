//! `symbolize`: traces and cores of a small program.

mod common;

use std::process::Command;

use common::{Place, Run};
use serde_json::Value;
use solo5_abi::Arch;
use solo5_dwarf::Registers;
use solo5_dwarf::testing::{Compiled, core};
use solo5_image::Image;
use solo5_image::elf::PF_X;

/// A folder with `program`, and the address of `leaf` in it.
fn program(options: &[&str]) -> (Place, u64) {
    let place = Place::new();
    let compiled = Compiled::new("cc", options);
    place.write("program", &compiled.bytes());
    let listed = Command::new("nm").arg(compiled.path()).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let line = listed.lines().find(|line| line.ends_with(" leaf")).unwrap();
    let address = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
    (place, address)
}

fn trace(address: u64) -> String {
    format!(
        "hello \u{1b}[31m\nsolo5-hvt: guest trap: rip={address:#x} rsp=0x7000\n\
         solo5-hvt:   return address? {:#x} at rsp+0x8\nbye rip=0x10\n",
        address + 1
    )
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

#[test]
fn a_trace_is_passed_on_with_functions_and_lines() {
    let (place, leaf) = program(&[]);
    let expected = format!(
        "hello \\u{{1b}}[31m\nsolo5-hvt: guest trap: rip={leaf:#x} rsp=0x7000\n    \
         {leaf:#x} leaf+0x0 at program.c:5\n\
         solo5-hvt:   return address? {0:#x} at rsp+0x8\n    {0:#x} leaf+0x1 at program.c:5\n\
         bye rip=0x10\n",
        leaf + 1
    );
    place.write("log", trace(leaf).as_bytes());
    for arguments in [&["symbolize", "program", "log"][..], &["symbolize", "program"]] {
        let run = place.run_with(arguments, trace(leaf).as_bytes());
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert_eq!(run.stdout, expected);
    }
    let run = place.run(&["symbolize", "--format=json", "program", "log"]);
    let value = json(&run);
    assert_eq!(value["image"], "program");
    let lines = value["lines"].as_array().unwrap();
    let numbers: Vec<_> = lines.iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 3]);
    let address = &lines[1]["addresses"][0];
    assert_eq!((&address["address"], &address["returns"]), (&(leaf + 1).into(), &true.into()));
    assert_eq!(address["frames"][0]["file"], "program.c");
    assert_eq!(address["symbol"], "leaf");
}

#[test]
fn what_is_missing_is_reported() {
    for (options, note, shown) in [
        (&["-g0"][..], "only symbols are shown; compile it with -g", "leaf+0x0\n"),
        (&["-g0", "-s"], "name the image from before `strip`", "code without a symbol\n"),
        (&["-gz"], "compressed, which is not read", "leaf+0x0\n"),
    ] {
        let (_, leaf) = program(&options[..1]);
        let place = Place::new();
        place.write("program", &Compiled::new("cc", options).bytes());
        let run = place.run_with(&["symbolize", "program"], trace(leaf).as_bytes());
        assert_eq!(run.status, 0, "{options:?}: {run:?}");
        assert!(run.stderr.contains(note), "{options:?}: {}", run.stderr);
        assert!(run.stdout.contains(shown), "{options:?}: {}", run.stdout);
    }
}

/// A repeated address is looked up once, so the addresses after it are not missed. The number of
/// distinct addresses is limited, and a warning says so.
#[test]
fn every_address_of_a_long_trace_is_resolved() {
    let (place, leaf) = program(&[]);
    let again = format!("rip={leaf:#x}\n").repeat(20_000);
    place.write("log", format!("{again}rip={:#x}\n", leaf + 1).as_bytes());
    let run = place.run(&["symbolize", "program", "log"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let end = format!("rip={0:#x}\n    {0:#x} leaf+0x1 at program.c:5\n", leaf + 1);
    assert!(run.stdout.ends_with(&end), "ends otherwise");
    assert_eq!(run.stdout.matches(" leaf+0x0 at ").count(), 20_000);

    // Code with large gaps, for many distinct addresses.
    let (place, _) = program(&["-falign-functions=16384"]);
    let (start, size) = code(&std::fs::read(place.path("program")).unwrap());
    assert!(size > 16384, "{size}");
    let distinct: String = (0..size).map(|at| format!("rip={:#x}\n", start + at)).collect();
    // As return addresses they count once more.
    let distinct = distinct.replace("rip=", "return address? ") + &distinct;
    place.write("log", distinct.as_bytes());
    let run = place.run(&["symbolize", "program", "log"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let warning = "solo5-elftool: log: warning: only 16384 of its addresses are looked up\n";
    assert_eq!(run.stderr, warning);
}

/// Start and size of the code of an image.
fn code(image: &[u8]) -> (u64, u64) {
    let image = Image::read(image, &Arch::ALL).unwrap();
    let code = image.segments().iter().find(|one| one.is_load() && one.has(PF_X));
    code.map(|one| (one.p_vaddr, one.p_memsz)).unwrap()
}

#[test]
fn a_core_shows_its_calls() {
    let (place, leaf) = program(&[]);
    let mut registers = Registers::default();
    registers.set(Registers::RIP, Some(leaf));
    registers.set(Registers::RSP, Some(0x7000));
    place.write("core", &core(11, &registers, &[(0x7000, vec![0; 64])]));
    let arguments = ["symbolize", "program", "--core", "core"];
    let run = place.run(&arguments);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let start = format!("signal 11\n#0   {leaf:#x} leaf+0x0 at program.c:5\nrip {leaf:#018x} rsp ");
    assert!(run.stdout.starts_with(&start), "{}", run.stdout);
    let run = place.run(&[&arguments[..], &["--format=json"]].concat());
    let value = json(&run);
    assert_eq!(value["registers"]["rsp"], 0x7000);
    assert_eq!(value["calls"][0]["by"], "registers");
    // The core of another image.
    place.write("core", &core(11, &registers, &[(leaf, vec![0x90; 64])]));
    let run = place.run(&arguments);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("warning: its code at rip"), "{}", run.stderr);
}

#[test]
fn exit_statuses() {
    let (place, _) = program(&[]);
    place.write("text", b"rip=0x12\n");
    for (arguments, status, message) in [
        (&["program", "text"][..], 1, "text: no address of the image's code is in it\n"),
        (&["none", "text"], 2, "none: No such file or directory\n"),
        (&["text", "text"], 2, "text: "),
        (&["program", "none"], 2, "none: No such file or directory\n"),
        (&["program", "--core", "program"], 2, "program: not an ELF core file\n"),
    ] {
        let run = place.run(&[&["symbolize"], arguments].concat());
        assert_eq!(run.status, status, "{arguments:?}: {run:?}");
        let expected = format!("solo5-elftool: {message}");
        assert!(run.stderr.starts_with(&expected), "{}", run.stderr);
        let run = place.run(&[&["symbolize", "--format=json"], arguments].concat());
        assert_eq!(run.status, status);
        assert!(run.stdout.is_empty() || run.stdout.ends_with("}\n"));
    }
}

/// What `llvm-symbolizer`, if it is installed, says about an address: functions and lines,
/// innermost first.
fn llvm(place: &Place, file: &str, address: u64) -> Option<Vec<String>> {
    let run = Command::new("llvm-symbolizer")
        .current_dir(place.path(""))
        .args([&format!("--obj={file}"), "--basenames", "--output-style=GNU", "--inlines", "-f"])
        .arg(format!("{address:#x}"))
        .output();
    let Ok(run) = run else {
        println!("skip: llvm: llvm-symbolizer is not there");
        return None;
    };
    let text = String::from_utf8(run.stdout).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let shown = lines.chunks(2).map(|pair| {
        let line = pair[1].split(" (discriminator").next().unwrap_or_default();
        format!("{} {line}", pair[0])
    });
    Some(shown.collect())
}

/// The same, from `symbolize`.
fn ours(place: &Place, file: &str, address: u64) -> Vec<String> {
    let line = format!("rip={address:#x}\n");
    let run = place.run_with(&["symbolize", "--format=json", file], line.as_bytes());
    if run.status == 1 {
        // Past the end of the code.
        return Vec::new();
    }
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{file}");
    let value = json(&run);
    let frames = value["lines"][0]["addresses"][0]["frames"].as_array();
    let frames = frames.into_iter().flatten().map(|frame| {
        let file = frame["file"].as_str().unwrap();
        let file = file.rsplit('/').next().unwrap();
        format!("{} {file}:{}", frame["function"].as_str().unwrap_or("??"), frame["line"])
    });
    frames.collect()
}

fn objcopy(place: &Place, arguments: &[&str]) {
    let run = Command::new("objcopy").current_dir(place.path("")).args(arguments).status();
    assert!(run.unwrap().success(), "{arguments:?}");
}

/// With type units, and with debugging information in a file of its own, every address still has
/// what `llvm-symbolizer` finds.
#[test]
fn type_units_and_separate_debug_files_are_read() {
    let types: [&[&str]; 4] = [
        &["-gdwarf-4"],
        &["-gdwarf-5"],
        &["-gdwarf-5", "-fdebug-types-section"],
        &["-gdwarf-4", "-fdebug-types-section"],
    ];
    for options in types {
        let (place, leaf) = program(options);
        objcopy(&place, &["--only-keep-debug", "program", "program.debug"]);
        let link = "--add-gnu-debuglink=program.debug";
        objcopy(&place, &["--strip-all", link, "program", "stripped"]);
        let (inlined, mut most) = (leaf..leaf + 0x100, 0);
        for address in inlined.step_by(3) {
            let expected = ours(&place, "program", address);
            if expected.is_empty() {
                continue;
            }
            most = most.max(expected.len());
            for file in ["program.debug", "stripped"] {
                assert_eq!(ours(&place, file, address), expected, "{options:?} {address:#x}");
            }
            if let Some(theirs) = llvm(&place, "program", address) {
                assert_eq!(expected, theirs, "{options:?} {address:#x}");
            }
        }
        assert_eq!(most, 2, "{options:?}: an address has an inlined call");
    }
}

#[test]
fn a_separate_debug_file_that_is_missing_or_of_another_image_is_reported() {
    let (place, leaf) = program(&[]);
    objcopy(&place, &["--only-keep-debug", "program", "program.debug"]);
    let link = "--add-gnu-debuglink=program.debug";
    objcopy(&place, &["--strip-debug", link, "program", "stripped"]);
    let symbolize = || place.run_with(&["symbolize", "stripped"], trace(leaf).as_bytes());
    std::fs::create_dir(place.path(".debug")).unwrap();
    std::fs::rename(place.path("program.debug"), place.path(".debug/program.debug")).unwrap();
    let run = symbolize();
    assert_eq!(run.stderr, "");
    assert!(run.stdout.contains("leaf+0x0 at program.c:5"), "{}", run.stdout);
    let mut other = std::fs::read(place.path(".debug/program.debug")).unwrap();
    other.push(0);
    place.write(".debug/program.debug", &other);
    let run = symbolize();
    assert!(run.stderr.contains("program.debug, is another image's: "), "{}", run.stderr);
    assert!(run.stdout.contains("leaf+0x0\n"), "{}", run.stdout);
    std::fs::remove_file(place.path(".debug/program.debug")).unwrap();
    assert!(symbolize().stderr.contains("program.debug, is not found"));
}
