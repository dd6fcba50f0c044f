//! Lists of admitted images as text, for `solo5_policy::admitted` to read.

use std::collections::BTreeMap;

use serde::Serialize;
use solo5_policy::admitted::{TYPE, VERSION};
use solo5_report::json::pretty;
use solo5_signature::Digest;

/// What a list says about an admitted image, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The file it was read from.
    pub file: String,
    /// Names of the policies that applied.
    pub policies: Vec<String>,
}

/// The text of a list, sorted by digest, so one set of images always gives the same text.
pub fn text(admitted: &BTreeMap<Digest, Admission>) -> String {
    let images = admitted.iter().map(|(digest, admission)| Image {
        digest: digest.to_string(),
        file: &admission.file,
        policies: &admission.policies,
    });
    pretty(&List { r#type: TYPE, version: VERSION, images: images.collect() })
}

#[derive(Serialize)]
struct List<'a> {
    r#type: &'static str,
    version: u64,
    images: Vec<Image<'a>>,
}

#[derive(Serialize)]
struct Image<'a> {
    digest: String,
    file: &'a str,
    policies: &'a [String],
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use solo5_policy::admitted;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let admission =
            Admission { file: "a \"b\"\n.spt".to_owned(), policies: vec!["edge-node".to_owned()] };
        let list = BTreeMap::from([(one, admission.clone()), (two, admission)]);
        let found = admitted::read("l.json", text(&list).as_bytes()).unwrap();
        assert_eq!(found, BTreeSet::from([one, two]));
        let none = admitted::read("l.json", text(&BTreeMap::new()).as_bytes()).unwrap();
        assert!(none.is_empty());
    }
}
