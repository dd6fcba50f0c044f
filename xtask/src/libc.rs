//! `libc`: musl, a C library, for unikernels: Debian's source package, unchanged, and the glue of `libc/`.
//!
//! | phase | from → to |
//! |---|---|
//! | 1 | a source package of Debian ([`sources`](crate::sources)), or a file that was named → sources |
//! | 2 | musl's own build, with our wrapper as its compiler → headers and `libc.a`, kept under `target/libc` |
//! | 3 | `libc/glue`, and `libc/replaced` for the members that are written in assembly → the same archive |
//! | 4 | → `lib/TRIPLE/musl` of the staged tree |
//!
//! musl makes system calls by inline functions of a header of which each architecture has one. Ours,
//! `libc/include/syscall_arch.h`, comes first on the include path, and calls the glue instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use solo5_abi::Arch;

use crate::platform::{find, gnu_triple};
use crate::run::{output, run, show};
use crate::{Arguments, Result, sources, stage};

pub(crate) const ARGUMENTS: &str = "[--arch=ARCH] [--source=FILE]";
pub(crate) const HELP: &str = "Build musl, a C library, and add it to the tree that `build` staged, for `solo5-cc -z solo5-libc=musl`. Its sources are those of Debian's package, fetched by apt, or FILE, an archive of musl's. --arch=aarch64 or ppc64le adds it to the tools for that architecture.";

/// Its name, as `-z solo5-libc=` has it.
const NAME: &str = "musl";

/// Programs that the build needs, and the packages that have them.
const NEEDED: [(&str, &str); 2] = [("make", "make"), ("tar", "tar")];

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let (mut arch, mut source) = (Arch::HOST.ok_or("no architecture of the suite")?, None);
    for argument in arguments {
        match argument.split_once('=') {
            Some(("--source", file)) => source = Some(PathBuf::from(file)),
            Some(("--arch", name)) => {
                arch = Arch::from_name(name).ok_or_else(|| {
                    let names = Arch::ALL.map(Arch::name).join(", ");
                    format!("'{name}' is no architecture of the suite; they are {names}")
                })?;
            }
            _ => return Err(format!("unknown argument '{argument}'; known: {ARGUMENTS}").into()),
        }
    }
    let placed = build(arch, source.as_deref())?;
    println!("musl is in {}; use it with `-z solo5-libc={NAME}`", placed.display());
    Ok(ExitCode::SUCCESS)
}

/// What `cargo xtask test` needs: the library for this machine, and the sources of a program that its tests
/// compile. Returns why sources cannot be had, if that is so.
///
/// # Errors
/// The build fails.
pub(crate) fn prepare() -> Result<Option<String>> {
    if let Err(error) = sources::archive(NAME) {
        return Ok(Some(error.to_string()));
    }
    build(Arch::HOST.ok_or("no architecture of the suite")?, None)?;
    Ok(sources::archive("lua5.4").err().map(|error| error.to_string()))
}

/// Builds musl from `source`, or from Debian's package, and stages it; returns where it is.
///
/// # Errors
/// The sources cannot be had, or the build fails.
pub(crate) fn build(arch: Arch, source: Option<&Path>) -> Result<PathBuf> {
    let toolchain = stage::toolchain_for(arch);
    let tools = Tools::of(arch, &toolchain)?;
    if crate::root().as_os_str().as_encoded_bytes().iter().any(u8::is_ascii_whitespace) {
        return Err("musl's own build takes no folder with a blank in its name".into());
    }
    for (program, package) in NEEDED {
        find(program).ok_or_else(|| format!("{program} is not installed (package {package})"))?;
    }
    let source = match source {
        Some(file) => {
            file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => sources::archive(NAME).map_err(|error| {
            format!("{error}\n--source=FILE takes an archive of musl's sources instead")
        })?,
    };
    let kept = crate::root().join("target/libc").join(arch.name());
    fs::create_dir_all(&kept)?;
    let work = tempfile::tempdir_in(&kept)?;
    let tree = sources::unpack(&source, work.path())?;
    if !tree.join("src/internal/syscall.h").is_file() {
        return Err(format!("{}: these are no sources of musl", source.display()).into());
    }
    let built = musl(&tools, &source, &tree, &kept)?;
    let new = work.path().join(NAME);
    run(Command::new("cp").arg("-a").arg(&built).arg(&new))?;
    glue(&tools, &tree, &new, work.path())?;
    fs::copy(tree.join("COPYRIGHT"), new.join("COPYRIGHT"))?;
    for entry in fs::read_dir(crate::root().join("libc/headers"))? {
        let entry = entry?;
        fs::copy(entry.path(), new.join("include").join(entry.file_name()))?;
    }
    // Rust's library asks for it, and finds what it needs in libgcc_eh.a.
    fs::write(new.join("lib/libunwind.a"), "!<arch>\n")?;
    let place = toolchain.join("lib").join(arch.triple()).join(NAME);
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::rename(&new, &place)?;
    Ok(place)
}

/// What compiles for an architecture.
struct Tools {
    arch: Arch,
    /// Our wrapper.
    cc: PathBuf,
    ar: String,
}

impl Tools {
    fn of(arch: Arch, toolchain: &Path) -> Result<Tools> {
        let cc = toolchain.join("bin").join(format!("{}-cc", arch.triple()));
        if !cc.exists() {
            let option = match Arch::HOST == Some(arch) {
                true => String::new(),
                false => format!(" --cross={}", arch.name()),
            };
            return Err(format!(
                "{} is missing; `cargo xtask build{option}` makes it",
                cc.display()
            )
            .into());
        }
        let ar = match Arch::HOST == Some(arch) {
            true => "ar".to_owned(),
            false => [format!("{}-ar", gnu_triple(arch)), "llvm-ar".to_owned()]
                .into_iter()
                .find(|ar| find(ar).is_some())
                .ok_or_else(|| format!("no ar for {} is installed", arch.name()))?,
        };
        Ok(Tools { arch, cc, ar })
    }

    fn ar(&self, arguments: &str, archive: &Path) -> Command {
        let mut ar = Command::new(&self.ar);
        ar.arg(arguments).arg(archive);
        ar
    }
}

/// The name that musl's build has for an architecture.
const fn musl_arch(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::Aarch64 => "aarch64",
        Arch::Ppc64le => "powerpc64le",
    }
}

/// The folder of an architecture in musl's sources.
const fn musl_folder(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::Aarch64 => "aarch64",
        // For both byte orders.
        Arch::Ppc64le => "powerpc64",
    }
}

/// Options of every compilation: an image lies at a fixed address.
const fn options(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 | Arch::Aarch64 => "-fno-pie",
        // musl knows no other `long double` there.
        Arch::Ppc64le => "-fno-pie -mlong-double-64",
    }
}

/// Archives that are empty, because everything is in `libc.a`; programs ask for them all the same.
const EMPTY: [&str; 8] = ["crypt", "dl", "m", "pthread", "resolv", "rt", "util", "xnet"];

/// Runs musl's own build, unless the last one was of the same; returns the folder with what it installs.
fn musl(tools: &Tools, source: &Path, tree: &Path, kept: &Path) -> Result<PathBuf> {
    let built = kept.join("built");
    let header = crate::root().join("libc/include");
    let compiler = output(Command::new(&tools.cc).arg("--version"))?;
    let mut sum = Command::new("sha256sum");
    let sums = output(sum.arg(source).arg(header.join("syscall_arch.h")))?;
    let options = options(tools.arch);
    let of = [&sums[..], &compiler, options.as_bytes()].concat();
    let mark = kept.join("built-of");
    if built.exists() && fs::read(&mark).is_ok_and(|last| last == of) {
        return Ok(built);
    }
    println!("building musl, about half a minute on two processors");
    if built.exists() {
        fs::remove_dir_all(&built)?;
    }
    let work = tempfile::tempdir_in(kept)?;
    let log = kept.join("build.log");
    let output_to = fs::File::create(&log)?;
    let logged = |command: &mut Command| -> Result<()> {
        let (out, err) = (output_to.try_clone()?, output_to.try_clone()?);
        let status = command.stdin(Stdio::null()).stdout(out).stderr(err).status()?;
        match status.success() {
            true => Ok(()),
            false => {
                Err(format!("{}: {status}; {} has its messages", show(command), log.display())
                    .into())
            }
        }
    };
    let objects = work.path().join("objects");
    fs::create_dir(&objects)?;
    let mut configure = Command::new(tree.join("configure"));
    configure
        .current_dir(&objects)
        .env("CC", format!("{} {options} -I{}", tools.cc.display(), header.display()))
        .env_remove("CFLAGS")
        .arg(format!("--target={}", musl_arch(tools.arch)))
        .args(["--disable-shared", "--disable-gcc-wrapper", "--prefix=/"]);
    logged(&mut configure)?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let installed = work.path().join("installed");
    let archives = ["c"].iter().chain(&EMPTY).map(|name| format!("lib/lib{name}.a"));
    let mut make = Command::new("make");
    make.current_dir(&objects)
        .arg(format!("-j{jobs}"))
        // Otherwise it looks for tools with the architecture in their names.
        .args(["CROSS_COMPILE=", &format!("AR={}", tools.ar), "RANLIB=true"])
        .arg(format!("DESTDIR={}", installed.display()))
        .arg("install-headers")
        .args(archives.clone());
    logged(&mut make)?;
    fs::create_dir_all(installed.join("lib"))?;
    for archive in archives {
        fs::copy(objects.join(&archive), installed.join(&archive))?;
    }
    fs::rename(installed, &built)?;
    fs::write(mark, of)?;
    Ok(built)
}

/// Compiles the glue with musl's headers, and puts it into the archive of `library`. What has the name of
/// one of musl's members takes its place.
fn glue(tools: &Tools, tree: &Path, library: &Path, work: &Path) -> Result<()> {
    let ours = crate::root().join("libc");
    let objects = work.join("glue");
    fs::create_dir(&objects)?;
    let archive = library.join("lib/libc.a");
    let members = String::from_utf8(output(&mut tools.ar("t", &archive))?)?;
    let mut replaced = Vec::new();
    let mut compiled = Vec::new();
    for (folder, replaces) in [("glue", false), ("replaced", true)] {
        let mut files: Vec<_> = fs::read_dir(ours.join(folder))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        files.sort();
        files.retain(|file| file.extension().is_some_and(|suffix| suffix == "c"));
        for file in files {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let name = if replaces { stem.clone() } else { format!("solo5_{stem}") };
            let object = objects.join(format!("{name}.o"));
            if replaces {
                let before = replaced.len();
                let same = |member: &&str| member.split('.').next() == Some(&stem);
                replaced.extend(members.lines().filter(same).map(str::to_owned));
                if replaced.len() == before {
                    return Err(
                        format!("this musl has no {stem}, which libc/{folder} replaces").into()
                    );
                }
            }
            let mut cc = Command::new(&tools.cc);
            cc.args(["-std=c11", "-D_GNU_SOURCE", "-O2", "-g"])
                .args(options(tools.arch).split(' '))
                .args(["-Wall", "-Wextra", "-Wshadow", "-Werror"])
                .arg(format!("-ffile-prefix-map={}=/solo5", crate::root().display()))
                .arg("-I")
                .arg(ours.join("glue"));
            let arch = musl_folder(tools.arch);
            // Structures that musl exchanges with the kernel are in no header that it installs.
            for internal in [&format!("arch/{arch}"), "arch/generic", "src/internal"] {
                cc.arg("-I").arg(tree.join(internal));
            }
            cc.arg("-isystem").arg(library.join("include"));
            run(cc.arg("-c").arg(&file).arg("-o").arg(&object))?;
            compiled.push(object);
        }
    }
    run(tools.ar("dD", &archive).args(&replaced))?;
    run(tools.ar("qcsD", &archive).args(&compiled))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of calls that have an answer, as the page has them.
    fn rows(calls: &str) -> Vec<String> {
        let calls =
            calls.lines().filter_map(|line| line.strip_prefix("CALL(")?.strip_suffix("\")"));
        let row = |call: &str| {
            let (call, answer) = call.split_once(", \"")?;
            Some(format!("| `{}` | {answer} |", call.split_once(',')?.0))
        };
        calls.map(|call| row(call).expect("CALL(name, handler, \"answer\")")).collect()
    }

    #[test]
    fn the_page_has_every_system_call_that_is_answered() {
        let read = |path: &str| fs::read_to_string(crate::root().join(path)).unwrap();
        let (page, calls) = (read("docs/libc.md"), read("libc/glue/calls.def"));
        let told: Vec<_> =
            page.lines().skip_while(|line| *line != "| call | answer |").skip(2).collect();
        let rows = rows(&calls);
        assert_eq!(rows.len(), calls.lines().filter(|line| line.starts_with("CALL(")).count());
        assert!(rows.len() > 40, "only {} calls", rows.len());
        assert_eq!(told, rows, "docs/libc.md does not tell what libc/glue/calls.def has");
    }
}
