//! System call filters: rules as data, and the BPF program assembled from them.
//!
//! A [`Rule`] names one system call, the conditions on its arguments, the action, and the reason.
//! So one table yields the filter, the text of `--explain`, and the tests. [`assemble`] turns a
//! table into a program for the kernel. A call that matches no rule kills the process.
//!
//! `rule.rs` has the rows, `instruction.rs` what the kernel takes, `program.rs` the assembler, and
//! `sectors.rs` its longest condition.
//!
//! A program has this shape; its jumps only go forward:
//!
//! 1. check the architecture;
//! 2. find the system call number by binary search, and kill if it is not found. All 32 bits are
//!    compared, so that no x32 call on x86_64 matches;
//! 3. check each rule's conditions, both halves of a 64-bit value. The first rule that matches
//!    decides; if none matches, kill.
//!
//! All rules share their return instructions, to keep the program short: the kernel checks and
//! translates it at every start.
//!
//! This is our own assembler, because the `seccompiler` crate has a single action for all rules and
//! does not support ppc64le. Tests compare the two on random calls.

mod instruction;
#[cfg(any(test, feature = "testing"))]
pub mod interpreter;
mod program;
mod rule;
mod sectors;

pub use instruction::{ALLOW, ERRNO, INSTRUCTIONS_MAX, Instruction, KILL_PROCESS, audit_arch};
pub use program::assemble;
pub use rule::{Action, Call, Condition, Rule, Sectors, Test, calls};

#[cfg(test)]
mod tests;
