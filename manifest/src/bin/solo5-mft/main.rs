//! `solo5-mft`, the manifest compiler.
//!
//! [`args`] is the command line. [`verbs`] carries it out with the library. [`console`] reads sources
//! and prints diagnostics, and [`binary`] finds the manifest in an image.
//! Results go to standard output or the given file, diagnostics to standard error. Exit status:
//! 0 done, 1 the input has errors, 2 the work could not be done.

#![forbid(unsafe_code)]

mod args;
mod binary;
mod console;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Verb};
use crate::console::Console;

/// Programs start faster than with musl's allocator, which asks the kernel for a few pages at a time.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// The name of this program.
const PROGRAM: &str = "solo5-mft";

fn main() -> ExitCode {
    // On wrong usage, this ends the program with status 2.
    let arguments = Arguments::try_parse();
    let arguments = arguments.unwrap_or_else(|error| solo5_report::usage::exit(PROGRAM, &error));
    let mut console = Console::new(arguments.format);
    let result = match arguments.verb {
        Verb::Compile(options) => verbs::compile(&options, &mut console),
        Verb::Check { sources } => verbs::check(&sources, &mut console),
        Verb::Show { binary } => verbs::show(&binary, &mut console),
        Verb::Fmt { check, sources } => verbs::fmt(check, &sources, &mut console),
        Verb::Explain { code } => verbs::explain(code.as_deref(), &mut console),
        Verb::Schema { of } => verbs::schema(of),
        Verb::Completions { shell } => verbs::completions(shell),
        Verb::Man => verbs::man(),
    };
    if let Err(diagnostic) = result {
        console.fail(*diagnostic);
    }
    console.finish()
}
