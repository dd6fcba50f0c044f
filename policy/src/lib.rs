//! Operator policy: what a unikernel may have on this host, and why not.
//!
//! One engine, two uses: a tender asks before it opens anything and again before the guest runs;
//! `solo5-elftool check` asks before deployment, when facts of the host are not known yet. The law
//! is the yes-and-no rule: *each thing asked for needs a yes from at least one applicable policy and
//! a no from none.* Silence is a denial and is reported as such, so a further policy only narrows.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1 | [`launch`] | arguments → [`launch::Launch`], what the operator asks of a tender |
//! | 2 | [`sources`] | option, folder → bytes of every policy, or a refusal |
//! | 3 | [`front`] | bytes → checked [`Policy`], or every error in them |
//! | 4 | [`facts`] | launch, manifest → [`Asked`]; the tender fills in [`HostFacts`] |
//! | 5 | [`evaluate`] | policies, what is asked, facts → [`Decision`] |
//! | 6 | [`decision`] | decision → lines for people, JSON for programs |
//!
//! Beside them: [`model`] (what a policy says), [`glob`] (patterns), [`date`] (days), [`admitted`]
//! (lists of admitted images), [`audit`] (findings against the `audit` section, which tenders do not
//! ask about), [`lint`] (what is probably not meant), [`codes`] (every diagnostic code), [`schema`]
//! (JSON Schemas). What tenders do not read: [`mod@case`] (tests of policies), [`coverage`] (which parts of
//! a policy matter to them), [`plan`] (unikernels that run together).
//!
//! Adversary: any bytes as a policy (bounded by `solo5-source`); strings from the command line of
//! any content; an image that says anything of itself, which therefore never selects a policy.
//! Nothing here opens a device: facts of the host are handed in, and a fact that could not be read
//! is a no.

#![forbid(unsafe_code)]

pub mod admitted;
pub mod audit;
pub mod case;
pub mod codes;
pub mod coverage;
pub mod date;
pub mod decision;
pub mod evaluate;
pub mod facts;
pub mod front;
pub mod glob;
pub mod launch;
pub mod lint;
pub mod model;
pub mod plan;
pub mod schema;
pub mod sources;

pub use decision::{Decision, Outcome};
pub use evaluate::{Phase, admission_lists, decide, directories, keys_to_prove};
pub use facts::{Asked, BlockFacts, BlockKind, Fact, HostFacts, NetFacts};
pub use model::Policy;
