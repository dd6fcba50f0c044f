//! Command lines, texts and statuses.

use solo5_abi::mft2::{FLAG_EXECUTABLE_HEAP, FLAG_SEED, tag};

use std::process::Command;

use crate::guest::{BLOCK, Code, Guest, NET, Ran, tender};

#[test]
fn version_is_two_lines_on_standard_error() {
    let ran = Ran::of(tender().args(["--unknown", "--version"])).gives(0);
    let lines: Vec<_> = ran.err.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("solo5-spt tender, version v"), "{lines:?}");
    assert_eq!(lines[1], "ABI version 2");
    assert!(ran.out.is_empty());
}

#[test]
fn help_starts_with_upstreams_text() {
    let ran = Ran::of(tender().arg("--help")).gives(1);
    let upstream = "usage: solo5-spt [ CORE OPTIONS ] [ -- ] KERNEL [ ARGS ]\n\
        KERNEL is the filename of the unikernel to run.\n\
        ARGS are optional arguments passed to the unikernel.\n\
        Core options:\n  [ --mem=512 ] (guest memory in MB)\n    --help (display this help)\n";
    assert!(ran.err.starts_with(upstream), "{}", ran.err);
    assert!(ran.err.contains("\nCompiled-in modules: core net block \n"), "{}", ran.err);
    for option in ["--x-exec-heap", "--net:", "--net-mac:", "--block:", "--policy", "--explain"] {
        assert!(ran.err.contains(option), "{option}");
    }
}

#[test]
fn the_program_name_is_that_of_argv_0() {
    use std::os::unix::process::CommandExt;
    let ran = Ran::of(tender().arg0("/x/solo5-spt.2").arg("--version"));
    assert!(ran.err.starts_with("solo5-spt.2 tender, version "), "{}", ran.err);
}

#[test]
fn a_command_line_without_an_image_gives_usage() {
    for options in [&[][..], &["--mem=2"][..], &["--"][..], &["-"][..]] {
        let ran = Ran::of(tender().args(options)).gives(1).says("Missing KERNEL operand");
        assert!(ran.mentions("usage: solo5-spt").out.is_empty());
    }
    Ran::of(tender().arg("/nonexistent"))
        .gives(1)
        .says("/nonexistent: Could not open: No such file or directory");
    Ran::of(tender().arg("/dev/null")).gives(1).says(
        "/dev/null: invalid executable: elf header does not match the expected size (0 != 64)",
    );
    Ran::of(tender().arg("/")).gives(1).mentions("pread_in_full for elf header");
}

/// A value is never a word of its own. What was meant for one is taken as the image, as by upstream, and
/// the last line says what to write.
#[test]
fn a_value_in_a_word_of_its_own_is_advised_on() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.yaml"), "type: solo5.policy\n".repeat(9)).unwrap();
    for (words, says, advice) in [
        (
            &["-m", "64"][..],
            "64: Could not open: No such file or directory",
            "of -m, write --mem=64",
        ),
        (&["--mem", "64"], "64: Could not open: No such file or directory", "write --mem=64"),
        (
            &["-z", "x"],
            "x: Could not open: No such file or directory",
            "-z in front of it is a wrong",
        ),
        (&["--policy", "p.yaml"], "p.yaml: ", "if 'p.yaml' is the value of --policy, write --pol"),
    ] {
        let ran = Ran::of(tender().args(words).arg("app.spt").current_dir(&folder)).gives(1);
        ran.mentions(&format!("solo5-spt: {says}")).mentions("not started: ").mentions(advice);
    }
}

/// No refusal of an option goes without advice.
#[test]
fn every_wrong_option_is_advised_on() {
    let devices = [("disk", BLOCK), ("net", NET)];
    let guest = Guest::new(Code::new().exit(0), &devices);
    let twice = "a device has one backing: leave all but one of these options out";
    for (options, advice) in [
        (&["--memory=64"][..], "there is no --memory; did you mean --mem?"),
        (&["--block:disk=a", "--block-fd:disk=7"], twice),
        (&["--net:net=a", "--net:net=b"], twice),
        (&["--label=a=b", "--label=a=c"], "a label has one value: leave all but one of them out"),
        (&["--net:net=@x"], "a descriptor is @ and a number, as in @3"),
        (&["--net:net=lo", "--block:disk=a"], "lo is an interface without a driver of its own"),
        (&["--net:net=a-name-of-16-byte", "--block:disk=a"], "a name has 1 to 15 bytes, and no"),
        (&["--explain", "--net:net=lo", "--block:disk=a"], "lo is an interface without a driver"),
    ] {
        let ran = guest.run(options).gives(1);
        assert!(ran.err.contains(&format!("not started: {advice}")), "{options:?}: {}", ran.err);
    }
    let folder = Ran::of(tender().arg("/")).gives(1);
    folder.mentions("not started: it is a folder; name the image in it");
}

#[test]
fn explain_prints_the_built_in_page_of_a_code() {
    let ran = Ran::of(tender().arg("--explain=t424")).gives(0);
    assert!(String::from_utf8(ran.out).unwrap().starts_with("# T424"));
    Ran::of(tender().arg("--explain=T999")).gives(1).says("no page about 'T999'");
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let reason = "writing to standard output failed: No space left on device (ENOSPC)";
    Ran::of(tender().arg("--explain=T424").stdout(full())).gives(1).says(reason);
    let guest = Guest::new(Code::new().exit(0), &[]);
    Ran::of(guest.command(&["--explain"]).stdout(full())).gives(1).says(reason);
    Ran::of(tender().arg("--version").stderr(full())).gives(1);
    // Closed at the start, so that the tender opens `/dev/null` in its place.
    let closed = |how: &str, command: &Command| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec \"$0\" \"$@\" {how}"));
        shell.arg(command.get_program()).args(command.get_args());
        Ran::of(&mut shell)
    };
    let reason = "writing to standard output failed: Bad file descriptor";
    for how in [">&-", "<&- >&-", "1</dev/null"] {
        closed(how, tender().arg("--explain=T424")).gives(1).says(reason);
        closed(how, &guest.command(&["--explain"])).gives(1).says(reason);
        closed(how, tender().arg("--version")).gives(0);
    }
    closed("2>&-", tender().arg("--version")).gives(1);
    closed("1<>/dev/null", tender().arg("--explain=T424")).gives(0);
    closed("2<>/dev/null", tender().arg("--version")).gives(0);
}

#[test]
fn arguments_reach_the_guest_joined_by_spaces() {
    // Boot information and a manifest with one entry are 152 bytes.
    let guest = Guest::new(Code::new().print(0x11000 + 152, 8).exit(0), &[]);
    let ran = Ran::of(guest.command::<&str>(&[]).args(["a b", "", "--c"])).gives(0);
    assert_eq!(ran.out, b"a b  --c");
    let ran = Ran::of(guest.command(&["--"]).args(["x"])).gives(0);
    assert_eq!(ran.out, b"x\0\0\0\0\0\0\0");
    let long = "x".repeat(8191);
    Ran::of(guest.command::<&str>(&[]).arg(&long)).gives(0);
    Ran::of(guest.command::<&str>(&[]).args([&long, ""]))
        .gives(1)
        .says("Guest command line too long (max=8191 characters)");
}

#[test]
fn memory_is_given_in_mebibytes_or_with_a_unit() {
    // mov rdi, [rdi]; shr rdi, 20; mov eax, 231; syscall
    let size =
        Code::new().bytes(&[0x48, 0x8b, 0x3f, 0x48, 0xc1, 0xef, 20, 0xb8, 231, 0, 0, 0, 0x0f, 5]);
    let guest = Guest::new(size, &[]);
    for (option, status) in
        [("--mem=2", 2), ("--mem=66", 66), ("--mem=64MiB", 64), ("--mem=1GiB", 1024 & 0xff)]
    {
        guest.run(&[option]).gives(status);
    }
    guest.run(&["--mem=2", "--mem=3"]).gives(3);
    guest.run(&[]).gives(512 & 0xff);
    for option in ["--mem=0", "--mem=", "--mem=-1", "--mem=2foo", "--mem=99999999999999999999"] {
        guest.run(&[option]).gives(1).says("Malformed argument to --mem");
    }
    guest
        .run(&["--mem=1"])
        .gives(1)
        .mentions("e_entry does not fall within the memory allocation range");
    // More than the address space of a process.
    guest.run(&["--mem=200000000"]).gives(1).mentions("Error allocating guest memory: ");
    // What would not start is not explained as if it did.
    guest
        .run(&["--explain", "--mem=200000000"])
        .gives(1)
        .mentions("Error allocating guest memory: ");
    guest.run(&["--mem=17592186044415"]).gives(1).mentions("Error allocating guest memory: ");
}

#[test]
fn memory_may_reach_above_four_gibibytes() {
    // mov byte [0x1_0800_0000], 7 through rax; then the byte as status
    let code = Code::new()
        .rax(0x1_0800_0000)
        .bytes(&[0xc6, 0x00, 7])
        .bytes(&[0x0f, 0xb6, 0x38, 0xb8, 231, 0, 0, 0, 0x0f, 5]);
    let guest = Guest::new(code, &[]);
    let ran = guest.run(&["--mem=5GiB"]);
    if ran.err.contains("(ENOMEM)") {
        println!("skip: memory_may_reach_above_four_gibibytes: this host does not give 5 GiB");
        return;
    }
    ran.gives(7);
}

#[test]
fn memory_that_would_replace_the_tender_is_refused() {
    let guest = Guest::new(Code::new().exit(0), &[]);
    // Without address randomisation a program lies at 0x5555_5555_4000. No host maps that much
    // memory, so any clean refusal will do.
    let ran = guest.run(&["--mem=100000GiB"]).gives(1);
    let expected = ["Error allocating guest memory", "would overlap"];
    assert!(expected.iter().any(|text| ran.err.contains(text)), "{ran:?}");
}

#[test]
fn a_bss_that_ends_past_memory_is_refused() {
    let guest = Guest::with_bss_end(Code::new().exit(3), 0x40_0000);
    guest.run(&["--mem=4"]).gives(3);
    guest
        .run(&["--mem=3"])
        .gives(1)
        .mentions("program memory segment falls outside of valid range");
}

#[test]
fn declared_devices_must_be_attached() {
    let guest = Guest::new(Code::new().exit(0), &[("disk", BLOCK), ("service", NET)]);
    guest
        .run(&[])
        .gives(1)
        .says("Device 'disk' of type BLOCK_BASIC declared but not attached.")
        .says("Device 'service' of type NET_BASIC declared but not attached.")
        .says("All declared devices must be attached. See --help for syntax.");
    guest
        .run(&["--block:nope=x"])
        .gives(1)
        .says("Resource not declared in manifest: 'nope'")
        .says("Invalid option: `--block:nope=x'")
        .says("not started: no block device is called 'nope'; there is 'disk'");
}

#[test]
fn an_unmet_requirement_names_the_option_that_mends_it() {
    let code = || Code::new().exit(5);
    let minimum = (64u64 << 20).to_le_bytes();
    let guest = Guest::with_properties(code(), &[], &[(0, tag::MEMORY_MINIMUM, &minimum)]);
    guest.run(&["--mem=64"]).gives(5);
    guest.run(&["--mem=63"]).gives(1).mentions("error[T431]").mentions("add --mem=64");
    let flags = FLAG_EXECUTABLE_HEAP.to_le_bytes();
    let guest = Guest::with_properties(code(), &[], &[(0, tag::FLAGS, &flags)]);
    guest.run(&[]).gives(1).mentions("error[T432]").mentions("add --x-exec-heap");
    guest.run(&["--x-exec-heap"]).gives(5).says(
        "WARNING: The use of --x-exec-heap is dangerous and not recommended as it makes the heap \
         and stack executable.",
    );
}

#[test]
fn explain_shows_the_seed_and_the_stack_and_what_is_not_offered() {
    let (stack, seed) = ((256u64 << 10).to_le_bytes(), FLAG_SEED.to_le_bytes());
    let properties: [(u32, u16, &[u8]); 2] = [(0, tag::FLAGS, &seed), (0, tag::STACK, &stack)];
    let guest = Guest::with_features(Code::new().exit(0), &properties);
    let shown = |options: &[&str]| {
        let options = [&["--explain", "--mem=4"], options].concat();
        String::from_utf8(guest.run(&options).gives(0).out).unwrap()
    };
    let (page, missing) = ("  0x0001f000 0x00020000  RW-, the seed\n", "needed, not offered: ");
    let stack = "  0x003c0000 0x00400000  RW-, the stack\n";
    let guard = "  0x003b0000 0x003c0000  ---, the guard below the stack\n";
    let all = shown(&[]);
    for text in [page, guard, stack, "  up to 0x003b0000       RW-, the heap\n"] {
        assert!(all.contains(text), "{text}{all}");
    }
    assert!(!all.contains(missing), "{all}");
    let none = shown(&["--offer=none"]);
    for text in
        [stack, "  up to 0x003c0000       RW-, the heap\n", "needed, not offered: stack, seed\n"]
    {
        assert!(none.contains(text), "{text}{none}");
    }
    assert!(!none.contains(page) && !none.contains("the guard"), "{none}");
    let json = shown(&["--offer=seed", "--format=json"]);
    assert!(json.contains(r#""not_offered":["stack"]"#), "{json}");
}
