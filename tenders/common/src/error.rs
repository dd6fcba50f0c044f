//! Everything that can stop a tender: each code `T4xx`, its text, and how to mend it.
//!
//! Texts that upstream prints too are the same to the byte
//! (`docs/reference/downstream.md#options`). Our own texts carry their code and say how to mend the
//! problem. The pages are in `docs/codes`.

use std::ffi::OsString;
use std::fmt;

use solo5_abi::device::Mtu;
use solo5_abi::mft1::DeviceType;
use solo5_image::ImageError;
use solo5_launch::{Gdb, TooMuchMemory, Unfit, Unmet, is_interface_name, mebibytes};
use solo5_report::Diagnostic;

use crate::sys::{Errno, strerror};

/// Why a tender cannot start a guest. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what the texts print")]
pub enum Error {
    /// The image cannot be opened.
    Open { kernel: OsString, error: Errno },
    /// The image is a pipe, which does not support reading at an offset.
    Pipe { kernel: OsString },
    /// The image is refused by its reader or loader.
    Image { kernel: OsString, fault: ImageError },
    /// The image is larger than what is copied into memory. `most` is in bytes.
    ImageSize { kernel: OsString, most: u64 },
    /// Pages of the image cannot be protected.
    Protect { kernel: OsString, error: Errno },
    /// The manifest declares a device, and this tender was built without the module for it.
    NoModule { name: String, kind: DeviceType },

    /// A tap cannot be attached.
    Tap { interface: String, error: Errno },
    /// The interface exists but is not a tap, or is a multi-queue tap.
    NotTap { interface: String, what: String },
    /// A tap's MTU is outside the range that Ethernet allows.
    Mtu { interface: String, mtu: u32 },
    /// No random Ethernet address can be generated.
    Random { error: Errno },

    /// A block device's file cannot be opened.
    BlockOpen { path: String, error: Errno },
    /// Its size cannot be determined.
    Capacity { path: String, error: Errno },
    /// Another guest uses it, and at least one of the two may write to it.
    Busy { path: String, writing: bool },
    /// The disk is also open for writing as a standard descriptor.
    BlockStandard { path: String, standard: usize },

    /// The launch lacks what the manifest requires of it.
    Unmet(Unmet),
    /// What the launch attaches cannot be used.
    Unfit(Unfit),
    /// The manifest requires a larger MTU.
    MtuMinimum { name: String, have: Mtu, least: u32 },

    /// Parts of the image with different rights share a page of the host. `page` is in bytes.
    Pages { kernel: OsString, page: u64 },
    /// Guest memory cannot be allocated.
    Allocate { error: Errno },
    /// A mapping of the tender lies where guest memory must be.
    Overlap { size: u64, mapping: Option<String> },
    /// The personality READ_IMPLIES_EXEC would make every readable page executable.
    ReadImpliesExec,
    /// The guest's command line does not fit.
    CommandLine { longest: usize },

    /// `/dev/kvm` cannot be opened.
    KvmOpen { error: Errno },
    /// KVM has another API version.
    KvmVersion { have: i32 },
    /// KVM lacks a required feature.
    KvmLacks { what: &'static str },
    /// The host's TSC is unstable.
    KvmClock,
    /// A call to KVM failed.
    KvmCall { name: &'static str, error: Errno },
    /// The launch asks for more memory than a guest of this target can have.
    MemoryMaximum(TooMuchMemory),
    /// The network ring cannot be set up.
    RingOff { what: &'static str, error: Errno },
    /// The tender cannot confine itself.
    Confine { what: &'static str, error: Errno },
    /// The core file cannot be made in the given directory.
    Dumpcore { what: String, error: Errno },
    /// Waiting for a debugger failed.
    Gdb { what: String, error: Errno },
    /// The place where a debugger would connect cannot be listened at.
    GdbPlace { place: Gdb, error: Errno },

    /// There is no QEMU: the program, and the package of Debian that has it.
    QemuMissing { program: &'static str, package: &'static str },
    /// QEMU is too old, or is no QEMU.
    QemuOld { program: String, version: String },
    /// QEMU cannot be executed.
    QemuStart { program: String, error: Errno },
    /// QEMU ended before the guest said anything.
    QemuFailed { by: String },
    /// The machine stopped, and the guest had told no status.
    GuestStopped { by: String },
    /// QEMU has stopped the machine, which cannot go on. `interprets` if it ran on a KVM that
    /// interprets guests.
    GuestHalted { state: &'static str, interprets: bool },

    /// A system call failed that normally cannot fail.
    Host { what: &'static str, error: Errno },
    /// The system call filter has too many instructions.
    FilterLength,
    /// The report cannot be written to the target of `--report`.
    Report { target: String, error: Errno },
}

impl Error {
    /// The stable code; `docs/codes` has its page.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Open { .. } | Error::Pipe { .. } => "T401",
            Error::Image { fault, .. } => match fault {
                ImageError::NoAbi
                | ImageError::AbiTarget { .. }
                | ImageError::AbiVersion { .. } => "T403",
                ImageError::NoManifest
                | ImageError::Manifest { .. }
                | ImageError::Properties { .. } => "T404",
                ImageError::Features { .. } => "T444",
                _ => "T402",
            },
            Error::Protect { .. } | Error::ImageSize { .. } => "T402",
            Error::NoModule { .. } => "T407",
            Error::Tap { .. } | Error::NotTap { .. } => "T410",
            Error::Mtu { .. } => "T412",
            Error::Random { .. } | Error::Host { .. } => "T440",
            Error::BlockOpen { .. } => "T420",
            Error::Capacity { .. } => "T421",
            Error::Busy { .. } => "T424",
            Error::BlockStandard { .. } => "T427",
            Error::Unmet(Unmet::Stack { .. }) => "T430",
            Error::Unmet(Unmet::Memory { .. }) => "T431",
            Error::Unmet(Unmet::ExecutableHeap) => "T432",
            Error::Unmet(Unmet::SectorSize { .. }) => "T433",
            Error::MtuMinimum { .. } => "T435",
            Error::Allocate { .. } => "T436",
            Error::Overlap { .. } => "T437",
            Error::Pages { .. } => "T446",
            Error::ReadImpliesExec => "T438",
            Error::CommandLine { .. } => "T439",
            Error::KvmOpen { .. }
            | Error::KvmVersion { .. }
            | Error::KvmLacks { .. }
            | Error::KvmClock
            | Error::KvmCall { .. } => "T450",
            Error::MemoryMaximum(_) => "T451",
            Error::RingOff { .. } => "T452",
            Error::Confine { .. } => "T453",
            Error::Dumpcore { .. } => "T455",
            Error::Gdb { .. } | Error::GdbPlace { .. } => "T456",
            Error::QemuMissing { .. } | Error::QemuStart { .. } => "T460",
            Error::QemuOld { .. } => "T461",
            Error::QemuFailed { .. } => "T462",
            Error::GuestStopped { .. } => "T463",
            Error::GuestHalted { .. } => "T466",
            Error::FilterLength => "T441",
            Error::Report { .. } => "T443",
            Error::Unfit(unfit) => unfit.code(),
        }
    }

    /// The message, without the program's name in front.
    pub fn line(&self) -> String {
        match self.upstream() {
            Some(text) => text,
            None => solo5_report::line(&self.own()),
        }
    }

    /// Advice that upstream's text lacks.
    fn advice(&self) -> Option<String> {
        match self {
            Error::Tap { interface, .. } | Error::NotTap { interface, .. }
                if !is_interface_name(interface.as_ref()) && !interface.starts_with('@') =>
            {
                Unfit::InterfaceName { interface: interface.clone() }.advice()
            }
            Error::NotTap { interface, what } => Some(format!("{interface} is {what}")),
            Error::Image { fault, .. } => {
                fault.advice().or_else(|| fault.what().map(|what| format!("it is {what}")))
            }
            Error::Capacity { path, error: Errno::SPIPE } => {
                Some(format!("{path} is a pipe: name a regular file or a block device"))
            }
            Error::Tap { interface, error: Errno::NOENT } => Some(format!(
                "there is no {interface}: make it with `ip tuntap add mode tap name {interface}` and \
                 `ip link set {interface} up`"
            )),
            Error::Tap { interface, error: Errno::NETDOWN } => {
                Some(format!("{interface} is down: `ip link set {interface} up`"))
            }
            Error::BlockOpen { path, error: Errno::NOENT } => Some(format!(
                "there is no {path}: name another file, or make one with `truncate -s SIZE`"
            )),
            Error::Pipe { .. } => Some("give the name of a regular file".to_owned()),
            Error::GdbPlace { place: Gdb::Port(_), error: Errno::ADDRINUSE } => {
                Some("give another port with --gdb-port; 0 takes a free one".to_owned())
            }
            Error::GdbPlace { place: Gdb::Socket(path), error: Errno::ADDRINUSE } => Some(format!(
                "remove {} if no tender waits there any more, or name another socket",
                solo5_report::os_text(path)
            )),
            _ => None,
        }
    }

    /// The message of an error that upstream reports too. A few errors without a counterpart have a
    /// message in the same form, without a code.
    fn upstream(&self) -> Option<String> {
        let file = |kernel: &OsString| solo5_report::os_text(kernel).into_owned();
        Some(match self {
            Error::Open { kernel, error } => {
                format!("{}: Could not open: {}", file(kernel), strerror(*error))
            }
            Error::Pipe { kernel } => format!("{}: Could not open: it is a pipe", file(kernel)),
            Error::Image { kernel, fault } => format!("{}: {fault}", file(kernel)),
            Error::Protect { kernel, error } => {
                format!("{}: mprotect failed: {}", file(kernel), strerror(*error))
            }
            Error::Tap { interface, error } => {
                format!("Could not attach interface: {interface}: {}", strerror(*error))
            }
            // Upstream prints the kernel's error, EINVAL.
            Error::NotTap { interface, .. } => {
                format!("Could not attach interface: {interface}: {}", strerror(Errno::INVAL))
            }
            Error::BlockOpen { path, error } => {
                format!("Could not open block device: {path}: {}", strerror(*error))
            }
            Error::Capacity { path, error } => {
                format!("{path}: Could not determine capacity: {}", strerror(*error))
            }
            Error::Unfit(unfit) if unfit.advice().is_none() => unfit.text(),
            Error::Allocate { error } => {
                format!("Error allocating guest memory: {}", strerror(*error))
            }
            Error::ReadImpliesExec => "Cowardly refusing to run with a sys_personality of \
                READ_IMPLIES_EXEC. Please report a bug, with details of your Linux distribution \
                and GCC version"
                .to_owned(),
            Error::CommandLine { longest } => {
                format!("Guest command line too long (max={longest} characters)")
            }
            Error::Host { what, error } | Error::Confine { what, error } => {
                format!("{what} failed: {}", strerror(*error))
            }
            Error::KvmOpen { error } => format!("Could not open: /dev/kvm: {}", strerror(*error)),
            Error::KvmVersion { have } => {
                format!("KVM: API version is {have}, solo5-hvt requires version 12")
            }
            Error::KvmLacks { what } => format!("KVM: host does not support {what}"),
            Error::KvmClock => "KVM: host TSC is unstable, cannot continue".to_owned(),
            Error::KvmCall { name, error } => {
                format!("KVM: ioctl ({name}) failed: {}", strerror(*error))
            }
            Error::MemoryMaximum(too_much) => too_much.to_string(),
            Error::RingOff { what, error } => {
                format!("{what} failed, falling back to hypercalls: {}", strerror(*error))
            }
            Error::Dumpcore { what, error } => {
                format!("dumpcore: {what}: {}", strerror(*error))
            }
            Error::Gdb { what, error } => format!("GDB: {what}: {}", strerror(*error)),
            Error::GdbPlace { place, error } => {
                let place = match place {
                    Gdb::Port(port) => format!("port {port}"),
                    Gdb::Socket(path) => file(path),
                };
                format!("GDB: listening on {place}: {}", strerror(*error))
            }
            _ => return None,
        })
    }

    /// The message of any other error: with its code and with help.
    fn own(&self) -> Diagnostic {
        let (text, help): (String, String) = match self {
            Error::NoModule { name, kind } => (
                format!(
                    "device '{name}' is of type {} and this tender has no module for it",
                    kind.name()
                ),
                "use a tender built with that module; --help lists the modules".into(),
            ),
            Error::Mtu { interface, mtu } => (
                format!(
                    "interface {interface}: the MTU is {mtu}, which is not between {} and {}",
                    Mtu::RANGE.start(),
                    Mtu::RANGE.end()
                ),
                format!("set another one with `ip link set {interface} mtu 1500`"),
            ),
            Error::Random { error } => (
                format!("no random Ethernet address can be generated: {}", strerror(*error)),
                "give one with --net-mac".into(),
            ),
            Error::Busy { path, writing: true } => (
                format!("{path} is in use by another guest"),
                "stop that guest, or give both --block-access:NAME=read-only".into(),
            ),
            Error::Busy { path, writing: false } => (
                format!("{path} is in use by another guest that may write to it"),
                "stop that guest, or start it with --block-access:NAME=read-only".into(),
            ),
            Error::BlockStandard { path, standard } => {
                let stream = ["standard input", "standard output", "standard error"];
                let stream = stream.get(*standard).copied().unwrap_or_default();
                (
                    format!(
                        "{path} is also {stream}: what is written there would go into the disk"
                    ),
                    "send the console and messages to another file".into(),
                )
            }
            Error::Unmet(unmet) => (unmet.text(), unmet.advice()),
            Error::Unfit(unfit) => (unfit.text(), unfit.advice().unwrap_or_default()),
            Error::MtuMinimum { name, have, least } => (
                format!(
                    "the manifest asks for an MTU of at least {least} for '{name}', but it is {have}"
                ),
                format!("raise it with `ip link set INTERFACE mtu {least}`"),
            ),
            Error::Overlap { size, mapping } => (
                format!(
                    "guest memory of {} would overlap {}",
                    mebibytes(*size),
                    mapping.as_deref().unwrap_or("a mapping of the tender")
                ),
                "ask for less memory with --mem".into(),
            ),
            Error::Pages { kernel, page } => (
                format!(
                    "{}: parts with different rights share a page of this host, which has {} KiB",
                    solo5_report::os_text(kernel),
                    page >> 10
                ),
                "link it with segments aligned to 64 KiB: -z max-page-size=0x10000".into(),
            ),
            Error::ImageSize { kernel, most } => (
                format!(
                    "{} has more than {}, which is the most that is copied",
                    solo5_report::os_text(kernel),
                    mebibytes(*most)
                ),
                "remove its debugging information with solo5-objcopy -S".into(),
            ),
            Error::QemuMissing { program, package } => (
                format!("there is no {program} in PATH"),
                format!("install QEMU, on Debian the package {package}"),
            ),
            Error::QemuStart { program, error } => (
                format!("{program} cannot be executed: {}", strerror(*error)),
                "install QEMU anew, or put another one in front of it in PATH".into(),
            ),
            Error::QemuOld { program, version } => (
                format!("{program} is {version}"),
                "install QEMU 4.2 or later, or put one in front of it in PATH".into(),
            ),
            Error::QemuFailed { by } => (
                format!("QEMU ended with {by} before the guest said anything"),
                "QEMU's own message stands above; --explain shows its command".into(),
            ),
            Error::GuestStopped { by } => (
                format!(
                    "the machine stopped without a status from the guest; QEMU ended with {by}"
                ),
                "the guest was reset, as after a fault that it cannot handle, or QEMU was ended"
                    .into(),
            ),
            Error::GuestHalted { state, interprets } => (
                format!("the machine cannot go on: QEMU says {state}"),
                match interprets {
                    true => {
                        "KVM interprets guests on this host, and not every instruction; \
                        leave --hypervisor=kvm out"
                    }
                    false => "QEMU's own message stands above; try --hypervisor=qemu",
                }
                .into(),
            ),
            Error::FilterLength => (
                "the system call filter is too long for the kernel".into(),
                "attach fewer devices".into(),
            ),
            Error::Report { target, error: Errno::SPIPE } => (
                format!("the outcome cannot be written to {target}: it is a named pipe"),
                "name a file, or give an open pipe by its number with --report=NN".into(),
            ),
            Error::Report { target, error } => (
                format!("the outcome cannot be written to {target}: {}", strerror(*error)),
                "check the value of --report".into(),
            ),
            // Not reached: `upstream` has the message of every other error.
            other => (format!("{other:?}"), "report this as a bug".into()),
        };
        Diagnostic::error(self.code(), text).with_help(help)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

impl std::error::Error for Error {}

/// A warning: the tender goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what the texts print")]
pub enum Warning {
    /// The Ethernet address is a group address, which no interface should send from.
    Multicast { name: String, mac: String },
    /// Guest memory was rounded to a whole granule.
    MemoryAdjusted { bytes: u64 },
    /// The heap is executable, by `--x-exec-heap`.
    ExecHeap,
    /// This is the debug tender.
    Debug,
    /// An optional feature failed; the tender goes on without it.
    Without(Error),
}

impl Warning {
    /// The stable code; `docs/codes` has its page.
    pub fn code(&self) -> &'static str {
        match self {
            Warning::Multicast { .. } => "T413",
            Warning::MemoryAdjusted { .. } => "T451",
            Warning::ExecHeap => "T442",
            Warning::Debug => "T457",
            Warning::Without(error) => error.code(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Multicast { name, mac } => {
                let text = format!("address {mac} of '{name}' is a group address");
                let help = "clear the lowest bit of its first byte, as in 02:00:00:00:00:01";
                let warning = Diagnostic::warning(self.code(), text).with_help(help);
                f.write_str(&solo5_report::line(&warning))
            }
            Warning::MemoryAdjusted { bytes } => write!(f, "adjusting memory to {bytes} bytes"),
            Warning::ExecHeap => f.write_str(
                "WARNING: The use of --x-exec-heap is dangerous and not recommended as it makes \
                 the heap and stack executable.",
            ),
            Warning::Debug => f.write_str(
                "WARNING: This tender is for debugging: the guest can be stopped, changed and \
                 copied. This is not recommended for production use.",
            ),
            Warning::Without(error) => error.fmt(f),
        }
    }
}

/// One reason why no guest is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The stable code.
    pub code: String,
    /// The line, without the program's name.
    pub text: String,
}

/// Why no guest is started. Every error during start-up becomes one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Whether a policy denies the launch (status 60). Otherwise the launch is not possible (status
    /// 1).
    pub denied: bool,
    /// All reasons; at least one.
    pub reasons: Vec<Reason>,
    /// Lines that follow the reasons.
    pub summary: Vec<String>,
    /// Whether the usage text is printed too.
    pub usage: bool,
    /// The mistake and how to mend it, if the reasons do not say so.
    pub advice: Option<String>,
}

/// Code of a wrong option.
pub const CODE_OPTIONS: &str = "T400";
/// Code of a guest that was ended for a fault.
pub const CODE_GUEST_FAULT: &str = "T454";
/// Code of a guest whose stack has overflowed.
pub const CODE_STACK_OVERFLOW: &str = "T445";
/// What messages and reports call it.
pub const STACK_OVERFLOW: &str = "stack overflow";
/// Code of a declared device that is not attached.
pub const CODE_UNATTACHED: &str = "T406";

/// Status of a tender that cannot start its guest.
pub const EXIT_CANNOT: u8 = 1;
/// Status of a tender that is denied its launch: orchestrators do not restart on 60 to 64
/// (`docs/reference/downstream.md#restart`).
pub const EXIT_DENIED: u8 = 60;

impl Refusal {
    /// The exit status.
    pub fn status(&self) -> u8 {
        if self.denied { EXIT_DENIED } else { EXIT_CANNOT }
    }

    /// A launch that is not possible, for reasons that share one code.
    pub fn cannot(code: &'static str, lines: Vec<String>) -> Refusal {
        let reason = |text| Reason { code: code.to_owned(), text };
        Refusal { reasons: lines.into_iter().map(reason).collect(), ..Refusal::default() }
    }

    /// The last line of a failed launch. No guest can write to standard error, so this line shows
    /// that a status of 1 or 60 is the tender's and not the guest's. For a denial, `summary`
    /// already holds this line.
    pub fn closing(&self) -> Option<String> {
        let reason = || self.reasons.last().filter(|_| self.usage).map(|reason| &reason.text);
        match self.advice.as_ref().or_else(reason) {
            _ if self.denied => None,
            Some(reason) => Some(format!("not started: {reason}")),
            None => Some("not started".to_owned()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.reasons.iter().map(|reason| reason.text.as_str()).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for Refusal {}

impl From<Unmet> for Error {
    fn from(unmet: Unmet) -> Error {
        Error::Unmet(unmet)
    }
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Error {
        Error::Unfit(unfit)
    }
}

impl From<TooMuchMemory> for Error {
    fn from(too_much: TooMuchMemory) -> Error {
        Error::MemoryMaximum(too_much)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { advice: error.advice(), ..Refusal::cannot(error.code(), vec![error.line()]) }
    }
}

impl From<solo5_launch::OptionError> for Refusal {
    fn from(error: solo5_launch::OptionError) -> Refusal {
        let (usage, advice) = (error.usage, error.advice);
        Refusal { usage, advice, ..Refusal::cannot(CODE_OPTIONS, error.lines) }
    }
}

#[cfg(test)]
mod tests {
    use solo5_abi::Target;
    use solo5_abi::device::SectorSize;

    use super::*;

    #[test]
    fn upstream_texts_are_kept_to_the_byte() {
        let lines = [
            (
                Error::Open { kernel: "/nonexistent".into(), error: Errno::NOENT },
                "/nonexistent: Could not open: No such file or directory",
            ),
            (
                Error::Image { kernel: "k".into(), fault: ImageError::NoAbi },
                "k: No Solo5 ABI information found in executable",
            ),
            (
                Error::Tap { interface: "@99".into(), error: Errno::BADF },
                "Could not attach interface: @99: Bad file descriptor",
            ),
            (
                Error::BlockOpen { path: "d".into(), error: Errno::ISDIR },
                "Could not open block device: d: Is a directory",
            ),
            (
                Error::Capacity { path: "ff".into(), error: Errno::SPIPE },
                "ff: Could not determine capacity: Illegal seek",
            ),
            (
                Error::Unfit(Unfit::Unaligned {
                    name: "storage".into(),
                    sector_size: SectorSize::new(4096).unwrap(),
                }),
                "storage: Backing storage size must be block aligned (4096 bytes)",
            ),
            (
                Error::Unfit(Unfit::TooSmall {
                    name: "storage".into(),
                    sector_size: SectorSize::MIN,
                }),
                "storage: Backing storage must be at least 1 block (512 bytes) in size",
            ),
            (
                Error::Allocate { error: Errno::NOMEM },
                // The text comes from the C library.
                "Error allocating guest memory: Cannot allocate memory (ENOMEM)",
            ),
            (
                Error::CommandLine { longest: 8191 },
                "Guest command line too long (max=8191 characters)",
            ),
        ];
        for (error, line) in lines {
            assert_eq!(error.line(), line);
        }
    }

    #[test]
    fn our_own_texts_carry_their_code_and_advice() {
        let memory =
            |least, enough_mib| Error::Unmet(Unmet::Memory { have: 1 << 20, least, enough_mib });
        let error = memory(64 << 20, Some(64));
        assert_eq!(
            error.line(),
            "error[T431]: the manifest asks for at least 64 MiB of memory, but the guest would get \
             1 MiB; add --mem=64"
        );
        // An option that cannot help is not advised.
        for least in [u64::MAX, 1 << 63, (1 << 46) + 1] {
            let line = memory(least, None).line();
            assert!(
                line.ends_with("no size suffices: a guest of this target cannot have that much")
            );
        }
    }

    #[test]
    fn an_image_for_another_target_is_named() {
        let closing = |found| {
            let fault = ImageError::AbiTarget { wanted: Target::Spt, found };
            Refusal::from(Error::Image { kernel: "k".into(), fault }).closing().unwrap()
        };
        for (target, end) in [
            (Target::Hvt, ": start it with solo5-hvt"),
            (Target::Virtio, ": start it with solo5-virtio-run"),
            (Target::Muen, ", which no program of this suite starts"),
        ] {
            let wanted = format!("not started: it is for solo5-{}{end}", target.name());
            assert_eq!(closing(target.number()), wanted);
        }
        assert!(closing(99).ends_with("the number 99, which is unknown"));
    }

    #[test]
    fn what_is_no_image_is_named() {
        for (bytes, closing) in [
            (&b"\x1f\x8b\x08\0"[..], "not started: it is a gzip file"),
            (&[b'#'; 600], "not started: it is a text, not an ELF file"),
            (&[0x9d; 600], "not started"),
        ] {
            let fault = solo5_image::Image::read(bytes, &[solo5_abi::Arch::X86_64]).unwrap_err();
            let refusal = Refusal::from(Error::Image { kernel: "k".into(), fault });
            assert_eq!(refusal.closing().as_deref(), Some(closing));
        }
    }

    #[test]
    fn a_debuggers_place_in_use_is_advised_on() {
        let refusal = |place| Refusal::from(Error::GdbPlace { place, error: Errno::ADDRINUSE });
        let port = refusal(Gdb::Port(1234));
        let line = "GDB: listening on port 1234: Address already in use (EADDRINUSE)";
        assert_eq!(port.reasons[0].text, line);
        assert!(port.closing().unwrap().contains("--gdb-port"));
        let socket = refusal(Gdb::Socket("/run/s".into())).closing().unwrap();
        assert!(socket.contains("remove /run/s if no tender"), "{socket}");
        let other = Error::GdbPlace { place: Gdb::Port(1), error: Errno::ACCESS };
        assert_eq!(Refusal::from(other).closing().as_deref(), Some("not started"));
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let sources = [include_str!("error.rs"), include_str!("../../../launch/src/unfit.rs")];
        let codes_of = |source: &'static str| {
            source
                .match_indices("\"T4")
                .filter_map(|(at, _)| source.get(at + 1..at + 5))
                .filter(|code| code.ends_with(|c: char| c.is_ascii_digit()))
        };
        let mut codes: Vec<&str> = sources.into_iter().flat_map(codes_of).collect();
        codes.sort_unstable();
        codes.dedup();
        let pages: Vec<&str> =
            solo5_report::explain::codes().filter(|code| code.starts_with("T4")).collect();
        assert_eq!(codes, pages);
    }
}
