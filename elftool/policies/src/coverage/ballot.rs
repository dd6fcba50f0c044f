//! How a list of rules treats one device. If one rule changes, the others need not be evaluated
//! again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use solo5_policy::evaluate::{Distance, Standing};

/// How each rule of a list treats one device.
pub(super) struct Ballot {
    /// The code of a denial by an empty list.
    empty: &'static str,
    standings: Vec<Standing>,
    /// How many rules fit.
    fitting: usize,
    /// How many rules fit under a condition.
    open: usize,
    /// How many of the open rules set each condition.
    conditions: HashMap<String, usize>,
    /// For each distance and message: the rules that miss with it, and the code they give it.
    misses: BTreeMap<Distance, BTreeMap<String, Misses>>,
}

/// Rules, by index, that miss a device with one message, and the code that each gives it.
type Misses = BTreeSet<(usize, &'static str)>;

/// What a list answers for a device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    If,
    No,
}

impl Ballot {
    pub(super) fn new(empty: &'static str, standings: Vec<Standing>) -> Ballot {
        let (mut fitting, mut open, mut conditions) = (0, 0, HashMap::new());
        let mut misses: BTreeMap<_, BTreeMap<String, Misses>> = BTreeMap::new();
        for (rule, standing) in standings.iter().enumerate() {
            match standing {
                Standing::Fits => fitting += 1,
                Standing::Open(condition) => {
                    open += 1;
                    *conditions.entry(condition.clone()).or_default() += 1;
                }
                Standing::Misses(distance, missed) => {
                    let level = misses.entry(*distance).or_default();
                    for miss in missed {
                        level.entry(miss.message.clone()).or_default().insert((rule, miss.code));
                    }
                }
            }
        }
        Ballot { empty, standings, fitting, open, conditions, misses }
    }

    /// Whether the answer changes if the standing of `rule` becomes what `changed` returns; `None`
    /// removes the rule. If the launch is `denied`, conditions do not count.
    pub(super) fn changes(
        &self,
        rule: usize,
        changed: impl FnOnce(&Standing) -> Option<Standing>,
        denied: bool,
    ) -> bool {
        let Some(old) = self.standings.get(rule) else {
            return false;
        };
        if self.fitting > usize::from(*old == Standing::Fits) {
            return false;
        }
        let new = changed(old);
        let (old, new) = (Some(old), new.as_ref());
        if old == new {
            return false;
        }
        match (self.answer(rule, old), self.answer(rule, new)) {
            (Answer::Yes, Answer::Yes) => false,
            (Answer::No, Answer::No) => self.codes(rule, old) != self.codes(rule, new),
            (Answer::No, _) | (_, Answer::No) => true,
            _ if denied => false,
            (Answer::If, Answer::If) => self.condition(rule, old) != self.condition(rule, new),
            (Answer::Yes, Answer::If) | (Answer::If, Answer::Yes) => true,
        }
    }

    /// The answer if `rule` has this standing and no other rule fits.
    fn answer(&self, rule: usize, standing: Option<&Standing>) -> Answer {
        let own = matches!(self.standings.get(rule), Some(Standing::Open(_)));
        match standing {
            Some(Standing::Fits) => Answer::Yes,
            Some(Standing::Open(_)) => Answer::If,
            _ if self.open > usize::from(own) => Answer::If,
            _ => Answer::No,
        }
    }

    /// The condition that only `rule` sets if it has this standing.
    fn condition<'s>(&self, rule: usize, standing: Option<&'s Standing>) -> Option<&'s str> {
        let Some(Standing::Open(condition)) = standing else {
            return None;
        };
        let own = self.standings.get(rule) == standing;
        let others = self.conditions.get(condition).copied().unwrap_or(0) - usize::from(own);
        (others == 0).then_some(condition.as_str())
    }

    /// The codes of the denial if `rule` has this standing and no rule fits: for each message of
    /// the closest rules, the code that the first of them gives it.
    fn codes(&self, rule: usize, standing: Option<&Standing>) -> Vec<&'static str> {
        let mut firsts = BTreeMap::new();
        let mut least = None;
        for (distance, level) in &self.misses {
            for (message, holders) in level {
                if let Some(first) = holders.iter().find(|(holder, _)| *holder != rule) {
                    least = Some(*distance);
                    firsts.insert(message.as_str(), *first);
                }
            }
            if least.is_some() {
                break;
            }
        }
        if let Some(Standing::Misses(distance, missed)) = standing
            && least.is_none_or(|least| *distance <= least)
        {
            if least != Some(*distance) {
                firsts.clear();
            }
            least = Some(*distance);
            for miss in missed {
                let first = firsts.entry(&miss.message).or_insert((rule, miss.code));
                *first = (*first).min((rule, miss.code));
            }
        }
        if least.is_none() {
            return vec![self.empty];
        }
        let mut codes: Vec<_> = firsts.into_values().map(|(_, code)| code).collect();
        codes.sort_unstable();
        codes
    }
}
