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
    guest
        .run(&["-M", "isapc", "KERNEL"])
        .gives(1)
        .mentions("the machines are pc, q35, microvm and, for aarch64, virt");
    guest.run(&["-x", "KERNEL"]).gives(1).mentions("Invalid option: `-x'");
    let ran = guest.run(&["--mem", "64", "KERNEL"]).gives(1);
    ran.mentions("64: Could not open: ").mentions("if '64' is the value of --mem, write --mem=64");
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
    let ran = guest.run(&["KERNEL"]).gives(1);
    let ran = ran.mentions("Executable is not for the solo5-virtio target\n");
    ran.mentions("not started: it is for solo5-spt: start it with solo5-spt\n");
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

/// QEMU gets a copy of the image.
#[test]
fn an_image_that_is_too_large_is_refused_before_it_is_explained() {
    let guest = Guest::new(Code::new(), &[]);
    let fake = Fake::new("exit 83");
    fs::File::options().write(true).open(&guest.image).unwrap().set_len((256 << 20) + 1).unwrap();
    for words in [&["KERNEL"][..], &["--explain", "KERNEL"]] {
        let ran = fake.run(&guest, words).gives(1);
        ran.mentions("has more than 256 MiB").mentions("solo5-objcopy -S");
    }
    guest.run(&["--explain", "-H", "bhyve", "KERNEL"]).gives(0);
}

/// A named pipe has no size, and can be no report: nobody may read it.
#[test]
fn named_pipes_are_called_so() {
    let guest = Guest::new(Code::new(), &[("storage", BLOCK)]);
    let pipe = guest.folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let ran = guest.run(&["-d", "pipe", "KERNEL"]).gives(1);
    let ran = ran.mentions("pipe: Could not determine capacity: Illegal seek\n");
    ran.mentions("not started: pipe is a pipe: name a regular file or a block device\n");
    guest.file("disk", &[0; 512]);
    let ran = guest.run(&["--report=pipe", "-d", "disk", "KERNEL"]).gives(1);
    ran.mentions("pipe: it is a named pipe; name a file, or give an open pipe by its number");
}

/// Whether KVM is not there, does not run guests, or was not wanted is not the same.
#[test]
fn what_is_said_of_kvm_is_true() {
    let guest = Guest::new(Code::new(), &[]);
    let fake = Fake::new("exit 83");
    let line = |hypervisor| {
        let ran = fake.run(&guest, &["--explain", "-H", hypervisor, "KERNEL"]).gives(0);
        let line = ran.out.lines().find(|line| line.contains("a machine of its own")).unwrap();
        line.trim_start().to_owned()
    };
    let kvm = "a machine of its own: KVM";
    assert_eq!(line("qemu"), format!("{kvm} (not used with --hypervisor=qemu)"));
    assert_eq!(line("bhyve"), "a machine of its own: bhyve (only on FreeBSD)");
    let is_there = solo5_virtio_run::accelerator::require().is_ok();
    let wanted = match (is_there, solo5_virtio_run::accelerator::runs_guests()) {
        (_, true) => kvm.to_owned(),
        (true, false) => format!("{kvm} (it is there, and stops at the first vector instruction)"),
        (false, false) => format!("{kvm} ({})", solo5_virtio_run::accelerator::flaw().unwrap()),
    };
    assert_eq!(line("best"), wanted);
    let lack = solo5_virtio_run::accelerator::lack();
    let wanted = lack.map_or_else(|| kvm.to_owned(), |lack| format!("{kvm} ({lack})"));
    assert_eq!(line("kvm"), wanted);
    // No heading stands above nothing.
    let ran = fake.run(&guest, &["--explain", "-H", "bhyve", "KERNEL"]).gives(0);
    assert!(!ran.out.contains("enforced by the tender"), "{}", ran.out);
    let words = ["--explain", "-H", "qemu", "-m", "999999999", "KERNEL"];
    fake.run(&guest, &words).gives(1).mentions("Error allocating guest memory: ");
    fake.run(&guest, &[&["-H", "bhyve"], &words[..1], &words[3..]].concat()).gives(0);
    // What is not used is not among what is enforced.
    let ran = fake.run(&guest, &["--explain", "-H", "qemu", "KERNEL"]).gives(0);
    let (_, unused) = ran.out.split_once("\nnot enforced\n").expect("that section");
    assert!(unused.starts_with("  a machine of its own: KVM (not used "), "{}", ran.out);
}

#[test]
fn bhyves_commands_are_shown() {
    let guest = Guest::with_features(Code::new(), &[("storage", BLOCK)]);
    guest.file("disk", &[0; 4096]);
    let words = ["--explain", "-H", "bhyve", "--block-access:storage=read-only", "-d", "disk"];
    let ran = guest.run(&[&words[..], &["KERNEL", "it's"]].concat()).gives(0);
    assert!(!ran.out.contains("seccomp"), "QEMU is not involved: {}", ran.out);
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
