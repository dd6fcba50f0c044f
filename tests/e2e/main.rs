//! The end-to-end tests: the staged tree, from manifest to running unikernel.
//!
//! ```text
//! cargo xtask build && cargo test -p solo5-tests
//! SOLO5_PREFIX=/opt/solo5 cargo test -p solo5-tests --test e2e -- guest/net
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `SOLO5_PREFIX` | the tree under test, else `target/solo5` of the repository |
//! | `SOLO5_PEER` | another installed Solo5, to test with and against |
//! | `SOLO5_NO_SKIP=1` | a test that can be run neither here nor in the lab fails |
//! | `SOLO5_ONLY=TEXT` | only tests with this text in their names: a lab narrows further by a filter |
//! | `SOLO5_SHARE=N/OF` | only this share of the tests, the first is 1: the lab divides them among machines |
//!
//! | file | tests |
//! |---|---|
//! | `guests.rs` | every run that a unikernel's own file asks for |
//! | `images.rs` | what we build, read by readelf and by our own tools |
//! | `downstream.rs` | how other programs use ours |
//! | `robustness.rs` | SIGKILL, full disks |
//! | `power_cut.rs` | flushed data after a power cut |
//! | `libc.rs` | programs on a C library: Lua, SQLite |
//! | `loader.rs` | the tender and the audit agree on damaged images |
//! | `launches.rs` | the tender and `check` agree on launches |
//! | `peer.rs` | another Solo5's unikernels under our tenders, its tools at our images |
//! | `http.rs` | load on the example's HTTP server |
//! | `sandbox.rs` | what the kernel says of a running tender |
//! | `clock.rs` | clocks and waits of a guest that is stopped |
//! | `features.rs` | features under old and new tenders |
//! | `seed.rs` | the seed is random and is wiped |
//! | `stack.rs` | overflows of guarded stacks |
//! | `virtio.rs` | unikernels on QEMU's machines, by a table |
//! | `virtio_devices.rs`, `virtio_names.rs` | their devices: each kind of registers, and which belongs to which entry |
//! | `containers.rs` | unikernels under `solo5-run`, on top of runc |
//! | `virtio_run.rs` | unikernels under `solo5-virtio-run`, on each of its machines |
//! | `debugger.rs`, `cores.rs` | gdb on a guest under `solo5-hvt-debug`, and on its core |

#![forbid(unsafe_code)]

mod clock;
mod containers;
mod cores;
mod debugger;
mod disks;
mod downstream;
mod features;
mod guests;
mod http;
mod images;
mod launches;
mod libc;
mod loader;
mod peer;
mod power_cut;
mod robustness;
mod sandbox;
mod seed;
mod stack;
mod virtio;
mod virtio_arm;
mod virtio_devices;
mod virtio_names;
mod virtio_run;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Completion, Trial};
use solo5_tests::guest::{self, Builder, Guest};
use solo5_tests::kvm::Kvm;
use solo5_tests::not_yet;
use solo5_tests::outcome::{Outcome, Stop};
use solo5_tests::peer::Peer;
use solo5_tests::tree::{ARCH, Tree};

/// What every test needs.
struct Suite {
    tree: Tree,
    peer: Option<Peer>,
    builder: Builder,
    guests: Vec<Guest>,
    kvm: OnceLock<Kvm>,
}

impl Suite {
    fn new() -> Outcome<Self> {
        let tree = Tree::staged()?;
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        let builder = Builder::new(tree.clone(), &output)?;
        Ok(Self {
            tree,
            peer: Peer::named()?,
            builder,
            guests: guest::all()?,
            kvm: OnceLock::new(),
        })
    }

    /// The same with tools that make unikernels for `arch`, which may be another machine's.
    fn for_machines_of(arch: &str, toolchain: &Path) -> Outcome<Self> {
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guests-{arch}"));
        let builder = Builder::new(Tree::toolchain(toolchain, arch)?, &output)?;
        Ok(Self { builder, ..Self::new()? })
    }

    /// What this host's KVM can run. In the lab, guests always run on a processor.
    fn kvm(&self) -> Outcome<Kvm> {
        if self.builder.is_prebuilt() {
            return Ok(Kvm::Processor);
        }
        if let Some(kvm) = self.kvm.get() {
            return Ok(*kvm);
        }
        let image = |name| self.builder.image(self.guest(name)?, "hvt");
        let tender = self.tree.program("solo5-hvt");
        let kvm = Kvm::probe(&tender, &image("fpu")?, &image("hello")?)?;
        Ok(*self.kvm.get_or_init(|| kvm))
    }

    /// A program of the tree under test.
    fn tool(&self, name: &str) -> Command {
        Command::new(self.tree.program(name))
    }

    fn guest(&self, name: &str) -> Outcome<&Guest> {
        let guest = self.guests.iter().find(|guest| guest.name == name);
        guest.ok_or_else(|| format!("there is no unikernel {name}").into())
    }

    /// The image of the unikernel `name` for spt.
    fn spt_image(&self, name: &str) -> Outcome<std::path::PathBuf> {
        self.builder.image(self.guest(name)?, "spt")
    }
}

/// A test with the name `name`.
fn trial(
    suite: &Arc<Suite>,
    name: impl Into<String>,
    body: impl FnOnce(&Suite) -> Outcome + Send + 'static,
) -> Trial {
    let suite = Arc::clone(suite);
    let name = name.into();
    if let Some(reason) = not_yet::reason(ARCH, &name) {
        return Trial::ignorable_test(name, move || Ok(Completion::ignored_with(reason)));
    }
    Trial::ignorable_test(name.clone(), move || match body(&suite) {
        Ok(()) => Ok(Completion::Completed),
        Err(Stop::Fail(message)) => Err(message.into()),
        Err(Stop::Elsewhere(reason)) => {
            println!("skip: {name}: {reason}; the lab runs it");
            Ok(Completion::ignored_with(reason))
        }
        Err(Stop::Skip(reason)) if std::env::var("SOLO5_NO_SKIP").is_ok_and(|v| v == "1") => {
            Err(format!("may not be skipped here: {reason}").into())
        }
        Err(Stop::Skip(reason) | Stop::Lacking(reason)) => {
            println!("skip: {name}: {reason}");
            Ok(Completion::ignored_with(reason))
        }
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Some(status) = rerun_as_root() {
        return status;
    }
    match trials().map(only).and_then(share) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(
            Stop::Fail(message)
            | Stop::Skip(message)
            | Stop::Elsewhere(message)
            | Stop::Lacking(message),
        ) => {
            eprintln!("e2e: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Every test.
fn trials() -> Outcome<Vec<Trial>> {
    let suite = Arc::new(Suite::new()?);
    let mut trials = guests::trials(&suite);
    trials.extend(images::trials(&suite));
    trials.extend(downstream::trials(&suite));
    trials.extend(robustness::trials(&suite));
    trials.extend(power_cut::trials(&suite));
    trials.extend(launches::trials(&suite));
    trials.extend(loader::trials(&suite));
    trials.extend(peer::trials(&suite)?);
    trials.extend(http::trials(&suite));
    trials.extend(debugger::trials(&suite));
    trials.extend(cores::trials(&suite));
    trials.extend(stack::trials(&suite));
    trials.extend(disks::trials(&suite));
    trials.extend(virtio::trials(&suite));
    trials.extend(virtio_devices::trials(&suite));
    trials.extend(virtio_arm::trials()?);
    trials.extend(virtio_names::trials(&suite));
    trials.extend(virtio_run::trials(&suite));
    trials.extend(containers::trials(&suite));
    trials.extend(sandbox::trials(&suite));
    trials.extend(clock::trials(&suite));
    trials.extend(seed::trials(&suite));
    trials.extend(features::trials(&suite));
    trials.extend(libc::trials(&suite));
    Ok(trials)
}

/// The tests that `SOLO5_ONLY` leaves.
fn only(mut trials: Vec<Trial>) -> Vec<Trial> {
    if let Ok(text) = std::env::var("SOLO5_ONLY") {
        trials.retain(|trial| trial.name().contains(&text));
    }
    trials
}

/// The tests that take longest, by far: floods of pings. Each share gets as many of them.
const LONGEST: [&str; 4] =
    ["guest/net/hvt", "guest/net_2if/hvt", "guest/net/spt", "guest/net_2if/spt"];

/// The tests that `SOLO5_SHARE` leaves. A test's name decides its share, so that neighbours, which
/// often take as long, come into different ones.
fn share(mut trials: Vec<Trial>) -> Outcome<Vec<Trial>> {
    let Ok(share) = std::env::var("SOLO5_SHARE") else {
        return Ok(trials);
    };
    let numbers = share.split_once('/').and_then(|(number, of)| {
        let numbers: (u64, u64) = (number.parse().ok()?, of.parse().ok()?);
        (1..=numbers.1).contains(&numbers.0).then_some(numbers)
    });
    let (number, of) = numbers
        .ok_or_else(|| format!("SOLO5_SHARE={share} is no share: '1/2' is the first half"))?;
    trials.retain(|trial| {
        let name = trial.name();
        let place =
            (0..).zip(LONGEST).find(|(_, longest)| name == *longest).map(|(place, _)| place);
        let place = place.unwrap_or_else(|| {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hasher.finish()
        });
        place % of == number - 1
    });
    Ok(trials)
}

/// Becomes root of a user namespace, if the process is not root: otherwise tests cannot have networks
/// and mounts of their own. It has to happen before there is a second thread. Where it is not
/// permitted, those tests are skipped.
fn rerun_as_root() -> Option<ExitCode> {
    const MARK: &str = "SOLO5_TESTS_IN_USER_NAMESPACE";
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user"]);
        command
    };
    if rustix::process::geteuid().is_root() || std::env::var_os(MARK).is_some() {
        return None;
    }
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    let error = unshare().arg(program).args(std::env::args_os().skip(1)).env(MARK, "1").exec();
    eprintln!("e2e: unshare: {error}");
    Some(ExitCode::FAILURE)
}
