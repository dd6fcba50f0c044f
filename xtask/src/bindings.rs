//! `solo5_<target>.o`: a target's bindings as one relocatable object
//! (`docs/reference/guest-api.md#symbols`).
//!
//! rustc makes an archive of everything; a partial link takes from it what the exported symbols
//! need; then every other symbol is made local, so that the object's own memory functions never
//! clash with the application's. `bindings/symbols/<target>.txt` lists the symbols: both those to
//! keep, and those that the result has to have.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use solo5_abi::Arch;

use crate::run::{cargo, output, run};
use crate::{Result, version};

/// Flags for the crate and its dependencies, which run without a host beneath them.
///
/// * Guest code is static and placed below 4 GiB.
/// * With relro, rustc would call memory functions through a global offset table.
/// * A red zone would not survive interrupts, on targets that have any.
/// * Nothing unwinds. A debugger finds a function's caller by frame pointers.
/// * No vector registers: on some hosts KVM interprets guests and does not know them. So there is no
///   vectorisation, and the CPU is one on which unaligned vectors are slow: for it the compiler
///   copies and clears by words. A test finds vector instructions that slip through.
const FLAGS: [&str; 8] = [
    "-Cpanic=abort",
    "-Crelocation-model=static",
    "-Crelro-level=off",
    "-Cno-redzone=yes",
    "-Cforce-unwind-tables=no",
    "-Cforce-frame-pointers=yes",
    "-Cno-vectorize-slp",
    "-Ctarget-cpu=k8",
];

/// The name of the bindings' file.
pub(crate) fn object_file(target: &str) -> String {
    format!("solo5_{target}.o")
}

/// Builds the bindings of `target` for `arch` into `out_dir` and returns the object's path. Fails
/// if its symbols are not exactly those listed.
pub(crate) fn build(root: &Path, arch: Arch, target: &str, out_dir: &Path) -> Result<PathBuf> {
    let symbols = Symbols::read(root, target)?;
    let scratch = tempfile::tempdir()?;
    let archive = scratch.path().join("bindings.a");
    compile(root, arch, target, &archive)?;
    let linked = scratch.path().join("linked.o");
    let mut ld = Command::new("ld");
    ld.args(["-r", "--gc-sections", "--strip-debug", "--fatal-warnings", "-T"])
        .arg(root.join("bindings/partial.lds"))
        .arg("-o")
        .arg(&linked);
    for name in symbols.exported() {
        ld.arg("-u").arg(name);
    }
    run(ld.arg(archive))?;

    let object = out_dir.join(object_file(target));
    let mut objcopy = Command::new("objcopy");
    for name in symbols.exported() {
        objcopy.arg("-G").arg(name);
    }
    run(objcopy.arg(&linked).arg(&object))?;
    symbols.check(&object)?;
    Ok(object)
}

/// Compiles the crate and everything below it into the archive `to`.
fn compile(root: &Path, arch: Arch, target: &str, to: &Path) -> Result<()> {
    let triple = match arch {
        Arch::X86_64 => "x86_64-unknown-linux-gnu",
        Arch::Aarch64 | Arch::Ppc64le => {
            return Err(format!("there are no bindings for {} yet", arch.name()).into());
        }
    };
    // One folder for all targets, so that shared crates are compiled once. Cargo gives every target's
    // archive the same name, so the lock is held until the archive is copied.
    let target_dir = root.join("target/bindings");
    fs::create_dir_all(&target_dir)?;
    let lock = File::create(target_dir.join("lock"))?;
    lock.lock()?;
    let remap = format!("--remap-path-prefix={}=.", root.display());
    let flags: Vec<_> = FLAGS.into_iter().chain([remap.as_str()]).collect();
    let mut command = cargo();
    command
        .current_dir(root)
        .env("SOLO5_VERSION", version::find(root))
        // Replaces flags that the user set for programs of the host.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // Fat LTO would merge `core` with the bindings and apply its module flags to the result.
        .env("CARGO_PROFILE_RELEASE_LTO", "thin")
        .args(["rustc", "--quiet", "--package", "solo5-bindings", "--release"])
        .args(["--crate-type", "staticlib", "--features", target, "--target", triple])
        .arg("--target-dir")
        .arg(&target_dir);
    run(&mut command)?;
    fs::copy(target_dir.join(triple).join("release/libsolo5_bindings.a"), to)?;
    Ok(())
}

/// The symbols of an object, as `nm` shows them: a letter for the kind, and the name.
struct Symbols {
    lines: Vec<String>,
}

impl Symbols {
    fn read(root: &Path, target: &str) -> Result<Symbols> {
        let path = root.join(format!("bindings/symbols/{}.txt", target));
        let text = fs::read_to_string(&path)
            .map_err(|_| format!("there are no bindings for {} yet", target))?;
        Ok(Symbols::of(&text))
    }

    fn of(text: &str) -> Symbols {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines.sort_unstable();
        Symbols { lines }
    }

    /// Names of the symbols others can refer to.
    fn exported(&self) -> impl Iterator<Item = &str> {
        let symbols = self.lines.iter().filter_map(|line| line.split_once(' '));
        symbols.filter(|(kind, _)| !matches!(*kind, "U" | "w")).map(|(_, name)| name)
    }

    /// Compares with the global and undefined symbols of an object.
    fn check(&self, object: &Path) -> Result<()> {
        let text = output(Command::new("nm").args(["--extern-only", "-P"]).arg(object))?;
        let text = String::from_utf8(text)?;
        // Columns: name and kind; for a defined symbol also value and size.
        let found: Vec<_> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let name = words.next()?;
                Some(format!("{} {name}", words.next()?))
            })
            .collect();
        let missing = self.lines.iter().filter(|line| !found.contains(line));
        let surplus = found.iter().filter(|line| !self.lines.contains(line));
        let differences: Vec<_> = missing
            .map(|line| format!("missing: {line}"))
            .chain(surplus.map(|line| format!("not listed: {line}")))
            .collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(format!("{}: wrong symbols: {}", object.display(), differences.join(", ")).into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words that a tool prints about the object, line by line.
    fn rows(command: &mut Command, object: &Path) -> Vec<Vec<String>> {
        let text = String::from_utf8(output(command.arg(object)).unwrap()).unwrap();
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// Name, type and flags of the sections that end up in a unikernel.
    fn sections(object: &Path) -> BTreeSet<[String; 3]> {
        let rows = rows(Command::new("readelf").arg("-SW"), object);
        let sections = rows.iter().filter_map(|row| {
            // Columns behind the number: name, type, address, offset, size, entry size, flags.
            let at = row.iter().position(|word| word.ends_with(']'))? + 1;
            let column = |offset| row.get(at + offset).cloned();
            Some([column(0)?, column(1)?, column(6)?])
        });
        sections.filter(|[_, _, flags]| flags.contains('A')).collect()
    }

    fn set(sections: &[[&str; 3]]) -> BTreeSet<[String; 3]> {
        sections.iter().map(|section| section.map(str::to_owned)).collect()
    }

    fn object(target: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let object = build(&crate::root(), Arch::X86_64, target, folder.path()).unwrap();
        (folder, object)
    }

    /// `build` has checked the symbols. This checks sections, notes and relocations.
    fn has_what_linker_scripts_place_and_nothing_else(target: &str) {
        let (_folder, object) = object(target);
        let mut expected = set(&[
            [".text", "PROGBITS", "AX"],
            [".rodata", "PROGBITS", "A"],
            [".data", "PROGBITS", "WA"],
            [".bss", "NOBITS", "WA"],
            [".interp", "PROGBITS", "AR"],
            [".note.solo5.abi", "NOTE", "AR"],
            [".note.solo5.not_openbsd", "NOTE", "AR"],
        ]);
        if target == "virtio" {
            // What loaders look for.
            let for_loaders = [[".multiboot", "PROGBITS", "A"], [".note.solo5.xen", "NOTE", "A"]];
            expected.extend(set(&for_loaders));
        }
        assert_eq!(sections(&object), expected);

        let notes = rows(Command::new("readelf").arg("-nW"), &object);
        let owners: Vec<_> = notes
            .iter()
            .filter_map(|row| Some((row.first()?.as_str(), row.get(1)?.as_str())))
            .collect();
        assert!(owners.contains(&("Solo5", "0x00000010")), "{owners:?}");
        assert!(owners.contains(&("OpenBSD", "0x00000004")), "{owners:?}");

        let relocations = rows(Command::new("readelf").arg("-rW"), &object);
        let kinds: BTreeSet<_> = relocations
            .iter()
            .filter_map(|row| row.get(2).filter(|kind| kind.starts_with("R_X86_64_")).cloned())
            .collect();
        let simple = ["32", "32S", "64", "PC32", "PLT32"].map(|kind| format!("R_X86_64_{kind}"));
        assert!(kinds.is_subset(&simple.into()), "{kinds:?}");
    }

    #[test]
    fn objects_have_what_linker_scripts_place_and_nothing_else() {
        for target in ["hvt", "spt", "virtio"] {
            has_what_linker_scripts_place_and_nothing_else(target);
        }
    }

    /// Limits in bytes of text and bss, as `size` counts them. An hvt guest has to run in 2 MiB, so its
    /// bindings must not need much memory.
    #[test]
    fn objects_are_small() {
        for (target, text_max, bss_max) in
            [("hvt", 20_300, 0x1_0000), ("spt", 13_400, 0x1000), ("virtio", 64_000, 0x4_0000)]
        {
            let (_folder, object) = object(target);
            let rows = rows(&mut Command::new("size"), &object);
            let [text, bss] = [0, 2].map(|column| rows[1][column].parse::<u64>().unwrap());
            assert!(text <= text_max, "{target}: {text} bytes of text");
            assert!(bss <= bss_max, "{target}: {bss} bytes of bss");
        }
    }

    /// Lines of the object's code that name a vector register, in functions whose symbol has `part`
    /// in it.
    fn vector_instructions(target: &str, part: &str) -> Vec<String> {
        let (_folder, object) = object(target);
        let listing =
            output(Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(&object))
                .unwrap();
        let listing = String::from_utf8(listing).unwrap();
        let functions = listing.split("\n\n").filter(|text| {
            text.trim_start().lines().next().is_some_and(|line| line.contains(part))
        });
        let code: Vec<_> = functions.flat_map(str::lines).collect();
        let names_registers = code.iter().any(|line| line.contains("%rsp"));
        assert!(names_registers, "no function, or registers are not written like this");
        let is_vector =
            |line: &&str| ["%xmm", "%ymm", "%mm"].iter().any(|name| line.contains(name));
        code.into_iter().filter(is_vector).map(str::to_owned).collect()
    }

    #[test]
    fn hvt_object_uses_no_vector_registers() {
        assert_eq!(vector_instructions("hvt", ""), [""; 0]);
    }

    /// Their entries do not keep the vector registers of what was interrupted.
    #[test]
    fn interrupts_of_virtio_use_no_vector_registers() {
        assert_eq!(vector_instructions("virtio", "interrupt"), [""; 0]);
    }

    #[test]
    fn stub_object_has_no_notes() {
        let (_folder, object) = object("stub");
        let expected = set(&[
            [".text", "PROGBITS", "AX"],
            [".bss", "NOBITS", "WA"],
            [".interp", "PROGBITS", "AR"],
        ]);
        assert_eq!(sections(&object), expected);
    }

    #[test]
    fn a_wrong_symbol_is_an_error() {
        let (_folder, object) = object("stub");
        let errors = Symbols::of("T _start\nU malloc").check(&object).unwrap_err().to_string();
        assert!(errors.contains("missing: U malloc"), "{errors}");
        assert!(errors.contains("not listed: T solo5_yield"), "{errors}");
        assert!(!errors.contains("_start"), "{errors}");
    }

    #[test]
    fn other_bindings_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let build = |arch, target| build(&crate::root(), arch, target, folder.path()).is_err();
        assert!(build(Arch::X86_64, "muen"));
        assert!(build(Arch::Aarch64, "stub"));
    }
}
