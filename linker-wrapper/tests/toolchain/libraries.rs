//! Libraries of the host are not linked. A link that needs none of their symbols succeeds;
//! otherwise an error names the symbol and its library.

use std::fs;
use std::process::{Command, Output};

use crate::tree::{APPLICATION, Tree, assert_ok, errors};

/// A unikernel that calls the C library.
const CALLS_LIBC: &str = "\
long getrandom(void *, unsigned long, unsigned);\n\
int solo5_app_main(const void *at) { return (int)getrandom((void *)at, 8, 0); }\n";

/// The same in code that nothing calls.
const DEAD_CALL: &str = "\
long getrandom(void *, unsigned long, unsigned);\n\
long dead(void *at) { return getrandom(at, 8, 0); }\n";

/// A unikernel that would call the C library if there were one.
const WEAK_CALL: &str = "\
__attribute__((weak)) int getentropy(void *, unsigned long);\n\
int solo5_app_main(const void *at) { return getentropy ? getentropy((void *)at, 8) : 0; }\n";

const TARGET: [&str; 4] = ["-z", "solo5-abi=spt", "manifest.o", "-o"];

/// The pairs of compiler and linker that are installed.
fn drivers() -> Vec<(&'static str, &'static str)> {
    let installed = |program: &str| Command::new(program).arg("--version").output().is_ok();
    [("gcc", "bfd"), ("gcc", "lld"), ("clang", "bfd"), ("clang", "lld")]
        .into_iter()
        .filter(|(compiler, linker)| installed(compiler) && installed(&format!("ld.{linker}")))
        .collect()
}

fn link(tree: &Tree, (compiler, linker): (&str, &str), arguments: &[&str]) -> Output {
    tree.command("solo5-cc")
        .env("SOLO5_CC", compiler)
        .arg(format!("-fuse-ld={linker}"))
        .args(TARGET)
        .arg("image")
        .args(arguments)
        .output()
        .unwrap()
}

/// Spellings of libraries that the host has.
const SPELLINGS: &[&[&str]] = &[
    &["-lc"],
    &["-l", "c"],
    &["-Wl,-Bdynamic", "-lc"],
    &["-Wl,-Bdynamic,-lc"],
    &["-Wl,-dy", "-lpthread", "-lc"],
    &["-Xlinker", "-lc"],
    &["-Wl,--library=c"],
    &["-Wl,--library,c"],
    &["-l:libc.a"],
    &["-l:libc.so.6"],
    &["-Wl,@libraries.rsp"],
    &["-Xlinker", "@libraries.rsp"],
    &["@libraries.rsp"],
    &["-Wl,--gc-sections", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lgcc_s", "-lc"],
];

#[test]
fn a_call_into_a_library_of_the_host_is_refused_by_name() {
    let tree = Tree::new();
    tree.manifest();
    tree.object("calls", CALLS_LIBC);
    tree.file("libraries.rsp", "-lc\n");
    for driver in drivers() {
        for spelling in SPELLINGS {
            let output = link(&tree, driver, &[&["calls.o"], *spelling].concat());
            let text = errors(&output);
            assert_ne!(output.status.code(), Some(0), "{driver:?} {spelling:?}");
            assert!(!tree.has("image"), "{driver:?} {spelling:?}");
            let words = "error[L509]: `getrandom` is from the host's library c";
            assert!(text.contains(words), "{driver:?} {spelling:?}: {text}");
        }
    }
    for linker in crate::tree::linkers() {
        let mut command = tree.command("solo5-ld");
        command.env("SOLO5_LD", linker).args(TARGET).args(["image", "calls.o", "-Bdynamic", "-lc"]);
        let output = command.output().unwrap();
        let text = errors(&output);
        assert_ne!(output.status.code(), Some(0), "{linker}");
        assert!(text.contains("error[L509]: `getrandom`"), "{linker}: {text}");
    }
}

/// What no library of the host defines is the linker's to name.
#[test]
fn a_symbol_that_nobody_defines_is_not_called_the_hosts() {
    let tree = Tree::new();
    tree.manifest();
    let code = "void nobody_has_it(void);\n\
                int solo5_app_main(const void *at) { (void)at; nobody_has_it(); return 0; }\n";
    tree.object("calls", code);
    let output = link(&tree, drivers()[0], &["calls.o"]);
    let text = errors(&output);
    assert_ne!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("nobody_has_it") && !text.contains("L509"), "{text}");
}

/// glibc defines them in several ways: as functions, as indirect functions that the dynamic linker chooses, as data, and
/// in an archive beside the shared library.
#[test]
fn every_kind_of_symbol_of_the_host_is_known() {
    let tree = Tree::new();
    tree.manifest();
    for (symbol, library) in [
        ("write", "c"),
        ("strlen", "c"),
        ("memcpy", "c"),
        ("strcmp", "c"),
        ("environ", "c"),
        ("atexit", "c"),
        ("sin", "m"),
        ("pow", "m"),
    ] {
        let code = format!(
            "extern char it[] __asm__(\"{symbol}\");\n\
             int solo5_app_main(const void *at) {{ (void)at; return (int)(long)&it; }}\n"
        );
        tree.object("calls", &code);
        // Whether the link names the library or not.
        for named in [&["-lc", "-lm"][..], &[]] {
            let text = errors(&link(&tree, drivers()[0], &[&["calls.o"], named].concat()));
            let words = format!("error[L509]: `{symbol}` is from the host's library {library},");
            assert!(text.contains(&words), "{symbol}: {text}");
            assert_eq!(text.contains("left out: -l"), !named.is_empty(), "{symbol}: {text}");
        }
    }
}

/// rustc passes such libraries even if only types of the crate `libc` are used.
#[test]
fn libraries_that_nothing_needs_count_as_empty() {
    let tree = Tree::new();
    tree.manifest();
    tree.object("app", APPLICATION);
    tree.object("dead", DEAD_CALL);
    tree.object("weak", WEAK_CALL);
    tree.file("libraries.rsp", "-lc\n");
    for driver in drivers() {
        for spelling in SPELLINGS {
            let collected = ["app.o", "dead.o", "-Wl,--gc-sections"];
            for inputs in [&["app.o"][..], &collected, &["weak.o"]] {
                let output = link(&tree, driver, &[inputs, *spelling].concat());
                assert_ok(&output);
                assert_eq!(errors(&output), "", "{driver:?} {inputs:?} {spelling:?}");
                fs::remove_file(tree.work.join("image")).unwrap();
            }
        }
        // The user may leave symbols unresolved on purpose.
        let unresolved = ["dead.o", "app.o", "-Wl,--unresolved-symbols=ignore-all", "-lc"];
        assert_ok(&link(&tree, driver, &[&unresolved[..], &["-z", "solo5-audit=off"]].concat()));
    }
}

#[test]
fn other_libraries_of_the_host_are_not_found() {
    let tree = Tree::new();
    tree.manifest();
    tree.object("app", APPLICATION);
    let host = tree.elsewhere("host");
    fs::write(host.join("libother.a"), "!<arch>\n").unwrap();
    for driver in drivers() {
        for library in ["-lother", "-lstdc++", "-lresolv"] {
            let output = tree
                .command("solo5-cc")
                .env("SOLO5_CC", driver.0)
                .env("LIBRARY_PATH", &host)
                .arg(format!("-fuse-ld={}", driver.1))
                .args(TARGET)
                .args(["image", "app.o", "-Wl,-Bdynamic", library])
                .output()
                .unwrap();
            if library == "-lstdc++" && output.status.success() {
                // A static library in the compiler's own folder is not the host's.
                assert!(!crate::image::Linked::open(&tree.work.join("image")).is_dynamic());
                continue;
            }
            let text = errors(&output);
            assert_eq!(output.status.code(), Some(1), "{driver:?} {library}: {text}");
            assert!(text.contains("error[L508]"), "{driver:?} {library}: {text}");
        }
    }
}

/// A library in a folder that the link names is linked, whatever its name. So is the compiler's own
/// library.
#[test]
fn libraries_of_the_link_are_found_first() {
    let tree = Tree::new();
    tree.manifest();
    tree.object(
        "calls",
        &format!("{CALLS_LIBC}unsigned __int128 d(unsigned __int128 a) {{ return a / 7; }}"),
    );
    tree.object(
        "c",
        "long getrandom(void *b, unsigned long n, unsigned f) { return (long)b + n + f; }\n",
    );
    let folders = tree.work.join("sysroot/usr/lib");
    fs::create_dir_all(&folders).unwrap();
    let packed = Command::new("ar")
        .args(["rcs", "sysroot/usr/lib/libc.a", "c.o"])
        .current_dir(&tree.work)
        .output();
    assert_ok(&packed.unwrap());
    let given: [&[&str]; 7] = [
        &["-Lsysroot/usr/lib"],
        &["-L", "sysroot/usr/lib"],
        &["-Wl,-L,sysroot/usr/lib"],
        &["-Wl,-Lsysroot/usr/lib"],
        &["-Wl,--library-path=sysroot/usr/lib"],
        &["-Xlinker", "-Lsysroot/usr/lib"],
        &["-Bsysroot/usr/lib"],
    ];
    for driver in drivers() {
        for folder in given {
            for libraries in [&["-lc", "-lgcc"][..], &["-l:libc.a", "-lgcc"], &["-Wl,-lc", "-lgcc"]]
            {
                if driver.0 == "clang" && folder[0].starts_with("-B") {
                    continue;
                }
                let output = link(&tree, driver, &[&["calls.o"], libraries, folder].concat());
                assert_ok(&output);
                let symbols = crate::image::Linked::open(&tree.work.join("image")).symbols();
                assert!(symbols.contains_key("getrandom"), "{driver:?} {folder:?}");
                assert!(!symbols.contains_key("__libc_start_main"), "{driver:?} {folder:?}");
                fs::remove_file(tree.work.join("image")).unwrap();
            }
        }
    }
    let sysroot = format!("--sysroot={}", tree.work.join("sysroot").display());
    let output = link(&tree, ("gcc", "bfd"), &["calls.o", "-lc", "-lgcc", &sysroot]);
    assert_ok(&output);
}

/// If no library defines an undefined symbol, only the linker's own message is printed.
#[test]
fn other_undefined_symbols_are_the_linkers_to_name() {
    let tree = Tree::new();
    tree.manifest();
    tree.object(
        "calls",
        "int mine(void);\nint solo5_app_main(const void *at) { (void)at; return mine(); }\n",
    );
    for driver in drivers() {
        let output = link(&tree, driver, &["calls.o", "-lc"]);
        let text = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{driver:?}");
        assert!(text.contains("mine") && !text.contains("solo5-cc"), "{driver:?}: {text}");
    }
}

/// A unikernel cannot use a shared library, and finding one must not lead to the host's static one.
#[test]
fn shared_libraries_of_the_link_do_not_count() {
    let tree = Tree::new();
    tree.manifest();
    tree.object("calls", CALLS_LIBC);
    let folder = tree.elsewhere("shared");
    fs::write(folder.join("libc.so"), "").unwrap();
    fs::write(folder.join("libother.so"), "").unwrap();
    let given = format!("-L{}", folder.display());
    for driver in drivers() {
        let text = errors(&link(&tree, driver, &["calls.o", &given, "-lc"]));
        assert!(text.contains("error[L509]: `getrandom`"), "{driver:?}: {text}");
        let text = errors(&link(&tree, driver, &["calls.o", &given, "-lother"]));
        assert!(text.contains("error[L508]"), "{driver:?}: {text}");
    }
}

/// The wrapper leaves no library out of stubs, which build systems link to probe, and of partial links.
#[test]
fn stubs_and_partial_links_stay_as_they_are() {
    let tree = Tree::new();
    tree.object("calls", CALLS_LIBC);
    tree.file("conftest.c", "int main(void) { return 0; }\n");
    assert_ok(&tree.run("solo5-cc", &["conftest.c", "-lm", "-o", "conftest"]));
    assert_ok(&tree.run("solo5-ld", &["-r", "-z", "solo5-abi=spt", "calls.o", "-o", "part.o"]));
    let output = tree.run("solo5-cc", &["calls.o", "-o", "conftest"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(!errors(&output).contains("L50"), "{}", errors(&output));
}

/// A library may be a script that names others, and an object may name libraries for lld.
#[test]
fn libraries_that_name_others_lead_to_no_folder_of_the_host() {
    let tree = Tree::new();
    tree.manifest();
    tree.object("calls", CALLS_LIBC);
    tree.object(
        "mine",
        "long getrandom(void *b, unsigned long n, unsigned f) { return (long)b + n + f; }\n",
    );
    let folder = tree.work.join("folder");
    fs::create_dir_all(&folder).unwrap();
    let packed = Command::new("ar")
        .args(["rcs", "folder/libmine.a", "mine.o"])
        .current_dir(&tree.work)
        .output();
    assert_ok(&packed.unwrap());
    let script = |text: &str| fs::write(folder.join("libscript.a"), text).unwrap();
    for driver in drivers() {
        for text in ["INPUT(-lc)", "GROUP(libc.a)", "/* x */ INPUT(AS_NEEDED(-lc))"] {
            script(text);
            let output = link(&tree, driver, &["calls.o", "-Lfolder", "-lscript"]);
            assert_eq!(output.status.code(), Some(1), "{driver:?} {text}");
            let said = errors(&output);
            assert!(said.contains("error[L508]") && said.contains("libscript.a"), "{said}");
        }
        for text in ["INPUT(-lmine)", "INPUT(libmine.a)"] {
            script(text);
            assert_ok(&link(&tree, driver, &["calls.o", "-Lfolder", "-lscript"]));
            fs::remove_file(tree.work.join("image")).unwrap();
        }
    }
    let asks = "__asm__(\".section .deplibs,\\\"MS\\\",@llvm_dependent_libraries,1\\n.asciz \\\"c\\\"\\n.previous\");\n";
    tree.file("asks.c", format!("{CALLS_LIBC}{asks}"));
    let compiled =
        tree.command("solo5-cc").env("SOLO5_CC", "clang").args(["-c", "asks.c"]).output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        println!("skip: libraries that an object names: no clang");
        return;
    }
    for driver in drivers().into_iter().filter(|(_, linker)| *linker == "lld") {
        let output = link(&tree, driver, &["asks.o"]);
        assert_ne!(output.status.code(), Some(0), "{driver:?}");
        assert!(errors(&output).contains("getrandom"), "{driver:?}: {}", errors(&output));
    }
}
