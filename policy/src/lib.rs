//! Operator policy and launch options.

#![forbid(unsafe_code)]

pub mod launch;
