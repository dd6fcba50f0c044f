//! `build`: makes the tree that `install` copies, under `target/solo5`; for the demo, the part that it
//! shows, under `target/demo`.
//!
//! A new tree is assembled beside the old one and takes its place when it is complete, so a failed
//! build leaves the old one as it was.
//!
//! There are two efforts. [`Effort::Full`] optimises, links with musl and has the same bytes in
//! every folder; that is what `build`, `install`, `test` and `bench` make. [`Effort::Quick`] takes
//! cargo's development profile and compiles each crate once for all programs; that is for the demo
//! and for developers.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use solo5_abi::Arch;
use tempfile::TempDir;

use crate::part::Part;
use crate::platform::{has_library, rustc};
use crate::programs::{Kind, PROGRAMS, Program, TOOLCHAIN};
use crate::run::{cargo, output, run};
use crate::tree::{part_of, write};
use crate::{Arguments, Result, bindings, build_systems, documents, version};

pub(crate) const ARGUMENTS: &str = "[--quick] [--only=PART,...]";
pub(crate) const HELP: &str = "Build everything, or some of tools, tenders, headers, toolchain and docs, and stage it under target/solo5; --quick without optimisation, in seconds.";

/// Where the tree is.
pub(crate) fn prefix() -> PathBuf {
    crate::root().join("target/solo5")
}

/// Where the demo's part of a tree is. It has another name, so that the demo does not replace a whole
/// tree by a part of one.
pub(crate) fn demo_prefix() -> PathBuf {
    crate::root().join("target/demo")
}

/// How much work a build does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Effort {
    Full,
    Quick,
}

/// The programs that the demo shows; its unikernels are for spt.
const DEMO_PROGRAMS: [&str; 4] = ["solo5-mft", TOOLCHAIN, "solo5-elftool", "solo5-spt"];
const DEMO_BINDINGS: [&str; 1] = ["spt"];

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let (mut effort, mut parts) = (Effort::Full, Part::ALL.to_vec());
    for argument in arguments {
        match argument.split_once('=') {
            None if argument == "--quick" => effort = Effort::Quick,
            Some(("--only", list)) => parts = Part::list(list)?,
            _ => return Err(format!("unknown argument '{argument}'; known: {ARGUMENTS}").into()),
        }
    }
    build_parts(effort, &parts)?;
    println!("staged in {}", prefix().display());
    Ok(ExitCode::SUCCESS)
}

/// Builds and stages everything.
pub(crate) fn build(effort: Effort) -> Result<()> {
    build_parts(effort, &Part::ALL)
}

/// Builds these parts, and stages them as the whole tree.
pub(crate) fn build_parts(effort: Effort, parts: &[Part]) -> Result<()> {
    let root = crate::root();
    let arch = arch()?;
    let has = |part| parts.contains(&part);
    let wanted = |program: &&Program| has(program.part);
    let programs: Vec<_> = PROGRAMS.iter().filter(wanted).collect();
    let compiled = compile(&root, &programs, effort)?;
    let new = new_tree(&root)?;
    executables(&compiled, &programs, new.path(), arch)?;
    documents::stage(&root, &programs, new.path(), arch)?;
    if has(Part::Headers) {
        copy_headers(&root.join("bindings/include"), &new.path().join(PUBLIC_HEADERS))?;
    }
    if has(Part::Toolchain) {
        compiler_headers(new.path(), arch)?;
        for (arch, all) in bindings::BINDINGS.iter().filter(|(other, _)| *other == arch) {
            libraries(&root, new.path(), *arch, all)?;
            build_systems::stage(&root, new.path(), *arch, all)?;
        }
    }
    remove_others(new.path(), new.path(), parts)?;
    replace(new, &prefix())
}

/// Removes the files of other parts, and folders that are empty then.
fn remove_others(tree: &Path, folder: &Path, parts: &[Part]) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            remove_others(tree, &path, parts)?;
            if fs::read_dir(&path)?.next().is_none() {
                fs::remove_dir(&path)?;
            }
        } else if !parts.contains(&part_of(path.strip_prefix(tree)?)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Builds what the demo shows, quickly, and stages it in a place of its own.
pub(crate) fn build_demo() -> Result<()> {
    let root = crate::root();
    let arch = arch()?;
    let shown = |program: &&Program| DEMO_PROGRAMS.contains(&program.name);
    let programs: Vec<_> = PROGRAMS.iter().filter(shown).collect();
    let compiled = compile(&root, &programs, Effort::Quick)?;
    let new = new_tree(&root)?;
    executables(&compiled, &programs, new.path(), arch)?;
    copy_headers(&root.join("bindings/include"), &new.path().join(PUBLIC_HEADERS))?;
    compiler_headers(new.path(), arch)?;
    libraries(&root, new.path(), arch, &DEMO_BINDINGS)?;
    replace(new, &demo_prefix())
}

fn arch() -> Result<Arch> {
    Arch::HOST.ok_or_else(|| "there are no bindings for this machine's architecture".into())
}

/// An empty tree beside the others.
fn new_tree(root: &Path) -> Result<TempDir> {
    fs::create_dir_all(root.join("target"))?;
    Ok(tempfile::Builder::new().prefix("solo5-stage").tempdir_in(root.join("target"))?)
}

/// Puts a finished tree in its place.
fn replace(new: TempDir, place: &Path) -> Result<()> {
    fs::set_permissions(new.path(), fs::Permissions::from_mode(0o755))?;
    if place.exists() {
        // The exchange is atomic: at any moment each program is there, the old one or the new one.
        renameat_with(CWD, new.path(), CWD, place, RenameFlags::EXCHANGE)?;
    } else {
        fs::rename(new.keep(), place)?;
    }
    Ok(())
}

/// Compiles programs as static executables and returns their folder.
fn compile(root: &Path, programs: &[&Program], effort: Effort) -> Result<PathBuf> {
    let triple = program_triple()?;
    let version = version::find(root);
    let (verb, target_dir, profile) = match effort {
        Effort::Full => ("rustc", root.join("target/stage"), "release"),
        // This folder already has the build scripts and macros that xtask and `cargo test` compiled.
        Effort::Quick => ("build", root.join("target"), "debug"),
    };
    for (number, program) in (1..).zip(programs) {
        let Program { name, purpose, .. } = program;
        println!("building {name}, which {purpose} ({number} of {})", programs.len());
        let mut cargo = cargo();
        cargo.current_dir(root).args([verb, "--quiet", "--bin", name, "--target", &triple]);
        cargo.arg("--target-dir").arg(&target_dir).env("SOLO5_VERSION", &version);
        match effort {
            Effort::Full => program.full(&mut cargo, root),
            Effort::Quick => program.quick(&mut cargo),
        }
        run(&mut cargo)?;
    }
    Ok(target_dir.join(triple).join(profile))
}

impl Program {
    /// Optimised, and built alone: packages built together share the union of their features.
    fn full(&self, cargo: &mut Command, root: &Path) {
        let (model, features, level) = match self.kind {
            Kind::Tool | Kind::ToolWithoutVerbs | Kind::Toolchain => ("static", "", "3"),
            Kind::Tender(_) | Kind::Runner => ("pie", "", "3"),
            // To optimise the debugger's protocol for speed takes more than ten minutes; for size,
            // seconds.
            Kind::DebugTender => ("pie", "debug", "\"s\""),
        };
        cargo
            .args(["--release", "--package", self.package, "--features", features])
            .args(["--config", &format!("profile.release.opt-level={level}")])
            .args(["--", &format!("-Crelocation-model={model}")])
            .env("CARGO_ENCODED_RUSTFLAGS", rustflags(root));
    }

    /// Not optimised, position-independent, and with the features of all packages together, so that
    /// no crate is compiled twice.
    fn quick(&self, cargo: &mut Command) {
        for Program { package, .. } in PROGRAMS {
            cargo.args(["--package", package]);
        }
        if self.kind == Kind::DebugTender {
            cargo.args(["--features", &format!("{}/debug", self.package)]);
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", STATIC);
    }
}

/// Linked statically, whatever the C library.
const STATIC: &str = "-Ctarget-feature=+crt-static";

/// Flags for static linking, without paths of the build machine in the result, and without tables for
/// unwinding: a panic aborts, and the tables would be a tenth of a tender.
pub(crate) fn rustflags(root: &Path) -> String {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let mut flags = vec![
        STATIC.to_owned(),
        "-Cforce-unwind-tables=no".to_owned(),
        format!("--remap-path-prefix={}=/solo5", root.display()),
    ];
    flags.extend(cargo_home.map(|home| format!("--remap-path-prefix={}=/cargo", home.display())));
    flags.join("\x1f")
}

/// The target of programs that are linked statically: the host with musl if its Rust library is
/// installed or `rustup` can add it, else the host itself.
///
/// At start, glibc asks the CPU about all its caches. In a virtual machine the hypervisor answers each
/// of these CPUID instructions, and together they take as long as the rest of the start.
pub(crate) fn program_triple() -> Result<String> {
    // Cached: the answer is used several times, and `rustup` is slow if it fails.
    static TRIPLE: OnceLock<String> = OnceLock::new();
    if let Some(triple) = TRIPLE.get() {
        return Ok(triple.clone());
    }
    let triple = find_program_triple()?;
    Ok(TRIPLE.get_or_init(|| triple).clone())
}

fn find_program_triple() -> Result<String> {
    let host = host_triple()?;
    let musl = host.replace("-linux-gnu", "-linux-musl");
    if !has_library(&musl)? {
        println!("adding the Rust library for {musl}");
        let added = run(Command::new("rustup").args(["--quiet", "target", "add", &musl]));
        if let Err(error) = added {
            println!("{error}");
            println!("programs are linked with this machine's C library instead, and start slower");
            return Ok(host);
        }
    }
    Ok(musl)
}

/// The host target of the Rust compiler.
pub(crate) fn host_triple() -> Result<String> {
    let text = String::from_utf8(output(rustc().arg("-vV"))?)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc -vV names no host")?.to_owned())
}

fn executables(compiled: &Path, programs: &[&Program], tree: &Path, arch: Arch) -> Result<()> {
    let bin = tree.join("bin");
    fs::create_dir_all(&bin)?;
    for program in programs {
        fs::copy(compiled.join(program.name), bin.join(program.name))?;
        for link in program.links(arch) {
            symlink(program.name, bin.join(link))?;
        }
    }
    Ok(())
}

/// Where the headers of the guest API are in the tree.
const PUBLIC_HEADERS: &str = "include/solo5";

/// The compiler's own freestanding headers, so that guests never need headers of the host.
fn compiler_headers(tree: &Path, arch: Arch) -> Result<()> {
    let cc = std::env::var("TARGET_CC").unwrap_or_default();
    let own = output(compiler(&cc).arg("-print-file-name=include"))?;
    let own = PathBuf::from(String::from_utf8(own)?.trim());
    let compiler = tree.join("include").join(arch.triple());
    fs::create_dir_all(&compiler)?;
    if own.is_absolute() { copy_headers(&own, &compiler) } else { Ok(()) }
}

/// The compiler `words`: a program, then arguments; `cc` if there are none.
fn compiler(words: &str) -> Command {
    let mut words = words.split_ascii_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words);
    command
}

fn copy_headers(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_headers(&from, &to)?;
        } else if from.extension().is_some_and(|suffix| suffix == "h") {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// The bindings `all` of `arch`, each with its linker script.
fn libraries(root: &Path, tree: &Path, arch: Arch, all: &[&str]) -> Result<()> {
    let folder = tree.join("lib").join(arch.triple());
    fs::create_dir_all(&folder)?;
    for target in all {
        println!("building {}, the guest's side", bindings::object_file(target));
        bindings::build(root, arch, target, &folder)?;
        let mut toolchain = Command::new(tree.join("bin").join(TOOLCHAIN));
        let script = output(toolchain.args(["script", arch.name(), target]))?;
        write(&folder.join(format!("solo5_{target}.lds")), &script)?;
    }
    Ok(())
}
