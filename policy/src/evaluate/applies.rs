//! Which policies a launch is judged by, and what has to be known of its image for that.

use std::collections::{BTreeSet, HashSet};

use solo5_launch::Label;
use solo5_signature::{Proof, PublicKey};

use crate::facts::Asked;
use crate::model::{LabelRule, Policy, Proofs};

/// Whether `match` holds. Without a proof, a policy that selects by proof applies too, and then denies
/// the image: the caller should have proven the content first.
pub fn applies(policy: &Policy, asked: &Asked) -> bool {
    labels_hold(policy, &asked.launch.labels) && selects(policy, asked.proof.as_ref())
}

/// Whether the proofs that `match` wants hold, as in [`applies`].
pub fn selects(policy: &Policy, proof: Option<&Proof>) -> bool {
    let proofs = &policy.selector.proofs;
    proof.is_none_or(|proof| has_digest(proofs, proof) && is_signed(proofs, proof))
}

fn labels_hold(policy: &Policy, labels: &[Label]) -> bool {
    policy.selector.labels.iter().all(|rule| label_holds(rule, labels))
}

/// Whether one label that `match` asks for is among those of a launch.
pub fn label_holds(rule: &LabelRule, labels: &[Label]) -> bool {
    let fits =
        |label: &Label| label.key == rule.key && rule.value.fits_text(label.value.as_bytes());
    labels.iter().any(fits)
}

pub(super) fn has_digest(proofs: &Proofs, proof: &Proof) -> bool {
    let digests = proofs.digests.as_ref();
    digests.is_none_or(|digests| digests.value.contains(&proof.digest))
}

pub(super) fn is_signed(proofs: &Proofs, proof: &Proof) -> bool {
    let keys = proofs.signed_by.as_ref();
    keys.is_none_or(|keys| keys.value.iter().any(|key| proof.signed_by.contains(key)))
}

/// The keys to compare an image's signatures with before [`decide`]. `None` if no policy whose labels
/// hold asks for a proof: the content then need not be read.
pub fn keys_to_prove(policies: &[Policy], labels: &[Label]) -> Option<Vec<PublicKey>> {
    if policies.is_empty() {
        // Before the set below asks the kernel for random numbers.
        return None;
    }
    let mut needed = false;
    let mut keys: Vec<PublicKey> = Vec::new();
    // A policy may have thousands of keys.
    let mut seen: HashSet<&PublicKey> = HashSet::new();
    for policy in policies.iter().filter(|policy| labels_hold(policy, labels)) {
        let image = policy.image.as_ref().map(|image| &image.proofs);
        needed |= policy.admitted.is_some();
        for proofs in [&policy.selector.proofs].into_iter().chain(image) {
            needed |= !proofs.is_empty();
            for key in proofs.signed_by.iter().flat_map(|keys| &keys.value) {
                if seen.insert(key) {
                    keys.push(key.clone());
                }
            }
        }
    }
    needed.then_some(keys)
}

/// The lists of admitted images that policies which apply ask about.
pub fn admission_lists<'p>(policies: &'p [Policy], asked: &Asked) -> BTreeSet<&'p str> {
    let policies = policies.iter().filter(|policy| applies(policy, asked));
    policies.filter_map(|policy| Some(policy.admitted.as_ref()?.value.as_str())).collect()
}
