//! The program. Exit status: 0 done, 1 not done; a wrong command line is 1 too, as upstream's callers
//! expect.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use solo5_mkimage::PROGRAM;
use solo5_mkimage::cli::{self, Arguments, ENDING};
use solo5_mkimage::make::{self, Order};
use solo5_report::{Colour, Diagnostic, human};

/// Programs start faster than with musl's allocator, which asks the kernel for a few pages at a time.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const FAILED: u8 = 1;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse_from(cli::delimited(std::env::args_os())) {
        Ok(arguments) => arguments,
        Err(error) => {
            let printed = solo5_report::usage::print(&error);
            if let Err(why) = &printed {
                let _ = writeln!(io::stderr(), "{PROGRAM}: standard output: {why}");
            }
            let is_fine = printed.is_ok() && !error.use_stderr();
            return ExitCode::from(if is_fine { 0 } else { FAILED });
        }
    };
    if arguments.man || arguments.completions.is_some() {
        return document(&arguments);
    }
    let mut diagnostics = Vec::new();
    let made = run(&arguments, &mut diagnostics);
    let failed = made.is_err();
    diagnostics.extend(made.err().unwrap_or_default());
    // If even this cannot be written, only the exit status tells.
    let text = human::human(&diagnostics, Colour::detect(&io::stderr()));
    let _ = io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(if failed { FAILED } else { 0 })
}

fn run(arguments: &Arguments, remarks: &mut Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
    let (Some(image), Some(unikernel)) = (&arguments.image, &arguments.unikernel) else {
        return Ok(());
    };
    // As for tenders, one `--` between the unikernel and its arguments is none of them.
    let words = match arguments.arguments.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => &arguments.arguments[..],
    };
    let order = Order {
        image,
        unikernel,
        arguments: words,
        format: arguments.format,
        tag: arguments.tag.as_deref(),
        framework: arguments.framework.as_deref(),
        record: !arguments.no_record,
        time: make::time()?,
    };
    make::make(&order, remarks)
}

/// Prints the manual page or a completion script.
fn document(arguments: &Arguments) -> ExitCode {
    let text = match arguments.completions {
        Some(shell) => Ok(solo5_report::completion::script(Arguments::command(), shell)),
        None => solo5_report::man::page(Arguments::command(), &ENDING),
    };
    let printed = text.and_then(|text| solo5_streams::stdout().write_all(text.as_bytes()));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{PROGRAM}: standard output: {error}");
            ExitCode::from(FAILED)
        }
    }
}
