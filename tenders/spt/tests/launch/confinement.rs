//! The calls and memory accesses that a guest may make, and the state in which it starts.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::guest::{BLOCK, Code, Guest, Ran, text};

const SIGSEGV: i32 = 139;
const SIGSYS: i32 = 159;

const STACK_END: u64 = 512 << 20;

fn status(code: Code) -> i32 {
    Guest::new(code, &[]).run(&[]).status
}

#[test]
fn calls_in_the_table_are_made() {
    let guest = Guest::new(Code::new().print(0x100000, 4).exit(300), &[]);
    let ran = guest.run(&[]).gives(44);
    assert_eq!(ran.out, b"/non", "the image's first bytes");
    let stack = STACK_END - 64;
    for (what, call) in [
        ("monotonic clock", Code::new().call(228, &[1, stack])),
        ("wall clock", Code::new().call(228, &[0, stack])),
        ("base of thread-local storage", Code::new().call(158, &[0x1002, 0])),
    ] {
        assert_eq!(status(call.exit_with_result(9)), 9, "{what}");
    }
}

#[test]
fn epoll_waits_forever_or_not_at_all() {
    // The guest reads its descriptors from the boot information, whose address is in rdi.
    let epoll = |timeout: u64, mask: u64, shift: i32| {
        // mov edi, [rdi+32]; rsi = stack, rdx = 1, r10 = timeout, r8 = mask
        Code::new()
            .bytes(&[0x8b, 0x7f, 32])
            .bytes(&[0x48, 0xbe])
            .bytes(&(STACK_END - 64).to_le_bytes())
            .bytes(&[0xba, 1, 0, 0, 0])
            .bytes(&[0x49, 0xba])
            .bytes(&timeout.to_le_bytes())
            .bytes(&[0x49, 0xb8])
            .bytes(&mask.to_le_bytes())
            .bytes(&[0x45, 0x31, 0xc9])
            .bytes(&[0xb8, 25, 1, 0, 0, 0x0f, 0x05])
            .exit_with_result(shift)
    };
    assert_eq!(status(epoll(0, 0, 3)), 3, "at once, with nothing ready");
    assert_eq!(status(epoll(1000, 0, 0)), SIGSYS);
    assert_eq!(status(epoll(0, STACK_END - 64, 0)), SIGSYS, "a signal mask");
    // mov edi, [rdi+36]; a deadline long ago, written to the stack; then wait for it.
    let timer = |flags: u8| {
        Code::new()
            .bytes(&[0x48, 0x89, 0xfb]) // mov rbx, rdi
            .bytes(&[0x8b, 0x7f, 36])
            .bytes(&[0xbe, flags, 0, 0, 0])
            .bytes(&[0x48, 0x8d, 0x54, 0x24, 0xc0]) // lea rdx, [rsp-64]
            .bytes(&[0xc6, 0x42, 24, 1]) // mov byte [rdx+24], 1: one nanosecond
            .bytes(&[0x45, 0x31, 0xd2]) // xor r10d, r10d
            .bytes(&[0xb8, 30, 1, 0, 0, 0x0f, 0x05]) // timerfd_settime
            .bytes(&[0x8b, 0x7b, 32]) // mov edi, [rbx+32]
            .bytes(&[0x48, 0x8d, 0x74, 0x24, 0xc0]) // lea rsi, [rsp-64]
            .bytes(&[0xba, 1, 0, 0, 0])
            .bytes(&[0x49, 0xc7, 0xc2, 0xff, 0xff, 0xff, 0xff]) // mov r10, -1
            .bytes(&[0x45, 0x31, 0xc0, 0x45, 0x31, 0xc9])
            .bytes(&[0xb8, 25, 1, 0, 0, 0x0f, 0x05]) // epoll_pwait
            .bytes(&[0x8b, 0x44, 0x24, 0xc4]) // mov eax, [rsp-60]: the event's data
            .exit_with_result(0)
    };
    assert_eq!(status(timer(1)), 0xfe, "the internal timer's cookie");
    assert_eq!(status(timer(0)), SIGSYS, "relative times");
}

#[test]
fn every_other_call_ends_the_process() {
    let buffer = 0x100000;
    for (what, number, arguments) in [
        ("read", 0, &[0, buffer, 1][..]),
        ("write to standard error", 1, &[2, buffer, 1]),
        ("write to descriptor 3", 1, &[3, buffer, 1]),
        ("write with the upper half set", 1, &[0x1_0000_0001, buffer, 1]),
        ("open", 2, &[buffer, 0, 0]),
        ("mmap", 9, &[0, 4096, 7, 0x22, u64::MAX, 0]),
        ("mprotect", 10, &[buffer, 4096, 7]),
        ("pread64", 17, &[1, buffer, 512, 0]),
        ("dup", 32, &[1]),
        ("getpid", 39, &[]),
        ("exit", 60, &[0]),
        ("ptrace", 101, &[0]),
        ("arch_prctl(ARCH_GET_FS)", 158, &[0x1003, buffer]),
        ("arch_prctl(ARCH_SET_GS)", 158, &[0x1001, 0]),
        ("clock_gettime of another clock", 228, &[2, STACK_END - 64]),
        ("seccomp", 317, &[0, 0, 0]),
        ("x32 write", 0x4000_0001, &[1, buffer, 1]),
        ("no call", u64::from(u32::MAX), &[]),
    ] {
        assert_eq!(status(Code::new().call(number, arguments).exit(0)), SIGSYS, "{what}");
    }
    // mov eax, 1; int 0x80: exit of the 32-bit interface
    let legacy = Code::new().bytes(&[0xb8, 1, 0, 0, 0, 0xcd, 0x80]).exit(0);
    assert_eq!(status(legacy), SIGSYS, "32-bit interface");
}

#[test]
fn bad_memory_accesses_fault() {
    let read = |address| Code::new().rax(address).bytes(&[0x8a, 0x00]).exit(0);
    let write = |address| Code::new().rax(address).bytes(&[0xc6, 0x00, 1]).exit(0);
    for (what, code) in [
        ("read address 0", read(0)),
        ("read 0x10000", read(0x10000)),
        ("read past the end of memory", read(STACK_END)),
        ("write boot information", write(0x11000)),
        ("write low memory", write(0xff000)),
        ("write text", write(0x100000)),
        ("execute the stack", Code::new().bytes(&[0xff, 0xe4])),
        (
            "thread-local storage",
            Code::new().bytes(&[0x64, 0x48, 0x8b, 4, 0x25, 0, 0, 0, 0]).exit(0),
        ),
    ] {
        assert_eq!(status(code), SIGSEGV, "{what}");
    }
    for (what, code) in [
        ("read boot information", read(0x11000)),
        ("write the stack", write(STACK_END - 1)),
        ("write the heap", write(0x180_0000)),
        ("write data", write(0x101000)),
        ("write bss", write(0x102000)),
    ] {
        assert_eq!(status(code), 0, "{what}");
    }
}

#[test]
fn an_executable_heap_does_not_make_data_or_bss_executable() {
    // Writes `ret` to an address and calls it.
    let execute = |address| {
        let code = Code::new().rax(address).bytes(&[0xc6, 0x00, 0xc3, 0xff, 0xd0]).exit(6);
        Guest::new(code, &[])
    };
    assert_eq!(execute(0x180_0000).run(&[]).status, SIGSEGV);
    assert_eq!(execute(0x180_0000).run(&["--x-exec-heap"]).status, 6);
    assert_eq!(execute(0x101800).run(&["--x-exec-heap"]).status, SIGSEGV, "data");
    assert_eq!(execute(0x102000).run(&["--x-exec-heap"]).status, SIGSEGV, "bss");
}

#[test]
fn signals_end_a_guest_as_they_end_any_process() {
    assert_eq!(status(Code::new().bytes(&[0x0f, 0x0b])), 132, "illegal instruction");
    let divide = Code::new().bytes(&[0x31, 0xc9, 0xf7, 0xf1]);
    assert_eq!(status(divide), 136, "division by zero");
    // The guest writes forever, and the reader closes the pipe.
    let forever = Code::new().print(0x100000, 16).bytes(&[0xeb, (-44i8) as u8]);
    let guest = Guest::new(forever, &[]);
    let script = r#"{ "$0" "$1"; echo $? >&2; } | head -c 1 >/dev/null"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image)]);
    assert_eq!(Ran::of(&mut shell).err.lines().next_back(), Some("141"));
}

#[test]
fn a_guest_finds_nothing_of_the_tender_in_its_registers() {
    // The registers in the order they are pushed, then the x87, vector and control state.
    const PUSH: [&[u8]; 15] = [
        &[0x50],
        &[0x53],
        &[0x51],
        &[0x52],
        &[0x56],
        &[0x57],
        &[0x55],
        &[0x41, 0x50],
        &[0x41, 0x51],
        &[0x41, 0x52],
        &[0x41, 0x53],
        &[0x41, 0x54],
        &[0x41, 0x55],
        &[0x41, 0x56],
        &[0x41, 0x57],
    ];
    let pushed = STACK_END - 8 - 15 * 8;
    let state = 0x180_0000u64;
    let code = PUSH.iter().fold(Code::new(), |code, push| code.bytes(push));
    let code = code
        .bytes(&[0x9c, 0x58]) // pushfq; pop rax
        .bytes(&[0x48, 0xa3]) // mov [moffs], rax
        .bytes(&(state + 512).to_le_bytes())
        .rax(state)
        .bytes(&[0x48, 0x0f, 0xae, 0x00]) // fxsave64 [rax]
        .print(pushed, 15 * 8)
        .print(state, 520)
        .exit(0);
    let guest = Guest::new(code, &[]);
    let ran = guest.run(&[]).gives(0);
    let words: Vec<u64> = ran.out[..15 * 8]
        .chunks(8)
        .rev()
        .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
        .collect();
    let (rax, rdi) = (words[0], words[5]);
    assert!((0x100000..0x101000).contains(&rax), "the entry point, not {rax:#x}");
    assert_eq!(rdi, 0x11000, "boot information");
    for (index, word) in words.iter().enumerate().filter(|(index, _)| ![0, 5].contains(index)) {
        assert_eq!(*word, 0, "register {index}");
    }
    let state = &ran.out[15 * 8..];
    assert_eq!(state[..2], [0x7f, 0x03], "x87 control word");
    assert_eq!(state[24..28], 0x1f80u32.to_le_bytes(), "MXCSR");
    assert!(state[32..416].iter().all(|byte| *byte == 0), "vector registers");
    assert_eq!(state[512] & 0x40, 0x40, "only the reserved bit and ZF are set in the flags");
    assert_eq!(state[513] & 0x04, 0, "direction flag");
}

#[test]
fn boot_information_has_the_published_layout() {
    let guest = Guest::new(Code::new().print(0x11000, 40 + 8 + 104).exit(0), &[]);
    let ran = guest.run(&["--mem=8"]).gives(0);
    let word = |at: usize| u64::from_le_bytes(ran.out[at..at + 8].try_into().unwrap());
    assert_eq!(word(0), 8 << 20, "mem_size");
    assert_eq!(word(8), 0x102000, "kernel_end");
    assert_eq!(word(16), 0x11028 + 112, "cmdline");
    assert_eq!(word(24), 0x11028, "mft");
    assert_eq!(word(32), 3 | 4 << 32, "epoll set and timer");
}

#[test]
fn the_tenders_memory_is_unmapped() {
    let guest = Guest::new(Code::new().print(0x100000, 1).bytes(&[0xeb, 0xfe]), &[("disk", BLOCK)]);
    guest.file("secret-disk", &[0; 512]);
    for report in [&[][..], &["--report=/dev/null"]] {
        let mut command = guest.command(&[&["--block:disk=secret-disk"], report].concat());
        command.arg("--token=secret").env("SECRET", "secret").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut byte = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
        let id = match report {
            [] => child.id().to_string(),
            _ => {
                let path = format!("/proc/{0}/task/{0}/children", child.id());
                fs::read_to_string(path).unwrap().trim().to_owned()
            }
        };
        let of = |name: &str| format!("/proc/{id}/{name}");
        let command_line = fs::read(of("cmdline")).unwrap();
        let status = fs::read_to_string(of("status")).unwrap();
        let environment = fs::read(of("environ"));
        let maps = fs::read_to_string(of("maps"));
        let memory = fs::File::open(of("mem"));
        let parts: Vec<_> = maps.iter().flat_map(|maps| maps.lines().map(Mapping::of)).collect();
        let beyond = parts.iter().filter(|part| part.start >= STACK_END && !part.may_stay());
        let beyond: Vec<_> = beyond.collect();
        let (mut content, mut read) = (Vec::new(), Ok(()));
        if let Ok(memory) = &memory {
            for part in &beyond {
                let mut bytes = vec![0; (part.end - part.start) as usize];
                read = read.and(memory.read_exact_at(&mut bytes, part.start));
                content.extend(bytes);
            }
        }
        // SAFETY: this test started the process and has not waited for it, so the PID is not
        // reused.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        child.wait().unwrap();

        read.expect("what stays can be read");
        let end = command_line.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let shown: Vec<_> = command_line[..end].split(|byte| *byte == 0).collect();
        let program = env!("CARGO_BIN_EXE_solo5-spt").as_bytes();
        assert_eq!(shown, [program, guest.image.as_os_str().as_encoded_bytes()]);
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
        }
        let (Ok(environment), Ok(_)) = (environment, memory) else {
            println!("skip: the_tenders_memory_is_unmapped: memory: not root");
            continue;
        };
        assert!(environment.iter().all(|byte| *byte == 0));
        let rights: Vec<_> = beyond.iter().map(|part| part.rights.as_str()).collect();
        assert_eq!(rights, ["r-xp"], "{beyond:?}");
        let executable = parts.iter().filter(|part| part.rights.contains('x') && !part.may_stay());
        assert_eq!(executable.count(), 2, "the guest's and the tender's last: {parts:?}");
        assert!(beyond.iter().all(|part| !part.name.starts_with('/')), "{beyond:?}");
        assert!(!content.windows(6).any(|word| word == b"secret"));
    }
}

#[test]
fn only_the_middle_of_large_memory_has_huge_pages() {
    for (memory, wanted) in [("--mem=25", &[][..]), ("--mem=64", &[(0x100_0000, 0x380_0000)])] {
        let guest = Guest::new(Code::new().print(0x100000, 1).bytes(&[0xeb, 0xfe]), &[]);
        let mut child = guest.command(&[memory]).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let maps = fs::read_to_string(format!("/proc/{}/smaps", child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        let Ok(maps) = maps else {
            println!("skip: only_the_middle_of_large_memory_has_huge_pages: not root");
            return;
        };
        let mut found = Vec::new();
        let mut mapping = None;
        for line in maps.lines() {
            match line.strip_prefix("VmFlags:") {
                None if !line.contains(": ") => mapping = Some(Mapping::of(line)),
                None => {}
                Some(flags) if flags.split_whitespace().any(|flag| flag == "hg") => {
                    found.extend(mapping.take().map(|mapping| (mapping.start, mapping.end)));
                }
                Some(_) => {}
            }
        }
        if !fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap() {
            println!("skip: only_the_middle_of_large_memory_has_huge_pages: no huge pages here");
            return;
        }
        assert_eq!(found, wanted, "{memory}: {maps}");
    }
}

/// Writes every page of these addresses to standard output, as far as the guest may read it: for the
/// other pages the call fails.
fn dump(addresses: Range<u64>) -> Code {
    // mov r12, start; mov r13, end
    let code = Code::new().bytes(&[0x49, 0xbc]).bytes(&addresses.start.to_le_bytes());
    let code = code.bytes(&[0x49, 0xbd]).bytes(&addresses.end.to_le_bytes());
    // mov eax, 1; mov edi, 1; mov rsi, r12; mov edx, 4096; syscall
    let page = [0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x4c, 0x89, 0xe6, 0xba, 0, 16, 0, 0, 0x0f, 5];
    // add r12, 4096; cmp r12, r13; jb to the first of these instructions
    let next = [0x49, 0x81, 0xc4, 0, 16, 0, 0, 0x4d, 0x39, 0xec, 0x72, -32i8 as u8];
    code.bytes(&page).bytes(&next)
}

#[test]
fn a_guest_that_scans_its_address_space_finds_nothing_of_the_tender() {
    const SECRETS: [&str; 3] =
        ["secret-in-the-environment", "secret-argument", "secret-on-the-heap"];
    const GIB: u64 = 1 << 30;
    let end = 0x7fff_ffff_f000;
    // Without randomness a program lies at one of two places, and all else below the end. The kernel
    // keeps some pages for itself.
    let scan = [0..GIB, 0x5555_4000_0000..0x5555_8000_0000, end - 2 * GIB..end];
    let code = scan.into_iter().fold(Code::new(), |code, part| code.append(dump(part)));
    let guest = Guest::new(code.exit(0), &[]);
    let policy = format!(
        "type: solo5.policy\nversion: 1\nname: {}\nmemory: {{ maximum: 1GiB }}\notherwise: allow\n",
        SECRETS[2]
    );
    guest.file(SECRETS[1], policy.as_bytes());
    let mut command = guest.command(&[&format!("--policy={}", SECRETS[1]), "--mem=2"]);
    command.env("SECRET", SECRETS[0]);
    let fixed = || {
        // SAFETY: the call changes only how addresses are chosen for the next program.
        unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
        Ok(())
    };
    // SAFETY: the closure makes one system call, which may be made after a fork.
    unsafe { command.pre_exec(fixed) };
    let ran = Ran::of(&mut command).gives(0);
    assert!(ran.out.windows(5).any(|word| word == b"/none"), "the image's first bytes");
    assert!(ran.out.len() >= (2 << 20) - 0x11000, "{} bytes", ran.out.len());
    for secret in SECRETS {
        let found = ran.out.windows(secret.len()).any(|word| word == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    // Pages that the kernel keeps, and the tender's last instructions.
    assert!(ran.out.len() < (2 << 20) + (128 << 10), "{} bytes", ran.out.len());
}

/// A line of `/proc/PID/maps`.
#[derive(Debug)]
struct Mapping {
    start: u64,
    end: u64,
    rights: String,
    name: String,
}

impl Mapping {
    fn of(line: &str) -> Mapping {
        let mut words = line.split_whitespace();
        let (start, end) = words.next().unwrap().split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        Mapping {
            start: number(start),
            end: number(end),
            rights: words.next().unwrap().to_owned(),
            name: words.nth(3).unwrap_or_default().to_owned(),
        }
    }

    /// Whether the kernel refuses to unmap it.
    fn may_stay(&self) -> bool {
        let sealed = ["[vdso]", "[vvar]", "[vvar_vclock]"].contains(&self.name.as_str());
        self.name == "[vsyscall]" || sealed && kernel_seals()
    }
}

/// Whether the kernel seals the mappings that it makes: it then says so of the vdso.
fn kernel_seals() -> bool {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (_, vdso) = maps.split_once("[vdso]").expect("a vdso");
    let flags = vdso.lines().find_map(|line| line.strip_prefix("VmFlags:")).expect("its flags");
    flags.split_whitespace().any(|flag| flag == "sl")
}

#[test]
fn only_the_guests_descriptors_stay_open() {
    // The guest spins, so that its descriptors can be counted.
    let guest = Guest::new(Code::new().print(0x100000, 1).bytes(&[0xeb, 0xfe]), &[]);
    let script = r#"exec "$0" "$1" 7</dev/null 9</dev/null"#;
    let mut child = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image)])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    let listed = std::fs::read_dir(format!("/proc/{}/fd", child.id())).map(|folder| {
        let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    });
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    match (listed, maps) {
        (Ok(names), Ok(maps)) => {
            assert_eq!(names, ["0", "1", "2", "3", "4"]);
            let lines: Vec<_> = maps.lines().map(|line| &line[..line.len().min(24)]).collect();
            assert!(maps.starts_with("00011000-00100000 r--p"), "{lines:?}");
            assert!(!maps.contains("\n20000000-"), "{lines:?}");
            assert!(!maps.contains("rwx"), "{maps}");
        }
        // Only root may look into an undumpable process.
        _ => println!("skip: only_the_guests_descriptors_stay_open: not root"),
    }
}
