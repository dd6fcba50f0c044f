//! Builds every unikernel that runs on a target, for tests on a machine without a compiler:
//! `build-guests TARGET DIRECTORY`. On that machine, `SOLO5_IMAGES=DIRECTORY` makes the tests use the
//! images.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use solo5_tests::guest::{self, Builder};
use solo5_tests::outcome::{Outcome, Stop};
use solo5_tests::tree::Tree;

fn build(target: &str, directory: &Path) -> Outcome {
    let builder = Builder::new(Tree::staged()?, directory)?;
    for program in guest::HOST_PROGRAMS {
        builder.host_program(program)?;
    }
    for example in guest::EXAMPLES {
        builder.example(example, target)?;
    }
    for guest in guest::all()? {
        if guest.directives.runs.iter().any(|run| run.targets.iter().any(|name| name == target)) {
            println!("{}", builder.image(&guest, target)?.display());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, directory] = arguments.as_slice() else {
        eprintln!("usage: build-guests TARGET DIRECTORY");
        return ExitCode::from(2);
    };
    match build(target, Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Fail(message) | Stop::Skip(message) | Stop::Elsewhere(message)) => {
            eprintln!("build-guests: {message}");
            ExitCode::FAILURE
        }
    }
}
