//! Builds every unikernel that runs on a target, for tests on a machine without a compiler:
//! `build-guests TARGET DIRECTORY ARCH`. On that machine, which may be of another architecture, `SOLO5_IMAGES=DIRECTORY`
//! makes the tests use the images. Then `SOLO5_PREFIX` names the tools that make them.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use solo5_tests::guest::{self, Builder};
use solo5_tests::not_yet;
use solo5_tests::outcome::{Outcome, Stop};
use solo5_tests::tree::{ARCH, Tree};

fn build(target: &str, directory: &Path, arch: &str) -> Outcome {
    let tree = if arch == ARCH {
        Tree::staged()?
    } else {
        let prefix = std::env::var_os("SOLO5_PREFIX").ok_or("SOLO5_PREFIX names no tools")?;
        Tree::toolchain(Path::new(&prefix), arch)?
    };
    let builder = Builder::new(tree, directory)?;
    for program in guest::HOST_PROGRAMS {
        builder.host_program(program)?;
    }
    for example in guest::EXAMPLES {
        builder.example(example, target)?;
    }
    for guest in guest::all()? {
        let first = format!("guest/{}/{target}", guest.name);
        if not_yet::reason(arch, &first).is_some() {
            continue;
        }
        if guest.directives.runs.iter().any(|run| run.targets.iter().any(|name| name == target)) {
            println!("{}", builder.image(&guest, target)?.display());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, directory, arch] = arguments.as_slice() else {
        eprintln!("usage: build-guests TARGET DIRECTORY ARCH");
        return ExitCode::from(2);
    };
    match build(target, Path::new(directory), arch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(
            Stop::Fail(message)
            | Stop::Skip(message)
            | Stop::Elsewhere(message)
            | Stop::Lacking(message),
        ) => {
            eprintln!("build-guests: {message}");
            ExitCode::FAILURE
        }
    }
}
