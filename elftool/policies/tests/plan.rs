//! Conflicts between the unikernels of a plan, and the words that start them.

use std::ffi::OsString;

use solo5_abi::Target;
use solo5_launch::{Access, Modules, read_for};
use solo5_policies::plan::{self, Identity, Plan, Sums};

fn plan(text: &str) -> Plan {
    let text = format!("type: solo5.plan\nversion: 1\n{text}");
    plan::read("p.yaml", text.as_bytes()).unwrap_or_else(|found| panic!("{found:?}"))
}

/// The sums, with the memory that is asked for.
fn sums(plan: &Plan) -> Sums {
    plan.sums(|index| plan.unikernels[index].memory.value)
}

/// Conflicts as people see them, with the access that the plan asks for. Paths below `/link` lead
/// to the same file as without `/link`; those below `/gone` cannot be looked up.
fn conflicts(plan: &Plan) -> Vec<String> {
    let access = |index: usize, number: usize| plan.unikernels[index].blocks[number].access;
    let identity = |path: &str| {
        let path = path.strip_prefix("/link").unwrap_or(path);
        let number = path.bytes().map(u64::from).sum();
        (!path.starts_with("/gone")).then_some(Identity::File(1, number))
    };
    let found = plan.conflicts(access, identity, sums(plan));
    found.iter().map(solo5_report::line).collect()
}

#[test]
fn a_block_device_is_written_once() {
    let text = "unikernels:\n\
        - { name: a, image: x, memory: 1MiB, block: { d: { path: /srv/1 } } }\n\
        - { name: b, image: x, memory: 1MiB, block: { d: { path: /link/srv/1 } } }\n\
        - { name: c, image: x, memory: 1MiB, block: { d: { path: /srv/1, access: read-only } } }\n\
        - { name: d, image: x, memory: 1MiB, block: { d: { path: /srv/2 }, e: { path: /srv/2 } } }\n";
    let help = "give each its own, or all but one `access: read-only`";
    assert_eq!(
        conflicts(&plan(text)),
        [
            format!(
                "p.yaml:5:58: error[P401]: '/srv/1' is written by 'd' of a and by 'd' of b; {help}"
            ),
            "p.yaml:6:58: warning[P402]: '/srv/1' is written by 'd' of a while 'd' of c reads it; what \
             is read may be half written; give the reader a copy"
                .to_owned(),
            format!(
                "p.yaml:7:79: error[P401]: '/srv/2' is written by 'd' of d and by 'e' of d; {help}"
            ),
        ]
    );
    // The reader may come first. Without a writer, several readers are no conflict.
    let text = "unikernels:\n\
        - { name: a, image: x, memory: 1MiB, block: { d: { path: /srv/1, access: read-only } } }\n\
        - { name: b, image: x, memory: 1MiB, block: { d: { path: /srv/1, access: read-only } } }\n";
    assert_eq!(conflicts(&plan(text)), Vec::<String>::new());
    let text = format!(
        "{text}- {{ name: c, image: x, memory: 1MiB, block: {{ d: {{ path: /link/srv/1 }} }} }}\n"
    );
    let found = conflicts(&plan(&text));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("P402") && found[1].contains("'d' of b reads it"));
    // Paths that cannot be looked up are compared as text.
    let text = "unikernels:\n\
        - { name: a, image: x, memory: 1MiB, block: { d: { path: /gone/1 } } }\n\
        - { name: b, image: x, memory: 1MiB, block: { d: { path: /gone/2 }, e: { path: /gone/1 } } }\n";
    let found = conflicts(&plan(text));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("'/gone/1'"));
}

#[test]
fn a_read_only_device_of_the_image_is_not_written() {
    let text = "unikernels:\n\
        - { name: a, image: x, memory: 1MiB, block: { d: { path: /srv/1 } } }\n\
        - { name: b, image: x, memory: 1MiB, block: { d: { path: /srv/1 } } }\n";
    let found = plan(text).conflicts(|_, _| Access::ReadOnly, |_| None, Sums::default());
    assert!(found.is_empty());
}

#[test]
fn a_tap_is_attached_once() {
    let text = "unikernels:\n\
        - { name: a, image: x, memory: 1MiB, net: { s: { tap: tap0 }, t: { tap: tap1 } } }\n\
        - { name: b, image: x, memory: 1MiB, net: { s: { tap: tap1 } } }\n";
    assert_eq!(
        conflicts(&plan(text)),
        [
            "p.yaml:5:55: error[P403]: tap 'tap1' is attached to 't' of a and to 's' of b; make a tap for \
          each, and put both on one bridge"
        ]
    );
}

/// Two ways to write an address are one address.
#[test]
fn an_address_is_given_once() {
    let text = "unikernels:\n\
        - { name: a, image: x, memory: 1MiB, net: { s: { tap: t0, mac: \"2:0:0:0:0:A\" }, t: { tap: t1 } } }\n\
        - { name: b, image: x, memory: 1MiB, net: { s: { tap: t2, mac: \"02:00:00:00:00:0a\" } } }\n\
        - { name: c, image: x, memory: 1MiB, net: { s: { tap: t3 } } }\n";
    assert_eq!(
        conflicts(&plan(text)),
        [
            "p.yaml:5:64: warning[P410]: 02:00:00:00:00:0a is the address of 's' of a and of 's' of b; give \
          each its own, or none for a random one"
        ]
    );
}

#[test]
fn sums_stay_within_limits() {
    let unikernels = "unikernels:\n\
        - { name: a, image: x, memory: 3GiB, net: { s: { tap: tap0 } } }\n\
        - { name: b, image: x, memory: 1GiB, block: { s: { path: /srv/1 }, t: { path: /srv/2 } } }\n";
    let expected = Sums { unikernels: 2, memory: 4 << 30, net: 1, block: 2 };
    let fits = format!("limits: {{ unikernels: 2, memory: 4GiB, net: 1, block: 2 }}\n{unikernels}");
    assert_eq!(sums(&plan(&fits)), expected);
    assert_eq!(conflicts(&plan(&fits)), Vec::<String>::new());
    let help = "take something out of the plan, or raise the limit";
    let less = format!("limits: {{ unikernels: 1, memory: 3GiB, net: 0, block: 1 }}\n{unikernels}");
    assert_eq!(
        conflicts(&plan(&less)),
        [
            format!("p.yaml:3:23: error[P407]: unikernels: 2 in sum, at most 1 wanted; {help}"),
            format!("p.yaml:3:34: error[P404]: memory: 4GiB in sum, at most 3GiB wanted; {help}"),
            format!(
                "p.yaml:3:45: error[P405]: network interfaces: 1 in sum, at most 0 wanted; {help}"
            ),
            format!("p.yaml:3:55: error[P406]: block devices: 2 in sum, at most 1 wanted; {help}"),
        ]
    );
    // The sum of too much memory does not wrap.
    let large = "unikernels:\n\
        - { name: a, image: x, memory: 17179869183GiB }\n\
        - { name: b, image: x, memory: 17179869183GiB }\n";
    assert_eq!(sums(&plan(large)).memory, u64::MAX);
}

/// A tender understands the command line as the plan means it.
#[test]
fn words_are_a_tenders_command_line() {
    let text = "require-policy: true\nunikernels:\n\
        - name: a\n  image: x\n  memory: 2GiB\n  executable-heap: true\n  labels: { tenant: \"a b\" }\n\
        \x20 arguments: [\"--debug\", \"--\", \"\"]\n\
        \x20 net: { s: { tap: \"tap 0\", mac: \"2:0:0:0:0:a\" } }\n\
        \x20 block: { d: { path: \"/srv/ü\", access: read-only, sector-size: 4096 } }\n\
        \x20 without-net: [t]\n";
    let plan = plan(text);
    let words = plan.words(&plan.unikernels[0]);
    let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    let request = read_for("x".as_ref(), &words, &Modules::ordinary(Target::Spt));
    let devices = [
        ("s", solo5_abi::mft1::DeviceType::NetBasic),
        ("t", solo5_abi::mft1::DeviceType::NetBasic),
        ("d", solo5_abi::mft1::DeviceType::BlockBasic),
    ];
    let mut mft1 = vec![0; solo5_abi::mft1::note_size(devices.len())];
    solo5_abi::mft1::encode(devices.into_iter(), &mut mft1).expect("a manifest");
    let note = solo5_abi::note::Notes::new(&mft1).next().unwrap().unwrap();
    let manifest = solo5_abi::mft1::Mft1::parse(note.descriptor).unwrap();
    // Only the second network is optional.
    let mut mft2 = vec![0; solo5_abi::mft2::DESCRIPTOR_MAX];
    let mut writer = solo5_abi::mft2::Writer::new(&mut mft2, devices.len() + 1).unwrap();
    let optional = solo5_abi::mft2::DEVICE_OPTIONAL.to_le_bytes();
    writer.push(2, solo5_abi::mft2::tag::DEVICE_FLAGS, &optional);
    let length = writer.finish();
    let properties = solo5_abi::mft2::Mft2::parse(&mft2[..length], &manifest).unwrap();
    let launch = request.check(&manifest, Some(&properties)).unwrap();
    assert_eq!(launch.unattached(&manifest), Vec::<String>::new());
    assert!(launch.require_policy);
    assert_eq!(launch.memory_mib, 2048);
    assert!(launch.exec_heap);
    assert_eq!(launch.arguments, ["--debug", "--", ""]);
    assert_eq!(launch.labels[0].value, "a b");
    assert_eq!(launch.nets[0].mac.unwrap().to_string(), "02:00:00:00:00:0a");
    assert_eq!(launch.blocks[0].access, Access::ReadOnly);
    assert_eq!(launch.blocks[0].sector_size.bytes(), 4096);
    assert_eq!(launch.without_nets, ["t"]);
}
