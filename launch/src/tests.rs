//! Upstream's options and messages (`docs/reference/downstream.md#options`), and input that only this
//! suite refuses.

use std::ffi::OsString;

use solo5_abi::device::SectorSize;
use solo5_abi::mft1::{DeviceType, Entry, HEADER_SIZE, Mft1, PADDING};
use solo5_abi::mft2::{self, Mft2, tag};
use solo5_abi::offer::{Feature, Features};
use zerocopy::IntoBytes;

use super::*;

fn sectors(bytes: u64) -> SectorSize {
    SectorSize::new(bytes).unwrap()
}

/// A manifest with a block device `storage` and a network interface `service`.
fn manifest() -> Vec<u8> {
    let devices = [
        Entry::RESERVED,
        Entry::device("storage", DeviceType::BlockBasic).unwrap(),
        Entry::device("service", DeviceType::NetBasic).unwrap(),
    ];
    let mut bytes = vec![0; PADDING];
    bytes.extend(1u32.to_le_bytes());
    bytes.extend((devices.len() as u32).to_le_bytes());
    assert_eq!(bytes.len(), PADDING + HEADER_SIZE);
    bytes.extend(devices.as_bytes());
    bytes
}

fn words(text: &str) -> Vec<OsString> {
    // `_` stands for a space inside an argument.
    text.split_whitespace().map(|word| word.replace('_', " ").into()).collect()
}

fn launch(text: &str) -> Result<Launch, OptionError> {
    let request = read(&words(text), &Modules::ordinary(Target::Spt)).expect("no stop");
    let bytes = manifest();
    request.check(&Mft1::parse(&bytes).unwrap(), None)
}

fn lines(text: &str) -> (Vec<String>, bool) {
    match launch(text) {
        Ok(launch) => panic!("{text:?} is read as {launch:?}"),
        Err(error) => (error.lines, error.usage),
    }
}

#[test]
fn the_first_pass_stops_where_upstream_does() {
    let modules = Modules::ordinary(Target::Spt);
    let missing = || Some(Stop::MissingKernel { advice: None });
    let advised = |advice: &str| Some(Stop::MissingKernel { advice: Some(advice.to_owned()) });
    for (text, expected) in [
        ("", missing()),
        ("--nonsense", missing()),
        ("--mem=64 --", missing()),
        ("-", missing()),
        ("--hlep", advised("there is no --hlep; did you mean --help?")),
        ("--mem=64 --verison", advised("there is no --verison; did you mean --version?")),
        ("--mem=64M", advised("write --mem=64MiB")),
        ("--help", Some(Stop::Help)),
        ("--nonsense --version --help k", Some(Stop::Version)),
        ("--nonsense --help --version k", Some(Stop::Help)),
        ("--explain=P311", Some(Stop::Explain("P311".into()))),
        ("k --help", None),
        ("-- --help", None),
    ] {
        assert_eq!(read(&words(text), &modules).err(), expected, "{text:?}");
    }
}

#[test]
fn arguments_after_the_kernel_go_to_the_guest() {
    let launch = launch("--mem=64 -- k --mem=1 -- x").unwrap();
    assert_eq!(launch.kernel, "k");
    assert_eq!(launch.arguments, words("--mem=1 -- x"));
    assert_eq!(launch.memory_mib, 64);
    assert_eq!(launch.command_line_length(), "--mem=1 -- x".len());
    let unnamed =
        read_for(OsStr::new("k"), &words("--mem=64 -- --x"), &Modules::ordinary(Target::Spt));
    assert_eq!(unnamed.launch.arguments, words("--x"));
    let unnamed =
        read_for(OsStr::new("k"), &words("--mem=64 x --mem=3"), &Modules::ordinary(Target::Spt));
    assert_eq!(unnamed.launch.arguments, words("x --mem=3"));
    assert_eq!(unnamed.launch.memory_mib, 64);
}

#[test]
fn memory_is_strict_and_takes_units() {
    for (value, expected) in
        [("1", 1), ("0064", 64), ("64MiB", 64), ("2GiB", 2048), ("17592186044415", (1 << 44) - 1)]
    {
        assert_eq!(launch(&format!("--mem={value} k")).unwrap().memory_mib, expected);
    }
    assert_eq!(launch("k").unwrap().memory_mib, memory_default_mib(Target::Spt));
    assert_eq!(launch("--mem=3 --mem=4 k").unwrap().memory_mib, 4, "the last one wins");
    for value in [
        "",
        "0",
        "-1",
        "+1",
        "2foo",
        "1.5",
        "_1",
        "64mib",
        "MiB",
        "0GiB",
        "17592186044416",
        "17179869184GiB",
    ] {
        let (lines, usage) = lines(&format!("--mem={value} k"));
        assert_eq!(lines, ["Malformed argument to --mem"], "{value:?}");
        assert!(!usage);
    }
    for (value, meant) in [
        ("64M", "64MiB"),
        ("64mb", "64MiB"),
        ("2G", "2GiB"),
        ("2gib", "2GiB"),
        ("0M", "512, or a size"),
        ("64K", "512, or a size"),
        ("M", "512, or a size"),
    ] {
        let error = launch(&format!("--mem={value} k")).unwrap_err();
        let advice = error.advice.unwrap();
        assert!(advice.contains(&format!("--mem={meant}")), "{value:?}: {advice}");
    }
}

#[test]
fn an_invalid_option_is_reported_with_usage() {
    for option in [
        "-",
        "--nonsense",
        "--mem",
        "--mem:x=3",
        "--block:storage",
        "--block:storage=",
        "--block:=x",
        "--block:sto-rage=x",
        "--block=storage",
        "--net:service",
        "--net:service=",
        "--net-mac:service=52:54:00:00:01",
        "--net-mac:service=52-54-00-00-00-01",
        "--net-mac:service=525400000001",
        "--net-mac:service=0G:54:00:00:00:01",
        "--net-mac:service=52:54:00:00:00:01zz",
        "--net-mac:service=52:54:00:00:00:01:02",
        "--net-mac:service=-1:54:00:00:00:01",
        "--net-mac:service=052:54:00:00:00:01",
        "--net-mac:nope=bad",
        "--x-exec-heaps",
        "--x-exec-heap=1",
        "--gdb",
        "--dumpcore=/tmp",
        "--without-net:service=x",
    ] {
        let (lines, usage) = lines(&format!("{option} k"));
        assert_eq!(lines, [format!("Invalid option: `{option}'")]);
        assert!(usage);
    }
    let name = "x".repeat(68);
    assert_eq!(
        lines(&format!("--block:{name}=x k")).0,
        [format!("Invalid option: `--block:{name}=x'")]
    );
}

#[test]
fn an_option_refused_for_a_reason_is_reported_with_it() {
    let block_size = "Block size must be a multiple of 2 greater than or equal 512";
    for (option, why) in [
        ("--block:nope=x", "Resource not declared in manifest: 'nope'"),
        ("--net:storage=tap100", "Resource not declared in manifest: 'storage'"),
        ("--net-mac:nope=2:0:0:0:0:1", "Resource not declared in manifest: 'nope'"),
        ("--block-sector-size:nope=3", "Resource not declared in manifest: 'nope'"),
        ("--without-net:nope", "Resource not declared in manifest: 'nope'"),
        ("--without-net:service", "Device 'service' is not optional"),
        ("--net:service=@", "Could not attach interface: @: Invalid argument"),
        ("--net:service=@x", "Could not attach interface: @x: Invalid argument"),
        ("--net:service=@3x", "Could not attach interface: @3x: Invalid argument"),
        ("--net:service=@+3", "Could not attach interface: @+3: Invalid argument"),
        ("--net:service=@-1", "Could not attach interface: @-1: Numerical result out of range"),
        (
            "--net:service=@2147483648",
            "Could not attach interface: @2147483648: Numerical result out of range",
        ),
    ] {
        let (lines, usage) = lines(&format!("{option} k"));
        assert_eq!(lines, [why.to_owned(), format!("Invalid option: `{option}'")]);
        assert!(!usage, "the reason replaces usage");
    }
    for size in [
        "0", "256", "511", "513", "521", "65536", "-512", "0x200", "66048", "-64512", "512abc",
        "+512", "_512",
    ] {
        let (lines, _) = lines(&format!("--block-sector-size:storage={size} k"));
        assert_eq!(lines[0], block_size, "{size}");
    }
}

#[test]
fn advice_says_what_is_wrong_and_how_to_mend_it() {
    for (options, advice) in [
        ("--net:storage=tap100", "'storage' is a block device: use --block:storage=PATH"),
        ("--block:service=d", "'service' is a network: use --net:service=TAP"),
        ("--net:servce=tap100", "no network is called 'servce'; did you mean 'service'?"),
        ("--block-access:Storage=read-only", "no block device is called 'Storage'; did you mean"),
        ("--without-net:service", "attach it with --net:service=TAP"),
        ("--net:quux=t", "no network is called 'quux'; there is 'service'"),
        ("--block-sector-size:storage=1000", "a sector size is a power of two from 512 to 32768"),
        ("--blok:storage=d", "there is no --blok; did you mean --block?"),
        ("--net=tap100", "write it as in usage:    --net:NAME=IFACE | @NN"),
        ("--mem=lots", "write a number of MiB, such as --mem=512, or a size"),
    ] {
        let error = launch(&format!("{options} k")).unwrap_err();
        let told = error.advice.unwrap_or_default();
        assert!(told.starts_with(advice), "{options}: {told}");
    }
    assert_eq!(launch("--frobnicate k").unwrap_err().advice, None);
    let launch = launch("--net:service=a --block:storage=b k --net:x=t").unwrap();
    let expected =
        "'--net:x=t' follows the image, so it is the guest's; options come before the image";
    assert_eq!(launch.misplaced().as_deref(), Some(expected));
}

/// As upstream, `-m 64 k` starts the unikernel `64`. What was meant is said if `64` is none.
#[test]
fn a_value_that_is_a_word_of_its_own_is_advised_on() {
    let advice = |text: &str, modules: &Modules| {
        let request = read(&words(text), modules).expect("no stop");
        request.advice_on_kernel().map(str::to_owned)
    };
    let spt = Modules::ordinary(Target::Spt);
    for (text, expected) in [
        ("-m 64 k", Some("if '64' is the value of -m, write --mem=64")),
        ("--mem 64 k", Some("if '64' is the value of --mem, write --mem=64")),
        (
            "--mem=2 --policy p.yaml k",
            Some("if 'p.yaml' is the value of --policy, write --policy=p.yaml"),
        ),
        (
            "--net:service tap0 k",
            Some("if 'tap0' is the value of --net:service, write --net:service=tap0"),
        ),
        ("--label a=b k", Some("if 'a=b' is the value of --label, write --label=a=b")),
        ("-z x k", Some("'x' is taken as the unikernel, and -z in front of it is a wrong option")),
        (
            "-d disk k",
            Some("'disk' is taken as the unikernel, and -d in front of it is a wrong option"),
        ),
        (
            "--mem k",
            Some("'k' is taken as the unikernel, and --mem in front of it is a wrong option"),
        ),
        ("--mem=2 k 64", None),
        ("--explain k", None),
        ("-m -- k", None),
        ("k", None),
    ] {
        assert_eq!(advice(text, &spt).as_deref(), expected, "{text}");
    }
    // Its short options are words of their own, its long ones are not.
    let virtio = Modules::ordinary(Target::Virtio);
    assert_eq!(advice("-m 64 -d disk k", &virtio), None);
    assert!(advice("--disk disk k", &virtio).is_some_and(|advice| advice.contains("--disk=disk")));
}

#[test]
fn a_short_option_is_answered_with_the_long_one() {
    for (option, advice) in [
        ("-m64", Some("there is no -m64; write --mem=64")),
        ("-m", Some("there is no -m; write --mem=VALUE")),
        ("-q", Some("-q is an option of solo5-virtio-run")),
        ("-Mq35", Some("-Mq35 is an option of solo5-virtio-run")),
        ("-z", None),
    ] {
        let error = launch(&format!("{option} k")).unwrap_err();
        assert_eq!(error.lines, [format!("Invalid option: `{option}'")]);
        assert_eq!((error.advice.as_deref(), error.usage), (advice, true), "{option}");
    }
}

/// A mistyped descriptor is not the name of a file to make.
#[test]
fn a_report_goes_to_no_file_that_looks_like_a_descriptor() {
    for value in ["-1", "+3", "3_", "_3"] {
        let error = launch(&format!("--report={value} k")).unwrap_err();
        assert_eq!(error.lines, ["Malformed argument to --report"]);
        let advice = error.advice.unwrap();
        assert!(advice.ends_with(&format!("write ./{}", value.replace('_', " "))), "{advice}");
    }
    for value in ["./-1", "3a", "-", "--1", "1.5"] {
        let Err(error) = launch(&format!("--report={value} k")) else { continue };
        panic!("{value}: {error}");
    }
}

#[test]
fn a_malformed_value_is_reported_in_one_line_without_usage() {
    for (option, name) in [
        ("--policy=", "--policy"),
        ("--policy=@x", "--policy"),
        ("--label=key", "--label"),
        ("--label==value", "--label"),
        ("--label=k!=value", "--label"),
        ("--format=xml", "--format"),
        ("--report=", "--report"),
        ("--block-access:storage=rw", "--block-access"),
        ("--block-fd:storage=x", "--block-fd"),
    ] {
        let (lines, usage) = lines(&format!("{option} k"));
        assert_eq!(lines, [format!("Malformed argument to {name}")]);
        assert!(!usage);
    }
}

#[test]
fn a_wrong_list_of_features_is_named() {
    for (value, advice) in [
        ("stak", "there is no feature 'stak'; did you mean 'stack'?"),
        ("flush,sed", "there is no feature 'sed'; did you mean 'seed'?"),
        ("none,seed", "'none' stands alone: write --offer=none, or leave it out of the list"),
        ("seed,all", "'all' stands alone: write --offer=all, or leave it out of the list"),
        ("al", "there is no feature 'al'; did you mean 'all'?"),
        ("stack,_seed", "names have commas between and no blanks: write --offer=stack,seed"),
        ("stack_seed", "names have commas between and no blanks: write --offer=stack,seed"),
        (
            "stack;seed",
            "there is no feature 'stack;seed'; the features are stack, transfers, flush, seed",
        ),
        ("", "write all, none, or names with commas between: stack,transfers,flush,seed"),
        ("seed,", "write all, none, or names with commas between: stack,transfers,flush,seed"),
    ] {
        let error = launch(&format!("--offer={value} k")).unwrap_err();
        assert_eq!(error.lines, ["Malformed argument to --offer"], "{value:?}");
        assert_eq!(error.advice.as_deref(), Some(advice), "{value:?}");
        assert!(!error.usage);
    }
    let offer = |options| launch(options).unwrap().offer.to_string();
    assert_eq!(offer("--offer=seed,stack k"), "stack, seed");
    assert_eq!(offer("--offer=none --offer=flush k"), "flush", "the last one counts");
}

#[test]
fn the_first_wrong_argument_is_reported() {
    assert_eq!(lines("--net:nope=t --bogus k").0[0], "Resource not declared in manifest: 'nope'");
    assert_eq!(lines("--bogus --net:nope=t k").0, ["Invalid option: `--bogus'"]);
    assert_eq!(lines("--mem=x --net:nope=t k").0, ["Malformed argument to --mem"]);
    let error = launch("--mem=3 --net:nope=t k").unwrap_err();
    assert_eq!(error.argument, 1);
}

#[test]
fn a_device_is_given_once() {
    for text in ["--net:service=a --net:service=b k", "--block:storage=a --block-fd:storage=5 k"] {
        let (lines, usage) = lines(text);
        assert!(lines[0].ends_with("is given more than once"), "{lines:?}");
        assert!(!usage);
    }
    assert_eq!(lines("--label=a=1 --label=a=2 k").0[0], "Label 'a' is given more than once");
}

#[test]
fn an_optional_device_is_attached_or_declined() {
    use solo5_abi::mft2::{DESCRIPTOR_MAX, DEVICE_OPTIONAL, Writer, tag};
    let bytes = manifest();
    let manifest = Mft1::parse(&bytes).unwrap();
    let mut out = [0; DESCRIPTOR_MAX];
    let mut writer = Writer::new(&mut out, 3).unwrap();
    writer.push(1, tag::DEVICE_FLAGS, &DEVICE_OPTIONAL.to_le_bytes()).unwrap();
    let length = writer.finish();
    let properties = Mft2::parse(&out[..length], &manifest).unwrap();
    let check = |text: &str| {
        let request = read(&words(text), &Modules::ordinary(Target::Spt)).unwrap();
        request.check(&manifest, Some(&properties))
    };
    let declined = check("--without-block:storage --net:service=t k").unwrap();
    assert!(declined.unattached(&manifest).is_empty());
    let silent = check("--net:service=t k").unwrap();
    assert_eq!(silent.unattached(&manifest).len(), 2, "silence declines nothing");
    let advice = silent.attaching(&manifest, Some(&properties)).unwrap();
    assert_eq!(advice, "add --block:storage=PATH or --without-block:storage");
    let both = check("--block:storage=a --without-block:storage k").unwrap_err();
    assert_eq!(both.lines[0], "Device 'storage' is given more than once");
}

#[test]
fn settings_may_precede_or_follow_their_device() {
    let launch = launch(
        "--net-mac:service=2:0:0:0:0:a --net:service=tap_7 --block:storage=/srv/a_b.img \
         --block-sector-size:storage=4096 --block-access:storage=read-only k",
    )
    .unwrap();
    assert_eq!(
        launch.nets,
        [Net {
            name: "service".into(),
            interface: Interface::Tap("tap 7".into()),
            mac: Some(Mac([2, 0, 0, 0, 0, 10])),
            index: 2,
            mtu_minimum: None,
            mtu: None,
        }]
    );
    assert_eq!(
        launch.blocks,
        [Block {
            name: "storage".into(),
            backing: Backing::Path("/srv/a b.img".into()),
            sector_size: sectors(4096),
            access: Access::ReadOnly,
            index: 1,
            sector_size_exact: None,
            capacity_minimum: None,
            flush: false,
        }]
    );
    let bytes = manifest();
    assert!(launch.unattached(&Mft1::parse(&bytes).unwrap()).is_empty());
}

#[test]
fn the_remaining_options_are_read() {
    let launch = launch(
        "--net:service=@5 --net-mac:service=00:00:00:00:00:00 --block-fd:storage=6 --x-exec-heap \
         --policy=a.yaml --policy=@7 --require-policy --label=tenant=a=b --label=x= --explain \
         --format=json --report=8 k",
    )
    .unwrap();
    assert_eq!(launch.nets[0].interface, Interface::Fd(5));
    assert_eq!(launch.nets[0].mac, None, "all zero means random");
    assert_eq!(launch.blocks[0].backing, Backing::Fd(6));
    assert_eq!(launch.policies, [FileOrFd::Path("a.yaml".into()), FileOrFd::Fd(7)]);
    assert_eq!(launch.labels[0].value, "a=b");
    assert_eq!(launch.labels[1].value, "");
    assert!(launch.exec_heap && launch.require_policy && launch.explain);
    assert_eq!((launch.format, launch.report), (Format::Json, Some(FileOrFd::Fd(8))));
}

#[test]
fn a_report_is_known_before_options_are_checked() {
    let request =
        read(&words("--bogus --report=out.json k"), &Modules::ordinary(Target::Spt)).unwrap();
    assert_eq!(request.report(), Some(&FileOrFd::Path("out.json".into())));
    assert_eq!(request.kernel(), "k");
}

#[test]
fn modules_decide_which_options_exist() {
    let read_as = |text: &str, modules: Modules| read(&words(text), &modules).unwrap();
    let hvt = read_as(
        "--user=65534:100 --chroot=/var/empty --x-exec-heap k",
        Modules::ordinary(Target::Hvt),
    );
    assert_eq!(hvt.error, None);
    let user = User { uid: 65534, gid: 100 };
    assert_eq!(hvt.launch.user, Some(user));
    assert_eq!(hvt.launch.chroot, Some("/var/empty".into()));
    for (option, target) in [
        ("--user=1:1", Target::Spt),
        ("--chroot=/d", Target::Spt),
        ("--x-exec-heap", Target::Virtio),
    ] {
        let other = read_as(&format!("{option} k"), Modules::ordinary(target));
        assert!(other.error.is_some(), "{option}");
    }
    for user in ["", "1", "1:", ":1", "1:2:3", "root:root", "4294967295:1", "-1:1"] {
        let wrong = read_as(&format!("--user={user} k"), Modules::ordinary(Target::Hvt));
        let error = wrong.error.expect(user);
        assert_eq!(error.lines, ["Malformed argument to --user"]);
    }
    let without = Modules { net: false, ..Modules::ordinary(Target::Spt) };
    assert!(read_as("--net:service=tap k", without).error.is_some());
    let debug = read_as("--gdb-port=99 --gdb --dumpcore=/d k", Modules::debug(Target::Hvt));
    assert_eq!(debug.error, None);
    assert_eq!(debug.launch.gdb, Some(Gdb::Port(99)));
    let socket = read_as("--gdb --gdb-socket=/run/gdb k", Modules::debug(Target::Hvt));
    assert_eq!(socket.launch.gdb, Some(Gdb::Socket("/run/gdb".into())));
    assert_eq!(debug.launch.dumpcore, Some("/d".into()));
    let unused = read_as("--gdb-port=99 k", Modules::debug(Target::Hvt));
    assert_eq!(unused.launch.gdb, None, "a port alone asks for nothing");
}

#[test]
fn devices_left_out_are_listed_with_upstreams_text() {
    let bytes = manifest();
    let manifest = Mft1::parse(&bytes).unwrap();
    assert_eq!(
        launch("k").unwrap().unattached(&manifest),
        [
            "Device 'storage' of type BLOCK_BASIC declared but not attached.",
            "Device 'service' of type NET_BASIC declared but not attached.",
            "All declared devices must be attached. See --help for syntax.",
        ]
    );
    let advice = launch("k").unwrap().attaching(&manifest, None);
    assert_eq!(advice.as_deref(), Some("add --block:storage=PATH, --net:service=TAP"));
    let all = launch("--net:service=tap --block:storage=disk k").unwrap();
    assert_eq!(all.attaching(&manifest, None), None);
}

/// A properties note with these records for the block device `storage`.
fn properties(records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut note = vec![0; mft2::DESCRIPTOR_MAX];
    let mut writer = mft2::Writer::new(&mut note, 3).unwrap();
    for (tag, value) in records {
        writer.push(1, *tag, value).unwrap();
    }
    let length = writer.finish();
    note.truncate(length);
    note
}

fn resolved(text: &str, records: &[(u16, &[u8])]) -> Block {
    let bytes = manifest();
    let manifest = Mft1::parse(&bytes).unwrap();
    let note = properties(records);
    let note = Mft2::parse(&note, &manifest).unwrap();
    let request = read(&words(text), &Modules::ordinary(Target::Spt)).expect("no stop");
    request.check(&manifest, Some(&note)).unwrap().blocks.remove(0)
}

#[test]
fn a_block_device_gets_the_lesser_access() {
    let read_only = mft2::DEVICE_READ_ONLY.to_le_bytes();
    let both = [(tag::DEVICE_FLAGS, &read_only[..])];
    let plain = "--block:storage=x k";
    assert_eq!(resolved(plain, &[]).access, Access::ReadWrite);
    assert_eq!(resolved(plain, &both).access, Access::ReadOnly);
    let narrow = "--block:storage=x --block-access:storage=read-only k";
    assert_eq!(resolved(narrow, &[]).access, Access::ReadOnly);
    let wide = "--block:storage=x --block-access:storage=read-write k";
    assert_eq!(resolved(wide, &both).access, Access::ReadOnly);
}

#[test]
fn the_manifests_sector_size_is_the_default() {
    let with = |text, size: u32| {
        let block = resolved(text, &[(tag::SECTOR_SIZE, &size.to_le_bytes())]);
        (u32::from(block.sector_size.bytes()), block.sector_size_exact)
    };
    let (plain, asked) =
        ("--block:storage=x k", "--block:storage=x --block-sector-size:storage=1024 k");
    assert_eq!(resolved(plain, &[]).sector_size, SectorSize::DEFAULT);
    assert_eq!(resolved(asked, &[]).sector_size, sectors(1024));
    assert_eq!(with(plain, 4096), (4096, Some(4096)));
    assert_eq!(with(asked, 4096), (1024, Some(4096)), "for the tender to refuse");
    for odd in [0, 520, 65536] {
        assert_eq!(with(plain, odd), (512, Some(odd)), "for the tender to refuse");
    }
}

#[test]
fn usage_begins_with_upstreams_lines() {
    let spt = usage("solo5-spt", &Modules::ordinary(Target::Spt));
    assert!(spt.starts_with(
        "usage: solo5-spt [ CORE OPTIONS ] [ -- ] KERNEL [ ARGS ]\n\
         KERNEL is the filename of the unikernel to run.\n\
         ARGS are optional arguments passed to the unikernel.\n\
         Core options:\n  [ --mem=512 ] (guest memory in MB)\n    --help (display this help)\n"
    ));
    assert!(spt.contains(
        "\nCompiled-in modules: core net block \nCompiled-in module options:\n    --x-exec-heap ("
    ));
    let hvt = usage("solo5-hvt-debug", &Modules::debug(Target::Hvt));
    assert!(hvt.contains("\nCompiled-in modules: core block net gdb dumpcore \n"));
    assert!(hvt.contains("    --version (display version information)\n"));
    assert!(hvt.contains("--user=UID:GID") && !spt.contains("--user"));
}

#[test]
fn an_hvt_guest_gets_whole_granules_and_room_for_its_ring() {
    let given = |target, mib: u64, device: &str| {
        let launch = launch(&format!("--mem={mib} {device} k")).unwrap();
        launch.guest_memory(target).map(|bytes| bytes >> 20)
    };
    for (asked, guest) in [(1, 2), (2, 2), (3, 2), (4, 4), (5, 4), (512, 512), (4097, 4096)] {
        assert_eq!(given(Target::Hvt, asked, ""), Ok(guest), "{asked}");
        assert_eq!(given(Target::Spt, asked, ""), Ok(asked));
    }
    for (asked, guest) in [(2, 2), (32, 32), (4094, 4094), (4096, 4094)] {
        assert_eq!(given(Target::Hvt, asked, "--net:service=tap"), Ok(guest), "{asked}");
    }
    let too_much = TooMuchMemory { bytes: 4098 << 20, most: 4096 << 20 };
    assert_eq!(given(Target::Hvt, 4099, ""), Err(too_much));
    assert!(given(Target::Hvt, (1 << 44) - 1, "--net:service=tap").is_err());
}

#[test]
fn memory_that_is_advised_is_enough() {
    const GIB: u64 = 1 << 30;
    for (target, devices, least) in [
        (Target::Spt, "", 1),
        (Target::Spt, "", (1 << 20) + 1),
        (Target::Spt, "", 1 << 46),
        (Target::Hvt, "", 1),
        (Target::Hvt, "", 33 << 20),
        (Target::Hvt, "", 4 * GIB),
        (Target::Hvt, "--net:service=tap", 4 * GIB - (2 << 20)),
    ] {
        let mib = launch(&format!("{devices} k")).unwrap().enough_memory_mib(target, least);
        let mib = mib.unwrap_or_else(|| panic!("{least}"));
        let launch = launch(&format!("--mem={mib} {devices} k")).unwrap();
        assert!(launch.guest_memory(target).unwrap() >= least, "{least}");
        assert!(mib == 1 || (mib - 2) << 20 < least, "{least}: {mib} is more than needed");
    }
    for (target, devices, least) in [
        (Target::Spt, "", (1 << 46) + 1),
        (Target::Spt, "", u64::MAX),
        (Target::Hvt, "", 4 * GIB + 1),
        (Target::Hvt, "--net:service=tap", 4 * GIB - (2 << 20) + 1),
    ] {
        let launch = launch(&format!("{devices} k")).unwrap();
        assert_eq!(launch.enough_memory_mib(target, least), None, "{least}");
    }
}

#[test]
fn what_the_manifest_requires_of_a_launch_names_its_option() {
    let mut note = vec![0; mft2::DESCRIPTOR_MAX];
    let mut writer = mft2::Writer::new(&mut note, 3).unwrap();
    let records: [(u16, u16, &[u8]); 3] = [
        (0, tag::MEMORY_MINIMUM, &(3u64 << 20).to_le_bytes()),
        (0, tag::FLAGS, &mft2::FLAG_EXECUTABLE_HEAP.to_le_bytes()),
        (1, tag::SECTOR_SIZE, &4096u32.to_le_bytes()),
    ];
    for (device, tag, value) in records {
        writer.push(device.into(), tag, value).unwrap();
    }
    let length = writer.finish();
    let bytes = manifest();
    let manifest = Mft1::parse(&bytes).unwrap();
    let note = Mft2::parse(&note[..length], &manifest).unwrap();
    let unmet = |text: &str, have: u64| -> Vec<String> {
        let request = read(&words(text), &Modules::ordinary(Target::Hvt)).expect("no stop");
        let launch = request.check(&manifest, Some(&note)).unwrap();
        let unmet = launch.unmet(Target::Hvt, have, Some(&note));
        assert_eq!(launch.unmet(Target::Hvt, 0, None), []);
        unmet.iter().map(ToString::to_string).collect()
    };
    let block = "--block:storage=x";
    assert_eq!(unmet(&format!("{block} --x-exec-heap k"), 3 << 20), [""; 0]);
    assert_eq!(
        unmet(&format!("{block} --block-sector-size:storage=512 k"), 2 << 20),
        [
            "the manifest asks for at least 3 MiB of memory, but the guest would get 2 MiB; add --mem=4",
            "the manifest asks for an executable heap; add --x-exec-heap if you trust the unikernel \
             with one",
            "the manifest asks for sectors of 4096 bytes for 'storage', not 512; leave \
             --block-sector-size:storage out, or give 4096",
        ]
    );
}

/// Different bytes stay different in messages.
#[test]
fn options_that_are_no_utf_8_are_shown_byte_by_byte() {
    let invalid = |word: &[u8]| {
        let words = [OsStr::from_bytes(word).to_owned(), OsString::from("k")];
        let request = read(&words, &Modules::ordinary(Target::Spt)).expect("no stop");
        let bytes = manifest();
        request.check(&Mft1::parse(&bytes).unwrap(), None).unwrap_err().lines
    };
    assert_eq!(invalid(b"--\xff"), ["Invalid option: `--\\xff'"]);
    assert_eq!(
        invalid(b"--net:service=@\xfe")[0],
        "Could not attach interface: @\\xfe: Invalid argument"
    );
    let words = [OsStr::from_bytes(b"--explain=\xff").to_owned()];
    let stop = read(&words, &Modules::ordinary(Target::Spt)).unwrap_err();
    assert_eq!(stop, Stop::Explain("\\xff".into()));
}

#[test]
fn what_is_offered_is_known_and_permitted() {
    let features = |known, needs, permitted| {
        let mut launch = launch("k").expect("a launch");
        launch.offer = permitted;
        launch.features(known, needs)
    };
    let (all, none) = (Features::ALL, Features::NONE);
    assert_eq!(features(none, all, all), none, "old bindings");
    assert_eq!(features(all, all, none), none, "switched off");
    assert_eq!(features(all, all, all), all);
    assert_eq!(features(all, none, all), Features::of(&[Feature::Transfers]), "no needs");
    let flush = Features::of(&[Feature::Flush]);
    assert_eq!(features(flush, all, all), flush);
}
