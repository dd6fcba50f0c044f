//! `build`: makes the tree that `install` copies, under `target/solo5`; for the demo, the part that it
//! shows, under `target/demo`; for machines of another architecture, under `target/ARCH/solo5`; this machine's
//! tools that make unikernels for those, under `target/ARCH/toolchain`.
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

use rustix::fs::{CWD, RenameFlags, renameat_with};
use solo5_abi::Arch;
use tempfile::TempDir;

use crate::cross::Compiler;
use crate::part::Part;
use crate::platform::{find, gnu_triple};
use crate::programs::{Kind, PROGRAMS, Program, TOOLCHAIN};
use crate::run::{cargo, output, run};
use crate::tree::{part_of, write};
use crate::{Arguments, Result, bindings, build_systems, documents, version};

pub(crate) const ARGUMENTS: &str = "[--quick] [--arch=ARCH | --cross=ARCH] [--only=PART,...]";
pub(crate) const HELP: &str = "Build everything, or some of tools, tenders, headers, toolchain and docs, and stage it under target/solo5; --quick without optimisation, in seconds; --arch=aarch64 or ppc64le for machines of that architecture, under target/ARCH/solo5; --cross=ARCH only this machine's tools that make unikernels for them, under target/ARCH/toolchain.";

/// Where the tree is.
pub(crate) fn prefix() -> PathBuf {
    crate::root().join("target/solo5")
}

/// Where the tree for machines of `arch` is.
pub(crate) fn prefix_for(arch: Arch) -> PathBuf {
    if Arch::HOST == Some(arch) {
        prefix()
    } else {
        crate::root().join("target").join(arch.name()).join("solo5")
    }
}

/// Where the tools of this machine are that make unikernels for another architecture.
pub(crate) fn toolchain_for(arch: Arch) -> PathBuf {
    if Arch::HOST == Some(arch) {
        prefix()
    } else {
        crate::root().join("target").join(arch.name()).join("toolchain")
    }
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

/// The programs that make unikernels and look at them.
const MAKE_UNIKERNELS: [&str; 3] = ["solo5-mft", TOOLCHAIN, "solo5-elftool"];

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let (mut effort, mut parts, mut arch) = (Effort::Full, None, None);
    let mut cross = None;
    for argument in arguments {
        match argument.split_once('=') {
            None if argument == "--quick" => effort = Effort::Quick,
            Some(("--only", list)) => parts = Some(Part::list(list)?),
            Some(("--arch", name)) => arch = Some(named(name)?),
            Some(("--cross", name)) => cross = Some(another(name)?),
            _ => return Err(format!("unknown argument '{argument}'; known: {ARGUMENTS}").into()),
        }
    }
    if let Some(cross) = cross {
        if arch.is_some() || parts.is_some() {
            return Err(
                "--cross stages one set of tools; it goes with neither --arch nor --only".into()
            );
        }
        build_cross(cross, effort)?;
        println!("staged in {}", toolchain_for(cross).display());
        return Ok(ExitCode::SUCCESS);
    }
    let arch = arch.map_or_else(host, Ok)?;
    build_for(arch, effort, &parts.unwrap_or_else(|| Part::ALL.to_vec()))?;
    println!("staged in {}", prefix_for(arch).display());
    if Arch::HOST != Some(arch) && toolchain_for(arch).exists() {
        println!("tools that make its unikernels here: {}", toolchain_for(arch).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds and stages everything.
pub(crate) fn build(effort: Effort) -> Result<()> {
    build_parts(effort, &Part::ALL)
}

/// Builds these parts, and stages them as the whole tree.
pub(crate) fn build_parts(effort: Effort, parts: &[Part]) -> Result<()> {
    build_for(host()?, effort, parts)
}

/// Builds these parts for machines of `arch`, and stages them as that architecture's tree. If it is not this
/// machine's, the tools that make unikernels for it are staged beside the tree.
pub(crate) fn build_for(arch: Arch, effort: Effort, parts: &[Part]) -> Result<()> {
    let root = crate::root();
    let has = |part| parts.contains(&part);
    let wanted = |program: &&Program| has(program.part) && program.architectures.contains(&arch);
    let programs: Vec<_> = PROGRAMS.iter().filter(wanted).collect();
    let compiled = compile(&root, arch, &programs, effort)?;
    // Programs that can be run here: they print their pages, and the linker scripts.
    let native = if Arch::HOST == Some(arch) {
        compiled.clone()
    } else {
        println!("for this machine, which makes its unikernels and prints manual pages:");
        let ours = |program: &&Program| {
            wanted(program) || has(Part::Toolchain) && MAKE_UNIKERNELS.contains(&program.name)
        };
        let ours: Vec<_> = PROGRAMS.iter().filter(ours).collect();
        compile(&root, host()?, &ours, effort)?
    };
    let new = new_tree(&root)?;
    executables(&compiled, &programs, new.path(), arch)?;
    documents::stage(&root, &programs, &native, new.path(), arch)?;
    if has(Part::Headers) {
        copy_headers(&root.join("bindings/include"), &new.path().join(PUBLIC_HEADERS))?;
    }
    let all = bindings_of(arch);
    if has(Part::Toolchain) && !all.is_empty() {
        compiler_headers(new.path(), arch)?;
        libraries(&root, new.path(), &native, arch, all)?;
        build_systems::stage(&root, new.path(), &native, arch, all)?;
    }
    remove_others(new.path(), new.path(), parts)?;
    if Arch::HOST != Some(arch) && has(Part::Toolchain) && has(Part::Headers) && !all.is_empty() {
        toolchain(&root, &native, new.path(), arch)?;
    }
    replace(new, &prefix_for(arch))
}

/// The architecture of this name.
fn named(name: &str) -> Result<Arch> {
    Arch::from_name(name).ok_or_else(|| {
        let names = Arch::ALL.map(Arch::name).join(", ");
        format!("'{name}' is no architecture of the suite; they are {names}").into()
    })
}

/// The architecture of this name, which is not this machine's.
pub(crate) fn another(name: &str) -> Result<Arch> {
    match named(name)? {
        arch if Arch::HOST == Some(arch) => {
            Err(format!("{name} is this machine's architecture: leave --cross out").into())
        }
        arch => Ok(arch),
    }
}

/// Builds and stages only this machine's tools that make unikernels for `arch`, which is another architecture.
pub(crate) fn build_cross(arch: Arch, effort: Effort) -> Result<()> {
    let root = crate::root();
    let ours = |program: &&Program| MAKE_UNIKERNELS.contains(&program.name);
    let native =
        compile(&root, host()?, &PROGRAMS.iter().filter(ours).collect::<Vec<_>>(), effort)?;
    let new = new_tree(&root)?;
    let all = bindings_of(arch);
    copy_headers(&root.join("bindings/include"), &new.path().join(PUBLIC_HEADERS))?;
    compiler_headers(new.path(), arch)?;
    libraries(&root, new.path(), &native, arch, all)?;
    build_systems::stage(&root, new.path(), &native, arch, all)?;
    toolchain(&root, &native, new.path(), arch)
}

/// The bindings of `arch`: none, if none are written yet.
pub(crate) fn bindings_of(arch: Arch) -> &'static [&'static str] {
    let found = bindings::BINDINGS.iter().find(|(of, _)| *of == arch);
    found.map_or(&[], |(_, all)| all)
}

/// Whether unikernels for `target` can be made for machines of `arch`, and be run on them.
pub(crate) fn runs(arch: Arch, target: &str) -> bool {
    let is_tender = |program: &&Program| match program.kind {
        Kind::Tender(of) => of.name() == target && program.architectures.contains(&arch),
        _ => false,
    };
    bindings_of(arch).contains(&target) && PROGRAMS.iter().any(|program| is_tender(&program))
}

/// Stages what makes unikernels for `arch` on this machine: its own programs from `native`, with the
/// bindings and headers of the tree `from`.
fn toolchain(root: &Path, native: &Path, from: &Path, arch: Arch) -> Result<()> {
    let new = new_tree(root)?;
    let bin = new.path().join("bin");
    fs::create_dir_all(&bin)?;
    for program in PROGRAMS.iter().filter(|program| MAKE_UNIKERNELS.contains(&program.name)) {
        fs::copy(native.join(program.name), bin.join(program.name))?;
        // `solo5-cc` and the like are for this machine's architecture.
        for link in program.links(arch).iter().filter(|link| link.starts_with(arch.triple())) {
            symlink(program.name, bin.join(link))?;
        }
    }
    for folder in ["include", "lib"] {
        run(Command::new("cp").arg("-a").arg(from.join(folder)).arg(new.path()))?;
    }
    replace(new, &toolchain_for(arch))
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
    let arch = host()?;
    let shown = |program: &&Program| DEMO_PROGRAMS.contains(&program.name);
    let programs: Vec<_> = PROGRAMS.iter().filter(shown).collect();
    let compiled = compile(&root, arch, &programs, Effort::Quick)?;
    let new = new_tree(&root)?;
    executables(&compiled, &programs, new.path(), arch)?;
    copy_headers(&root.join("bindings/include"), &new.path().join(PUBLIC_HEADERS))?;
    compiler_headers(new.path(), arch)?;
    libraries(&root, new.path(), &compiled, arch, &DEMO_BINDINGS)?;
    replace(new, &demo_prefix())
}

/// This machine's architecture.
fn host() -> Result<Arch> {
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
    fs::create_dir_all(place.parent().ok_or("a tree without a place")?)?;
    if place.exists() {
        // The exchange is atomic: at any moment each program is there, the old one or the new one.
        renameat_with(CWD, new.path(), CWD, place, RenameFlags::EXCHANGE)?;
    } else {
        fs::rename(new.keep(), place)?;
    }
    Ok(())
}

/// Compiles programs as static executables for `arch` and returns their folder.
fn compile(root: &Path, arch: Arch, programs: &[&Program], effort: Effort) -> Result<PathBuf> {
    let compiler = Compiler::of(arch)?;
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
        cargo.current_dir(root).args([verb, "--quiet", "--bin", name]);
        cargo.arg("--target-dir").arg(&target_dir).env("SOLO5_VERSION", &version);
        match effort {
            Effort::Full => program.full(&mut cargo, root, &compiler),
            Effort::Quick => program.quick(&mut cargo, arch, &compiler),
        }
        run(&mut cargo)?;
    }
    Ok(target_dir.join(compiler.triple).join(profile))
}

impl Program {
    /// Optimised, and built alone: packages built together share the union of their features.
    fn full(&self, cargo: &mut Command, root: &Path, compiler: &Compiler) {
        let (model, features, level) = match self.kind {
            Kind::Tool | Kind::ToolWithoutVerbs | Kind::Toolchain => ("static", "", "3"),
            Kind::Tender(_) | Kind::Runner => ("pie", "", "3"),
            // To optimise the debugger's protocol for speed takes more than ten minutes; for size,
            // seconds.
            Kind::DebugTender => ("pie", "debug", "\"s\""),
        };
        compiler
            .compile_with(cargo, &rustflags(root))
            .args(["--release", "--package", self.package, "--features", features])
            .args(["--config", &format!("profile.release.opt-level={level}")])
            .args(["--", &format!("-Crelocation-model={model}")]);
    }

    /// Not optimised, position-independent, and with the features of all packages together, so that
    /// no crate is compiled twice.
    fn quick(&self, cargo: &mut Command, arch: Arch, compiler: &Compiler) {
        for program in PROGRAMS.iter().filter(|program| program.architectures.contains(&arch)) {
            cargo.args(["--package", program.package]);
        }
        if self.kind == Kind::DebugTender {
            cargo.args(["--features", &format!("{}/debug", self.package)]);
        }
        compiler.compile_with(cargo, STATIC);
    }
}

/// Linked statically, whatever the C library.
pub(crate) const STATIC: &str = "-Ctarget-feature=+crt-static";

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
    let mut cc = if Arch::HOST == Some(arch) {
        compiler(&std::env::var("TARGET_CC").unwrap_or_default())
    } else {
        let gcc = format!("{}-gcc", gnu_triple(arch));
        if find(&gcc).is_none() {
            // Clang, the other compiler for it, brings its own.
            return Ok(());
        }
        Command::new(gcc)
    };
    let own = output(cc.arg("-print-file-name=include"))?;
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

/// The bindings `all` of `arch`, each with its linker script, which the toolchain in `native` prints.
fn libraries(root: &Path, tree: &Path, native: &Path, arch: Arch, all: &[&str]) -> Result<()> {
    let folder = tree.join("lib").join(arch.triple());
    fs::create_dir_all(&folder)?;
    for target in all {
        println!("building {}, the guest's side", bindings::object_file(target));
        bindings::build(root, arch, target, &folder)?;
        let mut toolchain = Command::new(native.join(TOOLCHAIN));
        let script = output(toolchain.args(["script", arch.name(), target]))?;
        write(&folder.join(format!("solo5_{target}.lds")), &script)?;
    }
    Ok(())
}
