//! Images of a few instructions, and running the tender on them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use solo5_abi::abi1::Abi1;
use solo5_abi::mft1::DeviceType;
use solo5_abi::offer::Features;
use solo5_abi::{Arch, Target};
use solo5_image::testing::{BSS, Sample, TEXT, abi_note, manifest_note, properties_note};
use tempfile::TempDir;

pub(crate) const BLOCK: DeviceType = DeviceType::BlockBasic;
pub(crate) const NET: DeviceType = DeviceType::NetBasic;

/// x86_64 instructions.
#[derive(Clone, Default)]
pub(crate) struct Code(Vec<u8>);

impl Code {
    pub(crate) fn new() -> Code {
        Code::default()
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Code {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn append(self, other: Code) -> Code {
        self.bytes(&other.0)
    }

    pub(crate) fn length(&self) -> usize {
        self.0.len()
    }

    /// Loads a 64-bit number into the register with this encoding.
    fn load(self, opcode: [u8; 2], value: u64) -> Code {
        self.bytes(&opcode).bytes(&value.to_le_bytes())
    }

    /// `mov rax, value`
    pub(crate) fn rax(self, value: u64) -> Code {
        self.load([0x48, 0xb8], value)
    }

    /// A system call with its arguments.
    pub(crate) fn call(self, number: u64, arguments: &[u64]) -> Code {
        const REGISTERS: [[u8; 2]; 6] =
            [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8], [0x49, 0xb9]];
        let mut code = self.rax(number);
        for (register, value) in REGISTERS.iter().zip(arguments) {
            code = code.load(*register, *value);
        }
        code.bytes(&[0x0f, 0x05])
    }

    /// `exit_group(status)`
    pub(crate) fn exit(self, status: u64) -> Code {
        self.call(231, &[status])
    }

    /// `exit_group(rax + shift)`: the status shows the result of the previous call.
    pub(crate) fn exit_with_result(self, shift: i32) -> Code {
        // lea rdi, [rax + shift]; mov eax, 231; syscall
        self.bytes(&[0x48, 0x8d, 0xb8])
            .bytes(&shift.to_le_bytes())
            .bytes(&[0xb8, 231, 0, 0, 0, 0x0f, 0x05])
    }

    /// `write(1, address, length)`
    pub(crate) fn print(self, address: u64, length: u64) -> Code {
        self.call(1, &[1, address, length])
    }
}

/// An image in a folder of its own.
pub(crate) struct Guest {
    pub(crate) folder: TempDir,
    pub(crate) image: PathBuf,
}

impl Guest {
    /// An image with this code and these devices.
    pub(crate) fn new(code: Code, devices: &[(&str, DeviceType)]) -> Guest {
        Guest::from_sample(with_code(Sample::new(Target::Spt, Arch::X86_64, devices), code))
    }

    /// An image with a version 2 manifest that has these properties (device, tag, payload).
    pub(crate) fn with_properties(
        code: Code,
        devices: &[(&str, DeviceType)],
        properties: &[(u32, u16, &[u8])],
    ) -> Guest {
        Guest::with_notes(code, abi_note(Target::Spt), devices, properties)
    }

    /// The same, with bindings that know every feature.
    pub(crate) fn with_features(code: Code, properties: &[(u32, u16, &[u8])]) -> Guest {
        let version = Target::Spt.abi_version().unwrap();
        let abi = Abi1::new(Target::Spt, version).knowing(Features::ALL).note();
        Guest::with_notes(code, abi.to_vec(), &[], properties)
    }

    fn with_notes(
        code: Code,
        abi: Vec<u8>,
        devices: &[(&str, DeviceType)],
        properties: &[(u32, u16, &[u8])],
    ) -> Guest {
        let mut manifest = manifest_note(devices);
        manifest.extend(properties_note(devices.len() + 1, properties));
        let groups = [abi, manifest];
        let sample = Sample::with_notes(Target::Spt, Arch::X86_64, &groups);
        Guest::from_sample(with_code(sample, code))
    }

    /// An image whose bss ends at `end`.
    pub(crate) fn with_bss_end(code: Code, end: u64) -> Guest {
        let mut sample = with_code(Sample::new(Target::Spt, Arch::X86_64, &[]), code);
        let bss = &mut sample.segments[BSS];
        bss.p_memsz = end - bss.p_vaddr;
        Guest::from_sample(sample)
    }

    fn from_sample(sample: Sample) -> Guest {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("guest.spt");
        fs::write(&image, sample.bytes()).unwrap();
        Guest { folder, image }
    }

    /// Makes a file beside the image.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A command that runs the tender with these options on the image.
    pub(crate) fn command<O: AsRef<OsStr>>(&self, options: &[O]) -> Command {
        let mut command = tender();
        command.args(options).arg(&self.image);
        command.current_dir(self.folder.path());
        command
    }

    pub(crate) fn run(&self, options: &[&str]) -> Ran {
        Ran::of(&mut self.command(options))
    }
}

fn with_code(mut sample: Sample, code: Code) -> Sample {
    let text = &mut sample.segments[TEXT];
    let (offset, entry) = (text.p_offset, sample.header.e_entry - text.p_vaddr);
    let content = sample.contents.iter_mut().find(|(at, _)| *at == offset);
    let (_, content) = content.expect("a sample has code");
    content.truncate(entry as usize);
    content.extend_from_slice(&code.0);
    assert!(content.len() < 0x1000, "the next page holds data");
    text.p_filesz = content.len() as u64;
    text.p_memsz = content.len() as u64;
    sample.sections.clear();
    sample
}

pub(crate) fn tender() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_solo5-spt"));
    command.stdin(Stdio::null());
    command
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The status as a shell shows it: 128 plus the signal's number for a process that a signal
    /// ended.
    pub(crate) status: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Ran {
        Ran::from(command.output().unwrap())
    }

    /// Asserts the status.
    #[track_caller]
    pub(crate) fn gives(self, status: i32) -> Ran {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts that standard error has this line after the program's name.
    #[track_caller]
    pub(crate) fn says(self, line: &str) -> Ran {
        let whole = format!("solo5-spt: {line}");
        assert!(self.err.lines().any(|found| found == whole), "{whole:?} is missing: {self:?}");
        self
    }

    /// Asserts that standard error has this text somewhere.
    #[track_caller]
    pub(crate) fn mentions(self, text: &str) -> Ran {
        assert!(self.err.contains(text), "{text:?} is missing: {self:?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let status = output.status;
        Ran {
            status: status.code().or(status.signal().map(|signal| 128 + signal)).unwrap(),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
