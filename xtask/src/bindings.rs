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

use crate::platform::{Binutils, Platform};
use crate::run::{cargo, output, run};
use crate::{Result, version};

/// Flags for the crate and its dependencies, which run without a host beneath them.
///
/// * Guest code is static and placed below 4 GiB.
/// * With relro, rustc would call memory functions through a global offset table.
/// * A red zone would not survive interrupts, on targets that have any.
/// * Nothing unwinds. A debugger finds a function's caller by frame pointers.
/// * There is no vectorisation, for what [`Platform::flags`] says of x86_64.
const FLAGS: [&str; 7] = [
    "-Cpanic=abort",
    "-Crelocation-model=static",
    "-Crelro-level=off",
    "-Cno-redzone=yes",
    "-Cforce-unwind-tables=no",
    "-Cforce-frame-pointers=yes",
    "-Cno-vectorize-slp",
];

/// The bindings that exist, for each architecture that has any.
pub(crate) const BINDINGS: &[(Arch, &[&str])] = &[
    (Arch::X86_64, &["stub", "hvt", "spt", "virtio"]),
    (Arch::Aarch64, &["stub", "hvt", "spt", "virtio"]),
    (Arch::Ppc64le, &["stub", "spt"]),
];

/// The name of the bindings' file.
pub(crate) fn object_file(target: &str) -> String {
    format!("solo5_{target}.o")
}

/// Builds the bindings of `target` for `arch` into `out_dir` and returns the object's path. Fails
/// if its symbols are not exactly those listed.
pub(crate) fn build(root: &Path, arch: Arch, target: &str, out_dir: &Path) -> Result<PathBuf> {
    build_with(&Binutils::of(arch)?, root, arch, target, out_dir)
}

/// [`build`], with these tools.
fn build_with(
    tools: &Binutils,
    root: &Path,
    arch: Arch,
    target: &str,
    out_dir: &Path,
) -> Result<PathBuf> {
    let symbols = Symbols::read(root, target)?;
    let platform = Platform::of(arch)?;
    let scratch = tempfile::tempdir()?;
    let archive = scratch.path().join("bindings.a");
    compile(root, &platform, target, &archive)?;
    let linked = scratch.path().join("linked.o");
    let mut ld = Command::new(&tools.ld);
    ld.args(&tools.ld_arguments)
        .args(["-r", "--gc-sections", "--strip-debug", "--fatal-warnings", "-T"])
        .arg(root.join("bindings/partial.lds"))
        .arg("-o")
        .arg(&linked);
    for name in symbols.exported() {
        ld.arg("-u").arg(name);
    }
    run(ld.arg(archive))?;

    let object = out_dir.join(object_file(target));
    let mut objcopy = Command::new(&tools.objcopy);
    for name in symbols.exported() {
        objcopy.arg("-G").arg(name);
    }
    run(objcopy.arg(&linked).arg(&object))?;
    symbols.check(tools, &object)?;
    Ok(object)
}

/// Compiles the crate and everything below it into the archive `to`.
fn compile(root: &Path, platform: &Platform, target: &str, to: &Path) -> Result<()> {
    let triple = platform.triple;
    // One folder for all targets, so that shared crates are compiled once. Cargo gives every target's
    // archive the same name, so the lock is held until the archive is copied.
    let target_dir = root.join("target/bindings");
    fs::create_dir_all(&target_dir)?;
    let lock = File::create(target_dir.join("lock"))?;
    lock.lock()?;
    let remap = format!("--remap-path-prefix={}=.", root.display());
    let flags: Vec<_> =
        FLAGS.iter().chain(platform.flags).copied().chain([remap.as_str()]).collect();
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

/// The base of a ppc64le image's table of contents, which every linker defines.
const TOC: &str = ".TOC.";

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
    fn check(&self, tools: &Binutils, object: &Path) -> Result<()> {
        let text = output(Command::new(&tools.nm).args(["--extern-only", "-P"]).arg(object))?;
        let text = String::from_utf8(text)?;
        // Columns: name and kind; for a defined symbol also value and size.
        let found: Vec<_> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let name = words.next().filter(|name| *name != TOC)?;
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

    fn object(arch: Arch, target: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let object = build(&crate::root(), arch, target, folder.path()).unwrap();
        (folder, object)
    }

    /// Whether this machine can build bindings for `arch`; a test that finds that it cannot says so.
    fn can_build(arch: Arch) -> bool {
        let missing = Binutils::of(arch).err().or_else(|| Platform::of(arch).err());
        if let Some(reason) = &missing {
            eprintln!("skipped: {reason}");
        }
        missing.is_none()
    }

    /// The architectures that can be tested here, each with its targets.
    fn all() -> impl Iterator<Item = (Arch, &'static str)> {
        let tables = BINDINGS.iter().filter(|(arch, _)| can_build(*arch));
        tables.flat_map(|(arch, targets)| targets.iter().map(|target| (*arch, *target)))
    }

    /// `build` has checked the symbols. This checks sections, notes and relocations.
    fn has_what_linker_scripts_place_and_nothing_else(arch: Arch, target: &str) {
        let (_folder, object) = object(arch, target);
        let mut expected = set(&[
            [".text", "PROGBITS", "AX"],
            [".rodata", "PROGBITS", "A"],
            [".data", "PROGBITS", "WA"],
            [".bss", "NOBITS", "WA"],
            [".interp", "PROGBITS", "AR"],
            [".note.solo5.abi", "NOTE", "AR"],
            [".note.solo5.not_openbsd", "NOTE", "AR"],
        ]);
        if arch == Arch::Ppc64le {
            // Constants with addresses in them, which pull others along; and the table of contents.
            expected.remove(&[".rodata", "PROGBITS", "A"].map(str::to_owned));
            expected.extend(set(&[[".data.rel.ro", "PROGBITS", "WA"], [".toc", "PROGBITS", "WA"]]));
        }
        if (arch, target) == (Arch::X86_64, "virtio") {
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
            .filter_map(|row| row.get(2).filter(|kind| kind.starts_with("R_")).cloned())
            .collect();
        let simple: BTreeSet<_> = relocation_kinds(arch).into_iter().map(str::to_owned).collect();
        assert!(kinds.is_subset(&simple), "{kinds:?}");
    }

    /// The relocations of a static program: none needs a table of addresses. `readelf` cuts long names.
    fn relocation_kinds(arch: Arch) -> Vec<&'static str> {
        match arch {
            Arch::X86_64 => {
                vec![
                    "R_X86_64_32",
                    "R_X86_64_32S",
                    "R_X86_64_64",
                    "R_X86_64_PC32",
                    "R_X86_64_PLT32",
                ]
            }
            Arch::Aarch64 => vec![
                "R_AARCH64_ABS64",
                "R_AARCH64_PREL32",
                "R_AARCH64_CALL26",
                "R_AARCH64_JUMP26",
                "R_AARCH64_CONDBR19",
                "R_AARCH64_ADR_PREL_LO21",
                "R_AARCH64_ADR_PREL_PG_HI21",
                "R_AARCH64_ADD_ABS_LO12_NC",
                "R_AARCH64_LDST8_ABS_LO12_NC",
                "R_AARCH64_LDST16_ABS_LO12_NC",
                "R_AARCH64_LDST32_ABS_LO12_NC",
                "R_AARCH64_LDST64_ABS_LO12_NC",
                "R_AARCH64_LDST128_ABS_LO12_NC",
                "R_AARCH64_MOVW_UABS_G0_NC",
                "R_AARCH64_MOVW_UABS_G1",
            ],
            // Those of `.toc` and of distances from it: the linker fills in the table's 8 bytes.
            Arch::Ppc64le => vec![
                "R_PPC64_ADDR64",
                "R_PPC64_ADDR16_HIGH",
                "R_PPC64_ADDR16_LO",
                "R_PPC64_REL16_HA",
                "R_PPC64_REL16_LO",
                "R_PPC64_REL24",
                "R_PPC64_TOC16_HA",
                "R_PPC64_TOC16_LO",
                "R_PPC64_TOC16_LO_DS",
            ],
        }
    }

    #[test]
    fn objects_have_what_linker_scripts_place_and_nothing_else() {
        for (arch, target) in all().filter(|(_, target)| *target != "stub") {
            has_what_linker_scripts_place_and_nothing_else(arch, target);
        }
    }

    /// Limits in bytes of text and bss, as `size` counts them. An hvt guest has to run in 2 MiB, so its
    /// bindings must not need much memory.
    #[test]
    fn objects_are_small() {
        for (arch, target) in all() {
            let (text_max, bss_max) = match target {
                "hvt" => (20_300, 0x1_0000),
                "spt" => (13_400, 0x1000),
                // Tables of the start, a device tree, and the library that reads it.
                "virtio" if arch == Arch::Aarch64 => (90_000, 0x4_0000),
                "virtio" => (64_000, 0x4_0000),
                _ => (4_000, 0x1000),
            };
            let (_folder, object) = object(arch, target);
            let rows = rows(&mut Command::new("size"), &object);
            let [text, bss] = [0, 2].map(|column| rows[1][column].parse::<u64>().unwrap());
            assert!(text <= text_max, "{target}: {text} bytes of text");
            assert!(bss <= bss_max, "{target}: {bss} bytes of bss");
        }
    }

    /// Lines of the object's code that name a vector register, in functions whose symbol has `part`
    /// in it.
    fn vector_instructions(target: &str, part: &str) -> Vec<String> {
        let (_folder, object) = object(Arch::X86_64, target);
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
        let expected = set(&[
            [".text", "PROGBITS", "AX"],
            [".bss", "NOBITS", "WA"],
            [".interp", "PROGBITS", "AR"],
        ]);
        for (arch, target) in all().filter(|(_, target)| *target == "stub") {
            let (_folder, object) = object(arch, target);
            assert_eq!(sections(&object), expected, "{}", arch.name());
        }
    }

    /// On a machine without binutils for the architecture.
    #[test]
    fn tools_of_llvm_make_the_same_content() {
        let tools = Binutils::llvm(Arch::Aarch64);
        if !can_build(Arch::Aarch64) || !tools.is_there() {
            eprintln!("skipped: there are not two kinds of tools for aarch64");
            return;
        }
        let (_folder, usual) = object(Arch::Aarch64, "spt");
        let folder = tempfile::tempdir().unwrap();
        let root = crate::root();
        let other = build_with(&tools, &root, Arch::Aarch64, "spt", folder.path()).unwrap();
        let sizes = |object: &Path| rows(&mut Command::new("size"), object)[1][..4].to_vec();
        assert_eq!(sizes(&usual), sizes(&other));
    }

    #[test]
    fn a_wrong_symbol_is_an_error() {
        let (_folder, object) = object(Arch::X86_64, "stub");
        let tools = Binutils::of(Arch::X86_64).unwrap();
        let errors =
            Symbols::of("T _start\nU malloc").check(&tools, &object).unwrap_err().to_string();
        assert!(errors.contains("missing: U malloc"), "{errors}");
        assert!(errors.contains("not listed: T solo5_yield"), "{errors}");
        assert!(!errors.contains("_start"), "{errors}");
    }

    #[test]
    fn other_bindings_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(build(&crate::root(), Arch::X86_64, "muen", folder.path()).is_err());
    }
}
