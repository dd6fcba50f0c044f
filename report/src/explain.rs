//! One page per code: the files of `docs/codes` and `docs/rules`, compiled into the program.

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The page about `code`, in Markdown. The case of letters in `code` does not matter.
pub fn explain(code: &str) -> Option<&'static str> {
    let code = code.to_ascii_uppercase();
    PAGES.iter().find(|(name, _)| *name == code).map(|(_, page)| *page)
}

/// Every code that has a page, sorted.
pub fn codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(name, _)| *name)
}

/// Defines the codes of a crate: a constant for each, a list `ALL`, and a test that each has a page.
///
/// ```
/// mod codes {
///     solo5_report::codes! {
///         /// The file is not UTF-8.
///         NOT_UTF8 = "Y001";
///     }
/// }
/// assert_eq!(codes::ALL, [codes::NOT_UTF8]);
/// ```
#[macro_export]
macro_rules! codes {
    ($($(#[$about:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$about])* pub const $name: &str = $code;)*

        /// Every code of this list.
        pub const ALL: &[&str] = &[$($name),*];

        #[cfg(test)]
        mod pages {
            #[test]
            fn every_code_has_a_page() {
                for code in super::ALL {
                    let page = $crate::explain(code).unwrap_or_default();
                    assert!(page.starts_with(&format!("# {code}: ")), "{code}");
                }
            }
        }
    };
}
