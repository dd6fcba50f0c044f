//! Every section can be aligned above a page, by every linker and for every target with a loader, and
//! the loader accepts the image.

use std::path::Path;
use std::process::Command;

use solo5_abi::Target;
use solo5_image::LoadPlan;

use crate::image::Linked;
use crate::tree::{Tree, arch, assert_ok, linkers};

/// Sections, each with a declaration of `table` in it; `{}` stands for the alignment.
const SECTIONS: &[(&str, &str, Place)] = &[
    (
        ".text",
        "__asm__(\".section .text.table,\\\"ax\\\"\\n.balign {}\\n.globl table\\n\"\n\
         \"table: .byte 42\\n.previous\");\n",
        Place::Initialised,
    ),
    (".rodata", "const char table[100] __attribute__((aligned({}))) = {42};", Place::Initialised),
    (".data", "char table[100] __attribute__((aligned({}))) = {42};", Place::Initialised),
    (".bss", "char table[100] __attribute__((aligned({})));", Place::Zero),
    (
        ".tdata",
        "__thread char table[100] __attribute__((aligned({}))) = {42};",
        Place::ThreadInitialised,
    ),
    (
        ".tbss behind .tdata",
        "__thread int small = 42;\n__thread char table[100] __attribute__((aligned({})));",
        Place::ThreadZero,
    ),
    (".tbss", "__thread char table[100] __attribute__((aligned({})));", Place::ThreadZero),
];

/// Where `table` must be found.
#[derive(Clone, Copy)]
enum Place {
    Initialised,
    Zero,
    ThreadInitialised,
    ThreadZero,
}

const ALIGNMENTS: [u64; 3] = [8 << 10, 64 << 10, 2 << 20];

/// The byte at `address` after loading; `None` if no segment has it.
fn loaded(linked: &Linked, plan: &LoadPlan, address: u64) -> Option<u8> {
    let segment = plan.segments.iter().find(|segment| segment.range().contains(&address))?;
    let stored = segment.file.end - segment.file.start;
    if address - segment.address >= stored {
        return Some(0);
    }
    Some(linked.bytes(address, 1)[0])
}

/// Asserts that a loader accepts the image, and that `table` is at its place.
fn check(path: &Path, target: Target, place: Place, align: u64, what: &str) {
    let linked = Linked::open(path);
    let plan = linked.image.plan(&linked.file, target).unwrap_or_else(|fault| {
        panic!("{what}: {fault:?}");
    });
    let symbols = linked.symbols();
    let table = symbols["table"];
    assert_eq!(table % align, 0, "{what}");
    match place {
        Place::Initialised => assert_eq!(loaded(&linked, &plan, table), Some(42), "{what}"),
        Place::Zero => assert_eq!(loaded(&linked, &plan, table), Some(0), "{what}"),
        Place::ThreadInitialised | Place::ThreadZero => {
            let tls = linked.tls();
            assert_eq!((tls.p_align, tls.p_vaddr % align), (align, 0), "{what}");
            assert_eq!(symbols["_stls_align"], align, "{what}");
            assert_eq!(tls.p_memsz, symbols["_ltdata"] + symbols["_ltbss"], "{what}");
            // The value of a thread-local symbol is its offset in the block.
            let initialised = matches!(place, Place::ThreadInitialised);
            assert_eq!(table < tls.p_filesz, initialised, "{what}");
            if tls.p_filesz > 0 {
                assert_eq!(tls.p_vaddr, symbols["_stdata"], "{what}");
                assert_eq!(tls.p_filesz, symbols["_edata"] - symbols["_stdata"], "{what}");
                assert_eq!(loaded(&linked, &plan, symbols["_stdata"]), Some(42), "{what}");
            }
        }
    }
}

#[test]
fn any_section_may_be_aligned_above_a_page() {
    let tree = Tree::new();
    tree.manifest();
    for (section, declaration, place) in SECTIONS {
        for align in ALIGNMENTS {
            let declaration = declaration.replace("{}", &align.to_string());
            tree.object(
                "aligned",
                &format!(
                    "{declaration}\nstatic char *words[] = {{\"got\"}};\n\
                     int solo5_app_main(const void *at) {{ return *words[at == 0]; }}\n"
                ),
            );
            for linker in linkers() {
                for target in [Target::Spt, Target::Hvt] {
                    let what = format!("{section} at {align}, {linker}, {}", target.name());
                    let output = tree
                        .command("solo5-ld")
                        .env("SOLO5_LD", linker)
                        .args(["-z", &format!("solo5-abi={}", target.name())])
                        .args(["aligned.o", "manifest.o", "-o", "image"])
                        .output()
                        .unwrap();
                    println!("{what}");
                    assert_ok(&output);
                    check(&tree.work.join("image"), target, *place, align, &what);
                }
            }
        }
    }
}

/// Other linker scripts put `.got` before `.data` in one segment, and do not align the segment. Loaders
/// accept a segment that shares no page with another.
#[test]
fn images_of_other_scripts_load() {
    let tree = Tree::new();
    tree.manifest();
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/toolchain/foreign.lds");
    let bindings = tree.library().join("solo5_spt.o");
    let page = format!("max-page-size={:#x}", arch().page_size_max());
    for (section, declaration, place) in SECTIONS {
        if matches!(place, Place::ThreadInitialised | Place::ThreadZero) {
            continue;
        }
        for align in ALIGNMENTS {
            let declaration = declaration.replace("{}", &align.to_string());
            tree.object(
                "aligned",
                &format!("{declaration}\nint solo5_app_main(void) {{ return 0; }}\n"),
            );
            for linker in linkers() {
                let what = format!("{section} at {align}, {linker}");
                let output = Command::new(linker)
                    .current_dir(&tree.work)
                    .args(["-nostdlib", "-static", "-z", &page, "-T"])
                    .args([&foreign, &bindings])
                    .args(["aligned.o", "manifest.o", "-o", "foreign"])
                    .output()
                    .unwrap();
                assert_ok(&output);
                check(&tree.work.join("foreign"), Target::Spt, *place, align, &what);
            }
        }
    }
}
