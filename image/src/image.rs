//! An image: its headers and notes.

use solo5_abi::abi1::Abi1;
use solo5_abi::mft1::Mft1;
use solo5_abi::mft2::Mft2;
use solo5_abi::offer::Features;
use solo5_abi::{Arch, Target};

use crate::elf::{self, FileHeader, ProgramHeader};
use crate::error::{HeaderField, ImageError};
use crate::foreign::Foreign;
use crate::notes::Notes;
use crate::numbers;
use crate::read::{ReadAt, read_vec};

/// A static executable with valid headers. Its notes and segments may still be invalid.
#[derive(Clone, Debug)]
pub struct Image {
    arch: Arch,
    header: FileHeader,
    segments: Vec<ProgramHeader>,
    notes: Notes,
}

impl Image {
    /// Reads headers and notes. `machines` are the accepted architectures. Fails on an error in the
    /// headers; the accessor of a note reports an error in that note.
    pub fn read<R: ReadAt + ?Sized>(reader: &R, machines: &[Arch]) -> Result<Image, ImageError> {
        let mut bytes = [0; elf::FILE_HEADER_SIZE];
        let got = reader.read_at(0, &mut bytes).map_err(ImageError::HeaderRead)?;
        if got < bytes.len() {
            return Err(ImageError::HeaderShort { got, foreign: Foreign::of(reader) });
        }
        let header = FileHeader::parse(&bytes);
        let arch = check_header(&header, machines).map_err(|field| {
            ImageError::Header(match field {
                HeaderField::Magic(_) => HeaderField::Magic(Foreign::of(reader)),
                field => field,
            })
        })?;
        let count = numbers::program_headers(reader, &header).map_err(ImageError::TableRead)?;
        let many = ImageError::Header(HeaderField::ManyProgramHeaders(count));
        let count = u16::try_from(count).map_err(|_| many)?;
        let want = usize::from(count) * elf::PROGRAM_HEADER_SIZE;
        let table = read_vec(reader, header.e_phoff, want).map_err(ImageError::TableRead)?;
        if table.len() < want {
            let got = table.len();
            return Err(ImageError::TableShort { got, want });
        }
        let segments = ProgramHeader::table(&table);
        let notes = Notes::read(reader, &segments);
        Ok(Image { arch, header, segments, notes })
    }

    /// The machine it is for.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The file header.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// `e_entry`.
    pub fn entry(&self) -> u64 {
        self.header.e_entry
    }

    /// Every program header, in table order.
    pub fn segments(&self) -> &[ProgramHeader] {
        &self.segments
    }

    /// Every note.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The ABI note, of any target and version.
    pub fn abi(&self) -> Result<Abi1, ImageError> {
        self.notes.abi()
    }

    /// The target in its ABI note; `None` if it is unknown.
    pub fn target(&self) -> Option<Target> {
        self.abi().ok()?.target()
    }

    /// The ABI note. Fails unless it is for `target` in the ABI version that this suite supports.
    pub fn abi_of(&self, target: Target) -> Result<Abi1, ImageError> {
        let abi = self.abi()?;
        if abi.target() != Some(target) {
            return Err(ImageError::AbiTarget { wanted: target, found: abi.target_number() });
        }
        if Some(abi.version()) != target.abi_version() {
            return Err(ImageError::AbiVersion { found: abi.version() });
        }
        Ok(abi)
    }

    /// The manifest, with only its structure checked, as every reader does
    /// (`docs/reference/manifest.md#mft1-structure`).
    pub fn manifest(&self) -> Result<Mft1<'_>, ImageError> {
        self.notes.manifest()
    }

    /// The manifest, checked as a loader does: valid names, known types, no duplicates, nothing
    /// preset (`docs/reference/manifest.md#mft1-check`).
    pub fn checked_manifest(&self) -> Result<Mft1<'_>, ImageError> {
        let manifest = self.notes.manifest()?;
        self.notes.check_manifest(&manifest)?;
        Ok(manifest)
    }

    /// The properties of a version 2 manifest, if there are any. Fails on an error in any note,
    /// because unread properties may follow it.
    pub fn properties(&self) -> Result<Option<Mft2<'_>>, ImageError> {
        self.notes.properties()
    }

    /// The features that the bindings know, and those that the manifest needs. Fails if one that is
    /// needed is not known.
    pub fn features(&self) -> Result<(Features, Features), ImageError> {
        let known = self.abi()?.features();
        let needed = self.properties()?.map_or(Features::NONE, |properties| properties.needs());
        let missing = needed.without(known);
        if missing.is_empty() { Ok((known, needed)) } else { Err(ImageError::Features { missing }) }
    }

    /// 2 if the manifest has properties, otherwise 1.
    pub fn manifest_version(&self) -> u32 {
        if self.notes.has_properties() { 2 } else { 1 }
    }
}

fn check_header(header: &FileHeader, machines: &[Arch]) -> Result<Arch, HeaderField> {
    let require = |holds: bool, field| if holds { Ok(()) } else { Err(field) };
    let [magic @ .., class, data] = *header.ident.first_chunk::<6>().unwrap_or(&[0; 6]);
    require(magic == elf::MAGIC, HeaderField::Magic(None))?;
    require(class == elf::CLASS64, HeaderField::Class)?;
    require(data == elf::DATA_LE, HeaderField::Data)?;
    require(header.e_version == 1, HeaderField::Version)?;
    require(usize::from(header.e_ehsize) == elf::FILE_HEADER_SIZE, HeaderField::HeaderSize)?;
    // The type comes first, because it best tells what the file is instead.
    require(header.e_type == elf::ET_EXEC, HeaderField::Type(header.e_type))?;
    require(header.e_phnum >= 1, HeaderField::NoProgramHeaders)?;
    require(usize::from(header.e_phentsize) == elf::PROGRAM_HEADER_SIZE, HeaderField::EntrySize)?;
    Arch::from_e_machine(header.e_machine)
        .filter(|arch| machines.contains(arch))
        .ok_or(HeaderField::Machine(header.e_machine))
}
