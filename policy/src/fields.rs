//! Keys and values that several kinds of files share: policies, lists of admitted images, and the files
//! that only tools read.

use solo5_signature::{Digest, PublicKey};
use solo5_source::reader::excerpt;
use solo5_source::{Fields, Kind, Node, Reader};

use crate::codes;
use crate::date::Date;
use crate::model::At;

/// Longest name of a policy in characters.
pub const NAME_MAX: usize = 64;

/// `type` and `version`, with which every file of an operator starts. `type` must be `kind`, `version`
/// must be `known`. The last argument names such a file in messages, in singular and plural.
pub fn header(
    fields: &mut Fields<'_>,
    reader: &mut Reader,
    kind: &str,
    known: u64,
    [one, several]: [&str; 2],
) {
    if let Some(node) = fields.required("type")
        && let Some(text) = reader.text(node, "`type`")
        && text != kind
    {
        let message = format!("`type` is `{text}`, so this is not {one}");
        let help = format!("write `type: {kind}`");
        reader.error(codes::TYPE, node.span.clone(), message, "", help);
    }
    if let Some(node) = fields.required("version")
        && let Some(version) = reader.integer(node, "`version`", 0..=u64::MAX)
        && version != known
    {
        let message = format!("version {version} of {several} is not known to this build");
        let help = format!("write `version: {known}`, or use a later release");
        reader.error(codes::VERSION, node.span.clone(), message, "", help);
    }
}

/// A name that fits on one line of a reason.
pub fn self_name(node: &Node, reader: &mut Reader) -> Option<String> {
    let name = reader.text(node, "`name`")?;
    let fits = |c: char| !c.is_control() && !c.is_whitespace();
    if name.is_empty() || name.chars().count() > NAME_MAX || !name.chars().all(fits) {
        let message = "`name` must be one word";
        let help = format!("write 1 to {NAME_MAX} characters without blanks, such as `edge-node`");
        reader.error(codes::NAME, node.span.clone(), message, "", help);
        return None;
    }
    Some(name.to_owned())
}

/// `value` at the place of `node`.
pub fn at<T>(node: &Node, value: T) -> At<T> {
    At { value, span: node.span.clone() }
}

/// A path of a file that is read later. `code` is that of the error for an empty path.
pub fn path(
    node: &Node,
    what: &str,
    code: &'static str,
    reader: &mut Reader,
) -> Option<At<String>> {
    let text = reader.text(node, what)?;
    if text.is_empty() {
        let message = format!("{what} has no name");
        let help = "write its path; a relative one is relative to this file";
        reader.error(code, node.span.clone(), message, "", help);
        return None;
    }
    Some(at(node, text.to_owned()))
}

/// The values of a list, or one value without a list.
pub fn one_or_many<T>(
    node: &Node,
    reader: &mut Reader,
    mut value: impl FnMut(&Node, &mut Reader) -> Option<T>,
) -> Vec<T> {
    let items = match &node.kind {
        Kind::Sequence(items) => items.as_slice(),
        Kind::Scalar(_) | Kind::Mapping(_) => std::slice::from_ref(node),
    };
    items.iter().filter_map(|item| value(item, reader)).collect()
}

/// A digest of an image.
pub fn digest(node: &Node, reader: &mut Reader) -> Option<Digest> {
    let text = reader.text(node, "a digest")?;
    let found = Digest::parse(text);
    if found.is_none() {
        let message = format!("`{}` is not a digest", excerpt(text));
        let help = "write `sha256:` and 64 digits in lower case; `solo5-elftool verify` prints it";
        reader.error(codes::DIGEST, node.span.clone(), message, "", help);
    }
    found
}

/// A key of minisign.
pub fn public_key(node: &Node, reader: &mut Reader) -> Option<PublicKey> {
    let text = reader.text(node, "a public key")?;
    let found = PublicKey::parse(text);
    if found.is_none() {
        let message = format!("`{}` is not a public key", excerpt(text));
        let help = "write the 56 characters of the second line of a file like `minisign.pub`";
        reader.error(codes::KEY, node.span.clone(), message, "", help);
    }
    found
}

/// A day.
pub fn date(node: &Node, text: &str, reader: &mut Reader) -> Option<Date> {
    let date = Date::parse(text);
    if date.is_none() {
        let message = format!("`{}` is not a day", excerpt(text));
        let help = "write year, month and day, such as `2026-12-31`";
        reader.error(codes::DATE, node.span.clone(), message, "", help);
    }
    date
}

/// Whether a path is absolute and in its shortest form.
pub fn is_plain_path(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let parts = path.strip_prefix('/').map(|rest| rest.split('/'));
    !path.contains('\n') && parts.is_some_and(|mut parts| parts.all(plain))
}
