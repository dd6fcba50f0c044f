//! An installed tree in a temporary folder: the program under its names, the scripts, and bindings
//! that stand in for the real ones, with the same sections.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use solo5_abi::{Arch, Target};
use solo5_linker_wrapper::script::{self, Bindings};
use tempfile::TempDir;

/// What bindings contribute to an image (`docs/reference/guest-api.md#symbols`).
const BINDINGS: &str = r#"
#define NOTE(name, place, ...) \
    static const unsigned name[] \
        __attribute__((section(place), aligned(4), used, retain)) = {__VA_ARGS__}
static const char interp[24] __attribute__((section(".interp"), aligned(8), used, retain)) =
    "/nonexistent/solo5/";
#ifndef STUB
NOTE(abi, ".note.solo5.abi", 6, 16, 0x31494241, 0x6f6c6f53, 0x35, TARGET, 2, 0, 0);
NOTE(openbsd, ".note.solo5.not_openbsd", 8, 4, 1, 0x6e65704f, 0x445342, 0);
int solo5_app_main(const void *);
#endif
unsigned long __stack_chk_guard = 0xdeadbeef0d0a00;
void __stack_chk_fail(void) { for (;;) ; }
void solo5_console_write(const char *text, unsigned long length) { (void)text; (void)length; }
void _start(void *information);
void _start(void *information)
{
#ifndef STUB
    solo5_app_main(information);
#endif
    (void)information;
    for (;;) ;
}
"#;

/// A unikernel's own code, with something in each of the usual sections.
pub(crate) const APPLICATION: &str = r#"
void solo5_console_write(const char *, unsigned long);
int initialised = 1;
int zero[64];
static const char greeting[] = "hello";
const char *const table[] = {greeting, "world"};
int solo5_app_main(const void *information)
{
    (void)information;
    solo5_console_write(table[zero[0]], sizeof greeting);
    return initialised;
}
"#;

/// A manifest of version 2, which thus has both notes.
pub(crate) const MANIFEST: &str = "\
type: solo5.manifest
version: 2
package: { name: probe, version: 1.10, license: ISC }
memory: { minimum: 32MiB }
devices:
  - { name: service, type: NET_BASIC }
";

/// The bindings that are installed.
const INSTALLED: [Bindings; 3] =
    [Bindings::Stub, Bindings::Target(Target::Spt), Bindings::Target(Target::Hvt)];

/// The architecture of this machine, which is the one tests build for.
pub(crate) fn arch() -> Arch {
    Arch::HOST.expect("tests need an architecture that Solo5 supports")
}

/// The tree.
pub(crate) struct Tree {
    folder: TempDir,
    arch: Arch,
    /// Prefix of the installation.
    pub(crate) prefix: PathBuf,
    /// Folder for the test's own files, where the tools are run.
    pub(crate) work: PathBuf,
}

impl Tree {
    /// A fresh tree for this machine's architecture.
    pub(crate) fn new() -> Tree {
        Tree::of(arch(), &["cc"])
    }

    /// A fresh tree whose bindings `compiler` compiles. Its path has a space in it.
    pub(crate) fn of(arch: Arch, compiler: &[&str]) -> Tree {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("a prefix");
        let work = folder.path().join("work");
        let triple = arch.triple();
        let library = prefix.join("lib").join(triple);
        for path in [&prefix.join("bin"), &prefix.join("include/solo5"), &library, &work] {
            fs::create_dir_all(path).unwrap();
        }
        let tree = Tree { folder, arch, prefix, work };
        let program = tree.tool("solo5-cc");
        let built = env!("CARGO_BIN_EXE_solo5-toolchain");
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).unwrap();
        }
        for tool in ["cc", "ld", "objcopy"] {
            symlink("solo5-cc", tree.tool(&format!("{triple}-{tool}"))).unwrap();
        }
        for tool in ["ld", "objcopy"] {
            symlink("solo5-cc", tree.tool(&format!("solo5-{tool}"))).unwrap();
        }
        let source = tree.file("bindings.c", BINDINGS);
        for bindings in INSTALLED {
            let script = script::render(arch, bindings);
            fs::write(library.join(bindings.script_file()), script).unwrap();
            let mut command = Command::new(compiler[0]);
            command.args(&compiler[1..]).args([
                "-O2",
                "-ffreestanding",
                "-fno-pie",
                "-fno-stack-protector",
                "-c",
            ]);
            command.arg(match bindings {
                Bindings::Stub => "-DSTUB".to_owned(),
                Bindings::Target(target) => format!("-DTARGET={}", target.number()),
            });
            command.arg(&source).arg("-o").arg(library.join(bindings.object_file()));
            assert_ok(&command.output().unwrap());
        }
        tree
    }

    /// Path of an installed program.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.prefix.join("bin").join(name)
    }

    /// The folder of scripts and bindings.
    pub(crate) fn library(&self) -> PathBuf {
        self.prefix.join("lib").join(self.arch.triple())
    }

    /// A folder beside the prefix.
    pub(crate) fn elsewhere(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes a file for the test.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a shell script that can be run.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.file(name, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A command to run an installed program among the test's files.
    pub(crate) fn command(&self, tool: &str) -> Command {
        let mut command = Command::new(self.tool(tool));
        command.current_dir(&self.work);
        for variable in ["SOLO5_CC", "SOLO5_LD", "SOLO5_OBJCOPY", "__V", "LLD_REPRODUCE"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs an installed program.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, tool: &str, arguments: &[S]) -> Output {
        self.command(tool).args(arguments).output().unwrap()
    }

    /// Writes [`MANIFEST`] and its object, and returns the names of both.
    pub(crate) fn manifest(&self) -> (PathBuf, PathBuf) {
        let source = self.file("manifest.yaml", MANIFEST);
        let checked = solo5_manifest::parse("manifest.yaml", MANIFEST.as_bytes()).unwrap();
        let object = solo5_manifest::object::write(&checked.manifest.notes(), self.arch);
        (source, self.file("manifest.o", object))
    }

    /// Compiles `source` with our compiler into `NAME.o`.
    pub(crate) fn object(&self, name: &str, source: &str) -> PathBuf {
        let object = self.work.join(format!("{name}.o"));
        let source = self.file(&format!("{name}.c"), source);
        let output = self
            .command(&format!("{}-cc", self.arch.triple()))
            .args(["-O2", "-fdata-sections", "-ffunction-sections", "-c"])
            .arg(source)
            .arg("-o")
            .arg(&object)
            .output()
            .unwrap();
        assert_ok(&output);
        object
    }

    /// Whether the test's folder holds a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.work.join(name).exists()
    }
}

/// Standard error as text.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails with the program's output unless it ended with 0.
#[track_caller]
pub(crate) fn assert_ok(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        errors(output)
    );
}

/// The linkers to test with.
pub(crate) fn linkers() -> Vec<&'static str> {
    ["ld", "ld.lld"]
        .into_iter()
        .filter(|linker| {
            let found = Command::new(linker).arg("--version").output().is_ok();
            if !found {
                println!("skip: {linker}: not installed");
            }
            found
        })
        .collect()
}
