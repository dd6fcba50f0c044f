//! Prepares an allowed guest: loads it into memory and makes everything that it needs to run.

use std::ffi::{CString, OsString};
use std::ops::Range;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use solo5_abi::Arch;
use solo5_abi::hvt::{BOOT_INFO_BASE, MEMORY_GRANULE};
use solo5_abi::mft1::Entry;
use solo5_abi::offer::Feature;
use solo5_tender::attach::{Backing, Device, Locks};
use solo5_tender::boot::{Gdb, Guest};
use solo5_tender::console::Console;
use solo5_tender::error::{Error, Warning};
use solo5_tender::offer::Offered;
use solo5_tender::report::Reporter;
use solo5_tender::seccomp::{Instruction, Rule, assemble};
use solo5_tender::start::{self, host};
use solo5_tender::sys::Errno;
use zerocopy::IntoBytes;

use crate::boot_info::{self, Facts};
use crate::devices::{DEBUGGER, Devices, Events, TIMER};
use crate::dumpcore::{self, Dump};
use crate::end::EndContext;
use crate::filter::{self, Descriptors};
use crate::gdb::{self, Debugger, Limits};
use crate::hypercall::Host;
use crate::layout::{Executable, Size};
use crate::memory::{NO_ACCESS, SharedMemory};
use crate::place::{self, Loaded};
use crate::ring;
use crate::running::Running;
use crate::sandbox::{self, Sandbox};
use crate::stack::Code;
use crate::vm::Machine;
use crate::{arch, signals};

/// Whether the guest has a network interface.
pub(crate) fn has_net(devices: &[Device]) -> bool {
    devices.iter().any(|device| matches!(device.backing, Backing::Net { .. }))
}

/// A connected debugger, and its own mapping of guest memory.
pub(crate) type Debugging = (Debugger, SharedMemory);

/// A loaded guest, with everything that it needs to run.
pub(crate) struct Ready {
    running: Running,
    loaded: Loaded,
    sandbox: Sandbox,
    /// The I/O thread's filter.
    io: Vec<Instruction>,
    /// The boot information to use if the I/O thread cannot start.
    without_ring: solo5_abi::hvt::BootInfo,
    debugging: Option<Debugging>,
}

/// Loads `guest` and makes everything that it needs to run.
pub(crate) fn prepare(
    guest: Guest,
    report: Option<RawFd>,
    console: &Console,
) -> Result<Ready, Error> {
    let Guest {
        program: _,
        kernel,
        file,
        plan,
        mut manifest,
        devices,
        memory,
        features,
        guard,
        executable_heap,
        arguments,
        user,
        chroot,
        dumpcore,
        gdb,
        runner: _,
        knows_features: _,
        mtus: _,
    } = guest;
    let command_line = start::command_line(&arguments)?;
    start::check_personality()?;
    signals::handle(console.program(), report).map_err(host("sigaction()"))?;

    let machine = Machine::new()?;
    let ring = if has_net(&devices) { MEMORY_GRANULE } else { 0 };
    let size = Size { guest: memory, mapped: memory + ring };
    let shared = gdb.as_ref().map(|_| gdb::backing(size.mapped)).transpose()?;
    let loaded = Loaded::new(&plan, &file, size, guard.as_ref(), shared.as_ref(), kernel.clone())?;
    drop(file);
    // SAFETY: `Loaded::new` has made this mapping, and it is never unmapped.
    unsafe { machine.set_memory(loaded.base, size.mapped) }?;

    let executable = if executable_heap || !machine.support().has_no_execute() {
        Executable::All
    } else {
        Executable::Only(&loaded.code)
    };
    let tables = arch::tables(size.mapped, executable, guard.as_ref(), features.has(Feature::Seed));
    machine.set_cpu(executable, plan.entry, size.guest)?;
    let frequency = machine.counter_frequency()?;

    let (epoll, timer) = start::events(&devices, TIMER)?;
    let kick = if ring > 0 { or_warn(kick(&machine), console)? } else { None };

    let mut offer = Offered::of(features, guard.as_ref());
    loaded.seed(&mut offer)?;
    let facts = Facts {
        memory: size.guest,
        kernel_end: plan.kernel_end,
        frequency,
        ring: kick.map(|_| size.guest),
        offer,
    };
    manifest.iter_mut().for_each(Entry::hide_host_fd);
    let boot_info = boot_info::encode(facts, &manifest, &command_line);
    let without_ring = Facts { ring: None, ..facts };
    let without_ring = boot_info::info(without_ring, manifest.len());
    loaded.write_low(&[(arch::TABLES, &tables), (BOOT_INFO_BASE, &boot_info)])?;

    let limits = Limits::of(machine.kvm());
    let vcpu = machine.into_vcpu();
    let own = Descriptors {
        vcpu: vcpu.fd(),
        epoll: epoll.as_raw_fd(),
        timer: timer.as_raw_fd(),
        kick,
        report,
    };
    let mut rules = filter::guest_thread(&own, features, &devices);
    let io = filter::io_thread(&own, &devices);
    let mut keep = vec![own.vcpu, own.epoll, own.timer];
    keep.extend([own.kick, own.report].into_iter().flatten());
    keep.extend(devices.iter().map(Device::fd_number));

    let dump = dumpcore.map(|directory| Dump::create(&directory, size.guest)).transpose()?;
    if let Some(dump) = &dump {
        rules.extend(dumpcore::rules(own.vcpu, dump.file(), dump.directory()));
        keep.extend(dump.descriptors());
    }
    let debugging = match (&gdb, &shared) {
        (Some(place), Some(shared)) => {
            let memory = (size, guard.as_ref(), shared);
            Some(wait_for_debugger((place, limits), kernel.as_ref(), &epoll, memory, console)?)
        }
        _ => None,
    };
    if let Some((debugger, _)) = &debugging {
        rules.extend(gdb::rules(own.vcpu, debugger.fd()));
        keep.push(debugger.fd());
    }

    let sandbox = Sandbox {
        removable: dump.as_ref().map(Dump::directory),
        chroot: chroot.map(c_string).transpose()?,
        user,
        keep,
        locks: Locks::on(&devices),
        guest: assembled(&rules)?,
    };
    let memory = loaded.shared();
    let devices: &'static Devices = Box::leak(Box::new(Devices::new(devices, features)));
    let events = Events { epoll: epoll.into_raw_fd(), timer: timer.into_raw_fd() };
    let end_context = EndContext {
        program: console.program().to_owned(),
        report,
        code: Code(loaded.code.clone()),
        memory,
        guard,
        reported: AtomicBool::new(false),
    };
    let ring = kick.and_then(|kick| ring::shared(&loaded, memory, devices, kick));
    Ok(Ready {
        running: Running {
            vcpu,
            host: Host { memory, devices, events, ring, console: libc::STDOUT_FILENO },
            end_context: Box::leak(Box::new(end_context)),
            dump,
        },
        loaded,
        sandbox,
        io: assembled(&io)?,
        without_ring,
        debugging,
    })
}

/// Waits for a debugger, and maps guest memory a second time for it. It cannot access the guard either.
fn wait_for_debugger(
    place: (&Gdb, Limits),
    kernel: &Path,
    epoll: &OwnedFd,
    (size, guard, shared): (Size, Option<&Range<u64>>, &OwnedFd),
    console: &Console,
) -> Result<Debugging, Error> {
    let debugger = Debugger::wait(place, kernel, epoll, DEBUGGER, console)?;
    let alias = place::map(size.mapped, Some(shared))?;
    let guard = guard.map(|guard| (guard.clone(), NO_ACCESS));
    // SAFETY: this is a new mapping, readable and writable, and never unmapped.
    let memory = unsafe { SharedMemory::new(alias, size.guest, guard.into_iter().collect()) };
    Ok((debugger, memory))
}

fn assembled(rules: &[Rule]) -> Result<Vec<Instruction>, Error> {
    assemble(rules, Arch::HOST.unwrap_or(Arch::X86_64)).ok_or(Error::FilterLength)
}

fn c_string(path: OsString) -> Result<CString, Error> {
    // Command line arguments contain no NUL.
    CString::new(path.into_vec())
        .map_err(|_| Error::Confine { what: "chroot()", error: Errno::INVAL })
}

/// Makes the eventfd that the guest's kicks signal. `None` if KVM does not support it.
fn kick(machine: &Machine) -> Result<Option<RawFd>, Error> {
    if !cfg!(feature = "net") || !machine.can_kick() {
        return Ok(None);
    }
    let made = vmm_sys_util::eventfd::EventFd::new(libc::EFD_CLOEXEC);
    let made = made.map_err(|error| Error::RingOff {
        what: "eventfd()",
        error: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })?;
    machine.kick(&made)?;
    Ok(Some(made.into_raw_fd()))
}

/// Turns a failure to set up the ring into a warning; every other error stops the launch.
fn or_warn<T>(result: Result<Option<T>, Error>, console: &Console) -> Result<Option<T>, Error> {
    match result {
        Err(error @ Error::RingOff { .. }) => {
            console.warn(&Warning::Without(error));
            Ok(None)
        }
        result => result,
    }
}

impl Ready {
    /// Enters the sandbox. If there is a ring, the I/O thread starts inside it.
    pub(crate) fn confine(
        self,
        reporter: Option<&mut Reporter>,
        console: &Console,
    ) -> Result<(Running, Option<Debugging>), Error> {
        let Ready { mut running, loaded, sandbox, io, without_ring, debugging } = self;
        let Running { host, end_context, .. } = &mut running;
        // The closure takes ownership of the rest and frees it. Once the filter is installed,
        // freeing could need a call that is not allowed.
        sandbox.enter(move || {
            if let Some(ring) = host.ring {
                let end_context: &'static EndContext = end_context;
                let work = move || end_context.fault(ring.serve(), None);
                if or_warn(sandbox::thread(io, work).map(Some), console)?.is_none() {
                    host.ring = None;
                    loaded.write_low(&[(BOOT_INFO_BASE, without_ring.as_bytes())])?;
                }
            }
            reporter.map_or(Ok(()), Reporter::started)
        })?;
        Ok((running, debugging))
    }
}
