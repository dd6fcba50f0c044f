//! A section's list of rules, one of which has to fit entirely, and its limit on the number of devices.

use std::ops::Range;

use super::alternatives::Alternatives;
use super::standing::{Distance, Miss, Standing};
use super::verdict::{Denial, Provision, Verdict};
use crate::codes;
use crate::facts::Asked;
use crate::model::{At, Devices, Policy};

/// Judges a device by a section's rules; `standing` compares it with one of them. `empty_list` is the
/// code of a denial by a list without rules.
pub(super) fn judge<Rule>(
    section: &Devices<Rule>,
    empty_list: &'static str,
    standing: impl Fn(&Rule) -> Standing,
) -> Verdict {
    let Some(allow) = &section.allow else {
        // The section only has a limit: every device fits.
        return Verdict::Yes(section.span.clone());
    };
    let mut open: Option<(Alternatives, Range<usize>)> = None;
    let mut closest = Closest::default();
    for rule in &allow.value {
        match standing(&rule.value) {
            Standing::Fits => return Verdict::Yes(rule.span.clone()),
            Standing::Open(condition) => {
                let first = || (Alternatives::default(), rule.span.clone());
                open.get_or_insert_with(first).0.add(&condition);
            }
            Standing::Misses(distance, misses) => closest.add(distance, misses),
        }
    }
    if let Some((conditions, span)) = open {
        return Verdict::If(vec![Provision { message: conditions.joined(", or "), span }]);
    }
    Verdict::No(closest.denials(empty_list, &allow.span))
}

/// The reasons of the rules that come closest: if the name of any rule fits, those whose name fits; and
/// of these, the ones with the fewest keys that do not fit. Other rules are meant for other devices.
#[derive(Default)]
struct Closest {
    distance: Option<Distance>,
    reasons: Vec<(Denial, Alternatives)>,
}

impl Closest {
    /// Adds a rule that does not fit.
    fn add(&mut self, distance: Distance, misses: Vec<Miss>) {
        match self.distance {
            Some(least) if distance > least => return,
            Some(least) if distance == least => {}
            _ => self.reasons.clear(),
        }
        self.distance = Some(distance);
        for Miss { code, message, wants, span } in misses {
            // Rules that miss for the same reason make one reason with all they want.
            match self.reasons.iter_mut().find(|(known, _)| known.message == message) {
                Some((_, wanted)) => wanted.add(&wants),
                None => {
                    let mut wanted = Alternatives::default();
                    wanted.add(&wants);
                    let denial = Denial { code, message, wants: String::new(), span };
                    self.reasons.push((denial, wanted));
                }
            }
        }
    }

    /// The reasons. `empty_list` is the code if the list, which is at `list`, has no rules.
    fn denials(self, empty_list: &'static str, list: &Range<usize>) -> Vec<Denial> {
        if self.distance.is_none() {
            return vec![Denial {
                code: empty_list,
                message: "the list of rules is empty".to_owned(),
                wants: "allows none".to_owned(),
                span: list.clone(),
            }];
        }
        let reasons = self.reasons.into_iter();
        reasons.map(|(denial, wanted)| Denial { wants: wanted.wants(), ..denial }).collect()
    }
}

/// A denial for each limit on the number of devices that a launch exceeds, with its section.
pub(super) fn limits(policy: &Policy, asked: &Asked) -> Vec<(String, Denial)> {
    let limit = |maximum: Option<&At<u64>>, count: usize, section: &str, code| {
        let maximum = maximum?;
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        (count > maximum.value).then(|| {
            let denial = Denial {
                code,
                message: format!("{count} asked for"),
                wants: format!("wants at most {}", maximum.value),
                span: maximum.span.clone(),
            };
            (section.to_owned(), denial)
        })
    };
    let net = policy.net.as_ref().and_then(|section| section.maximum.as_ref());
    let block = policy.block.as_ref().and_then(|section| section.maximum.as_ref());
    [
        limit(net, asked.launch.nets.len(), "net", codes::NET_MAXIMUM),
        limit(block, asked.launch.blocks.len(), "block", codes::BLOCK_MAXIMUM),
    ]
    .into_iter()
    .flatten()
    .collect()
}
