//! YAML: the tree, its spans, and the one layout.

use std::ops::Range;

use solo5_source::format::format;
use solo5_source::{DEPTH_MAX, Document, Kind, Node, parse};

use crate::{Target, cases, files};

pub(crate) const TARGET: Target = Target { name: "source", run, seeds, words: files::yaml_words };

fn run(data: &[u8]) -> bool {
    let document = match parse("file.yaml", data) {
        Ok(document) => document,
        Err(found) => {
            files::shown(&found);
            return false;
        }
    };
    let text = &document.source.text;
    spans(text, &document.root, 0..text.len(), 0);
    for comment in &document.comments {
        let comment = text.get(comment.span.clone()).expect("a range of the text");
        assert!(comment.starts_with('#') && !comment.contains('\n'), "{comment:?}");
    }
    formatted(&document);
    true
}

/// Every span is a range of characters and lies in that of its parent.
fn spans(text: &str, node: &Node, parent: Range<usize>, depth: usize) {
    assert!(depth <= DEPTH_MAX);
    let within = |span: &Range<usize>| parent.start <= span.start && span.end <= parent.end;
    for span in [&node.span, &node.head()] {
        assert!(text.get(span.clone()).is_some() && within(span), "{span:?} in {parent:?}");
    }
    match &node.kind {
        Kind::Scalar(_) => {}
        Kind::Sequence(items) => {
            items.iter().for_each(|item| spans(text, item, node.span.clone(), depth + 1));
        }
        Kind::Mapping(pairs) => {
            for (index, pair) in pairs.iter().enumerate() {
                assert!(text.get(pair.key.span.clone()).is_some());
                assert!(pair.key.span.end <= pair.value.span.start, "{pair:?}");
                let earlier = pairs.iter().take(index);
                assert!(earlier.filter(|other| other.key.text == pair.key.text).count() == 0);
                spans(text, &pair.value, node.span.clone(), depth + 1);
            }
        }
    }
}

/// Formatting keeps the tree and every comment; formatting twice is formatting once.
pub(crate) fn formatted(document: &Document) -> String {
    let text = format(document);
    let again = parse("file.yaml", text.as_bytes());
    let again = again.unwrap_or_else(|found| {
        panic!("{:?} is formatted as {text:?}: {found:#?}", document.source.text)
    });
    assert!(
        same(&document.root, &again.root),
        "{:?} is formatted as {text:?}",
        document.source.text
    );
    let comments = |document: &Document| -> Vec<String> {
        let of = |span: &Range<usize>| document.source.text.get(span.clone()).unwrap_or_default();
        let all = document.comments.iter();
        all.map(|comment| of(&comment.span).trim_end().to_owned()).collect()
    };
    assert_eq!(comments(document), comments(&again), "{text:?}");
    assert_eq!(format(&again), text, "{:?}", document.source.text);
    text
}

fn same(one: &Node, two: &Node) -> bool {
    match (&one.kind, &two.kind) {
        // Nothing, `~` and `null` are one value.
        (Kind::Scalar(one), Kind::Scalar(two)) => {
            one.is_null() == two.is_null() && (one.is_null() || one.text == two.text)
        }
        (Kind::Sequence(one), Kind::Sequence(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Kind::Mapping(one), Kind::Mapping(two)) => {
            let pairs = one.iter().zip(two);
            one.len() == two.len()
                && pairs
                    .into_iter()
                    .all(|(one, two)| one.key.text == two.key.text && same(&one.value, &two.value))
        }
        _ => false,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let own = [
        "a: 1\nb: [x, 'y', \"z\"]\nc: { d: ~, e: |\n",
        "# head\n- a # tail\n-\n  - b\n  # last\n",
        "text: |+\n  kept\n\n\nfolded: >-\n  one\n  two\n\n  three\n",
        "{ \"json\": [true, null, 1.10, \"\\u00e9\\ud83d\\ude00\"], }",
        "? key\n: value\n",
        "---\na: b\n...\n",
    ];
    let files = files::cases("manifest/tests/cases/text").into_iter();
    let policies = cases::texts().into_iter();
    let own = own.into_iter().map(|text| text.as_bytes().to_vec());
    own.chain(files.map(|(_, bytes)| bytes)).chain(policies).collect()
}
