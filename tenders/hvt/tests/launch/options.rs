//! Command lines, texts and statuses. These tests need no KVM.

use std::process::Command;

use crate::guest::{BLOCK, Code, Guest, NET, Ran, tender};

fn with(options: &[&str]) -> Ran {
    Guest::new(Code::new().exit(0), &[]).run(options)
}

#[test]
fn version_is_two_lines_on_standard_error() {
    let ran = Ran::of(tender().arg("--version")).gives(0);
    assert!(ran.err.ends_with("\nABI version 2\n"), "{ran:?}");
    assert!(ran.err.starts_with("solo5-hvt tender, version v"));
}

#[test]
fn memory_has_bounds() {
    let most = "guest memory size 4297064448 bytes exceeds the max size 4294967296 bytes";
    with(&["--mem=4098"]).gives(1).says(most);
    with(&["--mem=0"]).gives(1).says("Malformed argument to --mem");
    let ran = with(&["--mem=4097", "--explain"]).gives(0);
    let ran = ran.says("adjusting memory to 4294967296 bytes");
    assert!(String::from_utf8_lossy(&ran.out).contains("memory 4096 MiB"));
}

#[test]
fn a_host_without_kvm_is_named() {
    // A mount namespace with an empty /dev.
    let guest = Guest::new(Code::new().exit(0), &[]);
    let tender = tender();
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", "mount -t tmpfs none /dev 2>&1 && exec \"$@\"", "sh"]);
    let ran = Ran::of(command.arg(tender.get_program()).arg(&guest.image));
    if ran.err.contains("unshare") || !ran.out.is_empty() {
        use std::io::Write;
        let reason = "no user namespaces here";
        let _ = writeln!(std::io::stdout(), "skip: a_host_without_kvm_is_named: {reason}");
        return;
    }
    // The standard descriptors are open, so the tender needs nothing else in /dev.
    ran.gives(1).says("Could not open: /dev/kvm: No such file or directory");
}

/// What a launch would find out later, an explanation finds out too.
#[test]
fn explaining_looks_at_every_place() {
    let guest = Guest::new(Code::new().exit(0), &[]);
    let file = guest.file("file", b"x");
    let none = "chroot() failed: No such file or directory";
    guest.run(&["--explain", "--chroot=/nonexistent"]).gives(1).mentions(none);
    let chroot = format!("--chroot={}", file.display());
    guest.run(&["--explain", &chroot]).gives(1).mentions("chroot() failed: Not a directory");
    guest.run(&["--explain", "--report=/nonexistent/r"]).gives(1).mentions("error[T443]");
    guest.run(&["--explain", "--chroot=/"]).gives(0);
}

/// The same in the tender for debugging.
#[cfg(feature = "debug")]
#[test]
fn explaining_looks_at_the_places_of_debugging() {
    let guest = Guest::new(Code::new().exit(0), &[]);
    let file = guest.file("file", b"x");
    let debug = |option: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solo5-hvt-debug"));
        Ran::of(command.args(["--explain", option]).arg(&guest.image))
    };
    debug("--dumpcore=/nonexistent").gives(1).mentions("dumpcore: cannot open dir: No such file");
    let folder = file.parent().unwrap();
    debug(&format!("--dumpcore={}", folder.display())).gives(0);
    let socket = |name: &str| format!("--gdb-socket={}", folder.join(name).display());
    let with_gdb = |socket: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solo5-hvt-debug"));
        Ran::of(command.args(["--explain", "--gdb", socket]).arg(&guest.image))
    };
    with_gdb(&socket("file")).gives(1).mentions("Address already in use");
    with_gdb(&socket("socket")).gives(0);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    with_gdb(&format!("--gdb-port={port}")).gives(1).mentions("Address already in use");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2, "nothing was made");
}

#[test]
fn declared_devices_must_be_attached() {
    let guest = Guest::new(Code::new().exit(0), &[("disk", BLOCK), ("service", NET)]);
    guest
        .run(&[])
        .gives(1)
        .says("Device 'disk' of type BLOCK_BASIC declared but not attached.")
        .says("Device 'service' of type NET_BASIC declared but not attached.");
    guest.run(&["--block:other=x"]).gives(1).says("Resource not declared in manifest: 'other'");
    with(&["--dumpcore=/tmp"]).gives(1).says("Invalid option: `--dumpcore=/tmp'");
    with(&["--gdb"]).gives(1).says("Invalid option: `--gdb'");
}

#[test]
fn an_explanation_lists_every_call_with_its_condition() {
    let guest = Guest::new(Code::new().exit(0), &[("disk", BLOCK)]);
    let disk = guest.file("disk", &[0; 4096]);
    let option = format!("--block:disk={}", disk.display());
    let ran = guest.run(&["--explain", "--format=json", &option]).gives(0);
    let told: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    let calls = told["system_calls"].as_array().unwrap();
    let names: std::collections::BTreeSet<&str> =
        calls.iter().map(|call| call["call"].as_str().unwrap()).collect();
    assert!(names.len() < 18, "{names:?}");
    assert!(!names.contains("read") && !names.contains("futex"), "{names:?}");
    for call in calls {
        let when = call["when"].as_array().unwrap();
        assert_eq!(when.is_empty(), call["call"] == "exit_group", "{call}");
    }
    let enforced = told["enforced"].to_string();
    for word in ["KVM", "Landlock", "no-execute", "PR_SET_DUMPABLE"] {
        assert!(enforced.contains(word), "{word}");
    }
}
