//! A launch, phase by phase, up to the point where the tenders differ.
//!
//! | phase | what |
//! |---|---|
//! | standard descriptors | closed ones are opened on `/dev/null`, before any other file |
//! | options | parsed as typed; the inherited descriptors that they name are looked up |
//! | proofs | if a policy needs them: a sealed copy of the image, its digest and signers |
//! | image | headers, notes, manifest, load plan; options against the manifest |
//! | policy on strings | only the image and the policies have been opened so far |
//! | devices | opened and measured |
//! | policy on descriptors | judges the files that were really opened |
//! | fitness | devices against the manifest and the sector size |
//! | the tender's own part | [`Tender::start`]; it takes the locks on disks last |

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::ops::Range;

use rustix::fs::{FileType, Mode, OFlags};
use solo5_abi::device::Mtu;
use solo5_abi::mft1::{self, DeviceType, Entry, Mft1};
use solo5_abi::mft2::Mft2;
use solo5_abi::offer::{Feature, Features};
use solo5_abi::{Arch, Target};
use solo5_image::{Image, ImageError, LoadPlan};
use solo5_launch::{self as launch, Request, Stop};
pub use solo5_launch::{Gdb, Launch, Modules, Runner, User};
use solo5_policy::{Asked, Phase};

use crate::attach::disks::check_disks;
use crate::attach::{Backing, Device, FileId, Inherited};
use crate::console::Console;
use crate::error::{CODE_OPTIONS, CODE_UNATTACHED, EXIT_CANNOT, Error, Refusal, Warning};
use crate::explain;
use crate::gate::{self, Gate, denial};
use crate::memory::check_room;
use crate::report::{self, Reporter, Sink};
use crate::safeguard::Safeguard;
use crate::seal::prove_if_asked;
use crate::seccomp::Rule;
use crate::signals;
use crate::start::host;
use crate::sys::descriptors::fill_standard_descriptors;

/// What differs between tenders.
pub trait Tender {
    /// The target it runs.
    const TARGET: Target;

    /// Fallback program name, used when `argv[0]` is empty.
    const NAME: &'static str;

    /// The modules that it was built with.
    fn modules(&self) -> Modules {
        modules(Self::TARGET)
    }

    /// The system calls that stay allowed for this launch with these devices, if the guest is
    /// offered `features`. Under `--explain` the devices have no descriptors.
    fn rules(&self, launch: &Launch, features: Features, devices: &[Device]) -> Vec<Rule>;

    /// What else confines the guest, and whether this host supports it.
    fn safeguards(&self, launch: &Launch) -> Vec<Safeguard>;

    /// The architectures whose images it starts: this machine's, if it runs them itself.
    fn architectures(&self) -> &'static [Arch] {
        Arch::HOST.as_slice()
    }

    /// Completes the launch of an image for `arch`.
    ///
    /// # Errors
    ///
    /// What is asked for is not possible for it.
    fn complete(&self, _launch: &mut Launch, _arch: Arch) -> Result<(), Error> {
        Ok(())
    }

    /// Checks what this tender demands of the image besides what all do.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    fn check_image(&self, _launch: &Launch, _file: &File, _kernel: &OsStr) -> Result<(), Error> {
        Ok(())
    }

    /// Checks that this host has `memory` bytes for the guest, for `--explain`: a launch finds out when it
    /// maps them.
    ///
    /// # Errors
    ///
    /// It has not.
    fn check_memory(&self, _launch: &Launch, memory: u64) -> Result<(), Error> {
        check_room(memory).map_err(|error| Error::Allocate { error })
    }

    /// Checks the files and folders that this launch uses besides its devices, for `--explain`: a launch
    /// finds out when it uses them. Changes nothing.
    ///
    /// # Errors
    ///
    /// One of them cannot be used.
    fn check_places(&self, _launch: &Launch) -> Result<(), Error> {
        Ok(())
    }

    /// The programs that this launch would execute, for a tender that executes any. `knows_features`
    /// says whether the image's bindings know more than those of Solo5 0.12. `memory` is in bytes.
    ///
    /// # Errors
    ///
    /// The launch is not possible.
    fn commands(
        &self,
        _launch: &Launch,
        _knows_features: bool,
        _memory: u64,
        _devices: &[Device],
    ) -> Result<Vec<explain::Command>, Error> {
        Ok(Vec::new())
    }

    /// Runs the guest. Returns only if the guest could not be started.
    fn start(&self, guest: Guest, reporter: Option<&mut Reporter>, console: &Console) -> Refusal;
}

/// A guest that the policies allow and whose devices are attached. It has no memory yet.
#[derive(Debug)]
pub struct Guest {
    /// The tender's name as it was called; empty if it was called without one.
    pub program: OsString,
    /// Name of the image as given.
    pub kernel: OsString,
    /// The image.
    pub file: File,
    /// The load plan: which segments go where.
    pub plan: LoadPlan,
    /// The manifest's entries, completed with the device properties that the guest reads.
    pub manifest: Vec<Entry>,
    /// The devices, by index.
    pub devices: Vec<Device>,
    /// Guest memory in bytes; a multiple of 1 MiB.
    pub memory: u64,
    /// What it is offered beyond the interface of Solo5 0.12.
    pub features: Features,
    /// The guard below its stack, if one is offered. The heap ends where the guard begins.
    pub guard: Option<Range<u64>>,
    /// Whether heap and stack are executable.
    pub executable_heap: bool,
    /// The guest's arguments.
    pub arguments: Vec<OsString>,
    /// User and group to run it as.
    pub user: Option<User>,
    /// Root directory to run it with.
    pub chroot: Option<OsString>,
    /// Where to wait for gdb.
    pub gdb: Option<Gdb>,
    /// Folder to leave core dumps in.
    pub dumpcore: Option<OsString>,
    /// What runs the machine, for the runner of virtio machines.
    pub runner: Runner,
    /// Whether its bindings know more than those of Solo5 0.12.
    pub knows_features: bool,
    /// For each device the MTU that the launch names.
    pub mtus: Vec<Option<Mtu>>,
}

/// The modules of a tender for `target` in this build.
pub fn modules(target: Target) -> Modules {
    Modules {
        net: cfg!(feature = "net"),
        block: cfg!(feature = "block"),
        ..Modules::ordinary(target)
    }
}

/// The whole program. Returns the exit status if no guest is started; otherwise it does not return.
pub fn main<T: Tender>(tender: &T, arguments: &[OsString]) -> u8 {
    let filled = fill_standard_descriptors();
    let (zero, arguments) = match arguments.split_first() {
        Some((zero, rest)) => (Some(zero.as_os_str()), rest),
        None => (None, arguments),
    };
    let mut console = Console::new(zero, T::NAME);
    let modules = tender.modules();
    let prepared = signals::survive_file_size_limit().map_err(host("sigaction()"));
    if let Err(error) = prepared {
        console.error(&error);
        return EXIT_CANNOT;
    }
    let filled = match filled {
        Ok(filled) => filled,
        Err(error) => {
            let what = "opening /dev/null for a standard descriptor";
            console.error(&Error::Host { what, error });
            return EXIT_CANNOT;
        }
    };
    console.set_closed(filled);
    let request = match launch::read(arguments, &modules) {
        Ok(request) => request,
        Err(stop) => return answer_without_image::<T>(&stop, &console, &modules),
    };
    let mut inherited = Inherited::find(request.descriptors(), filled);
    let mut reporter = None;
    let opened = request.report().map(|target| Sink::open(target, &request, &mut inherited));
    let result = match opened.transpose() {
        // There is no outcome to report.
        Ok(_) if request.only_explains() => Ok(()),
        Ok(None) => Ok(()),
        Ok(Some(sink)) => {
            report::watch(sink, T::TARGET == Target::Spt, |error| console.error(error))
                .map(|made| reporter = Some(made))
                .map_err(Refusal::from)
        }
        Err(error) => Err(error.into()),
    };
    // After the fork of `report::watch`: there the parent that waits is process 1, and this process
    // is not.
    let result = result.and_then(|()| {
        let handled = signals::end_as_process_1().map_err(host("sigaction()"));
        handled.map_err(Refusal::from)
    });
    let result = result.and_then(|()| {
        let zero = zero.unwrap_or_default();
        run(tender, request, zero, &mut inherited, &modules, reporter.as_mut(), &console)
    });
    match result {
        Ok(status) => status,
        Err(refusal) => {
            console.refuse(&refusal, || launch::usage(console.program(), &modules));
            if let Some(reporter) = &mut reporter {
                reporter.refused(&refusal);
            }
            refusal.status()
        }
    }
}

/// Handles requests that need no image.
fn answer_without_image<T: Tender>(stop: &Stop, console: &Console, modules: &Modules) -> u8 {
    let program = console.program();
    let status = |printed: Result<(), Error>| match printed {
        Ok(()) => 0,
        Err(error) => {
            console.error(&error);
            EXIT_CANNOT
        }
    };
    match stop {
        Stop::Version => {
            let abi = T::TARGET.abi_version().unwrap_or_default();
            let version = solo5_report::VERSION;
            let text = format!("{program} tender, version {version}\nABI version {abi}\n");
            status(console.text(&text))
        }
        Stop::Explain(code) => match solo5_report::explain(code) {
            Some(page) => status(console.output(page)),
            None => {
                console.line(&format!("no page about '{code}'"));
                EXIT_CANNOT
            }
        },
        Stop::MissingKernel { advice } => {
            let lines = vec![launch::MISSING_KERNEL.to_owned()];
            let refusal = Refusal::cannot(CODE_OPTIONS, lines);
            let refusal = Refusal { usage: true, advice: advice.clone(), ..refusal };
            console.refuse(&refusal, || launch::usage(program, modules));
            EXIT_CANNOT
        }
        Stop::Help => {
            let _ = console.text(&launch::usage(program, modules));
            EXIT_CANNOT
        }
    }
}

fn run<T: Tender>(
    tender: &T,
    request: Request,
    program: &OsStr,
    inherited: &mut Inherited,
    modules: &Modules,
    reporter: Option<&mut Reporter>,
    console: &Console,
) -> Result<u8, Refusal> {
    let kernel = request.kernel().to_owned();
    let fault = |fault: ImageError| Error::Image { kernel: kernel.clone(), fault };
    // What is no unikernel may be the value of an option.
    let advised = |error: Error| {
        let refusal = Refusal::from(error);
        let value = request.advice_on_kernel().map(str::to_owned);
        let parts: Vec<String> = refusal.advice.into_iter().chain(value).collect();
        Refusal { advice: (!parts.is_empty()).then(|| parts.join("; ")), ..refusal }
    };
    let file = open_image(&kernel).map_err(&advised)?;
    let image_file = FileId::of(&file).ok();
    let policies = gate::policies(&request, inherited)?;
    let (file, proof) = prove_if_asked(file, &kernel, &policies, request.labels())?;
    let image = Image::read(&file, tender.architectures()).map_err(fault).map_err(&advised)?;
    image.abi_of(T::TARGET).map_err(fault)?;
    let manifest = image.checked_manifest().map_err(fault)?;
    let (known, needed) = image.features().map_err(fault)?;
    let properties = image.properties().map_err(fault)?;
    let properties = properties.as_ref();

    check_modules(&manifest, modules)?;
    let mut launch = request.check(&manifest, properties)?;
    tender.complete(&mut launch, image.arch())?;
    tender.check_image(&launch, &file, &kernel)?;
    let mut unattached = launch.unattached(&manifest);
    if let Some(closing) = unattached.pop() {
        return Err(Refusal {
            summary: vec![closing],
            advice: launch.advice_on_unattached(&manifest, properties),
            ..Refusal::cannot(CODE_UNATTACHED, unattached)
        });
    }
    let bytes = solo5_launch::rounded(T::TARGET, launch.memory_asked());
    if bytes != launch.memory_asked() {
        console.warn(&Warning::MemoryAdjusted { bytes });
    }
    let memory = launch.guest_memory(T::TARGET).map_err(Error::from)?;
    if let Some(unmet) = launch.unmet(T::TARGET, memory, properties).into_iter().next() {
        return Err(Error::from(unmet).into());
    }
    let features = launch.features(known, needed);
    let plan = image.plan_as_loaded(&file, T::TARGET);
    let plan = plan.map_err(|found| fault(found.in_memory(memory)))?;
    plan.fits(memory).map_err(|found| {
        let advice = launch.advice_on_memory(T::TARGET, plan.minimum_memory);
        Refusal { advice, ..fault(found).into() }
    })?;
    let stack = properties.and_then(Mft2::stack).filter(|_| features.has(Feature::Stack));
    let guard = stack.map(|stack| launch.guard(T::TARGET, memory, plan.minimum_memory, stack));
    let guard = guard.transpose().map_err(Error::Unmet)?;

    let asked = Asked { proof, ..Asked::new(launch, T::TARGET, properties) };
    let mut gate = Gate::new(policies, asked);
    let mut safeguards = Vec::new();
    if !gate.is_open() || gate.launch().explain {
        safeguards = tender.safeguards(gate.launch());
        gate.confined_by(&safeguards);
    }
    if gate.launch().explain {
        // If the options alone are already denied, no device is inspected.
        let looked = !gate.decide(Phase::Strings).is_denied();
        let devices = match looked.then(|| gate.attach(inherited)).transpose() {
            Err(refusal) if refusal.denied => None,
            devices => devices?,
        };
        let launch = gate.launch();
        let decision = gate.decide(Phase::Strings);
        if !decision.is_denied() {
            check_devices(devices.as_deref().unwrap_or_default(), image_file)?;
            tender.check_memory(launch, memory)?;
            tender.check_places(launch)?;
        }
        let commands = devices
            .as_deref()
            .map(|devices| tender.commands(launch, !known.is_empty(), memory, devices));
        let commands = commands.transpose()?.unwrap_or_default();
        let explanation = explain::Explanation {
            program: console.program(),
            target: T::TARGET,
            kernel: &kernel,
            manifest_version: image.manifest_version(),
            plan: &plan,
            launch,
            memory,
            features,
            needs: needed,
            stack: properties.and_then(Mft2::stack),
            guard: guard.as_ref(),
            devices: devices.as_deref(),
            decision: &decision,
            rules: &tender.rules(launch, features, devices.as_deref().unwrap_or_default()),
            safeguards: &safeguards,
            commands: &commands,
        };
        console.output(&explanation.shown(launch.format))?;
        return if decision.is_denied() { Err(denial(&decision)) } else { Ok(0) };
    }

    gate.check(Phase::Strings)?;
    let devices = gate.attach(inherited)?;
    gate.check(Phase::Descriptors)?;
    // Only after the policy check: a denied launch must reveal nothing about the device.
    check_devices(&devices, image_file)?;
    let launch = gate.into_launch();
    warn(&launch, console);

    let mtu = |device: &Device| launch.nets.iter().find(|net| net.index == device.index)?.mtu;
    let guest = Guest {
        mtus: devices.iter().map(mtu).collect(),
        knows_features: !known.is_empty(),
        runner: launch.runner,
        program: program.to_owned(),
        plan,
        manifest: entries(&manifest, &devices, features),
        devices,
        memory,
        features,
        guard,
        executable_heap: launch.exec_heap,
        arguments: launch.arguments,
        user: launch.user,
        chroot: launch.chroot,
        gdb: launch.gdb,
        dumpcore: launch.dumpcore,
        kernel: kernel.clone(),
        file,
    };
    Err(tender.start(guest, reporter, console))
}

fn open_image(kernel: &OsString) -> Result<File, Error> {
    // Without `O_NONBLOCK`, opening a FIFO would wait for a writer. The flag does not matter for
    // regular files.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let opened = rustix::fs::open(kernel.as_os_str(), flags, Mode::empty());
    let file = opened.map_err(|error| Error::Open { kernel: kernel.clone(), error })?;
    let is_pipe = rustix::fs::fstat(&file)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if is_pipe {
        return Err(Error::Pipe { kernel: kernel.clone() });
    }
    Ok(File::from(file))
}

/// Refuses an image that declares a device whose module is not compiled in.
fn check_modules(manifest: &Mft1<'_>, modules: &Modules) -> Result<(), Error> {
    let missing = |kind: &DeviceType| match kind {
        DeviceType::NetBasic => !modules.net,
        DeviceType::BlockBasic => !modules.block,
    };
    let mut devices = manifest.devices();
    match devices.find_map(|(_, entry)| Some((entry, entry.kind().filter(missing)?))) {
        Some((entry, kind)) => Err(Error::NoModule { name: entry.name().to_owned(), kind }),
        None => Ok(()),
    }
}

/// Refuses devices that are allowed but unusable: a disk that is also another disk, the image, or
/// open for writing as a standard descriptor; a disk that is not a whole number of sectors; one tap
/// for two devices; a tap that was renamed since a policy judged it; and any device that is smaller
/// than the manifest requires.
fn check_devices(devices: &[Device], image: Option<FileId>) -> Result<(), Error> {
    check_disks(devices, image)?;
    #[cfg(feature = "net")]
    crate::attach::net::check_taps(devices)?;
    for device in devices {
        match device.backing {
            #[cfg(feature = "net")]
            Backing::Net { .. } => crate::attach::net::check_name_unchanged(device)?,
            #[cfg(feature = "block")]
            Backing::Block { .. } => crate::attach::block::check_whole_sectors(device)?,
            #[cfg(not(all(feature = "net", feature = "block")))]
            _ => {}
        }
        device.check_minimum()?;
    }
    Ok(())
}

/// Warns about unsafe choices.
fn warn(launch: &Launch, console: &Console) {
    if launch.exec_heap {
        console.warn(&Warning::ExecHeap);
    }
    for net in &launch.nets {
        if let Some(mac) = net.mac.filter(|mac| mac.is_multicast()) {
            console.warn(&Warning::Multicast { name: net.name.clone(), mac: mac.to_string() });
        }
    }
}

/// The manifest's entries as the guest receives them.
fn entries(manifest: &Mft1<'_>, devices: &[Device], features: Features) -> Vec<Entry> {
    let mut entries = manifest.entries().to_vec();
    for (index, entry) in entries.iter_mut().enumerate() {
        for device in devices.iter().filter(|device| device.index == index) {
            let fd = device.fd_number();
            match &device.backing {
                Backing::Net { mtu, mac, .. } => {
                    entry.attach_net(mft1::Net::new(mac.unwrap_or_default(), mtu.bytes()), fd);
                }
                Backing::Block { capacity, sector_size, .. } => {
                    entry.attach_block(mft1::Block::new(*capacity, sector_size.bytes()), fd);
                    entry.set_flush(device.flush(features));
                }
            }
        }
    }
    entries
}
