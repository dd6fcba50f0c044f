//! A launch compared with the devices that a manifest declares: which are missing, and which options
//! attach them.

use solo5_abi::mft1::{DeviceType, Entry, Mft1};
use solo5_abi::mft2::Mft2;
use solo5_source::reader::similar;

use super::launch::Launch;

/// Upstream's text on a device that the manifest does not have.
pub(super) fn undeclared(name: &str) -> String {
    format!("Resource not declared in manifest: '{name}'")
}

/// The option that attaches a device.
pub(super) fn attaching(kind: DeviceType, name: &str) -> String {
    match kind {
        DeviceType::NetBasic => format!("net:{name}=TAP"),
        DeviceType::BlockBasic => format!("block:{name}=PATH"),
    }
}

/// Advice on a name that no device of this kind has.
pub(super) fn meant(manifest: &Mft1<'_>, kind: DeviceType, name: &str) -> String {
    let named = |kind| {
        let of_kind = move |entry: &&Entry| entry.kind() == Some(kind);
        manifest.entries().iter().filter(of_kind).map(Entry::name).collect::<Vec<_>>()
    };
    let words = |kind| match kind {
        DeviceType::NetBasic => ("network", DeviceType::BlockBasic),
        DeviceType::BlockBasic => ("block device", DeviceType::NetBasic),
    };
    let (what, other) = words(kind);
    if named(other).contains(&name) {
        let (is, _) = words(other);
        return format!("'{name}' is a {is}: use --{}", attaching(other, name));
    }
    let names = named(kind);
    if let Some(similar) = similar(name, &names) {
        return format!("no {what} is called '{name}'; did you mean '{similar}'?");
    }
    match names.as_slice() {
        [] => format!("the manifest declares no {what}"),
        names => format!("no {what} is called '{name}'; there is '{}'", names.join("', '")),
    }
}

impl Launch {
    /// Upstream's messages about declared devices that are neither attached nor declined; empty if there
    /// are none (`docs/reference/downstream.md#options`).
    pub fn unattached(&self, manifest: &Mft1<'_>) -> Vec<String> {
        let mut lines: Vec<String> = manifest
            .entries()
            .iter()
            .filter_map(|entry| {
                let kind = entry.kind()?;
                let name = entry.name();
                (!self.mentions(kind, name)).then(|| {
                    format!("Device '{name}' of type {} declared but not attached.", kind.name())
                })
            })
            .collect();
        if !lines.is_empty() {
            lines.push("All declared devices must be attached. See --help for syntax.".to_owned());
        }
        lines
    }

    /// What to do about the devices of [`unattached`](Launch::unattached): the options that attach them, or
    /// decline those that are optional. If such an option is among the guest's arguments, that is said.
    pub fn advice_on_unattached(
        &self,
        manifest: &Mft1<'_>,
        properties: Option<&Mft2<'_>>,
    ) -> Option<String> {
        self.misplaced().or_else(|| self.attaching(manifest, properties))
    }

    /// The options that attach or decline the devices left.
    pub(super) fn attaching(
        &self,
        manifest: &Mft1<'_>,
        properties: Option<&Mft2<'_>>,
    ) -> Option<String> {
        let options: Vec<String> = manifest
            .devices()
            .filter_map(|(index, entry)| {
                let (kind, name) = (entry.kind()?, entry.name());
                if self.mentions(kind, name) {
                    return None;
                }
                let attach = attaching(kind, name);
                let optional = properties.is_some_and(|all| all.device(index).optional);
                Some(match kind {
                    _ if !optional => format!("--{attach}"),
                    DeviceType::NetBasic => format!("--{attach} or --without-net:{name}"),
                    DeviceType::BlockBasic => format!("--{attach} or --without-block:{name}"),
                })
            })
            .collect();
        (!options.is_empty()).then(|| format!("add {}", options.join(", ")))
    }

    /// Whether an option of the launch attaches or declines a device.
    fn mentions(&self, kind: DeviceType, name: &str) -> bool {
        self.declines(kind, name)
            || match kind {
                DeviceType::NetBasic => self.nets.iter().any(|net| net.name == name),
                DeviceType::BlockBasic => self.blocks.iter().any(|block| block.name == name),
            }
    }

    /// Whether an option of the launch declines an optional device.
    fn declines(&self, kind: DeviceType, name: &str) -> bool {
        let declined = match kind {
            DeviceType::NetBasic => &self.without_nets,
            DeviceType::BlockBasic => &self.without_blocks,
        };
        declined.iter().any(|declined| declined == name)
    }
}
