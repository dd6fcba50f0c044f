//! CPU and memory at entry, and guest faults (`docs/reference/hvt.md#cpu`).

use std::process::Stdio;
use std::time::Duration;

use solo5_abi::hvt::Hypercall;

use crate::guest::{ARGUMENT, Code, DATA, Guest, Ran, entry, kvm};

fn guest(code: Code) -> Guest {
    Guest::new(code, &[])
}

#[test]
fn statuses_are_the_low_8_bits() {
    if !kvm("statuses_are_the_low_8_bits") {
        return;
    }
    for (status, shown) in [(0, 0), (300, 44), (255, 255), (-2, 254), (1, 1)] {
        guest(Code::new().exit(status)).run(&["--mem=2"]).gives(shown);
    }
}

#[test]
fn control_registers_have_the_published_values() {
    if !kvm("control_registers_have_the_published_values") {
        return;
    }
    let code = Code::new()
        // mov [DATA+40], rdi by way of rax; then rsp
        .bytes(&[0x48, 0x89, 0xf8])
        .store_rax(DATA + 40)
        .bytes(&[0x48, 0x89, 0xe0])
        .store_rax(DATA + 48)
        // pushfq; pop rax
        .bytes(&[0x9c, 0x58])
        .store_rax(DATA + 32)
        // mov rax, cr0; cr3; cr4
        .bytes(&[0x0f, 0x20, 0xc0])
        .store_rax(DATA)
        .bytes(&[0x0f, 0x20, 0xd8])
        .store_rax(DATA + 8)
        .bytes(&[0x0f, 0x20, 0xe0])
        .store_rax(DATA + 16)
        // mov ecx, 0xc0000080; rdmsr
        .bytes(&[0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32])
        .store_rax(DATA + 24)
        .call(Hypercall::Puts, &[DATA, 56])
        .exit(0);
    let ran = guest(code).run(&["--mem=4"]).gives(0);
    let words: Vec<u64> =
        ran.out.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    // ET, bit 4, is always set on some CPUs.
    assert_eq!(words[0] & !0x10, 0x8001_0021, "CR0");
    assert_eq!(words[1], 0x2000, "CR3");
    assert_eq!(words[2], 0x620, "CR4");
    assert!([0x500, 0xd00].contains(&(words[3] & 0xffff_ffff)), "EFER {:#x}", words[3]);
    assert_eq!(words[4] & !0x8d5, 2, "RFLAGS, arithmetic flags aside");
    assert_eq!(words[5], 0x1_0000, "boot information");
    assert_eq!(words[6], (4 << 20) - 8, "stack");
}

#[test]
fn invalid_accesses_end_the_guest_with_upstreams_texts() {
    if !kvm("invalid_accesses_end_the_guest_with_upstreams_texts") {
        return;
    }
    let cases = [
        (Code::new().out(0x80, 0), "Invalid guest port access: port=0x80"),
        (Code::new().out(0x509, 0), "Invalid guest port access: port=0x509"),
        (Code::new().out(0x600, 0), "Invalid guest port access: port=0x600"),
        (Code::new().out(0x500, 0), "Invalid guest hypercall: num=0"),
        (Code::new().out(0x504, 0), "Invalid guest hypercall: num=4"),
        (Code::new().out(0x507, 0), "Invalid guest hypercall: num=7"),
        // mov dx, 0x502; out dx, al
        (
            Code::new().bytes(&[0x66, 0xba, 0x02, 0x05, 0xee]),
            "Invalid guest port access: port=0x502",
        ),
        // mov dx, 0x502; in eax, dx
        (
            Code::new().bytes(&[0x66, 0xba, 0x02, 0x05, 0xed]),
            "Invalid guest port access: port=0x502",
        ),
        (Code::new().out(0x501, (2 << 20) - 7), "Invalid guest access: gpa=0x1ffff9, sz=8"),
        (Code::new().out(0x502, 0xffff_fff0), "Invalid guest access: gpa=0xfffffff0, sz=16"),
        (
            Code::new().call(Hypercall::Puts, &[u64::MAX, 1]),
            "Invalid guest access: gpa=0xffffffffffffffff, sz=1",
        ),
        (
            Code::new().call(Hypercall::Puts, &[DATA, u64::MAX]),
            "Invalid guest access: gpa=0x190000, sz=18446744073709551615",
        ),
        (
            Code::new().call(Hypercall::Halt, &[(2 << 20) - 511, 255]),
            "Invalid guest access: gpa=0x1ffe01, sz=512",
        ),
        // The answer would overwrite the guest's own code.
        (Code::new().out(0x501, 0x10_0000), "Invalid guest access: gpa=0x100000, sz=8"),
    ];
    for (code, line) in cases {
        let ran = guest(code.exit(0)).run(&["--mem=2"]);
        ran.gives(1).says(line).mentions("rip=0x");
    }
}

#[test]
fn the_last_bytes_of_memory_can_be_used() {
    if !kvm("the_last_bytes_of_memory_can_be_used") {
        return;
    }
    let code = Code::new().out(0x501, (2 << 20) - 8).exit(0);
    guest(code).run(&["--mem=2"]).gives(0);
}

#[test]
fn a_cpu_that_stops_ends_the_guest() {
    if !kvm("a_cpu_that_stops_ends_the_guest") {
        return;
    }
    guest(Code::new().bytes(&[0xf4]))
        .run(&["--mem=2"])
        .gives(1)
        .mentions("KVM: unhandled exit: exit_reason=0x5, rip=0x");
    // ud2, without a handler
    guest(Code::new().bytes(&[0x0f, 0x0b]))
        .run(&["--mem=2"])
        .gives(1)
        .mentions("KVM: unhandled exit: exit_reason=0x8, rip=0x");
}

#[test]
fn code_cannot_be_written_and_data_not_executed() {
    if !kvm("code_cannot_be_written_and_data_not_executed") {
        return;
    }
    guest(Code::new().store(entry(), 0).exit(0))
        .run(&["--mem=2"])
        .gives(1)
        .mentions("KVM: host/guest translation fault: rip=0x");
    // mov rax, DATA; jmp rax. The code at DATA would exit with 9.
    let mut hidden = Vec::new();
    hidden.extend_from_slice(&[0xb8]);
    hidden.extend_from_slice(&(ARGUMENT as u32).to_le_bytes());
    hidden.extend_from_slice(&[0x66, 0xba, 0x08, 0x05, 0xef]);
    let code = Code::new()
        .store(ARGUMENT, 0)
        .store(ARGUMENT + 8, 9)
        .store_text(DATA, &hidden)
        .rax(DATA)
        .bytes(&[0xff, 0xe0]);
    let with_heap = guest(code.clone()).run(&["--mem=2", "--x-exec-heap"]);
    with_heap.gives(9).mentions("WARNING");
    // A page fault without a handler.
    guest(code).run(&["--mem=2"]).gives(1).mentions("exit_reason=0x8");
}

#[test]
fn memory_is_zeroed_and_as_large_as_announced() {
    if !kvm("memory_is_zeroed_and_as_large_as_announced") {
        return;
    }
    // The last word, which was never written; then the size in the boot information.
    let code = Code::new()
        .load_rax((6 << 20) - 8)
        .store_rax(DATA)
        .load_rax(0x1_0000)
        .store_rax(DATA + 8)
        .call(Hypercall::Puts, &[DATA, 16])
        .exit(0);
    let ran = guest(code).run(&["--mem=7"]).gives(0);
    assert_eq!(ran.out[..8], [0; 8]);
    assert_eq!(ran.out[8..], (6u64 << 20).to_le_bytes());
    ran.says("adjusting memory to 6291456 bytes");
}

#[test]
fn an_endless_guest_ends_by_a_signal() {
    if !kvm("an_endless_guest_ends_by_a_signal") {
        return;
    }
    for (signal, name) in [(libc::SIGINT, "SIGINT"), (libc::SIGTERM, "SIGTERM")] {
        // jmp to itself
        let guest = guest(Code::new().print(b"up").bytes(&[0xeb, 0xfe]));
        let mut child = guest
            .command(&["--mem=2", "--report=report.json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = [0; 2];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        // SAFETY: this test started the process and has not waited for it, so the PID is not
        // reused.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        Ran::after(child).gives(1).says(&format!("Exiting on signal {signal}"));
        let line = std::fs::read(guest.folder.path().join("report.json")).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let expected =
            serde_json::json!({"outcome": "signal", "status": 1, "signal": name, "reasons": []});
        assert_eq!(told, expected);
    }
}

#[test]
fn a_trap_is_shown_with_possible_return_addresses() {
    if !kvm("a_trap_is_shown_with_possible_return_addresses") {
        return;
    }
    let stack = DATA + 0x800;
    // cr2, error code, rip, cs, rflags, rsp, ss
    let words = [0x28u64, 2, 0x10_0040, 8, 2, stack, 16];
    let mut code = Code::new().store(stack + 16, entry() + 3);
    for (at, word) in (DATA..).step_by(8).zip(words) {
        code = code.store(at, word);
    }
    let code = code.call(Hypercall::Halt, &[DATA, 255]);
    guest(code)
        .run(&["--mem=2"])
        .gives(255)
        .mentions("guest trap: rip=0x100040")
        .mentions("cr2=0x28")
        .mentions(&format!("return address? {:#x} at rsp+0x10", entry() + 3));
}
