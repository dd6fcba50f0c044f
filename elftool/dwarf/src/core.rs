//! ELF core files of x86_64, as `solo5-hvt-debug --dumpcore` and Linux write them: the registers of
//! the first thread, and memory.

use std::fmt;

use solo5_abi::note::Notes;
use solo5_image::elf::{self, ProgramHeader};
use solo5_image::numbers::program_headers;
use solo5_image::read::read_vec;
use solo5_image::{Foreign, ReadAt, ReadError};

use crate::unwind::Registers;

/// Type of a note with a thread's registers.
const NT_PRSTATUS: u32 = 1;
/// Owner of that note.
const OWNER: &[u8] = b"CORE\0";
/// Offset of the signal in its descriptor, 16 bits.
const SIGNAL_AT: usize = 12;
/// Offset of the registers in its descriptor, Linux's `user_regs_struct`.
const REGISTERS_AT: usize = 112;
/// For each register of `user_regs_struct`, in its order: DWARF's number, or `None` if it is not
/// kept.
const ORDER: [Option<u16>; 20] = [
    Some(15),
    Some(14),
    Some(13),
    Some(12),
    Some(6),
    Some(3),
    Some(11),
    Some(10),
    Some(9),
    Some(8),
    Some(0),
    Some(2),
    Some(1),
    Some(4),
    Some(5),
    None,
    Some(Registers::RIP),
    None,
    None,
    Some(Registers::RSP),
];
/// Most segments of memory kept; Linux's cores have hundreds.
const LOADS_MAX: usize = 4096;
/// Most program headers read.
const HEADERS_MAX: usize = 256 * 1024;
/// Most PT_NOTEs read; a core has one.
const NOTE_SEGMENTS_MAX: usize = 16;
/// Most bytes read of one PT_NOTE.
const NOTES_MAX: usize = 1 << 20;

/// Why a core file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreError {
    /// A read failed.
    Read(ReadError),
    /// Not a little-endian 64-bit ELF file of type ET_CORE; what it is instead, if that is known.
    NoCore(Option<Foreign>),
    /// The core of a machine that is not supported, with its `e_machine`.
    Machine(u16),
    /// No note has the registers of a thread.
    NoRegisters,
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CoreError::Read(error) => write!(f, "{error}"),
            CoreError::NoCore(Some(foreign)) => write!(f, "{foreign}, not an ELF core file"),
            CoreError::NoCore(None) => write!(f, "not an ELF core file"),
            CoreError::Machine(number) => {
                write!(f, "a core of machine {number}; only cores of x86_64 can be read")
            }
            CoreError::NoRegisters => write!(f, "the core has no NT_PRSTATUS note"),
        }
    }
}

impl std::error::Error for CoreError {}

/// A core file.
pub struct Core<'a> {
    reader: &'a dyn ReadAt,
    loads: Vec<ProgramHeader>,
    /// The signal that ended the first thread.
    pub signal: u16,
    /// The registers of the first thread.
    pub registers: Registers,
}

impl<'a> Core<'a> {
    /// Reads its headers and registers.
    pub fn read(reader: &'a dyn ReadAt) -> Result<Core<'a>, CoreError> {
        let mut bytes = [0; elf::FILE_HEADER_SIZE];
        reader.read_at(0, &mut bytes).map_err(CoreError::Read)?;
        let header = elf::FileHeader::parse(&bytes);
        let is_core = header.ident.starts_with(&elf::MAGIC)
            && header.ident.get(4..6) == Some(&[elf::CLASS64, elf::DATA_LE])
            && header.e_type == elf::ET_CORE
            && usize::from(header.e_phentsize) == elf::PROGRAM_HEADER_SIZE;
        if !is_core {
            return Err(CoreError::NoCore(Foreign::of(reader)));
        }
        if header.e_machine != solo5_abi::Arch::X86_64.e_machine() {
            return Err(CoreError::Machine(header.e_machine));
        }
        let count = program_headers(reader, &header).map_err(CoreError::Read)?;
        let count = usize::try_from(count).unwrap_or(HEADERS_MAX).min(HEADERS_MAX);
        let size = count * elf::PROGRAM_HEADER_SIZE;
        let table = read_vec(reader, header.e_phoff, size).map_err(CoreError::Read)?;
        let mut loads = ProgramHeader::table(&table);
        let notes: Vec<_> = loads
            .iter()
            .filter(|header| header.p_type == elf::PT_NOTE)
            .take(NOTE_SEGMENTS_MAX)
            .map(|header| (header.p_offset, header.p_filesz))
            .collect();
        loads.retain(|header| header.is_load() && header.p_filesz > 0);
        loads.truncate(LOADS_MAX);
        for (offset, size) in notes {
            let size = usize::try_from(size).unwrap_or(NOTES_MAX).min(NOTES_MAX);
            let bytes = read_vec(reader, offset, size).map_err(CoreError::Read)?;
            if let Some((signal, registers)) = status(&bytes) {
                return Ok(Core { reader, loads, signal, registers });
            }
        }
        Err(CoreError::NoRegisters)
    }

    /// Fills `out` with memory from `address` on; false if the core does not hold all of it.
    pub fn memory(&self, address: u64, out: &mut [u8]) -> bool {
        let length = out.len() as u64;
        let place = |load: &ProgramHeader| {
            let at = address.checked_sub(load.p_vaddr)?;
            let held = at.checked_add(length)? <= load.p_filesz;
            load.p_offset.checked_add(at).filter(|_| held)
        };
        let offset = self.loads.iter().find_map(place);
        offset.is_some_and(|offset| self.reader.read_at(offset, out) == Ok(out.len()))
    }

    /// The 64-bit word at `address`.
    pub fn word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        let held = self.memory(address, &mut word);
        held.then_some(u64::from_le_bytes(word))
    }
}

/// The first thread's signal and registers in a PT_NOTE.
fn status(notes: &[u8]) -> Option<(u16, Registers)> {
    let mut all = Notes::new(notes).flatten();
    let note = all.find(|note| note.is(OWNER, NT_PRSTATUS))?;
    let bytes = note.descriptor;
    let signal = u16::from_le_bytes(*bytes.get(SIGNAL_AT..)?.first_chunk()?);
    let words = bytes.get(REGISTERS_AT..)?.chunks_exact(8);
    if words.len() < ORDER.len() {
        return None;
    }
    let mut registers = Registers::default();
    for (word, number) in words.zip(ORDER) {
        if let (Some(number), Some(word)) = (number, word.first_chunk()) {
            registers.set(number, Some(u64::from_le_bytes(*word)));
        }
    }
    Some((signal, registers))
}
