//! Starting other programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use crate::Result;

/// Runs a command with our standard streams; an error names the command and its status.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", show(command)).into()) }
}

/// Runs a command and returns what it printed on standard output.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|error| not_started(command, &error))?;
    if status.success() {
        return Ok(stdout);
    }
    Err(format!("{}: {status}\n{}", show(command), String::from_utf8_lossy(&stderr)).into())
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("{}: {error}; is it installed?", command.get_program().display())
}

/// A command as a person would type it.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The path of this program as it was at the start, when `main` asks for it. Tests of the workspace link
/// the program again, and after that Linux names the running file as deleted.
static THIS_PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::current_exe().ok());

/// This program, to start another task of it.
pub(crate) fn this_program() -> Result<&'static Path> {
    THIS_PROGRAM
        .as_deref()
        .ok_or_else(|| "Linux does not name this program; is /proc mounted?".into())
}
