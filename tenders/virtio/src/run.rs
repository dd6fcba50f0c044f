//! The runner as an implementation of `solo5_tender::boot::Tender`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use solo5_abi::offer::Features;
use solo5_abi::{Arch, Target};
use solo5_launch::{Hypervisor, Machine, Runner, Unfit};
use solo5_tender::attach::{Access, Backing, Device, Locks};
use solo5_tender::boot::{Guest, Launch, Tender};
use solo5_tender::console::Console;
use solo5_tender::error::{EXIT_CANNOT, Error, Refusal};
use solo5_tender::explain::Command;
use solo5_tender::memory::check_room;
use solo5_tender::process::die_of;
use solo5_tender::report::{Outcome, Reporter};
use solo5_tender::safeguard::{self, Safeguard};
use solo5_tender::seal;
use solo5_tender::seccomp::Rule;
use solo5_tender::start::host;
use solo5_tender::sys::Errno;

use crate::monitor::Monitor;
use crate::process::{self, Inherits};
use crate::relay::{Said, relay};
use crate::vector::{Handle, Parts, command_words, joined, mtus};
use crate::watch::{Ended, Relaying};
use crate::{accelerator, bhyve, qemu};

/// Status of QEMU when a guest of Solo5 0.12 has exited, whatever its status was.
const EXITED: i32 = 83;

/// What protects the host from a guest in the first place.
const MACHINE: &str = "a machine of its own";

/// The runner of virtio machines.
#[derive(Clone, Copy, Debug)]
pub struct Virtio;

impl Tender for Virtio {
    const TARGET: Target = Target::Virtio;
    const NAME: &'static str = "solo5-virtio-run";

    fn architectures(&self) -> &'static [Arch] {
        // QEMU has both machines, whatever this one is.
        &[Arch::X86_64, Arch::Aarch64]
    }

    fn complete(&self, launch: &mut Launch, arch: Arch) -> Result<(), Error> {
        let runner = &mut launch.runner;
        let machine = runner.machine.or(Machine::usual(arch)).unwrap_or(Machine::Pc);
        if machine.arch() != arch {
            return Err(Unfit::OtherMachine { machine: machine.name(), arch }.into());
        }
        runner.machine = Some(machine);
        let other = match runner.hypervisor {
            Hypervisor::Kvm => Arch::HOST != Some(arch),
            Hypervisor::Bhyve => arch != Arch::X86_64,
            Hypervisor::Best | Hypervisor::Qemu => false,
        };
        if other {
            let (hypervisor, arch) = (runner.hypervisor.name(), arch.name());
            let why = format!("{hypervisor} runs no unikernels for {arch} here");
            return Err(Unfit::Hypervisor { why }.into());
        }
        Ok(())
    }

    fn rules(&self, _launch: &Launch, _features: Features, _devices: &[Device]) -> Vec<Rule> {
        // QEMU's filter is its own.
        Vec::new()
    }

    fn safeguards(&self, launch: &Launch) -> Vec<Safeguard> {
        if launch.runner.hypervisor == Hypervisor::Bhyve {
            // Nothing of this host confines a guest on another one.
            let lack = "only on FreeBSD";
            return vec![Safeguard { lack, ..Safeguard::host(MACHINE, "bhyve", false) }];
        }
        let filter = "QEMU's own seccomp filter";
        let machine = machine(launch.runner);
        let sandbox = qemu::find(machine.arch()).is_ok_and(|qemu| qemu.sandbox);
        let lack = match launch.runner.hypervisor {
            Hypervisor::Qemu => Some("not used with --hypervisor=qemu"),
            _ if Arch::HOST != Some(machine.arch()) => {
                Some("only for unikernels of this machine's architecture")
            }
            // With a flaw of KVM it is used all the same.
            Hypervisor::Kvm => accelerator::lack(),
            Hypervisor::Best | Hypervisor::Bhyve => accelerator::flaw(),
        };
        let mut rows = vec![Safeguard::kvm(MACHINE, "KVM", lack)];
        // QEMU is executed, which makes a process dumpable again.
        let common = safeguard::common(filter).into_iter();
        rows.extend(common.filter(|row| row.how != "PR_SET_DUMPABLE").map(|row| {
            let available = !row.is_missing() && (row.how != filter || sandbox);
            Safeguard::host(row.what, row.how, available)
        }));
        rows.push(Safeguard::tender("the image that was judged", "a sealed copy in memory"));
        rows.push(Safeguard::tender(
            "no file but the devices given",
            "descriptors instead of paths",
        ));
        rows
    }

    fn check_image(&self, launch: &Launch, file: &File, kernel: &OsStr) -> Result<(), Error> {
        match launch.runner.hypervisor {
            Hypervisor::Bhyve => Ok(()),
            // It is copied.
            Hypervisor::Best | Hypervisor::Kvm | Hypervisor::Qemu => seal::check_size(file, kernel),
        }
    }

    fn check_memory(&self, launch: &Launch, memory: u64) -> Result<(), Error> {
        match launch.runner.hypervisor {
            // Its guest runs on another host.
            Hypervisor::Bhyve => Ok(()),
            Hypervisor::Best | Hypervisor::Kvm | Hypervisor::Qemu => {
                check_room(memory).map_err(|error| Error::Allocate { error })
            }
        }
    }

    fn commands(
        &self,
        launch: &Launch,
        knows_features: bool,
        memory: u64,
        devices: &[Device],
    ) -> Result<Vec<Command>, Error> {
        if launch.runner.hypervisor == Hypervisor::Bhyve {
            return bhyve::commands(launch, memory, devices, knows_features);
        }
        let machine = machine(launch.runner);
        let (program, sandbox) = match qemu::find(machine.arch()) {
            Ok(qemu) => (qemu.path.into_os_string(), qemu.sandbox),
            Err(_) => (qemu::name(machine.arch()).0.into(), true),
        };
        let arguments = command_words(&launch.arguments, devices, knows_features);
        let parts = Parts {
            machine,
            kvm: kvm(launch.runner),
            sandbox,
            memory,
            kernel: &launch.kernel,
            image: Handle::Named("image".to_owned()),
            status: Handle::Named("status".to_owned()),
            monitor: Handle::Named("monitor".to_owned()),
            command_line: joined(&arguments)?,
            knows_features,
            devices,
            mtus: &mtus(launch, devices),
        };
        let words = std::iter::once(program).chain(parts.words()?).collect();
        Ok(vec![Command { words, input: None }])
    }

    fn start(&self, guest: Guest, reporter: Option<&mut Reporter>, console: &Console) -> Refusal {
        match run(guest, reporter, console) {
            Ok(Conclusion::Status(status)) => std::process::exit(status.into()),
            Ok(Conclusion::Signal(signal)) => die_of(signal),
            Err(refusal) => refusal,
        }
    }
}

/// The machine, which [`Tender::complete`] has chosen.
fn machine(runner: Runner) -> Machine {
    runner.machine.unwrap_or(Machine::Pc)
}

/// Whether KVM is to run the guest.
fn kvm(runner: Runner) -> bool {
    if Arch::HOST != Some(machine(runner).arch()) {
        return false;
    }
    match runner.hypervisor {
        Hypervisor::Best => accelerator::runs_guests(),
        Hypervisor::Kvm => true,
        Hypervisor::Qemu | Hypervisor::Bhyve => false,
    }
}

/// How this program ends.
enum Conclusion {
    Status(u8),
    Signal(i32),
}

/// Runs the guest to its end.
fn run(
    guest: Guest,
    mut reporter: Option<&mut Reporter>,
    console: &Console,
) -> Result<Conclusion, Refusal> {
    match guest.runner.hypervisor {
        Hypervisor::Bhyve => {
            return Err(Error::Unfit(Unfit::bhyve()).into());
        }
        Hypervisor::Kvm => accelerator::require()?,
        Hypervisor::Best | Hypervisor::Qemu => {}
    }
    let machine = machine(guest.runner);
    let qemu = qemu::find(machine.arch())?;
    let image = seal::copy(&guest.file)?;
    let devices = readable_only(guest.devices)?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(host("pipe2()"));
    let ((said, to_console), (told, to_status)) = (pipe()?, pipe()?);
    let ((has_ended, ended), (relayed, is_relayed)) = (pipe()?, pipe()?);
    let (monitor, to_monitor) = Monitor::pair()?;
    let arguments = command_words(&guest.arguments, &devices.given, guest.knows_features);
    let kvm = kvm(guest.runner);
    let parts = Parts {
        machine,
        kvm,
        sandbox: qemu.sandbox,
        memory: guest.memory,
        kernel: &guest.kernel,
        image: Handle::Open(image.as_raw_fd()),
        status: Handle::Open(to_status.as_raw_fd()),
        monitor: Handle::Open(to_monitor.as_raw_fd()),
        command_line: joined(&arguments)?,
        knows_features: guest.knows_features,
        devices: &devices.given,
        mtus: &guest.mtus,
    };
    let words = parts.words()?;
    if !guest.runner.quiet {
        let program = std::iter::once(qemu.path.clone().into_os_string());
        let command = Command { words: program.chain(words.clone()).collect(), input: None };
        let _ = console.text(&format!("+ exec {}\n", command.shown()));
    }
    // SAFETY: `devices` holds their descriptors.
    unsafe { Locks::on(&devices.given).take() }?;
    let keep = devices.given.iter().map(Device::fd_number).chain([image.as_raw_fd()]).collect();
    let inherits = Inherits { console: to_console, status: to_status, monitor: to_monitor, keep };
    let running = process::start(&qemu.path, words, inherits)?;
    if let Some(reporter) = &mut reporter {
        reporter.started()?;
    }
    let relaying = std::thread::Builder::new().spawn(move || {
        let said = relay(said, told, has_ended);
        drop(is_relayed);
        said
    });
    let relaying = relaying.map_err(|error| {
        let error = Errno::from_io_error(&error).unwrap_or(Errno::AGAIN);
        host("pthread_create()")(error)
    })?;
    let concluded = match running.wait(monitor, Relaying { ended, relayed })? {
        Ended::Asked(signal) => return Ok(Conclusion::Signal(signal)),
        Ended::Stopped(state) => {
            Err(Error::GuestHalted { state, interprets: kvm && !accelerator::runs_guests() })
        }
        Ended::Itself(status) => {
            let said = relaying.join().unwrap_or_default();
            conclude(said, status.exit_status(), status.terminating_signal())
        }
    };
    concluded.map_or_else(
        |error| {
            let reason = match error {
                Error::GuestStopped { .. } => "the machine stopped without a status",
                Error::GuestHalted { .. } => "the machine cannot go on",
                error => return Err(error.into()),
            };
            console.error(&error);
            if let Some(reporter) = &mut reporter {
                let reason = Some((error.code(), reason));
                reporter.ended(Outcome::GuestFault, EXIT_CANNOT, reason)?;
            }
            Ok(Conclusion::Status(EXIT_CANNOT))
        },
        |status| Ok(Conclusion::Status(status)),
    )
}

/// The status of a guest that has `said` this, on a QEMU that ended with `exit` or by `signal`.
fn conclude(said: Said, exit: Option<i32>, signal: Option<i32>) -> Result<u8, Error> {
    let by = match (exit, signal) {
        (Some(status), _) => format!("status {status}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    };
    match (said.status, exit) {
        (Some(status), _) => Ok(status),
        (None, Some(EXITED)) => Ok(EXITED as u8),
        (None, Some(0)) => Err(Error::GuestStopped { by }),
        (None, _) if said.anything => Err(Error::GuestStopped { by }),
        (None, _) => Err(Error::QemuFailed { by }),
    }
}

/// Devices, and the descriptors that keep the locks on them.
struct Devices {
    given: Vec<Device>,
    /// Closing any descriptor of a file drops the locks on it.
    _kept: Vec<OwnedFd>,
}

/// Devices whose descriptors are open exactly for the access that the guest gets: QEMU takes no other
/// for a disk.
fn readable_only(devices: Vec<Device>) -> Result<Devices, Error> {
    let (mut given, mut kept) = (Vec::new(), Vec::new());
    for mut device in devices {
        if let (Backing::Block { access: Access::ReadOnly, path, .. }, Some(fd)) =
            (&device.backing, &device.fd)
        {
            let failed = |error| Error::BlockOpen { path: path.clone(), error };
            let flags = rustix::fs::fcntl_getfl(fd).map_err(failed)?;
            if flags & OFlags::ACCMODE != OFlags::RDONLY {
                let this = OsString::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
                let again = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let again = rustix::fs::open(&this, again, Mode::empty()).map_err(failed)?;
                kept.extend(device.fd.replace(again));
            }
        }
        given.push(device);
    }
    Ok(Devices { given, _kept: kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_the_guests_or_the_exit_ports_or_none() {
        let said = |anything, status| Said { anything, status };
        let code = |error: Error| error.code();
        let concluded = |said, exit, signal| conclude(said, exit, signal).map_err(code);
        assert_eq!(concluded(said(true, Some(7)), Some(EXITED), None), Ok(7));
        assert_eq!(concluded(said(true, Some(255)), Some(0), None), Ok(255));
        assert_eq!(concluded(said(true, None), Some(EXITED), None), Ok(83), "Solo5 0.12");
        assert_eq!(concluded(said(false, None), Some(0), None), Err("T463"), "a reset");
        assert_eq!(concluded(said(true, None), None, Some(libc::SIGSYS)), Err("T463"));
        assert_eq!(concluded(said(false, None), Some(1), None), Err("T462"));
    }
}
