//! The C headers: every installed compiler accepts them without a warning, as C and as C++, and their
//! definitions have the bytes that `solo5_abi` says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use solo5_abi::hvt::{self, aarch64, x86_64};
use solo5_abi::mft1::{self, DeviceType};
use solo5_abi::{Target, abi1::Abi1, note, spt};

const C_COMPILERS: [&str; 2] = ["gcc", "clang"];
const CXX_COMPILERS: [&str; 2] = ["g++", "clang++"];

/// What upstream's `gen-manifest` writes for a block device and a network interface.
const MANIFEST: &str = r#"
#define MFT_ENTRIES 3
#include "mft_abi.h"
MFT1_NOTE_DECLARE_BEGIN
{
  .version = MFT_VERSION,
  .entries = 3,
  .e = {
    { .name = "", .type = MFT_RESERVED_FIRST },
    { .name = "storage", .type = MFT_DEV_BLOCK_BASIC },
    { .name = "service0", .type = MFT_DEV_NET_BASIC },
  }
}
MFT1_NOTE_DECLARE_END
"#;

/// The other notes, and constants that cannot be seen in them.
const NOTES: &str = r#"
#include "spt_abi.h"
ABI1_NOTE_DECLARE_BEGIN
{ .abi_target = SPT_ABI_TARGET, .abi_version = SPT_ABI_VERSION }
ABI1_NOTE_DECLARE_END
DECLARE_OPENBSD_NOTE
DECLARE_ELF_INTERP
const uint64_t numbers[] __attribute__((used, section(".numbers"))) = {
    SPT_GUEST_MIN_BASE, SPT_HOST_MEM_BASE, SPT_BOOT_INFO_BASE, SPT_CMDLINE_SIZE,
    SPT_INTERNAL_TIMERFD,
};
"#;

/// The numbers of hvt, and offsets of fields that tell each structure's layout.
const HVT: &str = r#"
#include "hvt_abi.h"
ABI1_NOTE_DECLARE_BEGIN
{ .abi_target = HVT_ABI_TARGET, .abi_version = HVT_ABI_VERSION }
ABI1_NOTE_DECLARE_END
const uint64_t numbers[] __attribute__((used, section(".numbers"))) = {
    HVT_GUEST_MIN_BASE, HVT_BOOT_INFO_BASE, HVT_CMDLINE_SIZE, HVT_HALT_COOKIE_MAX,
    HVT_MEM_GRANULE, HVT_MEM_MAX, HVT_HYPERCALL_PIO_BASE, HVT_RING_KICK_PIO,
    HVT_HYPERCALL_MMIO_BASE, HVT_HYPERCALL_MMIO_SHIFT, HVT_RING_KICK_MMIO, HVT_FEATURE_RING_IO,
    HVT_HYPERCALL_WALLTIME, HVT_HYPERCALL_PUTS, HVT_HYPERCALL_POLL, HVT_HYPERCALL_BLOCK_WRITE,
    HVT_HYPERCALL_BLOCK_READ, HVT_HYPERCALL_NET_WRITE, HVT_HYPERCALL_NET_READ,
    HVT_HYPERCALL_HALT, HVT_HYPERCALL_BLOCK_FLUSH, HVT_HYPERCALL_MAX,
    HVT_RING_ENTRIES, HVT_RING_NET_WRITE, HVT_RING_NET_READ, sizeof(struct hvt_ring),
};
const uint64_t offsets[] __attribute__((used, section(".offsets"))) = {
    offsetof(struct hvt_boot_info, kernel_end), offsetof(struct hvt_boot_info, cpu_cycle_freq),
    offsetof(struct hvt_boot_info, cmdline), offsetof(struct hvt_boot_info, mft),
    offsetof(struct hvt_boot_info, host_features), offsetof(struct hvt_boot_info, net_ring),
    offsetof(struct hvt_hc_poll, ready_set), offsetof(struct hvt_hc_block, len),
    offsetof(struct hvt_hc_net, len), offsetof(struct hvt_hc_halt, exit_status),
    offsetof(struct hvt_trap_frame, rsp),
    offsetof(struct hvt_ring, completions_taken), offsetof(struct hvt_ring, submissions_taken),
    offsetof(struct hvt_ring, completed), offsetof(struct hvt_ring, needs_kick),
    offsetof(struct hvt_ring, submissions), offsetof(struct hvt_ring, completions),
    offsetof(struct hvt_ring_submission, data), offsetof(struct hvt_ring_submission, id),
    offsetof(struct hvt_ring_completion, ret), offsetof(struct hvt_ring_completion, len),
};
"#;

const EVERY_HEADER: &str = r#"
#include "solo5.h"
#include "mft_abi.h"
#include "elf_abi.h"
#include "spt_abi.h"
#include "hvt_abi.h"
"#;

/// One compiler, and a folder for its objects.
struct Compiler {
    name: &'static str,
    folder: tempfile::TempDir,
}

/// The compilers that are installed; each that is not is reported.
fn installed(names: &'static [&'static str]) -> Vec<Compiler> {
    let found: Vec<_> = names
        .iter()
        .filter(|name| {
            let installed = Command::new(name).arg("--version").output().is_ok();
            if !installed {
                println!("skip: headers with {name}: it is not installed");
            }
            installed
        })
        .map(|name| Compiler { name, folder: tempfile::tempdir().unwrap() })
        .collect();
    assert!(!found.is_empty(), "none of {names:?} is installed");
    found
}

impl Compiler {
    fn compile(&self, standard: &str, file: &str, source: &str) -> (PathBuf, Output) {
        let path = self.folder.path().join(file);
        std::fs::write(&path, source).unwrap();
        let object = path.with_extension("o");
        let output = Command::new(self.name)
            .arg(format!("-std={standard}"))
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffreestanding"])
            .arg("-I")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
            .arg("-c")
            .arg(&path)
            .arg("-o")
            .arg(&object)
            .output()
            .unwrap();
        (object, output)
    }

    fn accepts(&self, standard: &str, file: &str, source: &str) -> PathBuf {
        let (object, output) = self.compile(standard, file, source);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {standard}: {errors}", self.name);
        object
    }
}

fn section(object: &Path, name: &str) -> Vec<u8> {
    let content = object.with_extension("bin");
    let status = Command::new("objcopy")
        .args(["-O", "binary", "--set-section-flags", &format!("{name}=alloc"), "-j", name])
        .args([object, &content])
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read(content).unwrap()
}

#[test]
fn c_compilers_accept_every_header() {
    for compiler in installed(&C_COMPILERS) {
        for standard in ["c11", "c17", "gnu11"] {
            compiler.accepts(standard, "all.c", EVERY_HEADER);
        }
        compiler.accepts("c99", "api.c", "#include \"solo5.h\"\n");
    }
}

#[test]
fn cxx_compilers_accept_every_header() {
    for compiler in installed(&CXX_COMPILERS) {
        for standard in ["c++11", "c++17", "c++20"] {
            compiler.accepts(standard, "all.cc", EVERY_HEADER);
        }
        let call = "#include \"solo5.h\"\nint f() { solo5_yield(0, nullptr); return 0; }\n";
        let object = compiler.accepts("c++11", "call.cc", call);
        let symbols = Command::new("nm").arg(object).output().unwrap().stdout;
        assert!(String::from_utf8_lossy(&symbols).contains(" U solo5_yield\n"));
    }
}

#[test]
fn a_generated_manifest_is_the_note() {
    let devices = [("storage", DeviceType::BlockBasic), ("service0", DeviceType::NetBasic)];
    let mut expected = vec![0; mft1::note_size(devices.len())];
    mft1::encode(devices.into_iter(), &mut expected).unwrap();
    for compiler in installed(&C_COMPILERS) {
        let object = compiler.accepts("c11", "manifest.c", MANIFEST);
        assert_eq!(section(&object, note::SECTION_MFT1), expected, "{}", compiler.name);
        let symbols = Command::new("nm").arg("-g").arg(object).output().unwrap().stdout;
        let expected = format!("{:016x} R {}\n", 0, note::SYMBOL_MFT1);
        assert_eq!(String::from_utf8_lossy(&symbols), expected);
    }
}

#[test]
fn a_manifest_has_at_most_64_entries() {
    for compiler in installed(&C_COMPILERS) {
        let sized = |entries| MANIFEST.replace("MFT_ENTRIES 3", &format!("MFT_ENTRIES {entries}"));
        let sized = |entries| sized(entries).replace(".entries = 3", ".entries = MFT_ENTRIES");
        // Upstream's sources list every entry; here the rest of the array is zero.
        compiler.accepts("c11", "most.c", &sized(64));
        for entries in [0, 65] {
            let (_, output) = compiler.compile("c11", "wrong.c", &sized(entries));
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && errors.contains("a manifest has at"), "{errors}");
        }
    }
}

#[test]
fn notes_and_numbers_agree_with_the_abi() {
    for compiler in installed(&C_COMPILERS) {
        let object = compiler.accepts("c11", "notes.c", NOTES);
        let abi = Abi1::new(Target::Spt, spt::ABI_VERSION).note();
        assert_eq!(section(&object, note::SECTION_ABI1), abi);
        assert_eq!(section(&object, ".interp"), note::NO_EXEC_INTERP);
        let openbsd = section(&object, note::SECTION_NOT_OPENBSD);
        let mut notes = note::Notes::new(&openbsd);
        let note = notes.next().unwrap().unwrap();
        assert!(note.is(note::OWNER_OPENBSD, note::TYPE_OPENBSD_IDENT));
        assert_eq!(note.descriptor, [0; 4]);
        let numbers = [
            spt::GUEST_MIN_BASE,
            spt::HOST_MEM_BASE,
            spt::BOOT_INFO_BASE,
            solo5_abi::CMDLINE_SIZE as u64,
            spt::INTERNAL_TIMERFD,
        ];
        assert_eq!(section(&object, ".numbers"), numbers.map(u64::to_le_bytes).concat());
    }
}

#[test]
fn hvt_agrees_with_the_abi() {
    use std::mem::offset_of;

    use hvt::ring::{self, Operation, Ring};

    let mut numbers = vec![
        hvt::GUEST_MIN_BASE,
        hvt::BOOT_INFO_BASE,
        solo5_abi::CMDLINE_SIZE as u64,
        hvt::HALT_COOKIE_MAX as u64,
        hvt::MEMORY_GRANULE,
        hvt::MEMORY_MAX,
        x86_64::HYPERCALL_PORT.into(),
        x86_64::KICK_PORT.into(),
        aarch64::HYPERCALL_BASE,
        aarch64::HYPERCALL_SHIFT.into(),
        aarch64::KICK,
        hvt::FEATURE_RING_IO.into(),
    ];
    numbers.extend(hvt::Hypercall::ALL.map(|call| u64::from(call.number())));
    numbers.push(hvt::Hypercall::MAX.into());
    numbers.push(ring::ENTRIES.into());
    numbers.extend(Operation::ALL.map(|operation| u64::from(operation.number())));
    numbers.push(Ring::SIZE as u64);
    let offsets = [
        offset_of!(hvt::BootInfo, kernel_end),
        offset_of!(hvt::BootInfo, cpu_cycle_freq),
        offset_of!(hvt::BootInfo, cmdline),
        offset_of!(hvt::BootInfo, mft),
        offset_of!(hvt::BootInfo, host_features),
        offset_of!(hvt::BootInfo, net_ring),
        offset_of!(hvt::Poll, ready_set),
        offset_of!(hvt::Block, len),
        offset_of!(hvt::Net, len),
        offset_of!(hvt::Halt, exit_status),
        offset_of!(x86_64::TrapFrame, rsp),
        offset_of!(Ring, guest.com_head),
        offset_of!(Ring, tender.ent_head),
        offset_of!(Ring, tender.com_tail),
        offset_of!(Ring, tender.needs_kick),
        offset_of!(Ring, submissions),
        offset_of!(Ring, commits),
        offset_of!(ring::Submission, data),
        offset_of!(ring::Submission, id),
        offset_of!(ring::Commit, ret),
        offset_of!(ring::Commit, len),
    ];
    let words =
        |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    for compiler in installed(&C_COMPILERS) {
        let object = compiler.accepts("c11", "hvt.c", HVT);
        let abi = Abi1::new(Target::Hvt, hvt::ABI_VERSION).note();
        assert_eq!(section(&object, note::SECTION_ABI1), abi);
        assert_eq!(section(&object, ".numbers"), words(&numbers));
        let offsets = offsets.map(|offset| offset as u64);
        assert_eq!(section(&object, ".offsets"), words(&offsets));
    }
}
