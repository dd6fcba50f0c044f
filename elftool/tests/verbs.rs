//! The verbs `audit`, `check`, `show`, `explain`, `completions` and `man`.

mod common;
mod fleet;

use std::path::Path;

use common::{DEVICES, Place, snapshot, tool};
use serde_json::Value;
use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target, mft2};
use solo5_image::elf::{PF_R, PF_W, PF_X};
use solo5_image::testing::{self, BSS, DATA, NOTES, Sample};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn write_exec() -> Vec<u8> {
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    sample.segments[DATA].p_flags = PF_R | PF_W | PF_X;
    sample.bytes()
}

#[test]
fn an_audit_for_people() {
    let place = Place::new();
    place.write("router.spt", &write_exec());
    let run = place.run(&["audit", "router.spt"]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    let rules = solo5_audit::RULES.iter().filter(|rule| !rule.is_opt_in()).count();
    let counted = format!("0 warnings · {rules} rules, 1 image\n");
    assert!(run.stdout.ends_with(&counted), "{}", run.stdout);
    let run = place.run(&["audit", "--select=S201", "router.spt"]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    snapshot("audit-human", &run.stdout);
}

#[test]
fn an_audit_for_programs() {
    let place = Place::new();
    place.write("bad.spt", &write_exec());
    place.image("good.hvt", Target::Hvt);
    let run = place.run(&["audit", "--format=json", "bad.spt", "good.hvt", "none"]);
    assert_eq!(run.status, 2);
    assert_eq!(run.stderr, "solo5-elftool: none: No such file or directory\n");
    let value = json(&run.stdout);
    let images = value["images"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    assert_eq!(images[0]["findings"][0]["code"], "S201");
    assert_eq!(images[0]["findings"][0]["place"]["part"], "phdr[2]");
    assert_eq!(images[1]["target"], "hvt");
    assert_eq!(images[1]["findings"].as_array().unwrap().len(), 0);
    assert_eq!(value["summary"]["errors"], 1);
    assert_eq!(value["summary"]["unreadable"], 1);
}

#[test]
fn audit_statuses_and_selections() {
    let place = Place::new();
    place.write("bad", &write_exec());
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    sample.segments[BSS].p_flags = PF_R | PF_W | PF_X;
    place.write("warned", &sample.bytes());
    place.image("good", Target::Spt);
    let status = |arguments: &[&str]| {
        let all: Vec<&str> = [&["audit"], arguments].concat();
        place.run(&all).status
    };
    assert_eq!(status(&["good"]), 0);
    assert_eq!(status(&["warned"]), 0);
    assert_eq!(status(&["warned", "--fail-on=warning"]), 1);
    assert_eq!(status(&["warned", "--fail-on=warning", "--ignore=S208"]), 0);
    assert_eq!(status(&["bad", "--ignore=S2"]), 1);
    assert_eq!(status(&["bad", "--select=s1,S3"]), 0);
    assert_eq!(status(&["bad", "--exit-zero"]), 0);
    assert_eq!(status(&["bad", "none", "--exit-zero"]), 2);
    assert_eq!(status(&["good", "--select=S9"]), 2);
    assert_eq!(status(&["."]), 1);
    assert_eq!(status(&[]), 2);
    assert_eq!(status(&["good", "--no-such-option"]), 2);
}

/// A line end in a name never starts a line of output, wherever the name is printed.
#[test]
fn names_cannot_forge_lines() {
    let place = Place::new();
    let forged = "solo5-elftool: all is well";
    let name = format!("x\n{forged}");
    let name = name.as_str();
    place.image("a.spt", Target::Spt);
    for verb in [
        &["audit", name][..],
        &["show", name],
        &["check", name],
        &["check", "--plan", name],
        &["policy", "check", name],
        &["policy", "fmt", name],
        &["policy", "show", name],
        &["policy", "test", name],
        &["sign", "--key", name, "a.spt"],
        &["verify", name],
        &["lock", name],
        &["lock", "a.spt", "-o", "none/x\nsolo5-elftool: all is well"],
        &["diff", name, "a.spt"],
        &["symbolize", name, "a.spt"],
        &["symbolize", "a.spt", name],
        &["query-abi", name],
        &["gen-manifest", name, "out.c"],
    ] {
        // First there is no file of this name, then an image, then a text.
        let image = std::fs::read(place.path("a.spt")).unwrap();
        let contents: [Option<&[u8]>; 3] = [None, Some(&image), Some(b"type: x\n")];
        for content in contents {
            match content {
                None => drop(std::fs::remove_file(place.path(name))),
                Some(content) => drop(place.write(name, content)),
            }
            let run = place.run(verb);
            let both = run.stdout + "\n" + &run.stderr;
            assert!(!both.lines().any(|line| line.starts_with(forged)), "{verb:?}:\n{both}");
        }
    }
}

#[test]
fn names_cannot_drive_a_terminal() {
    let place = Place::new();
    place.write("\u{1b}[31mred", &write_exec());
    let run = place.run(&["audit", "\u{1b}[31mred"]);
    assert!(run.stdout.starts_with("\\u{1b}[31mred"));
    assert!(!run.stdout.contains('\u{1b}'));
}

/// Type, flags, offset, address, file size, memory size and alignment of each program header.
type Headers = Vec<Vec<String>>;
/// Owner and size of each note.
type Notes = Vec<(String, u64)>;

/// Program headers and notes as `readelf` reads them.
fn readelf(path: &Path) -> Option<(Headers, Notes)> {
    let arguments = ["-l".as_ref(), "-n".as_ref(), "-W".as_ref(), path.as_os_str()];
    let text = tool("readelf_agrees", "readelf", &arguments)?;
    let number = |word: &str| {
        let digits = word.strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok()
    };
    let mut headers = Vec::new();
    let mut notes = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<u64> = words.iter().skip(1).take(5).filter_map(|w| number(w)).collect();
        if numbers.len() == 5 {
            let [offset, address, _, file_size, memory_size] = numbers[..] else {
                unreachable!("five numbers");
            };
            let flags: String = words[6..words.len() - 1].concat();
            let align = number(words[words.len() - 1]).unwrap_or(0);
            let rights: String = [('R', 'R'), ('W', 'W'), ('X', 'E')]
                .iter()
                .map(|(ours, theirs)| if flags.contains(*theirs) { *ours } else { '-' })
                .collect();
            let numbers = [offset, address, file_size, memory_size, align];
            let mut row = vec![words[0].to_owned(), rights];
            row.extend(numbers.map(|number| number.to_string()));
            headers.push(row);
        } else if words.len() >= 3
            && words[1].starts_with("0x")
            && words[1].len() == 10
            && let Some(size) = number(words[1])
        {
            notes.push((words[0].to_owned(), size));
        }
    }
    Some((headers, notes))
}

#[test]
fn show_has_the_least_memory_of_every_target_that_a_program_starts() {
    let place = Place::new();
    for target in Target::ALL {
        place.image("image", target);
        let run = place.run(&["show", "image"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let has_memory = run.stdout.contains("\nmemory   ");
        assert_eq!(has_memory, target.starter().is_some(), "{target:?}: {}", run.stdout);
    }
}

/// The sample's segments are aligned to pages of 4 KiB.
#[test]
fn show_has_the_pages_of_hosts_that_differ() {
    let place = Place::new();
    for (arch, pages) in
        [(Arch::Aarch64, Some(0x1000)), (Arch::X86_64, None), (Arch::Ppc64le, None)]
    {
        place.write("image", &Sample::new(Target::Spt, arch, &DEVICES).bytes());
        let run = place.run(&["show", "image"]);
        let line = "\npages    hosts with pages of up to 4 KiB start it\n";
        assert_eq!(run.stdout.contains(line), pages.is_some(), "{}", run.stdout);
        let run = place.run(&["show", "--format=json", "image"]);
        let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(value["load"]["host_page_size_max"].as_u64(), pages);
    }
}

#[test]
fn what_is_no_image_is_named_by_every_verb_of_ours_that_reads_one() {
    let place = Place::new();
    place.write("script", format!("#!/bin/sh\n{}", ": nothing\n".repeat(20)).as_bytes());
    place.write("short", b"#!/bin/sh\n");
    for name in ["script", "short"] {
        for words in [
            &["show", name][..],
            &["audit", name],
            &["check", name, "--", "--mem=2"],
            &["symbolize", name],
        ] {
            let run = place.run(words);
            let said = run.stdout + &run.stderr;
            assert!(run.status != 0 && said.contains("a script"), "{words:?}: {said}");
        }
    }
}

fn agrees(place: &Place, name: &str) -> bool {
    let Some((headers, mut notes)) = readelf(&place.path(name)) else {
        return false;
    };
    let run = place.run(&["show", "--format=json", name]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let value = json(&run.stdout);
    let number = |value: &Value| value.as_u64().unwrap().to_string();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let shown: Vec<Vec<String>> = value["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|segment| {
            vec![
                text(&segment["type"]),
                text(&segment["flags"]),
                number(&segment["offset"]),
                number(&segment["address"]),
                number(&segment["file_size"]),
                number(&segment["memory_size"]),
                number(&segment["align"]),
            ]
        })
        .collect();
    // readelf has a name for headers that we show by number.
    let headers: Vec<_> = headers
        .into_iter()
        .zip(&shown)
        .map(|(mut header, shown)| {
            if shown[0].starts_with("0x") {
                header[0] = shown[0].clone();
            }
            header
        })
        .collect();
    assert_eq!(shown, headers, "{name}");
    let mut ours: Vec<(String, u64)> = value["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| (text(&note["owner"]), note["size"].as_u64().unwrap()))
        .collect();
    ours.sort();
    notes.sort();
    assert_eq!(ours, notes, "{name}");
    true
}

#[test]
fn readelf_agrees() {
    let place = Place::new();
    for arch in Arch::ALL {
        for target in Target::ALL {
            place.write("image", &Sample::new(target, arch, &DEVICES).bytes());
            if !agrees(&place, "image") {
                return;
            }
        }
    }
    let mut manifest = testing::manifest_note(&DEVICES);
    manifest.extend(testing::properties_note(3, &[(0, mft2::tag::SYNOPSIS, b"x")]));
    let groups = [testing::openbsd_note(), testing::abi_note(Target::Hvt), manifest];
    place.write("version2", &Sample::with_notes(Target::Hvt, Arch::X86_64, &groups).bytes());
    assert!(agrees(&place, "version2"));

    // A program that no tool of ours made.
    let source = place.write("main.c", b"int main(void) { return 0; }\n");
    let foreign = place.path("foreign");
    let arguments = [
        "-static".as_ref(),
        "-no-pie".as_ref(),
        "-o".as_ref(),
        foreign.as_os_str(),
        source.as_os_str(),
    ];
    if tool("readelf_agrees: foreign program", "cc", &arguments).is_some() {
        assert!(agrees(&place, "foreign"));
    }
}

#[test]
fn show_for_people() {
    let place = Place::new();
    let mut manifest = testing::manifest_note(&DEVICES);
    let records: [(u32, u16, &[u8]); 4] = [
        (0, mft2::tag::MEMORY_MINIMUM, &(32u64 << 20).to_le_bytes()),
        (1, mft2::tag::DEVICE_FLAGS, &3u32.to_le_bytes()),
        (1, mft2::tag::SECTOR_SIZE, &4096u32.to_le_bytes()),
        (2, mft2::tag::DESCRIPTION, b"public side"),
    ];
    let mut sorted = records;
    sorted.sort_by_key(|(device, tag, _)| (*device, *tag));
    manifest.extend(testing::properties_note(3, &sorted));
    place.image_with("a.spt", Target::Spt, manifest);
    let run = place.run(&["show", "a.spt"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    snapshot("show", &run.stdout);
    let run = place.run(&["show", "--format=json", "a.spt"]);
    snapshot("show-json", &run.stdout);
    place.write("bad.spt", &write_exec());
    let run = place.run(&["show", "bad.spt"]);
    assert_eq!(run.status, 0);
    assert!(run.stdout.contains("refused  invalid executable: phdr[2] requests WRITE and EXEC"));
    place.write("text", b"hello");
    let run = place.run(&["show", "text"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("elf header does not match the expected size (5 != 64)"));
}

const POLICY: &str = "\
type: solo5.policy
version: 1
name: edge
image: { targets: [spt] }
process: { root: forbid, sandbox: require }
memory: { maximum: 256MiB }
arguments: { allow: [\"--name=*\"] }
net: { allow: [ { name: \"service*\", interface: \"tap-*\" } ] }
block: { allow: [ { name: \"*\", file: { under: /srv }, access: read-only } ] }
debug: { gdb: forbid, dumpcore: forbid }
";

#[test]
fn check_judges_the_memory_that_the_guest_gets() {
    let place = Place::new();
    let versions = "type: solo5.manifest\nversion: 2\nmemory: { minimum: 3MiB }\ndevices: []\n";
    let parsed = solo5_manifest::parse("m.yaml", versions.as_bytes()).expect("a manifest");
    let notes = parsed.manifest.notes();
    let notes = [notes.mft1(), notes.mft2().expect("properties")].concat();
    for (name, target) in [("a.hvt", Target::Hvt), ("a.spt", Target::Spt)] {
        place.image_with(name, target, notes.clone());
    }
    let policy = "type: solo5.policy\nversion: 1\notherwise: allow\nmemory: { maximum: 4MiB }\n";
    place.write("p.yaml", policy.as_bytes());
    for (image, memory, status, expected) in [
        (
            "a.hvt",
            "--mem=3",
            1,
            "a.hvt: cannot start: the manifest asks for at least 3 MiB of memory, but the guest would get 2 MiB; add --mem=4",
        ),
        ("a.spt", "--mem=3", 0, "a.spt: allowed"),
        ("a.hvt", "--mem=5", 0, "a.hvt: allowed"),
        ("a.spt", "--mem=5", 1, "a.spt: denied: P305 memory: 5MiB asked for; "),
        ("a.hvt", "--mem=7", 1, "a.hvt: denied: P305 memory: 7MiB asked for, and 6MiB given; "),
        (
            "a.hvt",
            "--mem=8192",
            1,
            "a.hvt: cannot start: guest memory size 8589934592 bytes exceeds",
        ),
    ] {
        let run = place.run(&["check", image, "--policy=p.yaml", "--", memory]);
        assert_eq!(run.status, status, "{image} {memory}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.contains(expected), "{image} {memory}: {}", run.stdout);
    }
    let check = |length| {
        let words = "x".repeat(length);
        place.run(&["check", "a.spt", "--policy=p.yaml", "--", "--mem=4", "--", &words])
    };
    assert_eq!(check(8191).status, 0);
    let run = check(8192);
    assert!(run.stdout.contains("cannot start: Guest command line too long (max=8191 "), "{run:?}");
}

/// `check` says which option is missing, as the tender's last line does.
#[test]
fn check_advises_on_memory_and_devices_that_a_launch_lacks() {
    let place = Place::new();
    place.write("p.yaml", b"type: solo5.policy\nversion: 1\notherwise: allow\n");
    let versions = "type: solo5.manifest\nversion: 2\ndevices:\n\
                    - { name: data, type: BLOCK_BASIC }\n\
                    - { name: lan, type: NET_BASIC, optional: true }\n";
    let parsed = solo5_manifest::parse("m.yaml", versions.as_bytes()).expect("a manifest");
    let notes = parsed.manifest.notes();
    let notes = [notes.mft1(), notes.mft2().expect("properties")].concat();
    place.image_with("a.spt", Target::Spt, notes);
    let check = |words: &[&str]| {
        let run = place.run(&[&["check", "a.spt", "--policy=p.yaml", "--"], words].concat());
        assert_eq!((run.status, run.stderr.as_str()), (1, ""), "{words:?}");
        run.stdout
    };
    let told = check(&["--mem=2", "--without-net:lan"]);
    let last =
        "a.spt: cannot start: all declared devices must be attached; add --block:data=PATH\n";
    assert!(told.ends_with(last), "{told}");
    let told = check(&["--mem=2", "--block:data=d"]);
    assert!(told.contains("; add --net:lan=TAP or --without-net:lan\n"), "{told}");
    let told = check(&["--mem=2", "--block:data=d", "--", "--net:lan=t"]);
    assert!(told.contains("; '--net:lan=t' follows the image, so it is the guest's;"), "{told}");
    let groups = [testing::openbsd_note(), testing::manifest_note(&[])];
    place.write("c.spt", &Sample::with_notes(Target::Spt, Arch::X86_64, &groups).bytes());
    let run = place.run(&["check", "c.spt", "--policy=p.yaml"]);
    let told = "; it was not linked as a unikernel; solo5-cc links one\n";
    assert!(run.status == 1 && run.stdout.ends_with(told), "{run:?}");
    place.image("b.spt", Target::Spt);
    let run = place.run(&["check", "b.spt", "--policy=p.yaml", "--", "--mem=1"]);
    assert!(run.stdout.ends_with("; add --mem=2\n"), "{}", run.stdout);
}

#[test]
fn memory_that_a_guest_needs_counts_its_stack() {
    let place = Place::new();
    let manifest = "type: solo5.manifest\nversion: 2\nstack: 8MiB\ndevices: []\n";
    let parsed = solo5_manifest::parse("m.yaml", manifest.as_bytes()).expect("a manifest");
    let notes = parsed.manifest.notes();
    let notes = [notes.mft1(), notes.mft2().expect("properties")].concat();
    for (name, target) in [("a.hvt", Target::Hvt), ("a.spt", Target::Spt)] {
        let mut abi = testing::abi_note(target);
        let known = abi.len() - 8;
        abi[known] = 1;
        let groups = [testing::openbsd_note(), abi, notes.clone()];
        place.write(name, &Sample::with_notes(target, Arch::X86_64, &groups).bytes());
    }
    place.write("p.yaml", b"type: solo5.policy\nversion: 1\notherwise: allow\n");
    let lacks = |image, have, enough| {
        format!(
            "{image}: cannot start: {have} MiB of memory cannot hold the image, a heap, and a stack of 8 MiB \
             with its guard; add --mem={enough}\n"
        )
    };
    for (image, options, expected) in [
        ("a.spt", &["--mem=8"][..], lacks("a.spt", 8, 10)),
        ("a.hvt", &["--mem=9"], lacks("a.hvt", 8, 10)),
        ("a.spt", &["--mem=10"], String::from("a.spt: allowed")),
        ("a.hvt", &["--mem=10"], String::from("a.hvt: allowed")),
        // Without a guard it starts as under an older tender.
        ("a.spt", &["--mem=8", "--offer=none"], String::from("a.spt: allowed")),
    ] {
        let run = place.run(&[&["check", image, "--policy=p.yaml", "--"], options].concat());
        let status = i32::from(expected.contains("cannot"));
        assert_eq!(run.status, status, "{image} {options:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.starts_with(&expected), "{image} {options:?}: {}", run.stdout);
    }
    let plan =
        "type: solo5.plan\nversion: 1\nunikernels:\n  - { name: a, image: a.spt, memory: 8MiB }\n";
    place.write("plan.yaml", plan.as_bytes());
    let run = place.run(&["check", "--plan=plan.yaml", "--policy=p.yaml"]);
    assert_eq!(run.status, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("add --mem=10"), "{}", run.stdout);

    let run = place.run(&["show", "--format=json", "a.spt"]);
    let load = &serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap()["load"];
    let needed = load["minimum_memory"].as_u64().unwrap() + (512 << 10) + (64 << 10) + (8 << 20);
    assert_eq!(load["memory_with_stack"], needed);
    let run = place.run(&["show", "a.spt"]);
    let line = format!("10 MiB to start it with its stack ({needed:#x})");
    assert!(run.stdout.contains(&line), "{}", run.stdout);
    let run = place.run(&["lock", "a.spt"]);
    let lock: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(lock["images"][0]["memory"], needed);
    let run = place.run(&["audit", "--budget=memory=9MiB", "a.spt"]);
    assert!(run.stdout.contains("S503"), "{}", run.stdout);
}

#[test]
fn policies_are_asked() {
    let place = Place::new();
    place.image("a.spt", Target::Spt);
    place.image("a.virtio", Target::Virtio);
    place.write("edge.yaml", POLICY.as_bytes());
    let check = |image: &str, launch: &[&str]| {
        let head = ["check", image, "--policy=edge.yaml", "--"];
        place.run(&[&head, launch].concat())
    };
    let fitting = [
        "--mem=128",
        "--net:service0=tap-1",
        "--block:storage=/srv/disk.img",
        "--block-access:storage=read-only",
    ];
    let run = check("a.spt", &fitting);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    assert!(run.stdout.contains("allowed, if "), "{}", run.stdout);

    let run = check("a.spt", &["--net:service0=eth0", "--block:storage=/etc/passwd"]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""), "{}", run.stdout);
    for part in ["a.spt: denied: P", "interface 'eth0'", "edge.yaml:8:", "memory"] {
        assert!(run.stdout.contains(part), "{part:?} is missing in\n{}", run.stdout);
    }

    let run = check("a.spt", &["--mem=128"]);
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("cannot start: Device 'storage' of type BLOCK_BASIC declared but"));

    let run = check("a.spt", &["--net:nope=tap-1"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("Resource not declared in manifest: 'nope'"), "{}", run.stderr);
    // The options are read, and the policy is for another target.
    let short = ["-m128", "-d/srv/disk.img", "-n", "tap-1", "--block-access:storage=read-only"];
    let run = check("a.virtio", &short);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""), "{}", run.stdout);
    assert!(run.stdout.contains("a.virtio: denied: P"), "{}", run.stdout);

    place.image("a.xen", Target::Xen);
    let run = check("a.xen", &[]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("no tender starts a xen image"));

    let mut tiny = vec!["--mem=1"];
    tiny.extend_from_slice(&fitting[1..]);
    let run = check("a.spt", &tiny);
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("cannot start: invalid executable: "), "{}", run.stdout);

    let arguments =
        ["check", "a.spt", "none", "--policy=edge.yaml", "--format=json", "--", "--mem=1024"];
    let run = place.run(&[&arguments[..], &fitting[1..]].concat());
    assert_eq!(run.status, 2);
    let value = json(&run.stdout);
    assert_eq!(value["images"][0]["decision"], "denied");
    assert_eq!(value["images"][1]["decision"], "failed");

    place.write("broken.yaml", b"type: solo5.policy\nversion: x\n");
    let run = place.run(&["check", "a.spt", "--policy=broken.yaml"]);
    assert_eq!(run.status, 1, "devices are asked about first");
    let mut all = vec!["check", "a.spt", "--policy=broken.yaml", "--"];
    all.extend_from_slice(&fitting);
    let run = place.run(&all);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("broken.yaml"), "{}", run.stderr);
}

/// The help of each verb, as `--help` prints it.
#[test]
fn help_is_the_snapshots() {
    let place = Place::new();
    let verbs = "audit check completions diff explain lock man policy show sign symbolize verify";
    for verb in verbs.split(' ') {
        let run = place.run(&[verb, "--help"]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{verb}");
        snapshot(&format!("help-{verb}"), &run.stdout);
    }
    for verb in ["check", "fmt", "show", "test"] {
        let run = place.run(&["policy", verb, "--help"]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{verb}");
        snapshot(&format!("help-policy-{verb}"), &run.stdout);
    }
    snapshot("help", &place.run(&["--help"]).stdout);
}

#[test]
fn codes_are_explained() {
    let place = Place::new();
    let run = place.run(&["explain", "s201"]);
    assert_eq!(run.status, 0);
    assert!(run.stdout.starts_with("# S201: segment writable and executable\n"));
    let run = place.run(&["explain", "S2"]);
    assert!(run.stdout.starts_with("S2  memory protection\n  S201  error"));
    assert!(!run.stdout.contains("S301"));
    assert!(place.run(&["explain"]).stdout.contains("S301"));
    let run = place.run(&["explain", "X999"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
}

#[test]
fn completions_and_manual_page() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let run = place.run(&["completions", shell]);
        assert_eq!(run.status, 0);
        assert!(run.stdout.contains("query-manifest"), "{shell}");
    }
    let run = place.run(&["man"]);
    assert_eq!(run.status, 0);
    for told in [".SS audit\n", "\\-\\-fail\\-on", ".SS policy fmt\n", ".SS query-manifest\n"] {
        assert!(run.stdout.contains(told), "{told} in:\n{}", run.stdout);
    }
    // It refers to pages of other programs only, because verbs have none of their own.
    let mut references = run.stdout.lines().filter(|line| line.contains("(1)"));
    assert!(references.all(|line| !line.contains("elftool")), "{}", run.stdout);
}

/// In a real bash, as `bash-completion` would call it.
#[test]
fn bash_completes_the_options_of_verbs() {
    let place = Place::new();
    let script = place.run(&["completions", "bash"]).stdout;
    place.write("script", script.as_bytes());
    let completed = |words: &[&str]| {
        let command = "
            . ./script; shift 0; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            function=$(complete -p solo5-elftool | sed 's/.*-F \\([^ ]*\\).*/\\1/')
            \"$function\" \"$1\" \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"
            printf '%s\\n' \"${COMPREPLY[@]}\"";
        let head = ["--norc", "-c", command, "bash", "solo5-elftool"];
        let run = place.run_program("bash".as_ref(), &[&head, words].concat(), b"");
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{words:?}");
        run.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(completed(&["audit", "--fo"]), ["--format"]);
    assert_eq!(completed(&["audit", "--format", "sa"]), ["sarif"]);
    assert_eq!(completed(&["policy", "test", "--cov"]), ["--coverage"]);
    assert_eq!(completed(&["query-m"]), ["query-manifest"]);
    assert_eq!(completed(&["check", "--pl"]), ["--plan"]);
}

/// One of several files that cannot be read does not hide what is known of the others.
#[test]
fn diff_compares_the_files_that_it_can_read() {
    let place = Place::new();
    place.image("a.spt", Target::Spt);
    place.image("same.spt", Target::Spt);
    place.image("b.hvt", Target::Hvt);
    let run = place.run(&["diff", "a.spt", "b.hvt", "gone.spt", "same.spt"]);
    assert_eq!(run.status, 2, "{run:?}");
    assert_eq!(run.stderr, "solo5-elftool: gone.spt: No such file or directory\n");
    assert!(run.stdout.starts_with("b.hvt\n") && run.stdout.ends_with("same.spt  unchanged\n"));
    let run = place.run(&["diff", "--format=json", "a.spt", "gone.spt", "same.spt"]);
    assert_eq!((run.status, json(&run.stdout)["unreadable"].as_u64()), (2, Some(1)));
    let run = place.run(&["diff", "a.spt", "gone.spt"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    // An image that an unreadable lock may have is not called removed.
    for (lock, images) in [("old.lock", &["a.spt", "b.hvt"][..]), ("new.lock", &["a.spt"])] {
        let run = place.run(&[&["lock", "-o", lock], images].concat());
        assert_eq!(run.status, 0, "{run:?}");
    }
    assert!(place.run(&["diff", "old.lock", "new.lock"]).stdout.contains("- image: "));
    let run = place.run(&["diff", "old.lock", "new.lock", "gone.lock"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, "a.spt  unchanged\n"));
}

/// A mistyped section's budget limits nothing, which is said.
#[test]
fn a_budget_for_a_section_that_no_image_has_is_named() {
    let place = Place::new();
    place.image("a.spt", Target::Spt);
    place.image("b.spt", Target::Spt);
    let audit = |budget: &str| {
        let run = place.run(&["audit", budget, "a.spt", "b.spt"]);
        assert_eq!(run.status, 0, "{run:?}");
        run.stderr
    };
    assert_eq!(audit("--budget=.text=1MiB"), "");
    let told = "solo5-elftool: no image has a section '.txet', so its budget limits nothing\n";
    assert_eq!(audit("--budget=.txet=1MiB"), told);
}

/// A guest's options need no second `--`, unless they could be a tender's.
#[test]
fn arguments_of_the_guest_follow_options_of_the_tender() {
    let place = Place::new();
    place.write("a.spt", &Sample::new(Target::Spt, Arch::X86_64, &[]).bytes());
    place.write(
        "p.yaml",
        b"type: solo5.policy\nversion: 1\nname: p\notherwise: allow\narguments: { allow: [\"--ipv4=x\", y] }\n",
    );
    let check = |words: &[&str]| {
        let head = ["check", "a.spt", "--policy=p.yaml", "--"];
        place.run(&[&head, words].concat())
    };
    for words in [
        &["--mem=2", "--ipv4=x"][..],
        &["--ipv4=x", "y"],
        &["--mem=2", "--", "--ipv4=x"],
        &["--mem=2", "y", "--ipv4=x"],
        &["--", "--ipv4=x"],
    ] {
        let run = check(words);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{words:?}: {}", run.stdout);
    }
    let run = check(&["--mem=2", "--ipv6=x"]);
    assert!(run.stdout.contains("'--ipv6=x' fits no rule"), "{run:?}");
    let run = check(&["--memm=2", "--ipv4=x"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("`--memm=2'"), "{}", run.stderr);
    assert_eq!(check(&["--mem=x", "--ipv4=x"]).status, 2);
    for (words, part) in [
        // An option of another tender, and what resembles one.
        (&["--user=1:1"][..], "`--user=1:1'; --user is an option of solo5-hvt; if the guest"),
        (&["--gdb"], "`--gdb'; --gdb is an option of solo5-hvt-debug; if the guest "),
        (&["--dumpcore=/d", "y"], "`--dumpcore=/d'"),
        (
            &["--memory=64"],
            "`--memory=64'; there is no --memory; did you mean --mem?; if the guest",
        ),
        // What starts nothing, and a value in a word of its own.
        (&["--help"], "`--help'; with --help a tender prints a text and starts nothing; if the"),
        (&["--version"], "`--version'; with --version a tender prints a text and starts nothing"),
        (&["--explain=T401"], "with --explain=T401 a tender prints a text and starts nothing; if"),
        (&["--mem", "64"], "`--mem'; if '64' is the value of --mem, write --mem=64; if the guest "),
        (&["--mem"], "write it as in usage:  [ --mem=512 ] (guest memory in MB); if the guest is"),
        // The tender takes no short options, and none of these words is its image.
        (
            &["-m", "64"],
            "`-m'; if '64' is the value of -m, write --mem=64; if the guest is to get this word",
        ),
        (&["-m64"], "`-m64'; there is no -m64; write --mem=64; "),
        (
            &["--mem=2", "-z", "x"],
            "`-z'; no tender has it; if the guest is to get this word, write -- ",
        ),
        (&["-q"], "`-q'; -q is an option of solo5-virtio-run; if the guest"),
        // An option that follows what only the guest can mean.
        (&["--ipv4=x", "--policy=q.yaml"], "'--policy=q.yaml' follows '--ipv4=x', which "),
        (&["--ipv4=x", "y", "--mem=2"], "'--mem=2' in front of '--ipv4=x'"),
        (&["other.spt", "--require-policy"], "'--require-policy' follows 'other.spt'"),
        (&["--mem=2", "y", "--net:n=tap"], "write -- before the guest's arguments"),
        (&["y", "--user=1:1"], "'--user=1:1' follows 'y'"),
        // Before the image's name, only options are allowed.
        (&["--ipv4=x", "a.spt"], "Invalid option: `--ipv4=x'"),
    ] {
        let run = check(words);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{words:?}: {}", run.stderr);
        assert!(run.stderr.contains(part), "{words:?}: {}", run.stderr);
    }
    // The image's name or `--` ends the options, so the policy refuses the rest as arguments.
    for words in [
        &["--mem=2", "a.spt", "--mem=3"][..],
        &["--mem=2", "a.spt", "--", "--mem=3"],
        &["--mem=2", "--", "--mem=3"],
    ] {
        let run = check(words);
        assert!(run.stdout.contains("'--mem=3' fits no rule"), "{words:?}: {run:?}");
        assert!(!run.stdout.contains("'a.spt'"), "{words:?}: {run:?}");
    }
    let run = check(&["--mem=2", "a.spt", "--ipv4=x", "y"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
}

/// Every verb says what a file is that is not an image, and an audit of nothing is not clean.
#[test]
fn what_is_no_image_is_named_and_an_audit_of_nothing_says_so() {
    let place = Place::new();
    place.image("a.spt", Target::Spt);
    place.write("a.gz", b"\x1f\x8b\x08\x00rest");
    place.write("lock", b"{\"type\": 1}");
    std::fs::create_dir(place.path("folder")).unwrap();
    std::fs::create_dir(place.path("texts")).unwrap();
    place.write("texts/readme", b"hello");
    let gzip = "a gzip file";
    for words in [
        &["diff", "a.spt", "a.gz"][..],
        &["diff", "a.gz", "a.spt"],
        &["lock", "a.gz"],
        &["lock", "a.spt", "a.gz"],
        &["show", "a.gz"],
    ] {
        let run = place.run(words);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{words:?}");
        assert!(run.stderr.contains(gzip), "{words:?}: {}", run.stderr);
    }
    let run = place.run(&["diff", "a.spt", "lock"]);
    assert!(run.stderr.contains("neither an image nor a lock: invalid type"), "{}", run.stderr);
    // Reading it fails, so it has no digest.
    let run = place.run(&["lock", "/proc/self/mem"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    for folder in ["folder", "texts"] {
        let run = place.run(&["audit", folder]);
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains("nothing was audited: no ELF file was found"), "{run:?}");
        let run = place.run(&["lock", folder, "-o", "new.lock"]);
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains("no image was found"), "{run:?}");
        assert!(!place.path("new.lock").exists());
    }
    let run = place.run_with(&["audit", "--files-from=-"], b"");
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "an empty list is one");
    assert_eq!(place.run(&["audit", "texts", "a.spt", "--exit-zero"]).status, 0);
}

/// The tests of launches in `tests/e2e` compare `check` with `solo5-spt`; these launches are QEMU's.
#[test]
fn check_refuses_what_no_machine_has_room_for() {
    let place = Place::new();
    let names: Vec<String> = (0..9).map(|number| format!("d{number}")).collect();
    let devices: Vec<_> =
        names.iter().map(|name| (name.as_str(), DeviceType::BlockBasic)).collect();
    let manifest = solo5_image::testing::manifest_note(&devices);
    place.image_with("a.virtio", Target::Virtio, manifest);
    place.image_with("none.spt", Target::Spt, solo5_image::testing::manifest_note(&[]));
    let disks: Vec<String> = names.iter().map(|name| format!("--block:{name}={name}")).collect();
    let check = |more: &[&str]| {
        let disks = disks.iter().map(String::as_str);
        let words = ["check", "a.virtio", "--"].into_iter().chain(more.iter().copied());
        place.run(&words.chain(disks).collect::<Vec<_>>())
    };
    for (more, part) in [
        (&["-M", "microvm"][..], "a machine microvm has room for 8 devices, not for 9; use"),
        (&["-H", "bhyve"], "bhyve runs only on FreeBSD; "),
        (&["-M", "virt"], "no machine virt runs unikernels for x86_64; leave --machine out"),
        (&["--mem=17592186044415"], "is more than there are addresses for, "),
    ] {
        let run = check(more);
        assert_eq!((run.status, run.stderr.as_str()), (1, ""), "{more:?}");
        assert!(run.stdout.contains(part), "{more:?}: {}", run.stdout);
    }
    // Each process has another standard output: this one's is a pipe.
    let run = place.run(&["check", "none.spt", "--", "--report=/dev/stdout"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    // A short option in the last word lacks its value; nothing that follows is taken for it.
    for last in ["-n", "-qn"] {
        let run = place.run(&["check", "a.virtio", "--", last]);
        assert_eq!(run.status, 2);
        let lacks = "-n lacks its value; write -n VALUE or --interface=VALUE";
        assert!(run.stderr.contains(lacks), "{}", run.stderr);
    }
    for more in [&[][..], &["-M", "q35"], &["-H", "bhyve", "--explain"]] {
        assert_eq!(check(more).status, 0, "{more:?}");
    }
}

/// `solo5-hvt` refuses the options of `solo5-hvt-debug`, so `check` does, unless the latter is meant.
#[test]
fn check_takes_options_of_the_debug_tender_only_if_told_so() {
    let place = Place::new();
    for (name, target) in [("a.hvt", Target::Hvt), ("a.spt", Target::Spt)] {
        place.image_with(name, target, solo5_image::testing::manifest_note(&[]));
    }
    place.write("p.yaml", b"type: solo5.policy\nversion: 1\notherwise: allow\n");
    for option in ["--gdb", "--gdb-port=1", "--gdb-socket=/s", "--dumpcore=/d"] {
        let check = |image: &str, more: &[&str]| {
            place.run(&[&["check", image, "--policy=p.yaml"], more, &["--", option]].concat())
        };
        let run = check("a.hvt", &[]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{option}: {run:?}");
        let advice = "is an option of solo5-hvt-debug, which --debug-tender asks about; ";
        assert!(run.stderr.contains(advice), "{}", run.stderr);
        let run = check("a.hvt", &["--debug-tender"]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{option}: {run:?}");
        assert_eq!(check("a.spt", &["--debug-tender"]).status, 2, "spt has no debug tender");
    }
}

/// Whatever links there are, expanding a pattern ends, and finds each path once.
#[test]
fn patterns_do_not_follow_links_to_folders() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    std::fs::create_dir_all(place.path("t/sub/deep")).unwrap();
    for name in ["t/a.spt", "t/sub/b.spt", "t/sub/deep/c.spt"] {
        place.image(name, Target::Spt);
    }
    symlink(".", place.path("t/loop")).unwrap();
    symlink("..", place.path("t/sub/up")).unwrap();
    symlink("a.spt", place.path("t/link.spt")).unwrap();
    let found = |pattern: &str| {
        let run = place.run(&["audit", "--format=json", pattern]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{pattern}");
        let value = json(&run.stdout);
        let images = value["images"].as_array().unwrap().iter();
        images.map(|image| image["file"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = ["t/a.spt", "t/link.spt", "t/sub/b.spt", "t/sub/deep/c.spt"];
    assert_eq!(found("t/**/*.spt"), all);
    assert_eq!(found("t/**"), all);
    assert_eq!(found("**/[ab].spt"), ["t/a.spt", "t/sub/b.spt"]);
    assert_eq!(found("./t/*/b.spt"), ["./t/sub/b.spt"]);
    assert_eq!(found("t/*.spt"), all[..2]);
    assert_eq!(found("t/s*"), all[2..]);
    let run = place.run(&["audit", "t/**/x*"]);
    let told = "solo5-elftool: t/**/x*: no file fits this pattern\n";
    assert_eq!((run.status, run.stderr.as_str()), (2, told));
}

/// Control characters in a section's name cannot forge a line or drive a terminal, in any format.
/// File names that are not UTF-8 stay distinct.
#[test]
fn nothing_in_an_image_forges_output_in_any_format() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    sample.segments[DATA].p_flags = PF_R | PF_W | PF_X;
    sample.sections[2].1.sh_flags |= 4;
    sample.sections[2].0 = "x\n::error::forged\u{9b}31m\u{61c}\u{2028}\u{202e}".into();
    place.write("evil.spt", &sample.bytes());
    for format in ["human", "json", "sarif", "github", "junit"] {
        let run = place.run(&["audit", "--all", &format!("--format={format}"), "evil.spt"]);
        assert!(run.stdout.contains("forged"), "{format}");
        for line in run.stdout.lines() {
            assert!(!line.starts_with("::error::forged"), "{format}");
            let unsafe_one = line.chars().find(|c| solo5_report::escape::is_unsafe(*c));
            assert_eq!(unsafe_one, None, "{format}: {line}");
        }
    }
    std::fs::create_dir(place.path("e")).unwrap();
    let image = Sample::new(Target::Spt, Arch::X86_64, &[]).bytes();
    for name in [&b"b\xff.spt"[..], b"b\xfe.spt", b"b\\xff.spt"] {
        std::fs::write(place.path("e").join(std::ffi::OsStr::from_bytes(name)), &image).unwrap();
    }
    let value = json(&place.run(&["lock", "e"]).stdout);
    let names: Vec<_> = value["images"].as_array().unwrap().iter().map(|i| &i["file"]).collect();
    assert_eq!(names, ["e/b\\\\xff.spt", "e/b\\xfe.spt", "e/b\\xff.spt"]);
}

#[test]
fn a_full_disk_is_an_error_and_a_closed_pipe_is_not() {
    let place = Place::new();
    place.image("a.spt", Target::Spt);
    let program = env!("CARGO_BIN_EXE_solo5-elftool");
    let run = |verb: &str, output: &str, expected: i32| {
        let script = format!("'{program}' {verb} a.spt {output}");
        let run = place.run_program("/bin/sh".as_ref(), &["-c", &script], b"");
        assert_eq!(run.status, expected, "{script}: {run:?}");
    };
    run("query-abi", "> /dev/full", 1);
    run("audit", "> /dev/full", 2);
    run("show", "> /dev/full", 2);
    for words in ["--help", "--version", "audit --help", "explain S201", "explain", "man"] {
        let script = format!("'{program}' {words} > /dev/full");
        let run = place.run_program("/bin/sh".as_ref(), &["-c", &script], b"");
        assert_eq!(run.status, 2, "{words}: {run:?}");
        assert!(run.stderr.contains("standard output: No space left on device"), "{run:?}");
    }
    run("show", "| true", 0);
}

/// Rust's start-up opens `/dev/null` in its place, and its standard output takes no notice of `EBADF`.
#[test]
fn a_closed_standard_output_is_an_error_and_dev_null_is_not() {
    let place = Place::new();
    place.image("a.spt", Target::Spt);
    let program = env!("CARGO_BIN_EXE_solo5-elftool");
    for (words, failed) in [
        ("query-abi a.spt", 1),
        ("gen-manifest m.json -", 1),
        ("gen-manifest m.json /dev/stdout", 1),
        ("audit a.spt", 2),
        ("audit --format=json a.spt", 2),
        ("show a.spt", 2),
        ("lock a.spt", 2),
        ("--help", 2),
        ("--version", 2),
        ("audit --help", 2),
        ("explain S201", 2),
        ("completions bash", 2),
        ("man", 2),
    ] {
        place.write("m.json", br#"{"type":"solo5.manifest","version":1,"devices":[]}"#);
        for (output, expected) in [
            (">&-", failed),
            (">&- 2>&-", failed),
            ("<&- >&- 2>&-", failed),
            ("1</dev/null", failed),
            (">/dev/null", 0),
            ("1<>/dev/null", 0),
            ("<&- >/dev/null", 0),
        ] {
            if words.contains("/dev/stdout") && output.starts_with("1<") {
                continue; // Opening it anew says how.
            }
            let script = format!("'{program}' {words} {output}");
            let run = place.run_program("/bin/sh".as_ref(), &["-c", &script], b"");
            assert_eq!(run.status, expected, "{script}: {run:?}");
            let told = run.stderr.contains("Bad file descriptor");
            assert_eq!(told, expected != 0 && !output.contains("2>&-"), "{script}: {run:?}");
        }
    }
    // Nothing is to be printed.
    let run = |script: &str| place.run_program("/bin/sh".as_ref(), &["-c", script], b"");
    let nothing = run(&format!("'{program}' gen-manifest m.json out >&-"));
    assert_eq!((nothing.status, nothing.stderr.as_str()), (0, ""));
    // An input that was closed is not an empty one.
    let closed = run(&format!("'{program}' audit --files-from - <&-"));
    assert_eq!(closed.status, 2, "{closed:?}");
    assert!(closed.stderr.contains("Bad file descriptor"), "{closed:?}");
}

#[test]
fn notes_are_shown_with_owner_and_meaning() {
    let place = Place::new();
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    sample.segments[NOTES].p_flags = PF_R;
    place.write("a", &sample.bytes());
    let value = json(&place.run(&["show", "--format=json", "a"]).stdout);
    assert_eq!(value["notes"][0]["owner"], "OpenBSD");
    assert_eq!(value["notes"][2]["meaning"], "manifest");
    assert_eq!(value["load"]["kernel_end"], 0x10_2000);
}

/// A budget needs no `--select`; `--ignore` still leaves its rule out.
#[test]
fn a_budget_applies_its_rule() {
    let place = Place::new();
    place.image("a.spt", Target::Spt);
    let run = place.run(&["audit", "--budget=memory=1KiB", "--fail-on=warning", "a.spt"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stdout.contains("S503"), "{}", run.stdout);
    let run = place.run(&["audit", "--budget=memory=1KiB", "--select=S2", "a.spt"]);
    assert!(run.stdout.contains("S503"), "{}", run.stdout);
    let run = place.run(&["audit", "--budget=memory=1KiB", "--ignore=S503", "a.spt"]);
    assert!(!run.stdout.contains("S503"), "{}", run.stdout);
}
