//! Block devices.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use solo5_abi::mft2::{DEVICE_OPTIONAL, DEVICE_READ_ONLY, tag};

use crate::guest::{BLOCK, Code, Guest, NET, Ran, text};

const BUFFER: u64 = 0x180_0000;
/// Offset of the first device's manifest entry from the boot information.
const ENTRY: u8 = 40 + 8 + 104;

/// Makes `pread64` (17) or `pwrite64` (18) on the first device, and exits with the result plus
/// `shift`.
fn transfer(number: u8, size: u64, offset: u64, shift: i32) -> Code {
    Code::new()
        .bytes(&[0x8b, 0xbf, ENTRY + 88, 0, 0, 0]) // mov edi, [rdi+entry+88]
        .bytes(&[0x48, 0xbe])
        .bytes(&BUFFER.to_le_bytes())
        .bytes(&[0x48, 0xba])
        .bytes(&size.to_le_bytes())
        .bytes(&[0x49, 0xba])
        .bytes(&offset.to_le_bytes())
        .bytes(&[0xb8, number, 0, 0, 0, 0x0f, 0x05])
        .exit_with_result(shift)
}

fn guest(code: Code) -> Guest {
    let guest = Guest::new(code, &[("disk", BLOCK)]);
    guest.file("disk.img", &[7; 4096]);
    guest
}

#[test]
fn sectors_are_read_and_written_inside_the_device() {
    let run = |code| guest(code).run(&["--block:disk=disk.img"]).status;
    assert_eq!(run(transfer(17, 512, 0, -512)), 0);
    assert_eq!(run(transfer(17, 512, 4096 - 512, -512)), 0);
    assert_eq!(run(transfer(18, 512, 512, -512)), 0);
    assert_eq!(run(transfer(17, 512, 4096, 0)), 159, "past the end");
    assert_eq!(run(transfer(17, 512, 4096 - 511, 0)), 159, "across the end");
    assert_eq!(run(transfer(17, 512, u64::MAX, 0)), 159);
    assert_eq!(run(transfer(17, 512, 1 << 32, 0)), 159, "the upper half");
    assert_eq!(run(transfer(17, 1024, 0, 0)), 159, "two sectors");
    let large = guest(transfer(17, 4096, 0, -4096));
    large.run(&["--block:disk=disk.img", "--block-sector-size:disk=4096"]).gives(0);
}

#[test]
fn a_written_sector_is_in_the_file() {
    let guest = guest(transfer(18, 512, 1024, -512));
    guest.run(&["--block:disk=disk.img"]).gives(0);
    let mut expected = [7; 4096];
    expected[1024..1536].fill(0);
    assert_eq!(fs::read(guest.folder.path().join("disk.img")).unwrap(), expected);
}

#[test]
fn the_guest_is_told_capacity_and_sector_size() {
    let guest = Guest::new(
        Code::new().print(0x11000 + u64::from(ENTRY) + 72, 32).exit(0),
        &[("disk", BLOCK)],
    );
    guest.file("disk.img", &[7; 8192]);
    let options = ["--block-sector-size:disk=4096", "--block:disk=disk.img"];
    let ran = guest.run(&options).gives(0);
    assert_eq!(ran.out[..8], 8192u64.to_le_bytes());
    assert_eq!(ran.out[8..10], 4096u16.to_le_bytes());
    assert_eq!(ran.out[24], 1, "attached");
}

#[test]
fn a_read_only_device_gives_an_error_on_writing() {
    let read_only = ["--block:disk=disk.img", "--block-access:disk=read-only"];
    let guest = guest(transfer(18, 512, 0, 9));
    guest.run(&read_only).gives(0);
    let disk = guest.folder.path().join("disk.img");
    assert_eq!(fs::read(&disk).unwrap(), [7; 4096]);
    // The manifest's read-only flag counts too, even if the descriptor is open for writing.
    let flags = DEVICE_READ_ONLY.to_le_bytes();
    let properties: &[(u32, u16, &[u8])] = &[(1, tag::DEVICE_FLAGS, &flags)];
    let guest = Guest::with_properties(transfer(18, 512, 0, 9), &[("disk", BLOCK)], properties);
    let disk = guest.file("disk.img", &[7; 4096]);
    guest.run(&["--block:disk=disk.img", "--block-access:disk=read-write"]).gives(0);
    let script = r#"exec "$0" --block-fd:disk=8 "$1" 8<>"$2""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image), text(&disk)]);
    Ran::of(&mut shell).gives(0);
    assert_eq!(fs::read(&disk).unwrap(), [7; 4096]);
}

#[test]
fn inherited_descriptors_must_be_open_at_the_start() {
    let guest = guest(Code::new().exit(4));
    let with = |redirection: &str| {
        let script = format!(r#"exec "$0" --block-fd:disk=3 "$1" {redirection}"#);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image)]);
        shell.current_dir(guest.folder.path());
        Ran::of(&mut shell)
    };
    with("3<>disk.img").gives(4);
    with("").gives(1).says("Could not open block device: @3: Bad file descriptor");
    with("3<disk.img").gives(1).mentions("error[T425]").mentions("open only for reading");
    with("3>>disk.img").gives(1).mentions("error[T425]");
}

#[test]
fn closed_standard_descriptors_do_not_become_disks() {
    let code = Code::new().print(0x100000, 16).exit(0);
    let guest = guest(code);
    let script = r#"exec "$0" --block:disk=disk.img "$1" <&- >&- 2>&-"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image)]);
    shell.current_dir(guest.folder.path());
    Ran::of(&mut shell).gives(0);
    assert_eq!(fs::read(guest.folder.path().join("disk.img")).unwrap(), [7; 4096]);
}

#[test]
fn sizes_and_kinds_are_checked_with_upstreams_texts() {
    let guest = guest(Code::new().exit(0));
    guest.file("empty", b"");
    guest.file("short", &[0; 256]);
    let refused = |options: &[&str]| guest.run(options).gives(1);
    refused(&["--block:disk=empty"])
        .says("disk: Backing storage must be at least 1 block (512 bytes) in size");
    refused(&["--block:disk=short"])
        .says("disk: Backing storage size must be block aligned (512 bytes)");
    refused(&["--block:disk=/dev/zero"]).mentions("must be at least 1 block");
    refused(&["--block:disk=."]).says("Could not open block device: .: Is a directory");
    refused(&["--block:disk=nope"])
        .says("Could not open block device: nope: No such file or directory");
    for size in ["0", "256", "513", "65536", "66048", "-512", "512abc"] {
        refused(&["--block:disk=disk.img", &format!("--block-sector-size:disk={size}")])
            .says("Block size must be a multiple of 2 greater than or equal 512");
    }
    guest.file("a name", &[0; 512]);
    guest.run(&["--block:disk=a name"]).gives(0);
}

#[test]
fn a_disk_in_use_is_refused_to_a_second_guest() {
    let guest = guest(Code::new().print(0x100000, 1).bytes(&[0xeb, 0xfe]));
    let other = Guest::new(Code::new().exit(0), &[("disk", BLOCK)]);
    let disk = format!("--block:disk={}", text(&guest.folder.path().join("disk.img")));
    let mut child = guest.command(&[&disk]).stdout(Stdio::piped()).spawn().unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    let refused = [other.run(&[&disk]), other.run(&[&disk, "--block-access:disk=read-only"])];
    child.kill().unwrap();
    child.wait().unwrap();
    for ran in refused {
        ran.gives(1).mentions("error[T424]");
    }
    other.run(&[&disk]).gives(0);
}

/// Lets only the process of `command` inherit `fd`, and no process that other tests start.
fn inherit(command: &mut Command, fd: RawFd) -> &mut Command {
    let make = move || {
        // SAFETY: the descriptor is open in the parent, and therefore in its child.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok(rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?)
    };
    // SAFETY: the closure makes one call and does not allocate.
    unsafe { command.pre_exec(make) }
}

/// Runs `script` in a shell that inherits `fd`, and waits for the byte that `guest` prints before
/// it spins. In the script `$0` is the tender and `$1` is the image.
fn spinning(guest: &Guest, script: &str, fd: RawFd) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image)]);
    shell.current_dir(guest.folder.path()).stdout(Stdio::piped());
    let mut child = inherit(&mut shell, fd).spawn().unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    child
}

#[test]
fn a_lock_belongs_to_the_guest_and_not_to_its_launcher() {
    let guest = guest(Code::new().print(0x100000, 1).bytes(&[0xeb, 0xfe]));
    let other = Guest::new(Code::new().exit(0), &[("disk", BLOCK)]);
    let disk = guest.folder.path().join("disk.img");
    let open = fs::File::options().read(true).write(true).open(&disk).unwrap();
    // Every tender below inherits this one open file description.
    let fd = open.as_raw_fd();
    let option = format!("--block-fd:disk={fd}");
    let by_path = format!("--block:disk={}", text(&disk));
    for script in [
        format!(r#"exec "$0" {option} "$1""#),
        format!(r#"exec "$0" --report=report {option} "$1""#),
        // A second descriptor of the disk, which the tender closes.
        format!(r#"exec "$0" {option} "$1" 9<disk.img"#),
        r#"exec "$0" --block:disk=disk.img "$1" 9<disk.img"#.to_owned(),
    ] {
        let mut child = spinning(&guest, &script, fd);
        let refused = [&option, &by_path].map(|option| {
            let mut command = other.command(&[option]);
            Ran::of(inherit(&mut command, fd))
        });
        // SAFETY: this test started the process and has not waited for it, so the PID is not
        // reused.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        child.wait().unwrap();
        for ran in refused {
            ran.gives(1).mentions("error[T424]").mentions("in use by another guest");
        }
        // The lock has ended with its guest, although `open` still holds the file open.
        other.run(&[&by_path]).gives(0);
    }
}

#[test]
fn a_disk_is_not_given_twice_to_one_guest() {
    let guest = Guest::new(Code::new().exit(3), &[("one", BLOCK), ("two", BLOCK)]);
    let disk = guest.file("disk.img", &[7; 4096]);
    fs::hard_link(&disk, guest.folder.path().join("link.img")).unwrap();
    let two = ["--block:one=disk.img", "--block:two=link.img"];
    for explain in [&[][..], &["--explain"]] {
        let ran = guest.run(&[&two, explain].concat()).gives(1);
        ran.mentions("error[T426]: 'one' and 'two' are the same disk, link.img");
    }
    let read_only = ["--block-access:one=read-only", "--block-access:two=read-only"];
    guest.run(&[&two[..], &read_only[..1]].concat()).gives(1).mentions("error[T426]");
    guest.run(&[two, read_only].concat()).gives(3);
    let script = r#"exec "$0" --block-fd:one=8 --block-fd:two=9 "$1" 8<>disk.img 9<>link.img"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image)]);
    Ran::of(shell.current_dir(guest.folder.path())).gives(1).mentions("error[T426]");
}

/// A loop device over a disk of the same guest is that disk.
#[test]
fn a_loop_device_over_a_disk_is_that_disk() {
    let guest = Guest::new(Code::new().exit(3), &[("one", BLOCK), ("two", BLOCK)]);
    guest.file("disk.img", &[7; 8192]);
    let losetup = |arguments: &[&str]| {
        let made =
            Command::new("losetup").args(arguments).current_dir(guest.folder.path()).output();
        let made = made.ok().filter(|made| made.status.success());
        made.map(|made| String::from_utf8(made.stdout).unwrap().trim().to_owned())
    };
    let second = ["-f", "--show", "-o", "4096", "disk.img"];
    let made = losetup(&["-f", "--show", "--sizelimit", "4096", "disk.img"]).zip(losetup(&second));
    let Some((first, second)) = made else {
        println!("skip: a_loop_device_over_a_disk_is_that_disk: no loop devices");
        return;
    };
    let run = |one: &str, two: &str| {
        guest.run(&[&format!("--block:one={one}"), &format!("--block:two={two}")])
    };
    let results = [run("disk.img", &first), run(&second, "disk.img"), run(&first, &second)];
    let report = format!("--report={}", text(&guest.folder.path().join("disk.img")));
    let reported = guest.run(&[&report, &format!("--block:one={first}"), "--block:two=none"]);
    for device in [&first, &second] {
        losetup(&["-d", device]).unwrap();
    }
    let [file, device, apart] = results;
    file.gives(1).mentions("error[T426]: 'one' and 'two' are the same disk");
    device.gives(1).mentions("error[T426]");
    apart.gives(3);
    reported.gives(1).mentions("error[T443]");
}

#[test]
fn a_disk_that_is_also_a_standard_descriptor_is_refused() {
    let guest = guest(Code::new().print(0x100000, 16).exit(0));
    fs::hard_link(guest.folder.path().join("disk.img"), guest.folder.path().join("link")).unwrap();
    let with = |options: &str, redirections: &str| {
        let script = format!(r#"exec "$0" {options} "$1" {redirections}"#);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image)]);
        let ran = Ran::of(shell.current_dir(guest.folder.path()));
        let content = fs::read(guest.folder.path().join("disk.img")).unwrap();
        assert_eq!(content, [7; 4096], "{script}: {ran:?}");
        ran
    };
    let read_only = "--block-access:disk=read-only";
    for fd in 0..3 {
        let options = format!("--block-fd:disk={fd} {read_only}");
        let redirection = format!("{fd}<>disk.img");
        let ran = with(&options, &redirection).gives(1);
        // With `fd` 2, standard error is the disk, so the tender prints no message.
        if fd != 2 {
            ran.mentions("error[T425]");
        }
    }
    let options = format!("--block:disk=link {read_only}");
    for redirection in ["0<>disk.img", "1<>disk.img", ">>disk.img"] {
        with(&options, redirection).gives(1).mentions("error[T427]: link is also standard ");
    }
    with(&options, "2<>disk.img").gives(1);
    with(&options, "<disk.img").gives(0);
    let script =
        "exec \"$0\" --block-fd:disk=8 --block-access:disk=read-only \"$1\" 8<disk.img 1<>link";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image)]);
    Ran::of(shell.current_dir(guest.folder.path())).gives(1).mentions("error[T427]");
    assert_eq!(fs::read(guest.folder.path().join("disk.img")).unwrap(), [7; 4096]);
    // A policy read from a standard descriptor leaves it open, so that no disk gets its number.
    let policy = guest.file("p.yaml", b"type: solo5.policy\nversion: 1\notherwise: allow\n");
    for fd in 0..2 {
        let options = format!("--policy=@{fd} --block:disk=disk.img {read_only}");
        let ran = with(&options, &format!("{fd}<>{}", text(&policy)));
        ran.gives(0);
    }
}

#[test]
fn a_manifests_requirements_are_checked() {
    let sector = 4096u32.to_le_bytes();
    let capacity = 8192u64.to_le_bytes();
    let properties: &[(u32, u16, &[u8])] =
        &[(1, tag::SECTOR_SIZE, &sector), (1, tag::CAPACITY_MINIMUM, &capacity)];
    let guest =
        Guest::with_properties(transfer(17, 4096, 4096, -4096), &[("disk", BLOCK)], properties);
    guest.file("small", &[0; 4096]);
    guest.file("large", &[0; 8192]);
    guest.run(&["--block:disk=large"]).gives(0);
    guest.run(&["--block:disk=small"]).gives(1).mentions("error[T434]");
    guest
        .run(&["--block:disk=large", "--block-sector-size:disk=512"])
        .gives(1)
        .mentions("error[T433]");
}

#[test]
fn optional_devices_may_be_declined_but_not_left_out() {
    let optional = DEVICE_OPTIONAL.to_le_bytes();
    let properties: &[(u32, u16, &[u8])] =
        &[(1, tag::DEVICE_FLAGS, &optional), (2, tag::DEVICE_FLAGS, &optional)];
    let code = Code::new().print(0x11000 + u64::from(ENTRY) + 96, 1).exit(0);
    let guest = Guest::with_properties(code, &[("disk", BLOCK), ("service", NET)], properties);
    let declined = ["--without-block:disk", "--without-net:service"];
    assert_eq!(guest.run(&declined).gives(0).out, [0], "not attached");
    guest
        .run(&declined[..1])
        .gives(1)
        .says("Device 'service' of type NET_BASIC declared but not attached.");
    let strict = Guest::new(Code::new().exit(0), &[("disk", BLOCK)]);
    strict.run(&declined[..1]).gives(1).says("Device 'disk' is not optional");
}
