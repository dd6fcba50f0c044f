//! A guest to make images of, this program, and QEMU.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target};
use solo5_image::testing;
use solo5_linker_wrapper::script::{self, Bindings};
use solo5_mkimage::layout::{LOADER_LBA, LOADER_SIZE, SECTOR};
use tempfile::TempDir;

/// What the guest prints when everything is as it should be.
pub(crate) const SUCCESS: &str = "SUCCESS\n";
/// QEMU's status after the guest ended it: the guest's number, doubled, plus 1.
pub(crate) const ENDED: i32 = 83;

/// Where the loader's parameters are (`docs/reference/disk-image.md#parameters`).
const SUM_AT: usize = 8;
pub(crate) const SECTORS_AT: usize = 20;
pub(crate) const LOAD_AT: usize = 28;
pub(crate) const END_AT: usize = 32;
pub(crate) const BSS_END_AT: usize = 36;
pub(crate) const ENTRY_AT: usize = 40;

/// A folder with a guest for each of some targets: `guest.virtio` and others.
pub(crate) struct Workshop {
    folder: TempDir,
}

impl Workshop {
    pub(crate) fn new() -> Workshop {
        let workshop = Workshop { folder: tempfile::tempdir().unwrap() };
        workshop.guest("guest.virtio", Target::Virtio, 4096);
        workshop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a guest with `pattern` bytes of data, whose notes are those of `target`.
    pub(crate) fn guest(&self, name: &str, target: Target, pattern: usize) {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common");
        let devices = [("service", DeviceType::NetBasic), ("storage", DeviceType::BlockBasic)];
        fs::write(self.path("abi.bin"), testing::abi_note(target)).unwrap();
        fs::write(self.path("manifest.bin"), testing::manifest_note(&devices)).unwrap();
        let text = script::render(Arch::X86_64, Bindings::Target(Target::Virtio));
        fs::write(self.path("guest.lds"), text).unwrap();
        let mut cc = Command::new("cc");
        cc.arg("-c").arg(sources.join("guest.S")).arg(format!("-DPATTERN={pattern}"));
        self.run(cc.args(["-o", "guest.o"]));
        let mut ld = Command::new("ld");
        ld.args(["-z", "max-page-size=0x1000", "--build-id=none", "-T", "guest.lds"]);
        self.run(ld.args(["guest.o", "-o", name]));
    }

    /// The program, in the folder, with `SOURCE_DATE_EPOCH` unset.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_solo5-virtio-mkimage"));
        program.args(arguments).current_dir(self.folder.path()).env_remove("SOURCE_DATE_EPOCH");
        program
    }

    /// Runs the program, which succeeds.
    pub(crate) fn make(&self, arguments: &[&str]) {
        let output = self.program(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }

    /// Runs the program, which fails with status 1, and returns what it said.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.program(arguments).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        said
    }

    /// Runs a tool in the folder, which succeeds, and returns what it printed.
    pub(crate) fn tool(&self, words: &[&str]) -> String {
        let (program, arguments) = words.split_first().unwrap();
        self.run(Command::new(program).args(arguments))
    }

    fn run(&self, command: &mut Command) -> String {
        let output = command.current_dir(self.folder.path()).env("LC_ALL", "C").output();
        let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let printed = text(&output.stdout);
        assert!(output.status.success(), "{command:?}: {printed}{}", text(&output.stderr));
        printed
    }

    /// The names in the folder that are not the guest's parts.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with("guest.") && !name.ends_with(".bin"));
        names.sort();
        names
    }

    /// Puts `value` in the place of the parameter at `offset` of the loader of `disk.img`, and mends the sum of
    /// the loader.
    pub(crate) fn set_parameter(&self, offset: usize, value: u32) {
        let mut disk = fs::read(self.path("disk.img")).unwrap();
        let at = usize::try_from(LOADER_LBA * SECTOR).unwrap();
        let loader = &mut disk[at..at + LOADER_SIZE];
        loader[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        loader[SUM_AT..SUM_AT + 4].fill(0);
        let words = loader.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        let sum = words.fold(0_u32, u32::wrapping_add);
        loader[SUM_AT..SUM_AT + 4].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
        fs::write(self.path("disk.img"), disk).unwrap();
    }

    /// The parameter at `offset` of the loader of `disk.img`.
    pub(crate) fn parameter(&self, offset: usize) -> u32 {
        let disk = fs::read(self.path("disk.img")).unwrap();
        let at = usize::try_from(LOADER_LBA * SECTOR).unwrap() + offset;
        u32::from_le_bytes(disk[at..at + 4].try_into().unwrap())
    }

    /// Boots a machine with `devices`, and returns QEMU's status and the serial port's output. A machine
    /// that has printed a boot error, or has run for two minutes, is switched off: then there is no status.
    pub(crate) fn boot(&self, devices: &[&str]) -> (Option<i32>, String) {
        let serial = self.path("serial.bin");
        let _ = fs::remove_file(&serial);
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot"])
            .arg("-serial")
            .arg(format!("file:{}", serial.display()))
            .args(["-device", "isa-debug-exit"])
            .args(devices)
            .current_dir(self.folder.path())
            .stdout(Stdio::null());
        let mut child = qemu.spawn().unwrap();
        let start = Instant::now();
        loop {
            let printed = || text(&fs::read(&serial).unwrap_or_default());
            if let Some(status) = child.try_wait().unwrap() {
                return (status.code(), printed());
            }
            let stopped = printed().lines().any(|line| line.contains("boot error"))
                && printed().ends_with('\n');
            if stopped || start.elapsed() > Duration::from_secs(120) {
                child.kill().unwrap();
                child.wait().unwrap();
                return (None, printed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
