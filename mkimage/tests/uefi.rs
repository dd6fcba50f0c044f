//! Disks boot under UEFI too, and damaged ones say why they do not. The firmware is OVMF.

mod common;

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use common::{ENDED, LOAD_AT, SECTORS_AT, SUCCESS, Workshop};
use serde_json::Value;
use solo5_mkimage::layout::{LOADER_NAME, PAYLOAD_LBA, SECTOR, SYSTEM_PARTITION_LBA};

/// Debian's package ovmf.
const FIRMWARE: [&str; 4] = ["-bios", "/usr/share/ovmf/OVMF.fd", "-m", "128"];
const DISK: [&str; 2] = ["-drive", "id=disk,if=none,file=disk.img,format=raw"];

/// Boots `disk.img` under OVMF.
fn boot(shop: &Workshop, arguments: &[&str]) -> (Option<i32>, String) {
    shop.boot(&[&FIRMWARE[..], &DISK, arguments].concat())
}

/// What the guest printed, behind what the firmware did.
fn of_guest(printed: &str) -> &str {
    printed.find("unikernel.bin").and_then(|at| printed.get(at..)).unwrap_or_default()
}

#[test]
fn it_boots_with_what_the_guest_has_to_know() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio", "--hello", "a  b"]);
    let disk = fs::read(shop.path("disk.img")).unwrap();
    let id = u32::from_le_bytes(disk[440..444].try_into().unwrap());
    for (machine, device) in [
        ("pc", "virtio-blk-pci,drive=disk"),
        ("q35", "ide-hd,drive=disk"),
        ("q35", "nvme,drive=disk,serial=1"),
    ] {
        let (status, printed) = boot(&shop, &["-machine", machine, "-device", device]);
        let expected = format!("unikernel.bin --hello a  b\n{LOADER_NAME}{id:08x}\n{SUCCESS}");
        assert_eq!(of_guest(&printed), expected, "{machine} {device}: {printed}");
        assert_eq!(status, Some(ENDED), "{machine} {device}");
    }
}

#[test]
fn other_firmware_processors_and_memory_above_4_gib_make_no_difference() {
    let shop = Workshop::new();
    // Larger than what the loader reads at once, and no whole number of sectors.
    shop.guest("guest.large", solo5_abi::Target::Virtio, 3_000_004);
    let long = "x".repeat(8191);
    shop.make(&["disk.img", "guest.large", &long]);
    let flash = "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";
    let arguments = ["-machine", "q35", "-drive", flash, "-smp", "2", "-m", "5G"];
    let arguments = [&arguments[..], &DISK, &["-device", "ide-hd,drive=disk"]].concat();
    let (status, printed) = shop.boot(&arguments);
    assert!(of_guest(&printed).starts_with(&format!("unikernel.bin {long}\n")), "{printed}");
    assert!(printed.ends_with(SUCCESS) && status == Some(ENDED), "{printed}");
}

#[test]
fn a_large_unikernel_needs_a_machine_without_memory_kept_for_sleep() {
    let shop = Workshop::new();
    shop.guest("guest.large", solo5_abi::Target::Virtio, 12 << 20);
    shop.make(&["disk.img", "guest.large"]);
    let arguments = ["-machine", "q35", "-device", "ide-hd,drive=disk"];
    let (status, printed) = boot(&shop, &arguments);
    let expected = "Solo5: boot error 7: there is too little memory for the unikernel\r\n";
    assert!(printed.ends_with(expected) && status.is_none(), "{printed}");
    let without = ["-global", "ICH9-LPC.disable_s3=1"];
    let (status, printed) = boot(&shop, &[&arguments[..], &without].concat());
    assert!(printed.ends_with(SUCCESS) && status == Some(ENDED), "{printed}");
}

/// Boots a disk of which something was changed.
fn changed(shop: &Workshop, change: impl FnOnce(&mut fs::File)) -> String {
    shop.make(&["disk.img", "guest.virtio"]);
    let mut disk = OpenOptions::new().write(true).open(shop.path("disk.img")).unwrap();
    change(&mut disk);
    drop(disk);
    let (status, printed) = boot(shop, &["-machine", "q35", "-device", "ide-hd,drive=disk"]);
    assert_eq!(status, None, "it was not stopped: {printed}");
    assert_eq!(of_guest(&printed), "", "{printed}");
    printed
}

#[test]
fn damage_is_reported_and_not_entered() {
    let shop = Workshop::new();
    let damaged = |at: u64| {
        changed(&shop, |disk| {
            disk.seek(SeekFrom::Start(at)).unwrap();
            disk.write_all(&[0xf7]).unwrap();
        })
    };
    let said = damaged(PAYLOAD_LBA * SECTOR + 0x1234);
    let expected = "Solo5: boot error 5: the unikernel on the disk is damaged\r\n";
    assert!(said.ends_with(expected), "{said}");
    // The magic number, the code of the other loader, the command line.
    for at in [SECTOR + 5, SECTOR + 0x123, SECTOR + 0x1805] {
        let said = damaged(at);
        assert!(said.ends_with("Solo5: boot error 3\r\n"), "byte {at}: {said}");
    }
}

#[test]
fn parameters_that_cannot_be_are_reported_although_their_sum_is_right() {
    let shop = Workshop::new();
    for (at, value, error) in [
        (LOAD_AT, 0x7c00, "3\r\n"),
        (SECTORS_AT, u32::MAX, "7: there is too little memory for the unikernel\r\n"),
    ] {
        shop.make(&["disk.img", "guest.virtio"]);
        shop.set_parameter(at, value);
        let (status, printed) = boot(&shop, &["-machine", "q35", "-device", "ide-hd,drive=disk"]);
        assert!(printed.ends_with(&format!("Solo5: boot error {error}")), "{printed}");
        assert_eq!(status, None, "{value:#x} at {at}");
    }
}

#[test]
fn other_tools_read_the_system_partition() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio"]);
    let at = format!("disk.img@@{}", SYSTEM_PARTITION_LBA * SECTOR);
    let listed = shop.tool(&["mdir", "-/", "-b", "-i", &at]);
    assert_eq!(listed, "::/EFI/\n::/EFI/BOOT/\n::/EFI/BOOT/BOOTX64.EFI\n");
    shop.tool(&["mcopy", "-i", &at, "::/EFI/BOOT/BOOTX64.EFI", "loader.efi"]);
    let described = shop.tool(&["objdump", "--private-headers", "loader.efi"]);
    assert!(described.contains("pei-x86-64"), "{described}");
    assert!(described.contains("(EFI application)"), "{described}");
    // What the partition holds is what the record says.
    let loader = fs::read(shop.path("loader.efi")).unwrap();
    let record = fs::read_to_string(shop.path("disk.img.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let of_loader = &record["inputs"][3];
    assert_eq!(of_loader["role"], "UEFI loader");
    assert_eq!(of_loader["digest"], solo5_signature::Digest::of(&loader).to_string());
    // Repeats the checks of the file system's tables.
    let dump = ["dd", "if=disk.img", "of=volume.img", "bs=512", "skip=64", "count=1984"];
    shop.tool(&dump);
    let said = shop.tool(&["fsck.fat", "-n", "volume.img"]);
    assert!(said.contains("3 files"), "{said}");
}
