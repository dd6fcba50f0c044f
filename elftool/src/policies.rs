//! `policy`: policies themselves, without an image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use solo5_manifest::output;
use solo5_policy::{Policy, front, lint};
use solo5_report::{Colour, Diagnostic, human, printable};

use crate::cli::FAILED;
use crate::files::{complain, reason};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum PolicyVerb {
    /// Read policies and say what is wrong with them
    ///
    /// Exits 0 if nothing is, also where there is a warning, 1 on errors, 2 if a file cannot be
    /// read.
    Check {
        /// Policies; those of one host belong together
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write policies in the one layout
    Fmt {
        /// Change nothing; exit 1 if a file would change
        #[arg(long)]
        check: bool,
        /// Policies
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub(crate) fn run(program: &str, verb: &PolicyVerb) -> u8 {
    match verb {
        PolicyVerb::Check { files } => {
            let mut policies = Vec::new();
            let mut status = 0;
            for path in files {
                match read(program, path) {
                    Ok((policy, _)) => policies.push(policy),
                    Err(failed) => status = status.max(failed),
                }
            }
            // Of a set with gaps nothing can be said.
            if status == 0 {
                show(&lint::lints(&policies));
            }
            status
        }
        PolicyVerb::Fmt { check, files } => {
            let results = files.iter().map(|path| fmt(program, path, *check));
            results.max().unwrap_or(0)
        }
    }
}

/// Reads a policy; its errors are shown. The status if there is none.
fn read(program: &str, path: &Path) -> Result<(Policy, Vec<u8>), u8> {
    let name = path.to_string_lossy();
    let bytes = fs::read(path).map_err(|error| {
        complain(
            program,
            format_args!("{}: {}", printable(&name), reason(&error)),
        );
        FAILED
    })?;
    match front::read(&name, &bytes) {
        Ok(policy) => Ok((policy, bytes)),
        Err(found) => {
            show(&found);
            Err(1)
        }
    }
}

fn show(found: &[Diagnostic]) {
    eprint!("{}", human::human(found, Colour::detect(&io::stderr())));
}

/// Formats one policy that is sound; what cannot be understood is left as it is.
fn fmt(program: &str, path: &Path, check: bool) -> u8 {
    let (_, bytes) = match read(program, path) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let name = path.to_string_lossy();
    let text = match solo5_source::parse(&name, &bytes) {
        Ok(document) => solo5_source::format::format(&document),
        Err(found) => {
            show(&found);
            return 1;
        }
    };
    if check {
        let changes = text.as_bytes() != bytes;
        if changes {
            complain(
                program,
                format_args!("{}: is laid out otherwise", printable(&name)),
            );
        }
        return u8::from(changes);
    }
    match output::write(path, text.as_bytes()) {
        Ok(_) => 0,
        Err(error) => {
            complain(
                program,
                format_args!("{}: {}", printable(&name), reason(&error)),
            );
            FAILED
        }
    }
}
