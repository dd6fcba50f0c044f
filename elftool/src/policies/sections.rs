//! The sections of a policy: what each answers for, and which of them a policy has.

use solo5_policy::Policy;
use solo5_policy::model::Layer;

/// The sections, each with what it answers for and what its silence denies.
pub(super) const SECTIONS: [(&str, &str); 7] = [
    ("image", "every image"),
    ("process", "running as root, running without a sandbox"),
    ("memory", "every launch, as each asks for memory"),
    ("arguments", "arguments"),
    ("net", "network interfaces"),
    ("block", "block devices"),
    ("debug", "gdb, dumping memory"),
];

/// The sections that no policy has, and what that denies. If there are policies of the host, only
/// theirs count.
pub(super) fn silent(policies: &[Policy]) -> impl Iterator<Item = (&'static str, &'static str)> {
    SECTIONS.into_iter().filter(|(section, _)| {
        let silent = |policy: &Policy| policy.otherwise_allow.is_none() && !has(policy, section);
        let host = policies.iter().filter(|policy| policy.layer == Layer::Host);
        match host.clone().next() {
            Some(_) => host.into_iter().all(silent),
            None => policies.iter().all(silent),
        }
    })
}

/// Whether a policy has a section.
pub(super) fn has(policy: &Policy, section: &str) -> bool {
    match section {
        "image" => policy.image.is_some() || policy.admitted.is_some(),
        "process" => policy.process.is_some(),
        "memory" => policy.memory.is_some(),
        "arguments" => policy.arguments.is_some(),
        "net" => policy.net.is_some(),
        "block" => policy.block.is_some(),
        _ => policy.debug.is_some(),
    }
}
