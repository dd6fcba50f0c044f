//! `solo5-spt` run as a program on small images whose code is written here, byte by byte.
//!
//! | file | what |
//! |---|---|
//! | [`guest`] | images of a few instructions; running the tender on them |
//! | [`options`] | command lines, texts and statuses |
//! | [`confinement`] | what a guest may call and touch, what it finds when it starts |
//! | [`block`], [`net`] | devices |
//! | [`proofs`] | policies that ask what is in an image |
//! | [`running`] | signals, limits, consoles that are not the guest's own |
//! | [`policies`] | who says no, and how; `--explain` and `--report` |
//! | [`safeguards`] | what confines a guest, taken away piece by piece |

mod block;
mod confinement;
mod guest;
mod net;
mod options;
mod policies;
mod proofs;
mod running;
mod safeguards;
