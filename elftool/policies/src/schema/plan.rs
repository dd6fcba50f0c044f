//! The keys of a launch plan.

use super::case::{DEVICE, blocks, nets};
use super::policy::LABEL;
use super::shape::{Key, Shape, key, required};
use crate::plan;
use solo5_launch::Access;

pub(super) const PLAN: &[Key] = &[
    required("type", "What this file is", Shape::Text(plan::TYPE)),
    required("version", "Version of this form", Shape::Number(plan::VERSION)),
    key("name", "The plan's name", NAME),
    key("policies", "Policies for all unikernels; absent: this host's", POLICIES),
    key(
        "require-policy",
        "Whether at least one policy must apply to each unikernel",
        Shape::Boolean,
    ),
    key("limits", "Limits for all unikernels together", Shape::Mapping(LIMITS)),
    required("unikernels", "The unikernels", Shape::Several(&Shape::Mapping(UNIKERNEL))),
];

const NAME: Shape = Shape::Expression("^[^\\s\\u0000-\\u001f\\u007f-\\u009f]{1,64}$");

const POLICIES: Shape = Shape::OneOrMany(&Shape::SomeText);

const LIMITS: &[Key] = &[
    key("unikernels", "Most unikernels", Shape::Count),
    key("memory", "Most guest memory", Shape::Size),
    key("net", "Most network interfaces", Shape::Count),
    key("block", "Most block devices", Shape::Count),
];

const UNIKERNEL: &[Key] = &[
    required("name", "Its name in the plan", NAME),
    required("image", "Its image, relative to the plan", Shape::SomeText),
    required(
        "memory",
        "Guest memory in whole MiB",
        Shape::Expression("^([1-9][0-9]*) ?(KiB|MiB|GiB)$"),
    ),
    key("executable-heap", "Whether heap and stack are executable", Shape::Boolean),
    key("arguments", "Arguments of the guest", Shape::List(&Shape::AnyText)),
    key("labels", "Labels that policies may match", Shape::Map(LABEL, &Shape::AnyText)),
    key("policies", "Further policies for it", POLICIES),
    nets(&Shape::Mapping(NET)),
    blocks(&Shape::Mapping(BLOCK)),
    key("without-net", "Optional network interfaces that it goes without", DECLINED),
    key("without-block", "Optional block devices that it goes without", DECLINED),
];

const DECLINED: Shape = Shape::List(&Shape::Expression(DEVICE));

const NET: &[Key] = &[
    required("tap", "The tap", Shape::Expression("^[^@]")),
    key(
        "mac",
        "Its address; absent: a random one",
        Shape::Expression("^[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2}){5}$"),
    ),
];

const BLOCK: &[Key] = &[
    required("path", "The file or block device, from `/` on", Shape::Expression("^(/[^/\\n]+)+$")),
    key(
        "access",
        "The access it gets; absent: read-write",
        Shape::Choice(&[Access::ReadOnly.name(), Access::ReadWrite.name()]),
    ),
    key("sector-size", "Sector size in bytes", Shape::SectorSize),
];
