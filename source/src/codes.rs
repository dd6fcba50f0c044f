//! The diagnostic codes of this crate; each has a page in `docs/codes`.

solo5_report::codes! {
    /// The file is not UTF-8.
    NOT_UTF8 = "Y001";
    /// A character that a text file must not contain, such as NUL.
    CHARACTER = "Y002";
    /// The file starts with a byte order mark.
    BYTE_ORDER_MARK = "Y003";
    /// The file is longer than [`crate::SIZE_MAX`].
    TOO_LONG = "Y004";
    /// Nesting is deeper than [`crate::DEPTH_MAX`].
    TOO_DEEP = "Y005";
    /// There are more nodes than [`crate::NODES_MAX`].
    TOO_MANY_NODES = "Y006";
    /// The file is empty.
    EMPTY = "Y007";
    /// A syntax error without a code of its own.
    SYNTAX = "Y008";
    /// A tab where YAML requires spaces.
    TAB = "Y009";
    /// A comma is missing, or there is one too many.
    COMMA = "Y010";
    /// A bracket, brace or quote that is not closed, or that closes nothing.
    UNCLOSED = "Y011";
    /// Text follows the document.
    TRAILING = "Y012";
    /// There is a second document.
    DOCUMENTS = "Y013";
    /// A tag, such as `!!str`.
    TAG = "Y014";
    /// An anchor, such as `&name`.
    ANCHOR = "Y015";
    /// An alias, such as `*name`.
    ALIAS = "Y016";
    /// A merge key, `<<`.
    MERGE_KEY = "Y017";
    /// A key occurs twice in one mapping.
    DUPLICATE_KEY = "Y018";
    /// A key that is not one short line of text.
    KEY = "Y019";
    /// A directive, such as `%YAML 1.2`.
    DIRECTIVE = "Y020";
    /// An unknown escape in a quoted string.
    ESCAPE = "Y021";
    /// A value of the wrong kind.
    WRONG_KIND = "Y030";
    /// A required key is missing.
    MISSING_KEY = "Y031";
    /// An unknown key.
    UNKNOWN_KEY = "Y032";
    /// Neither `true` nor `false`.
    NOT_BOOLEAN = "Y033";
    /// Not a whole number, or out of range.
    NOT_INTEGER = "Y034";
    /// Not a size with a unit.
    NOT_SIZE = "Y035";
    /// Not one of the permitted words.
    NOT_CHOICE = "Y036";
    /// A key without a value.
    NO_VALUE = "Y037";
    /// More errors than are shown.
    MORE_ERRORS = "Y038";
}
