//! What cannot be tested yet on an architecture: one table, with the reasons. A test that begins like a row of it is
//! ignored by name, and `build-guests` leaves its unikernel out.

/// The architectures that a row is about.
type Architectures = &'static [&'static str];

const OTHERS: Architectures = &["aarch64", "ppc64le"];

const OF_QEMU: &str = "a virtio unikernel needs no such machine: QEMU starts it on any";

/// How names of tests begin, where these tests cannot be run, and why.
const NOT_YET: &[(&str, Architectures, &str)] = &[
    (
        "http/load",
        OTHERS,
        "an emulated machine takes too long for twenty thousand requests; http/spt is there",
    ),
    (
        "guest/seed/spt/page-before",
        &["ppc64le"],
        "on pages of 64 KiB the seed's page is that of the boot information too",
    ),
    ("virtio/", OTHERS, OF_QEMU),
    ("virtio-devices/", OTHERS, OF_QEMU),
    ("virtio-names/", OTHERS, OF_QEMU),
    ("virtio-run/", OTHERS, OF_QEMU),
    ("disk/", OTHERS, OF_QEMU),
];

/// Why the test `name` cannot be run on machines of `arch`; `None` if it can.
#[must_use]
pub fn reason(arch: &str, name: &str) -> Option<&'static str> {
    let row = NOT_YET.iter().find(|(prefix, architectures, _)| {
        name.starts_with(prefix) && architectures.contains(&arch)
    });
    row.map(|(_, _, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_about_its_architectures_only() {
        assert!(reason("aarch64", "http/load").is_some());
        assert_eq!(reason("x86_64", "http/load"), None);
        assert_eq!(reason("aarch64", "guest/blk/hvt"), None);
        // These are about that architecture.
        assert_eq!(reason("aarch64", "virtio-aarch64/no-disk"), None);
    }
}
