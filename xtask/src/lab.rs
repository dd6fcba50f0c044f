//! `lab`: machines in software, for tests that need one.
//!
//! A scenario boots Debian's kernel in QEMU with an initramfs of its own: busybox, the staged tree,
//! unikernels built beforehand, and the end-to-end tests as one static program. QEMU's own AMD
//! virtualisation gives the guest's KVM real semantics with nested paging, so nothing of the host's
//! is needed. The kernel is fetched once and kept under `target/lab`.
//!
//! | phase | file |
//! |---|---|
//! | programs and the kernel, from Debian's packages | [`packages`] |
//! | the machine's file system | [`initramfs`] |
//! | booting it, and what comes back | [`machine`] |
//!
//! | scenario | what runs in it |
//! |---|---|
//! | `hvt` | every end-to-end test with the target hvt in its name; the tender's own tests |

mod initramfs;
mod machine;
mod packages;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use crate::run::{cargo, output, run};
use crate::{Arguments, Result, stage};

use initramfs::Initramfs;
use machine::Machine;

pub(crate) const ARGUMENTS: &str = "SCENARIO [FILTER]";
pub(crate) const HELP: &str = "Boot a machine in software and test in it; SCENARIO: hvt.";

/// Modules of the `hvt` scenario, in the order they are loaded; one that is not there is built in.
const HVT_MODULES: [&str; 6] = ["irqbypass", "rng-core", "ccp", "kvm", "kvm-amd", "tun"];

/// How much longer a test may take in a machine that is interpreted.
const PATIENCE: &str = "10";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let filter = match arguments.as_slice() {
        [scenario] if scenario == "hvt" => None,
        [scenario, filter] if scenario == "hvt" => Some(filter.as_str()),
        _ => return Err(format!("usage: cargo xtask lab {ARGUMENTS}; SCENARIO: hvt").into()),
    };
    prepare()?;
    stage::build()?;
    if hvt(filter, &mut |line| println!("{line}"))? {
        Ok(ExitCode::SUCCESS)
    } else {
        Err("there are failures".into())
    }
}

/// Gets what machines are made of, where it is missing.
///
/// # Errors
/// Something is not to be had here.
pub(crate) fn prepare() -> Result<()> {
    packages::install()?;
    packages::kernel(&lab())?;
    packages::debugger(&lab()).map(drop)
}

/// Where the lab keeps its things.
fn lab() -> PathBuf {
    crate::root().join("target/lab")
}

/// Runs the `hvt` scenario with the staged tree, showing each line it prints; false if a test failed.
///
/// # Errors
/// The machine cannot be made, or ends before its tests do.
pub(crate) fn hvt(filter: Option<&str>, show: &mut dyn FnMut(&str)) -> Result<bool> {
    let root = crate::root();
    let lab = lab();
    let kernel = packages::kernel(&lab)?;
    let images = lab.join("images");
    guests("hvt", &images)?;
    let e2e = test_program("solo5-tests", "e2e")?;
    let launch = test_program("solo5-hvt", "launch")?;

    let mut tree = Initramfs::new()?;
    tree.program(&packages::which("busybox")?, "/bin/busybox")?;
    tree.program(&packages::which("ip")?, "/sbin/ip")?;
    tree.program(&packages::debugger(&lab)?, "/sbin/gdb")?;
    tree.file(&e2e, Path::new("/bin/e2e"))?;
    tree.file(&launch, Path::new("/bin/launch"))?;
    for folder in [stage::prefix(), images.clone(), root.join("tests/guests")] {
        tree.folder(&folder)?;
    }
    for module in HVT_MODULES {
        if let Some(file) = packages::find(&kernel.join("lib/modules"), &format!("{module}.ko"))? {
            tree.module(module, &file)?;
        }
    }
    tree.variable("SOLO5_PREFIX", stage::prefix());
    tree.variable("SOLO5_IMAGES", images);
    tree.variable("SOLO5_HVT", stage::prefix().join("bin/solo5-hvt"));
    tree.variable("SOLO5_PATIENCE", PATIENCE);
    // One at a time: the machine has less than one processor to give.
    let options = "--test-threads=1 --color=never";
    // What is for other targets, or for the tools, is tested where they are.
    let elsewhere = "--skip=/spt --skip=stub/ --skip=image/";
    let commands = [
        format!("e2e {} {elsewhere} {options}", filter.unwrap_or("/hvt")),
        format!("launch {} {options}", filter.unwrap_or_default()),
    ];

    Machine {
        kernel: packages::find(&kernel.join("boot"), "vmlinuz")?
            .ok_or("the kernel package has no kernel")?,
        initramfs: tree.pack(&commands, &lab.join("hvt.cpio.gz"))?,
        log: lab.join("hvt.log"),
    }
    .run(show)
}

/// Builds the unikernels that run on `target` into `images`.
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
    // One message a line; the test's own program is among those of the package's other programs.
    let path = String::from_utf8(messages)?.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_ours = message["target"]["name"] == name;
        let path = is_ours.then(|| message["executable"].as_str())??;
        Some(PathBuf::from(path))
    });
    path.ok_or_else(|| format!("cargo names no test program {name}").into())
}
