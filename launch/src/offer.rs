//! The value of `--offer`: which features the guest may be offered.

use solo5_abi::offer::{Feature, Features};
use solo5_source::reader::similar;

/// The words that stand for a whole set.
const WHOLE: [(&str, Features); 2] = [("all", Features::ALL), ("none", Features::NONE)];

/// `all`, `none`, or names with commas between them. An error is what to write instead.
pub(super) fn parse_offer(value: &[u8]) -> Result<Features, String> {
    if let Some((_, set)) = WHOLE.iter().find(|(word, _)| word.as_bytes() == value) {
        return Ok(*set);
    }
    let text = String::from_utf8_lossy(value);
    if let Some(list) = without_blanks(&text) {
        return Err(format!("names have commas between and no blanks: write --offer={list}"));
    }
    text.split(',').try_fold(Features::NONE, |set, name| match Feature::from_name(name) {
        Some(feature) => Ok(set.with(feature)),
        None => Err(unknown(name)),
    })
}

/// The list that was meant, if only its blanks are wrong.
fn without_blanks(text: &str) -> Option<String> {
    text.contains(char::is_whitespace).then_some(())?;
    let separates = |c: char| c == ',' || c.is_whitespace();
    let names: Vec<&str> = text.split(separates).filter(|name| !name.is_empty()).collect();
    let all_known = names.iter().all(|name| Feature::from_name(name).is_some());
    (all_known && !names.is_empty()).then(|| names.join(","))
}

/// Advice on a name that no feature has.
fn unknown(name: &str) -> String {
    let features = Feature::ALL.map(Feature::name);
    if name.is_empty() {
        return format!("write all, none, or names with commas between: {}", features.join(","));
    }
    if WHOLE.iter().any(|(word, _)| *word == name) {
        return format!("'{name}' stands alone: write --offer={name}, or leave it out of the list");
    }
    let words: Vec<&str> = features.into_iter().chain(WHOLE.map(|(word, _)| word)).collect();
    match similar(name, &words) {
        Some(similar) => format!("there is no feature '{name}'; did you mean '{similar}'?"),
        None => format!("there is no feature '{name}'; the features are {}", features.join(", ")),
    }
}
