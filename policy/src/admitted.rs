//! Lists of admitted images: `solo5-elftool check --lock` writes them, tenders read them and compare
//! one digest.
//!
//! The file is JSON, which is also YAML, so it is read like a policy.

use std::collections::BTreeSet;

use solo5_report::Diagnostic;
use solo5_signature::Digest;
use solo5_source::{Node, Reader};

use crate::codes;
use crate::fields::digest;

/// `type` of such a file.
pub const TYPE: &str = "solo5.admitted";
/// Its one version.
pub const VERSION: u64 = 1;

/// The digests in `bytes`; diagnostics call the file `name`.
///
/// # Errors
///
/// Everything wrong with it, in order of position.
pub fn read(name: &str, bytes: &[u8]) -> Result<BTreeSet<Digest>, Vec<Diagnostic>> {
    let (document, mut reader) = solo5_source::read(name, bytes)?;
    let digests = list(&document.root, &mut reader);
    reader.checked(digests)
}

fn list(root: &Node, reader: &mut Reader) -> Option<BTreeSet<Digest>> {
    let mut fields = reader.fields(root, "a list of admitted images")?;
    if let Some(node) = fields.required("type")
        && let Some(text) = reader.text(node, "`type`")
        && text != TYPE
    {
        let message = format!("`type` is `{text}`, so this is not a list of admitted images");
        let help = "`solo5-elftool check --lock=FILE` writes one";
        reader.error(codes::TYPE, node.span.clone(), message, "", help);
    }
    if let Some(node) = fields.required("version") {
        reader.integer(node, "`version`", VERSION..=VERSION);
    }
    let mut digests = BTreeSet::new();
    if let Some(node) = fields.required("images") {
        for item in reader.items(node, "`images`").unwrap_or_default() {
            let Some(mut image) = reader.fields(item, "an image") else {
                continue;
            };
            if let Some(node) = image.required("digest") {
                digests.extend(digest(node, reader));
            }
            // These keys are for people, so their values are not read.
            for key in ["file", "policies"] {
                image.optional(key);
            }
            image.finish(reader);
        }
    }
    fields.finish(reader);
    Some(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        let found = read("l.json", text.as_bytes()).unwrap_err();
        found.iter().map(|found| found.code).collect()
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(codes("{ type: solo5.policy, version: 1, images: [] }"), ["P203"]);
        let digest = "{ type: solo5.admitted, version: 1, images: [ { digest: abc } ] }";
        assert_eq!(codes(digest), ["P215"]);
        assert!(!codes("{ type: solo5.admitted, version: 2, images: [] }").is_empty());
        assert!(!codes("{ type: solo5.admitted, version: 1 }").is_empty());
    }
}
