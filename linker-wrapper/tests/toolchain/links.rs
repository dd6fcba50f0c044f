//! Links, by GNU ld and lld, driven by GCC, Clang and rustc: what is in the image, and what is
//! refused.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use solo5_abi::note;

use crate::image::{Linked, execute};
use crate::tree::{APPLICATION, Tree, arch, assert_ok, errors, linkers};

/// Data that asks to be executable.
const WRITABLE_CODE: &str =
    "__asm__(\".section .data.jit,\\\"awx\\\"\\n.globl jit\\njit: .long 0\\n.previous\");\n";

/// Notes that tracing tools and compilers leave in objects. The script does not know the name of one
/// of them.
const FOREIGN_NOTES: &str = "\
__asm__(\".section .note.stapsdt,\\\"a\\\",%note\\n.balign 4\\n.long 4, 0, 3\\n.asciz \\\"st\\\"\\n\"
        \".balign 4\\n.previous\");\n\
__asm__(\".section .note.gnu.property,\\\"a\\\",%note\\n.balign 8\\n.long 4, 0, 5\\n\"
        \".asciz \\\"GNU\\\"\\n.previous\");\n";

/// `words` and then `with`, in one list.
fn line<'a>(words: &[&'a str], with: &[&'a str]) -> Vec<&'a str> {
    words.iter().chain(with).copied().collect()
}

/// Runs our linker wrapper with `linker` as the underlying tool.
fn link(tree: &Tree, linker: &str, arguments: &[&str]) -> Output {
    tree.command("solo5-ld").env("SOLO5_LD", linker).args(arguments).output().unwrap()
}

/// MFT1, MFT2 and the no-exec trick, for every combination of linker, collection of unused sections and
/// script.
#[test]
fn both_notes_and_the_interpreter_survive_every_link() {
    let tree = Tree::new();
    tree.object("app", APPLICATION);
    tree.manifest();
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/toolchain/foreign.lds");
    let bindings = tree.library().join("solo5_spt.o");
    let page = format!("max-page-size={:#x}", arch().page_size_max());
    for linker in linkers() {
        for collect in ["--no-gc-sections", "--gc-sections"] {
            let ours =
                line(&["-z", "solo5-abi=spt", "app.o", "manifest.o", "-o", "ours"], &[collect]);
            assert_ok(&link(&tree, linker, &ours));
            let output = Command::new(linker)
                .current_dir(&tree.work)
                .args(["-nostdlib", "-static", "-z", &page, collect, "-T"])
                .args([&foreign, &bindings])
                .args(["app.o", "manifest.o", "-o", "foreign"])
                .output()
                .unwrap();
            assert_ok(&output);
            for name in ["ours", "foreign"] {
                println!("{linker} {collect} {name}");
                let path = tree.work.join(name);
                Linked::open(&path).assert_complete();
                assert_eq!(execute(&path), Some(127));
            }
        }
    }
}

#[test]
fn a_manifests_source_is_compiled_and_linked() {
    let tree = Tree::new();
    tree.object("app", APPLICATION);
    tree.manifest();
    let options = ["-z", "solo5-abi=spt", "-z", "solo5-manifest=manifest.yaml"];
    for linker in linkers() {
        assert_ok(&link(&tree, linker, &line(&options, &["app.o", "-o", "image"])));
        let linked = Linked::open(&tree.work.join("image"));
        linked.assert_complete();
        assert_eq!(linked.count(note::OWNER_FDO, note::TYPE_FDO_PACKAGE), 1);
    }
    let output = Command::new("readelf")
        .args(["--notes", "--wide"])
        .arg(tree.work.join("image"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\"version\":\"1.10\""), "{text}");
    assert!(errors(&output).is_empty(), "{}", errors(&output));

    tree.file("manifest.yaml", "type: solo5.manifest\nversion: 3\n");
    let output = link(&tree, "ld", &line(&options, &["app.o", "-o", "other"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("manifest.yaml:2"), "{}", errors(&output));
    fs::remove_file(tree.work.join("manifest.yaml")).unwrap();
    let output = link(&tree, "ld", &line(&options, &["app.o", "-o", "other"]));
    assert!(errors(&output).contains("error[L507]"), "{}", errors(&output));
    assert!(!tree.has("other"));
}

#[test]
fn compilers_link_from_source_in_one_step() {
    let tree = Tree::new();
    tree.object("app", APPLICATION);
    tree.manifest();
    let gc = "-Wl,--gc-sections,-z,solo5-abi=spt";
    for (compiler, linker) in [("gcc", "bfd"), ("gcc", "lld"), ("clang", "bfd"), ("clang", "lld")] {
        if Command::new(compiler).arg("--version").output().is_err() {
            println!("skip: links by {compiler}: not installed");
            continue;
        }
        let output = tree
            .command("solo5-cc")
            .env("SOLO5_CC", compiler)
            .arg(format!("-fuse-ld={linker}"))
            .args(["-O2", gc, "-zsolo5-manifest=manifest.yaml", "app.c", "-o", "image"])
            .output()
            .unwrap();
        assert_ok(&output);
        Linked::open(&tree.work.join("image")).assert_complete();
        fs::remove_file(tree.work.join("image")).unwrap();
    }
}

/// rustc asks for a position-independent executable with relocations read-only.
#[test]
fn rustc_links_with_the_compiler() {
    let tree = Tree::new();
    tree.manifest();
    tree.file(
        "app.rs",
        r#"#![no_std]
#![no_main]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
static GREETINGS: [&str; 2] = ["hello", "world"];
#[unsafe(no_mangle)]
extern "C" fn solo5_app_main(information: usize) -> i32 {
    GREETINGS[information & 1].len() as i32
}
"#,
    );
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .current_dir(&tree.work)
        .args(["--edition=2024", "-Cpanic=abort", "-Copt-level=1", "app.rs", "-o", "image"])
        .arg(format!("-Clinker={}", tree.tool("solo5-cc").display()))
        .args(["-Clink-arg=-Wl,-z,solo5-abi=spt", "-Clink-arg=-z"])
        .arg("-Clink-arg=solo5-manifest=manifest.yaml")
        .output()
        .unwrap();
    assert_ok(&output);
    Linked::open(&tree.work.join("image")).assert_complete();
}

#[test]
fn only_our_notes_are_kept_and_a_build_id_that_was_asked_for() {
    let tree = Tree::new();
    tree.object("app", &format!("{APPLICATION}{FOREIGN_NOTES}"));
    tree.manifest();
    let options = ["-z", "solo5-abi=spt", "app.o", "manifest.o", "-o", "image"];
    for linker in linkers() {
        for (with, ids) in [(&[][..], 0), (&["--build-id"][..], 1)] {
            assert_ok(&link(&tree, linker, &line(&options, with)));
            let linked = Linked::open(&tree.work.join("image"));
            linked.assert_complete();
            assert_eq!(linked.count(b"GNU\0", 3), ids, "{linker} {with:?}");
            assert_eq!(linked.image.notes().all().len(), 4 + ids, "{linker} {with:?}");
        }
    }
}

/// The stub has no ABI note, so no loader accepts it. It has no empty PT_NOTE, which readers would
/// refuse.
#[test]
fn the_stub_links_anything() {
    let tree = Tree::new();
    tree.manifest();
    tree.file("conftest.c", "int main(void) { return 0; }\n");
    assert_ok(&tree.run("solo5-cc", &["conftest.c", "-o", "conftest"]));
    assert_eq!(execute(&tree.work.join("conftest")), Some(127));
    assert_ok(&tree.run("solo5-cc", &["conftest.c", "manifest.o", "-o", "conftest"]));
    let linked = Linked::open(&tree.work.join("conftest"));
    assert!(linked.image.abi().is_err());
    assert!(linked.image.manifest().is_ok());
}

#[test]
fn an_image_that_no_loader_takes_is_refused_and_gone() {
    let tree = Tree::new();
    tree.object("jit", &format!("{APPLICATION}{WRITABLE_CODE}"));
    tree.manifest();
    let ld = ["jit.o", "manifest.o", "-z", "solo5-abi=spt", "-o", "image"];
    for linker in linkers() {
        let output = link(&tree, linker, &ld);
        let text = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("error[S2"), "{text}");
        assert!(!tree.has("image"), "{linker}");
    }
    let output = tree.run("solo5-cc", &ld);
    assert_eq!(output.status.code(), Some(1));
    assert!(!tree.has("image"));
    // Partial links are not audited, nor links with the audit switched off.
    assert_ok(&tree.run("solo5-ld", &["-r", "jit.o", "-o", "partial.o"]));
    assert_ok(&tree.run("solo5-ld", &line(&ld, &["-z", "solo5-audit=off"])));
    assert!(tree.has("image"));
    let left: Vec<_> = fs::read_dir(&tree.work)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The image does not show which section and object a fault came from; the refusal does.
#[test]
fn a_refusal_names_the_input_section_and_its_object() {
    let tree = Tree::new();
    tree.manifest();
    tree.object("app", APPLICATION);
    let section = |name: &str, flags: &str| {
        format!("__asm__(\".section {name},\\\"{flags}\\\"\\n.long 0\\n.previous\");\n")
    };
    tree.object("jit", &section(".data.jit", "awx"));
    tree.object("code", &section(".data.code", "ax"));
    tree.object("long", &section(".data.a_name_longer_than_a_column", "awx"));
    tree.object("second", &section(".data.jit", "awx"));
    let packed =
        Command::new("ar").args(["rcs", "libjit.a", "jit.o"]).current_dir(&tree.work).output();
    assert_ok(&packed.unwrap());
    let cases: [(&[&str], &str, &str); 5] = [
        (&["jit.o"], "from .data.jit (jit.o)", "X flag of .data.jit"),
        (&["code.o"], "from .data.code (code.o)", "X flag of .data.code"),
        (&["long.o"], "from .data.a_name_longer_than_a_column (long.o)", "X flag of .data.a_name"),
        (
            &["--whole-archive", "libjit.a"],
            "from .data.jit (libjit.a(jit.o))",
            "X flag of .data.jit",
        ),
        (
            &["jit.o", "second.o"],
            "from .data.jit (jit.o), .data.jit (second.o)",
            "X flag of .data.jit",
        ),
    ];
    let with = ["app.o", "manifest.o", "-z", "solo5-abi=spt", "-o", "image"];
    for linker in linkers() {
        for (inputs, origin, help) in cases {
            let output = link(&tree, linker, &line(inputs, &with));
            let text = errors(&output);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(origin), "{linker} {inputs:?}: {text}");
            assert!(text.contains(help), "{linker} {inputs:?}: {text}");
            assert!(!tree.has("image"), "{linker}");
        }
    }
    // Compiled and linked at once, the object is gone when the image is judged.
    tree.file("jit.c", section(".data.jit", "awx"));
    let output = tree.run("solo5-cc", &line(&["jit.c"], &with));
    let text = errors(&output);
    assert!(text.contains("from .data.jit (jit.o)"), "{text}");
    assert!(!tree.has("image"));
    // The user's own map stays as it is.
    let output = tree.run("solo5-ld", &line(&["jit.o", "-Map=own.map"], &with));
    assert_eq!(output.status.code(), Some(1));
    assert!(tree.has("own.map"));
}

/// A file that the link did not write is neither judged nor removed.
#[test]
fn an_older_file_is_neither_judged_nor_removed() {
    let tree = Tree::new();
    let object = tree.object("app", APPLICATION);
    let before = tree.file("image", "something else");
    let output = tree
        .command("solo5-ld")
        .env("SOLO5_LD", "true")
        .args(["-z", "solo5-abi=spt", "-o", "image"])
        .arg(object)
        .output()
        .unwrap();
    assert_ok(&output);
    assert_eq!(fs::read_to_string(before).unwrap(), "something else");
}

#[test]
fn the_same_link_makes_the_same_bytes() {
    let image = || {
        let tree = Tree::new();
        tree.object("app", APPLICATION);
        tree.manifest();
        let output = tree.run(
            "solo5-cc",
            &["app.o", "-z", "solo5-abi=spt", "-z", "solo5-manifest=manifest.yaml", "-o", "image"],
        );
        assert_ok(&output);
        fs::read(tree.work.join("image")).unwrap()
    };
    assert!(image() == image());
}

#[test]
fn a_device_as_output_stays_one() {
    let tree = Tree::new();
    tree.object("app", APPLICATION);
    tree.manifest();
    let options = ["-z", "solo5-abi=spt", "app.o", "manifest.o", "-o"];
    for linker in linkers() {
        let output = link(&tree, linker, &line(&options, &["/dev/full"]));
        assert_ne!(output.status.code(), Some(0), "{linker}");
        assert!(!errors(&output).is_empty());
        assert_ok(&link(&tree, linker, &line(&options, &["/dev/null"])));
    }
    for device in ["/dev/full", "/dev/null"] {
        assert!(!fs::metadata(device).unwrap().is_file(), "{device}");
    }
}

/// Needs the right to mount a file system that is small enough to fill.
#[test]
fn a_full_disk_leaves_no_file() {
    let tree = Tree::new();
    tree.object("app", APPLICATION);
    tree.manifest();
    let small = tree.elsewhere("small");
    let mounted = |script: &str| {
        Command::new("unshare")
            .current_dir(&tree.work)
            .args(["--mount", "sh", "-c"])
            .arg(format!("mount -t tmpfs -o size=12k none \"$1\" && {{ {script} }}"))
            .arg("sh")
            .arg(&small)
            .arg(tree.tool("solo5-ld"))
            .output()
    };
    if !mounted("exit 0;").is_ok_and(|output| output.status.success()) {
        println!("skip: full disk: no right to mount a file system");
        return;
    }
    for linker in linkers() {
        let script = format!(
            "SOLO5_LD={linker} \"$2\" -z solo5-abi=spt app.o manifest.o -o \"$1/image\"; \
             status=$?; ls -A \"$1\"; exit $status;"
        );
        let output = mounted(&script).unwrap();
        assert_ne!(output.status.code(), Some(0), "{linker}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{linker}: files left");
        assert!(!errors(&output).is_empty());
    }
}
