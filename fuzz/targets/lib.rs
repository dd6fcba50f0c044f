//! Fuzz targets: for every reader of foreign bytes, a function that passes any bytes to it and asserts
//! what must hold for the answer. In addition, no reader may panic, hang or run out of memory.
//!
//! | file | reader | what must hold |
//! |---|---|---|
//! | `image` | `solo5_image` | a plan fits exactly into its minimum memory; its segments do not overlap |
//! | `audit` | `solo5_audit` | an error is found if and only if no size of memory lets the image load |
//! | `dwarf` | `solo5_dwarf` | there is an answer for every address, and callers lie in code |
//! | `notes` | `solo5_abi::note`, `solo5_manifest::decode` | decoded notes can be written as YAML, which means the same |
//! | `mft1` | `solo5_abi::mft1` | a manifest that a loader accepts has one encoding |
//! | `mft2` | `solo5_abi::mft2` | every set of known properties has one encoding |
//! | `signature` | `solo5_signature` | a trailer has one form; nothing but what was signed counts as signed |
//! | `source` | `solo5_source` | spans lie in their parents; formatting keeps the tree and settles at once |
//! | `manifest` | `solo5_manifest` | an accepted manifest is the same after encoding as notes and as YAML |
//! | `policy` | `solo5_policy` | formatting keeps the decision; facts only settle conditions |
//! | `plan` | `solo5_policies::plan`, `solo5_policies::case` | formatting keeps the command lines; a tender reads them as the plan means them |
//! | `launch` | `solo5_launch` | the two ways to give a command line agree |
//! | `hypercall` | `solo5_hvt::exit`, `solo5_hvt::hypercall` | nothing is written to protected memory, nor to a disk behind its end or if it is read-only; frames have a valid length |
//! | `filter` | `solo5_tender::seccomp` | a filter decides on transfers as plain arithmetic does |
//!
//! Code makes the seeds, from the builders and case files that the crates' own tests use. Each target
//! also has a dictionary. The targets do not depend on libFuzzer: `tests/` runs the same functions
//! over the seeds and damaged copies of them.
//!
//! Adversary: none. This crate is the adversary.

#![forbid(unsafe_code)]

mod audit;
mod cases;
mod dwarf;
mod files;
mod filter;
mod hypercall;
mod image;
mod launch;
mod manifest;
mod mft1;
mod mft2;
mod notes;
mod plan;
mod policy;
mod signature;
mod source;

/// A reader under attack.
#[derive(Debug)]
pub struct Target {
    /// Its name, which is that of its file.
    pub name: &'static str,
    /// Passes bytes to the reader and returns whether it accepted them. Panics if a claim does not
    /// hold.
    pub run: fn(&[u8]) -> bool,
    /// Inputs to start from. Some are accepted and some refused.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that inputs are made of.
    pub words: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// The words in libFuzzer's form of a dictionary.
    pub fn dictionary(&self) -> String {
        let mut lines: Vec<_> = (self.words)()
            .iter()
            .map(|word| format!("\"{}\"\n", word.iter().map(escaped).collect::<String>()))
            .collect();
        lines.sort();
        lines.dedup();
        lines.concat()
    }
}

fn escaped(byte: &u8) -> String {
    match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}

/// Every target.
pub static TARGETS: [Target; 14] = [
    image::TARGET,
    audit::TARGET,
    dwarf::TARGET,
    notes::TARGET,
    mft1::TARGET,
    mft2::TARGET,
    signature::TARGET,
    source::TARGET,
    manifest::TARGET,
    policy::TARGET,
    plan::TARGET,
    launch::TARGET,
    filter::TARGET,
    hypercall::TARGET,
];
