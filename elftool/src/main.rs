//! `solo5-elftool`: query, audit and check unikernel images.
//!
//! | what | file |
//! |---|---|
//! | upstream's three verbs, parsed from argv itself: their start-up cost counts | [`upstream`], [`generate`] |
//! | the command line of the other verbs | [`cli`] |
//! | `audit`: the verb, waivers, the formats | [`audit`], [`waive`], [`printers`] |
//! | `check`: the verb, a plan, one launch, options and guest arguments, the list of admitted images | [`check`], [`plan`], [`ask`], [`guest_words`], [`admit`] |
//! | the answers of `check` as a page | [`launch_page`] |
//! | `policy` | [`policies`] |
//! | `sign`, `verify` | [`sign`], [`verify`] |
//! | `lock`, `diff`; the facts they are about | [`lock`], [`diff`], [`facts`] |
//! | `show`, `symbolize`, `explain` | [`show`], [`symbolize`], [`explain`] |
//! | what people see of an image: one line, segments to scale, properties | [`draw`], [`properties`] |
//! | pages for browsers, which formats of `audit`, `check` and `diff` draw with | [`html`] |
//! | the content of an image and its signatures; policies in files | [`content`], [`policy_files`] |
//! | names, patterns, folders, lists → files; work in parallel | [`inputs`], [`parallel`] |
//! | values of options; files; standard output and error, and how a verb ends | [`options`], [`files`], [`console`] |
//!
//! Imports point down this table; only `main` imports [`cli`]. A verb is a struct of its options with a
//! method `run` that returns `Result<Exit, Failure>`. Only `main` prints a failure and turns it into an
//! exit status.
//!
//! Exit status of the new verbs: 0 no objection, 1 findings or a denial, 2 the work could not be
//! done. Upstream's verbs keep upstream's: 0, and 1 for every error
//! (`docs/reference/manifest.md#queries`).
//!
//! Adversary: hostile images, manifests and policies. The readers are those of the libraries; this
//! program only prints, and what it prints for people goes through `solo5_report::one_line`.

#![forbid(unsafe_code)]

mod admit;
mod ask;
mod audit;
mod check;
mod cli;
mod console;
mod content;
mod diff;
mod draw;
mod explain;
mod facts;
mod files;
mod generate;
mod guest_words;
mod html;
mod inputs;
mod launch_page;
mod lock;
mod options;
mod parallel;
mod plan;
mod policies;
mod policy_files;
mod printers;
mod properties;
mod replace;
mod show;
mod sign;
mod symbolize;
mod upstream;
mod verify;
mod waive;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::console::{Console, Exit};

/// This allocator makes start-up faster: musl's asks the kernel for a few pages at a time.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let console = Console::new(&arguments);
    let (ended, failed) = match upstream::run(&console, &arguments) {
        Some(ended) => (ended.map(|()| Exit::Clean), upstream::FAILED),
        None => (cli::run(&console, &arguments), Exit::Incomplete.status()),
    };
    ExitCode::from(ended.map_or_else(
        |failure| {
            console.fail(&failure);
            failed
        },
        Exit::status,
    ))
}
