//! One page per code: the files of `docs/codes` and `docs/rules`, built in.

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The page about `code`, in Markdown; letters of either case.
pub fn explain(code: &str) -> Option<&'static str> {
    let code = code.to_ascii_uppercase();
    PAGES.iter().find(|(name, _)| *name == code).map(|(_, page)| *page)
}

/// Every code that has a page, sorted.
pub fn codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(name, _)| *name)
}
