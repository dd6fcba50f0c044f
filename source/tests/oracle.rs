//! `serde_yaml` and `serde_json` as independent readers: this crate reads the same values.

use proptest::prelude::*;
use serde_yaml::Value;
use solo5_source::{Kind, Node, Style, format, parse};

/// Whether `node` is the value that `serde_yaml` read. Where `serde_yaml` converted a scalar, the
/// scalar must be plain.
fn same(node: &Node, value: &Value) -> bool {
    match (&node.kind, value) {
        (Kind::Sequence(items), Value::Sequence(values)) => {
            items.len() == values.len()
                && items.iter().zip(values).all(|(item, value)| same(item, value))
        }
        (Kind::Mapping(pairs), Value::Mapping(values)) => {
            pairs.len() == values.len()
                && pairs.iter().zip(values).all(|(pair, (key, value))| {
                    text_of(key).is_none_or(|key| key == pair.key.text) && same(&pair.value, value)
                })
        }
        (Kind::Scalar(scalar), Value::String(text)) => scalar.text == *text,
        (Kind::Scalar(scalar), Value::Null) => scalar.is_null(),
        (Kind::Scalar(scalar), Value::Bool(truth)) => {
            scalar.style == Style::Plain && scalar.text.eq_ignore_ascii_case(&truth.to_string())
        }
        (Kind::Scalar(scalar), Value::Number(_)) => {
            scalar.style == Style::Plain
                && serde_yaml::from_str::<Value>(&scalar.text).unwrap() == *value
        }
        _ => false,
    }
}

/// A key's text; `None` if `serde_yaml` converted it.
fn text_of(key: &Value) -> Option<&str> {
    key.as_str()
}

/// Whether two trees are equal except for positions. `a` may have scalars without quotes that `b` has
/// in quotes, but not the reverse.
fn equal(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Scalar(a), Kind::Scalar(b)) => {
            (a.is_null() && b.is_null())
                || (a.text == b.text && (b.style != Style::Plain || a.style == Style::Plain))
        }
        (Kind::Sequence(a), Kind::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Kind::Mapping(a), Kind::Mapping(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.key.text == b.key.text && equal(&a.value, &b.value))
        }
        _ => false,
    }
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
        "[ -~]{0,12}".prop_map(Value::String),
        "\\PC{0,8}".prop_map(Value::String),
        "[a-z\n\t #:]{0,20}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Sequence),
            prop::collection::vec(("[a-zA-Z-]{1,10}", inner), 0..6).prop_map(|pairs| {
                Value::Mapping(
                    pairs.into_iter().map(|(key, value)| (Value::String(key), value)).collect(),
                )
            }),
        ]
    })
}

/// Text made of pieces with a meaning in YAML.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "1",
        " ",
        "  ",
        "\n",
        "\n  ",
        ": ",
        ":",
        ", ",
        ",",
        "{",
        "}",
        "[",
        "]",
        "- ",
        "-",
        "\"",
        "'",
        "\"x\"",
        "'y'",
        "#",
        " # c\n",
        "|",
        ">",
        "|-\n  t\n",
        "&a",
        "*a",
        "!t",
        "?",
        "~",
        "null",
        "true",
        "---",
        "...",
        "\\n",
        "\t",
        "<<",
        "%",
        "@",
        "é",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1000)
    })]

    #[test]
    fn yaml_written_by_serde_yaml_reads_back(value in tree()) {
        let text = serde_yaml::to_string(&value).unwrap();
        match parse("x", text.as_bytes()) {
            Ok(document) => prop_assert!(same(&document.root, &value), "{text:?}"),
            // Empty documents and control characters are refused.
            Err(found) => prop_assert!(
                matches!(found[0].code, "Y002" | "Y007" | "Y018"), "{text:?} {found:?}"
            ),
        }
    }

    #[test]
    fn json_is_yaml(value in tree()) {
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            match parse("x", text.as_bytes()) {
                Ok(document) => prop_assert!(same(&document.root, &value), "{text:?}"),
                Err(found) => prop_assert!(matches!(found[0].code, "Y002" | "Y007"), "{text:?} {found:?}"),
            }
        }
    }

    #[test]
    fn text_that_both_readers_accept_has_the_same_value(text in soup()) {
        if let (Ok(document), Ok(value)) = (parse("x", text.as_bytes()), serde_yaml::from_str::<Value>(&text)) {
            // In a document that is one `|` text, readers disagree about an unindented line that
            // starts with `#`. No manifest or policy is such a document.
            let one_text = matches!(&document.root.kind, Kind::Scalar(scalar)
                if matches!(scalar.style, Style::Literal | Style::Folded));
            prop_assert!(one_text || same(&document.root, &value), "{text:?}\n{document:#?}\n{value:?}");
        }
    }

    #[test]
    fn any_bytes_end_in_a_tree_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse("x", &bytes);
    }

    #[test]
    fn spans_are_inside_their_parents(text in soup()) {
        fn check(node: &Node, text: &str) {
            assert!(text.get(node.span.clone()).is_some(), "{node:?}");
            let inside = |span: &std::ops::Range<usize>| node.span.start <= span.start && span.end <= node.span.end;
            match &node.kind {
                Kind::Scalar(_) => {}
                Kind::Sequence(items) => for item in items {
                    assert!(inside(&item.span), "{node:?}");
                    check(item, text);
                },
                Kind::Mapping(pairs) => for pair in pairs {
                    assert!(inside(&pair.key.span) && inside(&pair.value.span), "{node:?}");
                    check(&pair.value, text);
                },
            }
        }
        if let Ok(document) = parse("x", text.as_bytes()) {
            check(&document.root, &text);
        }
    }

    #[test]
    fn formatting_keeps_the_tree_and_is_idempotent(text in prop_oneof![soup(), tree().prop_map(|value| serde_yaml::to_string(&value).unwrap())]) {
        if let Ok(document) = parse("x", text.as_bytes()) {
            let once = format::format(&document);
            let again = parse("y", once.as_bytes()).map_err(|found| TestCaseError::fail(format!("{text:?}\n{once:?}\n{found:?}")))?;
            prop_assert!(equal(&document.root, &again.root), "{text:?}\n{once:?}");
            prop_assert_eq!(document.comments.len(), again.comments.len(), "{:?}\n{:?}", text, once);
            prop_assert_eq!(format::format(&again), once.clone(), "{:?}", text);
        }
    }

    #[test]
    fn quoting_is_undone_by_reading(text in prop_oneof!["\\PC{0,20}", "[ -~\n\t]{0,20}", "[a-z:#, ]{0,12}"]) {
        let line = format!("key: {}\n", format::quote(&text));
        let document = parse("x", line.as_bytes()).unwrap();
        let Kind::Mapping(pairs) = &document.root.kind else { panic!("{line:?}") };
        prop_assert!(matches!(&pairs[0].value.kind, Kind::Scalar(scalar) if scalar.text == text), "{line:?}");
        let value: Value = serde_yaml::from_str(&line).unwrap();
        prop_assert_eq!(value["key"].as_str(), Some(text.as_str()), "{:?}", line);
    }
}

/// Texts from a fuzzer whose comments moved again when formatted a second time.
#[test]
fn formatting_twice_moves_no_comment() {
    for (text, expected) in [
        ("- - # c\n", "# c\n-\n  - null\n"),
        ("- # c\n  - a\n", "# c\n-\n  - a\n"),
        ("- { # c\n  a: 1 }\n", "# c\n- { a: 1 }\n"),
        ("- { a: 1\n  # c\n  }\n", "- a: 1\n  # c\n"),
        ("- a: 1\n  # c\n- b\n", "- a: 1\n  # c\n- b\n"),
        ("- a: 1\n# c\n- b\n", "- a: 1\n# c\n- b\n"),
        ("- k:\n  - a\n  # c\n", "- k:\n    - a\n  # c\n"),
        ("k:\n- a\n# c\nl: b\n", "k:\n  - a\n# c\nl: b\n"),
        ("k:\n  l:\n    - a\n    # c\n  # d\n# e\n", "k:\n  l:\n    - a\n    # c\n  # d\n# e\n"),
        ("k:\n  # c\n  a\n", "k: a\n# c\n"),
    ] {
        let once = format::format(&parse("x", text.as_bytes()).unwrap());
        assert_eq!(once, expected, "{text:?}");
        let twice = format::format(&parse("x", once.as_bytes()).unwrap());
        assert_eq!(twice, expected, "{text:?}");
    }
}

#[test]
fn a_list_starts_at_its_dash() {
    for text in ["k:\n- ü\n", "k: # -\n- ü\n", "k:\n-\n- ü\n", "k:\n  - ü\n", "k: # -\n  -\n"] {
        let document = parse("x", text.as_bytes()).unwrap();
        let Kind::Mapping(pairs) = &document.root.kind else { panic!("{text:?}") };
        let list = &pairs[0].value;
        assert_eq!(text.get(list.head()), Some("-"), "{text:?}");
    }
}

/// Other readers make numbers, truth values or dates of some of these.
#[test]
fn texts_are_never_converted() {
    for text in ["1.10", "0x1F", "0o17", "017", "1_000", "1e3", ".5", "2026-01-01", "12:30", "no"] {
        for written in [text.to_owned(), format!("'{text}'"), format!("\"{text}\"")] {
            let source = format!("version: {written}\n");
            let (document, mut reader) = solo5_source::read("a.yaml", source.as_bytes()).unwrap();
            let mut fields = reader.fields(&document.root, "it").unwrap();
            let found = fields.required("version").and_then(|node| reader.text(node, "`version`"));
            assert_eq!(found, Some(text), "{written}");
            fields.finish(&mut reader);
            assert!(reader.finish().is_empty());
        }
    }
}
