//! Tools for policies, used before anything is launched. No tender links this crate.
//!
//! | what | file |
//! |---|---|
//! | a launch compared with its image, before policies are asked | [`mod@examine`] |
//! | launch plans: unikernels that run together | [`plan`] |
//! | tests of policies | [`mod@case`] |
//! | which parts of a policy matter to its tests | [`coverage`] |
//! | findings of an audit, judged by the `audit` section | [`audit`] |
//! | warnings on valid policies that are probably mistakes | [`lint`] |
//! | lists of admitted images, written | [`admitted`] |
//! | JSON Schemas of all these files and of policies | [`schema`] |
//!
//! [`codes`] has the diagnostic codes.
//!
//! Adversary: any bytes as a file (bounded by `solo5-source`), any ELF as an image. Nothing here opens a file.

#![forbid(unsafe_code)]

pub mod admitted;
pub mod audit;
pub mod case;
pub mod codes;
pub mod coverage;
pub mod examine;
pub mod lint;
pub mod plan;
pub mod schema;
