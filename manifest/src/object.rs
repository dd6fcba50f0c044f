//! Phase 7: notes → an ELF relocatable object, ready to be linked into a unikernel.
//!
//! Each note has its own section, SHT_NOTE with only flag A and alignment 4, and a global symbol of
//! its size (`docs/reference/manifest.md#mft1`). MFT2's section comes after MFT1's. Its name matches
//! the pattern `.note.solo5.manifest*` in upstream's linker scripts, so they place both sections. Only
//! this file uses the library that writes ELF.

use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, FileFlags, SectionFlags, SectionKind, SymbolFlags,
    SymbolKind, SymbolScope, elf,
};
use solo5_abi::{Arch, note};

use crate::encode::Notes;

/// The object for `arch`. The same notes always give the same bytes.
pub fn write(notes: &Notes, arch: Arch) -> Vec<u8> {
    let mut object = empty(arch);
    add(&mut object, note::SECTION_MFT1, Some(note::SYMBOL_MFT1), notes.mft1());
    if let Some(mft2) = notes.mft2() {
        add(&mut object, note::SECTION_MFT2_INPUT, Some(note::SYMBOL_MFT2), mft2);
    }
    finish(object)
}

/// An object for `arch` with only a packaging metadata note, made by [`crate::package_note`]. It must
/// be linked with one of this suite's linker scripts, because other scripts misplace its section.
pub fn write_package(note: &[u8], arch: Arch) -> Vec<u8> {
    let mut object = empty(arch);
    add(&mut object, note::SECTION_PACKAGE, None, note);
    finish(object)
}

fn empty(arch: Arch) -> Object<'static> {
    let (architecture, e_flags) = match arch {
        Arch::X86_64 => (Architecture::X86_64, elf::FileFlags(0)),
        Arch::Aarch64 => (Architecture::Aarch64, elf::FileFlags(0)),
        // The version of the ELF ABI; linkers refuse to mix 1 and 2.
        Arch::Ppc64le => (Architecture::PowerPc64, elf::FileFlags(2)),
    };
    let mut object = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    object.flags = FileFlags::Elf { os_abi: elf::ELFOSABI_NONE, abi_version: 0, e_flags };
    object
}

fn finish(mut object: Object<'_>) -> Vec<u8> {
    // Declares that no executable stack is needed; without it, linkers warn and make one.
    object.add_section(Vec::new(), b".note.GNU-stack".to_vec(), SectionKind::Other);
    // Only relocations and mangling can fail, and the object has neither.
    object.write().unwrap_or_default()
}

fn add(object: &mut Object<'_>, section: &str, symbol: Option<&str>, bytes: &[u8]) {
    let id = object.add_section(Vec::new(), section.into(), SectionKind::Note);
    object.section_mut(id).flags =
        SectionFlags::Elf { sh_type: elf::SHT_NOTE, sh_flags: elf::SHF_ALLOC };
    object.append_section_data(id, bytes, note::ALIGN);
    let Some(symbol) = symbol else { return };
    object.add_symbol(Symbol {
        name: symbol.into(),
        value: 0,
        size: bytes.len() as u64,
        kind: SymbolKind::Data,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(id),
        flags: SymbolFlags::None,
    });
}
