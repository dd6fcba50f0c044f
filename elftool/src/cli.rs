//! The command line of the verbs that upstream does not have. Each verb owns its options. Only `main`
//! imports this file.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use solo5_report::man::Ending;

use crate::audit::AuditOptions;
use crate::check::CheckOptions;
use crate::console::{Console, Exit, Failure, no_output};
use crate::diff::DiffOptions;
use crate::explain::ExplainOptions;
use crate::lock::LockOptions;
use crate::policies::PolicyVerb;
use crate::show::ShowOptions;
use crate::sign::SignOptions;
use crate::symbolize::SymbolizeOptions;
use crate::verify::VerifyOptions;

/// What help and the manual page end with.
const ENDING: Ending = Ending {
    statuses: &[
        ("0", "The work is done, and the answer is yes: nothing was found, all is allowed."),
        (
            "1",
            "The answer is no; for the verbs of Solo5 0.12, also that the work could not be done.",
        ),
        ("2", "The work could not be done, or the command line is wrong."),
    ],
    examples: "\
solo5-elftool show app.hvt
solo5-elftool audit --fail-on=warning *.hvt
solo5-elftool check app.hvt --policy=node.yaml -- --mem=64
solo5-elftool policy test policy-test.yaml
solo5-elftool explain S201",
    see_also: &[
        ("solo5-mft", 1),
        ("solo5-cc", 1),
        ("solo5-hvt", 1),
        ("solo5-spt", 1),
        ("solo5-virtio-run", 1),
        ("solo5-manifest", 5),
        ("solo5-policy", 5),
        ("solo5-plan", 5),
    ],
};

/// Query, audit and check Solo5 unikernel images.
#[derive(Debug, Parser)]
#[command(
    name = "solo5-elftool",
    version = solo5_report::VERSION,
    max_term_width = 100,
    after_help = ENDING.help(),
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate the C source of an application manifest (`-` is standard input or output)
    GenManifest {
        /// Manifest, JSON or YAML
        source: PathBuf,
        /// C file to write
        output: PathBuf,
    },
    /// Display the ABI target and version of an image as JSON
    QueryAbi {
        /// Image
        binary: PathBuf,
    },
    /// Display the application manifest of an image as JSON
    QueryManifest {
        /// Image
        binary: PathBuf,
    },
    /// Apply the audit rules to images
    ///
    /// Exits 0 if nothing at or above --fail-on is found, 1 if something is, 2 if an image could not
    /// be read. An error means that the loader of the image's target refuses it for every size
    /// of guest memory.
    Audit(AuditOptions),
    /// Say whether policies allow images to be started with the given options
    ///
    /// Exits 0 if all are allowed, even if that depends on facts that only the host knows, 1 if one is
    /// denied or could not start, 2 if the question could not be answered.
    Check(CheckOptions),
    /// Check, format, show or test policies
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Sign images with a minisign key
    ///
    /// The signature is appended to the image, where tenders and `verify` find it. A signature by the
    /// same key is replaced.
    Sign(SignOptions),
    /// Print the digests of images, and which keys have signed them
    ///
    /// Exits 1 if an image is not signed by any of the given keys.
    Verify(VerifyOptions),
    /// Display segments, notes and manifest of an image
    Show(ShowOptions),
    /// Record digest, ABI, devices, sizes, API used and findings of images
    Lock(LockOptions),
    /// Show what changed between images, or since they were locked
    ///
    /// Exits 0 if nothing changed, 1 if something did, 2 if one could not be read.
    Diff(DiffOptions),
    /// Show the functions and lines of the addresses in a trace or a core
    ///
    /// Exits 0 if there were addresses of the image's code, 1 if there was none, 2 if something could
    /// not be read.
    Symbolize(SymbolizeOptions),
    /// Explain a rule, or any other code of a message
    Explain(ExplainOptions),
    /// Print a completion script
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

pub(crate) fn run(console: &Console, arguments: &[OsString]) -> Result<Exit, Failure> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Help and the version are "errors" that go to standard output.
        Err(error) if !error.use_stderr() => {
            let printed = solo5_report::usage::print(&error);
            return printed.map(|()| Exit::Clean).map_err(|why| no_output(&why));
        }
        Err(error) => return Err(Failure::Options(Box::new(error))),
    };
    match cli.command {
        Command::Audit(options) => options.run(console),
        Command::Check(options) => options.run(console),
        Command::Policy(verb) => verb.run(console),
        Command::Sign(options) => options.run(console),
        Command::Verify(options) => options.run(console),
        Command::Show(options) => options.run(console),
        Command::Lock(options) => options.run(console),
        Command::Diff(options) => options.run(console),
        Command::Symbolize(options) => options.run(console),
        Command::Explain(options) => options.run(console),
        Command::Completions { shell } => completions(console, shell),
        Command::Man => {
            let page = solo5_report::man::page(Cli::command(), &ENDING);
            let page = page.map_err(|error| Failure::Cannot(error.to_string()))?;
            console.print(&page).map(|()| Exit::Clean)
        }
        // `upstream` has already run them. They are listed here for help, completions and the manual page.
        Command::GenManifest { .. } | Command::QueryAbi { .. } | Command::QueryManifest { .. } => {
            Ok(Exit::Incomplete)
        }
    }
}

fn completions(console: &Console, shell: Shell) -> Result<Exit, Failure> {
    let script = solo5_report::completion::script(Cli::command(), shell);
    console.print(&script).map(|()| Exit::Clean)
}
