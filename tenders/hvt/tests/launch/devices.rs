//! Console, clock, block devices, reports and the sandbox.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use solo5_abi::hvt::Hypercall;

use crate::guest::{ARGUMENT, BLOCK, Code, DATA, Guest, Ran, kvm, tender, text};

#[test]
fn the_console_takes_any_bytes_and_may_lose_its_reader() {
    if !kvm("the_console_takes_any_bytes_and_may_lose_its_reader") {
        return;
    }
    let code = Code::new().print(b"SUCCESS\n\0\xff").exit(0);
    let guest = Guest::new(code, &[]);
    let ran = guest.run(&["--mem=2"]).gives(0);
    assert_eq!(ran.out, b"SUCCESS\n\0\xff");
    assert_eq!(ran.err, "");
    let mut child =
        guest.command(&["--mem=2"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    Ran::after(child).gives(0);
}

#[test]
fn the_clock_and_the_deadline_pass() {
    if !kvm("the_clock_and_the_deadline_pass") {
        return;
    }
    // Waits 100 ms. No device is ready, so the result, and with it the status, is 0.
    let code = Code::new()
        .call(Hypercall::Walltime, &[0])
        .load_rax(ARGUMENT)
        .store_rax(DATA)
        .call(Hypercall::Poll, &[100_000_000, u64::MAX, u64::MAX])
        .load_rax(ARGUMENT + 8)
        .store_rax(DATA + 8)
        .call(Hypercall::Walltime, &[0])
        .load_rax(ARGUMENT)
        .store_rax(DATA + 16)
        .call(Hypercall::Puts, &[DATA, 24])
        .exit_with(DATA + 8);
    let ran = Guest::new(code, &[]).run(&["--mem=2"]).gives(0);
    let word = |at: usize| u64::from_le_bytes(ran.out[at..at + 8].try_into().unwrap());
    let passed = word(16) - word(0);
    assert!((100_000_000..5_000_000_000).contains(&passed), "{passed}");
}

#[test]
fn sectors_are_read_and_written_and_limits_are_errors() {
    if !kvm("sectors_are_read_and_written_and_limits_are_errors") {
        return;
    }
    let transfer = |code: Code, kind, handle: u64, offset: u64, len: u64| {
        code.call(kind, &[handle, offset, DATA, len, 0xdead])
    };
    let code = transfer(Code::new(), Hypercall::BlockRead, 1, 512, 512);
    let code = transfer(code, Hypercall::BlockWrite, 1, 0, 512);
    let code = code.exit_with(ARGUMENT + 32);
    let guest = Guest::new(code, &[("disk", BLOCK)]);
    let disk = guest.file("disk", &[[1; 512], [2; 512]].concat());
    let option = format!("--block:disk={}", text(&disk));
    guest.run(&["--mem=2", &option]).gives(0);
    assert_eq!(fs::read(&disk).unwrap(), [2; 1024]);
    // EUNSPEC: read-only.
    guest.run(&["--mem=2", &option, "--block-access:disk=read-only"]).gives(3);
    for (handle, offset, len) in [(1, 1024, 512), (1, 513, 512), (2, 0, 512), (1, 0, 1025)] {
        let code = transfer(Code::new(), Hypercall::BlockRead, handle, offset, len);
        let guest = Guest::new(code.exit_with(ARGUMENT + 32), &[("disk", BLOCK)]);
        let disk = guest.file("disk", &[0; 1024]);
        let option = format!("--block:disk={}", text(&disk));
        guest.run(&["--mem=2", &option]).gives(2);
    }
}

#[test]
fn memory_below_the_image_is_read_but_never_written() {
    if !kvm("memory_below_the_image_is_read_but_never_written") {
        return;
    }
    let run = |kind, data: u64| {
        let code = Code::new().call(kind, &[1, 0, data, 512, 0xdead]).exit_with(ARGUMENT + 32);
        let guest = Guest::new(code, &[("disk", BLOCK)]);
        let disk = guest.file("disk", &[1; 512]);
        guest.run(&["--mem=2", &format!("--block:disk={}", text(&disk))])
    };
    run(Hypercall::BlockWrite, 0x1_0000).gives(0);
    // A page table, boot information, the end of low memory.
    for data in [0x2000, 0x1_0000, 0x10_0000 - 512] {
        let refused = format!("Invalid guest access: gpa={data:#x}, sz=512");
        run(Hypercall::BlockRead, data).gives(1).says(&refused);
    }
    run(Hypercall::BlockRead, DATA).gives(0);
}

#[test]
fn a_report_tells_an_exit_from_a_fault() {
    if !kvm("a_report_tells_an_exit_from_a_fault") {
        return;
    }
    let report = |code: Code| {
        let guest = Guest::new(code, &[]);
        guest.run(&["--mem=2", "--report=report.json"]);
        let line = fs::read(guest.folder.path().join("report.json")).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&line).unwrap();
        told
    };
    let told = report(Code::new().exit(3));
    assert_eq!((&told["outcome"], &told["status"]), (&"guest-exit".into(), &3.into()));
    let told = report(Code::new().out(0x504, 0));
    assert_eq!(told["outcome"], "guest-fault");
    assert_eq!(told["reasons"][0]["code"], "T454");
    assert_eq!(told["reasons"][0]["message"], "Invalid guest hypercall: num=4");
}

#[test]
fn user_and_chroot_change_the_process() {
    let name = "user_and_chroot_change_the_process";
    if !kvm(name) {
        return;
    }
    let guest = Guest::new(Code::new().print(b"SUCCESS").exit(0), &[]);
    let root = guest.folder.path().join("empty");
    fs::create_dir(&root).unwrap();
    let option = format!("--chroot={}", text(&root));
    // SAFETY: the call only returns a number.
    if unsafe { libc::geteuid() } == 0 {
        guest.run(&["--mem=2", &option, "--user=65534:65534"]).gives(0);
    } else {
        guest
            .run(&["--mem=2", &option])
            .gives(1)
            .mentions("chroot() failed: Operation not permitted");
    }
    guest.run(&["--mem=2", "--chroot=/nonexistent"]).gives(1);
}

#[test]
fn a_lock_belongs_to_the_guest_and_not_to_its_launcher() {
    if !kvm("a_lock_belongs_to_the_guest_and_not_to_its_launcher") {
        return;
    }
    let never = u64::MAX >> 1;
    let waiting = Code::new().print(b"up").call(Hypercall::Poll, &[never, u64::MAX, u64::MAX]);
    let guest = Guest::new(waiting.exit(0), &[("disk", BLOCK)]);
    let disk = guest.file("disk", &[0; 512]);
    let other = Guest::new(Code::new().exit(3), &[("disk", BLOCK)]);
    let by_path = format!("--block:disk={}", text(&disk));
    let shell = |script: &str, image: &Guest| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(tender().get_program()).arg(&image.image);
        shell.current_dir(guest.folder.path()).stdin(Stdio::null());
        shell
    };
    for script in [
        r#"exec "$0" --mem=2 --block-fd:disk=8 "$1" 8<>disk"#,
        // A second descriptor of the disk, which the tender closes.
        r#"exec "$0" --mem=2 --block-fd:disk=8 "$1" 8<>disk 9<disk"#,
    ] {
        let mut command = shell(script, &guest);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut up = [0; 2];
        child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
        let refused = other.run(&["--mem=2", &by_path]);
        child.kill().unwrap();
        child.wait().unwrap();
        refused.gives(1).mentions("error[T424]").mentions("in use by another guest");
        other.run(&["--mem=2", &by_path]).gives(3);
    }
    // The shell keeps the descriptor open.
    let twice =
        r#"exec 8<>disk; "$0" --mem=2 --block-fd:disk=8 "$1"; "$0" --mem=2 --block:disk=disk "$1""#;
    Ran::of(&mut shell(twice, &other)).gives(3);
    let console =
        r#"exec "$0" --mem=2 --block:disk=disk --block-access:disk=read-only "$1" 1<>disk"#;
    Ran::of(&mut shell(console, &guest)).gives(1).mentions("error[T427]");
    assert_eq!(fs::read(&disk).unwrap(), [0; 512]);
}
