//! One row of a filter: a system call, conditions on its arguments, an action and a reason.

use std::borrow::Cow;
use std::fmt;

use solo5_abi::Arch;

/// A system call and its number on each architecture; `None` where no rule uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    x86_64: Option<u32>,
    aarch64: Option<u32>,
    ppc64le: Option<u32>,
}

impl Call {
    const fn new(name: &'static str, x86_64: u32, aarch64: u32, ppc64le: u32) -> Call {
        Call { name, x86_64: Some(x86_64), aarch64: Some(aarch64), ppc64le: Some(ppc64le) }
    }

    /// Its number.
    pub const fn number(&self, arch: Arch) -> Option<u32> {
        match arch {
            Arch::X86_64 => self.x86_64,
            Arch::Aarch64 => self.aarch64,
            Arch::Ppc64le => self.ppc64le,
        }
    }
}

/// The calls that rules can name. The numbers are those of `docs/reference/spt.md#calls`.
pub mod calls {
    use super::Call;

    /// `read(fd, buffer, size)`
    pub const READ: Call = Call::new("read", 0, 63, 3);
    /// `write(fd, buffer, size)`
    pub const WRITE: Call = Call::new("write", 1, 64, 4);
    /// `close(fd)`
    pub const CLOSE: Call = Call::new("close", 3, 57, 6);
    /// `epoll_ctl(epfd, op, fd, event)`
    pub const EPOLL_CTL: Call = Call::new("epoll_ctl", 233, 21, 236);
    /// `pread64(fd, buffer, size, offset)`
    pub const PREAD64: Call = Call::new("pread64", 17, 67, 179);
    /// `pwrite64(fd, buffer, size, offset)`
    pub const PWRITE64: Call = Call::new("pwrite64", 18, 68, 180);
    /// `fdatasync(fd)`
    pub const FDATASYNC: Call = Call::new("fdatasync", 75, 83, 148);
    /// `clock_gettime(clock, time)`
    pub const CLOCK_GETTIME: Call = Call::new("clock_gettime", 228, 113, 246);
    /// `exit_group(status)`
    pub const EXIT_GROUP: Call = Call::new("exit_group", 231, 94, 234);
    /// `epoll_pwait(fd, events, count, timeout, mask, size)`
    pub const EPOLL_PWAIT: Call = Call::new("epoll_pwait", 281, 22, 303);
    /// `timerfd_settime(fd, flags, new, old)`
    pub const TIMERFD_SETTIME: Call = Call::new("timerfd_settime", 286, 86, 311);
    /// `ioctl(fd, request, argument)`
    pub const IOCTL: Call = Call::new("ioctl", 16, 29, 54);
    /// `futex(word, operation, value, ...)`
    pub const FUTEX: Call = Call::new("futex", 202, 98, 221);
    /// `ppoll(fds, count, time, mask, size)`
    pub const PPOLL: Call = Call::new("ppoll", 271, 73, 281);
    /// `recvfrom(fd, buffer, size, flags, address, address_size)`
    pub const RECVFROM: Call = Call::new("recvfrom", 45, 207, 337);
    /// `rt_sigreturn()`
    pub const RT_SIGRETURN: Call = Call::new("rt_sigreturn", 15, 139, 172);
    /// `unlinkat(directory, name, flags)`
    pub const UNLINKAT: Call = Call::new("unlinkat", 263, 35, 292);
    /// `mincore(address, length, vector)`
    pub const MINCORE: Call = Call::new("mincore", 27, 232, 206);
    /// `madvise(address, length, advice)`
    pub const MADVISE: Call = Call::new("madvise", 28, 233, 205);
    /// `arch_prctl(code, address)`: only on x86_64.
    pub const ARCH_PRCTL: Call =
        Call { name: "arch_prctl", x86_64: Some(158), aarch64: None, ppc64le: None };
}

/// A test on the value of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// All 64 bits equal this.
    Equal(u64),
    /// At most this, as an unsigned 64-bit number.
    AtMost(u64),
    /// The low 32 bits equal one of two values. For an `int` argument: the kernel ignores its upper
    /// half.
    LowOneOf(u32, u32),
    /// A size, and the argument after it an offset: whole sectors that lie on the device.
    Sectors(Sectors),
}

/// The transfers that a device serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sectors {
    /// Size of a sector in bytes, a power of two.
    pub sector: u32,
    /// Most bytes in one transfer.
    pub most: u32,
    /// Size of the device in bytes.
    pub capacity: u64,
}

impl Sectors {
    /// Whether `size` bytes at `offset` are at least one whole sector, are not too many, and lie on
    /// the device. The offset need not be a multiple of the sector size.
    pub fn has(&self, size: u64, offset: u64) -> bool {
        let end = offset.checked_add(size);
        size != 0
            && size.is_multiple_of(self.sector.into())
            && size <= self.most.into()
            && end.is_some_and(|end| end <= self.capacity)
    }
}

impl fmt::Display for Sectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sectors { sector, most, capacity } = self;
        write!(f, "size a multiple of {sector} up to {most}, offset + size <= {capacity}")
    }
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The argument, counted from 0; below 6.
    pub argument: u8,
    /// Its name in the call's manual page.
    pub name: &'static str,
    /// The test that it must pass.
    pub test: Test,
    /// What the value stands for, in `--explain`.
    pub meaning: Option<&'static str>,
}

impl Test {
    /// The low 32 bits equal this.
    pub const fn low(value: u32) -> Test {
        Test::LowOneOf(value, value)
    }
}

impl Condition {
    /// The argument called `name` must pass `test`.
    pub const fn new(argument: u8, name: &'static str, test: Test) -> Condition {
        Condition { argument, name, test, meaning: None }
    }

    /// The first argument is descriptor `fd`, shown as `meaning`.
    pub const fn descriptor(fd: i32, meaning: &'static str) -> Condition {
        // Descriptors are not negative. -1 stands for a descriptor that is not open yet, and
        // matches no call.
        Condition::new(0, "fd", Test::Equal(fd as i64 as u64)).meaning(meaning)
    }

    /// The same condition, with its value shown as `meaning`.
    pub const fn meaning(mut self, meaning: &'static str) -> Condition {
        self.meaning = Some(meaning);
        self
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.test, self.meaning) {
            (Test::Equal(_) | Test::LowOneOf(..), Some(meaning)) => {
                write!(f, "{} = {meaning}", self.name)
            }
            (Test::Equal(value), None) => write!(f, "{} = {value}", self.name),
            (Test::AtMost(value), _) => write!(f, "{} <= {value}", self.name),
            (Test::LowOneOf(one, other), None) if one == other => {
                write!(f, "{} = {}", self.name, one as i32)
            }
            (Test::LowOneOf(one, other), None) => {
                write!(f, "{} = {} or {}", self.name, one as i32, other as i32)
            }
            (Test::Sectors(sectors), _) => sectors.fmt(f),
        }
    }
}

/// What happens when a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The call is made.
    Allow,
    /// The call is not made and returns this error number.
    Errno(u16),
}

/// One row of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The call.
    pub call: Call,
    /// The conditions, all of which must hold.
    pub when: Vec<Condition>,
    /// The action.
    pub action: Action,
    /// Why the guest or tender needs the call, in `--explain`.
    pub reason: Cow<'static, str>,
}

impl Rule {
    /// Allows the call if all of `when` holds.
    pub fn allow(call: Call, when: Vec<Condition>, reason: impl Into<Cow<'static, str>>) -> Rule {
        Rule { call, when, action: Action::Allow, reason: reason.into() }
    }
}
