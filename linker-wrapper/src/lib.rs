//! The wrappers around compiler, linker and objcopy.
#![forbid(unsafe_code)]
pub mod script;
