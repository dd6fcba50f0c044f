//! Upstream's three verbs: output byte for byte, messages and exit statuses
//! (`docs/reference/manifest.md#queries`).

mod common;

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use common::{DEVICES, Place, Run, tool};
use solo5_abi::mft1::{self, DeviceType};
use solo5_abi::{Arch, Target};
use solo5_image::testing::{self, NOTES, Sample};

fn success(stdout: &str, run: &Run) {
    assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (0, stdout, ""));
}

fn failure(stderr: &str, run: &Run) {
    assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (1, "", stderr));
}

#[test]
fn usage_is_upstreams_and_fails() {
    let place = Place::new();
    let cases: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["query-abi"],
        &["query-abi", "a", "b"],
        &["query-manifest"],
        &["gen-manifest", "a"],
        &["gen-manifest", "a", "b", "c"],
        &["-x"],
    ];
    for arguments in cases {
        let run = place.run(arguments);
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{arguments:?}");
        let version = version_printed();
        let upstream = format!(
            "usage: solo5-elftool COMMAND ...\nsolo5-elftool version {version}\n\nCOMMAND is:\n    \
             gen-manifest SOURCE OUTPUT:\n        Generate application manifest from SOURCE, \
             writing to OUTPUT.\n    query-abi BINARY:\n        Display the ABI target and version \
             from BINARY.\n    query-manifest BINARY:\n        Display the application manifest \
             from BINARY.\n"
        );
        assert!(run.stderr.starts_with(&upstream), "{}", run.stderr);
        assert!(run.stderr.contains("audit IMAGES"));
    }
}

/// After the usage text.
#[test]
fn a_misspelt_verb_or_option_is_advised_on() {
    let place = Place::new();
    for (word, meant) in [("--hlep", "--help"), ("adit", "audit"), ("query-abl", "query-abi")] {
        let run = place.run(&[word]);
        let line = format!("\nsolo5-elftool: there is no {word}; did you mean {meant}?\n");
        assert!(run.status == 1 && run.stderr.ends_with(&line), "{run:?}");
    }
    let run = place.run(&["query-abi"]);
    assert!(!run.stderr.contains("did you mean"), "{}", run.stderr);
}

/// The version as the program itself says it.
fn version_printed() -> String {
    let run = Place::new().run(&["--version"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let version = run.stdout.strip_prefix("solo5-elftool ").expect("name and version");
    version.trim_end().to_owned()
}

#[test]
fn help_and_version_succeed() {
    let run = Place::new().run(&["--help"]);
    assert_eq!(run.status, 0);
    for verb in ["gen-manifest", "query-abi", "query-manifest", "audit", "check", "show"] {
        assert!(run.stdout.contains(verb), "{verb}");
    }
    assert!(version_printed().starts_with('v'));
}

#[test]
fn messages_start_with_the_name_in_argument_0() {
    let place = Place::new();
    let other = place.path("my-tool");
    symlink(env!("CARGO_BIN_EXE_solo5-elftool"), &other).unwrap();
    let run = place.run_program(&other, &["query-abi", "none"], b"");
    failure("my-tool: none: Could not open: No such file or directory\n", &run);
}

#[test]
fn abi_of_every_target_and_machine() {
    let place = Place::new();
    for arch in Arch::ALL {
        for target in Target::ALL {
            place.write("image", &Sample::new(target, arch, &[]).bytes());
            let version = target.abi_version().unwrap_or(1);
            let expected = format!(
                "{{\n  \"type\": \"solo5.abi\",\n  \"target\": \"{}\",\n  \"version\": {version}\n}}\n",
                target.name()
            );
            success(&expected, &place.run(&["query-abi", "image"]));
        }
    }
}

#[test]
fn manifests_byte_for_byte() {
    let place = Place::new();
    place.image("two", Target::Hvt);
    success(
        "{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [\n    { \"name\": \
         \"storage\", \"type\": \"BLOCK_BASIC\" },\n    { \"name\": \"service0\", \"type\": \
         \"NET_BASIC\" }\n  ]\n}\n",
        &place.run(&["query-manifest", "two"]),
    );
    place.write("none", &Sample::new(Target::Xen, Arch::Aarch64, &[]).bytes());
    success(
        "{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [\n  ]\n}\n",
        &place.run(&["query-manifest", "none"]),
    );
}

fn with_entry(change: &[(usize, usize, &[u8])]) -> Vec<u8> {
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    let note = sample.segments[NOTES + 2].p_offset - sample.contents[0].0;
    for (entry, field, bytes) in change {
        let at = note as usize + 20 + mft1::PADDING + mft1::size(*entry) + field;
        sample.contents[0].1[at..at + bytes.len()].copy_from_slice(bytes);
    }
    sample.bytes()
}

#[test]
fn strange_manifests_are_still_json() {
    let place = Place::new();
    let reserved = mft1::RESERVED_FIRST.to_le_bytes();
    place.write("reserved", &with_entry(&[(2, 68, &reserved)]));
    let run = place.run(&["query-manifest", "reserved"]);
    assert_eq!(run.status, 0);
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["devices"].as_array().unwrap().len(), 1);

    place.write("quoted", &with_entry(&[(1, 0, b"a\"\nb\xff\0"), (2, 68, &[9])]));
    let run = place.run(&["query-manifest", "quoted"]);
    assert_eq!(run.status, 0);
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["devices"][0]["name"], "a\"\nb\u{fffd}");
    assert_eq!(value["devices"][1]["type"], "<undefined type>");

    place.write("unknown", &with_entry(&[(1, 68, &[9]), (2, 68, &[0])]));
    let shown = place.run(&["show", "unknown"]).stdout;
    let head = shown.lines().next().unwrap();
    assert!(head.ends_with(" · 2 devices of unknown type"), "{head}");
    place.write("half", &with_entry(&[(2, 68, &[9])]));
    let shown = place.run(&["show", "half"]).stdout;
    let head = shown.lines().next().unwrap();
    assert!(head.ends_with(" · block: storage · 1 device of unknown type"), "{head}");
}

#[test]
fn query_errors_have_upstreams_texts() {
    let place = Place::new();
    let mut bare = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    bare.segments.truncate(NOTES);
    place.write("bare", &bare.bytes());
    let no_abi = "solo5-elftool: bare: No Solo5 ABI information found in executable\n";
    failure(no_abi, &place.run(&["query-abi", "bare"]));
    let no_manifest = "solo5-elftool: bare: No Solo5 manifest found in executable\n";
    failure(no_manifest, &place.run(&["query-manifest", "bare"]));

    place.write("attached", &with_entry(&[(1, 96, &[1])]));
    failure(
        "solo5-elftool: attached: Manifest validation failed\n",
        &place.run(&["query-manifest", "attached"]),
    );
    assert_eq!(place.run(&["query-abi", "attached"]).status, 0);

    place.write("empty", b"");
    failure(
        "solo5-elftool: empty: invalid executable: elf header does not match the expected size (0 \
         != 64)\n",
        &place.run(&["query-abi", "empty"]),
    );
    failure(
        "solo5-elftool: -: Could not open: No such file or directory\n",
        &place.run(&["query-manifest", "-"]),
    );
}

#[test]
fn stub_images_have_empty_notes() {
    let place = Place::new();
    let mut stub = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    stub.segments[NOTES].p_filesz = 0;
    stub.segments[NOTES + 1].p_filesz = 0;
    place.write("stub", &stub.bytes());
    assert_eq!(place.run(&["query-manifest", "stub"]).status, 0);
    let run = place.run(&["query-abi", "stub"]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.ends_with("No Solo5 ABI information found in executable\n"));
}

#[test]
fn hostile_files_cost_nothing() {
    let place = Place::new();
    let sparse = std::fs::File::create(place.path("sparse")).unwrap();
    sparse.set_len(4 << 30).unwrap();
    let mut claims = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    claims.segments[NOTES + 1].p_offset = 1 << 31;
    claims.segments[NOTES + 1].p_filesz = 1 << 31;
    place.write("claims", &claims.bytes());
    std::fs::OpenOptions::new()
        .write(true)
        .open(place.path("claims"))
        .and_then(|file| file.set_len(4 << 30))
        .unwrap();
    let fifo = place.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    let mut files = vec!["sparse", "claims", "/dev/zero", "/dev/null", "."];
    if made.is_ok_and(|status| status.success()) {
        files.push("fifo");
    }
    for file in files {
        for verb in ["query-abi", "query-manifest", "show", "audit"] {
            let start = Instant::now();
            let run = place.run(&[verb, file]);
            let shown = verb == "show" && file == "claims";
            assert!(shown || run.status == 1 || run.status == 2, "{verb} {file}: {run:?}");
            assert!(run.stdout.len() < 10_000, "{verb} {file}");
            assert!(start.elapsed() < Duration::from_secs(5), "{verb} {file}");
        }
    }
    let directory = place.run(&["query-abi", "."]);
    assert!(directory.stderr.contains("elf header while loading note failed: Is a directory"));
}

const MANIFEST: &str = "{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [\n    \
                        { \"name\": \"storage\", \"type\": \"BLOCK_BASIC\" },\n    { \"name\": \
                        \"service0\", \"type\": \"NET_BASIC\" }\n  ]\n}\n";

#[test]
fn generated_c_compiles_to_the_note() {
    let place = Place::new();
    place.write("manifest.json", MANIFEST.as_bytes());
    success("", &place.run(&["gen-manifest", "manifest.json", "manifest.c"]));
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../bindings/include");
    let (source, object) = (place.path("manifest.c"), place.path("manifest.o"));
    let test = "generated_c_compiles_to_the_note";
    let compiled = tool(
        test,
        "cc",
        &[
            "-std=c11".as_ref(),
            "-Wall".as_ref(),
            "-Werror".as_ref(),
            "-I".as_ref(),
            include.as_ref(),
            "-c".as_ref(),
            "-o".as_ref(),
            object.as_ref(),
            source.as_ref(),
        ],
    );
    let raw = place.path("note");
    let section = "--only-section=.note.solo5.manifest";
    let copied = compiled.and_then(|_| {
        let arguments =
            ["-O".as_ref(), "binary".as_ref(), section.as_ref(), object.as_ref(), raw.as_ref()];
        tool(test, "objcopy", &arguments)
    });
    if copied.is_some() {
        assert_eq!(std::fs::read(raw).unwrap(), testing::manifest_note(&DEVICES));
    }
}

#[test]
fn manifests_come_and_go_through_pipes() {
    let place = Place::new();
    place.write("manifest.json", MANIFEST.as_bytes());
    success("", &place.run(&["gen-manifest", "manifest.json", "manifest.c"]));
    let expected = std::fs::read_to_string(place.path("manifest.c")).unwrap();
    success(&expected, &place.run_with(&["gen-manifest", "-", "-"], MANIFEST.as_bytes()));
    success(&expected, &place.run(&["gen-manifest", "manifest.json", "/dev/stdout"]));
}

#[test]
fn version_2_is_taken_too() {
    let place = Place::new();
    let source = "type: solo5.manifest\nversion: 2\nmemory: { minimum: 32MiB }\ndevices: []\n";
    let run = place.run_with(&["gen-manifest", "-", "-"], source.as_bytes());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("__solo5_mft2_note"));
}

#[test]
fn too_many_entries_is_upstreams_line() {
    let place = Place::new();
    let devices: Vec<String> = (0..64)
        .map(|index| format!("    {{ \"name\": \"storage{index}\", \"type\": \"BLOCK_BASIC\" }}"))
        .collect();
    let source = format!(
        "{{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [\n{}\n  ]\n}}\n",
        devices.join(",\n")
    );
    place.write("manifest.json", source.as_bytes());
    let run = place.run(&["gen-manifest", "manifest.json", "manifest.c"]);
    assert_eq!((run.status, run.stdout.as_str()), (1, ""));
    let first = run.stderr.lines().next().unwrap();
    assert_eq!(first, "solo5-elftool: manifest.json:4: .devices[]: too many entries, maximum 63");
    assert!(!place.path("manifest.c").exists());
}

#[test]
fn a_failed_run_leaves_what_was_there() {
    let place = Place::new();
    place.write("bad.json", b"{ \"type\": \"solo5.manifest\" }");
    place.write("out.c", b"precious");
    let run = place.run(&["gen-manifest", "bad.json", "out.c"]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.starts_with("solo5-elftool: bad.json:1: "), "{}", run.stderr);
    assert_eq!(std::fs::read(place.path("out.c")).unwrap(), b"precious");
    assert_eq!(place.run(&["gen-manifest", "bad.json", "bad.json"]).status, 1);
    assert!(std::fs::read(place.path("bad.json")).unwrap().starts_with(b"{"));
    let leftover = std::fs::read_dir(place.path("")).unwrap().count();
    assert_eq!(leftover, 2);
}

#[test]
fn files_that_cannot_be_read_or_written() {
    let place = Place::new();
    place.write("manifest.json", MANIFEST.as_bytes());
    failure(
        "solo5-elftool: none: Could not open for reading: No such file or directory\n",
        &place.run(&["gen-manifest", "none", "out.c"]),
    );
    failure(
        "solo5-elftool: no/out.c: Could not open for writing: No such file or directory\n",
        &place.run(&["gen-manifest", "manifest.json", "no/out.c"]),
    );
    failure(
        "solo5-elftool: /dev/full: Could not write: No space left on device\n",
        &place.run(&["gen-manifest", "manifest.json", "/dev/full"]),
    );
    let many = Place::new();
    let names: Vec<String> = (0..63).map(|index| format!("d{index}")).collect();
    let devices: Vec<_> = names.iter().map(|name| (name.as_str(), DeviceType::NetBasic)).collect();
    many.write("image", &Sample::new(Target::Spt, Arch::X86_64, &devices).bytes());
    let run = many.run(&["query-manifest", "image"]);
    assert_eq!(run.stdout.matches("NET_BASIC").count(), 63);
}
