//! What `clap` says about a command line.

use std::io::{self, Write};

use clap::Error;

use crate::printable;

/// The message about a wrong command line. It quotes arguments, which may hold any characters, so it is
/// printed without `clap`'s colours and with every unsafe character escaped.
pub fn text(error: &Error) -> String {
    printable(&error.render().to_string()).into_owned()
}

/// Prints `error`: help and the version to standard output as they are, a wrong command line to
/// standard error as [`text`]. A closed pipe is not an error: the reader needs no more.
///
/// # Errors
///
/// The system's error.
pub fn print(error: &Error) -> io::Result<()> {
    let printed = if error.use_stderr() {
        io::stderr().write_all(text(error).as_bytes())
    } else {
        solo5_streams::check_output()
            .and_then(|()| error.print())
            .and_then(|()| io::stdout().flush())
    };
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints `error` and ends the `program` with `clap`'s status, 2 for a wrong command line; also with 2
/// if help or the version cannot be printed.
pub fn exit(program: &str, error: &Error) -> ! {
    if let Err(why) = print(error) {
        // If standard error cannot be written to either, only the status tells.
        let _ = writeln!(io::stderr(), "{program}: standard output: {why}");
        std::process::exit(2);
    }
    std::process::exit(error.exit_code())
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn quoted_arguments_are_escaped() {
        let program = Command::new("p").arg(Arg::new("n").long("number"));
        let error = program.try_get_matches_from(["p", "--fo\u{202e}=x\u{61c}"]).unwrap_err();
        let text = text(&error);
        assert!(text.contains(r"--fo\u{202e}"), "{text}");
        assert!(!text.chars().any(|c| c != '\n' && crate::escape::is_unsafe(c)), "{text:?}");
    }
}
