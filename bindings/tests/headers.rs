//! The C headers: every compiler at hand takes them without a warning, as C and as C++, and what
//! they define has the bytes that `solo5_abi` says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

const EVERY_HEADER: &str = r#"
#include "solo5.h"
#include "mft_abi.h"
#include "elf_abi.h"
#include "spt_abi.h"
"#;

/// A folder with the objects of one compiler.
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
        .map(|name| Compiler {
            name,
            folder: tempfile::tempdir().unwrap(),
        })
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
            .args([
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-ffreestanding",
            ])
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
        assert!(
            output.status.success(),
            "{} {standard}: {errors}",
            self.name
        );
        object
    }
}

fn section(object: &Path, name: &str) -> Vec<u8> {
    let content = object.with_extension("bin");
    let status = Command::new("objcopy")
        .args([
            "-O",
            "binary",
            "--set-section-flags",
            &format!("{name}=alloc"),
            "-j",
            name,
        ])
        .args([object, &content])
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read(content).unwrap()
}

#[test]
fn c_takes_every_header() {
    for compiler in installed(&C_COMPILERS) {
        for standard in ["c11", "c17", "gnu11"] {
            compiler.accepts(standard, "all.c", EVERY_HEADER);
        }
        compiler.accepts("c99", "api.c", "#include \"solo5.h\"\n");
    }
}

#[test]
fn cxx_takes_every_header() {
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
    let devices = [
        ("storage", DeviceType::BlockBasic),
        ("service0", DeviceType::NetBasic),
    ];
    let mut expected = vec![0; mft1::note_size(devices.len())];
    mft1::encode(devices.into_iter(), &mut expected).unwrap();
    for compiler in installed(&C_COMPILERS) {
        let object = compiler.accepts("c11", "manifest.c", MANIFEST);
        assert_eq!(
            section(&object, note::SECTION_MFT1),
            expected,
            "{}",
            compiler.name
        );
        let symbols = Command::new("nm")
            .arg("-g")
            .arg(object)
            .output()
            .unwrap()
            .stdout;
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
            assert!(
                !output.status.success() && errors.contains("a manifest has at"),
                "{errors}"
            );
        }
    }
}

#[test]
fn notes_and_numbers_are_those_of_the_abi() {
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
        assert_eq!(
            section(&object, ".numbers"),
            numbers.map(u64::to_le_bytes).concat()
        );
    }
}
