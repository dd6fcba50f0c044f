//! Developer tasks: `cargo xtask TASK`.
//!
//! | file | task |
//! |---|---|
//! | [`stage`] | `build`: the installed tree, under `target/solo5` |
//! | [`bindings`] | its `solo5_<target>.o` |
//! | [`libc`] | `libc`: a C library for unikernels |
//! | [`sources`] | `sources`: source packages of Debian |
//! | [`book`] | `book`: the pages, for browsers |
//! | [`install`] | `install`: that tree, copied to a prefix |
//! | [`dist`] | `dist`: the archives of a release |
//! | [`demo`] | `demo`: manifest → link → audit → policy → boot |
//! | [`test`] | `test`: all tests |
//! | [`peer`] | `peer`: another Solo5, to compare with |
//! | [`bench`] | `bench`: measures what this project promises in numbers |
//! | [`lab`] | `lab`: emulated machines, for tests that need one |
//! | [`fuzz`] | `fuzz`: fuzzes everything that reads foreign bytes |
//! | [`new`] | `new`: begins a rule, a code, a property or a test unikernel |
//! | [`schemas`] | `schemas`: writes the JSON Schemas |
//!
//! [`needs`] says what tests need of the machine. [`programs`] is the table of programs, and [`part`] names the parts of the tree. [`cross`] is what programs of each architecture
//! are compiled with, [`platform`] what bindings are. [`documents`], [`format_pages`] and [`build_systems`] stage what is no
//! program. [`run`] starts other programs, and [`namespace`] starts one in its own network namespace.
//! [`version`] finds the version that every program is built with.

#![forbid(unsafe_code)]

mod bench;
mod bindings;
mod book;
mod build_systems;
mod cross;
mod demo;
mod dist;
mod documents;
mod format_pages;
mod fuzz;
mod install;
mod lab;
mod libc;
mod namespace;
mod needs;
mod new;
mod part;
mod peer;
mod platform;
mod programs;
mod references;
mod run;
mod schemas;
mod sources;
mod stage;
mod test;
mod tree;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

/// A failed task is one message for the developer.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A task's own arguments.
type Arguments = Vec<String>;

struct Task {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    run: fn(Arguments) -> Result<ExitCode>,
}

const TASKS: &[Task] = &[
    Task { name: "build", arguments: stage::ARGUMENTS, help: stage::HELP, run: stage::task },
    Task {
        name: "install",
        arguments: install::ARGUMENTS,
        help: install::HELP,
        run: install::task,
    },
    Task { name: "libc", arguments: libc::ARGUMENTS, help: libc::HELP, run: libc::task },
    Task {
        name: "sources",
        arguments: sources::ARGUMENTS,
        help: sources::HELP,
        run: sources::task,
    },
    Task { name: "book", arguments: "", help: book::HELP, run: book::task },
    Task { name: "dist", arguments: dist::ARGUMENTS, help: dist::HELP, run: dist::task },
    Task { name: "demo", arguments: "", help: demo::HELP, run: demo::task },
    Task { name: "test", arguments: "", help: test::HELP, run: test::task },
    Task { name: "lab", arguments: lab::ARGUMENTS, help: lab::HELP, run: lab::task },
    Task { name: "peer", arguments: "", help: peer::HELP, run: peer::task },
    Task { name: "bench", arguments: bench::ARGUMENTS, help: bench::HELP, run: bench::task },
    Task { name: "fuzz", arguments: fuzz::ARGUMENTS, help: fuzz::HELP, run: fuzz::task },
    Task { name: "new", arguments: new::ARGUMENTS, help: new::HELP, run: new::task },
    Task { name: "schemas", arguments: "", help: schemas::HELP, run: schemas::task },
];

/// The root of the checkout.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .canonicalize()
        .unwrap_or_else(|_| PathBuf::from("."))
}

fn usage() -> String {
    let mut out = String::from("usage: cargo xtask TASK\n\nTASK is:\n");
    for task in TASKS {
        let call = format!("{} {}", task.name, task.arguments);
        out.push_str(&format!("    {}\n        {}\n", call.trim_end(), task.help));
    }
    out
}

fn main() -> ExitCode {
    // Before a test can replace the file. Only tasks that start this program need its path.
    let _ = run::this_program();
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("xtask: there is no task '{name}'\n\n{}", usage());
        return ExitCode::from(2);
    };
    match (task.run)(arguments.collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask {name}: {error}");
            ExitCode::FAILURE
        }
    }
}
