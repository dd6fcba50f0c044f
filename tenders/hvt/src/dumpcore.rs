//! Writes a guest's memory and registers as an ELF core file (`docs/reference/hvt.md#dumpcore`).
//!
//! The file is created before the tender enters the sandbox, and removed from inside it if the
//! guest ends normally. Pages that the guest never touched are holes in the file.

use std::ffi::{CString, OsStr, OsString};
use std::fmt::Write;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Access, AtFlags, Mode, OFlags};
use solo5_abi::hvt::MEMORY_GRANULE;
use solo5_tender::error::Error;
use solo5_tender::memory::Allegation;
use solo5_tender::seccomp::calls::{MINCORE, PWRITE64, UNLINKAT};
use solo5_tender::seccomp::{Condition, Rule, Test};
use solo5_tender::sys::Errno;
use solo5_tender::sys::image::page_size;

use crate::arch::TrapFrame;
use crate::arch::core_file::{self, MACHINE, REGISTERS};
use crate::fault::Text;
use crate::memory::{SharedMemory, Use};
use crate::signals;
use crate::vm::Vcpu;

const PAGE: u64 = 0x1000;
/// File offset of guest memory.
const MEMORY_AT: u64 = PAGE;

/// The core file of a guest.
#[derive(Debug)]
pub struct Dump {
    file: RawFd,
    directory: RawFd,
    path: OsString,
}

fn failed(what: &str) -> impl FnOnce(Errno) -> Error {
    let what = what.to_owned();
    move |error| Error::Dumpcore { what, error }
}

/// Opens a directory in which the file can be created.
fn open(directory: &OsStr) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty());
    let opened = opened.map_err(failed("cannot open dir"))?;
    rustix::fs::accessat(&opened, c".", Access::WRITE_OK, AtFlags::empty())
        .map_err(failed("dir not writable"))?;
    Ok(opened)
}

/// Checks that the file could be created in `directory`.
///
/// # Errors
///
/// Why not.
pub fn check(directory: &OsStr) -> Result<(), Error> {
    open(directory).map(drop)
}

impl Dump {
    /// Creates the file in `directory`, for a guest with `memory` bytes of memory.
    pub fn create(directory: &OsStr, memory: u64) -> Result<Dump, Error> {
        let opened = open(directory)?;
        let name = format!("core.solo5-hvt.{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&opened, name.as_str(), flags, Mode::RUSR | Mode::WUSR);
        let file = file.map_err(failed(&format!("open({name})")))?;
        // Sets the full size now, so that the file also ends with a hole after the last page
        // written.
        let sized = rustix::fs::ftruncate(&file, MEMORY_AT + memory);
        let mut path = directory.to_owned();
        path.push("/");
        path.push(&name);
        let (file, directory) = (file.into_raw_fd(), opened.into_raw_fd());
        // The name has no NUL: letters, digits, dots and a hyphen.
        signals::remove_unless_kept(directory, CString::new(name).unwrap_or_default());
        let dump = Dump { file, directory, path };
        if let Err(error) = sized {
            dump.remove();
            return Err(failed("ftruncate")(error));
        }
        Ok(dump)
    }

    /// The directory, from which the file may still have to be removed.
    pub fn directory(&self) -> RawFd {
        self.directory.as_raw_fd()
    }

    /// The descriptors that must stay open.
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.file, self.directory]
    }

    /// The file.
    pub fn file(&self) -> RawFd {
        self.file
    }

    /// Removes the file, because the guest has ended normally.
    pub fn remove(&self) {
        signals::remove_file();
    }

    /// Writes the core, with the guest's current registers, or with those of `trap` if the guest
    /// reported one.
    pub fn write(
        &self,
        vcpu: &Vcpu,
        memory: &SharedMemory,
        trap: Option<TrapFrame>,
        program: &str,
    ) {
        signals::keep_file();
        let mut text = Text::new();
        let path = self.path.as_bytes();
        let _ = write!(text, "{program}: dumpcore: dumping guest core to: ");
        for piece in path.utf8_chunks() {
            let _ = text.write_str(piece.valid());
        }
        let _ = writeln!(text);
        let load = |at| memory.load(at).ok();
        let registers = core_file::registers(vcpu.kvm(), trap.as_ref(), load);
        let head = head(memory.size(), &registers, trap.is_some());
        let mut complete = self.put(&head, 0);
        let mut dumped = 0;
        let page = page_size();
        for first in (0..memory.size()).step_by(GRANULE as usize) {
            let mut vector = [0; (GRANULE / PAGE) as usize];
            let resident = vector.get_mut(..(GRANULE / page) as usize).unwrap_or_default();
            if memory.resident(first, resident).is_err() {
                complete = false;
                continue;
            }
            let present = (first..).step_by(page as usize).zip(resident);
            for (at, _) in present.filter(|(_, present)| **present & 1 != 0) {
                let written = self.page(memory, at, page);
                complete &= written;
                dumped += u64::from(written);
            }
        }
        let total = memory.size() / page;
        let _ = writeln!(text, "{program}: dumpcore: dumped {dumped} pages of total {total} pages");
        if !complete {
            let _ = writeln!(
                text,
                "{program}: dumpcore: error(s) dumping core, file may be incomplete"
            );
        }
        crate::end::say(crate::end::STDERR, &text);
    }

    fn page(&self, memory: &SharedMemory, at: u64, size: u64) -> bool {
        let Ok(mut piece) = memory.piece(Allegation::new(at, size), Use::Read) else {
            // Pages without read access are left out.
            return false;
        };
        let mut offset = MEMORY_AT + at;
        while piece.length() > 0 {
            match piece.write_at(self.file, offset as i64) {
                Ok(count) if count > 0 => {
                    piece = piece.skip(count);
                    offset += count as u64;
                }
                _ => return false,
            }
        }
        true
    }

    fn put(&self, bytes: &[u8], offset: libc::off_t) -> bool {
        // SAFETY: the pointer and length are those of `bytes`.
        let count = unsafe { libc::pwrite(self.file, bytes.as_ptr().cast(), bytes.len(), offset) };
        usize::try_from(count) == Ok(bytes.len())
    }
}

/// The system calls a dump needs; a descriptor that is not open yet is -1.
pub fn rules(vcpu: RawFd, file: RawFd, directory: RawFd) -> Vec<Rule> {
    let core = vec![Condition::descriptor(file, "the core file")];
    // An `int` argument: the C library may pass anything in the upper half.
    let directory = Condition::new(0, "fd", Test::low(directory as u32));
    let directory = directory.meaning("the directory of the core file");
    let length = Condition::new(1, "length", Test::Equal(GRANULE));
    let mut rules = core_file::rules(vcpu);
    rules.extend([
        Rule::allow(MINCORE, vec![length], "dumpcore: which pages are resident"),
        Rule::allow(PWRITE64, core, "dumpcore: writing"),
        Rule::allow(UNLINKAT, vec![directory], "dumpcore: removing an unneeded core file"),
    ]);
    rules
}

/// Bytes of guest memory per query.
const GRANULE: u64 = MEMORY_GRANULE;

const EHDR: usize = 64;
const PHDR: usize = 56;
/// Where registers are in Linux's `struct elf_prstatus`, of which only they differ.
const REGISTERS_AT: usize = 112;
const PRSTATUS: usize = REGISTERS_AT + 8 * REGISTERS + 8;
const NOTE: usize = 12 + 8 + PRSTATUS;
const HEAD: usize = EHDR + 2 * PHDR + NOTE;

/// The start of the file, before guest memory: headers, and the note with the registers.
fn head(memory: u64, registers: &[u64; REGISTERS], trapped: bool) -> [u8; HEAD] {
    let mut out = Bytes([0; HEAD]);
    // ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_STANDALONE
    out.put(0, &[0x7f, b'E', b'L', b'F', 2, 1, 1, 255]);
    out.put(16, &4u16.to_le_bytes()); // ET_CORE
    out.put(18, &MACHINE.to_le_bytes());
    out.put(20, &1u32.to_le_bytes());
    out.word(32, EHDR as u64);
    out.put(52, &(EHDR as u16).to_le_bytes());
    out.put(54, &(PHDR as u16).to_le_bytes());
    out.put(56, &2u16.to_le_bytes());

    let note_at = EHDR + 2 * PHDR;
    out.put(EHDR, &4u32.to_le_bytes()); // PT_NOTE
    out.put(EHDR + 4, &4u32.to_le_bytes()); // PF_R
    out.word(EHDR + 8, note_at as u64);
    out.word(EHDR + 32, NOTE as u64);
    out.word(EHDR + 48, 4);
    let load = EHDR + PHDR;
    out.put(load, &1u32.to_le_bytes()); // PT_LOAD
    out.put(load + 4, &7u32.to_le_bytes()); // PF_R | PF_W | PF_X
    out.word(load + 8, MEMORY_AT);
    out.word(load + 32, memory);
    out.word(load + 40, memory);
    out.word(load + 48, PAGE);

    out.put(note_at, &5u32.to_le_bytes());
    out.put(note_at + 4, &(PRSTATUS as u32).to_le_bytes());
    out.put(note_at + 8, &1u32.to_le_bytes()); // NT_PRSTATUS
    out.put(note_at + 12, b"CORE\0");
    let status = note_at + 20;
    // SIGSEGV or SIGABRT.
    let signal: u16 = if trapped { 11 } else { 6 };
    out.put(status + 12, &signal.to_le_bytes());
    for (index, value) in registers.iter().enumerate() {
        out.word(status + REGISTERS_AT + index * 8, *value);
    }
    out.0
}

struct Bytes([u8; HEAD]);

impl Bytes {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        // All offsets are constants of the format and in bounds.
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn word(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn readelf_reads_the_head() {
        let mut registers = [0; REGISTERS];
        (registers[10], registers[16]) = (7, 0x10_0123);
        let head = head(1 << 21, &registers, false);
        assert_eq!(head.len(), 0xb0 + NOTE);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), head).unwrap();
        let ran = Command::new("readelf").args(["-W", "-h", "-l", "-n"]).arg(file.path()).output();
        let text = String::from_utf8(ran.unwrap().stdout).unwrap();
        for expected in [
            "CORE (Core file)",
            &format!("NOTE           0x0000b0 0x0000000000000000 0x0000000000000000 0x{NOTE:06x}"),
            "LOAD           0x001000 0x0000000000000000 0x0000000000000000 0x200000 0x200000 RWE 0x1000",
            &format!("CORE                 0x{PRSTATUS:08x}\tNT_PRSTATUS"),
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let register = |index: usize| {
            let at = 0xb0 + 20 + 112 + index * 8;
            u64::from_le_bytes(head[at..at + 8].try_into().unwrap())
        };
        assert_eq!((register(10), register(16)), (7, 0x10_0123));
    }
}
