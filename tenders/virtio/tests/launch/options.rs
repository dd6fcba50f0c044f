//! Command lines, policies, and what `--explain` shows.

use std::fs;

use serde_json::Value;

use crate::guest::{BLOCK, Code, Fake, Guest, NET, text};

#[test]
fn the_options_of_solo5_0_12_attach_devices_in_the_manifests_order() {
    let guest = Guest::new(Code::new(), &[("one", BLOCK), ("two", BLOCK)]);
    guest.file("a", &[0; 512]);
    guest.file("b", &[0; 1024]);
    let fake = Fake::new("exit 83");
    for words in [
        &["-q", "-d", "a", "-d", "b", "-m", "64", "--", "KERNEL"][..],
        &["-qda", "-db", "-m64", "KERNEL", "--"],
        &["--block:two=b", "-d", "a", "--mem=64", "--quiet", "KERNEL"],
    ] {
        let ran = fake.run(&guest, words).gives(83);
        assert_eq!(ran.err, "");
        let words = fake.words();
        let serials: Vec<_> = words.lines().filter(|word| word.starts_with("virtio-blk")).collect();
        assert_eq!(
            serials,
            [
                "virtio-blk-pci,drive=disk1,serial=one,bus=pci.0,addr=0x2,werror=report",
                "virtio-blk-pci,drive=disk2,serial=two,bus=pci.0,addr=0x3,werror=report",
            ]
        );
        assert!(words.contains("\n-m\n64\n") && !words.contains("-append"), "{words}");
    }
}

#[test]
fn devices_out_of_order_or_out_of_number_are_refused() {
    let guest = Guest::new(Code::new(), &[("storage", BLOCK), ("service", NET)]);
    guest.file("a", &[0; 512]);
    let ran = guest.run(&["-n", "tap100", "-d", "a", "KERNEL"]).gives(1);
    let ran = ran.mentions("Device 1 of the manifest, 'storage', is BLOCK_BASIC\n");
    ran.mentions("or by name: --block:storage=PATH");
    let ran = guest.run(&["-d", "a", "-n", "t", "-d", "a", "KERNEL"]).gives(1);
    ran.mentions("The manifest declares no further device\n");
    let ran = guest.run(&["-d", "a", "KERNEL"]).gives(1);
    ran.mentions("Device 'service' of type NET_BASIC declared but not attached.\n");
}

#[test]
fn wrong_options_are_named() {
    let guest = Guest::new(Code::new(), &[]);
    guest.run(&["-H", "xen", "KERNEL"]).gives(1).mentions("Unknown hypervisor: xen\n");
    guest.run(&["-M", "isapc", "KERNEL"]).gives(1).mentions("the machines are pc, q35 and microvm");
    guest.run(&["-x", "KERNEL"]).gives(1).mentions("Invalid option: `-x'");
    guest.run(&["-d"]).gives(1).mentions("Missing KERNEL operand");
    guest.run(&["-n", "tap:0", "KERNEL"]).gives(1).mentions("an MTU is a number from 68");
    guest.run(&["--offer=all", "KERNEL"]).gives(1).mentions("Invalid option");
    guest.run(&["--help"]).gives(1).mentions("[ --mem=128 ]");
    guest.run(&["--version"]).gives(0).mentions("\nABI version 1\n");
    guest.run(&["-H", "bhyve", "KERNEL"]).gives(1).mentions("error[T465]: bhyve runs only on");
    guest.run(&["/nonexistent"]).gives(1).mentions("/nonexistent: Could not open");
}

#[test]
fn an_image_of_another_target_is_refused() {
    let sample =
        solo5_image::testing::Sample::new(solo5_abi::Target::Spt, solo5_abi::Arch::X86_64, &[]);
    let guest = Guest::new(Code::new(), &[]);
    fs::write(&guest.image, sample.bytes()).unwrap();
    guest.run(&["KERNEL"]).gives(1).mentions("not started");
}

#[test]
fn a_policy_is_asked_before_qemu_starts() {
    let guest = Guest::new(Code::new(), &[("storage", BLOCK)]);
    guest.file("disk", &[0; 512]);
    let fake = Fake::new("exit 83");
    let policy = guest.policy("otherwise: allow\nmemory: { maximum: 64MiB }\n");
    let report = guest.folder.path().join("report");
    let to = format!("--report={}", text(&report));
    let ran = fake.run(&guest, &["-q", &policy, &to, "-d", "disk", "KERNEL"]).gives(60);
    ran.mentions("solo5-virtio-run: denied: P3").mentions("not started: denied by 1 of 1 ");
    assert!(!fake.folder.path().join("words").exists(), "QEMU was not started");
    let line = fs::read_to_string(&report).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&told["outcome"], &told["status"]), (&"denied".into(), &60.into()));
    fake.run(&guest, &["-q", &policy, "-m", "64", "-d", "disk", "KERNEL"]).gives(83);
    fake.run(&guest, &["--require-policy", "-d", "disk", "KERNEL"]).gives(60);
    let target = guest.policy("otherwise: allow\nimage: { targets: [hvt] }\n");
    fake.run(&guest, &[&target, "-d", "disk", "KERNEL"]).gives(60);
}

/// QEMU's developers promise no isolation of a guest that runs in software.
#[test]
fn a_policy_can_require_a_machine_of_its_own() {
    let guest = Guest::new(Code::new(), &[]);
    let policy = guest.policy("otherwise: allow\nprocess: { sandbox: require }\n");
    let fake = Fake::new("exit 83");
    fake.run(&guest, &[&policy, "KERNEL"]).gives(60).mentions("KVM");
}

#[test]
fn explain_shows_qemus_command_and_starts_nothing() {
    let guest = Guest::with_features(Code::new(), &[("storage", BLOCK)]);
    guest.file("disk", &[0; 512]);
    let fake = Fake::new("exit 83");
    let words = ["--explain", "-M", "q35", "-d", "disk", "KERNEL", "a b"];
    let ran = fake.run(&guest, &words).gives(0);
    assert_eq!(ran.err, "");
    assert!(ran.out.contains("block 'storage': disk, read-write"), "{}", ran.out);
    let end = "serial=storage,bus=pcie.0,addr=0x2,werror=report -kernel {image} -append 'a b'\n";
    assert!(ran.out.ends_with(end), "{}", ran.out);
    assert!(!fake.folder.path().join("words").exists());
    let ran = fake.run(&guest, &[&["--format=json"], &words[..]].concat()).gives(0);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let words = told["commands"][0]["words"].as_array().unwrap();
    assert_eq!(words[words.len() - 2..], ["-append", "a b"]);
}

#[test]
fn bhyves_commands_are_shown() {
    let guest = Guest::with_features(Code::new(), &[("storage", BLOCK)]);
    guest.file("disk", &[0; 4096]);
    let words = ["--explain", "-H", "bhyve", "--block-access:storage=read-only", "-d", "disk"];
    let ran = guest.run(&[&words[..], &["KERNEL", "it's"]].concat()).gives(0);
    let lines: Vec<&str> = ran.out.lines().rev().take(3).collect();
    let kernel = text(&guest.image);
    assert_eq!(
        lines,
        [
            "  bhyvectl --destroy --vm=solo5",
            "  bhyve -u -m 128 -H -s 0:0,hostbridge -s 1:0,lpc -l com1,stdio -s 2:0,virtio-blk,disk,ser=storage,ro solo5",
            &format!(
                "  {{ echo 'multiboot {kernel} placeholder it'\\''s'; echo boot; }} | grub-bhyve -M 128 solo5"
            ),
        ]
    );
}
