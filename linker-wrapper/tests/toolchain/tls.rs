//! Linkers and bindings must agree on the place of a thread-local variable.
//!
//! The bindings lay out a thread's block from the script's symbols
//! (`docs/reference/toolchain.md#tls`): `_ltdata` bytes copied from `_stdata`, `_ltbss` bytes of
//! zeros behind them, and on x86_64 the thread pointer at the block plus the sum rounded up to
//! `_stls_align`. In this test the linker writes the offsets that code would use into data, and each
//! has to lead to the variable's place in that block.

use crate::image::Linked;
use crate::tree::{Tree, assert_ok, linkers};

/// Declarations, and how many variables `v0`… they declare.
const CASES: &[(&str, usize)] = &[
    ("__thread long v0 = 1;", 1),
    ("__thread int v0;", 1),
    ("__thread long v0 = 1; __thread int v1;", 2),
    (
        "__thread char v0[5] = {1}; __thread long v1 = 1; __thread char v2; \
         __thread int v3 __attribute__((aligned(64)));",
        4,
    ),
    ("__thread int v0 __attribute__((aligned(64))) = 1; __thread char v1[3];", 2),
    ("__thread char v0 __attribute__((aligned(4096))); __thread char v1[7] = {1};", 2),
    ("__thread char v0 __attribute__((aligned(65536))); __thread char v1[7] = {1};", 2),
    ("__thread char v0 __attribute__((aligned(65536))) = 1; __thread long v1;", 2),
];

#[test]
fn offsets_are_those_of_the_bindings() {
    if cfg!(not(target_arch = "x86_64")) {
        println!("skip: thread-local offsets: only x86_64 can write them into data");
        return;
    }
    let tree = Tree::new();
    tree.manifest();
    for (declarations, count) in CASES {
        let list: Vec<String> = (0..*count).map(|index| format!("v{index}@tpoff")).collect();
        let source = format!(
            "{declarations}\n\
             __asm__(\".section .data.offsets,\\\"aw\\\"\\n.globl offsets\\n\"\n\
             \"offsets: .long {}\\n.previous\");\n\
             int solo5_app_main(void) {{ return 0; }}\n",
            list.join(", ")
        );
        tree.object("tls", &source);
        for linker in linkers() {
            let output = tree
                .command("solo5-ld")
                .env("SOLO5_LD", linker)
                .args(["-z", "solo5-abi=spt", "tls.o", "manifest.o", "-o", "image"])
                .output()
                .unwrap();
            assert_ok(&output);
            let linked = Linked::open(&tree.work.join("image"));
            let symbols = linked.symbols();
            let (data, bss) = (symbols["_ltdata"], symbols["_ltbss"]);
            let align = symbols["_stls_align"];
            let pointer = (data + bss).next_multiple_of(align);
            let offsets = linked.words(symbols["offsets"], *count);
            for (index, offset) in offsets.into_iter().enumerate() {
                // The value of a thread-local symbol is its offset in the block.
                let place = symbols[&format!("v{index}")];
                let reached = pointer.wrapping_add_signed(offset);
                assert_eq!(reached, place, "{linker}: v{index} of {declarations}");
                assert!(place < data + bss, "{linker}: v{index} of {declarations}");
            }
            let header = linked.tls();
            assert_eq!(header.p_align, align, "{linker}: {declarations}");
            assert_eq!(header.p_memsz.next_multiple_of(align), pointer);
            if header.p_filesz > 0 {
                assert_eq!(header.p_vaddr, symbols["_stdata"]);
            }
        }
    }
}
