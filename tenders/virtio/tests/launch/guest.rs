//! Images of a few instructions, a QEMU that only records, and running the runner.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use solo5_abi::abi1::Abi1;
use solo5_abi::mft1::DeviceType;
use solo5_abi::offer::Features;
use solo5_abi::{Arch, Target};
use solo5_image::testing::{Sample, TEXT, abi_note, manifest_note};
use tempfile::TempDir;

pub(crate) const BLOCK: DeviceType = DeviceType::BlockBasic;
pub(crate) const NET: DeviceType = DeviceType::NetBasic;

/// 32-bit instructions of x86, as a Multiboot loader starts them.
#[derive(Clone, Default)]
pub(crate) struct Code(Vec<u8>);

impl Code {
    pub(crate) fn new() -> Code {
        Code::default()
    }

    fn bytes(mut self, bytes: &[u8]) -> Code {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Writes a byte to a port.
    fn out(self, port: u16, byte: u8) -> Code {
        self.bytes(&[0x66, 0xba]).bytes(&port.to_le_bytes()).bytes(&[0xb0, byte, 0xee])
    }

    /// Prints as the bindings do: a carriage return before each line feed.
    pub(crate) fn print(self, text: &str) -> Code {
        text.replace('\n', "\r\n").bytes().fold(self, |code, byte| code.out(0x3f8, byte))
    }

    /// Tells its status.
    pub(crate) fn status(self, status: u8) -> Code {
        self.out(0x504, status)
    }

    /// Ends the machine as guests of Solo5 0.12 do.
    pub(crate) fn exit(self) -> Code {
        // mov dx, 0x501; mov ax, 41; out dx, ax
        self.bytes(&[0x66, 0xba, 1, 5, 0x66, 0xb8, 41, 0, 0x66, 0xef]).spin()
    }

    /// Resets the machine.
    pub(crate) fn reset(self) -> Code {
        self.out(0x64, 0xfe).spin()
    }

    /// Goes on at an address where there is nothing, which KVM cannot emulate.
    pub(crate) fn leave(self) -> Code {
        // mov eax, 0xe0000000; jmp eax
        self.bytes(&[0xb8, 0, 0, 0, 0xe0, 0xff, 0xe0])
    }

    /// Runs for ever.
    pub(crate) fn spin(self) -> Code {
        self.bytes(&[0xeb, 0xfe])
    }
}

/// An image in a folder of its own.
pub(crate) struct Guest {
    pub(crate) folder: TempDir,
    pub(crate) image: PathBuf,
}

impl Guest {
    /// An image with this code and these devices, as the linker of Solo5 0.12 makes it.
    pub(crate) fn new(code: Code, devices: &[(&str, DeviceType)]) -> Guest {
        Guest::with_abi(code, abi_note(Target::Virtio), devices)
    }

    /// The same with bindings that know more.
    pub(crate) fn with_features(code: Code, devices: &[(&str, DeviceType)]) -> Guest {
        let version = Target::Virtio.abi_version().unwrap();
        let abi = Abi1::new(Target::Virtio, version).knowing(Features::ALL).note();
        Guest::with_abi(code, abi.to_vec(), devices)
    }

    fn with_abi(code: Code, abi: Vec<u8>, devices: &[(&str, DeviceType)]) -> Guest {
        let groups = [abi, manifest_note(devices)];
        let mut sample = Sample::with_notes(Target::Virtio, Arch::X86_64, &groups);
        let text = &mut sample.segments[TEXT];
        let (offset, base) = (text.p_offset, text.p_vaddr);
        let content = sample.contents.iter_mut().find(|(at, _)| *at == offset);
        let (_, content) = content.expect("a sample has code");
        let header = base + content.len() as u64;
        content.extend_from_slice(&multiboot(header as u32, base as u32));
        content.extend_from_slice(&code.0);
        assert!(content.len() < 0x1000, "the next page holds data");
        sample.sections.clear();
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("guest.virtio");
        fs::write(&image, sample.bytes()).unwrap();
        Guest { folder, image }
    }

    /// Makes a file beside the image.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A command that runs the runner with these words, among which `KERNEL` stands for the image. It
    /// runs without KVM, so that the host's does not matter.
    pub(crate) fn command<O: AsRef<OsStr>>(&self, words: &[O]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solo5-virtio-run"));
        command.stdin(Stdio::null()).current_dir(self.folder.path());
        command.args(["-H", "qemu"]);
        for word in words {
            match word.as_ref() {
                word if word == "KERNEL" => command.arg(&self.image),
                word => command.arg(word),
            };
        }
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        Ran::of(&mut self.command(words))
    }

    /// A policy in a file beside the image, as an option.
    pub(crate) fn policy(&self, rules: &str) -> String {
        let content = format!("type: solo5.policy\nversion: 1\nname: node\n{rules}");
        format!("--policy={}", text(&self.file("node.yaml", content.as_bytes())))
    }
}

/// A Multiboot header at address `at` of an image that is loaded to `load`, for code right behind it.
fn multiboot(at: u32, load: u32) -> Vec<u8> {
    const MAGIC: u32 = 0x1bad_b002;
    const FLAGS: u32 = 0x1_0003;
    let checksum = 0_u32.wrapping_sub(MAGIC).wrapping_sub(FLAGS);
    let fields = [MAGIC, FLAGS, checksum, at, load, 0, 0, at + 32];
    fields.iter().flat_map(|field| field.to_le_bytes()).collect()
}

/// A program that takes QEMU's place. It writes its arguments to `words`, one a line, and then does
/// `script`, in which `$kernel` and `$status` are the files that it was told.
pub(crate) struct Fake {
    pub(crate) folder: TempDir,
}

impl Fake {
    pub(crate) fn new(script: &str) -> Fake {
        Fake::of_version("QEMU emulator version 7.2.22 (Debian)", script)
    }

    pub(crate) fn of_version(version: &str, script: &str) -> Fake {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("qemu-system-x86_64");
        let place = folder.path().display();
        let text = format!(
            "#!/bin/sh\n\
             case \"$*\" in *-version) echo '{version}'; exit 0;; esac\n\
             for word in \"$@\"; do printf '%s\\n' \"$word\"; done > {place}/words\n\
             kernel=$(sed -n '/^-kernel$/{{n;p}}' {place}/words)\n\
             status=$(sed -n 's/^file,id=status,path=//p' {place}/words)\n\
             cp \"$kernel\" {place}/kernel\n\
             {script}\n"
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Fake { folder }
    }

    /// `PATH` with this QEMU in front.
    pub(crate) fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.folder.path().display())
    }

    /// The arguments that it got, one a line.
    pub(crate) fn words(&self) -> String {
        fs::read_to_string(self.folder.path().join("words")).unwrap()
    }

    pub(crate) fn run(&self, guest: &Guest, words: &[&str]) -> Ran {
        Ran::of(guest.command(words).env("PATH", self.path()))
    }
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The status as a shell shows it: 128 plus the signal's number for a process that a signal
    /// ended.
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        let status = output.status;
        Ran {
            status: status.code().or(status.signal().map(|signal| 128 + signal)).unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts the status.
    #[track_caller]
    pub(crate) fn gives(self, status: i32) -> Ran {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts that standard error has this text somewhere.
    #[track_caller]
    pub(crate) fn mentions(self, text: &str) -> Ran {
        assert!(self.err.contains(text), "{text:?} is missing: {self:?}");
        self
    }
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
