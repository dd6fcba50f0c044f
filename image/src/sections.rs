//! Sections and symbols. They are evidence: they tell in which section and symbol an error lies. The
//! loader does not use them, so an error in them never makes an image invalid.

use std::fmt;
use std::ops::ControlFlow;

use zerocopy::FromBytes;

use crate::elf::{self, FileHeader, RawSectionHeader, RawSymbol, SectionHeader, Symbol};
use crate::numbers;
use crate::read::{ReadAt, ReadError, read_vec};

/// Most sections read.
pub const SECTIONS_MAX: usize = 128 * 1024;
/// Most bytes of section names read.
pub const NAMES_MAX: usize = 16 * 1024 * 1024;
/// Most symbols visited.
pub const SYMBOLS_MAX: u64 = 1024 * 1024;
/// Most bytes of symbols' names read at once.
pub const STRINGS_MAX: usize = 16 * 1024 * 1024;
/// Longest name of a section kept, in bytes. [`Sections::visit_named`] also cuts symbol names to this.
pub const NAME_MAX: usize = 256;
/// Longest name of a symbol that [`Sections::symbol_name`] keeps, in bytes. Mangled names are long, and
/// a truncated one cannot be demangled.
pub const SYMBOL_NAME_MAX: usize = 4096;

/// Symbols read in one step.
const SYMBOLS_STEP: usize = 2048;

/// Why the section headers cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionError {
    /// A read failed.
    Read(ReadError),
    /// The table or the section names reach past the end of the file.
    Short,
    /// `e_shentsize` is not 64.
    EntrySize(u16),
    /// More than [`SECTIONS_MAX`] sections.
    Many(u64),
    /// More than [`NAMES_MAX`] bytes of section names.
    LongNames(u64),
    /// `e_shstrndx`, or its replacement in section 0, is not the index of a section.
    Names(u32),
    /// The symbol table, or the table with its section indices, reaches past the end of the file.
    ShortSymbols,
    /// More than [`SYMBOLS_MAX`] symbols.
    ManySymbols(u64),
    /// Symbols refer to an SHT_SYMTAB_SHNDX table that is missing.
    NoSymbolSections,
    /// `sh_link` of the symbol table is not the index of a string table.
    SymbolNames(u32),
    /// The names of symbols reach past the end of the file.
    ShortSymbolNames,
}

impl fmt::Display for SectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SectionError::Read(error) => write!(f, "the section headers cannot be read: {error}"),
            SectionError::Short => write!(f, "the section headers reach past the end of the file"),
            SectionError::EntrySize(size) => write!(f, "e_shentsize is {size}, expected 64"),
            SectionError::Many(count) => write!(f, "{count} sections, at most {SECTIONS_MAX}"),
            SectionError::LongNames(size) => {
                write!(f, "{size} bytes of section names, at most {NAMES_MAX}")
            }
            SectionError::Names(index) => write!(f, "e_shstrndx {index} is not a section"),
            SectionError::ShortSymbols => write!(f, "the symbols reach past the end of the file"),
            SectionError::ManySymbols(count) => write!(f, "{count} symbols, at most {SYMBOLS_MAX}"),
            SectionError::NoSymbolSections => {
                write!(f, "the symbols refer to a missing table (SHT_SYMTAB_SHNDX)")
            }
            SectionError::SymbolNames(link) => {
                write!(f, "sh_link {link} of the symbol table is not a table of names")
            }
            SectionError::ShortSymbolNames => {
                write!(f, "the names of symbols reach past the end of the file")
            }
        }
    }
}

impl std::error::Error for SectionError {}

/// A section: its name and header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Its header.
    pub header: SectionHeader,
}

impl Section {
    /// Whether all `flags` (`SHF_…`) are set.
    pub fn has(&self, flags: u64) -> bool {
        self.header.sh_flags & flags == flags
    }
}

/// The sections of an image.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    list: Vec<Section>,
}

impl Sections {
    /// Reads section headers and names. An image without any is valid.
    pub fn read<R: ReadAt + ?Sized>(
        reader: &R,
        header: &FileHeader,
    ) -> Result<Sections, SectionError> {
        if header.e_shoff == 0 {
            return Ok(Sections::default());
        }
        if usize::from(header.e_shentsize) != elf::SECTION_HEADER_SIZE {
            return Err(SectionError::EntrySize(header.e_shentsize));
        }
        let first = numbers::section_0(reader, header).map_err(SectionError::Read)?;
        let first = first.ok_or(SectionError::Short)?;
        let count = match header.e_shnum {
            0 => first.sh_size,
            count => count.into(),
        };
        let names_at = match header.e_shstrndx {
            elf::SHN_XINDEX => first.sh_link,
            index => index.into(),
        };
        let many = SectionError::Many(count);
        let count =
            usize::try_from(count).ok().filter(|count| *count <= SECTIONS_MAX).ok_or(many)?;
        if count == 0 {
            return Ok(Sections::default());
        }
        let want = count * elf::SECTION_HEADER_SIZE;
        let table = read_vec(reader, header.e_shoff, want).map_err(SectionError::Read)?;
        if table.len() < want {
            return Err(SectionError::Short);
        }
        let headers: Vec<SectionHeader> = table
            .chunks_exact(elf::SECTION_HEADER_SIZE)
            .filter_map(|chunk| RawSectionHeader::ref_from_bytes(chunk).ok())
            .map(SectionHeader::decode)
            .collect();
        let fault = SectionError::Names(names_at);
        let names = usize::try_from(names_at).ok().and_then(|at| headers.get(at)).ok_or(fault)?;
        let long = SectionError::LongNames(names.sh_size);
        let length =
            usize::try_from(names.sh_size).ok().filter(|size| *size <= NAMES_MAX).ok_or(long)?;
        let names = read_vec(reader, names.sh_offset, length).map_err(SectionError::Read)?;
        if names.len() < length {
            return Err(SectionError::Short);
        }
        let list = headers
            .into_iter()
            .map(|header| {
                let rest = usize::try_from(header.sh_name).ok().and_then(|at| names.get(at..));
                Section { name: text(cut(rest.unwrap_or_default())), header }
            })
            .collect();
        Ok(Sections { list })
    }

    /// Every section, in table order; the first is the null section.
    pub fn all(&self) -> &[Section] {
        &self.list
    }

    /// The first section called `name`.
    pub fn find(&self, name: &str) -> Option<&Section> {
        self.list.iter().find(|section| section.name == name)
    }

    /// The section loaded at `address`.
    pub fn at_address(&self, address: u64) -> Option<&Section> {
        self.list.iter().find(|section| {
            section.has(elf::SHF_ALLOC)
                && address.wrapping_sub(section.header.sh_addr) < section.header.sh_size
        })
    }

    /// The section whose content is at `offset` in the file.
    pub fn at_offset(&self, offset: u64) -> Option<&Section> {
        self.list.iter().find(|section| {
            section.header.sh_type != elf::SHT_NOBITS
                && offset.wrapping_sub(section.header.sh_offset) < section.header.sh_size
        })
    }

    /// The content of a section, as far as the file holds it; empty if it has more than `most` bytes.
    pub fn content<R: ReadAt + ?Sized>(&self, reader: &R, section: &Section, most: u64) -> Vec<u8> {
        let size = section.header.sh_size;
        if section.header.sh_type == elf::SHT_NOBITS || size > most {
            return Vec::new();
        }
        let length = usize::try_from(size).unwrap_or(0);
        read_vec(reader, section.header.sh_offset, length).unwrap_or_default()
    }

    /// Visits the symbols in order until `visit` breaks.
    ///
    /// # Errors
    ///
    /// Some symbols could not be visited: a read failed, the file ends before them, or there are more
    /// than [`SYMBOLS_MAX`]. Or all were visited, and their sections or their names cannot be found.
    pub fn visit_symbols<R: ReadAt + ?Sized>(
        &self,
        reader: &R,
        mut visit: impl FnMut(&Symbol) -> ControlFlow<()>,
    ) -> Result<(), SectionError> {
        let Some((table_at, table)) = self.symbol_table() else {
            return Ok(());
        };
        let extended = self.symbol_sections(table_at);
        let size = elf::SYMBOL_SIZE as u64;
        let all = table.header.sh_size / size;
        let count = all.min(SYMBOLS_MAX);
        let mut index = 0;
        let mut lost = false;
        while index < count {
            let step = (count - index).min(SYMBOLS_STEP as u64);
            let bytes = part(reader, &table.header, index, step, elf::SYMBOL_SIZE)?;
            let sections = match extended {
                Some(extended) => part(reader, &extended.header, index, step, 4)?,
                None => Vec::new(),
            };
            let mut sections = sections.chunks_exact(4);
            let chunks = bytes.chunks_exact(elf::SYMBOL_SIZE);
            let got = chunks.len() as u64;
            for raw in chunks.filter_map(|chunk| RawSymbol::ref_from_bytes(chunk).ok()) {
                let section = sections.next().and_then(|word| word.try_into().ok());
                let symbol = Symbol::decode(raw, section.map(u32::from_le_bytes));
                lost |= symbol.st_shndx == elf::SHN_XINDEX && symbol.section.is_none();
                if visit(&symbol).is_break() {
                    return Ok(());
                }
            }
            if got < step {
                return Err(SectionError::ShortSymbols);
            }
            index += step;
        }
        if all > count {
            return Err(SectionError::ManySymbols(all));
        }
        if lost {
            return Err(SectionError::NoSymbolSections);
        }
        let names = self.symbol_names(table)?;
        match names.sh_size.checked_sub(1).map(|last| names.sh_offset.checked_add(last)) {
            None => Ok(()),
            Some(last) => match last.map(|last| reader.read_at(last, &mut [0])) {
                Some(Ok(1)) => Ok(()),
                Some(Err(error)) => Err(SectionError::Read(error)),
                Some(Ok(_)) | None => Err(SectionError::ShortSymbolNames),
            },
        }
    }

    /// The section with the names of a symbol table.
    fn symbol_names(&self, table: &Section) -> Result<&SectionHeader, SectionError> {
        let link = table.header.sh_link;
        let names = usize::try_from(link).ok().and_then(|index| self.list.get(index));
        let names = names.filter(|names| names.header.sh_type == elf::SHT_STRTAB);
        names.map(|names| &names.header).ok_or(SectionError::SymbolNames(link))
    }

    /// Visits the symbols with their names, as [`Self::visit_symbols`] does. Names that are not in
    /// the first [`STRINGS_MAX`] bytes of all names, or are not UTF-8, are empty.
    pub fn visit_named<R: ReadAt + ?Sized>(
        &self,
        reader: &R,
        mut visit: impl FnMut(&Symbol, &str) -> ControlFlow<()>,
    ) -> Result<(), SectionError> {
        let strings = self.symbol_table().and_then(|(_, table)| {
            let strings = self.symbol_names(table).ok()?;
            let length = usize::try_from(strings.sh_size).unwrap_or(STRINGS_MAX);
            read_vec(reader, strings.sh_offset, length.min(STRINGS_MAX)).ok()
        });
        let strings = strings.unwrap_or_default();
        self.visit_symbols(reader, |symbol| {
            let start = usize::try_from(symbol.st_name).unwrap_or(usize::MAX);
            let name = strings.get(start..).unwrap_or_default();
            let name = cut(name);
            let end = name.iter().position(|byte| *byte == 0);
            let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default();
            visit(symbol, std::str::from_utf8(name).unwrap_or_default())
        })
    }

    /// Whether there is a symbol table.
    pub fn has_symbols(&self) -> bool {
        self.symbol_table().is_some()
    }

    /// The name of a symbol.
    pub fn symbol_name<R: ReadAt + ?Sized>(&self, reader: &R, symbol: &Symbol) -> Option<String> {
        let (_, table) = self.symbol_table()?;
        let strings = self.symbol_names(table).ok()?;
        let offset = strings.sh_offset.checked_add(symbol.st_name.into())?;
        let bytes = read_vec(reader, offset, SYMBOL_NAME_MAX).ok()?;
        Some(text(&bytes)).filter(|name| !name.is_empty())
    }

    /// The name of the first symbol that covers `address` and belongs to the section there. A symbol
    /// without a size, such as one of a linker script, covers its address if no other symbol does.
    pub fn symbol_at<R: ReadAt + ?Sized>(&self, reader: &R, address: u64) -> Option<String> {
        let home = self.at_address(address).and_then(|home| self.index(home));
        let mut found = None;
        // A name is only evidence, so an error counts as no name.
        let _ = self.visit_symbols(reader, |symbol| {
            let named = !matches!(symbol.kind(), elf::STT_SECTION | elf::STT_FILE);
            let defined = symbol.st_shndx != elf::SHN_UNDEF;
            let here = home.is_none_or(|home| is_of(symbol, home));
            let offset = address.wrapping_sub(symbol.st_value);
            if named && defined && here && offset < symbol.st_size.max(1) {
                if symbol.st_size > 0 {
                    found = Some(*symbol);
                    return ControlFlow::Break(());
                }
                found = found.or(Some(*symbol));
            }
            ControlFlow::Continue(())
        });
        self.symbol_name(reader, &found?)
    }

    /// Visits the symbols of a section.
    pub fn visit_symbols_of<R: ReadAt + ?Sized>(
        &self,
        reader: &R,
        section: &Section,
        mut visit: impl FnMut(&Symbol),
    ) {
        let Some(home) = self.index(section) else {
            return;
        };
        // Symbols are only evidence, so errors are ignored.
        let _ = self.visit_symbols(reader, |symbol| {
            if is_of(symbol, home) {
                visit(symbol);
            }
            ControlFlow::Continue(())
        });
    }

    /// The index of a section of this list.
    fn index(&self, section: &Section) -> Option<usize> {
        self.list.iter().position(|one| std::ptr::eq(one, section))
    }

    fn symbol_table(&self) -> Option<(usize, &Section)> {
        let mut sections = self.list.iter().enumerate();
        sections.find(|(_, section)| section.header.sh_type == elf::SHT_SYMTAB)
    }

    /// The SHT_SYMTAB_SHNDX table of the symbol table `table`, if it has one.
    fn symbol_sections(&self, table: usize) -> Option<&Section> {
        self.list.iter().find(|section| {
            section.header.sh_type == elf::SHT_SYMTAB_SHNDX
                && usize::try_from(section.header.sh_link) == Ok(table)
        })
    }
}

/// Entries `index` to `index + count` of a table, as far as the file holds them.
fn part<R: ReadAt + ?Sized>(
    reader: &R,
    table: &SectionHeader,
    index: u64,
    count: u64,
    size: usize,
) -> Result<Vec<u8>, SectionError> {
    let within = index.checked_mul(size as u64);
    let offset = within.and_then(|within| table.sh_offset.checked_add(within));
    let offset = offset.ok_or(SectionError::ShortSymbols)?;
    let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(size));
    let length = length.ok_or(SectionError::ShortSymbols)?;
    read_vec(reader, offset, length).map_err(SectionError::Read)
}

/// Whether a symbol belongs to the section with this index.
fn is_of(symbol: &Symbol, section: usize) -> bool {
    symbol.section.and_then(|index| usize::try_from(index).ok()) == Some(section)
}

fn cut(bytes: &[u8]) -> &[u8] {
    bytes.get(..NAME_MAX).unwrap_or(bytes)
}

/// The NUL-terminated text at the start of `bytes`.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default())
        .into_owned()
}
