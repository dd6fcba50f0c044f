//! Evaluation: the yes-and-no rule.
//!
//! Every applicable policy is asked about each thing that the launch asks for; its answer is a
//! [`Verdict`]. One no is a denial. No yes at all is silence, which is a denial too. An answer that
//! depends on facts not known yet is a condition. Evaluation does not stop at the first no, so a
//! denial names every reason, up to [`REASONS_MAX`].
//!
//! There are two layers. If one of the host's policies applies, every yes must come from the host's,
//! and the launch's policies can only deny. If none of the host's applies, only the launch's count.
//!
//! `applies.rs` says which policies are asked, `things.rs` what they are asked about, `decide.rs` puts
//! their answers (`verdict.rs`) together. `net.rs` and `block.rs` compare a device with a rule
//! (`standing.rs`), `rules.rs` with a list of rules. `image.rs` judges the image by what it claims and
//! what is proven of it. `alternatives.rs` bounds what a message names of a list.

mod alternatives;
mod applies;
mod block;
mod decide;
mod image;
mod net;
mod rules;
mod standing;
mod things;
mod verdict;

pub use applies::{admission_lists, applies, keys_to_prove, label_holds, selects};
pub use block::{block_standing, directories, rest_beneath};
pub use decide::{REASONS_MAX, decide};
pub use net::net_standing;
pub use standing::{Distance, Miss, Standing};
pub use verdict::Phase;
