//! Runs `solo5-spt` as a program, on small images whose machine code the tests write byte by byte.
//!
//! | file | what |
//! |---|---|
//! | [`guest`] | images of a few instructions; running the tender on them |
//! | [`options`] | command lines, texts and statuses |
//! | [`confinement`] | allowed calls, allowed memory accesses, the state at entry |
//! | [`block`], [`net`] | devices |
//! | [`proofs`] | policies on the image's digest and signatures |
//! | [`running`] | signals, limits, a console shared with other processes |
//! | [`policies`] | policy decisions; `--explain` and `--report` |
//! | [`safeguards`], [`without`] | hosts that lack one safeguard |

// The machine code is of x86_64. End-to-end tests run guests on every architecture.
#![cfg(target_arch = "x86_64")]

mod block;
mod confinement;
mod guest;
mod net;
mod options;
mod policies;
mod proofs;
mod running;
mod safeguards;
#[path = "../../../common/tests/shared/without.rs"]
mod without;
