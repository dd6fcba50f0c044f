//! `lab`: emulated machines, for tests that need one.
//!
//! A scenario boots Debian's kernel in an emulator with an initramfs of its own: busybox, the staged
//! tree, unikernels built beforehand, and the end-to-end tests as one static program. The emulated
//! processor's virtualisation gives the machine's KVM real semantics with nested paging, so the host
//! needs no KVM. The kernel is fetched once and kept under `target/lab`.
//!
//! | phase | file |
//! |---|---|
//! | programs and the kernel, from Debian's packages | [`packages`]; for another architecture [`foreign`] |
//! | the machine's file system | [`initramfs`] |
//! | an emulator that boots both | [`svm`], [`vmx`], [`virt`], [`pseries`] |
//! | machines run side by side, and what comes back | [`machine`] |
//!
//! | scenario | machine | what runs in it |
//! |---|---|---|
//! | `hvt` | [`svm`]: QEMU, AMD's virtualisation | every end-to-end test with the target hvt in its name, except the test of debug registers; the tender's own tests |
//! | `vmx` | [`vmx`]: Bochs, Intel's virtualisation | the same and the test of debug registers, except the tests that take longest |
//! | `aarch64` | [`virt`]: QEMU, Arm's virtualisation | unit tests, and what this architecture has of the above |
//! | `ppc64le` | [`pseries`]: QEMU, pages of 64 KiB | the same, without hvt |
//!
//! `virtio-aarch64` boots no such machine: there the unikernels themselves are what QEMU's `virt` starts.

mod foreign;
mod initramfs;
mod machine;
pub(crate) mod packages;
mod pseries;
mod svm;
mod virt;
mod vmx;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use solo5_abi::Arch;

use crate::cross::Compiler;
use crate::part::Part;
use crate::run::{cargo, output, run};
use crate::{Arguments, Result, peer, stage};

use initramfs::Initramfs;
use machine::Boot;
pub(crate) use machine::{Line, Machine, run_all};

pub(crate) const ARGUMENTS: &str = "SCENARIO [FILTER]";
pub(crate) const HELP: &str = "Boot an emulated machine and run tests in it; SCENARIO: hvt (AMD's virtualisation), vmx \
     (Intel's), aarch64, ppc64le; or virtio-aarch64, whose unikernels need no system.";

/// A machine, and what is tested in it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The machine's architecture. What runs in it is compiled for that.
    pub(crate) arch: Arch,
    machine: machine::Emulator,
    /// The machine's device for results.
    results: &'static str,
    /// Programs that the scenario needs on the host, and the packages that have them.
    programs: &'static [(&'static str, &'static str)],
    /// Modules in the order they are loaded. A module without a file is built into the kernel.
    modules: &'static [&'static str],
    /// Texts of which an end-to-end test's name must contain one. Those that begin with a slash name targets.
    names: &'static [&'static str],
    /// Texts in the names of tests that are left out.
    not: &'static [&'static str],
    /// Test programs besides the end-to-end tests.
    programs_of: &'static [TestProgram],
    /// How many machines share the tests.
    machines: usize,
    /// Whether `cargo xtask test` runs it; others run by name only.
    pub(crate) in_test: bool,
}

/// A program that cargo makes of a package's tests.
struct TestProgram {
    package: &'static str,
    /// A file of `tests`; `None` is for the tests in the library itself.
    test: Option<&'static str>,
}

/// The tests of the tender hvt.
const HVT: TestProgram = TestProgram { package: "solo5-hvt", test: Some("launch") };

/// Unit tests of what depends on the architecture.
const UNITS: [TestProgram; 1] = [TestProgram { package: "solo5-abi", test: None }];

pub(crate) const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "hvt",
        arch: Arch::X86_64,
        machine: svm::machine,
        results: machine::RESULTS,
        programs: &svm::PROGRAMS,
        modules: &["irqbypass", "rng-core", "ccp", "kvm", "kvm-amd", "tun"],
        names: &["/hvt"],
        // QEMU arms no debug registers for the guests of its guests.
        not: &["gdb/hardware"],
        programs_of: &[HVT],
        // A machine keeps one of the host's processors busy.
        machines: 2,
        in_test: true,
    },
    Scenario {
        name: "vmx",
        arch: Arch::X86_64,
        machine: vmx::machine,
        results: machine::RESULTS,
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
        programs_of: &[HVT],
        machines: 1,
        in_test: true,
    },
    Scenario {
        name: "aarch64",
        arch: Arch::Aarch64,
        machine: virt::machine,
        results: virt::RESULTS,
        programs: &virt::PROGRAMS,
        modules: &["tun"],
        names: &["/spt", "/hvt", "downstream/urunc", "downstream/albatross-does"],
        not: &[],
        programs_of: &UNITS,
        machines: 2,
        in_test: false,
    },
    Scenario {
        name: "ppc64le",
        arch: Arch::Ppc64le,
        machine: pseries::machine,
        results: pseries::RESULTS,
        programs: &pseries::PROGRAMS,
        modules: &["tun"],
        names: &["/spt"],
        not: &[],
        programs_of: &UNITS,
        machines: 2,
        in_test: false,
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
    if name == VIRTIO {
        return virtio(filter);
    }
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.ok_or_else(|| {
        let names = SCENARIOS.map(|scenario| scenario.name).join(", ");
        format!("there is no scenario '{name}'; there are {names}, {VIRTIO}")
    })?;
    scenario.prepare()?;
    if !scenario.is_foreign() {
        stage::build(stage::Effort::Full)?;
    }
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

/// Virtio unikernels for aarch64, which QEMU starts without a system beneath them.
const VIRTIO: &str = "virtio-aarch64";

fn virtio(filter: Option<&str>) -> Result<ExitCode> {
    packages::install(&[("qemu-system-aarch64", "qemu-system-arm")], "the lab")?;
    stage::build(stage::Effort::Quick)?;
    let tools = if Arch::HOST == Some(Arch::Aarch64) {
        stage::prefix()
    } else {
        stage::build_cross(Arch::Aarch64, stage::Effort::Quick)?;
        stage::toolchain_for(Arch::Aarch64)
    };
    // All of these tests have this in their names.
    let mut test = cargo();
    test.current_dir(crate::root())
        .env("SOLO5_AARCH64", tools)
        .env("SOLO5_ONLY", VIRTIO)
        .args(["test", "-p", "solo5-tests", "--test", "e2e", "--"])
        .arg(filter.unwrap_or(VIRTIO));
    run(&mut test)?;
    Ok(ExitCode::SUCCESS)
}

/// The lab's folder.
fn lab() -> PathBuf {
    crate::root().join("target/lab")
}

impl Scenario {
    /// Installs or fetches what the machine needs and this host lacks.
    ///
    /// # Errors
    /// A package cannot be installed or fetched.
    pub(crate) fn prepare(&self) -> Result<()> {
        packages::programs(self.programs)?;
        if self.is_foreign() {
            Compiler::of(self.arch)?;
            return foreign::unpacked(&lab(), self.arch).map(drop);
        }
        packages::kernel(&lab())?;
        packages::debugger(&lab()).map(drop)
    }

    /// Whether the machine is of another architecture than this host.
    fn is_foreign(&self) -> bool {
        Arch::HOST != Some(self.arch)
    }

    /// The folder of the unikernels.
    fn images(&self) -> PathBuf {
        if self.is_foreign() {
            lab().join(format!("images-{}", self.arch.name()))
        } else {
            lab().join("images")
        }
    }

    /// Targets of the scenario's unikernels that have bindings and a tender.
    fn targets(&self) -> Vec<&'static str> {
        let named = self.names.iter().filter_map(|name| name.strip_prefix('/'));
        named.filter(|target| stage::runs(self.arch, target)).collect()
    }

    /// The machines that run the tests with the staged tree: all, or those with `filter` in their name.
    ///
    /// # Errors
    /// A test program or a unikernel cannot be built, or a machine's file system cannot be written.
    pub(crate) fn machines(&self, filter: Option<&str>) -> Result<Vec<Machine>> {
        if self.is_foreign() {
            // To optimise takes longer than all tests.
            let parts = [Part::Tools, Part::Tenders, Part::Headers, Part::Toolchain];
            stage::build_for(self.arch, stage::Effort::Quick, &parts)?;
        }
        for target in self.targets() {
            self.guests(target)?;
        }
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
        let kernel = if self.is_foreign() {
            let unpacked = foreign::unpacked(&lab, self.arch)?;
            for (from, to) in foreign::PROGRAMS {
                tree.foreign(&unpacked, from, to)?;
            }
            unpacked
        } else {
            tree.program(&packages::which("busybox")?, "/bin/busybox")?;
            tree.program(&packages::which("ip")?, "/sbin/ip")?;
            packages::kernel(&lab)?
        };
        for module in self.modules {
            if let Some(file) =
                packages::find(&kernel.join("lib/modules"), &format!("{module}.ko"))?
            {
                tree.module(module, &file)?;
            }
        }
        let boot = Boot {
            kernel: packages::find(&kernel.join("boot"), "vmlinu")?
                .ok_or("the kernel package has no kernel")?,
            initramfs: tree.pack(commands, self.results, &lab.join(format!("{name}.cpio")))?,
            log: lab.join(format!("{name}.log")),
            emulator: lab.join(format!("{name}.emulator.log")),
        };
        Ok(Machine { scenario: self.name, name, boot, emulator })
    }

    /// Everything the tests need, where they expect it.
    fn tests(&self) -> Result<Initramfs> {
        let root = crate::root();
        let mut tree = Initramfs::new(self.arch)?;
        for program in self.test_programs() {
            let built = program.build(self.arch)?;
            tree.stripped(&built, &Path::new("/bin").join(program.name()))?;
        }
        let (prefix, images) = (stage::prefix_for(self.arch), self.images());
        tree.folder(&prefix)?;
        if self.is_foreign() {
            // They were compiled quickly, and are large.
            for program in std::fs::read_dir(prefix.join("bin"))? {
                let program = program?;
                if program.file_type()?.is_file() {
                    tree.stripped(&program.path(), &program.path())?;
                }
            }
        }
        if !self.targets().is_empty() {
            tree.folder(&images)?;
            tree.folder(&root.join("tests/guests"))?;
        }
        tree.variable("SOLO5_PREFIX", &prefix);
        tree.variable("SOLO5_IMAGES", images);
        tree.variable("SOLO5_HVT", prefix.join("bin/solo5-hvt"));
        tree.variable("SOLO5_PATIENCE", PATIENCE);
        if self.is_foreign() {
            return Ok(tree);
        }
        tree.program(&packages::debugger(&lab())?, "/sbin/gdb")?;
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
        Ok(tree)
    }

    /// The test programs of the machine: the end-to-end tests if there are unikernels, and others.
    fn test_programs(&self) -> Vec<&'static TestProgram> {
        const E2E: TestProgram = TestProgram { package: "solo5-tests", test: Some("e2e") };
        let e2e = (!self.targets().is_empty()).then_some(&E2E);
        e2e.into_iter().chain(self.programs_of).collect()
    }

    /// Builds the unikernels that run on `target`, if they changed.
    fn guests(&self, target: &str) -> Result<()> {
        run(cargo()
            .current_dir(crate::root())
            .args(["run", "--quiet", "--package", "solo5-tests"])
            .args(["--bin", "build-guests", "--", target])
            .arg(self.images())
            .arg(self.arch.name())
            .env("SOLO5_PREFIX", stage::toolchain_for(self.arch))
            .stdout(Stdio::null()))
    }

    /// The commands that a machine runs; tests that are not end-to-end only in the `first` one.
    fn commands(&self, filter: Option<&str>, first: bool) -> Vec<String> {
        // One test at a time: the machine is slower than one real processor.
        let options = "--test-threads=1 --color=never";
        // Tests of other targets and of the tools run on the host.
        let elsewhere = ["stub/", "image/", "peer/tools/"];
        let spt = (!self.names.contains(&"/spt")).then_some("/spt");
        let not = elsewhere.into_iter().chain(spt).chain(self.not.iter().copied());
        let not: String = not.map(|name| format!(" --skip={name}")).collect();
        let mut commands = Vec::new();
        for program in self.test_programs() {
            let name = program.name();
            match (name == "e2e", filter) {
                (true, Some(filter)) => commands.push(format!("{name} {filter}{not} {options}")),
                (true, None) => {
                    let targets = self.targets();
                    let is_there = |text: &&&str| {
                        text.strip_prefix('/').is_none_or(|target| targets.contains(&target))
                    };
                    let of = |text: &&str| format!("{name} {text}{not} {options}");
                    commands.extend(self.names.iter().filter(is_there).map(of));
                }
                (false, _) if first => {
                    let filter = filter.unwrap_or_default();
                    commands.push(format!("{name} {filter}{not} {options}"));
                }
                (false, _) => {}
            }
        }
        commands
    }
}

impl TestProgram {
    /// Its name in the machine.
    fn name(&self) -> &'static str {
        self.test.unwrap_or(self.package)
    }

    /// Builds it as a static program for `arch`.
    fn build(&self, arch: Arch) -> Result<PathBuf> {
        let root = crate::root();
        let mut cargo = cargo();
        // The folder and the flags with which the programs of that machine are compiled.
        let (folder, flags) = if Arch::HOST == Some(arch) {
            (root.join("target/stage"), stage::rustflags(&root))
        } else {
            (root.join("target"), stage::STATIC.to_owned())
        };
        cargo
            .current_dir(&root)
            .args(["test", "--quiet", "--package", self.package])
            .args(["--no-run", "--message-format=json"])
            .arg("--target-dir")
            .arg(folder);
        match self.test {
            Some(name) => cargo.args(["--test", name]),
            None => cargo.arg("--lib"),
        };
        let compiler = Compiler::of(arch)?;
        let messages = output(compiler.compile_with(&mut cargo, &flags))?;
        // One message a line. Other programs of the package have messages too.
        let name = self.test.map_or_else(|| self.package.replace('-', "_"), str::to_owned);
        let path = String::from_utf8(messages)?.lines().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let is_ours = message["target"]["name"] == name.as_str();
            let path = is_ours.then(|| message["executable"].as_str())??;
            Some(PathBuf::from(path))
        });
        path.ok_or_else(|| format!("cargo names no test program {name}").into())
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
    let tree = Initramfs::new(scenario.arch)?;
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
