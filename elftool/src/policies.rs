//! `policy`: verbs on policies without an image. [`show`] and [`test`] have files of their own.

mod sections;
mod show;
mod test;

use std::path::{Path, PathBuf};

use solo5_audit::RULES;
use solo5_policies::lint;

use crate::console::{Console, Exit, Failure};
use crate::files::{name, reason};
use crate::policy_files::{read_policy, today};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum PolicyVerb {
    /// Read policies and say what is wrong with them
    ///
    /// Exits 0 if there is no error, even if there are warnings, 1 on errors, 2 if a file cannot be
    /// read.
    Check {
        /// Policies; those of one host belong together
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write policies in the standard layout
    Fmt {
        /// Change nothing; exit 1 if a file would change
        #[arg(long)]
        check: bool,
        /// Policies
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show policies as a tender understands them, and what their silence denies
    Show(show::ShowOptions),
    /// Run the tests beside policies
    ///
    /// Exits 0 if all pass, 1 if one fails or --coverage is not reached, 2 if a file cannot be used.
    Test(test::TestOptions),
}

impl PolicyVerb {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        match self {
            PolicyVerb::Check { files } => Ok(check(console, files)),
            PolicyVerb::Show(options) => options.run(console),
            PolicyVerb::Test(options) => options.run(console),
            PolicyVerb::Fmt { check, files } => {
                let exits = files.iter().map(|path| fmt(console, path, *check));
                Ok(exits.max().unwrap_or_default())
            }
        }
    }
}

fn check(console: &Console, files: &[PathBuf]) -> Exit {
    let mut policies = Vec::new();
    let mut exit = Exit::Clean;
    for path in files {
        match read_policy(console, path) {
            Ok((policy, _)) => policies.push(policy),
            Err(failed) => exit = exit.max(failed),
        }
    }
    // If a file could not be read, report nothing about the set.
    if exit == Exit::Clean {
        let rules: Vec<_> = RULES.iter().map(|rule| (rule.code, rule.severity)).collect();
        console.show(&lint::lints(&policies, today(), &rules));
    }
    exit
}

/// Formats one policy. A file with errors is left as it is.
fn fmt(console: &Console, path: &Path, check: bool) -> Exit {
    let (_, bytes) = match read_policy(console, path) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let text = match solo5_source::parse(&name(path), &bytes) {
        Ok(document) => solo5_source::format::format(&document),
        Err(found) => {
            console.show(&found);
            return Exit::Objection;
        }
    };
    if check {
        let changes = text.as_bytes() != bytes;
        if changes {
            console.say_of(path, "is not in the standard layout");
        }
        return Exit::objection_if(changes);
    }
    match solo5_output::write(path, text.as_bytes()) {
        Ok(_) => Exit::Clean,
        Err(error) => {
            console.say_of(path, reason(&error));
            Exit::Incomplete
        }
    }
}
