//! The interpreter and the notes of the ELF file (`docs/reference/notes.md#kinds`). The linker
//! scripts place these sections.
//!
//! `#[used]` marks the sections as retained, so that they survive `--gc-sections` although nothing
//! refers to them.

use solo5_abi::note;

/// Makes every host refuse to run the file directly.
#[repr(C, align(8))]
struct Interp([u8; note::NO_EXEC_INTERP.len()]);

#[used]
#[unsafe(export_name = "__fake_interp")]
#[unsafe(link_section = ".interp")]
static INTERP: Interp = Interp(note::NO_EXEC_INTERP);

#[cfg(feature = "guest")]
mod guest {
    use solo5_abi::abi1::Abi1;
    use solo5_abi::note;

    use crate::target;

    /// A note whose owner's name takes 8 bytes, padding included.
    #[repr(C, align(4))]
    struct Note<Descriptor> {
        header: note::Header,
        owner: [u8; 8],
        descriptor: Descriptor,
    }

    const _: () = assert!(size_of::<Note<Abi1>>() == Abi1::NOTE_SIZE);
    const _: () = assert!(size_of::<Note<[u8; 4]>>() == note::size(note::OWNER_OPENBSD, 4));

    const fn pad(owner: &[u8; 6]) -> [u8; 8] {
        let [a, b, c, d, e, f] = *owner;
        [a, b, c, d, e, f, 0, 0]
    }

    /// Target and ABI version of the tender that can run the image, and the features that these
    /// bindings know.
    #[used]
    #[unsafe(export_name = "__solo5_abi1_note")]
    #[unsafe(link_section = ".note.solo5.abi")]
    static ABI1: Note<Abi1> = Note {
        header: note::Header::new(note::OWNER_SOLO5, note::TYPE_ABI1, Abi1::SIZE as u32),
        owner: pad(note::OWNER_SOLO5),
        descriptor: Abi1::new(target::TARGET, target::ABI_VERSION).knowing(target::FEATURES),
    };

    /// Makes an OpenBSD host honour the interpreter.
    #[used]
    #[unsafe(export_name = "__solo5_openbsd_note")]
    #[unsafe(link_section = ".note.solo5.not_openbsd")]
    static NOT_OPENBSD: Note<[u8; 4]> = Note {
        header: note::Header::new(note::OWNER_OPENBSD, note::TYPE_OPENBSD_IDENT, 4),
        owner: *note::OWNER_OPENBSD,
        descriptor: [0; 4],
    };
}
