//! The diagnostic codes of this crate; each has a page in `docs/codes`.

/// The file is not UTF-8.
pub const NOT_UTF8: &str = "Y001";
/// A character that text cannot have, such as NUL.
pub const CHARACTER: &str = "Y002";
/// The file starts with a byte order mark.
pub const BYTE_ORDER_MARK: &str = "Y003";
/// The file is longer than [`crate::SIZE_MAX`].
pub const TOO_LONG: &str = "Y004";
/// Nesting is deeper than [`crate::DEPTH_MAX`].
pub const TOO_DEEP: &str = "Y005";
/// There are more nodes than [`crate::NODES_MAX`].
pub const TOO_MANY_NODES: &str = "Y006";
/// There is nothing in the file.
pub const EMPTY: &str = "Y007";
/// YAML's grammar is broken in a way that has no code of its own.
pub const SYNTAX: &str = "Y008";
/// A tab where YAML wants spaces.
pub const TAB: &str = "Y009";
/// A comma is missing, or there is one too many.
pub const COMMA: &str = "Y010";
/// A bracket, brace or quote is not closed, or closes nothing.
pub const UNCLOSED: &str = "Y011";
/// Text follows the document.
pub const TRAILING: &str = "Y012";
/// There is a second document.
pub const DOCUMENTS: &str = "Y013";
/// A tag, such as `!!str`.
pub const TAG: &str = "Y014";
/// An anchor, such as `&name`.
pub const ANCHOR: &str = "Y015";
/// An alias, such as `*name`.
pub const ALIAS: &str = "Y016";
/// A merge key, `<<`.
pub const MERGE_KEY: &str = "Y017";
/// A key is in its mapping twice.
pub const DUPLICATE_KEY: &str = "Y018";
/// A key that is not one line of text.
pub const KEY: &str = "Y019";
/// A directive, such as `%YAML 1.2`.
pub const DIRECTIVE: &str = "Y020";
/// An escape in a quoted string that does not exist.
pub const ESCAPE: &str = "Y021";
/// A value of one kind where another is wanted.
pub const WRONG_KIND: &str = "Y030";
/// A key that must be there is not.
pub const MISSING_KEY: &str = "Y031";
/// A key nobody knows.
pub const UNKNOWN_KEY: &str = "Y032";
/// Neither `true` nor `false`.
pub const NOT_BOOLEAN: &str = "Y033";
/// Not a whole number, or out of range.
pub const NOT_INTEGER: &str = "Y034";
/// Not a size with a unit.
pub const NOT_SIZE: &str = "Y035";
/// None of the words that are possible here.
pub const NOT_CHOICE: &str = "Y036";
/// A key without a value.
pub const NO_VALUE: &str = "Y037";
/// More errors than are shown.
pub const MORE_ERRORS: &str = "Y038";

/// Every code of this crate.
pub const ALL: [&str; 30] = [
    NOT_UTF8,
    CHARACTER,
    BYTE_ORDER_MARK,
    TOO_LONG,
    TOO_DEEP,
    TOO_MANY_NODES,
    EMPTY,
    SYNTAX,
    TAB,
    COMMA,
    UNCLOSED,
    TRAILING,
    DOCUMENTS,
    TAG,
    ANCHOR,
    ALIAS,
    MERGE_KEY,
    DUPLICATE_KEY,
    KEY,
    DIRECTIVE,
    ESCAPE,
    WRONG_KIND,
    MISSING_KEY,
    UNKNOWN_KEY,
    NOT_BOOLEAN,
    NOT_INTEGER,
    NOT_SIZE,
    NOT_CHOICE,
    NO_VALUE,
    MORE_ERRORS,
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_has_a_page() {
        for code in super::ALL {
            let page = solo5_report::explain(code).unwrap_or_default();
            assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        }
    }
}
