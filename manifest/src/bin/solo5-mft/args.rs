//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use solo5_abi::Arch;
use solo5_manifest::Version;
use solo5_report::man::Ending;

/// What help and the manual page end with.
pub(crate) const ENDING: Ending = Ending {
    statuses: &[
        ("0", "The work is done."),
        ("1", "The input has errors; with fmt --check, a file would change."),
        ("2", "The work could not be done, or the command line is wrong."),
    ],
    examples: "\
solo5-mft check manifest.yaml
solo5-mft compile manifest.yaml -o manifest.o
solo5-mft show app.hvt
solo5-mft explain M106",
    see_also: &[("solo5-manifest", 5), ("solo5-cc", 1), ("solo5-elftool", 1)],
};

/// Compile and inspect application manifests of Solo5 unikernels.
///
/// A manifest is YAML or JSON; `-` as a file name is standard input or output. Exit status: 0 done,
/// 1 the input has errors, 2 the work could not be done.
#[derive(Debug, Parser)]
#[command(
    name = "solo5-mft",
    version = solo5_report::VERSION,
    propagate_version = true,
    after_help = ENDING.help(),
)]
pub(crate) struct Arguments {
    /// Format of diagnostics
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Format of diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// With snippets, for people
    Human,
    /// One JSON object, for programs
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Compile a manifest to an object, C source or raw notes
    Compile(Compile),
    /// Report every error of manifests
    Check {
        /// Manifests to read
        #[arg(required = true, value_hint = ValueHint::FilePath)]
        sources: Vec<PathBuf>,
    },
    /// Print the manifest in a unikernel, object or file of notes as YAML
    Show {
        /// Binary to read
        #[arg(value_hint = ValueHint::FilePath)]
        binary: PathBuf,
    },
    /// Format manifests and policies in the standard layout; comments and order stay
    Fmt {
        /// Change nothing; exit 1 if a file would change
        #[arg(long)]
        check: bool,
        /// Files to rewrite; `-` writes to standard output
        #[arg(required = true, value_hint = ValueHint::FilePath)]
        sources: Vec<PathBuf>,
    },
    /// Print what a diagnostic code means; without one, list all codes
    Explain {
        /// Code, such as M106
        code: Option<String>,
    },
    /// Print the JSON Schema of manifests, for editors
    Schema {
        /// Version of the manifest
        #[arg(value_name = "VERSION", value_parser = version, default_value = "2")]
        of: Version,
    },
    /// Print a completion script
    Completions {
        /// Shell to make it for
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Args, Debug)]
pub(crate) struct Compile {
    /// Manifest to read
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) source: PathBuf,
    /// File to write
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Kind of output [default: by the suffix of the output: .o, .c; .bin, .raw and .note are raw]
    #[arg(long, value_enum)]
    pub(crate) emit: Option<Emit>,
    /// Machine that the object is for [default: the host's]
    #[arg(long, value_parser = arch)]
    pub(crate) arch: Option<Arch>,
    /// Also write a dependency file for make or ninja
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) depfile: Option<PathBuf>,
}

/// The kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Emit {
    /// An ELF relocatable object
    Object,
    /// C source for the installed mft_abi.h
    C,
    /// Only the notes
    Raw,
}

impl Emit {
    /// The kind of output for the suffix of `output`; `None` for another suffix.
    pub(crate) fn of(output: &std::path::Path) -> Option<Emit> {
        match output.extension()?.to_str()? {
            "o" => Some(Emit::Object),
            "c" => Some(Emit::C),
            "bin" | "raw" | "note" => Some(Emit::Raw),
            _ => None,
        }
    }
}

fn arch(name: &str) -> Result<Arch, String> {
    let names = || Arch::ALL.map(Arch::name).join(", ");
    Arch::from_name(name).ok_or_else(|| format!("the machines are {}", names()))
}

fn version(number: &str) -> Result<Version, String> {
    let number: Option<u64> = number.parse().ok();
    Version::ALL
        .into_iter()
        .find(|version| Some(version.number()) == number)
        .ok_or_else(|| "the versions are 1 and 2".to_owned())
}
