//! Where a key belongs that is written at another level of a manifest.

use solo5_abi::mft2::{PROPERTIES, Subject};

/// A level of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The manifest itself.
    Unikernel,
    /// A device.
    Device,
    /// The mapping at this key.
    Inside(&'static str),
}

/// Where `key` belongs, as help; `None` if no other level than `here` has it.
pub(crate) fn of(key: &str, here: Level) -> Option<String> {
    PROPERTIES.iter().find_map(|property| {
        let (inner, outer) = (property.inner_key(), property.outer_key());
        let at_level = match property.subject {
            Subject::Unikernel => Level::Unikernel,
            Subject::Only(_) | Subject::Device => Level::Device,
        };
        if key == outer && at_level != here {
            return Some(match property.subject {
                Subject::Unikernel => {
                    format!("`{key}` belongs to the manifest itself, at the level of `devices`")
                }
                Subject::Only(kind) => {
                    format!("`{key}` belongs to a device of type {}", kind.name())
                }
                Subject::Device => format!("`{key}` belongs to a device"),
            });
        }
        // A key such as `minimum` belongs to several mappings, so only where there is one is it named.
        let alone = PROPERTIES.iter().filter(|other| other.inner_key() == Some(key)).count() == 1;
        (inner == Some(key) && alone && here != Level::Inside(outer))
            .then(|| format!("`{key}` belongs in `{outer}`"))
    })
}
