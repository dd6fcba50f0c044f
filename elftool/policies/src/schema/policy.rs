//! The keys of a policy.

use super::shape::{Key, Shape, key, required};
use solo5_launch::Access;
use solo5_policy::front;

const SWITCH: Shape = Shape::Choice(&["allow", "forbid"]);

pub(super) const POLICY: &[Key] = &[
    required("type", "What this file is", Shape::Text(front::TYPE)),
    required("version", "Version of this form", Shape::Number(front::VERSION)),
    key(
        "name",
        "The policy's name in reasons; absent: its file's",
        Shape::Expression("^[^\\s\\u0000-\\u001f\\u007f-\\u009f]{1,64}$"),
    ),
    key("match", "When the policy applies; absent: always", Shape::Mapping(MATCH)),
    key("otherwise", "`allow` says yes for every absent section", Shape::Choice(&["allow"])),
    key("image", "What images may run", Shape::Mapping(IMAGE)),
    key("process", "How a tender may run", Shape::Mapping(PROCESS)),
    key("memory", "What memory a guest may have", Shape::Mapping(MEMORY)),
    key("arguments", "What arguments a guest may get", Shape::Mapping(ARGUMENTS)),
    key("net", "What network interfaces a guest may have", Shape::Mapping(NET)),
    key("block", "What block devices a guest may have", Shape::Mapping(BLOCK)),
    key("debug", "What debugging is allowed", Shape::Mapping(DEBUG)),
    key(
        "admitted",
        "Path of a list of admitted images, which `check --lock` writes; the image must be in it",
        Shape::Expression("^(/[^/\\n]+)+$"),
    ),
    key(
        "audit",
        "What the audit may find; only `solo5-elftool` uses it, no tender",
        Shape::Mapping(AUDIT),
    ),
];

const MATCH: &[Key] = &[
    key(
        "label",
        "Labels given with `--label`, all of which must fit",
        Shape::Map(LABEL, &Shape::Pattern),
    ),
    // An empty list would never hold.
    Key { shape: Shape::OneOrSeveral(&Shape::Expression(DIGEST_EXPRESSION)), ..DIGEST },
    Key { shape: Shape::OneOrSeveral(&Shape::Expression(KEY_EXPRESSION)), ..SIGNED_BY },
];

pub(super) const DIGEST: Key = key(
    "digest",
    "Digests, one of which the image must have",
    Shape::OneOrMany(&Shape::Expression(DIGEST_EXPRESSION)),
);

const KEY_EXPRESSION: &str = "^RW[A-Za-z0-9+/]{54}$";

const DIGEST_EXPRESSION: &str = "^sha256:[0-9a-f]{64}$";

pub(super) const SIGNED_BY: Key = key(
    "signed-by",
    "minisign's public keys, one of which must have signed the image",
    Shape::OneOrMany(&Shape::Expression(KEY_EXPRESSION)),
);

const AUDIT: &[Key] = &[
    key(
        "fail-on",
        "The least severity that denies; absent: error",
        Shape::Choice(&["error", "warning", "note"]),
    ),
    key("waive", "Findings that are accepted for a time", Shape::List(&Shape::Mapping(WAIVER))),
];

const WAIVER: &[Key] = &[
    required("rule", "A rule's code, or the start of several", Shape::Expression("^S[0-9]{1,3}$")),
    required(
        "images",
        "Digests of the images it is for",
        Shape::OneOrMany(&Shape::Expression(DIGEST_EXPRESSION)),
    ),
    required("reason", "Why the finding is accepted", Shape::Expression("\\S")),
    required(
        "until",
        "The last day of the waiver",
        Shape::Expression("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    ),
];

const IMAGE: &[Key] = &[
    key("targets", "Targets, one of which the image must be for", Shape::List(&Shape::Target)),
    key("minimum-manifest", "Least version of the image's manifest", Shape::Range(1, 2)),
    DIGEST,
    SIGNED_BY,
];

const PROCESS: &[Key] = &[
    key("root", "Running as root; absent: forbid", SWITCH),
    key(
        "sandbox",
        "Whether the host must be able to confine the tender; absent: require",
        Shape::Choice(&["require", "optional"]),
    ),
];

const MEMORY: &[Key] = &[
    key("maximum", "Most guest memory", Shape::Size),
    key("executable-heap", "An executable heap; absent: forbid", SWITCH),
];

const ARGUMENTS: &[Key] = &[
    key("maximum-length", "Most bytes of the guest's command line", Shape::Count),
    key(
        "allow",
        "Patterns, one of which each word of it must fit",
        Shape::List(&Shape::Expression("^([^\\s*\\[\\]{}\\\\]|\\*(?!\\*))*$")),
    ),
];

const NET: &[Key] = &[
    key("maximum", "Most network interfaces", Shape::Count),
    key(
        "allow",
        "Rules, one of which each interface must fit entirely",
        Shape::List(&Shape::Mapping(NET_RULE)),
    ),
];

const DESCRIPTOR: Key = key(
    "descriptor",
    "It must be a descriptor that the launcher has opened",
    Shape::Choice(&["allow"]),
);

const NET_RULE: &[Key] = &[
    required("name", "The device's name in the manifest", Shape::Pattern),
    key("interface", "The tap's name", Shape::Pattern),
    key(
        "bridge",
        "The name of the bridge the tap is on; `none` if it must be on no bridge",
        Shape::Pattern,
    ),
    key("mac", "The Ethernet address", Shape::Expression("^[0-9A-Fa-f:*?]+$")),
    DESCRIPTOR,
];

const BLOCK: &[Key] = &[
    key("maximum", "Most block devices", Shape::Count),
    key(
        "allow",
        "Rules, one of which each device must fit entirely",
        Shape::List(&Shape::Mapping(BLOCK_RULE)),
    ),
];

const BLOCK_RULE: &[Key] = &[
    required("name", "The device's name in the manifest", Shape::Pattern),
    key("file", "It must be a regular file", Shape::Mapping(FILE)),
    key("device", "It must be a block device with this name below /dev", Shape::Pattern),
    DESCRIPTOR,
    key(
        "access",
        "The widest access",
        Shape::Choice(&[Access::ReadOnly.name(), Access::ReadWrite.name()]),
    ),
    key("capacity", "Its capacity", Shape::Mapping(CAPACITY)),
    key(
        "sector-size",
        "Sector sizes in bytes, one of which it must have",
        Shape::OneOrMany(&Shape::SectorSize),
    ),
];

const FILE: &[Key] = &[required(
    "under",
    "The folder it must be under, at any depth",
    Shape::Expression("^(/[^/\\n]+)+/?$"),
)];

const CAPACITY: &[Key] = &[key("maximum", "The largest capacity", Shape::Size)];

const DEBUG: &[Key] = &[
    key("gdb", "Attaching gdb; absent: forbid", SWITCH),
    key("dumpcore", "Dumping the guest's memory; absent: forbid", SWITCH),
];

/// A label's key.
pub(super) const LABEL: &str = "^[A-Za-z0-9._/-]+$";
