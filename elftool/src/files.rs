//! Files, standard output, and texts of errors.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use solo5_report::one_line;

/// Opens an image. Without waiting: a named pipe has no writer to wait for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// All of a file that an operator wrote, up to one byte more than any such file may have.
///
/// # Errors
///
/// The system's text.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let most = u64::try_from(solo5_source::SIZE_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = open(path).map_err(|error| reason(&error))?;
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| reason(&error))?;
    Ok(bytes)
}

/// The system's text for an error, without the number the standard library appends, and without
/// what a library wrapped around it.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Writes results to standard output. A reader that has seen enough is no error; any other failure
/// is reported and gives `failed`.
pub(crate) fn print(program: &str, text: &str, done: u8, failed: u8) -> u8 {
    stream(program, |out| out.write_all(text.as_bytes()), done, failed)
}

/// As [`print`], for results that are too long for memory.
pub(crate) fn stream(
    program: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    done: u8,
    failed: u8,
) -> u8 {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(program, format_args!("standard output: {}", reason(&error)));
            failed
        }
        _ => done,
    }
}

/// Prints `PROG: TEXT` on standard error, as one line.
pub(crate) fn complain(program: &str, text: impl Display) {
    // Nobody is left to tell if even this fails.
    let _ = writeln!(io::stderr(), "{program}: {}", one_line(&text.to_string()));
}
