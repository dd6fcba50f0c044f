//! The parts of the end-to-end tests: unikernels, runs of them, and the host around them.
//!
//! The tests themselves are in `e2e/`, the unikernels in `guests/`, and each unikernel's file says
//! how it is run and what the result must be. Phases of one such run, in order:
//!
//! | file | what |
//! |---|---|
//! | [`tree`] | the staged tree under test: tools, headers, bindings |
//! | [`directive`] | the `//@` lines of a unikernel → [`directive::Run`] |
//! | [`guest`] | finding unikernels and building images of them |
//! | [`run`] | one run: devices, command line, verdict |
//! | [`process`] | a child process with a time limit and everything it printed |
//! | [`namespace`] | a network namespace with taps, a private mount, both gone with their thread |
//! | [`ping`], [`http`] | the other end of the wire |
//! | [`kvm`] | what the host's own KVM can run |
//! | [`not_yet`] | what cannot be tested yet on an architecture |
//! | [`elf`] | damaging an image on purpose |
//! | [`peer`] | another Solo5, and the images that its release accepts |
//! | [`outcome`] | failed or skipped, and why |
//!
//! Adversary: none. But a unikernel or a tender under test may hang, flood its output or crash, so
//! every child has a time limit, and nothing is left behind by a failed test.

#![forbid(unsafe_code)]

pub mod directive;
pub mod elf;
pub mod guest;
pub mod http;
pub mod kvm;
pub mod namespace;
pub mod not_yet;
pub mod outcome;
pub mod peer;
pub mod ping;
pub mod process;
pub mod run;
pub mod tree;
