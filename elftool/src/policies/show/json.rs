//! Policies for programs, with all defaults filled in.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use solo5_policy::Policy;
use solo5_policy::glob::Pattern;
use solo5_policy::model::{
    At, Audit, BackingRule, BlockRule, Devices, LabelRule, Layer, NetRule, Proofs, Waiver,
};

use crate::policies::sections::silent;

/// Policies that are used together.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Shown<'p> {
    policies: Vec<ShownPolicy<'p>>,
    denied_by_silence: Vec<&'static str>,
}

impl Shown<'_> {
    pub(super) fn of(policies: &[Policy]) -> Shown<'_> {
        Shown {
            policies: policies.iter().map(ShownPolicy::of).collect(),
            denied_by_silence: silent(policies).map(|(section, _)| section).collect(),
        }
    }
}

#[derive(Serialize)]
struct ShownPolicy<'p> {
    name: &'p str,
    file: &'p str,
    layer: &'static str,
    r#match: ShownMatch<'p>,
    image: Section<ShownImage<'p>>,
    process: Section<ShownProcess>,
    memory: Section<ShownMemory>,
    arguments: Section<ShownArguments<'p>>,
    net: Section<ShownDevices<ShownNet<'p>>>,
    block: Section<ShownDevices<ShownBlock<'p>>>,
    debug: Section<ShownDebug>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<ShownAudit<'p>>,
}

/// A section, or what `otherwise` makes of its absence.
#[derive(Serialize)]
#[serde(untagged)]
enum Section<T> {
    Given(T),
    Absent(&'static str),
}

#[derive(Serialize)]
struct ShownMatch<'p> {
    #[serde(flatten)]
    proofs: ShownProofs,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    label: Labels<'p>,
}

/// The patterns that labels must fit, by key.
struct Labels<'p>(&'p [LabelRule]);

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShownProofs {
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShownImage<'p> {
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_manifest: Option<u64>,
    #[serde(flatten)]
    proofs: Option<ShownProofs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admitted: Option<&'p str>,
}

#[derive(Serialize)]
struct ShownProcess {
    root: &'static str,
    sandbox: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShownMemory {
    maximum: Option<u64>,
    executable_heap: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShownArguments<'p> {
    maximum_length: Option<u64>,
    allow: Option<Vec<&'p str>>,
}

#[derive(Serialize)]
struct ShownDevices<Rule> {
    maximum: Option<u64>,
    allow: Option<Vec<Rule>>,
}

#[derive(Serialize)]
struct ShownNet<'p> {
    name: &'p str,
    interface: Option<&'p str>,
    bridge: Option<&'p str>,
    mac: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShownBlock<'p> {
    name: &'p str,
    under: Option<&'p str>,
    device: Option<&'p str>,
    access: Option<&'static str>,
    capacity: Option<u64>,
    sector_size: Option<&'p [u64]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<&'static str>,
}

#[derive(Serialize)]
struct ShownDebug {
    gdb: &'static str,
    dumpcore: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShownAudit<'p> {
    fail_on: &'static str,
    waive: Vec<ShownWaiver<'p>>,
}

#[derive(Serialize)]
struct ShownWaiver<'p> {
    rule: &'p str,
    images: Vec<String>,
    reason: &'p str,
    until: String,
}

impl ShownPolicy<'_> {
    fn of(policy: &Policy) -> ShownPolicy<'_> {
        let absent = match policy.otherwise_allow {
            Some(_) => "allow",
            None => "silent",
        };
        ShownPolicy {
            name: &policy.name,
            file: &policy.source.name,
            layer: match policy.layer {
                Layer::Host => "host",
                Layer::Launch => "launch",
            },
            r#match: ShownMatch {
                proofs: ShownProofs::of(&policy.selector.proofs),
                label: Labels(&policy.selector.labels),
            },
            image: Section::of(ShownImage::of(policy), absent),
            process: Section::of(
                policy.process.as_ref().map(|process| ShownProcess {
                    root: switch(&process.root_allowed),
                    sandbox: if process.sandbox_required.value { "require" } else { "optional" },
                }),
                absent,
            ),
            memory: Section::of(
                policy.memory.as_ref().map(|memory| ShownMemory {
                    maximum: value(&memory.maximum),
                    executable_heap: switch(&memory.executable_heap_allowed),
                }),
                absent,
            ),
            arguments: Section::of(
                policy.arguments.as_ref().map(|arguments| ShownArguments {
                    maximum_length: value(&arguments.maximum_length),
                    allow: arguments
                        .allow
                        .as_ref()
                        .map(|allow| allow.value.iter().map(|one| one.value.as_str()).collect()),
                }),
                absent,
            ),
            net: Section::of(policy.net.as_ref().map(|net| devices(net, ShownNet::of)), absent),
            block: Section::of(
                policy.block.as_ref().map(|block| devices(block, ShownBlock::of)),
                absent,
            ),
            debug: Section::of(
                policy.debug.as_ref().map(|debug| ShownDebug {
                    gdb: switch(&debug.gdb_allowed),
                    dumpcore: switch(&debug.dumpcore_allowed),
                }),
                absent,
            ),
            audit: policy.audit.as_ref().map(ShownAudit::of),
        }
    }
}

impl<T> Section<T> {
    fn of(given: Option<T>, absent: &'static str) -> Section<T> {
        given.map_or(Section::Absent(absent), Section::Given)
    }
}

impl ShownProofs {
    fn of(proofs: &Proofs) -> ShownProofs {
        fn texts<T: ToString>(list: &Option<At<Vec<T>>>) -> Option<Vec<String>> {
            list.as_ref().map(|list| list.value.iter().map(T::to_string).collect())
        }
        ShownProofs { digest: texts(&proofs.digests), signed_by: texts(&proofs.signed_by) }
    }
}

impl ShownImage<'_> {
    fn of(policy: &Policy) -> Option<ShownImage<'_>> {
        let (image, admitted) = (policy.image.as_ref(), policy.admitted.as_ref());
        if image.is_none() && admitted.is_none() {
            return None;
        }
        let targets = image.and_then(|image| image.targets.as_ref());
        Some(ShownImage {
            targets: targets
                .map(|targets| targets.value.iter().map(|target| target.name()).collect()),
            minimum_manifest: image.and_then(|image| value(&image.minimum_manifest)),
            proofs: image.map(|image| ShownProofs::of(&image.proofs)),
            admitted: admitted.map(|file| file.value.as_str()),
        })
    }
}

impl ShownNet<'_> {
    fn of(rule: &NetRule) -> ShownNet<'_> {
        ShownNet {
            name: rule.name.value.as_str(),
            interface: pattern(&rule.interface),
            bridge: pattern(&rule.bridge),
            mac: pattern(&rule.mac),
            descriptor: rule.descriptor.as_ref().map(|_| "allow"),
        }
    }
}

impl ShownBlock<'_> {
    fn of(rule: &BlockRule) -> ShownBlock<'_> {
        let (mut under, mut device, mut descriptor) = (None, None, None);
        match rule.backing.as_ref().map(|backing| &backing.value) {
            Some(BackingRule::FileUnder(folder)) => under = Some(folder.as_str()),
            Some(BackingRule::Device(pattern)) => device = Some(pattern.as_str()),
            Some(BackingRule::Descriptor) => descriptor = Some("allow"),
            None => {}
        }
        ShownBlock {
            name: rule.name.value.as_str(),
            under,
            device,
            descriptor,
            access: rule.access.as_ref().map(|access| access.value.name()),
            capacity: value(&rule.capacity_maximum),
            sector_size: rule.sector_sizes.as_ref().map(|sizes| sizes.value.as_slice()),
        }
    }
}

impl ShownAudit<'_> {
    fn of(audit: &Audit) -> ShownAudit<'_> {
        let waive = audit.waive.iter().map(|waiver| ShownWaiver::of(&waiver.value));
        ShownAudit { fail_on: audit.fail_on.value.name(), waive: waive.collect() }
    }
}

impl ShownWaiver<'_> {
    fn of(waiver: &Waiver) -> ShownWaiver<'_> {
        ShownWaiver {
            rule: &waiver.rule,
            images: waiver.images.iter().map(ToString::to_string).collect(),
            reason: &waiver.reason,
            until: waiver.until.to_string(),
        }
    }
}

impl Labels<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for rule in self.0 {
            map.serialize_entry(&rule.key, rule.value.as_str())?;
        }
        map.end()
    }
}

fn devices<'p, Rule, Shown>(
    section: &'p Devices<Rule>,
    shown: fn(&'p Rule) -> Shown,
) -> ShownDevices<Shown> {
    let allow = section.allow.as_ref();
    ShownDevices {
        maximum: value(&section.maximum),
        allow: allow.map(|allow| allow.value.iter().map(|one| shown(&one.value)).collect()),
    }
}

fn switch(allowed: &At<bool>) -> &'static str {
    if allowed.value { "allow" } else { "forbid" }
}

fn value(number: &Option<At<u64>>) -> Option<u64> {
    number.as_ref().map(|number| number.value)
}

fn pattern(pattern: &Option<At<Pattern>>) -> Option<&str> {
    pattern.as_ref().map(|one| one.value.as_str())
}
