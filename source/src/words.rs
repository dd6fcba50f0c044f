//! Helpers for messages: a suggestion for a misspelt word, a shortened text, a list of words.

use std::borrow::Cow;

/// The word that `text` is most probably a misspelling of; `None` if no word is close.
pub fn similar<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    /// A longer text is not compared: it is no misspelling, and comparing takes quadratic time.
    const LONGEST: usize = 64;
    if text.len() > LONGEST {
        return None;
    }
    let plain = |word: &str| word.to_ascii_lowercase().replace('_', "-");
    let text = plain(text);
    let close = |word: &str| {
        let word = plain(word);
        let distance = strsim::damerau_levenshtein(&text, &word);
        let begins = text.len() > 2 && word.starts_with(&text);
        (distance <= 1 + word.len() / 5 || begins).then_some(distance)
    };
    words
        .iter()
        .filter_map(|word| Some((close(word)?, *word)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `text` for a message, cut after 80 characters.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The words as a list, such as `` `a`, `b` or `c` ``.
pub fn list(words: &[&str], conjunction: &str) -> String {
    match words {
        [] => "none".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} {conjunction} `{last}`", first.join(", "))
        }
    }
}
