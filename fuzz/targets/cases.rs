//! The cases of the policy crate's own tests, as parts of seeds.

use solo5_source::{Document, Kind, Node};

use crate::files;

/// The value of `key`, if `node` is a mapping that has it.
fn value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Kind::Mapping(pairs) = &node.kind else {
        return None;
    };
    pairs.iter().find(|pair| pair.key.text == key).map(|pair| &pair.value)
}

fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(scalar) => Some(&scalar.text),
        _ => None,
    }
}

/// The cases of the policy crate's own tests.
pub(crate) fn all() -> impl Iterator<Item = Document> {
    let files = files::cases("policy/tests/cases").into_iter();
    files.filter_map(|(_, bytes)| solo5_source::parse("case", &bytes).ok())
}

/// The policies in a case.
pub(crate) fn policies(case: &Document) -> Vec<Vec<u8>> {
    match value(&case.root, "policies").map(|node| &node.kind) {
        Some(Kind::Mapping(pairs)) => {
            let texts = pairs.iter().filter_map(|pair| text(&pair.value));
            texts.map(|text| text.as_bytes().to_vec()).collect()
        }
        _ => Vec::new(),
    }
}

/// The command line of a case, each argument but the first behind a NUL.
pub(crate) fn command_line(case: &Document) -> Option<Vec<u8>> {
    let options = text(value(value(&case.root, "launch")?, "options")?)?;
    let words: Vec<_> = options.split_whitespace().chain(["k"]).collect();
    Some(words.join("\0").into_bytes())
}

/// Every policy of the cases.
pub(crate) fn texts() -> Vec<Vec<u8>> {
    all().flat_map(|case| policies(&case)).collect()
}

/// Every command line of the cases.
pub(crate) fn launches() -> Vec<Vec<u8>> {
    all().filter_map(|case| command_line(&case)).collect()
}
