//! `solo5-run`: an OCI runtime that starts unikernels in containers.
//!
//! It makes no namespaces and no cgroups. It rewrites the bundle of a container whose program is a
//! unikernel, and executes runc or crun, which does the rest. A container with another program, such as
//! the pause container of a pod, is handed through unchanged.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1 | [`words`] | command line → the verb and what this program needs of its options |
//! | 2 | [`engine`] | the runtime underneath, found; every verb but `create`, `run` and `exec` goes there now |
//! | 3 | [`bundle`] | `config.json` → a checked document |
//! | 4 | [`rootfs`], [`unikernel`], [`urunc`] | process → the unikernel's open file and its arguments |
//! | 5 | [`options`], [`labels`] | limits and annotations → the options of the tender |
//! | 6 | [`judge`] | the host's policies → allowed or denied, with reasons |
//! | 7 | [`places`] | refuses volumes over what this program mounts |
//! | 8 | [`rewrite`] | tender, policies and process → a new `config.json` beside the old one |
//! | 9 | [`engine`] | executed with the new bundle |
//!
//! [`create`](mod@create) goes through phases 3 to 8 in order. Other files: [`failure`] (what is said of an
//! error), [`log`] (the engine's log file), [`cli`] (help, page and completions), [`codes`].
//!
//! Adversary: whoever made the image, and whoever may set annotations, arguments and volumes of a
//! container. They write every byte of the root file system and every string in `config.json`. The
//! engine, its command line and the bundle's folder are trusted: who has these starts any process
//! anyway. What the image's author and the pod's author bring can deny a launch, but never allow one,
//! as far as the engine itself writes what becomes a label.

#![forbid(unsafe_code)]
// Input and the host never cause a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bundle;
pub mod cli;
pub mod codes;
pub mod create;
pub mod engine;
pub mod failure;
pub mod judge;
pub mod labels;
pub mod log;
pub mod options;
pub mod places;
pub mod rewrite;
pub mod rootfs;
pub mod unikernel;
pub mod urunc;
pub mod words;

/// The name of the program.
pub const PROGRAM: &str = "solo5-run";
