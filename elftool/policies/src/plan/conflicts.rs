//! Conflicts between the launches of a plan.

use std::collections::HashMap;
use std::ops::Range;

use solo5_launch::{Access, Mac};
use solo5_policy::model::At;
use solo5_report::Diagnostic;
use solo5_source::size;

use super::model::{Block, Net, Plan, Sums, Unikernel};
use crate::codes;

/// What a path leads to on the host. Equal values are the same file or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A file: the file system's device number and the inode.
    File(u64, u64),
    /// A block device, by its own number.
    Device(u64),
}

impl Plan {
    /// The conflicts, in order of position. `access` gives the access that a block device will get, by the
    /// indices of unikernel and device; `identity` gives what a path leads to on this host, if that is
    /// known. If it is not, equal paths are one device. `sums` are those of [`Plan::sums`].
    pub fn conflicts(
        &self,
        access: impl Fn(usize, usize) -> Access,
        identity: impl Fn(&str) -> Option<Identity>,
        sums: Sums,
    ) -> Vec<Diagnostic> {
        let mut found = self.taps();
        found.extend(self.addresses());
        found.extend(self.devices(access, identity));
        found.extend(self.beyond(sums));
        let place = |found: &Diagnostic| found.labels.first().map_or(0, |label| label.span.start);
        found.sort_by_key(place);
        found
    }

    fn taps(&self) -> Vec<Diagnostic> {
        let mut first: HashMap<&str, (&Unikernel, &Net)> = HashMap::new();
        let mut found = Vec::new();
        for unikernel in &self.unikernels {
            for net in &unikernel.nets {
                let Some((other, before)) = first.get(net.tap.value.as_str()) else {
                    first.insert(&net.tap.value, (unikernel, net));
                    continue;
                };
                let message = format!(
                    "tap '{}' is attached to {} and to {}",
                    net.tap.value,
                    device_of(other, &before.name),
                    device_of(unikernel, &net.name)
                );
                found.push(
                    Diagnostic::error(codes::TAP_TWICE, message)
                        .label(&self.source, net.tap.span.clone(), "again here")
                        .label(&self.source, before.tap.span.clone(), "first here")
                        .with_help("make a tap for each, and put both on one bridge"),
                );
            }
        }
        found
    }

    fn addresses(&self) -> Vec<Diagnostic> {
        let mut first: HashMap<Mac, (&Unikernel, &Net, &Range<usize>)> = HashMap::new();
        let mut found = Vec::new();
        for unikernel in &self.unikernels {
            for net in &unikernel.nets {
                let Some(At { value: mac, span }) = &net.mac else {
                    continue;
                };
                let Some((other, before, place)) = first.get(mac) else {
                    first.insert(*mac, (unikernel, net, span));
                    continue;
                };
                let message = format!(
                    "{mac} is the address of {} and of {}",
                    device_of(other, &before.name),
                    device_of(unikernel, &net.name)
                );
                found.push(
                    Diagnostic::warning(codes::MAC_TWICE, message)
                        .label(&self.source, span.clone(), "again here")
                        .label(&self.source, (*place).clone(), "first here")
                        .with_help("give each its own, or none for a random one"),
                );
            }
        }
        found
    }

    fn devices(
        &self,
        access: impl Fn(usize, usize) -> Access,
        identity: impl Fn(&str) -> Option<Identity>,
    ) -> Vec<Diagnostic> {
        struct Use<'p> {
            unikernel: &'p Unikernel,
            block: &'p Block,
            writes: bool,
        }
        let mut same: Vec<Vec<Use<'_>>> = Vec::new();
        let mut by_path: HashMap<&str, usize> = HashMap::new();
        let mut by_identity: HashMap<Identity, usize> = HashMap::new();
        for (index, unikernel) in self.unikernels.iter().enumerate() {
            for (number, block) in unikernel.blocks.iter().enumerate() {
                let path = block.path.value.as_str();
                let known = by_path.get(path).copied();
                let group = known.unwrap_or_else(|| {
                    let new = same.len();
                    let group = identity(path).map(|id| *by_identity.entry(id).or_insert(new));
                    let group = group.unwrap_or(new);
                    if group == new {
                        same.push(Vec::new());
                    }
                    by_path.insert(path, group);
                    group
                });
                if let Some(group) = same.get_mut(group) {
                    group.push(Use {
                        unikernel,
                        block,
                        writes: access(index, number) == Access::ReadWrite,
                    });
                }
            }
        }
        let mut found = Vec::new();
        for group in &same {
            // Each diagnostic points at the other use, and second at the first writer.
            let Some(writer) = group.iter().find(|one| one.writes) else {
                continue;
            };
            for other in group.iter().filter(|other| !std::ptr::eq(*other, writer)) {
                let path = &writer.block.path.value;
                let (one, two) = (
                    device_of(writer.unikernel, &writer.block.name),
                    device_of(other.unikernel, &other.block.name),
                );
                let diagnostic = if other.writes {
                    let message = format!("'{path}' is written by {one} and by {two}");
                    let help = "give each its own, or all but one `access: read-only`";
                    Diagnostic::error(codes::BLOCK_WRITTEN_TWICE, message).with_help(help)
                } else {
                    let message = format!("'{path}' is written by {one} while {two} reads it");
                    let help = "what is read may be half written; give the reader a copy";
                    Diagnostic::warning(codes::BLOCK_SHARED, message).with_help(help)
                };
                let mut diagnostic = diagnostic
                    .label(&self.source, other.block.path.span.clone(), "also here")
                    .label(&self.source, writer.block.path.span.clone(), "written here");
                if other.block.path.value != *path {
                    let also = &other.block.path.value;
                    diagnostic = diagnostic.with_note(format!("'{also}' leads to the same device"));
                }
                found.push(diagnostic);
            }
        }
        found
    }

    fn beyond(&self, sums: Sums) -> Vec<Diagnostic> {
        let limits = &self.limits;
        let number = |number: u64| number.to_string();
        let rows: [(_, _, _, _, &dyn Fn(u64) -> String); 4] = [
            (codes::MANY_UNIKERNELS, &limits.unikernels, sums.unikernels, "unikernels", &number),
            (codes::MUCH_MEMORY, &limits.memory, sums.memory, "memory", &size::display),
            (codes::MANY_NETS, &limits.net, sums.net, "network interfaces", &number),
            (codes::MANY_BLOCKS, &limits.block, sums.block, "block devices", &number),
        ];
        let over = rows.into_iter().filter_map(|(code, limit, sum, what, show)| {
            let limit = limit.as_ref().filter(|limit| sum > limit.value)?;
            let message =
                format!("{what}: {} in sum, at most {} wanted", show(sum), show(limit.value));
            Some(
                Diagnostic::error(code, message)
                    .label(&self.source, limit.span.clone(), "")
                    .with_help("take something out of the plan, or raise the limit"),
            )
        });
        over.collect()
    }
}

/// `'storage' of router`.
fn device_of(unikernel: &Unikernel, device: &At<String>) -> String {
    format!("'{}' of {}", device.value, unikernel.name.value)
}
