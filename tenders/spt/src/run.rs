//! Loads an allowed guest, drops all privileges, and starts it.

use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use solo5_abi::offer::{Feature, Features};
use solo5_abi::spt::{BOOT_INFO_BASE, INTERNAL_TIMERFD};
use solo5_abi::{Arch, Target};
use solo5_image::{Protection, pages};
use solo5_tender::attach::{Backing, Device, Locks};
use solo5_tender::boot::{Guest, Launch, Tender};
use solo5_tender::confine;
use solo5_tender::console::{Console, open_output_again};
use solo5_tender::error::{Error, Refusal};
use solo5_tender::load::{LoadError, load};
use solo5_tender::memory::GuestMemory;
use solo5_tender::offer::{self, Offered};
use solo5_tender::report::Reporter;
use solo5_tender::safeguard::{self, Safeguard};
use solo5_tender::seccomp::{Instruction, Rule, assemble};
use solo5_tender::start;
use solo5_tender::sys::descriptors::close_all_but;
use solo5_tender::sys::{Errno, image};

use crate::arch;
use crate::boot_info::{self, Facts, NAMES_BASE};
use crate::enter::{Start, enter};
use crate::{filter, place};

/// The seccomp tender.
#[derive(Clone, Copy, Debug)]
pub struct Spt;

impl Tender for Spt {
    const TARGET: Target = Target::Spt;
    const NAME: &'static str = "solo5-spt";

    fn rules(&self, _launch: &Launch, features: Features, devices: &[Device]) -> Vec<Rule> {
        filter::rules(-1, -1, features, devices)
    }

    fn safeguards(&self, launch: &Launch) -> Vec<Safeguard> {
        let mut rows =
            safeguard::common("a seccomp filter that ends the process and cannot be removed");
        rows.extend([
            Safeguard::tender(
                "no page writable and executable",
                if launch.exec_heap { "mprotect, except for heap and stack" } else { "mprotect" },
            ),
            Safeguard::tender(
                "nothing below 0x11000, boot information read-only",
                "nothing is mapped there, mprotect",
            ),
            Safeguard::tender("no program, heap or stack of the tender in memory", "munmap"),
            Safeguard::tender(
                "no trace of the tender in registers",
                "all cleared before the first instruction",
            ),
        ]);
        rows
    }

    fn start(&self, guest: Guest, reporter: Option<&mut Reporter>, _console: &Console) -> Refusal {
        match prepare(guest, reporter.as_ref().map(|reporter| reporter.fd())) {
            Ok(ready) => ready.go(reporter).into(),
            Err(error) => error.into(),
        }
    }
}

/// A loaded guest, with everything that the jump needs.
struct Ready {
    filter: Vec<Instruction>,
    start: Start,
    guard: Option<Range<u64>>,
    keep: Vec<RawFd>,
    locks: Locks,
}

fn host(what: &'static str) -> impl Fn(Errno) -> Error {
    move |error| Error::Host { what, error }
}

fn prepare(guest: Guest, report: Option<RawFd>) -> Result<Ready, Error> {
    let Guest {
        program,
        kernel,
        file,
        plan,
        mut manifest,
        devices,
        memory: size,
        features,
        guard,
        executable_heap,
        arguments,
        // The other fields are set only by options of hvt.
        ..
    } = guest;
    let command_line = start::command_line(&arguments)?;
    start::check_personality()?;
    let memory = place::map(size, executable_heap)?;

    let page = image::page_size();
    let rights = pages::rights(&plan, page);
    let rights = rights.ok_or_else(|| Error::Pages { kernel: kernel.clone(), page })?;
    // Two segments may share a page of the host, so all are loaded before any is protected.
    let loaded = load(&memory, &file, &plan, |_, _| Ok(()));
    let base = if executable_heap { None } else { Some(Protection::READ_WRITE) };
    let protected = loaded.and_then(|()| {
        // The memory already has these rights, unless the heap is executable.
        let mut rights = rights.into_iter().filter(|(_, protection)| Some(*protection) != base);
        let done =
            rights.try_for_each(|(pages, protection)| place::give(&memory, pages, protection));
        done.map_err(LoadError::Protect)
    });
    protected.map_err(|error| error.of(kernel.clone()))?;
    drop(file);
    if let Some(guard) = guard.clone() {
        place::seal_guard(&memory, guard).map_err(host("mprotect()"))?;
    }

    let (epoll, timer) = start::events(&devices, INTERNAL_TIMERFD)?;
    let mut offer = Offered::of(features, guard.as_ref());
    offer::seed(&memory, &mut offer)?;
    let facts = Facts {
        memory: size,
        kernel_end: plan.kernel_end,
        epollfd: epoll.as_raw_fd(),
        timerfd: timer.as_raw_fd(),
        offer,
    };
    for device in &devices {
        // Tells the bindings that they may remove a deleted tap from the epoll set. The filter
        // allows this for every tap.
        if let (Backing::Net { .. }, Some(entry)) =
            (&device.backing, manifest.get_mut(device.index))
        {
            entry.allow_forgetting();
        }
    }
    let names = boot_info::names(&program, &kernel);
    write_low(&memory, &boot_info::encode(facts, &manifest, &command_line), &names)?;
    let seed = features.has(Feature::Seed);
    place::seal_low(&memory, seed).map_err(host("mprotect()"))?;

    let mut rules = filter::rules(epoll.as_raw_fd(), timer.as_raw_fd(), features, &devices);
    rules.extend(report.map(filter::closing));
    let arch = Arch::HOST.unwrap_or(Arch::X86_64);
    let filter = assemble(&rules, arch).ok_or(Error::FilterLength)?;
    let mut keep: Vec<RawFd> = devices.iter().map(Device::fd_number).collect();
    keep.extend([epoll.as_raw_fd(), timer.as_raw_fd()]);
    keep.extend(report);
    let locks = Locks::on(&devices);
    // The guest uses these descriptors until the process ends, so they must not be closed here.
    std::mem::forget((epoll, timer, devices));
    Ok(Ready {
        filter,
        start: Start {
            entry: plan.entry,
            stack: size - arch::STACK_OFFSET,
            boot_info: BOOT_INFO_BASE,
            memory_end: size,
            names: NAMES_BASE..NAMES_BASE + names.len() as u64,
            close: report,
        },
        guard,
        keep,
        locks,
    })
}

fn write_low(memory: &GuestMemory, bytes: &[u8], names: &[u8]) -> Result<(), Error> {
    // It always fits: even the longest boot information ends far below the lowest guest address.
    let outside = |_| Error::Host { what: "writing boot information", error: Errno::FAULT };
    memory.write(BOOT_INFO_BASE, bytes).map_err(outside)?;
    memory.write(NAMES_BASE, names).map_err(outside)
}

impl Ready {
    /// Drops all privileges and starts the guest. Returns only on an error.
    fn go(mut self, reporter: Option<&mut Reporter>) -> Error {
        match self.confine(reporter) {
            Err(error) => error,
            Ok(()) => {
                // SAFETY: the plan's entry is in an executable segment of the guest, and the stack
                // ends where the memory that `place::map` made ends. No thread was ever started,
                // and `confine` has set no_new_privs. The filter has the rules of the architecture and
                // one for closing the report, to which nothing writes any more.
                let error = unsafe { enter(&self.filter, self.start) };
                host("seccomp(SECCOMP_SET_MODE_FILTER)")(error)
            }
        }
    }

    fn confine(&mut self, reporter: Option<&mut Reporter>) -> Result<(), Error> {
        confine::no_new_privileges().map_err(host("prctl(PR_SET_NO_NEW_PRIVS)"))?;
        confine::capabilities().map_err(host("capset()"))?;
        // An undumpable process writes no core file, so RLIMIT_CORE need not change.
        confine::undumpable().map_err(host("prctl(PR_SET_DUMPABLE)"))?;
        open_output_again();
        // SAFETY: the guest's descriptors and the report's are kept. No other owner of a descriptor
        // from 3 on is used again, because the process becomes the guest or exits.
        unsafe { close_all_but(&mut self.keep) }.map_err(host("close_range()"))?;
        // SAFETY: the devices' descriptors are among the kept ones.
        unsafe { self.locks.take() }?;
        let Some(reporter) = reporter else {
            return Ok(());
        };
        if let Some(guard) = &self.guard {
            reporter.guard(guard)?;
        }
        reporter.started()
    }
}
