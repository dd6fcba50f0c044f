//! From an allowed guest to its last instruction (`spec/20` §7, §8).

use std::ffi::{CString, OsString};
use std::ops::Range;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::AtomicBool;

use rustix::mm::{MapFlags, ProtFlags};
use solo5_abi::hvt::x86_64::table;
use solo5_abi::hvt::{BOOT_INFO_BASE, MEMORY_GRANULE, MEMORY_MAX};
use solo5_abi::mft1::Entry;
use solo5_abi::{Arch, Target};
use solo5_image::{LoadPlan, Protection};
use solo5_tender::attach::{Backing, Device};
use solo5_tender::boot::{self, Guest, Launch, Modules, Tender};
use solo5_tender::console::Console;
use solo5_tender::explain::Safeguard;
use solo5_tender::load::load;
use solo5_tender::memory::{Allegation, GuestMemory};
use solo5_tender::problem::{Problem, Refusal};
use solo5_tender::report::Reporter;
use solo5_tender::seccomp::{Instruction, Rule, assemble};
use solo5_tender::start::{self, host};
use solo5_tender::sys::{self, Errno, landlock};

use crate::boot_info::{self, Facts};
use crate::devices::{Devices, Events, TIMER};
use crate::end::Witness;
use crate::exit::{Exit, decode};
use crate::fault::{Code, GuestFault};
use crate::filter::{self, Descriptors};
use crate::hypercall::{End, Host, Next};
use crate::layout::{self, Executable, Size};
use crate::memory::SharedMemory;
use crate::sandbox::Sandbox;
use crate::vm::{self, Machine, Vcpu};
use crate::{cpuid, signals};

/// The KVM tender; with `DEBUG`, the one for debugging.
#[derive(Clone, Copy, Debug)]
pub struct Hvt<const DEBUG: bool>;

impl<const DEBUG: bool> Tender for Hvt<DEBUG> {
    const TARGET: Target = Target::Hvt;
    const NAME: &'static str = if DEBUG { "solo5-hvt-debug" } else { "solo5-hvt" };

    fn modules(&self) -> Modules {
        Modules {
            gdb: DEBUG && cfg!(feature = "debug"),
            dumpcore: DEBUG && cfg!(feature = "debug"),
            ..boot::modules(Target::Hvt)
        }
    }

    fn memory(&self, asked: u64, launch: &Launch, console: &Console) -> Result<u64, Problem> {
        let bytes = layout::rounded(asked);
        if bytes != asked {
            console.warn(&Problem::MemoryAdjusted { bytes });
        }
        let size = layout::size(bytes, !launch.nets.is_empty());
        let most = MEMORY_MAX;
        size.map(|size| size.guest).ok_or(Problem::MemoryMaximum { bytes, most })
    }

    fn rules(&self, launch: &Launch, devices: &[Device]) -> Vec<Rule> {
        let own = Descriptors {
            vcpu: -1,
            epoll: -1,
            timer: -1,
            kick: has_net(devices).then_some(-1),
            report: None,
        };
        let mut rules = filter::guest_thread(&own, devices);
        let io = filter::io_thread(&own, devices);
        rules.extend(
            io.into_iter()
                .map(|rule| Rule { reason: format!("I/O thread: {}", rule.reason).into(), ..rule }),
        );
        #[cfg(feature = "debug")]
        {
            if launch.dumpcore.is_some() {
                rules.extend(crate::dumpcore::rules(-1, -1, -1));
            }
            if launch.gdb.is_some() {
                rules.extend(crate::gdb::rules(-1, -1));
            }
        }
        #[cfg(not(feature = "debug"))]
        let _ = launch;
        rules
    }

    fn safeguards(&self, launch: &Launch) -> Vec<Safeguard> {
        let row = |what, how, available| Safeguard { what, how, available };
        let mut rows = vec![
            row("a machine of its own", "KVM", vm::is_usable()),
            row(
                "system calls",
                "a seccomp filter for each thread that ends the process, never to be lifted",
                sys::has_seccomp_kill_process(),
            ),
            row(
                "no page writable and executable",
                "page tables with the no-execute bit, but for --x-exec-heap",
                true,
            ),
            row("code and constants cannot be changed", "mprotect of the host's mapping", true),
            row("no file or socket can be opened", "Landlock", landlock::version().is_some()),
            row("no capabilities", "capset, no_new_privs", true),
            row("no other descriptors", "close_range", true),
            row("no core file, no debugger of the same user", "PR_SET_DUMPABLE", true),
        ];
        if launch.user.is_some() {
            rows.push(row("a user of its own", "--user", true));
        }
        if launch.chroot.is_some() {
            rows.push(row("a root directory of its own", "--chroot", true));
        }
        rows
    }

    fn start(&self, guest: Guest, reporter: Option<&mut Reporter>, console: &Console) -> Refusal {
        if DEBUG {
            console.warn(&Problem::DebugWarning);
        }
        let report = reporter.as_ref().map(|reporter| reporter.fd());
        let ready = prepare(guest, report, console);
        let problem = match ready.and_then(|ready| ready.confine(reporter, console)) {
            Ok(running) => running.run(),
            Err(problem) => problem,
        };
        problem.into()
    }
}

fn has_net(devices: &[Device]) -> bool {
    devices.iter().any(|device| matches!(device.backing, Backing::Net { .. }))
}

/// A guest in memory, with everything it needs to run.
struct Ready {
    vcpu: Vcpu,
    host: Host,
    witness: &'static Witness,
    sandbox: Sandbox,
    /// The I/O thread's filter.
    io: Vec<Instruction>,
    /// The boot information as it is if there is no I/O thread.
    without_ring: solo5_abi::hvt::BootInfo,
    #[cfg(feature = "debug")]
    dump: Option<crate::dumpcore::Dump>,
    #[cfg(feature = "debug")]
    debugger: Option<(crate::gdb::Debugger, SharedMemory)>,
}

/// A guest whose tender is confined.
pub(crate) struct Running {
    pub(crate) vcpu: Vcpu,
    host: Host,
    witness: &'static Witness,
    #[cfg(feature = "debug")]
    dump: Option<crate::dumpcore::Dump>,
    #[cfg(feature = "debug")]
    debugger: Option<(crate::gdb::Debugger, SharedMemory)>,
}

/// Guest memory and what became of it when the image was loaded.
struct Loaded {
    base: usize,
    size: Size,
    protected: Vec<(Range<u64>, Protection)>,
    /// Pages of code, as guest addresses.
    code: Vec<Range<u64>>,
}

fn prepare(guest: Guest, report: Option<RawFd>, console: &Console) -> Result<Ready, Problem> {
    let Guest {
        kernel,
        file,
        plan,
        mut manifest,
        devices,
        memory,
        executable_heap,
        arguments,
        user,
        chroot,
        dumpcore,
        gdb,
    } = guest;
    let command_line = start::command_line(&arguments)?;
    start::check_personality()?;
    signals::handle(console.program(), report).map_err(host("sigaction()"))?;

    let machine = Machine::new()?;
    let ring = if has_net(&devices) { MEMORY_GRANULE } else { 0 };
    let size = Size { guest: memory, mapped: memory + ring };
    #[cfg(feature = "debug")]
    let shared = gdb.as_ref().map(|_| crate::gdb::backing(size.mapped)).transpose()?;
    #[cfg(not(feature = "debug"))]
    let shared = None;
    let base = map(size.mapped, shared.as_ref())?;
    let loaded = load_image(&plan, &file, base, size, kernel.clone())?;
    drop(file);
    // SAFETY: the mapping `map` has made, which is never undone.
    unsafe { machine.set_memory(loaded.base, size.mapped) }?;

    let executable = if executable_heap || !cpuid::has_no_execute(machine.supported()) {
        Executable::All
    } else {
        Executable::Only(&loaded.code)
    };
    let tables = layout::tables(size.mapped, executable);
    let special = layout::special_registers(executable);
    let registers = layout::registers(plan.entry, size.guest);
    machine.set_cpu(&special, &registers)?;
    let frequency = machine.counter_frequency()?;

    let (epoll, timer) = start::events(&devices, TIMER)?;
    let kick = if ring > 0 { or_warn(kick(&machine), console)? } else { None };

    let facts = Facts {
        memory: size.guest,
        kernel_end: plan.kernel_end,
        frequency,
        ring: kick.map(|_| size.guest),
    };
    manifest.iter_mut().for_each(Entry::hide_host_fd);
    let boot_info = boot_info::encode(facts, &manifest, &command_line);
    let without_ring = Facts { ring: None, ..facts };
    let without_ring = boot_info::info(without_ring, manifest.len());
    write_low(&loaded, &[(table::GDT, &tables), (BOOT_INFO_BASE, &boot_info)])?;

    let vcpu = machine.into_vcpu();
    let own = Descriptors {
        vcpu: vcpu.fd(),
        epoll: epoll.as_raw_fd(),
        timer: timer.as_raw_fd(),
        kick,
        report,
    };
    let mut rules = filter::guest_thread(&own, &devices);
    let io = filter::io_thread(&own, &devices);
    let mut keep = vec![own.vcpu, own.epoll, own.timer];
    keep.extend([own.kick, own.report].into_iter().flatten());
    keep.extend(devices.iter().map(Device::fd_number));
    #[cfg(feature = "debug")]
    let dump = match dumpcore {
        Some(directory) => {
            let dump = crate::dumpcore::Dump::create(&directory, size.guest)?;
            rules.extend(crate::dumpcore::rules(own.vcpu, dump.file(), dump.directory()));
            keep.extend(dump.descriptors());
            Some(dump)
        }
        None => None,
    };
    #[cfg(feature = "debug")]
    let debugger = match (gdb, &shared) {
        (Some(place), Some(shared)) => {
            use crate::gdb::{Debugger, watch_input};
            let debugger = Debugger::wait(&place, kernel.as_ref(), console)?;
            watch_input(&debugger, &epoll, TIMER)?;
            rules.extend(crate::gdb::rules(own.vcpu, debugger.fd()));
            keep.push(debugger.fd());
            let alias = map(size.mapped, Some(shared))?;
            // SAFETY: a mapping of its own, readable and writable, never unmapped.
            let memory = unsafe { SharedMemory::new(alias, size.guest, Vec::new()) };
            Some((debugger, memory))
        }
        _ => None,
    };
    #[cfg(not(feature = "debug"))]
    {
        // The options do not exist, and there is nothing to add.
        let _ = (dumpcore, gdb, &mut rules);
    }
    let filter = |rules: &[Rule]| {
        let arch = Arch::HOST.unwrap_or(Arch::X86_64);
        assemble(rules, arch).ok_or(Problem::FilterLength)
    };
    #[cfg(feature = "debug")]
    let removable = dump.as_ref().map(|dump| dump.directory());
    #[cfg(not(feature = "debug"))]
    let removable = None;
    let sandbox = Sandbox {
        removable,
        chroot: chroot.map(c_string).transpose()?,
        user,
        keep,
        guest: filter(&rules)?,
    };

    // SAFETY: `map` has mapped this memory, which is never unmapped; `load_image` has protected the
    // pages in `protected` as it says there. The ring's part behind `size.guest` is left out.
    let memory = unsafe { SharedMemory::new(loaded.base, size.guest, loaded.protected) };
    let memory: &'static SharedMemory = Box::leak(Box::new(memory));
    let devices: &'static Devices = Box::leak(Box::new(Devices::new(devices)));
    let events = Events { epoll: epoll.into_raw_fd(), timer: timer.into_raw_fd() };
    let witness = Witness {
        program: console.program().to_owned(),
        report,
        code: Code(loaded.code),
        memory,
        spoken: AtomicBool::new(false),
    };
    Ok(Ready {
        vcpu,
        host: Host {
            memory,
            devices,
            events,
            #[cfg(feature = "net")]
            ring: kick.map(|kick| ring_at(loaded.base, memory, devices, kick)),
        },
        witness: Box::leak(Box::new(witness)),
        sandbox,
        io: filter(&io)?,
        without_ring,
        #[cfg(feature = "debug")]
        dump,
        #[cfg(feature = "debug")]
        debugger,
    })
}

fn c_string(path: OsString) -> Result<CString, Problem> {
    // Arguments have no NUL in them.
    CString::new(path.into_vec())
        .map_err(|_| Problem::Confine { what: "chroot()", error: Errno::INVAL })
}

/// Maps `size` bytes of zeros, those of `shared` if there is one, for good. Returns where.
fn map(size: u64, shared: Option<&OwnedFd>) -> Result<usize, Problem> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let (at, length) = (std::ptr::null_mut(), size as usize);
    let mapped = match shared {
        None => {
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
            // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
            unsafe { rustix::mm::mmap_anonymous(at, length, access, flags) }
        }
        // SAFETY: as above; the file is this process's own.
        Some(file) => unsafe { rustix::mm::mmap(at, length, access, MapFlags::SHARED, file, 0) },
    };
    let mapped = mapped.map_err(|error| Problem::Allocate { error })?;
    Ok(mapped.expose_provenance())
}

/// Loads the image's segments into memory that [`map`] has made at `base`.
fn load_image(
    plan: &LoadPlan,
    file: &std::fs::File,
    base: usize,
    size: Size,
    kernel: OsString,
) -> Result<Loaded, Problem> {
    // SAFETY: the mapping `map` has made: readable, writable, fresh, and never unmapped.
    let memory = unsafe { GuestMemory::from_raw(base, 0, size.guest) };
    let mut protected = Vec::new();
    let loaded = load(&memory, file, plan, |pages, wanted| {
        let rights = in_host(wanted);
        if rights == Protection::READ_WRITE {
            return Ok(());
        }
        memory.protect(pages.clone(), rights)?;
        protected.push((pages, rights));
        Ok(())
    });
    loaded.map_err(|error| error.problem(kernel))?;
    let code = plan.segments.iter().filter(|segment| segment.protection.execute);
    Ok(Loaded { base, size, protected, code: code.map(|segment| segment.pages.clone()).collect() })
}

/// The rights a guest's page has in the tender's own mapping: nothing of it is ever executed there,
/// and what the guest executes or writes it can read.
fn in_host(wanted: Protection) -> Protection {
    Protection {
        read: wanted.read || wanted.write || wanted.execute,
        write: wanted.write,
        execute: false,
    }
}

/// Writes what lies below the image.
fn write_low(loaded: &Loaded, pieces: &[(u64, &[u8])]) -> Result<(), Problem> {
    // SAFETY: as in `load_image`; no segment, and so no protected page, is this low.
    let memory = unsafe { GuestMemory::from_raw(loaded.base, 0, loaded.size.guest) };
    for (at, bytes) in pieces {
        // It always fits: all of it ends below the lowest guest address.
        let outside = |_| host("writing boot information")(Errno::FAULT);
        memory.write(Allegation(*at), bytes).map_err(outside)?;
    }
    Ok(())
}

/// Makes the eventfd that the guest's kicks add to. `None` if KVM does not know such.
fn kick(machine: &Machine) -> Result<Option<RawFd>, Problem> {
    if !cfg!(feature = "net") || !machine.can_kick() {
        return Ok(None);
    }
    let made = vmm_sys_util::eventfd::EventFd::new(libc::EFD_CLOEXEC);
    let made = made.map_err(|error| Problem::RingOff {
        what: "eventfd()",
        error: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })?;
    machine.kick(&made)?;
    Ok(Some(made.into_raw_fd()))
}

/// A ring that cannot be had is a warning; everything else stops the launch.
fn or_warn<T>(result: Result<Option<T>, Problem>, console: &Console) -> Result<Option<T>, Problem> {
    match result {
        Err(problem @ Problem::RingOff { .. }) => {
            console.warn(&problem);
            Ok(None)
        }
        result => result,
    }
}

/// The ring behind guest memory.
#[cfg(feature = "net")]
fn ring_at(
    base: usize,
    memory: &'static SharedMemory,
    devices: &'static Devices,
    kick: RawFd,
) -> &'static crate::ring::Shared<crate::ring::Wire> {
    use crate::ring::{Shared, Wire};
    let at = std::ptr::with_exposed_provenance::<solo5_abi::hvt::ring::Ring>(
        base + memory.size() as usize,
    );
    // SAFETY: the last granule of the mapping is the ring's alone: page-aligned, large enough, all
    // zero, readable and writable for good. Its fields are atomics, for which any bits do and which
    // the guest may change.
    let ring = unsafe { &*at };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    Box::leak(Box::new(Shared::new(ring, Wire { devices, memory }, kick, cpus)))
}

impl Ready {
    /// Enters the sandbox.
    fn confine(
        self,
        reporter: Option<&mut Reporter>,
        console: &Console,
    ) -> Result<Running, Problem> {
        let Ready {
            vcpu,
            #[cfg(feature = "net")]
            mut host,
            #[cfg(not(feature = "net"))]
            host,
            witness,
            sandbox,
            io,
            without_ring,
            #[cfg(feature = "debug")]
            dump,
            #[cfg(feature = "debug")]
            debugger,
        } = self;
        sandbox.enter(|| {
            #[cfg(feature = "net")]
            if let Some(ring) = host.ring {
                let work = move || witness.fault(ring.serve(), None);
                if or_warn(crate::sandbox::thread(io, work).map(Some), console)?.is_none() {
                    host.ring = None;
                    let at = Allegation(BOOT_INFO_BASE);
                    let outside = |_| start::host("writing boot information")(Errno::FAULT);
                    host.memory.store(at, &without_ring).map_err(outside)?;
                }
            }
            #[cfg(not(feature = "net"))]
            let _ = (io, without_ring, console);
            reporter.map_or(Ok(()), Reporter::started)
        })?;
        Ok(Running {
            vcpu,
            host,
            witness,
            #[cfg(feature = "debug")]
            dump,
            #[cfg(feature = "debug")]
            debugger,
        })
    }
}

impl Running {
    /// Runs the guest to its end, and the process with it.
    pub(crate) fn run(mut self) -> ! {
        #[cfg(feature = "debug")]
        if let Some((debugger, memory)) = self.debugger.take() {
            debugger.run(self, &memory)
        }
        loop {
            let exit = self.vcpu.run();
            match self.step(exit) {
                Ok(Next::Run) => {}
                Ok(Next::End(end)) => self.end(end),
                Err(fault) => self.fault(fault),
            }
        }
    }

    /// Does what an exit asks for.
    pub(crate) fn step(&self, exit: Exit) -> Result<Next, GuestFault> {
        match decode(exit, self.host.memory.size())? {
            None => Ok(Next::Run),
            Some(call) => self.host.handle(call),
        }
    }

    /// The end of a guest that has ended itself.
    pub(crate) fn end(&self, end: End) -> ! {
        #[cfg(feature = "debug")]
        self.dump(end.status == EXIT_ABORT, end.trap);
        self.witness.exit(end)
    }

    /// The end of a guest that has done what it must not.
    pub(crate) fn fault(&self, fault: GuestFault) -> ! {
        #[cfg(feature = "debug")]
        self.dump(true, None);
        self.witness.fault(fault, self.vcpu.registers())
    }

    /// The end of a guest by the debugger.
    #[cfg(feature = "debug")]
    pub(crate) fn quit(&self, line: &str, status: u8) -> ! {
        self.dump(false, None);
        self.witness.quit(line, status)
    }

    /// Dumps the guest's core if that was asked for and it did not end well.
    #[cfg(feature = "debug")]
    fn dump(&self, wanted: bool, trap: Option<solo5_abi::hvt::x86_64::TrapFrame>) {
        match &self.dump {
            Some(dump) if wanted => {
                dump.write(&self.vcpu, self.host.memory, trap, &self.witness.program);
            }
            Some(dump) => dump.remove(),
            None => {}
        }
    }
}

/// Status of a guest that aborts.
#[cfg(feature = "debug")]
const EXIT_ABORT: i32 = 255;
