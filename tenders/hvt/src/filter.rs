//! Rules for the tender's system calls while a guest runs (`docs/reference/hvt.md#sandbox`).
//!
//! Each thread has a filter of its own: the guest's thread, which runs the CPU and answers
//! hypercalls, and the I/O thread, which only moves frames. Rules exist only for declared devices:
//! for a guest without network, even `futex` is not allowed.

use std::os::fd::RawFd;

use solo5_abi::mft1::Flush;
use solo5_abi::offer::Features;
use solo5_tender::attach::{Access, Backing, Device};
use solo5_tender::seccomp::calls::{
    CLOCK_GETTIME, EPOLL_CTL, EPOLL_PWAIT, EXIT_GROUP, FDATASYNC, FUTEX, IOCTL, PPOLL, PREAD64,
    PWRITE64, READ, TIMERFD_SETTIME, WRITE,
};
use solo5_tender::seccomp::{Condition, Rule, Test};

use crate::arch::READ_REGISTERS;

/// The tender's own descriptors. -1 stands for one that is not open yet, and matches no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The guest's CPU.
    pub vcpu: RawFd,
    /// The epoll set.
    pub epoll: RawFd,
    /// The timer.
    pub timer: RawFd,
    /// The eventfd that wakes the I/O thread, if there is one.
    pub kick: Option<RawFd>,
    /// Descriptor for the outcome, with `--report`.
    pub report: Option<RawFd>,
}

const STDOUT: RawFd = 1;
const STDERR: RawFd = 2;
const CLOCK_REALTIME: u64 = 0;
const EPOLL_CTL_DEL: u32 = 2;
/// `KVM_RUN`
pub const KVM_RUN: u32 = 0xae80;
/// `FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG`
const FUTEX_WAIT: u32 = 137;
/// `FUTEX_WAKE | FUTEX_PRIVATE_FLAG`
const FUTEX_WAKE: u32 = 129;

/// The request of an `ioctl` is `one` or `other`, shown as `meaning`.
fn request(one: u32, other: u32, meaning: &'static str) -> Condition {
    Condition::new(1, "request", Test::LowOneOf(one, other)).meaning(meaning)
}

/// The rule for waiting on a full stream.
fn waiting() -> Rule {
    Rule::allow(
        PPOLL,
        vec![
            Condition::new(1, "nfds", Test::Equal(1)),
            Condition::new(2, "timeout", Test::Equal(0)),
            Condition::new(3, "sigmask", Test::Equal(0)),
        ],
        "waiting for a full console",
    )
}

/// The rules that both threads need, because either may have to say why it ends the guest.
fn final_message(own: &Descriptors) -> Vec<Rule> {
    let mut rules = vec![
        Rule::allow(
            WRITE,
            vec![Condition::descriptor(STDERR, "standard error")],
            "why the guest was ended",
        ),
        waiting(),
        Rule::allow(EXIT_GROUP, Vec::new(), "the end of the guest"),
    ];
    if let Some(report) = own.report {
        let fd = vec![Condition::descriptor(report, "the report")];
        rules.push(Rule::allow(WRITE, fd, "how the guest ended, for --report"));
    }
    rules
}

/// The rule for the lock of the ring; none without a ring.
fn lock(own: &Descriptors) -> Option<Rule> {
    own.kick?;
    let operation = Condition::new(1, "operation", Test::LowOneOf(FUTEX_WAIT, FUTEX_WAKE));
    let operation = operation.meaning("wait or wake, private");
    Some(Rule::allow(FUTEX, vec![operation], "the lock of the network ring"))
}

/// The rules for the guest's thread, for a guest that is offered `features`.
pub fn guest_thread(own: &Descriptors, features: Features, devices: &[Device]) -> Vec<Rule> {
    let mut rules = vec![
        Rule::allow(
            IOCTL,
            vec![
                Condition::descriptor(own.vcpu, "the CPU"),
                request(KVM_RUN, READ_REGISTERS.0, READ_REGISTERS.1),
            ],
            "running the guest",
        ),
        Rule::allow(WRITE, vec![Condition::descriptor(STDOUT, "standard output")], "the console"),
        Rule::allow(
            EPOLL_PWAIT,
            vec![
                Condition::descriptor(own.epoll, "the epoll set"),
                Condition::new(3, "timeout", Test::LowOneOf(-1i32 as u32, 0)),
                Condition::new(4, "sigmask", Test::Equal(0)),
            ],
            "yield: waiting for a frame or the deadline",
        ),
        Rule::allow(
            TIMERFD_SETTIME,
            vec![
                Condition::descriptor(own.timer, "the timer"),
                Condition::new(1, "flags", Test::low(0)),
                Condition::new(3, "old_value", Test::Equal(0)),
            ],
            "yield: setting the deadline",
        ),
        Rule::allow(
            CLOCK_GETTIME,
            vec![Condition::new(0, "clock", Test::Equal(CLOCK_REALTIME)).meaning("CLOCK_REALTIME")],
            "the wall clock",
        ),
    ];
    rules.extend(final_message(own));
    rules.extend(lock(own));
    for device in devices {
        rules.extend(frames(device));
        rules.extend(sectors(device));
        rules.extend(flushing(features, device));
        rules.extend(removing_tap(own, device));
    }
    rules
}

/// The rules for the I/O thread.
pub fn io_thread(own: &Descriptors, devices: &[Device]) -> Vec<Rule> {
    let Some(kick) = own.kick else {
        return Vec::new();
    };
    let fd = vec![Condition::descriptor(kick, "the eventfd")];
    let mut rules = vec![Rule::allow(READ, fd, "waiting for the guest to queue frames")];
    rules.extend(final_message(own));
    rules.extend(lock(own));
    rules.extend(devices.iter().flat_map(frames));
    rules
}

/// The rules for the frames of a tap; none for a block device.
fn frames(device: &Device) -> Vec<Rule> {
    let (name, fd) = (&device.name, device.fd_number());
    match device.backing {
        Backing::Net { .. } => {
            let tap = || vec![Condition::descriptor(fd, "the tap")];
            vec![
                Rule::allow(READ, tap(), format!("frames to '{name}'")),
                Rule::allow(WRITE, tap(), format!("frames from '{name}'")),
            ]
        }
        Backing::Block { .. } => Vec::new(),
    }
}

/// The rule for removing a deleted tap from the epoll set.
fn removing_tap(own: &Descriptors, device: &Device) -> Option<Rule> {
    matches!(device.backing, Backing::Net { .. }).then(|| {
        let conditions = vec![
            Condition::descriptor(own.epoll, "the epoll set"),
            Condition::new(1, "op", Test::low(EPOLL_CTL_DEL)).meaning("EPOLL_CTL_DEL"),
            Condition::new(2, "fd", Test::low(device.fd_number() as u32)).meaning("the tap"),
        ];
        Rule::allow(EPOLL_CTL, conditions, format!("removing the deleted tap of '{}'", device.name))
    })
}

/// The rules for the sectors of a block device; none for a tap.
fn sectors(device: &Device) -> Vec<Rule> {
    let (name, fd) = (&device.name, device.fd_number());
    match device.backing {
        Backing::Net { .. } => Vec::new(),
        Backing::Block { capacity, access, .. } => {
            let within = || {
                vec![
                    Condition::descriptor(fd, "the file"),
                    Condition::new(2, "size", Test::AtMost(capacity)),
                    Condition::new(3, "offset", Test::AtMost(capacity.saturating_sub(1))),
                ]
            };
            let mut rules = vec![Rule::allow(PREAD64, within(), format!("reading '{name}'"))];
            if access == Access::ReadWrite {
                rules.push(Rule::allow(PWRITE64, within(), format!("writing '{name}'")));
            }
            rules
        }
    }
}

/// The rule for flushing a block device, if the guest can.
fn flushing(features: Features, device: &Device) -> Option<Rule> {
    let fd = || vec![Condition::descriptor(device.fd_number(), "the file")];
    let reason = || format!("flushing '{}'", device.name);
    (device.flush(features) == Flush::Available).then(|| Rule::allow(FDATASYNC, fd(), reason()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use solo5_abi::Arch;
    use solo5_tender::attach::FileId;
    use solo5_tender::seccomp::assemble;

    use solo5_abi::device::{Mtu, SectorSize};

    use super::*;

    const HOST: Arch = Arch::HOST.unwrap();

    const OWN: Descriptors =
        Descriptors { vcpu: 7, epoll: 8, timer: 9, kick: Some(10), report: Some(11) };

    fn net(name: &str) -> Device {
        Device {
            index: 1,
            name: name.to_owned(),
            backing: Backing::Net {
                interface: b"tap0".to_vec(),
                mtu: Mtu::ETHERNET,
                mac: None,
                mtu_minimum: None,
            },
            fd: None,
        }
    }

    fn block(access: Access) -> Device {
        Device {
            index: 2,
            name: "storage".to_owned(),
            backing: Backing::Block {
                path: "disk".to_owned(),
                file: FileId::Inode(0, 0),
                capacity: 4096,
                sector_size: SectorSize::DEFAULT,
                access,
                capacity_minimum: None,
                flush: true,
            },
            fd: None,
        }
    }

    fn names(rules: &[Rule]) -> BTreeSet<&'static str> {
        rules.iter().map(|rule| rule.call.name).collect()
    }

    #[test]
    fn fewer_than_18_calls_and_only_exit_group_without_a_condition() {
        let devices = [net("service"), block(Access::ReadWrite)];
        let guest = guest_thread(&OWN, Features::ALL, &devices);
        let io = io_thread(&OWN, &devices);
        assert!(names(&guest).union(&names(&io)).count() < 18);
        for rule in guest.iter().chain(&io) {
            assert_eq!(rule.when.is_empty(), rule.call == EXIT_GROUP, "{}", rule.call.name);
        }
        assert!(assemble(&guest, HOST).is_some());
        assert!(assemble(&io, HOST).is_some());
    }

    #[test]
    fn rules_exist_only_for_declared_devices() {
        let alone = Descriptors { kick: None, report: None, ..OWN };
        let none = names(&guest_thread(&alone, Features::ALL, &[]));
        for absent in ["read", "futex", "pread64", "pwrite64"] {
            assert!(!none.contains(absent), "{absent}");
        }
        assert!(io_thread(&alone, &[]).is_empty());
        let read_only = names(&guest_thread(&alone, Features::ALL, &[block(Access::ReadOnly)]));
        assert!(read_only.contains("pread64"));
        assert!(!read_only.contains("pwrite64") && !read_only.contains("fdatasync"));
        let writable = [block(Access::ReadWrite)];
        assert!(names(&guest_thread(&alone, Features::ALL, &writable)).contains("fdatasync"));
        assert!(!names(&guest_thread(&alone, Features::NONE, &writable)).contains("fdatasync"));
        let io = names(&io_thread(&OWN, &[net("service"), block(Access::ReadWrite)]));
        let expected = BTreeSet::from(["read", "write", "futex", "ppoll", "exit_group"]);
        assert_eq!(io, expected, "only frames");
    }

    #[test]
    fn a_filter_for_the_largest_manifest_fits() {
        let nets: Vec<Device> = (0..63).map(|_| net("n")).collect();
        let blocks: Vec<Device> = (0..63).map(|_| block(Access::ReadWrite)).collect();
        for devices in [nets, blocks] {
            assert!(assemble(&guest_thread(&OWN, Features::ALL, &devices), HOST).is_some());
        }
    }
}
