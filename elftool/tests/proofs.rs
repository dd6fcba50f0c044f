//! The verbs `sign` and `verify`, and `check` where a policy asks what is in an image or what the
//! audit finds.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{DEVICES, Place, tool};
use serde_json::Value;
use solo5_abi::{Arch, Target};
use solo5_image::testing::Sample;

/// A folder with an image that needs no devices and a pair of keys.
fn place() -> Place {
    let place = Place::new();
    let sample = Sample::new(Target::Spt, Arch::X86_64, &[]);
    place.write("a.spt", &sample.bytes());
    let run = place.run(&["sign", "--new-key=key"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    place
}

fn policy(place: &Place, rules: &str) {
    let text = format!("type: solo5.policy\nversion: 1\nname: node\notherwise: allow\n{rules}\n");
    place.write("node.yaml", text.as_bytes());
}

/// The key's characters, from its file.
fn key(place: &Place) -> String {
    let file = fs::read_to_string(place.path("key.pub")).unwrap();
    file.lines().nth(1).unwrap().to_owned()
}

/// The first line that `verify` prints, which has the digest.
fn digest(place: &Place, image: &str) -> String {
    let run = place.run(&["verify", image]);
    let line = run.stdout.lines().next().unwrap_or_default();
    line.strip_prefix(&format!("{image}: ")).unwrap().to_owned()
}

#[test]
fn an_image_is_signed_and_verified() {
    let place = place();
    let mode = fs::metadata(place.path("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(place.path("a.spt")).unwrap();
    let digest = digest(&place, "a.spt");
    let unsigned = place.run(&["verify", "--key=key.pub", "a.spt"]);
    assert_eq!(unsigned.status, 1);
    assert!(unsigned.stdout.ends_with("a.spt: 0 signatures, none by this key\n"));

    assert_eq!(place.run(&["sign", "--key=key", "a.spt"]).status, 0);
    let key = key(&place);
    let signed = place.run(&["verify", &format!("--key={key}"), "a.spt"]);
    let expected = format!("a.spt: {digest}\na.spt: signed by {key}\n");
    assert_eq!((signed.status, signed.stdout), (0, expected));
    let json = place.run(&["verify", "--key=key.pub", "--format=json", "a.spt"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["images"][0]["signed_by"][0], key.as_str());
    let after = fs::read(place.path("a.spt")).unwrap();
    assert_eq!(after[..before.len()], before);

    // A second signature by the same key replaces the first, another key's is added.
    assert_eq!(place.run(&["sign", "--key=key", "a.spt"]).status, 0);
    assert_eq!(place.run(&["sign", "--new-key=other"]).status, 0);
    assert_eq!(place.run(&["sign", "--key=other", "a.spt"]).status, 0);
    let both = place.run(&["verify", "--key=key.pub", "--key=other.pub", "--format=json", "a.spt"]);
    let json: Value = serde_json::from_str(&both.stdout).unwrap();
    assert_eq!(json["images"][0]["signatures"], 2);
    assert_eq!(json["images"][0]["signed_by"].as_array().unwrap().len(), 2);
}

#[test]
fn a_detached_signature_is_minisigns() {
    let place = place();
    let run = place.run(&["sign", "--key=key", "--detached", "--comment=release 7", "a.spt"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert_eq!(place.run(&["verify", "--key=key.pub", "a.spt"]).status, 0);
    let (key, image) = (place.path("key.pub"), place.path("a.spt"));
    let arguments =
        ["-V".as_ref(), "-p".as_ref(), key.as_os_str(), "-m".as_ref(), image.as_os_str()];
    if let Some(said) = tool("a_detached_signature_is_minisigns", "minisign", &arguments) {
        assert!(said.contains("release 7"), "{said}");
    }
}

#[test]
fn what_cannot_be_signed_is_reported_and_not_changed() {
    let place = place();
    place.write("text", b"no image");
    for arguments in [
        &["sign", "--key=key", "text"][..],
        &["sign", "--key=key", "none"],
        &["sign", "--key=key.pub", "a.spt"],
        &["sign", "--key=none", "a.spt"],
        &["sign", "--key=key", "--comment=a\nb", "a.spt"],
        &["sign", "--new-key=key"],
        &["verify", "--key=a.spt", "a.spt"],
        &["verify", "none"],
    ] {
        let before = fs::read(place.path("a.spt")).unwrap();
        let run = place.run(arguments);
        assert_eq!(run.status, 2, "{arguments:?}: {run:?}");
        assert!(run.stderr.starts_with("solo5-elftool: "), "{run:?}");
        assert_eq!(fs::read(place.path("a.spt")).unwrap(), before);
    }
}

#[test]
fn check_knows_digests_and_signatures() {
    let place = place();
    let check = || place.run(&["check", "--policy=node.yaml", "a.spt"]);
    policy(&place, &format!("image: {{ signed-by: {} }}", key(&place)));
    let run = check();
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("a.spt: denied: P351 image: "), "{}", run.stdout);
    assert_eq!(place.run(&["sign", "--key=key", "a.spt"]).status, 0);
    assert_eq!(check().status, 0);
    policy(&place, &format!("image: {{ digest: \"{}\" }}", digest(&place, "a.spt")));
    assert_eq!(check().status, 0);
    policy(&place, &format!("image: {{ digest: \"sha256:{}\" }}", "0".repeat(64)));
    assert!(check().stdout.contains("P350"));
}

#[test]
fn check_writes_down_what_it_admits() {
    let place = place();
    // Its devices are not attached, so it cannot start.
    assert_eq!(DEVICES.len(), 2);
    place.image("b.spt", Target::Spt);
    let list = place.path("list.json");
    let rules = format!("image: {{ targets: [spt] }}\nadmitted: {}", list.display());
    policy(&place, &rules);
    let before = place.run(&["check", "--policy=node.yaml", "a.spt"]);
    assert!(before.stdout.contains("allowed, if image: sha256:"), "{}", before.stdout);
    let lock = format!("--lock={}", list.display());
    let run = place.run(&["check", "--policy=node.yaml", &lock, "a.spt", "b.spt"]);
    assert_eq!(run.status, 1, "{run:?}");
    let written: Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    let images = written["images"].as_array().unwrap();
    assert_eq!(images.len(), 1);
    assert_eq!(images[0]["digest"], digest(&place, "a.spt"));
    assert_eq!(images[0]["policies"][0], "node");
    assert!(run.stdout.contains("a.spt: allowed by 1 applicable policy\n"), "{}", run.stdout);
    // An image that cannot be read leaves the list as it was.
    let run = place.run(&["check", "--policy=node.yaml", &lock, "none"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("not written"), "{}", run.stderr);
    let same: Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    assert_eq!(same, written);
    // So does an image that cannot start.
    let run = place.run(&["check", "--policy=node.yaml", &lock, "b.spt"]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("not written: no policy could be asked"), "{}", run.stderr);
    let same: Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    assert_eq!(same, written);
}

#[test]
fn findings_of_the_audit_make_check_deny() {
    let place = place();
    let check = || place.run(&["check", "--policy=node.yaml", "a.spt"]);
    policy(&place, "audit: { fail-on: warning }");
    assert_eq!(check().status, 0, "{:?}", check());
    // Without section headers, notes cannot be found by section name: S319.
    let mut bytes = fs::read(place.path("a.spt")).unwrap();
    let (offset, count) = (40, 60);
    bytes[offset..offset + 8].fill(0);
    bytes[count..count + 4].fill(0);
    place.write("a.spt", &bytes);
    let run = check();
    assert_eq!(run.status, 1, "{run:?}");
    let denied = "a.spt: denied: P354 audit: S319 ";
    assert!(run.stdout.contains(denied), "{}", run.stdout);
    let waiver = |until: &str| {
        let digest = digest(&place, "a.spt");
        format!(
            "audit:\n  fail-on: warning\n  waive:\n    - {{ rule: S319, images: \"{digest}\", \
             reason: stripped, until: {until} }}"
        )
    };
    policy(&place, &waiver("9999-12-31"));
    let run = check();
    assert_eq!(run.status, 0, "{run:?}");
    let waived = "a.spt: waived: S319 accepted until 9999-12-31: stripped; node (node.yaml:";
    assert!(run.stdout.starts_with(waived), "{}", run.stdout);
    let json = place.run(&["check", "--policy=node.yaml", "--format=json", "a.spt"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["images"][0]["waived"][0]["code"], "S319");
    policy(&place, &waiver("2026-01-01"));
    let run = check();
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("its waiver ended 2026-01-01"), "{}", run.stdout);
}

#[test]
fn policies_are_checked_and_laid_out() {
    let place = Place::new();
    let text =
        "type: solo5.policy\nversion: 1\nmatch: {label: {tenant: a}}\nmemory: {maximum: 1MiB}\n";
    place.write("a.yaml", text.as_bytes());
    let run = place.run(&["policy", "check", "a.yaml"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("warning[P220]"), "{}", run.stderr);
    place.write("b.yaml", b"type: solo5.policy\nversion: 1\notherwise: allow\n");
    let run = place.run(&["policy", "check", "a.yaml", "b.yaml"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.starts_with("note[P221]"), "{}", run.stderr);
    let run = place.run(&["policy", "check", "b.yaml"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    place.write("c.yaml", b"type: solo5.policy\nversion: 1\nmemroy: {}\n");
    let run = place.run(&["policy", "check", "a.yaml", "c.yaml"]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("`memory`"), "{}", run.stderr);
    assert_eq!(place.run(&["policy", "check", "none", "c.yaml"]).status, 2);

    assert_eq!(place.run(&["policy", "fmt", "--check", "a.yaml", "b.yaml"]).status, 1);
    assert_eq!(place.run(&["policy", "fmt", "a.yaml", "b.yaml"]).status, 0);
    assert_eq!(place.run(&["policy", "fmt", "--check", "a.yaml", "b.yaml"]).status, 0);
    let after = fs::read_to_string(place.path("a.yaml")).unwrap();
    assert_eq!(
        after,
        text.replace("{label: {tenant: a}}", "{ label: { tenant: a } }")
            .replace("{maximum: 1MiB}", "{ maximum: 1MiB }")
    );
    assert_eq!(place.run(&["policy", "fmt", "c.yaml"]).status, 1);
}

#[test]
fn a_changed_image_and_an_unusable_signature_are_reported() {
    let place = place();
    assert_eq!(place.run(&["sign", "--key=key", "--detached", "a.spt"]).status, 0);
    let mut image = fs::read(place.path("a.spt")).unwrap();
    let last = image.len() - 1;
    image[last] ^= 1;
    place.write("a.spt", &image);
    let run = place.run(&["verify", "--key=key.pub", "a.spt"]);
    let said =
        format!("a.spt: the image or the signature changed after {} signed it\n", key(&place));
    assert_eq!((run.status, run.stdout.ends_with(&said)), (1, true), "{}", run.stdout);
    let json = place.run(&["verify", "--key=key.pub", "--format=json", "a.spt"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["images"][0]["changed_since"][0], key(&place).as_str());

    let signature = fs::read_to_string(place.path("a.spt.minisig")).unwrap();
    let older = signature.replacen("\nRU", "\nRW", 1);
    for (signature, why) in [
        ("no signature\n", "a.spt.minisig: it does not have the four lines of a signature"),
        (older.as_str(), "it is of minisign's older kind"),
    ] {
        place.write("a.spt.minisig", signature.as_bytes());
        let run = place.run(&["verify", "--key=key.pub", "a.spt"]);
        assert_eq!(run.status, 1);
        let why = format!("a.spt: unusable signature: {why}");
        assert!(run.stdout.contains(&why), "{why}:\n{}", run.stdout);
    }
    fs::remove_file(place.path("a.spt.minisig")).unwrap();
    assert_eq!(place.run(&["sign", "--key=key", "a.spt"]).status, 0);
    let mut image = fs::read(place.path("a.spt")).unwrap();
    let end = image.len();
    image[end - 8] ^= 0x20;
    place.write("a.spt", &image);
    let run = place.run(&["verify", "--key=key.pub", "a.spt"]);
    assert!(
        run.stdout.contains("unusable signature: the trailer of the image is damaged"),
        "{}",
        run.stdout
    );
}

/// `minisign` hashes the whole file, including a trailer after the image.
#[test]
fn attached_and_detached_signatures_go_together() {
    let minisign = |place: &Place, arguments: &[&str]| {
        let run = std::process::Command::new("minisign")
            .args(arguments)
            .current_dir(place.path(""))
            .output();
        match run {
            Ok(run) => assert!(run.status.success(), "{arguments:?}: {run:?}"),
            Err(error) => println!("skip: attached_and_detached_signatures_go_together: {error}"),
        }
    };
    let verify = ["-V", "-p", "key.pub", "-m", "a.spt"];
    let verified = |place: &Place| {
        let run = place.run(&["verify", "--key=key.pub", "a.spt"]);
        assert_eq!(run.status, 0, "{run:?}");
    };
    for first in ["--detached", "--comment=one"] {
        let place = place();
        let second = if first == "--detached" { "--comment=two" } else { "--detached" };
        for option in [first, second] {
            let run = place.run(&["sign", "--key=key", option, "a.spt"]);
            assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        }
        verified(&place);
        minisign(&place, &verify);
        // The attached signature is enough for `verify`.
        let detached = fs::read(place.path("a.spt.minisig")).unwrap();
        fs::remove_file(place.path("a.spt.minisig")).unwrap();
        verified(&place);
        place.write("a.spt.minisig", &detached);
        let run = place.run(&["sign", "--new-key=other"]);
        assert_eq!(run.status, 0);
    }
    // What `minisign` signs counts, with a trailer in the file too.
    let place = place();
    assert_eq!(place.run(&["sign", "--new-key=other"]).status, 0);
    assert_eq!(place.run(&["sign", "--key=other", "a.spt"]).status, 0);
    let theirs = std::process::Command::new("minisign")
        .args(["-S", "-s", "key", "-m", "a.spt"])
        .current_dir(place.path(""))
        .output();
    if theirs.is_ok_and(|run| run.status.success()) {
        verified(&place);
        policy(&place, &format!("image: {{ signed-by: {} }}", key(&place)));
        assert_eq!(place.run(&["check", "--policy=node.yaml", "a.spt"]).status, 0);
    }
}

/// The size is checked before memory is allocated, and no more is allocated than the image needs.
#[test]
fn memory_stays_within_the_budget() {
    const MIB: u64 = 1 << 20;
    let place = place();
    let grown = |name: &str, size: u64| {
        let path = place.path(name);
        fs::copy(place.path("a.spt"), &path).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
    };
    policy(&place, "");
    grown("large.spt", 256 * MIB + 1);
    for arguments in [
        &["verify", "large.spt"][..],
        &["sign", "--key=key", "large.spt"],
        &["lock", "large.spt"],
        &["diff", "large.spt", "a.spt"],
        &["check", "--policy=node.yaml", "--lock=list", "large.spt"],
    ] {
        let run = place.run(arguments);
        assert_eq!(run.status, 2, "{arguments:?}: {run:?}");
        let told = "large.spt: is larger than 256 MiB, so no tender proves it";
        assert!(run.stderr.contains(told), "{arguments:?}: {}", run.stderr);
    }
    grown("most.spt", 64 * MIB);
    let program = env!("CARGO_BIN_EXE_solo5-elftool");
    // Address space in MiB beyond the image's size: threads, the program, and buffers.
    for (verb, room) in [
        ("verify most.spt", 40),
        ("lock -o most.lock most.spt", 40),
        ("check --policy=node.yaml --lock=list most.spt", 64 + 40),
        ("sign --key=key most.spt", 64 + 40),
    ] {
        let script = format!("ulimit -v {}; exec '{program}' {verb}", room * 1024);
        let run = place.run_program("/bin/sh".as_ref(), &["-c", &script], b"");
        assert_eq!(run.status, 0, "{verb}: {run:?}");
    }
}

/// A key or a password that is endless, too long or a named pipe is an error; nothing waits.
#[test]
fn keys_are_small_regular_files() {
    let place = place();
    place.write("long", &vec![b'a'; 20 << 10]);
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status();
    assert!(made.unwrap().success());
    for (file, why) in [
        ("/dev/zero", "is not a regular file"),
        ("pipe", "is not a regular file"),
        (".", "is not a regular file"),
        ("long", "is longer than 16 KiB"),
    ] {
        let key = format!("--key={file}");
        let password = format!("--password-file={file}");
        for arguments in [
            &["verify", key.as_str(), "a.spt"][..],
            &["sign", key.as_str(), "a.spt"],
            &["sign", "--key=key", password.as_str(), "a.spt"],
        ] {
            let run = place.run(arguments);
            assert_eq!(run.status, 2, "{arguments:?}: {run:?}");
            assert_eq!(run.stderr, format!("solo5-elftool: {file}: {why}\n"), "{arguments:?}");
        }
    }
    // A pipe that the caller has opened: `--key=<(...)` in a shell.
    let key = fs::read(place.path("key")).unwrap();
    let run = place.run_with(&["sign", "--key=/dev/stdin", "a.spt"], &key);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
}

#[test]
fn an_image_that_no_tender_could_prove_is_not_signed() {
    let place = place();
    let path = place.path("a.spt");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(256 << 20).unwrap();
    let run = place.run(&["sign", "--key=key", "a.spt"]);
    assert_eq!(run.status, 2, "{run:?}");
    let told =
        "a.spt: would be larger than 256 MiB with the signature, so no tender would prove it";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert_eq!(fs::metadata(&path).unwrap().len(), 256 << 20);
}

#[test]
fn signatures_that_cannot_be_read_are_reported() {
    let place = place();
    policy(&place, &format!("image: {{ signed-by: {} }}", key(&place)));
    let beside = place.path("a.spt.minisig");
    let said = |why: &str| {
        let run = place.run(&["verify", "--key=key.pub", "a.spt"]);
        assert_eq!(run.status, 2, "{why}: {run:?}");
        assert_eq!(run.stderr, format!("solo5-elftool: a.spt.minisig: {why}\n"));
        let run = place.run(&["check", "--policy=node.yaml", "a.spt"]);
        assert_eq!(run.status, 1);
        let told = format!("its .minisig file cannot be used: {why}");
        assert!(run.stdout.contains(&told), "{}", run.stdout);
    };
    place.write("a.spt.minisig", b"");
    said("is empty");
    fs::remove_file(&beside).unwrap();
    fs::create_dir(&beside).unwrap();
    said("is not a regular file");
    fs::remove_dir(&beside).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &beside).unwrap();
    said("is not a regular file");
}

#[test]
fn signatures_of_other_keys_beside_an_image_are_kept() {
    let place = place();
    assert_eq!(place.run(&["sign", "--new-key=other"]).status, 0);
    assert_eq!(place.run(&["sign", "--key=other", "--detached", "a.spt"]).status, 0);
    let theirs = fs::read(place.path("a.spt.minisig")).unwrap();
    let run = place.run(&["sign", "--key=key", "--detached", "a.spt"]);
    assert_eq!(run.status, 2, "{run:?}");
    let told = "a.spt: a.spt.minisig holds signatures of other keys; move it away first";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert_eq!(fs::read(place.path("a.spt.minisig")).unwrap(), theirs);
    let run = place.run(&["sign", "--key=key", "a.spt"]);
    assert_eq!(run.status, 0, "{run:?}");
    let told = "a.spt.minisig: warning: it holds signatures of other keys";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert_eq!(fs::read(place.path("a.spt.minisig")).unwrap(), theirs);
    let run = place.run(&["verify", "--key=key.pub", "--key=other.pub", "--format=json", "a.spt"]);
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["images"][0]["signed_by"].as_array().unwrap().len(), 2);
}

#[test]
fn a_signature_that_is_not_at_the_end_is_reported() {
    let place = place();
    assert_eq!(place.run(&["sign", "--key=key", "a.spt"]).status, 0);
    let signed = fs::read(place.path("a.spt")).unwrap();
    for image in [&[&signed[..], b"more"].concat()[..], &signed[..signed.len() - 5]] {
        place.write("a.spt", image);
        let run = place.run(&["verify", "--key=key.pub", "a.spt"]);
        assert_eq!(run.status, 1);
        let told = "unusable signature: the trailer of the image is not at the end of the file";
        assert!(run.stdout.contains(told), "{}", run.stdout);
    }
}

/// An output that is a named pipe is an error: without a reader, opening it would wait.
#[test]
fn outputs_are_no_named_pipes() {
    let place = place();
    policy(&place, "");
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status();
    assert!(made.unwrap().success());
    for arguments in [
        &["lock", "-o", "pipe", "a.spt"][..],
        &["check", "--policy=node.yaml", "--lock=pipe", "a.spt"],
    ] {
        let run = place.run(arguments);
        assert_eq!(run.status, 2, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains("pipe: it is not a regular file"), "{}", run.stderr);
    }
    let run = place.run(&["lock", "-o", "/dev/stdout", "a.spt"]);
    assert_eq!(run.status, 0);
    assert!(run.stdout.contains("sha256:"), "{}", run.stdout);
}

/// An input that is a named pipe without a writer is an error too. Pipes by their descriptor are read.
#[test]
fn inputs_are_no_named_pipes_that_nobody_writes_to() {
    let place = place();
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status();
    assert!(made.unwrap().success());
    for arguments in [
        &["symbolize", "a.spt", "pipe"][..],
        &["audit", "--files-from=pipe"],
        &["check", "--plan=pipe"],
        &["policy", "check", "pipe"],
        &["policy", "test", "pipe"],
        &["gen-manifest", "pipe", "out.c"],
    ] {
        let run = place.run(arguments);
        assert!(run.status == 1 || run.status == 2, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains("a named pipe that nobody writes to"), "{}", run.stderr);
    }
    for list in ["-", "/dev/stdin", "/dev/fd/0"] {
        let run = place.run_with(&["audit", &format!("--files-from={list}")], b"a.spt\n");
        assert!(run.stdout.contains("a.spt"), "{list}: {run:?}");
    }
}

#[test]
fn arguments_in_messages_are_escaped() {
    let place = place();
    let run = place.run(&["audit", "--fo\u{202e}=x"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains(r"--fo\u{202e}"), "{}", run.stderr);
}
