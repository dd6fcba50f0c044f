//! The command line of the verbs that upstream does not have.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use solo5_audit::{Budget, Measure};
use solo5_report::Severity;
use solo5_source::size;

use crate::files::print;
use crate::formats::AuditFormat;
use crate::{audit, check, diff, explain, lock, policies, show, sign, symbolize, upstream, verify};

/// Could not do the work.
pub(crate) const FAILED: u8 = 2;

/// Query, audit and check Solo5 unikernel images.
#[derive(Debug, Parser)]
#[command(name = "solo5-elftool", version = solo5_report::VERSION, max_term_width = 100)]
pub(crate) struct Cli {
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
    /// Exits 0 if nothing is found, 1 on findings at or above --fail-on, 2 if an image could not
    /// be read. An error means that the loader of the image's target refuses it for every size
    /// of guest memory.
    Audit(AuditOptions),
    /// Say whether policies allow images to be started with the given options
    ///
    /// Exits 0 if they are allowed, also where that depends on facts only the host knows, 1 if one
    /// is denied or could not start, 2 if the question could not be answered.
    Check(CheckOptions),
    /// Check policies, or write them in the one layout
    #[command(subcommand)]
    Policy(policies::PolicyVerb),
    /// Sign images with a key of minisign's
    ///
    /// The signature goes behind the last byte of the image, where tenders and `verify` find it; a
    /// signature by the same key is replaced.
    Sign(sign::SignOptions),
    /// Print the digests of images, and which keys have signed them
    ///
    /// Exits 1 if an image is signed by none of the keys named.
    Verify(verify::VerifyOptions),
    /// Display segments, notes and manifest of an image
    Show {
        /// Image
        image: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write down digest, ABI, devices, sizes, API used and findings of images
    Lock {
        /// Images, folders and patterns, as for `audit`
        #[arg(required = true)]
        images: Vec<PathBuf>,
        /// Where to write it; `-` is standard output
        #[arg(short, long, default_value = "-")]
        output: PathBuf,
    },
    /// Say what changed between images, or since they were locked
    ///
    /// Exits 0 if nothing changed, 1 if something did, 2 if one could not be read.
    Diff {
        /// Image or lock
        old: PathBuf,
        /// Images or locks
        #[arg(required = true)]
        new: Vec<PathBuf>,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say which functions and lines the addresses in a trace or a core are
    ///
    /// Exits 0 if there were addresses of the image's code, 1 if there was none, 2 if something could
    /// not be read.
    Symbolize {
        /// Image that was running
        image: PathBuf,
        /// What the tender, its guest or the kernel printed; `-` is standard input
        #[arg(default_value = "-", conflicts_with = "core")]
        trace: PathBuf,
        /// Instead: a core file, of which the calls are shown
        #[arg(long, value_name = "FILE")]
        core: Option<PathBuf>,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Explain a rule, or any other code of a message
    Explain {
        /// Code, such as S201, or family, such as S2; all rules without
        code: Option<String>,
    },
    /// Print a completion script
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// How to print results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Human,
    /// For programs
    Json,
}

/// [`Severity`] as an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Error,
    Warning,
    Note,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Severity {
        match level {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Note => Severity::Note,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct AuditOptions {
    /// Images, folders of images, and patterns such as 'dist/**/*.spt'
    #[arg(required_unless_present = "files_from")]
    pub(crate) images: Vec<PathBuf>,
    /// Take further names from this file, one a line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) files_from: Vec<PathBuf>,
    /// Names in --files-from end with NUL, as `find -print0` writes them
    #[arg(short = '0', long, requires = "files_from")]
    pub(crate) null: bool,
    /// How many images to look at in parallel; one per processor unless given
    #[arg(short, long, value_name = "NUMBER")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// The least severity that makes the audit fail
    #[arg(long, value_enum, default_value = "error")]
    pub(crate) fail_on: Level,
    /// Apply only rules whose code starts so, such as S2 or S201
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub(crate) select: Vec<String>,
    /// Apply every rule, also those that must be asked for: S4 and S5
    #[arg(long, conflicts_with = "select")]
    pub(crate) all: bool,
    /// Leave out rules whose code starts so, except where they find errors
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Report what is larger (S503): `loaded`, `memory`, or a section, such as `.text=300KiB`
    #[arg(long, value_name = "WHAT=SIZE", value_parser = budget)]
    pub(crate) budget: Vec<Budget>,
    /// Take waivers, and what to fail on besides --fail-on, from `audit` of this policy
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Vec<PathBuf>,
    /// Exit 0 whatever is found
    #[arg(long)]
    pub(crate) exit_zero: bool,
    /// How to print findings
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: AuditFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckOptions {
    /// Images
    #[arg(required_unless_present = "plan")]
    pub(crate) images: Vec<PathBuf>,
    /// Check every launch of a plan, and whether they go together
    #[arg(long, value_name = "FILE", conflicts_with_all = ["images", "launch"])]
    pub(crate) plan: Option<PathBuf>,
    /// Show the plan as a table, with what would start each unikernel
    #[arg(long, requires = "plan", conflicts_with = "images")]
    pub(crate) explain: bool,
    /// A policy to ask; those of this host if none is given
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Vec<PathBuf>,
    /// Write the digests of the images that are allowed to FILE, for `admitted` in a policy
    #[arg(long, value_name = "FILE")]
    pub(crate) lock: Option<PathBuf>,
    /// How to print decisions
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Options and guest arguments the tender would be started with
    #[arg(last = true, value_name = "LAUNCH-OPTIONS")]
    pub(crate) launch: Vec<OsString>,
}

/// Reads `WHAT=SIZE`.
fn budget(text: &str) -> Result<Budget, String> {
    let (what, size) = text.split_once('=').ok_or("write WHAT=SIZE")?;
    let bytes = size::parse(size)
        .map_err(|_| format!("'{size}' is no size; write a number and KiB, MiB or GiB"))?;
    let what = match what {
        "loaded" => Measure::Loaded,
        "memory" => Measure::Memory,
        name if name.starts_with('.') => Measure::Section(name.to_owned()),
        _ => {
            return Err(String::from("WHAT is loaded, memory, or the name of a section"));
        }
    };
    Ok(Budget { what, bytes })
}

pub(crate) fn run(arguments: Vec<OsString>) -> u8 {
    let program = upstream::program(&arguments);
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" with status 0.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(FAILED);
        }
    };
    match cli.command {
        Command::Audit(options) => audit::run(&program, &options),
        Command::Check(options) => check::run(&program, &options),
        Command::Policy(verb) => policies::run(&program, &verb),
        Command::Sign(options) => sign::run(&program, &options),
        Command::Verify(options) => verify::run(&program, &options),
        Command::Show { image, format } => show::run(&program, &image, format),
        Command::Lock { images, output } => lock::run(&program, images, &output),
        Command::Diff { old, new, format } => diff::run(&program, &old, &new, format),
        Command::Symbolize { image, trace, core, format } => {
            symbolize::run(&program, &image, &trace, core.as_deref(), format)
        }
        Command::Explain { code } => explain::run(&program, code.as_deref()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "solo5-elftool", &mut script);
            print(&program, &String::from_utf8_lossy(&script), 0, FAILED)
        }
        Command::Man => match solo5_report::man::page(Cli::command()) {
            Ok(page) => print(&program, &page, 0, FAILED),
            Err(_) => FAILED,
        },
        // Their argument vectors do not come this far.
        Command::GenManifest { .. } | Command::QueryAbi { .. } | Command::QueryManifest { .. } => {
            FAILED
        }
    }
}
