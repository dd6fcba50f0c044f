//! Waits that end whatever QEMU, the guest or the reader of the console does.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::guest::{Code, Fake, Guest, Ran, text};
use crate::machine::{descendants, send, spinner, spinning};

/// Under KVM, QEMU stops such a machine and stays. In software it goes on.
#[test]
fn a_machine_that_cannot_go_on_is_ended() {
    const NAME: &str = "a_machine_that_cannot_go_on_is_ended";
    if solo5_virtio_run::accelerator::require().is_err() {
        return println!("skip: {NAME}: no usable KVM here");
    }
    for machine in ["pc", "q35", "microvm"] {
        let guest = Guest::new(Code::new().print("x\n").leave(), &[]);
        let report = guest.folder.path().join("report");
        let to = format!("--report={}", text(&report));
        let ran = guest.run(&["-q", "-M", machine, "-H", "kvm", &to, "KERNEL"]).gives(1);
        assert_eq!(ran.out, "x\n");
        ran.mentions("error[T466]: the machine cannot go on: QEMU says internal-error");
        let told: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
        assert_eq!((&told["outcome"], &told["status"]), (&"guest-fault".into(), &1.into()));
        assert_eq!(told["reasons"][0]["code"], "T466");
    }
}

/// The same without KVM: what a QEMU says on its monitor, which then stays.
#[test]
fn a_qemu_that_says_its_machine_has_stopped_is_ended() {
    let guest = Guest::new(Code::new(), &[]);
    let say = |lines: &str| {
        let script = format!(
            "fd=$(sed -n 's/^socket,id=monitor,fd=//p' ${{0%/*}}/words)\n\
             exec bash -c \"printf '{lines}' >&$fd; exec sleep 1000\""
        );
        Fake::new(&script).run(&guest, &["-q", "KERNEL"])
    };
    for state in ["internal-error", "io-error", "guest-panicked", "paused"] {
        let lines = format!("{{\\\"return\\\":{{\\\"status\\\":\\\"{state}\\\"}}}}\\\\n");
        say(&lines)
            .gives(1)
            .mentions(&format!("error[T466]: the machine cannot go on: QEMU says {state}"));
    }
}

#[test]
fn a_qemu_that_does_not_tell_its_version_is_not_waited_for() {
    let guest = Guest::new(Code::new(), &[]);
    let fake = Fake::of_version("'; exec sleep 1000; echo '", "exit 83");
    let ran = fake.run(&guest, &["KERNEL"]).gives(1);
    ran.mentions("error[T461]").mentions("a program that tells no version within 10 s");
}

/// The shell that tells the version leaves a process behind, which keeps its standard output.
#[test]
fn what_a_qemu_leaves_behind_is_not_waited_for() {
    let guest = Guest::new(Code::new(), &[]);
    let version = "'; sleep 1000 2>/dev/null & echo $! > ${0%/*}/one; \
                   echo 'QEMU emulator version 7.2.22";
    let script = "sleep 1000 2>/dev/null & echo $! > ${0%/*}/two; \
                  echo said; printf '\\007' > $status; exit 83";
    let fake = Fake::of_version(version, script);
    let ran = fake.run(&guest, &["-q", "KERNEL"]);
    for name in ["one", "two"] {
        let left = fs::read_to_string(fake.folder.path().join(name)).unwrap();
        send(left.trim().parse().unwrap(), libc::SIGKILL);
    }
    assert_eq!(ran.gives(7).out, "said\n");
}

/// As `nohup` starts a program.
#[test]
fn signals_that_the_launcher_has_it_ignore_are_ignored() {
    let guest = spinner(&[]);
    let mut runner = guest.command(&["-q", "KERNEL"]);
    let program = runner.get_program().to_owned();
    let words: Vec<_> = runner.get_args().map(ToOwned::to_owned).collect();
    runner = Command::new("sh");
    runner.args(["-c", "trap '' HUP USR2; exec \"$@\"", "sh"]).arg(program).args(words);
    let mut runner = spinning(runner);
    let qemu = descendants(runner.id());
    let [qemu] = qemu[..] else { panic!("{qemu:?}") };
    // QEMU would handle them, even if it was started to ignore them.
    let told = fs::read_to_string(format!("/proc/{qemu}/status")).unwrap();
    let blocked = told.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
    for signal in [libc::SIGHUP, libc::SIGUSR2] {
        assert_ne!(blocked & 1 << (signal - 1), 0, "{signal} in {blocked:#x}");
        send(qemu, signal);
        send(runner.id(), signal);
    }
    send(runner.id(), libc::SIGTERM);
    assert_eq!(runner.wait().unwrap().signal(), Some(libc::SIGTERM));
}

/// A signal ends the runner even if nobody reads the console that QEMU has left.
#[test]
fn a_signal_ends_a_runner_that_nobody_reads() {
    let guest = Guest::new(Code::new(), &[]);
    // One pipe does not hold as much, and two do.
    let script = "head -c 100000 /dev/zero; printf '\\007' > $status; : > ${0%/*}/done; exit 83";
    let fake = Fake::new(script);
    let mut command = guest.command(&["-q", "KERNEL"]);
    command.env("PATH", fake.path()).stdout(Stdio::piped());
    let mut runner = command.spawn().unwrap();
    while !fake.folder.path().join("done").exists() || !descendants(runner.id()).is_empty() {
        std::thread::yield_now();
    }
    send(runner.id(), libc::SIGTERM);
    assert_eq!(runner.wait().unwrap().signal(), Some(libc::SIGTERM));
}

/// A disk of the host that is full is the guest's error, as under the other tenders; QEMU would stop
/// the machine.
#[test]
fn a_full_disk_does_not_stop_the_machine() {
    let guest = Guest::new(Code::new(), &[("storage", crate::guest::BLOCK)]);
    guest.file("disk", &[0; 512]);
    let fake = Fake::new("exit 83");
    Ran::of(guest.command(&["-q", "-d", "disk", "KERNEL"]).env("PATH", fake.path())).gives(83);
    assert!(fake.words().contains(",werror=report\n"), "{}", fake.words());
}
