//! Runs the program on images made for the tests.

#![allow(unreachable_pub, dead_code, reason = "each test program uses its part of this")]

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target};
use solo5_image::testing::{self, Sample};
use tempfile::TempDir;

pub const DEVICES: [(&str, DeviceType); 2] =
    [("storage", DeviceType::BlockBasic), ("service0", DeviceType::NetBasic)];

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A folder of its own to run in.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file is written");
        path
    }

    /// A valid image of `target` for this machine's tools, with [`DEVICES`].
    pub fn image(&self, name: &str, target: Target) -> PathBuf {
        self.write(name, &Sample::new(target, Arch::X86_64, &DEVICES).bytes())
    }

    /// As [`Place::image`], with these notes of a manifest in it.
    pub fn image_with(&self, name: &str, target: Target, manifest: Vec<u8>) -> PathBuf {
        let groups = [testing::openbsd_note(), testing::abi_note(target), manifest];
        let image = Sample::with_notes(target, Arch::X86_64, &groups);
        self.write(name, &image.bytes())
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Run {
        self.run_with(arguments, b"")
    }

    pub fn run_with<S: AsRef<OsStr>>(&self, arguments: &[S], stdin: &[u8]) -> Run {
        self.run_program(Path::new(env!("CARGO_BIN_EXE_solo5-elftool")), arguments, stdin)
    }

    pub fn run_program<S: AsRef<OsStr>>(
        &self,
        program: &Path,
        arguments: &[S],
        stdin: &[u8],
    ) -> Run {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("COLUMNS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // It may end without reading.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin);
        let output = child.wait_with_output().expect("the program ends");
        Run {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What a page of the documentation has after the `index`-th `mark`, up to the end of the block.
pub fn documented(page: &str, mark: &str, index: usize) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = std::fs::read_to_string(path.join(page)).expect("a page");
    let rest = page.split(mark).nth(index + 1).expect("it is on the page");
    rest.split("```").next().unwrap_or_default().to_owned()
}

/// The output of a tool of the host, or `None` after saying that the test is skipped.
pub fn tool(test: &str, program: &str, arguments: &[&OsStr]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program}: {stderr}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            println!("skip: {test}: {program}: {error}");
            None
        }
    }
}

/// Compares what was printed with `snapshots/NAME.snap`; `INSTA_UPDATE=always` writes it anew. The
/// version is replaced, so that a new release changes no snapshot.
pub fn snapshot(name: &str, printed: &str) {
    let mut settings = insta::Settings::clone_current();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    insta::assert_snapshot!(name, printed.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}
