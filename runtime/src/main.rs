//! The program. Exit status: 1 not done, 60 denied by a policy; otherwise it becomes the runtime
//! underneath.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap_complete::Shell;
use solo5_report::VERSION;
use solo5_runtime::cli::{self, ENDING};
use solo5_runtime::failure::{EXIT_CANNOT, Failure};
use solo5_runtime::words::Words;
use solo5_runtime::{PROGRAM, codes, create, engine};

/// Programs start faster than with musl's allocator, which asks the kernel for a few pages at a time.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let all: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(status) = documents(&all) {
        return status;
    }
    let (words, scanned) = Words::scan(all);
    let failure = match scanned.and_then(|()| run(&words)) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    words.log.error(failure.line());
    // If even this cannot be written, only the exit status tells.
    let _ = writeln!(io::stderr(), "{PROGRAM}: {}", failure.line());
    ExitCode::from(failure.status())
}

/// Becomes the runtime underneath; returns only an error.
fn run(words: &Words) -> Result<std::convert::Infallible, Failure> {
    let runtime = engine::find(words.runtime.as_deref())?;
    let handed = match words.verb.as_deref().and_then(|verb| verb.to_str()) {
        Some("create" | "run") => create::words(words)?,
        Some("exec") if engine::runs_unikernel(&runtime, words) => {
            let text =
                "a unikernel is one program without processes, so nothing can be executed in it";
            return Err(Failure::new(codes::EXEC, text));
        }
        _ => words.handed_on(None),
    };
    Err(engine::become_it(&runtime, &handed))
}

/// Help, version, manual page and completions. `None` if none of them is asked for.
fn documents(words: &[OsString]) -> Option<ExitCode> {
    let first = words.first().map_or("help", |word| word.to_str().unwrap_or_default());
    match first.split_once('=').map_or(first, |(name, _)| name) {
        "help" | "--help" | "-help" => Some(help("--help")),
        "-h" => Some(help("-h")),
        "--version" | "-version" | "-v" => {
            let own = print(&format!("{PROGRAM} version {VERSION}\n"));
            // What stands underneath, in its own words.
            if let Ok(runtime) = engine::find(None) {
                engine::become_it(&runtime, &["--version".into()]);
            }
            Some(own)
        }
        "--explain" => {
            let code = first.split_once('=').map_or("", |(_, code)| code);
            let Some(page) = solo5_report::explain(code) else {
                let code = solo5_report::one_line(code);
                let _ = writeln!(io::stderr(), "{PROGRAM}: no page about '{code}'");
                return Some(ExitCode::from(EXIT_CANNOT));
            };
            Some(print(page))
        }
        "--man" | "--completions" => Some(document()),
        _ => None,
    }
}

/// Prints help, the long form or the short one.
fn help(form: &str) -> ExitCode {
    let printed = match cli::command().try_get_matches_from([PROGRAM, form]) {
        Ok(_) => Ok(()),
        Err(help) => solo5_report::usage::print(&help),
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{PROGRAM}: standard output: {error}");
            ExitCode::from(EXIT_CANNOT)
        }
    }
}

/// Prints the manual page or a completion script.
fn document() -> ExitCode {
    let matches = match cli::command().subcommand_required(false).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = solo5_report::usage::print(&error);
            return ExitCode::from(EXIT_CANNOT);
        }
    };
    let text = match matches.get_one::<Shell>("completions") {
        Some(shell) => Ok(solo5_report::completion::script(cli::command(), *shell)),
        None => solo5_report::man::page(cli::command(), &ENDING),
    };
    match text {
        Ok(text) => print(&text),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{PROGRAM}: {error}");
            ExitCode::from(EXIT_CANNOT)
        }
    }
}

fn print(text: &str) -> ExitCode {
    match solo5_streams::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{PROGRAM}: standard output: {error}");
            ExitCode::from(EXIT_CANNOT)
        }
    }
}
