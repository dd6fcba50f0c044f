//! Signals, limits, and a console shared with other processes, while a guest runs.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::guest::{BLOCK, Code, Guest, Ran, text};

/// A guest that prints one byte and runs forever.
fn endless() -> Guest {
    Guest::new(Code::new().print(0x100000, 1).bytes(&[0xeb, 0xfe]), &[])
}

/// `command` with this resource limit.
fn limited(mut command: Command, resource: Resource, bytes: u64) -> Command {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    // SAFETY: one system call, between `fork` and `exec`.
    unsafe { command.pre_exec(move || setrlimit(resource, limit).map_err(Into::into)) };
    command
}

/// The only child of `parent`, as soon as there is one.
fn child_of(parent: u32) -> Option<i32> {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        match children.ok()?.split_whitespace().next() {
            Some(child) => return child.parse().ok(),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    None
}

/// Waits for the byte that an endless guest prints.
fn wait_for_guest(child: &mut Child) -> bool {
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).is_ok()
}

#[test]
fn process_1_of_a_container_ends_by_signals() {
    let guest = endless();
    let report = format!("--report={}", text(&guest.folder.path().join("report")));
    for options in [&[][..], &[report.as_str()]] {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1] {
            let tender = guest.command(options);
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--kill-child"]);
            // This test inherits ignored signals: SIGHUP under `nohup`, SIGINT and SIGQUIT as a
            // script's job in the background.
            command.args(["env", "--default-signal"]).arg(tender.get_program());
            command.args(tender.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut outer = command.spawn().unwrap();
            if !wait_for_guest(&mut outer) {
                outer.wait().unwrap();
                return println!("skip: process 1 of a container: no right to make namespaces");
            }
            let process_1 = child_of(outer.id()).unwrap();
            // SAFETY: this process runs forever, and its parent has not waited for it, so the PID
            // is not reused.
            unsafe { libc::kill(process_1, signal) };
            Ran::from(outer.wait_with_output().unwrap()).gives(128 + signal);
        }
    }
}

#[test]
fn a_write_beyond_the_file_size_limit_is_an_error_for_the_guest() {
    // pwrite64 of one sector at 1 MiB - 512: mov edi, [rdi+entry+88]
    let code = Code::new()
        .bytes(&[0x8b, 0xbf, 40 + 8 + 104 + 88, 0, 0, 0])
        .bytes(&[0x48, 0xbe])
        .bytes(&0x180_0000u64.to_le_bytes())
        .bytes(&[0xba, 0, 2, 0, 0, 0x49, 0xba])
        .bytes(&((1u64 << 20) - 512).to_le_bytes())
        .bytes(&[0xb8, 18, 0, 0, 0, 0x0f, 0x05])
        .exit_with_result(libc::EFBIG);
    let guest = Guest::new(code, &[("disk", BLOCK)]);
    guest.file("disk.img", &vec![0; 1 << 20]);
    let command = guest.command(&["--block:disk=disk.img"]);
    Ran::of(&mut limited(command, Resource::Fsize, 16384)).gives(0);
    let report = guest.file("report", &[b'\n'; 16384]);
    let ran = guest.command(&["--block:disk=disk.img", &format!("--report={}", text(&report))]);
    Ran::of(&mut limited(ran, Resource::Fsize, 16384)).gives(0).mentions("error[T443]");
}

#[test]
fn guest_memory_does_not_count_as_data() {
    let guest = Guest::new(Code::new().exit(3), &[]);
    let command = guest.command(&["--mem=256"]);
    Ran::of(&mut limited(command, Resource::Data, 32 << 20)).gives(3);
    let command = guest.command(&["--mem=256", "--x-exec-heap"]);
    Ran::of(&mut limited(command, Resource::Data, 32 << 20)).gives(3);
}

#[test]
fn a_non_blocking_console_loses_nothing() {
    // 1000 times 1 KiB: mov rbx, 1000; loop: write(1, 0x100000, 1024); dec rbx; jnz loop
    let write = Code::new().print(0x100000, 1024);
    let mut code = Code::new().bytes(&[0xbb, 0xe8, 3, 0, 0]);
    let length = write.length();
    code = code.append(write).bytes(&[0x48, 0xff, 0xcb]);
    let back = -(i32::try_from(length).unwrap() + 9);
    let guest = Guest::new(code.bytes(&[0x0f, 0x85]).bytes(&back.to_le_bytes()).exit(0), &[]);
    for early in [true, false] {
        let (reader, writer) = std::io::pipe().unwrap();
        let set = || rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        if early {
            set();
        }
        let mut command = guest.command::<&str>(&[]);
        command.stdout(writer.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut reader = std::fs::File::from(OwnedFd::from(reader));
        let mut first = [0; 1];
        reader.read_exact(&mut first).unwrap();
        // The guest runs, and the pipe fills up. Now another process sets the flag.
        set();
        drop(writer);
        let mut got = 1;
        let mut some = [0; 4096];
        loop {
            std::thread::sleep(Duration::from_micros(300));
            match reader.read(&mut some).unwrap() {
                0 => break,
                count => got += count,
            }
        }
        assert!(child.wait().unwrap().success());
        assert_eq!(got, 1000 * 1024, "set early: {early}");
    }
}

#[test]
fn a_slow_reader_gets_all_of_the_tenders_messages() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    rustix::pipe::fcntl_setpipe_size(writer.as_fd(), 4096).unwrap();
    let guest = Guest::new(Code::new().exit(0), &[]);
    let mut command = guest.command(&["--explain=T410"]);
    command.stdout(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut page = String::new();
    reader.read_to_string(&mut page).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(page, solo5_report::explain("T410").unwrap());
}

#[test]
fn with_a_report_the_guest_has_no_descriptor_of_the_report() {
    let guest = endless();
    let option = format!("--report={}", text(&guest.folder.path().join("report")));
    let mut watching = guest.command(&[&option]).stdout(Stdio::piped()).spawn().unwrap();
    assert!(wait_for_guest(&mut watching));
    let child = child_of(watching.id()).unwrap();
    let mut links = Vec::new();
    match fs::read_dir(format!("/proc/{child}/fd")) {
        Err(error) => println!("skip: the descriptors of a guest: {error}"),
        Ok(entries) => links.extend(entries.flatten().map(|entry| fs::read_link(entry.path()))),
    }
    watching.kill().unwrap();
    watching.wait().unwrap();
    for link in links.into_iter().flatten() {
        assert!(!text(&link).contains("memfd:"), "{link:?}");
    }
}

#[test]
fn a_failed_launch_ends_with_the_line_not_started() {
    let ran = Guest::new(Code::new().exit(1), &[]).run(&[]).gives(1);
    assert_eq!(ran.err, "");
    let ran = Guest::new(Code::new().exit(60), &[]).run(&[]).gives(60);
    assert_eq!(ran.err, "");
    let last = |ran: Ran| ran.err.lines().last().unwrap_or_default().to_owned();
    let guest = Guest::new(Code::new().exit(0), &[("disk", BLOCK)]);
    let cannot = guest.run(&["--block:disk=/nonexistent"]).gives(1);
    let advice = "there is no /nonexistent: name another file, or make one with `truncate -s SIZE`";
    assert_eq!(last(cannot), format!("solo5-spt: not started: {advice}"));
    let unattached = guest.run(&[]).gives(1);
    assert_eq!(last(unattached), "solo5-spt: not started: add --block:disk=PATH");
    let large = Guest::new(Code::new().exit(0), &[]).run(&["--mem=1"]).gives(1);
    assert_eq!(last(large), "solo5-spt: not started: add --mem=2");
    let denied = guest.run(&["--block:disk=/dev/null", "--require-policy"]).gives(60);
    assert!(last(denied).starts_with("solo5-spt: not started: "));
    let misused = guest.run(&["--blok:disk=x"]).gives(1).mentions("usage: ");
    assert_eq!(last(misused), "solo5-spt: not started: there is no --blok; did you mean --block?");
    let unknown = guest.run(&["--frobnicate"]).gives(1).mentions("usage: ");
    assert_eq!(last(unknown), "solo5-spt: not started: Invalid option: `--frobnicate'");
    let mut misplaced = guest.command::<&str>(&[]);
    let misplaced = Ran::of(misplaced.arg("--block:disk=x")).gives(1);
    assert!(last(misplaced).contains("'--block:disk=x' follows the image"));
    let undeclared = guest.run(&["--block:dsk=x"]).gives(1);
    assert!(!undeclared.err.contains("usage: "), "{undeclared:?}");
    assert!(last(undeclared).ends_with("no block device is called 'dsk'; did you mean 'disk'?"));
}

#[test]
fn an_image_that_is_a_pipe_is_refused_every_time() {
    let image = fs::read(&Guest::new(Code::new().exit(0), &[]).image).unwrap();
    for _ in 0..5 {
        let (reader, writer) = std::io::pipe().unwrap();
        let writing = std::thread::spawn({
            let image = image.clone();
            move || {
                std::thread::sleep(Duration::from_millis(2));
                let _ = std::io::Write::write_all(&mut { writer }, &image);
            }
        });
        let mut command = crate::guest::tender();
        command.stdin(OwnedFd::from(reader)).arg("/dev/stdin");
        Ran::of(&mut command).gives(1).says("/dev/stdin: Could not open: it is a pipe");
        writing.join().unwrap();
    }
}
