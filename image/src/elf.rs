//! Layouts and numbers of little-endian ELF64, as far as Solo5 images use them.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Size in bytes of the file header.
pub const FILE_HEADER_SIZE: usize = 64;
/// Size in bytes of a program header.
pub const PROGRAM_HEADER_SIZE: usize = 56;
/// Size in bytes of a section header.
pub const SECTION_HEADER_SIZE: usize = 64;
/// Size in bytes of a symbol.
pub const SYMBOL_SIZE: usize = 24;

/// First four bytes of `e_ident`.
pub const MAGIC: [u8; 4] = *b"\x7fELF";
/// `EI_CLASS`: 64-bit.
pub const CLASS64: u8 = 2;
/// `EI_DATA`: little-endian.
pub const DATA_LE: u8 = 1;
/// `e_type`: an executable at fixed addresses.
pub const ET_EXEC: u16 = 2;
/// `e_type`: a core dump.
pub const ET_CORE: u16 = 4;

/// A segment to load.
pub const PT_LOAD: u32 = 1;
/// Dynamic linking information.
pub const PT_DYNAMIC: u32 = 2;
/// Path of a program interpreter.
pub const PT_INTERP: u32 = 3;
/// Notes.
pub const PT_NOTE: u32 = 4;
/// The program header table itself.
pub const PT_PHDR: u32 = 6;
/// Template of thread-local storage.
pub const PT_TLS: u32 = 7;
/// Access rights of the stack, in `p_flags`.
pub const PT_GNU_STACK: u32 = 0x6474_e551;
/// Memory that a dynamic linker makes read-only after relocation.
pub const PT_GNU_RELRO: u32 = 0x6474_e552;

/// Executable.
pub const PF_X: u32 = 1;
/// Writable.
pub const PF_W: u32 = 2;
/// Readable.
pub const PF_R: u32 = 4;

/// `e_phnum`: the number is `sh_info` of section 0.
pub const PN_XNUM: u16 = 0xffff;
/// `e_shstrndx` and `st_shndx`: the index does not fit into 16 bits and is stored elsewhere.
pub const SHN_XINDEX: u16 = 0xffff;
/// The first `st_shndx` that is not the index of a section.
pub const SHN_LORESERVE: u16 = 0xff00;

/// Symbols.
pub const SHT_SYMTAB: u32 = 2;
/// Section type: names.
pub const SHT_STRTAB: u32 = 3;
/// Relocations with addends.
pub const SHT_RELA: u32 = 4;
/// Notes.
pub const SHT_NOTE: u32 = 7;
/// Space without content.
pub const SHT_NOBITS: u32 = 8;
/// Relocations without addends.
pub const SHT_REL: u32 = 9;
/// Section indices of symbols that do not fit into `st_shndx`.
pub const SHT_SYMTAB_SHNDX: u32 = 18;
/// Writable at run time.
pub const SHF_WRITE: u64 = 1;
/// Occupies memory at run time.
pub const SHF_ALLOC: u64 = 2;
/// Executable at run time.
pub const SHF_EXECINSTR: u64 = 4;
/// Its content is compressed.
pub const SHF_COMPRESSED: u64 = 0x800;

/// `st_shndx` of an undefined symbol.
pub const SHN_UNDEF: u16 = 0;
/// `st_shndx` of a symbol with an absolute value.
pub const SHN_ABS: u16 = 0xfff1;
/// Symbol type of a symbol without a declared type, such as a label in assembly.
pub const STT_NOTYPE: u8 = 0;
/// Symbol type of a function resolved at start.
pub const STT_GNU_IFUNC: u8 = 10;
/// Symbol type of data.
pub const STT_OBJECT: u8 = 1;
/// Symbol type of a function.
pub const STT_FUNC: u8 = 2;
/// Symbol type of a section.
pub const STT_SECTION: u8 = 3;
/// Symbol type of a source file's name.
pub const STT_FILE: u8 = 4;
/// Symbol binding that may stay undefined.
pub const STB_WEAK: u8 = 2;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawFileHeader {
    pub(crate) ident: [u8; 16],
    e_type: U16,
    e_machine: U16,
    e_version: U32,
    e_entry: U64,
    e_phoff: U64,
    e_shoff: U64,
    e_flags: U32,
    e_ehsize: U16,
    e_phentsize: U16,
    e_phnum: U16,
    e_shentsize: U16,
    e_shnum: U16,
    e_shstrndx: U16,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawProgramHeader {
    p_type: U32,
    p_flags: U32,
    p_offset: U64,
    p_vaddr: U64,
    p_paddr: U64,
    p_filesz: U64,
    p_memsz: U64,
    p_align: U64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawSectionHeader {
    sh_name: U32,
    sh_type: U32,
    sh_flags: U64,
    sh_addr: U64,
    sh_offset: U64,
    sh_size: U64,
    sh_link: U32,
    sh_info: U32,
    sh_addralign: U64,
    sh_entsize: U64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawSymbol {
    st_name: U32,
    st_info: u8,
    st_other: u8,
    st_shndx: U16,
    st_value: U64,
    st_size: U64,
}

const _: () = {
    assert!(size_of::<RawFileHeader>() == FILE_HEADER_SIZE);
    assert!(size_of::<RawProgramHeader>() == PROGRAM_HEADER_SIZE);
    assert!(size_of::<RawSectionHeader>() == SECTION_HEADER_SIZE);
    assert!(size_of::<RawSymbol>() == SYMBOL_SIZE);
};

/// The file header, by the names of the ELF specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the ELF specification documents these names")]
pub struct FileHeader {
    pub ident: [u8; 16],
    pub e_type: u16,
    pub e_machine: u16,
    pub e_version: u32,
    pub e_entry: u64,
    pub e_phoff: u64,
    pub e_shoff: u64,
    pub e_flags: u32,
    pub e_ehsize: u16,
    pub e_phentsize: u16,
    pub e_phnum: u16,
    pub e_shentsize: u16,
    pub e_shnum: u16,
    pub e_shstrndx: u16,
}

/// A program header, by the names of the ELF specification. Sizes and offsets in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the ELF specification documents these names")]
pub struct ProgramHeader {
    pub p_type: u32,
    pub p_flags: u32,
    pub p_offset: u64,
    pub p_vaddr: u64,
    pub p_filesz: u64,
    pub p_memsz: u64,
    pub p_align: u64,
}

/// A section header, by the names of the ELF specification. Sizes and offsets in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the ELF specification documents these names")]
pub struct SectionHeader {
    pub sh_name: u32,
    pub sh_type: u32,
    pub sh_flags: u64,
    pub sh_addr: u64,
    pub sh_offset: u64,
    pub sh_size: u64,
    pub sh_link: u32,
    pub sh_info: u32,
    pub sh_entsize: u64,
}

/// A symbol, by the names of the ELF specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the ELF specification documents these names")]
pub struct Symbol {
    pub st_name: u32,
    pub st_info: u8,
    pub st_shndx: u16,
    pub st_value: u64,
    pub st_size: u64,
    /// Index of its section, even if it does not fit into `st_shndx`. `None` for a symbol without a
    /// section: undefined, absolute, or with another reserved index.
    pub section: Option<u32>,
}

impl FileHeader {
    pub(crate) fn decode(raw: &RawFileHeader) -> FileHeader {
        FileHeader {
            ident: raw.ident,
            e_type: raw.e_type.get(),
            e_machine: raw.e_machine.get(),
            e_version: raw.e_version.get(),
            e_entry: raw.e_entry.get(),
            e_phoff: raw.e_phoff.get(),
            e_shoff: raw.e_shoff.get(),
            e_flags: raw.e_flags.get(),
            e_ehsize: raw.e_ehsize.get(),
            e_phentsize: raw.e_phentsize.get(),
            e_phnum: raw.e_phnum.get(),
            e_shentsize: raw.e_shentsize.get(),
            e_shnum: raw.e_shnum.get(),
            e_shstrndx: raw.e_shstrndx.get(),
        }
    }

    /// The header stored in `bytes`, without any check.
    pub fn parse(bytes: &[u8; FILE_HEADER_SIZE]) -> FileHeader {
        FileHeader::decode(&zerocopy::transmute!(*bytes))
    }

    /// The header as stored.
    pub fn encode(&self) -> [u8; FILE_HEADER_SIZE] {
        zerocopy::transmute!(RawFileHeader {
            ident: self.ident,
            e_type: self.e_type.into(),
            e_machine: self.e_machine.into(),
            e_version: self.e_version.into(),
            e_entry: self.e_entry.into(),
            e_phoff: self.e_phoff.into(),
            e_shoff: self.e_shoff.into(),
            e_flags: self.e_flags.into(),
            e_ehsize: self.e_ehsize.into(),
            e_phentsize: self.e_phentsize.into(),
            e_phnum: self.e_phnum.into(),
            e_shentsize: self.e_shentsize.into(),
            e_shnum: self.e_shnum.into(),
            e_shstrndx: self.e_shstrndx.into(),
        })
    }
}

impl ProgramHeader {
    /// The headers of a table. An incomplete header at its end is ignored.
    pub fn table(bytes: &[u8]) -> Vec<ProgramHeader> {
        bytes
            .chunks_exact(PROGRAM_HEADER_SIZE)
            .filter_map(|chunk| RawProgramHeader::ref_from_bytes(chunk).ok())
            .map(ProgramHeader::decode)
            .collect()
    }

    pub(crate) fn decode(raw: &RawProgramHeader) -> ProgramHeader {
        ProgramHeader {
            p_type: raw.p_type.get(),
            p_flags: raw.p_flags.get(),
            p_offset: raw.p_offset.get(),
            p_vaddr: raw.p_vaddr.get(),
            p_filesz: raw.p_filesz.get(),
            p_memsz: raw.p_memsz.get(),
            p_align: raw.p_align.get(),
        }
    }

    /// The header as stored, its physical address equal to the virtual one.
    pub fn encode(&self) -> [u8; PROGRAM_HEADER_SIZE] {
        zerocopy::transmute!(RawProgramHeader {
            p_type: self.p_type.into(),
            p_flags: self.p_flags.into(),
            p_offset: self.p_offset.into(),
            p_vaddr: self.p_vaddr.into(),
            p_paddr: self.p_vaddr.into(),
            p_filesz: self.p_filesz.into(),
            p_memsz: self.p_memsz.into(),
            p_align: self.p_align.into(),
        })
    }

    /// Whether it is a PT_LOAD with content or memory. Linkers leave empty ones at address 0 for
    /// sections that turned out empty (`docs/reference/toolchain.md#scripts`).
    pub fn is_load(&self) -> bool {
        self.p_type == PT_LOAD && (self.p_filesz > 0 || self.p_memsz > 0)
    }

    /// Whether all `flags` (`PF_R`, `PF_W`, `PF_X`) are set.
    pub fn has(&self, flags: u32) -> bool {
        self.p_flags & flags == flags
    }
}

impl SectionHeader {
    pub(crate) fn decode(raw: &RawSectionHeader) -> SectionHeader {
        SectionHeader {
            sh_name: raw.sh_name.get(),
            sh_type: raw.sh_type.get(),
            sh_flags: raw.sh_flags.get(),
            sh_addr: raw.sh_addr.get(),
            sh_offset: raw.sh_offset.get(),
            sh_size: raw.sh_size.get(),
            sh_link: raw.sh_link.get(),
            sh_info: raw.sh_info.get(),
            sh_entsize: raw.sh_entsize.get(),
        }
    }

    /// The header as stored, with an `sh_addralign` of 1.
    pub fn encode(&self) -> [u8; SECTION_HEADER_SIZE] {
        zerocopy::transmute!(RawSectionHeader {
            sh_name: self.sh_name.into(),
            sh_type: self.sh_type.into(),
            sh_flags: self.sh_flags.into(),
            sh_addr: self.sh_addr.into(),
            sh_offset: self.sh_offset.into(),
            sh_size: self.sh_size.into(),
            sh_link: self.sh_link.into(),
            sh_info: self.sh_info.into(),
            sh_addralign: 1.into(),
            sh_entsize: self.sh_entsize.into(),
        })
    }
}

impl Symbol {
    /// The symbol stored as `raw`. `extended` is its entry in an SHT_SYMTAB_SHNDX table, if there is
    /// one.
    pub(crate) fn decode(raw: &RawSymbol, extended: Option<u32>) -> Symbol {
        let section = match raw.st_shndx.get() {
            SHN_UNDEF => None,
            SHN_XINDEX => extended,
            reserved if reserved >= SHN_LORESERVE => None,
            index => Some(index.into()),
        };
        Symbol {
            section,
            st_name: raw.st_name.get(),
            st_info: raw.st_info,
            st_shndx: raw.st_shndx.get(),
            st_value: raw.st_value.get(),
            st_size: raw.st_size.get(),
        }
    }

    /// The symbol as stored.
    pub fn encode(&self) -> [u8; SYMBOL_SIZE] {
        zerocopy::transmute!(RawSymbol {
            st_name: self.st_name.into(),
            st_info: self.st_info,
            st_other: 0,
            st_shndx: self.st_shndx.into(),
            st_value: self.st_value.into(),
            st_size: self.st_size.into(),
        })
    }

    /// Its type, `STT_…`.
    pub fn kind(&self) -> u8 {
        self.st_info & 0xf
    }

    /// Its binding, `STB_…`.
    pub fn binding(&self) -> u8 {
        self.st_info >> 4
    }
}
