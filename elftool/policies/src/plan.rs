//! Launch plans: which unikernels a host is to run together, each with its memory, attachments,
//! labels and policies.
//!
//! [`read`] is the front end (`reader.rs`): bytes → checked [`Plan`] (`model.rs`), or every error in them
//! at once. Then [`Plan::conflicts`] (`conflicts.rs`) finds conflicts between launches: a block device
//! with two writers, a tap of two unikernels, sums above the plan's limits. The keys read here are those of [`crate::schema`].
//!
//! A unikernel of a plan becomes a tender's command line ([`Plan::words`]) and nothing else, so what
//! is checked is what would be started.

mod conflicts;
mod model;
mod reader;

pub use conflicts::Identity;
pub use model::{Block, Limits, Net, Plan, Sums, Unikernel};
pub use reader::{TYPE, VERSION, read};
