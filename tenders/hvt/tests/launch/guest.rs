//! Images of a few instructions, and running the tender on them.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use solo5_abi::hvt::Hypercall;
use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target};
use solo5_image::testing::{Sample, TEXT};
use tempfile::TempDir;

pub(crate) const BLOCK: DeviceType = DeviceType::BlockBasic;
pub(crate) const NET: DeviceType = DeviceType::NetBasic;

/// Guest address of hypercall arguments.
pub(crate) const ARGUMENT: u64 = 0x18_0000;
/// Guest address of texts and frames.
pub(crate) const DATA: u64 = 0x19_0000;

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

    /// `mov rax, value`
    pub(crate) fn rax(self, value: u64) -> Code {
        self.bytes(&[0x48, 0xb8]).bytes(&value.to_le_bytes())
    }

    /// `mov [at], rax`
    pub(crate) fn store_rax(self, at: u64) -> Code {
        self.bytes(&[0x48, 0xa3]).bytes(&at.to_le_bytes())
    }

    /// `mov rax, [at]`
    pub(crate) fn load_rax(self, at: u64) -> Code {
        self.bytes(&[0x48, 0xa1]).bytes(&at.to_le_bytes())
    }

    /// Stores a number.
    pub(crate) fn store(self, at: u64, value: u64) -> Code {
        self.rax(value).store_rax(at)
    }

    /// Stores text, padded to whole words.
    pub(crate) fn store_text(mut self, at: u64, text: &[u8]) -> Code {
        for (at, piece) in (at..).step_by(8).zip(text.chunks(8)) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            self = self.store(at, u64::from_le_bytes(word));
        }
        self
    }

    /// `out` of 32 bits.
    pub(crate) fn out(self, port: u16, value: u32) -> Code {
        self.bytes(&[0xb8])
            .bytes(&value.to_le_bytes())
            .bytes(&[0x66, 0xba])
            .bytes(&port.to_le_bytes())
            .bytes(&[0xef])
    }

    /// A hypercall whose argument consists of these words, at [`ARGUMENT`].
    pub(crate) fn call(self, kind: Hypercall, words: &[u64]) -> Code {
        self.call_at(kind, ARGUMENT, words)
    }

    /// A hypercall whose argument consists of these words, at this address.
    pub(crate) fn call_at(mut self, kind: Hypercall, argument: u64, words: &[u64]) -> Code {
        for (at, word) in (argument..).step_by(8).zip(words) {
            self = self.store(at, *word);
        }
        self.out(kind.port(), argument as u32)
    }

    /// Prints text.
    pub(crate) fn print(self, text: &[u8]) -> Code {
        self.store_text(DATA, text).call(Hypercall::Puts, &[DATA, text.len() as u64])
    }

    /// Ends the guest.
    pub(crate) fn exit(self, status: i32) -> Code {
        self.call(Hypercall::Halt, &[0, u64::from(status as u32)])
    }

    /// Ends the guest with the word at this address as its status.
    pub(crate) fn exit_with(self, at: u64) -> Code {
        self.store(ARGUMENT + 64, 0)
            .load_rax(at)
            .store_rax(ARGUMENT + 72)
            .out(Hypercall::Halt.port(), (ARGUMENT + 64) as u32)
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
        let sample = Sample::new(Target::Hvt, Arch::X86_64, devices);
        Guest::from_sample(with_code(sample, code))
    }

    fn from_sample(sample: Sample) -> Guest {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("guest.hvt");
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

/// Address of the first instruction, which lies in the code segment.
pub(crate) fn entry() -> u64 {
    Sample::new(Target::Hvt, Arch::X86_64, &[]).header.e_entry
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

/// The tender to test: the one that the lab names in `SOLO5_HVT`, else the one that Cargo built.
pub(crate) fn tender() -> Command {
    let path = std::env::var_os("SOLO5_HVT");
    let mut command = Command::new(path.unwrap_or(env!("CARGO_BIN_EXE_solo5-hvt").into()));
    command.stdin(Stdio::null());
    command
}

/// Time limit for a guest.
const LIMIT: Duration = Duration::from_secs(20);

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
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Ran::after(child)
    }

    /// Waits for a tender, up to the time limit.
    pub(crate) fn after(mut child: Child) -> Ran {
        let start = Instant::now();
        while start.elapsed() < LIMIT && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        Ran::from(child.wait_with_output().unwrap())
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
        let whole = format!("solo5-hvt: {line}");
        let is_there = self.err.lines().any(|found| found == whole);
        assert!(is_there, "{whole:?} is missing: {self:?}");
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
        let signal = status.signal().map(|signal| 128 + signal);
        Ran {
            status: status.code().or(signal).unwrap(),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Why guests cannot be run here; `None` if they can.
///
/// A KVM counts only if it runs code on the CPU. Some KVMs interpret the guest's instructions. They
/// have no SSE, and take a second for a thousand turns of a loop.
fn missing() -> Option<&'static str> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let probe = || {
        let code = Code::new()
            // mov ecx, 1000000; dec ecx; jnz -4
            .bytes(&[0xb9, 0x40, 0x42, 0x0f, 0x00, 0xff, 0xc9, 0x75, 0xfc])
            // pxor xmm0, xmm0; cvtsi2sd xmm0, ecx; addsd xmm0, xmm0
            .bytes(&[0x66, 0x0f, 0xef, 0xc0, 0xf2, 0x0f, 0x2a, 0xc1, 0xf2, 0x0f, 0x58, 0xc0])
            .exit(7);
        let guest = Guest::new(code, &[]);
        let start = Instant::now();
        let ran = guest.run(&["--mem=2"]);
        match ran.status {
            7 if start.elapsed() < Duration::from_secs(5) => None,
            7 => Some("KVM interprets instructions: too slow".to_owned()),
            _ => Some(ran.err.lines().next().unwrap_or("KVM does not work").to_owned()),
        }
    };
    FOUND.get_or_init(probe).as_deref()
}

/// Whether guests can be run here. If not, prints the reason.
#[must_use]
pub(crate) fn kvm(test: &str) -> bool {
    let missing = missing();
    if let Some(reason) = missing {
        let lab = std::env::var_os("SOLO5_HVT").is_some();
        assert!(!lab, "{test}: the lab has a KVM: {reason}");
        // The test harness captures `println!`.
        let _ = writeln!(std::io::stdout(), "skip: {test}: {reason}; the lab runs it");
    }
    missing.is_none()
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
