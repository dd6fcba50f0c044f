//! Runs the tool, traces its command if asked to, and passes its status on.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use solo5_report::{Diagnostic, os_text};

use crate::codes;
use crate::relay::{Heard, Relay};
use crate::tools::HOST_FOLDERS;

/// Exit status of a shell for a program that it does not find.
const NOT_FOUND: u8 = 127;
/// Exit status of a shell for a program that it cannot run.
const NOT_RUNNABLE: u8 = 126;

/// Replaces this process by the tool. Returns only if that fails.
pub fn become_tool(program: &OsStr, arguments: &[OsString]) -> io::Error {
    command(program, arguments).exec()
}

/// Runs the tool and returns its exit status; 128 plus the signal's number if a signal ended it, as
/// in shells.
///
/// # Errors
///
/// If the tool cannot be run.
pub fn run(program: &OsStr, arguments: &[OsString]) -> io::Result<u8> {
    command(program, arguments).status().map(code)
}

/// Like [`run`], with the tool's output sent through `relay`.
///
/// # Errors
///
/// If the tool cannot be run.
pub fn run_relayed(
    program: &OsStr,
    arguments: &[OsString],
    relay: &Relay,
) -> io::Result<(u8, Heard)> {
    let mut child =
        command(program, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let heard = thread::scope(|scope| {
        let output = scope.spawn(move || {
            stdout.map(|from| relay.pass(from, solo5_streams::stdout())).unwrap_or_default()
        });
        let heard = stderr.map(|from| relay.pass(from, io::stderr())).unwrap_or_default();
        let unwritten = output.join().map(|output| output.unwritten).unwrap_or_default();
        Heard { unwritten, ..heard }
    });
    Ok((code(child.wait()?), heard))
}

/// Like [`run`], without output and without input.
///
/// # Errors
///
/// If the tool cannot be run.
pub fn run_quietly(program: &OsStr, arguments: &[OsString]) -> io::Result<u8> {
    command(program, arguments)
        .stdin(Stdio::null())
        .env_remove("LLD_REPRODUCE")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(code)
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn command(program: &OsStr, arguments: &[OsString]) -> Command {
    if std::env::var_os("__V").is_some_and(|value| !value.is_empty()) {
        let mut line = b"+".to_vec();
        for word in std::iter::once(program).chain(arguments.iter().map(OsString::as_os_str)) {
            line.push(b' ');
            line.extend(quoted(word));
        }
        line.push(b'\n');
        // A trace that cannot be written is no reason to fail.
        let _ = io::stderr().write_all(&line);
    }
    let mut command = Command::new(program);
    command.args(arguments);
    close_what_was_closed(&mut command);
    for variable in HOST_FOLDERS {
        command.env_remove(variable);
    }
    command
}

/// Makes the tool's standard input and output fail if ours were closed at the start, as the tool's own
/// would. Rust's start-up opened `/dev/null` there; the tool gets it open the other way.
fn close_what_was_closed(command: &mut Command) {
    if solo5_streams::given(0).is_err()
        && let Ok(null) = OpenOptions::new().write(true).open("/dev/null")
    {
        command.stdin(null);
    }
    if solo5_streams::given(1).is_err()
        && let Ok(null) = File::open("/dev/null")
    {
        command.stdout(null);
    }
}

/// The word, quoted for a shell.
fn quoted(word: &OsStr) -> Vec<u8> {
    let bytes = word.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=,:+@%^".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return bytes.to_vec();
    }
    let mut out = vec![b'\''];
    for byte in bytes {
        match byte {
            b'\'' => out.extend(br"'\''"),
            _ => out.push(*byte),
        }
    }
    out.push(b'\'');
    out
}

/// The diagnostic for a tool that could not be run, and the status that a shell would return.
pub fn not_run(program: &OsStr, error: &io::Error) -> (Diagnostic, u8) {
    let diagnostic =
        Diagnostic::error(codes::TOOL, format!("cannot run '{}': {error}", os_text(program)))
            .with_help("install it, or name another in SOLO5_CC, SOLO5_LD or SOLO5_OBJCOPY");
    let status = match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_RUNNABLE,
    };
    (diagnostic, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traced_words_are_quoted_where_a_shell_needs_it() {
        let quote = |word: &str| String::from_utf8(quoted(OsStr::new(word))).unwrap();
        assert_eq!(quote("-Wl,-T=/a-b_c.lds"), "-Wl,-T=/a-b_c.lds");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn a_signal_is_a_status_above_128() {
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
    }
}
