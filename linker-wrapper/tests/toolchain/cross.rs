//! Unikernels for another architecture than this machine's, by the cross tools of Debian and by LLVM's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use solo5_abi::{Arch, Target};
use solo5_image::elf::ProgramHeader;

use crate::image::Linked;
use crate::tree::{APPLICATION, Tree, assert_ok, errors};

/// A compiler and a linker for an architecture, as words.
#[derive(Clone, Copy, Debug)]
struct Tools {
    arch: Arch,
    compiler: &'static str,
    linker: &'static str,
}

const fn tools(arch: Arch, compiler: &'static str, linker: &'static str) -> Tools {
    Tools { arch, compiler, linker }
}

const TOOLS: [Tools; 4] = [
    tools(Arch::Aarch64, "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-ld"),
    tools(Arch::Aarch64, "clang --target=aarch64-linux-gnu -fuse-ld=lld", "ld.lld"),
    tools(Arch::Ppc64le, "powerpc64le-linux-gnu-gcc", "powerpc64le-linux-gnu-ld"),
    tools(Arch::Ppc64le, "clang --target=powerpc64le-linux-gnu -fuse-ld=lld", "ld.lld"),
];

const ARCHES: [Arch; 2] = [Arch::Aarch64, Arch::Ppc64le];

/// The tools for `arch` that are installed.
fn installed(arch: Arch) -> impl Iterator<Item = Tools> {
    TOOLS.into_iter().filter(move |tools| tools.arch == arch).filter(|tools| {
        let there = |words: &str| {
            let program = words.split(' ').next().unwrap();
            Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success())
        };
        let found = there(tools.compiler) && there(tools.linker);
        if !found {
            println!("skip: {tools:?}: not installed");
        }
        found
    })
}

fn tree(tools: Tools) -> Tree {
    Tree::of(tools.arch, &tools.compiler.split(' ').collect::<Vec<_>>())
}

/// Runs `ARCH-solo5-none-static-TOOL` with these tools behind it.
fn run(tree: &Tree, tools: Tools, tool: &str, words: &[&str]) {
    let Tools { arch, compiler, linker } = tools;
    let output = tree
        .command(&format!("{}-{tool}", arch.triple()))
        .env("SOLO5_CC", compiler)
        .env("SOLO5_LD", linker)
        .args(words)
        .output()
        .unwrap();
    assert_ok(&output);
    assert_eq!(errors(&output), "", "{compiler} {linker} {words:?}");
}

/// What linkers must agree on: everything but the places of things inside the segments. lld leaves out
/// empty segments, GNU ld does not.
fn shape(linked: &Linked) -> Vec<(u32, u32, u64)> {
    let headers = linked.image.segments().iter().filter(|it| it.p_memsz > 0);
    headers.map(|it: &ProgramHeader| (it.p_type, it.p_flags, it.p_align)).collect()
}

/// The notes, as kind and content.
fn notes(linked: &Linked) -> Vec<(u32, Vec<u8>)> {
    let notes = linked.image.notes().all().iter();
    notes.map(|note| (note.kind, note.read(&linked.file, 1 << 16).unwrap())).collect()
}

#[test]
fn every_set_of_tools_makes_the_same_segments_and_notes() {
    for (arch, target) in [(Arch::Aarch64, "spt"), (Arch::Aarch64, "hvt"), (Arch::Ppc64le, "spt")] {
        let mut first = None;
        for tools in installed(arch) {
            let tree = tree(tools);
            tree.manifest();
            tree.file("app.c", APPLICATION);
            let abi = format!("solo5-abi={target}");
            let manifest = "-zsolo5-manifest=manifest.yaml";
            run(&tree, tools, "cc", &["-O2", "-c", "app.c"]);
            run(&tree, tools, "ld", &["-z", &abi, manifest, "app.o", "-o", "image"]);
            run(&tree, tools, "cc", &["-O2", "-z", &abi, manifest, "app.c", "-o", "one-step"]);
            for name in ["image", "one-step"] {
                let path = tree.work.join(name);
                let linked = Linked::open(&path);
                assert_eq!(linked.image.arch(), arch);
                let of = Target::from_name(target).unwrap();
                let plan = linked.image.plan(&linked.file, of).unwrap();
                for segment in &plan.segments {
                    // A host with the largest pages can protect each segment.
                    assert_eq!(segment.pages.start % arch.page_size_max(), 0, "{segment:x?}");
                }
                let found = (shape(&linked), notes(&linked));
                assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{tools:?} {name}");
                readelf_agrees(arch, &path);
            }
            run(&tree, tools, "objcopy", &["--strip-all", "image", "stripped"]);
            let stripped = Linked::open(&tree.work.join("stripped"));
            assert_eq!(Some((shape(&stripped), notes(&stripped))), first);
        }
    }
}

fn readelf_agrees(arch: Arch, path: &Path) {
    let output = Command::new("readelf").args(["-hlW"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let page = format!("{:#x}", arch.page_size_max());
    let loads: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.trim_start().starts_with("LOAD"))
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(loads.len() >= 4, "{text}");
    for load in loads {
        assert_eq!(load.last(), Some(&page.as_str()), "{text}");
        assert!(!(load.contains(&"RWE") || load.contains(&"WE")), "{text}");
    }
    let machine = match arch {
        Arch::X86_64 => "Advanced Micro Devices X86-64",
        Arch::Aarch64 => "AArch64",
        Arch::Ppc64le => "PowerPC64",
    };
    let machine = format!("Machine:                           {machine}");
    for line in [machine.as_str(), "EXEC (Executable file)"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(errors_of(&output.stderr).is_empty());
}

fn errors_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Autoconf and its like link programs that are never run.
#[test]
fn probes_link_the_stub() {
    for tools in ARCHES.into_iter().flat_map(installed) {
        let tree = tree(tools);
        tree.file("probe.c", "int main(void) { return 0; }\n");
        run(&tree, tools, "cc", &["probe.c", "-o", "probe"]);
        assert_eq!(Linked::open(&tree.work.join("probe")).image.arch(), tools.arch);
    }
}

#[test]
fn the_same_bytes_in_every_folder() {
    for tools in ARCHES.into_iter().flat_map(installed) {
        let images = [(), ()].map(|()| {
            let tree = tree(tools);
            tree.manifest();
            tree.file("app.c", APPLICATION);
            let words = ["-O2", "-g0", "-z", "solo5-abi=spt", "-zsolo5-manifest=manifest.yaml"];
            run(&tree, tools, "cc", &[&words[..], &["app.c", "-o", "image"]].concat());
            fs::read(tree.work.join("image")).unwrap()
        });
        assert!(images[0] == images[1], "{tools:?}");
    }
}

/// Without variables the cross tools of the Debian family are used, or LLVM's if only they are there.
#[test]
fn the_usual_tools_are_the_cross_tools_or_those_of_llvm() {
    for arch in ARCHES {
        let found: Vec<_> = installed(arch).collect();
        let [gnu, _] = found[..] else {
            println!("skip: not both sets of tools are installed");
            continue;
        };
        usual_tools(gnu);
    }
}

fn usual_tools(gnu: Tools) {
    let arch = gnu.arch;
    let tree = tree(gnu);
    tree.manifest();
    tree.file("app.c", APPLICATION);
    let only = tree.elsewhere("only");
    for (set, programs) in
        [("gnu", &[gnu.compiler, gnu.linker][..]), ("llvm", &["clang", "ld.lld", "lld"][..])]
    {
        let folder = only.join(set);
        fs::create_dir(&folder).unwrap();
        for program in programs.iter().filter(|it| Path::new("/usr/bin").join(it).exists()) {
            symlink(Path::new("/usr/bin").join(program), folder.join(program)).unwrap();
        }
        for tool in ["cc", "ld"] {
            let words: &[&str] = match tool {
                "cc" => &["-O2", "-z", "solo5-abi=spt", "app.c", "manifest.o", "-o", "image"],
                _ => &["-z", "solo5-abi=spt", "app.o", "manifest.o", "-o", "image"],
            };
            if tool == "ld" {
                let compile = tree.run(&format!("{}-cc", arch.triple()), &["-c", "app.c"]);
                assert_ok(&compile);
            }
            let output = tree
                .command(&format!("{}-{tool}", arch.triple()))
                .env("PATH", &folder)
                .args(words)
                .output()
                .unwrap();
            assert_ok(&output);
            assert_eq!(Linked::open(&tree.work.join("image")).image.arch(), arch, "{set} {tool}");
        }
    }
}
