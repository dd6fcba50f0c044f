//! `lab`: emulated machines, for tests that need one.
//!
//! A scenario boots Debian's kernel in an emulator with an initramfs of its own: busybox, the staged
//! tree, unikernels built beforehand, and the end-to-end tests as one static program. The emulated
//! processor's virtualisation gives the machine's KVM real semantics with nested paging, so the host
//! needs no KVM. The kernel is fetched once and kept under `target/lab`.
//!
//! | phase | file |
//! |---|---|
//! | programs and the kernel, from Debian's packages | [`packages`] |
//! | the machine's file system | [`initramfs`] |
//! | an emulator that boots both | [`svm`], [`vmx`] |
//! | machines run side by side, and what comes back | [`machine`] |
//!
//! | scenario | machine | what runs in it |
//! |---|---|---|
//! | `hvt` | [`svm`]: QEMU, AMD's virtualisation | every end-to-end test with the target hvt in its name, except the test of debug registers; the tender's own tests |
//! | `vmx` | [`vmx`]: Bochs, Intel's virtualisation | the same and the test of debug registers, except the tests that take longest |

mod initramfs;
mod machine;
pub(crate) mod packages;
mod svm;
mod vmx;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use crate::run::{cargo, output, run};
use crate::{Arguments, Result, peer, stage};

use initramfs::Initramfs;
use machine::Boot;
pub(crate) use machine::{Line, Machine, run_all};

pub(crate) const ARGUMENTS: &str = "SCENARIO [FILTER]";
pub(crate) const HELP: &str = "Boot an emulated machine and run tests in it; SCENARIO: hvt (AMD's virtualisation), vmx \
     (Intel's).";

/// A machine, and what is tested in it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    machine: machine::Emulator,
    /// Programs that the scenario needs on the host, and the packages that have them.
    programs: &'static [(&'static str, &'static str)],
    /// Modules in the order they are loaded. A module without a file is built into the kernel.
    modules: &'static [&'static str],
    /// Texts of which an end-to-end test's name must contain one.
    names: &'static [&'static str],
    /// Texts in the names of tests that are left out.
    not: &'static [&'static str],
    /// How many machines share the tests.
    machines: usize,
}

pub(crate) const SCENARIOS: [Scenario; 2] = [
    Scenario {
        name: "hvt",
        machine: svm::machine,
        programs: &svm::PROGRAMS,
        modules: &["irqbypass", "rng-core", "ccp", "kvm", "kvm-amd", "tun"],
        names: &["/hvt"],
        // QEMU arms no debug registers for the guests of its guests.
        not: &["gdb/hardware"],
        // A machine keeps one of the host's processors busy.
        machines: 2,
    },
    Scenario {
        name: "vmx",
        machine: vmx::machine,
        programs: &vmx::PROGRAMS,
        modules: &["irqbypass", "kvm", "kvm-intel", "tun"],
        names: &["/hvt"],
        not: &[
            // Floods, a race and the largest guest: they would take longer than all other tests.
            "guest/net/",
            "guest/net_2if/",
            "guest/net_ring/",
            "features/frames/hvt/old-guest",
            "guest/hostile_net/hvt/race",
            "guest/memory/hvt/default-size",
            // The other scenario runs the tests against a peer.
            "peer",
            // In Bochs an interrupt does not stop a guest that has its own interrupts off.
            "an_endless_guest_ends_by_a_signal",
            "clock/stopped-while-it-computes",
        ],
        machines: 1,
    },
];

/// Factor by which a test may take longer in an emulated machine.
const PATIENCE: &str = "10";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let (name, filter) = match arguments.as_slice() {
        [name] => (name, None),
        [name, filter] => (name, Some(filter.as_str())),
        _ => return Err(format!("usage: cargo xtask lab {ARGUMENTS}").into()),
    };
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.ok_or_else(|| {
        let names = SCENARIOS.map(|scenario| scenario.name).join(", ");
        format!("there is no scenario '{name}'; there are {names}")
    })?;
    scenario.prepare()?;
    stage::build(stage::Effort::Full)?;
    let mut failed = Vec::new();
    run_all(&scenario.machines(filter)?, &mut |line| match line {
        Line::Said { machine, text } => println!("{}: {text}", machine.name),
        Line::Ended { result: Ok(true), .. } => {}
        Line::Ended { machine, result: Ok(false) } => {
            failed.push(format!("{}: there are failures", machine.name));
        }
        Line::Ended { machine, result: Err(error) } => {
            failed.push(format!("{}: {error}", machine.name));
        }
    });
    if failed.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(failed.join("\n").into()) }
}

/// The lab's folder.
fn lab() -> PathBuf {
    crate::root().join("target/lab")
}

/// The folder of the unikernels.
fn images() -> PathBuf {
    lab().join("images")
}

impl Scenario {
    /// Installs or fetches what the machine needs and this host lacks.
    ///
    /// # Errors
    /// A package cannot be installed or fetched.
    pub(crate) fn prepare(&self) -> Result<()> {
        packages::programs(self.programs)?;
        packages::kernel(&lab())?;
        packages::debugger(&lab()).map(drop)
    }

    /// The machines that run the tests with the staged tree: all, or those with `filter` in their name.
    ///
    /// # Errors
    /// A test program or a unikernel cannot be built, or a machine's file system cannot be written.
    pub(crate) fn machines(&self, filter: Option<&str>) -> Result<Vec<Machine>> {
        guests("hvt", &images())?;
        // The tests that one is looking for are few.
        let count = if filter.is_some() { 1 } else { self.machines };
        (1..=count).map(|number| self.share(number, count, filter)).collect()
    }

    /// The machine that runs one of `count` shares of the tests.
    fn share(&self, number: usize, count: usize, filter: Option<&str>) -> Result<Machine> {
        let mut tree = self.tests()?;
        tree.variable("SOLO5_SHARE", format!("{number}/{count}"));
        let name =
            if count == 1 { self.name.to_owned() } else { format!("{}-{number}", self.name) };
        self.machine(tree, &self.commands(filter, number == 1), name, self.machine)
    }

    /// A machine with `tree`, in which `commands` run; its files under `target/lab` get `name`.
    fn machine(
        &self,
        mut tree: Initramfs,
        commands: &[String],
        name: String,
        emulator: machine::Emulator,
    ) -> Result<Machine> {
        let lab = lab();
        let kernel = packages::kernel(&lab)?;
        tree.program(&packages::which("busybox")?, "/bin/busybox")?;
        tree.program(&packages::which("ip")?, "/sbin/ip")?;
        for module in self.modules {
            if let Some(file) =
                packages::find(&kernel.join("lib/modules"), &format!("{module}.ko"))?
            {
                tree.module(module, &file)?;
            }
        }
        let boot = Boot {
            kernel: packages::find(&kernel.join("boot"), "vmlinuz")?
                .ok_or("the kernel package has no kernel")?,
            initramfs: tree.pack(commands, &lab.join(format!("{name}.cpio")))?,
            log: lab.join(format!("{name}.log")),
            emulator: lab.join(format!("{name}.emulator.log")),
        };
        Ok(Machine { scenario: self.name, name, boot, emulator })
    }

    /// Everything the tests need, where they expect it.
    fn tests(&self) -> Result<Initramfs> {
        let root = crate::root();
        let (lab, images) = (lab(), images());
        let mut tree = Initramfs::new()?;
        tree.program(&packages::debugger(&lab)?, "/sbin/gdb")?;
        for (package, name) in [("solo5-tests", "e2e"), ("solo5-hvt", "launch")] {
            tree.stripped(&test_program(package, name)?, &Path::new("/bin").join(name))?;
        }
        for folder in [stage::prefix(), images.clone(), root.join("tests/guests")] {
            tree.folder(&folder)?;
        }
        if let Some(peer) = peer::there() {
            for tender in ["solo5-spt", "solo5-hvt"] {
                let tender = peer.join("bin").join(tender);
                tree.program(&tender, &tender.to_string_lossy())?;
            }
            // An installed release has no unikernels.
            let unikernels = peer.join("unikernels");
            if unikernels.exists() {
                tree.folder(&unikernels)?;
            }
            tree.variable("SOLO5_PEER", peer);
        }
        tree.variable("SOLO5_PREFIX", stage::prefix());
        tree.variable("SOLO5_IMAGES", images);
        tree.variable("SOLO5_HVT", stage::prefix().join("bin/solo5-hvt"));
        tree.variable("SOLO5_PATIENCE", PATIENCE);
        Ok(tree)
    }

    /// The commands that a machine runs; the tender's own tests only in the `first` one.
    fn commands(&self, filter: Option<&str>, first: bool) -> Vec<String> {
        // One test at a time: the machine is slower than one real processor.
        let options = "--test-threads=1 --color=never";
        // Tests of other targets and of the tools run on the host.
        let elsewhere = ["/spt", "stub/", "image/", "peer/tools/"];
        let not = elsewhere.iter().chain(self.not);
        let not: String = not.map(|name| format!(" --skip={name}")).collect();
        let tests = filter.as_ref().map_or(self.names, std::slice::from_ref);
        let e2e = tests.iter().map(|test| ("e2e", *test));
        let launch = first.then_some(("launch", filter.unwrap_or_default()));
        e2e.chain(launch)
            .map(|(program, test)| format!("{program} {test}{not} {options}"))
            .collect()
    }
}

/// Runs a shell script in [`svm::counting`]'s machine and returns the lines that it prints.
/// `files` are pairs of a program or another file of this host and its path in the machine. The lines
/// are also left in `target/lab/bench.results`.
///
/// # Errors
/// The machine cannot be made, or the script fails.
pub(crate) fn measure(files: &[(PathBuf, String)], script: &str) -> Result<Vec<String>> {
    const SCRIPT: &str = "/bench/script";
    let [scenario, ..] = &SCENARIOS;
    scenario.prepare()?;
    let tree = Initramfs::new()?;
    for (from, to) in files {
        tree.program(from, to)?;
    }
    let text = tempfile::NamedTempFile::new()?;
    std::fs::write(&text, script)?;
    tree.file(text.path(), Path::new(SCRIPT))?;
    let mut lines = Vec::new();
    let command = format!("sh {SCRIPT}");
    let machine = scenario.machine(tree, &[command], "bench".to_owned(), svm::counting)?;
    let done = machine.run(&mut |line| lines.push(line.to_owned()))?;
    std::fs::write(lab().join("bench.results"), lines.join("\n"))?;
    if done {
        Ok(lines)
    } else {
        let last = lines.split_off(lines.len().saturating_sub(5)).join("\n");
        Err(format!("the script in the lab failed after:\n{last}").into())
    }
}

/// Builds the unikernels that run on `target` into `images`, if they changed.
fn guests(target: &str, images: &Path) -> Result<()> {
    run(cargo()
        .current_dir(crate::root())
        .args(["run", "--quiet", "--package", "solo5-tests"])
        .args(["--bin", "build-guests", "--", target])
        .arg(images)
        .env("SOLO5_PREFIX", stage::prefix())
        .stdout(Stdio::null()))
}

/// Builds the tests `name` of `package` as a static program.
fn test_program(package: &str, name: &str) -> Result<PathBuf> {
    let root = crate::root();
    let messages = output(
        cargo()
            .current_dir(&root)
            .args(["test", "--quiet", "--package", package])
            .args(["--test", name, "--no-run", "--message-format=json"])
            .args(["--target", &stage::program_triple()?, "--target-dir"])
            .arg(root.join("target/stage"))
            .env("CARGO_ENCODED_RUSTFLAGS", stage::rustflags(&root)),
    )?;
    // One message a line. Other programs of the package have messages too.
    let path = String::from_utf8(messages)?.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_ours = message["target"]["name"] == name;
        let path = is_ours.then(|| message["executable"].as_str())??;
        Some(PathBuf::from(path))
    });
    path.ok_or_else(|| format!("cargo names no test program {name}").into())
}
