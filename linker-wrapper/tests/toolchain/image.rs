//! The content of a linked image, read by `solo5_image`.

use std::collections::HashMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use solo5_abi::{Arch, note};
use solo5_image::Image;
use solo5_image::elf::ProgramHeader;
use solo5_image::sections::Sections;

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const PT_TLS: u32 = 7;

/// An image and the file it is in.
pub(crate) struct Linked {
    pub(crate) file: File,
    pub(crate) image: Image,
}

impl Linked {
    pub(crate) fn open(path: &Path) -> Linked {
        let file = File::open(path).unwrap();
        let image = Image::read(&file, &Arch::ALL).unwrap();
        Linked { file, image }
    }

    fn headers(&self, kind: u32) -> Vec<ProgramHeader> {
        let all = self.image.segments().iter();
        all.filter(|one| one.p_type == kind).copied().collect()
    }

    /// The only PT_TLS.
    pub(crate) fn tls(&self) -> ProgramHeader {
        let headers = self.headers(PT_TLS);
        assert_eq!(headers.len(), 1);
        headers[0]
    }

    /// Asserts that a unikernel linked with a manifest of version 2 is complete, wherever its notes lie:
    /// it has the no-exec trick, its own notes and no others.
    #[track_caller]
    pub(crate) fn assert_complete(&self) {
        let interp = self.headers(PT_INTERP);
        assert_eq!(interp.len(), 1);
        assert_eq!(interp[0].p_filesz, note::NO_EXEC_INTERP.len() as u64);
        let mut text = note::NO_EXEC_INTERP;
        self.file.read_exact_at(&mut text, interp[0].p_offset).unwrap();
        assert_eq!(text, note::NO_EXEC_INTERP);

        let notes = self.headers(PT_NOTE);
        assert!(notes.iter().all(|header| header.p_filesz > 0), "{notes:?}");
        assert!(self.image.notes().faults().is_empty());
        assert_eq!(self.image.abi().unwrap().target_name(), "spt");
        let manifest = self.image.manifest().unwrap();
        assert_eq!(manifest.devices().count(), 1);
        let properties = self.image.properties().unwrap().unwrap();
        assert_eq!(properties.memory_minimum(), Some(32 << 20));
        let first = self.image.notes().all().first().unwrap();
        assert_eq!(first.owner(), b"OpenBSD", "the first PT_NOTE is OpenBSD's");
    }

    /// Whether a dynamic linker has to complete it.
    pub(crate) fn is_dynamic(&self) -> bool {
        !self.headers(PT_DYNAMIC).is_empty()
    }

    /// How often a note is there.
    pub(crate) fn count(&self, owner: &[u8], kind: u32) -> usize {
        let all = self.image.notes().all().iter();
        all.filter(|note| note.is(owner, kind)).count()
    }

    /// Values of the symbols.
    pub(crate) fn symbols(&self) -> HashMap<String, u64> {
        let sections = Sections::read(&self.file, self.image.header()).unwrap();
        let mut symbols = HashMap::new();
        let visited = sections.visit_symbols(&self.file, |symbol| {
            if let Some(name) = sections.symbol_name(&self.file, symbol) {
                symbols.insert(name, symbol.st_value);
            }
            ControlFlow::Continue(())
        });
        visited.unwrap();
        symbols
    }

    /// The bytes of the file at an address of the image.
    pub(crate) fn bytes(&self, address: u64, count: usize) -> Vec<u8> {
        let within = |header: &&ProgramHeader| {
            header.is_load()
                && (header.p_vaddr..header.p_vaddr + header.p_filesz).contains(&address)
        };
        let segment = self.image.segments().iter().find(within).unwrap();
        let mut bytes = vec![0; count];
        let offset = segment.p_offset + (address - segment.p_vaddr);
        self.file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    /// The signed words of 4 bytes at an address of the image.
    pub(crate) fn words(&self, address: u64, count: usize) -> Vec<i64> {
        let bytes = self.bytes(address, count * 4);
        let words = bytes.chunks_exact(4);
        words.map(|word| i32::from_le_bytes(word.try_into().unwrap()).into()).collect()
    }
}

/// Status of a shell asked to run `path` directly.
pub(crate) fn execute(path: &Path) -> Option<i32> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\""]).arg(path);
    shell.output().unwrap().status.code()
}
