//! The keys of policy tests.

use super::policy::{DIGEST, SIGNED_BY};
use super::shape::{Key, Shape, key, required};
use crate::case;

pub(super) const SUITE: &[Key] = &[
    required("type", "What this file is", Shape::Text(case::TYPE)),
    required("version", "Version of this form", Shape::Number(case::VERSION)),
    required(
        "policies",
        "The policies to test, which are used together; relative to this file",
        Shape::OneOrSeveral(&Shape::SomeText),
    ),
    required("cases", "The tests", Shape::Several(&Shape::Mapping(CASE))),
];

const CASE: &[Key] = &[
    required("name", "What the case shows", Shape::AnyText),
    key("image", "The image that is launched", Shape::SomeText),
    key(
        "manifest",
        "The manifest of the image that is launched, in place of the image",
        Shape::SomeText,
    ),
    key("target", "The target of that image, one that a tender starts", Shape::TenderTarget),
    Key {
        about: "The digest of that image; absent: nothing is proven about it",
        shape: ONE_DIGEST,
        ..DIGEST
    },
    Key { about: "The keys that signed that image", ..SIGNED_BY },
    key(
        "findings",
        "The rules of the audit that find something in that image",
        Shape::OneOrMany(&Shape::Expression("^S[0-9]{3}$")),
    ),
    key("options", "Options of the tender", Shape::List(&Shape::AnyText)),
    key("arguments", "Arguments of the guest", Shape::List(&Shape::AnyText)),
    key(
        "today",
        "The day that waivers are compared with; absent: the day of the test",
        Shape::Expression("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    ),
    key("host", "What the host says", Shape::Mapping(HOST)),
    required(
        "decision",
        "What must be decided",
        Shape::Choice(&["allowed", "conditional", "denied"]),
    ),
    key(
        "codes",
        "The codes of all reasons for a denial",
        Shape::OneOrMany(&Shape::Expression("^P3[0-9]{2}$")),
    ),
];

const ONE_DIGEST: Shape = Shape::Expression("^sha256:[0-9a-f]{64}$");

const HOST: &[Key] = &[
    key(
        "root",
        "Whether the tender runs as root; absent: it does not",
        Shape::Fact(&Shape::Boolean),
    ),
    key(
        "sandbox",
        "Whether the host can confine the tender; absent: it can",
        Shape::Fact(&Shape::Boolean),
    ),
    key(
        "admitted",
        "Lists of admitted images, and whether the image is in them",
        Shape::Map("^(/[^/\\n]+)+$", &Shape::Fact(&Shape::Boolean)),
    ),
    nets(&Shape::Mapping(NET)),
    blocks(&Shape::Mapping(BLOCK)),
];

/// A device's name.
pub(super) const DEVICE: &str = "^[A-Za-z0-9]{1,67}$";

/// The key for network interfaces, with `what` for each.
pub(super) const fn nets(what: &'static Shape) -> Key {
    let about = "Network interfaces by the name in the manifest";
    key("net", about, Shape::Map(DEVICE, what))
}

/// The key for block devices, with `what` for each.
pub(super) const fn blocks(what: &'static Shape) -> Key {
    let about = "Block devices by the name in the manifest";
    key("block", about, Shape::Map(DEVICE, what))
}

const NET: &[Key] = &[
    key("interface", "The tap's name", Shape::Fact(&Shape::AnyText)),
    key("bridge", "The bridge that the tap is on, or `none`", Shape::Fact(&Shape::AnyText)),
];

const BLOCK: &[Key] = &[
    key(
        "kind",
        "The kind of file behind it",
        Shape::Fact(&Shape::Choice(&["file", "device", "other"])),
    ),
    key(
        "under",
        "The folders that it is under; opening it did not leave them",
        Shape::Fact(&Shape::OneOrMany(&Shape::SomeText)),
    ),
    key("capacity", "Its capacity", Shape::Fact(&Shape::Size)),
];
