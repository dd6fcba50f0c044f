//! An independent oracle: `faerie` shares no code with our writer and readers. Objects that it writes
//! must link like a compiler's, and their content must be the same when the image is read.
//!
//! `faerie` cannot write notes (SHT_NOTE), only their bytes in sections that are not loaded, and
//! gives a bss no size. So these are compared only where a linker corrects them.

use std::ops::ControlFlow;
use std::str::FromStr;

use faerie::{ArtifactBuilder, Decl, Link, SectionKind};
use solo5_abi::Arch;
use solo5_image::sections::Sections;
use target_lexicon::Triple;

use crate::image::Linked;
use crate::tree::{APPLICATION, Tree, arch, assert_ok, errors, linkers};

/// `xor eax, eax; lea rcx, [rip + table]; ret`: the 4 bytes after the first 5 are relocated.
const CODE: [u8; 10] = [0x31, 0xc0, 0x48, 0x8d, 0x0d, 0, 0, 0, 0, 0xc3];
/// Offset of the address in [`CODE`].
const HOLE: u64 = 5;
const TABLE: [u8; 12] = *b"twelve bytes";
const WORDS: [u8; 8] = [8, 7, 6, 5, 4, 3, 2, 1];

fn artifact(name: &str) -> faerie::Artifact {
    let triple = Triple::from_str("x86_64-unknown-linux-gnu").unwrap();
    ArtifactBuilder::new(triple).name(name.to_owned()).finish()
}

/// A unikernel's own code.
fn application() -> Vec<u8> {
    let mut object = artifact("app");
    let function = Decl::function().global();
    object.declare_with("solo5_app_main", function, CODE.to_vec()).unwrap();
    object.declare_with("table", Decl::data().global().read_only(), TABLE.to_vec()).unwrap();
    object.declare_with("words", Decl::data().global().writable(), WORDS.to_vec()).unwrap();
    object.link(Link { from: "solo5_app_main", to: "table", at: HOLE }).unwrap();
    object.emit().unwrap()
}

/// Value and size of a symbol of the image.
fn symbol(linked: &Linked, wanted: &str) -> (u64, u64) {
    let sections = Sections::read(&linked.file, linked.image.header()).unwrap();
    let mut found = None;
    let visited = sections.visit_symbols(&linked.file, |symbol| {
        if sections.symbol_name(&linked.file, symbol).as_deref() == Some(wanted) {
            found = Some((symbol.st_value, symbol.st_size));
        }
        ControlFlow::Continue(())
    });
    visited.unwrap();
    found.unwrap_or_else(|| panic!("no symbol {wanted}"))
}

#[test]
fn what_another_writer_wrote_reads_the_same() {
    if arch() != Arch::X86_64 {
        println!("skip: the oracle's code is x86_64's");
        return;
    }
    let tree = Tree::new();
    tree.manifest();
    tree.file("app.o", application());
    for linker in linkers() {
        let linked = tree
            .command("solo5-ld")
            .env("SOLO5_LD", linker)
            .args(["app.o", "manifest.o", "-z", "solo5-abi=spt", "-o", "image"])
            .args(["-z", "solo5-audit=warning"])
            .output()
            .unwrap();
        assert_ok(&linked);
        assert_eq!(errors(&linked), "", "{linker}");
        let linked = Linked::open(&tree.work.join("image"));
        linked.assert_complete();

        let (code, size) = symbol(&linked, "solo5_app_main");
        assert_eq!(size, CODE.len() as u64);
        let (table, size) = symbol(&linked, "table");
        assert_eq!(size, TABLE.len() as u64);
        let mut expected = CODE;
        let behind = code + HOLE + 4;
        let distance = i32::try_from(table.wrapping_sub(behind) as i64).unwrap();
        expected[HOLE as usize..][..4].copy_from_slice(&distance.to_le_bytes());
        assert_eq!(linked.bytes(code, CODE.len()), expected, "{linker}");
        assert_eq!(linked.bytes(table, TABLE.len()), TABLE);
        let (words, size) = symbol(&linked, "words");
        assert_eq!(size, WORDS.len() as u64);
        assert_eq!(linked.bytes(words, WORDS.len()), WORDS);

        let segment = |address: u64| {
            let plan = linked.image.plan(&linked.file, solo5_abi::Target::Spt);
            let segments = plan.unwrap().segments;
            let found = segments.into_iter().find(|one| one.range().contains(&address));
            found.expect("a segment")
        };
        assert!(segment(code).protection.execute);
        assert!(!segment(table).protection.write);
        assert!(segment(words).protection.write && !segment(words).protection.execute);
    }
}

/// The same notes in sections that are not SHT_NOTE in the object; the script makes them notes.
/// These sections are not loaded either. GNU ld corrects that; lld does not, so its image is
/// refused.
#[test]
fn a_manifest_of_another_writer_reads_the_same() {
    let tree = Tree::new();
    let (_, ours) = tree.manifest();
    let mut object = artifact("manifest");
    for name in [".note.solo5.manifest", ".note.solo5.manifest.mft2"] {
        let section = Decl::section(SectionKind::Data);
        object.declare_with(name, section, object_section(&ours, name)).unwrap();
    }
    tree.file("theirs.o", object.emit().unwrap());
    tree.object("app", APPLICATION);
    let notes = |manifest: &str| {
        let link = ["app.o", manifest, "-z", "solo5-abi=spt", "-o", "image"];
        assert_ok(&tree.run("solo5-ld", &link));
        let linked = Linked::open(&tree.work.join("image"));
        linked.assert_complete();
        let notes = linked.image.notes().all().iter();
        notes.map(|note| (note.kind, note.read(&linked.file, 1 << 16).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(notes("theirs.o"), notes("manifest.o"));
}

fn object_section(path: &std::path::Path, name: &str) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let object = object::File::parse(bytes.as_slice()).unwrap();
    let section = object::Object::section_by_name(&object, name).unwrap();
    object::ObjectSection::data(&section).unwrap().to_vec()
}
