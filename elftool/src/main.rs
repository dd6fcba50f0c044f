//! `solo5-elftool`: query, audit and check unikernel images.
//!
//! | what | file |
//! |---|---|
//! | upstream's three verbs, parsed from argv itself: their start-up cost counts | [`upstream`], [`generate`] |
//! | the command line of the other verbs | [`cli`] |
//! | `audit`, `check`, `show`, `explain` | [`audit`], [`check`], [`show`], [`explain`] |
//! | `symbolize` | [`symbolize`] |
//! | what `check` asks; plans | [`ask`], [`plan`] |
//! | `policy` | [`policies`] |
//! | `sign`, `verify`; the bytes they are about | [`sign`], [`verify`], [`content`] |
//! | `lock`, `diff`; the facts they are about | [`lock`], [`diff`], [`facts`] |
//! | what people see of an image: one line, and segments to scale | [`draw`] |
//! | which findings stand and which are waived | [`waive`] |
//! | the formats of an audit | [`formats`] |
//! | names, patterns, folders, lists → files; many at once | [`inputs`], [`parallel`] |
//! | files, standard output, texts of errors | [`files`] |
//!
//! Exit status of the new verbs: 0 nothing to object, 1 findings or a denial, 2 could not do the
//! work. Upstream's verbs keep upstream's: 0, and 1 for every error (`spec/10` §5).
//!
//! Adversary: hostile images, manifests and policies. The readers are those of the libraries; this
//! program only prints, and what it prints for people goes through `solo5_report::one_line`.

#![forbid(unsafe_code)]

mod ask;
mod audit;
mod check;
mod cli;
mod content;
mod diff;
mod draw;
mod explain;
mod facts;
mod files;
mod formats;
mod generate;
mod inputs;
mod lock;
mod parallel;
mod plan;
mod policies;
mod show;
mod sign;
mod symbolize;
mod upstream;
mod verify;
mod waive;

use std::ffi::OsString;
use std::process::ExitCode;

/// Programs start sooner with it than with musl's, which asks the kernel for a few pages at a time.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let status = match upstream::run(&arguments) {
        Some(status) => status,
        None => cli::run(arguments),
    };
    ExitCode::from(status)
}
