//! Core files of `solo5-hvt-debug`, read by Debian's gdb.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::outcome::Outcome;
use solo5_tests::process::{self, Finished};
use solo5_tests::{ensure, fail};

use crate::debugger::{PROCESSOR, STACK, TENDER, expect_in_order, gdb, image};
use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    vec![
        trial(suite, "dumpcore/abort/hvt", core_of_an_abort),
        trial(suite, "dumpcore/trap/hvt", core_of_a_trap),
        trial(suite, "dumpcore/stack/hvt", core_of_an_overflow),
        trial(suite, "dumpcore/stack/spt", no_core_of_an_spt_guest),
        trial(suite, "dumpcore/none/hvt", no_core_of_a_good_end),
    ]
}

/// A run with `--dumpcore`, and the core files it left.
fn dump(
    suite: &Suite,
    image: &Path,
    arguments: &[&str],
) -> Outcome<(Finished, Vec<PathBuf>, tempfile::TempDir)> {
    let directory = tempfile::tempdir()?;
    let mut tender = suite.tool(TENDER);
    let mut option = std::ffi::OsString::from("--dumpcore=");
    option.push(directory.path());
    tender.arg(option).arg("--mem=2").arg(image).args(arguments).stdin(Stdio::null());
    let finished = process::run(tender)?;
    let entries = std::fs::read_dir(directory.path())?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    Ok((finished, files, directory))
}

/// The output of gdb for the only core file of a guest that ends with status 255.
pub(crate) fn backtrace(suite: &Suite, image: &Path) -> Outcome<Finished> {
    in_core(suite, image, &[], &["backtrace", &format!("info registers {}", PROCESSOR.pc)])
}

/// What gdb says to `commands` on the only core file of a guest that ends with status 255.
fn in_core(
    suite: &Suite,
    image: &Path,
    arguments: &[&str],
    commands: &[&str],
) -> Outcome<Finished> {
    let (finished, files, _directory) = dump(suite, image, arguments)?;
    let [core] = files.as_slice() else {
        fail!("{} core files:\n{}", files.len(), finished.text());
    };
    // Upstream's test-suite looks for the file's name at the end of a line.
    let finished = finished.expect(255, &format!("{}\n", core.display()))?;
    let name = core.file_name().unwrap_or_default().to_string_lossy();
    let number = name.strip_prefix("core.solo5-hvt.");
    ensure!(
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())),
        "{name}:\n{}",
        finished.text()
    );
    ensure!(!finished.printed("incomplete"), "{}", finished.text());
    let command = format!("core-file {}", core.display());
    process::run(gdb(image, &[&[command.as_str()], commands].concat())?)
}

fn core_of_an_abort(suite: &Suite) -> Outcome {
    let image = image(suite, "dumpcore", false)?;
    let told = backtrace(suite, &image)?;
    let expected = ["SIGABRT", "#0", "solo5_abort", "solo5_app_main", "_start", PROCESSOR.pc];
    expect_in_order(&told, &expected)
}

fn core_of_a_trap(suite: &Suite) -> Outcome {
    let image = image(suite, "exception", false)?;
    let told = backtrace(suite, &image)?;
    // An address too, if the access is not the first instruction of a line.
    expect_in_order(&told, &["SIGSEGV", "#0  ", "solo5_app_main", "_start"])
}

/// The core of a guest whose stack has overflowed has all frames, and zeroes for the guard.
fn core_of_an_overflow(suite: &Suite) -> Outcome {
    let image = image(suite, "stack", false)?;
    let commands = [
        "backtrace 2",
        "backtrace -4",
        &format!("print (char *)$sp - (char *){:#x} < 4096", STACK.1),
        &format!("x/xg {:#x}", STACK.0),
        &format!("x/xg {:#x} - 8", STACK.1),
    ];
    let told = in_core(suite, &image, &["overflow", "1"], &commands)?;
    let guard = format!("{:#x}:\t0x0000000000000000", STACK.0);
    let guards_end = format!("{:#x}:\t0x0000000000000000", STACK.1 - 8);
    let expected =
        ["SIGSEGV", "#0  ", "dive", "solo5_app_main", "_start", "$1 = ", &guard, &guards_end];
    expect_in_order(&told, &expected)
}

/// An spt guest leaves no core: its process cannot be dumped, whatever the host does with cores.
fn no_core_of_an_spt_guest(suite: &Suite) -> Outcome {
    let image = suite.spt_image("stack")?;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]);
    command.arg(suite.tree.program("solo5-spt")).args(["--mem=2", "--"]).arg(&image);
    command.args(["overflow", "1"]).stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status()?;
    ensure!(status.signal() == Some(11), "{status}");
    ensure!(!status.core_dumped(), "{status}");
    Ok(())
}

fn no_core_of_a_good_end(suite: &Suite) -> Outcome {
    let image = image(suite, "debuggee", false)?;
    let (finished, files, _directory) = dump(suite, &image, &[])?;
    finished.expect(0, "SUCCESS\n")?;
    ensure!(files.is_empty(), "left behind: {files:?}");
    Ok(())
}
