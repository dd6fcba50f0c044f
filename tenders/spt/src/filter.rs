//! The system calls that a guest may make: the rows of `docs/reference/spt.md#calls`.
//!
//! The guest's own code makes the calls. So the rules allow every call that the bindings of any
//! release since 0.8 make. They are stricter than upstream's in two places: `epoll_pwait` waits
//! forever or not at all and changes no signal mask, and `timerfd_settime` sets only absolute
//! times. Frame sizes are not limited: a guest may read with a larger buffer, and the kernel
//! refuses a frame that is too long.

use solo5_abi::mft1::Flush;
use solo5_abi::offer::{Feature, Features, TRANSFER_MAX};
use solo5_tender::attach::{Access, Backing, Device};
use solo5_tender::seccomp::calls::{
    CLOCK_GETTIME, CLOSE, EPOLL_CTL, EPOLL_PWAIT, EXIT_GROUP, FDATASYNC, PREAD64, PWRITE64, READ,
    TIMERFD_SETTIME, WRITE,
};
use solo5_tender::seccomp::{Action, Condition, Rule, Sectors, Test};

use crate::arch;

const STDOUT: i32 = 1;
const CLOCK_REALTIME: u64 = 0;
const CLOCK_MONOTONIC: u64 = 1;
const TFD_TIMER_ABSTIME: u32 = 1;
const EPOLL_CTL_DEL: u32 = 2;
const EBADF: u16 = 9;

/// The rules for a guest with `devices` that is offered `features`.
pub fn rules(epollfd: i32, timerfd: i32, features: Features, devices: &[Device]) -> Vec<Rule> {
    let mut rules = vec![
        Rule::allow(WRITE, vec![Condition::descriptor(STDOUT, "standard output")], "the console"),
        Rule::allow(EXIT_GROUP, Vec::new(), "the end of the guest"),
        Rule::allow(
            EPOLL_PWAIT,
            vec![
                Condition::descriptor(epollfd, "the epoll set"),
                Condition::new(3, "timeout", Test::LowOneOf(-1i32 as u32, 0)),
                Condition::new(4, "sigmask", Test::Equal(0)),
            ],
            "yield: waiting for a frame or the deadline",
        ),
        Rule::allow(
            TIMERFD_SETTIME,
            vec![
                Condition::descriptor(timerfd, "the timer"),
                Condition::new(1, "flags", Test::low(TFD_TIMER_ABSTIME)),
                Condition::new(3, "old_value", Test::Equal(0)),
            ],
            "yield: setting the deadline",
        ),
        Rule::allow(
            CLOCK_GETTIME,
            vec![
                Condition::new(0, "clock", Test::Equal(CLOCK_MONOTONIC)).meaning("CLOCK_MONOTONIC"),
            ],
            "the monotonic clock",
        ),
        Rule::allow(
            CLOCK_GETTIME,
            vec![Condition::new(0, "clock", Test::Equal(CLOCK_REALTIME)).meaning("CLOCK_REALTIME")],
            "the wall clock",
        ),
    ];
    rules.extend(arch::rules());
    for device in devices {
        device_rules(epollfd, features, device, &mut rules);
    }
    rules
}

/// The rule for the tender's last call, which it makes after the filter is installed: it closes the
/// report just before the guest's first instruction.
pub fn closing(report: i32) -> Rule {
    let fd = vec![Condition::descriptor(report, "the report")];
    Rule::allow(CLOSE, fd, "closing the report before the guest runs")
}

fn device_rules(epollfd: i32, features: Features, device: &Device, rules: &mut Vec<Rule>) {
    let (name, fd) = (&device.name, device.fd_number());
    match &device.backing {
        Backing::Net { .. } => {
            let fd = || vec![Condition::descriptor(fd, "the tap")];
            rules.push(Rule::allow(READ, fd(), format!("frames to '{name}'")));
            rules.push(Rule::allow(WRITE, fd(), format!("frames from '{name}'")));
            let removal = vec![
                Condition::descriptor(epollfd, "the epoll set"),
                Condition::new(1, "op", Test::low(EPOLL_CTL_DEL)).meaning("EPOLL_CTL_DEL"),
                Condition::new(2, "fd", Test::low(device.fd_number() as u32)).meaning("the tap"),
            ];
            rules.push(Rule::allow(
                EPOLL_CTL,
                removal,
                format!("removing the deleted tap of '{name}'"),
            ));
        }
        Backing::Block { capacity, sector_size, access, .. } => {
            let size = u64::from(sector_size.bytes());
            let several = features.has(Feature::Transfers);
            let transfers = || {
                let mut when = vec![Condition::descriptor(fd, "the file")];
                if several {
                    let sectors = Sectors {
                        sector: sector_size.bytes().into(),
                        most: TRANSFER_MAX as u32,
                        capacity: *capacity,
                    };
                    when.push(Condition::new(2, "size", Test::Sectors(sectors)));
                } else {
                    let last = capacity.saturating_sub(size);
                    when.push(Condition::new(2, "size", Test::Equal(size)));
                    when.push(Condition::new(3, "offset", Test::AtMost(last)));
                }
                when
            };
            rules.push(Rule::allow(PREAD64, transfers(), format!("reading '{name}'")));
            rules.push(match access {
                Access::ReadWrite => {
                    Rule::allow(PWRITE64, transfers(), format!("writing '{name}'"))
                }
                // A write to a read-only device returns an error instead of killing the guest.
                Access::ReadOnly => Rule {
                    call: PWRITE64,
                    when: vec![Condition::descriptor(fd, "the file")],
                    action: Action::Errno(EBADF),
                    reason: format!("'{name}' is read-only").into(),
                },
            });
            if device.flush(features) == Flush::Available {
                let fd = vec![Condition::descriptor(fd, "the file")];
                rules.push(Rule::allow(FDATASYNC, fd, format!("flushing '{name}'")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use solo5_abi::Arch;
    use solo5_abi::device::{Mtu, SectorSize};
    use solo5_abi::mft1::DEVICES_MAX;
    use solo5_tender::attach::FileId;
    use solo5_tender::seccomp::{INSTRUCTIONS_MAX, assemble};

    use super::*;

    fn device(backing: Backing) -> Device {
        Device { index: 1, name: "x".into(), backing, fd: None }
    }

    fn disk(access: Access) -> Backing {
        Backing::Block {
            path: "disk".into(),
            file: FileId::Inode(0, 0),
            capacity: 4096,
            sector_size: SectorSize::DEFAULT,
            access,
            capacity_minimum: None,
            flush: true,
        }
    }

    fn conditions(features: Features) -> Vec<String> {
        let rules = rules(5, 6, features, &[device(disk(Access::ReadWrite))]);
        let read = rules.iter().find(|rule| rule.call == PREAD64).unwrap();
        let write = rules.iter().find(|rule| rule.call == PWRITE64).unwrap();
        assert_eq!(read.when, write.when);
        read.when.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn several_sectors_are_for_guests_that_are_offered_them() {
        let several = "size a multiple of 512 up to 1048576, offset + size <= 4096";
        assert_eq!(conditions(Features::of(&[Feature::Transfers])), ["fd = the file", several]);
        let one = ["fd = the file", "size = 512", "offset <= 3584"];
        assert_eq!(conditions(Features::NONE), one);
        assert_eq!(conditions(Features::ALL.without(Features::of(&[Feature::Transfers]))), one);
    }

    #[test]
    fn a_filter_for_the_largest_manifest_fits() {
        let largest = Backing::Block {
            path: "disk".into(),
            file: FileId::Inode(0, 0),
            capacity: (5 << 32) + 512,
            sector_size: SectorSize::DEFAULT,
            access: Access::ReadWrite,
            capacity_minimum: None,
            flush: true,
        };
        let devices: Vec<Device> = (0..DEVICES_MAX).map(|_| device(largest.clone())).collect();
        let mut rules = rules(5, 6, Features::ALL, &devices);
        rules.push(closing(7));
        let program = assemble(&rules, Arch::X86_64).unwrap();
        assert!(program.len() < INSTRUCTIONS_MAX, "{}", program.len());
    }

    #[test]
    fn rules_exist_only_for_attached_devices() {
        let tap = Backing::Net {
            interface: b"tap".to_vec(),
            mtu: Mtu::ETHERNET,
            mac: None,
            mtu_minimum: None,
        };
        let names = |devices: &[Device]| -> Vec<&str> {
            let rules = rules(5, 6, Features::ALL, devices);
            let allowed = rules.iter().filter(|rule| rule.action == Action::Allow);
            allowed.map(|rule| rule.call.name).collect()
        };
        let mut core = vec![
            "write",
            "exit_group",
            "epoll_pwait",
            "timerfd_settime",
            "clock_gettime",
            "clock_gettime",
        ];
        if Arch::HOST == Some(Arch::X86_64) {
            core.push("arch_prctl");
        }
        assert_eq!(names(&[]), core);
        assert_eq!(names(&[device(tap)])[core.len()..], ["read", "write", "epoll_ctl"]);
        let writable = device(disk(Access::ReadWrite));
        assert_eq!(names(&[writable])[core.len()..], ["pread64", "pwrite64", "fdatasync"]);
        let read_only = device(disk(Access::ReadOnly));
        assert_eq!(names(&[read_only])[core.len()..], ["pread64"]);
    }
}
