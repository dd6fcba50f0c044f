//! Guests on the real QEMU, which runs them in software.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::guest::{BLOCK, Code, Guest, NET, Ran, text};

#[test]
fn a_guest_prints_and_exits_on_every_machine() {
    for machine in ["pc", "q35", "microvm"] {
        for status in [0, 7, 127, 255] {
            let guest = Guest::new(Code::new().print("Hello\n").status(status).exit(), &[]);
            let ran = guest.run(&["-q", "-M", machine, "KERNEL"]).gives(status.into());
            assert_eq!((ran.out.as_str(), ran.err.as_str()), ("Hello\n", ""), "{machine}");
        }
    }
}

#[test]
fn a_guest_of_solo5_0_12_ends_with_83() {
    Guest::new(Code::new().exit(), &[]).run(&["-q", "KERNEL"]).gives(83);
}

#[test]
fn a_reset_is_a_fault() {
    let guest = Guest::new(Code::new().print("x").reset(), &[]);
    let report = guest.folder.path().join("report");
    let ran = guest.run(&["-q", &format!("--report={}", text(&report)), "KERNEL"]).gives(1);
    ran.mentions("error[T463]: the machine stopped without a status from the guest");
    let told: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(told["outcome"], "guest-fault");
}

#[test]
fn an_image_that_qemu_cannot_boot_is_qemus_error() {
    let guest = Guest::new(Code::new(), &[]);
    let bytes = fs::read(&guest.image).unwrap();
    let magic = 0x1bad_b002_u32.to_le_bytes();
    let at = bytes.windows(4).position(|word| word == magic).unwrap();
    let mut bytes = bytes;
    bytes[at] ^= 1;
    fs::write(&guest.image, bytes).unwrap();
    guest.run(&["-q", "KERNEL"]).gives(1).mentions("error[T462]").mentions("qemu-system-x86_64:");
}

/// A runner whose guest has printed a line and runs for ever.
pub(crate) fn spinning(mut command: Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"ready\n");
    child
}

pub(crate) fn spinner(devices: &[(&str, solo5_abi::mft1::DeviceType)]) -> Guest {
    Guest::new(Code::new().print("ready\n").spin(), devices)
}

/// The processes whose parent, or its parent, is `process`.
pub(crate) fn descendants(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let children = children.split_whitespace().map(|child| child.parse().unwrap());
    children.flat_map(|child: u32| [vec![child], descendants(child)].concat()).collect()
}

/// Waits until a process is gone, or only its parent does not know that yet.
fn gone(process: u32) {
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    };
    while state().is_some_and(|state| state != 'Z') {
        std::thread::yield_now();
    }
}

pub(crate) fn send(process: u32, signal: i32) {
    // SAFETY: only numbers are passed.
    assert_eq!(unsafe { libc::kill(process as i32, signal) }, 0);
}

#[test]
fn a_signal_to_the_runner_ends_qemu() {
    let guest = spinner(&[]);
    let report = guest.folder.path().join("report");
    let to = format!("--report={}", text(&report));
    for words in [&["-q", "KERNEL"][..], &["-q", &to, "KERNEL"]] {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGKILL] {
            let mut runner = spinning(guest.command(words));
            let others = descendants(runner.id());
            assert_eq!(others.len(), words.len() - 1);
            send(runner.id(), signal);
            assert_eq!(runner.wait().unwrap().signal(), Some(signal));
            others.into_iter().for_each(gone);
        }
    }
    let told = fs::read_to_string(report).unwrap();
    let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!((&first["outcome"], &first["signal"]), (&"signal".into(), &"SIGTERM".into()));
}

#[test]
fn a_disk_is_locked_while_its_guest_runs() {
    let guest = spinner(&[("storage", BLOCK)]);
    guest.file("disk", &[0; 512]);
    let mut first = spinning(guest.command(&["-q", "-d", "disk", "KERNEL"]));
    guest.run(&["-q", "-d", "disk", "KERNEL"]).gives(1).mentions("error[T424]");
    send(first.id(), libc::SIGTERM);
    first.wait().unwrap();
    let mut next = spinning(guest.command(&["-q", "-d", "disk", "KERNEL"]));
    send(next.id(), libc::SIGTERM);
    next.wait().unwrap();
}

/// The number of a descriptor that the runner inherits.
fn inherited(fd: &impl AsFd) -> i32 {
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty()).unwrap();
    fd.as_fd().as_raw_fd()
}

#[test]
fn disks_of_every_kind_are_taken_by_qemu() {
    let devices = [("storage", BLOCK), (LONG, BLOCK)];
    let guest = Guest::new(Code::new().print("x").status(0).exit(), &devices);
    let path = guest.file("disk", &[0; 4096]);
    let other = guest.file("other", &[0; 4096]);
    // A descriptor that is open for more than the guest may do.
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let number = inherited(&file);
    for machine in ["pc", "q35", "microvm"] {
        let words = [
            "-q".to_owned(),
            format!("-M{machine}"),
            format!("--block-fd:storage={number}"),
            "--block-access:storage=read-only".to_owned(),
            "--block-sector-size:storage=4096".to_owned(),
            format!("-d{}", text(&other)),
            "KERNEL".to_owned(),
        ];
        Ran::of(&mut guest.command(&words)).gives(0);
    }
}

/// A name that no serial number can hold.
const LONG: &str = "AnEntryOfTheManifestWithALongName";

#[test]
fn taps_are_taken_by_qemu() {
    const NAME: &str = "taps_are_taken_by_qemu";
    let in_namespace = || {
        // SAFETY: the call changes the namespace of this thread only, and touches no memory.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return println!("skip: {NAME}: no right to make a network namespace");
        }
        for arguments in [
            &["tuntap", "add", "mode", "tap", "name", "tap7"][..],
            &["link", "set", "tap7", "up", "mtu", "1400"],
        ] {
            match Command::new("ip").args(arguments).status() {
                Ok(status) if status.success() => {}
                _ => return println!("skip: {NAME}: `ip {}` failed", arguments.join(" ")),
            }
        }
        let guest = Guest::with_features(Code::new().status(3).exit(), &[("service", NET)]);
        for machine in ["-Mpc", "-Mq35", "-Mmicrovm"] {
            guest.run(&["-q", machine, "-n", "tap7", "KERNEL"]).gives(3);
            guest.run(&["-q", machine, "--net:service=tap7", "KERNEL"]).gives(3);
        }
        guest.run(&["-q", "-n", "tap8", "KERNEL"]).gives(1).mentions("Could not attach interface");
        let (_, tap) = solo5_tender::attach::net::attach("tap7".as_ref()).unwrap();
        let option = format!("--net:service=@{}", inherited(&tap));
        guest.run(&["-q", &option, "KERNEL"]).gives(3);
    };
    std::thread::spawn(in_namespace).join().unwrap();
}
