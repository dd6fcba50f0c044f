//! Texts with one error each, and what the error says. The manifest's and the policies' own cases
//! have further ones.

use solo5_source::format::{format, quote};
use solo5_source::reader::ERRORS_MAX;
use solo5_source::{DEPTH_MAX, KEY_MAX, NODES_MAX, codes, parse};

/// Code and message of everything found in a text.
fn found(text: &str) -> Vec<(&'static str, String)> {
    match parse("x", text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(found) => found.into_iter().map(|found| (found.code, found.message)).collect(),
    }
}

fn one(text: &str, code: &'static str, message: &str) {
    assert_eq!(found(text), [(code, message.to_owned())], "{text:?}");
}

#[test]
fn punctuation_in_brackets() {
    for text in ["[ , a ]", "{ a: [ , b ] }"] {
        one(text, codes::COMMA, "a comma with no value before it");
    }
    one("{ \"a\": 1 \"b\":2 }", codes::COMMA, "a comma is missing before this");
    let second = "a second `:` in one entry: a comma is missing before its key";
    one("{ \"a\": 1 \"b\": 2 }", codes::COMMA, second);
    one("[ a ]\n]\n", codes::UNCLOSED, "this closes nothing");
    one("[ a }", codes::UNCLOSED, "`[` is closed with `}`");
    one("[ a, b", codes::UNCLOSED, "this is never closed");
}

#[test]
fn features_of_yaml_that_are_not_supported() {
    let alias = "`*` starts an alias, and aliases are not supported";
    one("a: * b\n", codes::ALIAS, alias);
    one("a: *b\n", codes::ALIAS, alias);
    one("a: & b\n", codes::ANCHOR, "anchors are not supported");
    one("a: &b c\n", codes::ANCHOR, "anchors are not supported");
    one("a: !e!x b\n", codes::TAG, "tags are not supported");
    one("a: !x b\n", codes::TAG, "tags are not supported");
    one("%YAML 1.2\n---\na: b\n", codes::DIRECTIVE, "directives are not supported");
    one("<<: a\n", codes::MERGE_KEY, "merge keys are not supported");
}

#[test]
fn texts() {
    for escape in [r"\q", r"\xgg", r"\ud800", r"\udc00x"] {
        let text = format!("a: \"{escape}\"\n");
        one(&text, codes::ESCAPE, "this quoted string has an escape that does not exist");
    }
    one("a: b\n\t# c\n  d\n", codes::SYNTAX, "a comment in the middle of a text");
    one("a: \"\\0\"\n", codes::CHARACTER, "a text contains the character U+0000");
    one("a: [ -, b ]\n", codes::SYNTAX, "`-` is not a value here");
    one("a: \"b\n", codes::UNCLOSED, "this quoted string never ends");
}

#[test]
fn limits() {
    let deep = "[".repeat(DEPTH_MAX + 1);
    one(&deep, codes::TOO_DEEP, "nested deeper than 64 levels");
    let deep = "- ".repeat(DEPTH_MAX + 1) + "a\n";
    one(&deep, codes::TOO_DEEP, "nested deeper than 64 levels");
    let mixed = "- ".repeat(DEPTH_MAX) + "[ a ]\n";
    one(&mixed, codes::TOO_DEEP, "nested deeper than 64 levels");
    let many = format!("[{}]", vec!["a"; NODES_MAX + 1].join(","));
    one(&many, codes::TOO_MANY_NODES, "more than 100000 values");
    let key = "k".repeat(KEY_MAX);
    assert_eq!(found(&format!("{key}: a\n")), []);
    one(&format!("{key}k: a\n"), codes::KEY, "a key of more than 160 characters");
}

#[test]
fn the_first_errors_are_kept_and_the_others_counted() {
    let text: String = (0..ERRORS_MAX + 10).map(|number| format!("k{number}: !t a\n")).collect();
    let found = found(&text);
    assert_eq!(found.len(), ERRORS_MAX + 1);
    let last = (codes::MORE_ERRORS, String::from("10 more errors in x"));
    assert_eq!(found[ERRORS_MAX], last);
}

/// What a method of the reader says about the value of `a`.
fn value(
    text: &str,
    read: impl Fn(&mut solo5_source::Reader, &solo5_source::Node),
) -> (String, String) {
    let text = format!("a: {text}\n");
    let (document, mut reader) = solo5_source::read("x", text.as_bytes()).unwrap();
    let mut fields = reader.fields(&document.root, "the file").unwrap();
    read(&mut reader, fields.required("a").unwrap());
    fields.finish(&mut reader);
    let [found] = &reader.finish()[..] else { panic!("{text:?} has one error") };
    (found.message.clone(), found.help.clone().unwrap())
}

#[test]
fn numbers_and_words_and_sizes() {
    let told = |(message, help): (String, String)| format!("{message}; {help}");
    let integer = |text: &str, range: std::ops::RangeInclusive<u64>| {
        told(value(text, |reader, node| {
            assert_eq!(reader.integer(node, "it", range.clone()), None);
        }))
    };
    assert_eq!(
        integer("\"7\"", 0..=9),
        "it must be a whole number, not a quoted text; remove the quotes"
    );
    assert_eq!(integer("2", 3..=u64::MAX), "it is 2, which is out of range; the least is 3");
    assert_eq!(integer("10", 3..=9), "it is 10, which is out of range; it can be 3 to 9");
    let boolean =
        |text: &str| told(value(text, |reader, node| assert_eq!(reader.boolean(node, "it"), None)));
    assert_eq!(boolean("On"), "it must be `true` or `false`, not `On`; write `true`");
    assert_eq!(
        boolean("maybe"),
        "it must be `true` or `false`, not `maybe`; write `true` or `false`"
    );
    let size =
        |text: &str| told(value(text, |reader, node| assert_eq!(reader.size(node, "it"), None)));
    for (text, expected) in [
        ("64", "it has no unit; write `64MiB`, or whichever of KiB, MiB and GiB is meant"),
        (
            "262144",
            "it has no unit; write `256KiB` if these are bytes; the units are KiB, MiB and GiB",
        ),
        ("0", "it has no unit; write a size such as `32MiB`; the units are KiB, MiB and GiB"),
        ("\"4 mB\"", "it has the unknown unit `mB`; units count in 1024s: write `MiB`"),
        ("4pages", "it has the unknown unit `pages`; the units are KiB, MiB and GiB"),
        ("1.5GiB", "it is not a size; write a whole number and a unit, such as `32MiB`"),
        ("17179869184GiB", "it is larger than 64 bits can count; write a smaller size"),
    ] {
        assert_eq!(size(text), expected);
    }
}

#[test]
fn entries_of_any_key_must_be_a_mapping() {
    let (document, mut reader) = solo5_source::read("x", b"a: [ b ]\n").unwrap();
    let mut fields = reader.fields(&document.root, "the file").unwrap();
    assert!(fields.entries("a", &mut reader).is_empty());
    assert!(fields.entries("none", &mut reader).is_empty());
    fields.finish(&mut reader);
    let found = reader.finish();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "`a` must be a mapping, not a list");
}

fn formatted(text: &str) -> String {
    let once = format(&parse("x", text.as_bytes()).unwrap());
    assert_eq!(format(&parse("x", once.as_bytes()).unwrap()), once, "formatting it again");
    once
}

#[test]
fn unusual_characters_are_written_as_escapes() {
    let text = "a\r\u{200b}\t\"\\\u{e0041}";
    let quoted = quote(text);
    assert_eq!(quoted, r#""a\r\u200b\t\"\\\U000e0041""#);
    let read = parse("x", format!("k: {quoted}\n").as_bytes()).unwrap();
    let solo5_source::Kind::Mapping(pairs) = &read.root.kind else { panic!("a mapping") };
    let solo5_source::Kind::Scalar(scalar) = &pairs[0].value.kind else { panic!("a text") };
    assert_eq!(scalar.text, text);
}

#[test]
fn lists_in_brackets_stay_on_their_line() {
    assert_eq!(formatted("a: [b,c,  d]\n"), "a: [b, c, d]\n");
    assert_eq!(formatted("a: [{b: c},{d: e}]\n"), "a: [ { b: c }, { d: e } ]\n");
    assert_eq!(formatted("a: [[b]]\n"), "a: [ [b] ]\n");
}

#[test]
fn json_stays_json() {
    let long = "x".repeat(90);
    let text =
        format!(r#"{{"a":[1,2],"b":{{"c":true}},"d":[[]],"e":{{}},"f":["{long}","{long}"]}}"#);
    let expected = format!(
        r#"{{
  "a": [ 1, 2 ],
  "b": {{ "c": true }},
  "d": [
    []
  ],
  "e": {{}},
  "f": [
    "{long}",
    "{long}"
  ]
}}
"#
    );
    assert_eq!(formatted(&text), expected);
}
