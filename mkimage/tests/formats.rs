//! Formats, as other programs read them: `qemu-img`, `sfdisk`, `fdisk`, `tar`.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::Workshop;
use serde_json::Value;
use solo5_abi::Target;
use solo5_signature::Digest;

const FORMATS: [(&str, &str); 3] = [("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vhd", "vpc")];

#[test]
fn qemu_reads_the_same_disk_in_every_format() {
    let shop = Workshop::new();
    shop.guest("guest.large", Target::Virtio, 5_000_000);
    for guest in ["guest.virtio", "guest.large"] {
        shop.make(&["raw.img", guest, "--an=argument"]);
        for (format, qemu) in FORMATS {
            shop.make(&["-f", format, "other.img", guest, "--an=argument"]);
            if format != "vhd" {
                let said = shop.tool(&["qemu-img", "check", "-f", qemu, "other.img"]);
                assert!(said.contains("No errors were found"), "{format}: {said}");
            }
            let said = shop.tool(&[
                "qemu-img",
                "compare",
                "-f",
                "raw",
                "-F",
                qemu,
                "raw.img",
                "other.img",
            ]);
            assert!(said.contains("Images are identical"), "{format}: {said}");
        }
    }
}

#[test]
fn qemu_sees_the_format_that_was_asked_for() {
    let shop = Workshop::new();
    let info = |format: &str, qemu: &str| -> Value {
        shop.make(&["-f", format, "disk", "guest.virtio"]);
        let text = shop.tool(&["qemu-img", "info", "--output=json", "-f", qemu, "disk"]);
        serde_json::from_str(&text).unwrap()
    };
    let qcow2 = info("qcow2", "qcow2");
    assert_eq!(qcow2["format-specific"]["data"]["compat"], "1.1");
    let vmdk = info("vmdk", "vmdk");
    assert_eq!(vmdk["format-specific"]["data"]["create-type"], "streamOptimized");
    assert_eq!(vmdk["format-specific"]["data"]["extents"][0]["compressed"], true);
    let vhd = info("vhd", "vpc");
    assert_eq!(vhd["virtual-size"], 2 << 20, "whole mebibytes");
    // Readers recognise it by its footer. Its first sector is the disk's, so QEMU sees a raw disk
    // unless it is told.
    assert_eq!(fs::metadata(shop.path("disk")).unwrap().len(), (2 << 20) + 512);
}

#[test]
fn a_raw_disk_is_small_and_sparse() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio"]);
    let disk = fs::metadata(shop.path("disk.img")).unwrap();
    assert!(disk.len() < 2 << 20, "{} bytes", disk.len());
    assert!(disk.blocks() * 512 < 256 << 10, "{} blocks", disk.blocks());
}

#[test]
fn partition_tools_see_two_partitions_of_which_one_is_active() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio"]);
    let table: Value = serde_json::from_str(&shop.tool(&["sfdisk", "--json", "disk.img"])).unwrap();
    let table = &table["partitiontable"];
    assert_eq!(table["label"], "dos");
    let partitions = table["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 2);
    assert_eq!(partitions[0]["start"], 64);
    assert_eq!(partitions[0]["size"], 2048 - 64);
    assert_eq!(partitions[0]["type"], "ef");
    assert_eq!(partitions[0]["bootable"], Value::Null);
    assert_eq!(partitions[1]["start"], 2048);
    assert_eq!(partitions[1]["type"], "da");
    assert_eq!(partitions[1]["bootable"], true);
    let sectors = fs::metadata(shop.path("disk.img")).unwrap().len() / 512;
    assert_eq!(partitions[1]["size"], sectors - 2048, "up to the end");
    let said = shop.tool(&["sfdisk", "--verify", "disk.img"]);
    assert_eq!(said.trim(), "disk.img:\nNo errors detected.");
    let listed = shop.tool(&["fdisk", "--list", "disk.img"]);
    assert!(listed.contains("Non-FS data") && listed.contains("EFI (FAT-12/16/32)"), "{listed}");
    let id = table["id"].as_str().unwrap();
    shop.make(&["other.img", "guest.virtio", "x"]);
    assert!(!shop.tool(&["sfdisk", "--json", "other.img"]).contains(id), "each disk has its own");
}

#[test]
fn google_gets_one_sparse_member_of_whole_gibibytes() {
    let shop = Workshop::new();
    shop.make(&["-f", "tar", "disk.tar.gz", "guest.virtio"]);
    let size = fs::metadata(shop.path("disk.tar.gz")).unwrap().len();
    assert!(size < 100_000, "{size} bytes");
    let listed = shop.tool(&["tar", "--list", "--verbose", "--gzip", "--file=disk.tar.gz"]);
    let words: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!((words[0], words[2], words[5]), ("-rw-r--r--", "1073741824", "disk.raw"));
    assert_eq!(listed.lines().count(), 1);
    shop.tool(&["tar", "--extract", "--gzip", "--file=disk.tar.gz"]);
    let disk = fs::metadata(shop.path("disk.raw")).unwrap();
    assert!(disk.blocks() * 512 < 1 << 20, "it is sparse");
    shop.make(&["raw.img", "guest.virtio"]);
    let same = ["qemu-img", "compare", "-f", "raw", "-F", "raw", "raw.img", "disk.raw"];
    assert!(shop.tool(&same).contains("Images are identical"));
    // The old GNU format: the type of the member is `S`.
    let archive = shop.path("disk.tar.gz").display().to_string();
    shop.tool(&[
        "sh",
        "-c",
        &format!("gzip --test '{archive}' && gunzip < '{archive}' > disk.tar"),
    ]);
    assert_eq!(fs::read(shop.path("disk.tar")).unwrap()[156], b'S');
}

#[test]
fn two_runs_give_the_same_bytes_and_the_epoch_decides_every_time() {
    let shop = Workshop::new();
    for format in ["raw", "tar", "qcow2", "vmdk", "vhd"] {
        let make = |name: &str, epoch: Option<&str>| {
            let mut program = shop.program(&["-f", format, name, "guest.virtio", "x"]);
            if let Some(epoch) = epoch {
                program.env("SOURCE_DATE_EPOCH", epoch);
            }
            assert!(program.status().unwrap().success());
            fs::read(shop.path(name)).unwrap()
        };
        let first = make("one.img", None);
        // Two runs in the same second would hide a clock.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert!(first == make("two.img", None), "{format}");
        let later = make("three.img", Some("1735689600"));
        assert!(later == make("four.img", Some("1735689600")), "{format}");
        assert_eq!(first == later, !matches!(format, "tar" | "vhd"), "{format} has a time");
    }
    let output = shop.program(&["x.img", "guest.virtio"]).env("SOURCE_DATE_EPOCH", "now").output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(common::text(&output.stderr).contains("SOURCE_DATE_EPOCH is not a number"));
}

#[test]
fn the_record_names_every_input() {
    let shop = Workshop::new();
    shop.make(&["-f", "qcow2", "disk.img", "guest.virtio", "--an=argument", "two words"]);
    let text = fs::read_to_string(shop.path("disk.img.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let digest = |name: &str| Digest::of(&fs::read(shop.path(name)).unwrap()).to_string();
    assert_eq!(record["type"], "solo5.image-record");
    assert_eq!(record["created"], "1970-01-01T00:00:00Z");
    assert_eq!(record["image"]["name"], "disk.img");
    assert_eq!(record["image"]["format"], "qcow2");
    assert_eq!(record["image"]["digest"], digest("disk.img"));
    let size = fs::metadata(shop.path("disk.img")).unwrap().len();
    assert_eq!(record["image"]["size"], size);
    assert_eq!(record["arguments"], serde_json::json!(["--an=argument", "two words"]));
    let inputs = record["inputs"].as_array().unwrap();
    assert_eq!(inputs.len(), 4);
    assert_eq!(inputs[0]["name"], "guest.virtio");
    assert_eq!(inputs[0]["target"], "virtio");
    assert_eq!(inputs[0]["digest"], digest("guest.virtio"));
    assert_eq!(inputs[1]["role"], "boot sector");
    assert_eq!(inputs[2]["role"], "loader");
    assert_eq!(inputs[3]["role"], "UEFI loader");

    shop.make(&["--no-record", "other.img", "guest.virtio"]);
    assert!(!shop.path("other.img.json").exists());
}
