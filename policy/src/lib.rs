//! Operator policy: what a unikernel may have on this host, and the reasons for a denial.
//!
//! One engine, two uses: a tender asks before it opens anything and again before the guest runs;
//! `solo5-elftool check` asks before deployment, when facts of the host are not known yet. Both apply
//! the yes-and-no rule: *each thing asked for needs a yes from at least one applicable policy and a no
//! from none.* Silence is a denial and is reported as one. A further policy can end silence; otherwise
//! it can only narrow.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1 | [`sources`] | option, folder → bytes of every policy, or a refusal |
//! | 2 | [`front`] | bytes → checked [`Policy`], or every error in them |
//! | 3 | [`facts`] | launch, manifest → [`Asked`]; the tender fills in [`HostFacts`] |
//! | 4 | [`evaluate`] | policies, what is asked, facts → [`Decision`] |
//! | 5 | [`decision`] | decision → lines for people, JSON for programs |
//!
//! Other files: [`model`] (what a policy says), [`fields`] (keys and values of all files), [`glob`]
//! (patterns), [`date`] (days), [`admitted`] (lists of admitted images), [`codes`] (diagnostic codes).
//!
//! Tenders link and trust all of this crate. What only tools do with policies is in `solo5-policies`.
//!
//! Adversary: any bytes as a policy (bounded by `solo5-source`); strings from the command line of
//! any content; an image that claims anything about itself, so no such claim selects a policy.
//! Nothing here opens a device: the caller passes in facts of the host. A fact that could not be read
//! counts as a no.

#![forbid(unsafe_code)]

pub mod admitted;
pub mod codes;
pub mod date;
pub mod decision;
pub mod evaluate;
pub mod facts;
pub mod fields;
pub mod front;
pub mod glob;
pub mod model;
pub mod sources;
mod trust;

pub use decision::{Decision, Outcome};
pub use evaluate::{Phase, admission_lists, decide, directories, keys_to_prove};
pub use facts::{Asked, BlockFacts, BlockKind, Fact, HostFacts, NetFacts};
pub use model::Policy;

/// The example in the package's README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
