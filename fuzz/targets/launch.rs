//! The command line of a tender. In an input, NUL separates arguments; it is the one byte that no
//! argument can hold.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;

use solo5_abi::Target as Abi;
use solo5_abi::mft1::{DeviceType, Mft1, is_name};
use solo5_abi::mft2::{DEVICE_OPTIONAL, Mft2, tag};
use solo5_abi::note::Notes;
use solo5_image::testing;
use solo5_launch::{self as launch, Launch, Modules, Request, Stop};
use solo5_policy::Asked;

use crate::{Target, cases};

pub(crate) const TARGET: Target = Target { name: "launch", run, seeds, words };

/// The devices that the image declares, all of them optional.
const DEVICES: [(&str, DeviceType); 8] = [
    ("service", DeviceType::NetBasic),
    ("management", DeviceType::NetBasic),
    ("a", DeviceType::NetBasic),
    ("b", DeviceType::NetBasic),
    ("storage", DeviceType::BlockBasic),
    ("data", DeviceType::BlockBasic),
    ("a", DeviceType::BlockBasic),
    ("b", DeviceType::BlockBasic),
];

/// The image's two notes of a manifest.
static NOTES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let optional = DEVICE_OPTIONAL.to_le_bytes();
    let devices = 1..=DEVICES.len() as u32;
    let records: Vec<(u32, u16, &[u8])> =
        devices.map(|device| (device, tag::DEVICE_FLAGS, &optional[..])).collect();
    [testing::manifest_note(&DEVICES), testing::properties_note(DEVICES.len() + 1, &records)]
});

/// The tenders.
pub(crate) const MODULES: [Modules; 4] = [
    Modules::ordinary(Abi::Spt),
    Modules::ordinary(Abi::Hvt),
    Modules::debug(Abi::Hvt),
    Modules { net: false, block: false, ..Modules::ordinary(Abi::Spt) },
];

/// The manifest of the image that is launched.
pub(crate) fn manifest() -> (Mft1<'static>, Mft2<'static>) {
    let [first, second] = &*NOTES;
    let descriptor = |note: &'static [u8]| {
        Notes::new(note).next().expect("a note").expect("a sound one").descriptor
    };
    let first = Mft1::parse(descriptor(first)).expect("our own manifest");
    let second = Mft2::parse(descriptor(second), &first).expect("our own properties");
    (first, second)
}

/// The arguments in an input.
pub(crate) fn arguments(data: &[u8]) -> Vec<OsString> {
    let parts = data.split(|byte| *byte == 0).filter(|_| !data.is_empty());
    parts.map(|part| OsStr::from_bytes(part).to_owned()).collect()
}

fn run(data: &[u8]) -> bool {
    let arguments = arguments(data);
    let (first, second) = manifest();
    let mut taken = false;
    for modules in MODULES {
        let request = match launch::read(&arguments, &modules) {
            Ok(request) => request,
            Err(stop) => {
                let options =
                    arguments.iter().all(|argument| argument.as_bytes().starts_with(b"-"));
                assert!(options || !matches!(stop, Stop::MissingKernel { .. }));
                continue;
            }
        };
        agree(&arguments, &request, &modules);
        assert!(request.descriptors().all(|descriptor| descriptor >= 0));
        for properties in [None, Some(&second)] {
            match request.clone().check(&first, properties) {
                Ok(launch) => {
                    check(&launch, &modules);
                    let _ = launch.unattached(&first);
                    let asked = Asked::new(launch, modules.target, properties);
                    assert!(asked.launch.memory_asked() >= 1 << 20);
                    assert_eq!(asked.manifest_version, 1 + u64::from(properties.is_some()));
                    taken = true;
                }
                Err(fault) => {
                    assert!(
                        fault.argument < arguments.len() && !fault.lines.is_empty(),
                        "{fault:?}"
                    );
                }
            }
        }
    }
    taken
}

/// `solo5-elftool check KERNEL -- OPTIONS` reads what a tender reads.
fn agree(arguments: &[OsString], request: &Request, modules: &Modules) {
    let is_option = |argument: &OsString| argument.as_bytes().starts_with(b"-") && argument != "--";
    let count = arguments.iter().take_while(|argument| is_option(argument)).count();
    let (options, rest) = arguments.split_at(count);
    let operands = match rest.split_first() {
        Some((first, operands)) if first == "--" => operands,
        _ => rest,
    };
    let (kernel, guest) = operands.split_first().expect("a request has a kernel");
    assert_eq!(request.kernel(), kernel);
    let dashes = [OsString::from("--")];
    let other: Vec<_> = options.iter().chain(&dashes).chain(guest).cloned().collect();
    let request = request.clone().of_a_known_kernel();
    assert_eq!(launch::read_for(kernel, &other, modules), request);
}

/// Asserts what a tender relies on.
fn check(launch: &Launch, modules: &Modules) {
    assert!((1..1 << 44).contains(&launch.memory_mib));
    assert!(modules.target == Abi::Hvt || launch.user.is_none() && launch.chroot.is_none());
    // The largest number means "no change" to the kernel.
    let own = launch.user.is_none_or(|user| user.uid < u32::MAX && user.gid < u32::MAX);
    assert!(own && launch.chroot.as_ref().is_none_or(|folder| !folder.is_empty()));
    assert!(modules.gdb || launch.gdb.is_none());
    assert!(modules.dumpcore || launch.dumpcore.is_none());
    assert!(modules.net || launch.nets.is_empty() && launch.without_nets.is_empty());
    assert!(modules.block || launch.blocks.is_empty() && launch.without_blocks.is_empty());
    let nets = launch.nets.iter().map(|net| &net.name).chain(&launch.without_nets);
    distinct(nets.collect());
    let blocks = launch.blocks.iter().map(|block| &block.name).chain(&launch.without_blocks);
    distinct(blocks.collect());
    let keys: Vec<_> = launch.labels.iter().map(|label| &label.key).collect();
    assert!((1..keys.len()).all(|index| !keys[..index].contains(&keys[index])));
    for mac in launch.nets.iter().filter_map(|net| net.mac) {
        assert_eq!(launch::parse_mac(mac.to_string().as_bytes()), Some(mac));
    }
    let length: usize = launch.arguments.iter().map(|argument| argument.len() + 1).sum();
    assert_eq!(launch.command_line_length(), length.saturating_sub(1));
}

/// No device is attached twice, or attached and declined.
fn distinct(mut names: Vec<&String>) {
    let count = names.len();
    names.sort();
    names.dedup();
    assert!(names.len() == count && names.iter().all(|name| is_name(name.as_bytes())));
}

fn seeds() -> Vec<Vec<u8>> {
    let own = [
        "--mem=64 --net:service=tap0 --net-mac:service=52:54:00:00:00:01 -- k --ipv4=10.0.0.2/24",
        "--block:storage=disk.img --block-sector-size:storage=4096 --block-access:storage=read-only k",
        "--net:service=@7 --block:data=@8 --without-net:management --x-exec-heap --mem=2GiB k a b",
        "--policy=p.yaml --policy=@5 --require-policy --label=tenant=alice --report=@3 --explain k",
        "--gdb --gdb-port=1234 --dumpcore=/tmp --format=json k",
        "--user=1000:1000 --chroot=/var/empty k",
        "--help",
        "--explain=P311",
        "--mem=0 --nonsense --net:x=y",
    ];
    let own = own.into_iter().map(|line| line.replace(' ', "\0").into_bytes());
    own.chain(cases::launches()).collect()
}

/// Every option, taken from the usage text, and values.
fn words() -> Vec<Vec<u8>> {
    let usage = MODULES.map(|modules| launch::usage("solo5", &modules)).concat();
    let options = usage.split_whitespace().filter(|word| word.starts_with("--"));
    let options = options.map(|word| {
        let end = word.find(['=', ':']).map_or(word.len(), |at| at + 1);
        &word[..end]
    });
    let names = DEVICES.map(|(name, _)| name);
    let values =
        ["=", ":", "@1", "--", "MiB", "GiB", "read-only", "read-write", "4294967296", "json"];
    let words = options.chain(names).chain(values);
    words.map(|word| word.as_bytes().to_vec()).chain([vec![0]]).collect()
}
