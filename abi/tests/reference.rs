//! The numbers in `docs/reference` match those in this crate.

use solo5_abi::hvt::{BootInfo, Hypercall, ring};
use solo5_abi::mft2::{self, Shape};
use solo5_abi::{Arch, Target};

fn page(name: &str) -> String {
    let path = format!("{}/../docs/reference/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of every row of the page's tables.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.map(|row| row.split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_property_has_its_row() {
    let page = page("manifest.md");
    let rows = rows(&page);
    for property in &mft2::PROPERTIES {
        let tag = |cell: &str| match cell.strip_prefix("0x") {
            Some(hex) => u16::from_str_radix(hex, 16).ok(),
            None => cell.parse().ok(),
        };
        let name = property.name;
        let fits = |row: &&Vec<&str>| tag(row[0]) == Some(property.tag) && row[1].contains(name);
        let row = rows.iter().find(|row| row.len() == 5 && fits(row));
        let row = row.unwrap_or_else(|| panic!("no row of tag {:#x}, {name}", property.tag));
        assert_eq!(row[4], if property.critical { "yes" } else { "no" }, "{name}");
        let stored = match property.shape {
            Shape::Flag(_) | Shape::Choice(..) | Shape::SectorSize | Shape::Mtu => "`u32`".into(),
            Shape::Size | Shape::Stack => "`u64`".into(),
            Shape::Text(most) => format!("1 to {most} bytes"),
        };
        assert!(row[3].contains(&stored), "{name}: {}", row[3]);
    }
}

#[test]
fn every_target_has_its_row() {
    let page = page("notes.md");
    let rows = rows(&page);
    for target in Target::ALL {
        let (number, name) = (target.number().to_string(), format!("`{}`", target.name()));
        let row = rows.iter().find(|row| row[0] == number && row[1] == name);
        let row = row.unwrap_or_else(|| panic!("no row of {name}"));
        match target.abi_version() {
            Some(version) => assert_eq!(row[2], version.to_string(), "{name}"),
            None => assert!(row[2].starts_with("none"), "{name}"),
        }
        // A target whose base depends on the architecture has each, in the order of the architectures.
        let mut bases: Vec<_> = Arch::ALL.map(|arch| format!("{:#x}", target.base(arch))).into();
        bases.dedup();
        if target == Target::Virtio {
            // There are no virtio images for ppc64le.
            bases.truncate(2);
        }
        assert!(row[3].starts_with(&bases[0]), "{name}: {}", row[3]);
        assert!(bases.iter().all(|base| row[3].contains(base)), "{name}: {}", row[3]);
    }
}

#[test]
fn every_hypercall_has_its_row() {
    let page = page("hvt.md");
    let rows = rows(&page);
    for call in Hypercall::ALL {
        let name: String = format!("{call:?}")
            .chars()
            .enumerate()
            .map(|(at, c)| if at > 0 && c.is_uppercase() { format!("_{c}") } else { c.to_string() })
            .collect();
        let row =
            [call.number().to_string(), name.to_uppercase(), call.argument_size().to_string()];
        assert!(
            rows.iter().any(|cells| cells.starts_with(&row.each_ref().map(|it| &**it))),
            "{row:?}"
        );
    }
}

#[test]
fn the_ring_and_the_boot_information_are_where_the_page_says() {
    let page = page("hvt.md");
    let rows = rows(&page);
    let at = |field: &str| {
        let row = rows.iter().find(|row| row.len() >= 3 && row[2].starts_with(field));
        let row = row.unwrap_or_else(|| panic!("no row of {field}"));
        row[0].parse::<usize>().unwrap_or_else(|error| panic!("{field}: {error}"))
    };
    use std::mem::offset_of;
    for (field, offset) in [
        ("`ent_tail`", offset_of!(ring::Ring, guest.ent_tail)),
        ("`com_head`", offset_of!(ring::Ring, guest.com_head)),
        ("`ent_head`", offset_of!(ring::Ring, tender.ent_head)),
        ("`com_tail`", offset_of!(ring::Ring, tender.com_tail)),
        ("`needs_kick`", offset_of!(ring::Ring, tender.needs_kick)),
        ("submissions", offset_of!(ring::Ring, submissions)),
        ("commits", offset_of!(ring::Ring, commits)),
        ("size of guest memory", offset_of!(BootInfo, mem_size)),
        ("frequency", offset_of!(BootInfo, cpu_cycle_freq)),
        ("address of the command line", offset_of!(BootInfo, cmdline)),
        ("address of the [manifest]", offset_of!(BootInfo, mft)),
        ("host features", offset_of!(BootInfo, host_features)),
        ("address of the ring", offset_of!(BootInfo, net_ring)),
    ] {
        assert_eq!(at(field), offset, "{field}");
    }
}
