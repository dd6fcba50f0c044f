//! QEMU's command line and descriptors, seen by a program in QEMU's place.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::guest::{BLOCK, Code, Fake, Guest, Ran};

#[test]
fn arguments_reach_the_guest_as_they_are() {
    let guest = Guest::new(Code::new(), &[]);
    let fake = Fake::new("exit 83");
    fake.run(&guest, &["-q", "KERNEL", "a,b", "c  d", "$(id) \"'`", "-m", "3"]).gives(83);
    let words = fake.words();
    assert!(words.ends_with("-append\na,b c  d $(id) \"'` -m 3\n"), "{words}");
    assert!(words.contains("\n-m\n128\n"), "{words}");
}

#[test]
fn qemu_gets_descriptors_of_what_was_judged_and_no_others() {
    let guest = Guest::new(Code::new(), &[("storage", BLOCK)]);
    guest.file("disk", &[7; 512]);
    let fake = Fake::new(
        "fd=$(sed -n 's/^fd=\\([0-9]*\\),set=1$/\\1/p' ${0%/*}/words)\n\
         cat <&$fd > ${0%/*}/disk\n\
         grep -E '^(CapPrm|CapEff|NoNewPrivs)' /proc/self/status > ${0%/*}/privileges\n\
         fds=$(for fd in /proc/$$/fd/*; do readlink $fd; done)\n\
         echo \"$fds\" > ${0%/*}/descriptors\n\
         exit 83",
    );
    fake.run(&guest, &["-q", "-d", "disk", "KERNEL"]).gives(83);
    let read = |name: &str| fs::read(fake.folder.path().join(name)).unwrap();
    assert_eq!(read("disk"), [7; 512]);
    assert_eq!(read("kernel"), fs::read(&guest.image).unwrap());
    let told = String::from_utf8(read("privileges")).unwrap();
    let values: Vec<&str> = told.split_whitespace().collect();
    assert_eq!(values[1], "0000000000000000", "{told}");
    assert_eq!((values[3], values[5]), ("0000000000000000", "1"), "{told}");
    let found = String::from_utf8(read("descriptors")).unwrap();
    let script = fake.folder.path().join("qemu-system-x86_64");
    let mut lines: Vec<&str> = found.lines().collect();
    // The shell's own: its script, and the pipe of this substitution.
    lines.retain(|line| *line != script.to_str().unwrap());
    assert_eq!(lines[0], "/dev/null", "{found}");
    assert!(lines[1].starts_with("pipe:["), "the console: {found}");
    let is_named = |name: &str| lines.iter().filter(|line| line.contains(name)).count();
    assert_eq!(
        (is_named("/disk"), is_named("memfd:image"), is_named("pipe:[")),
        (1, 1, 4),
        "{found}"
    );
    assert_eq!(is_named("socket:["), 1, "the monitor: {found}");
    // Null, the disk, the image; the console, messages, the status and the shell's pipe.
    assert_eq!(lines.len(), 8, "{found}");
}

#[test]
fn the_console_is_passed_on_and_the_status_is_the_guests() {
    let guest = Guest::new(Code::new(), &[]);
    let report = guest.folder.path().join("report");
    let to = format!("--report={}", report.display());
    let outcome = |script: &str| {
        let _ = fs::remove_file(&report);
        let ran = Fake::new(script).run(&guest, &["-q", &to, "KERNEL"]);
        let told: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
        assert_eq!(told["status"], ran.status);
        let code = told["reasons"][0]["code"].as_str().unwrap_or_default().to_owned();
        (ran, told["outcome"].as_str().unwrap().to_owned(), code)
    };
    let (ran, outcome_name, _) =
        outcome("printf 'one\\r\\ntwo\\r\\r\\n'; printf '\\007' > $status; exit 83");
    assert_eq!((ran.status, ran.out.as_str()), (7, "one\ntwo\r\n"));
    assert_eq!((outcome_name.as_str(), ran.err.as_str()), ("guest-exit", ""));
    let check = |script: &str, status: i32, name: &str, code: &str| {
        let (ran, outcome, found) = outcome(script);
        assert_eq!((ran.status, outcome.as_str(), found.as_str()), (status, name, code), "{ran:?}");
    };
    check("printf '\\377' > $status; exit 0", 255, "guest-exit", "");
    check("echo; exit 83", 83, "guest-exit", "");
    check("exit 0", 1, "guest-fault", "T463");
    check("echo; kill -SEGV $$", 1, "guest-fault", "T463");
    check("echo no >&2; exit 1", 1, "cannot", "T462");
}

#[test]
fn a_qemu_that_cannot_be_used_is_refused() {
    let guest = Guest::new(Code::new(), &[]);
    let old = Fake::of_version("QEMU emulator version 2.8.1", "exit 83");
    old.run(&guest, &["KERNEL"]).gives(1).mentions("is version 2.8; install QEMU 4.2 or later");
    let silent = Fake::of_version("hello", "exit 83");
    silent.run(&guest, &["KERNEL"]).gives(1).mentions("error[T461]");
    let broken = Fake::new("exit 83");
    let program = broken.folder.path().join("qemu-system-x86_64");
    fs::write(&program, "#!/nonexistent\n").unwrap();
    broken.run(&guest, &["KERNEL"]).gives(1).mentions("error[T460]").mentions("cannot be executed");
    if !Path::new("/usr/libexec/qemu-kvm").exists() {
        let empty = tempfile::tempdir().unwrap();
        let ran = Ran::of(guest.command(&["KERNEL"]).env("PATH", empty.path()));
        ran.gives(1).mentions("error[T460]: there is no qemu-system-x86_64 in PATH");
    }
}

#[test]
fn the_command_is_shown_unless_quiet_is_asked_for() {
    let guest = Guest::new(Code::new(), &[]);
    let fake = Fake::new("exit 83");
    let ran = fake.run(&guest, &["KERNEL", "a b"]).gives(83);
    assert!(ran.err.starts_with("+ exec ") && ran.err.ends_with(" -append 'a b'\n"), "{}", ran.err);
    assert_eq!(fake.run(&guest, &["-q", "KERNEL"]).err, "");
}
