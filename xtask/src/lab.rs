//! `lab`: machines in software, for tests that need one.
//!
//! A scenario boots Debian's kernel in QEMU with an initramfs of its own: busybox, the staged tree,
//! unikernels built beforehand, and the end-to-end tests as one static program. QEMU's own AMD
//! virtualisation gives the guest's KVM real semantics with nested paging, so nothing of the host's
//! is needed. The kernel is fetched once and kept under `target/lab`.
//!
//! | scenario | what runs in it |
//! |---|---|
//! | `hvt` | every run of a unikernel that names the target hvt |

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::run::{cargo, output, run};
use crate::{Arguments, Result, stage};

pub(crate) const ARGUMENTS: &str = "SCENARIO [FILTER]";
pub(crate) const HELP: &str = "Boot a machine in software and test in it; SCENARIO: hvt.";

/// Programs a lab is made with, and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 4] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("ip", "iproute2"),
];

/// The Debian package whose dependency is the newest kernel.
const KERNEL: &str = "linux-image-amd64";

/// Modules of the `hvt` scenario, in the order they are loaded; one that is not there is built in.
const HVT_MODULES: [&str; 6] = ["irqbypass", "rng-core", "ccp", "kvm", "kvm-amd", "tun"];

/// What the machine prints on its console before and after the tests.
const BEGIN: &str = "lab: begin";
const STATUS: &str = "lab: status ";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    match arguments.as_slice() {
        [scenario] if scenario == "hvt" => hvt(None),
        [scenario, filter] if scenario == "hvt" => hvt(Some(filter)),
        _ => Err(format!("usage: cargo xtask lab {ARGUMENTS}; SCENARIO: hvt").into()),
    }
}

fn hvt(filter: Option<&str>) -> Result<ExitCode> {
    let lab = crate::root().join("target/lab");
    tools()?;
    let kernel = kernel(&lab)?;
    stage::build()?;
    let images = lab.join("images");
    let tests = tests(&images)?;

    let scratch = tempfile::tempdir()?;
    let tree = Initramfs {
        root: scratch.path().to_owned(),
    };
    tree.file(&which("busybox")?, Path::new("/bin/busybox"))?;
    tree.program(&which("ip")?)?;
    tree.file(&tests, Path::new("/bin/e2e"))?;
    for folder in [
        stage::prefix(),
        images.clone(),
        crate::root().join("tests/guests"),
    ] {
        tree.folder(&folder)?;
    }
    for module in HVT_MODULES {
        if let Some(file) = find(&kernel.join("lib/modules"), &format!("{module}.ko"))? {
            tree.file(&file, &Path::new("/lib").join(format!("{module}.ko")))?;
        }
    }
    // A run that names no target of ours is none of this scenario's.
    let filter = filter.unwrap_or("/hvt");
    let variables = [
        ("SOLO5_PREFIX", stage::prefix()),
        ("SOLO5_IMAGES", images),
        ("PATH", "/bin:/sbin".into()),
    ];
    let command = format!("/bin/e2e {filter} --test-threads=1");
    tree.init(&HVT_MODULES, &variables, &command)?;
    let initramfs = lab.join("hvt.cpio.gz");
    tree.pack(&initramfs)?;

    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max,+svm",
        "-smp",
        "2",
        "-m",
        "3072",
    ])
    .args(["-nographic", "-nic", "none", "-no-reboot", "-kernel"])
    .arg(find(&kernel.join("boot"), "vmlinuz")?.ok_or("the kernel package has no kernel")?)
    .arg("-initrd")
    .arg(&initramfs)
    .args(["-append", "console=ttyS0 quiet loglevel=1 panic=-1"]);
    boot(&mut qemu)
}

/// Makes sure of the programs a lab needs; root installs what is missing.
fn tools() -> Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|(program, _)| which(program).is_err())
        .map(|(_, package)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .args(["install", "-qq", "-y", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null()))
    .map_err(|error| format!("{error}; the lab needs the packages {}", missing.join(", ")).into())
}

/// Debian's kernel with its modules, unpacked under `lab`.
fn kernel(lab: &Path) -> Result<PathBuf> {
    let unpacked = lab.join("kernel");
    if unpacked.exists() {
        return Ok(unpacked);
    }
    fs::create_dir_all(lab)?;
    let depends = || -> Result<String> {
        let text = output(Command::new("apt-cache").args(["depends", KERNEL]))?;
        let text = String::from_utf8(text)?;
        let name = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: linux-image"));
        Ok(format!(
            "linux-image{}",
            name.ok_or("apt knows no kernel; try `apt-get update`")?
        ))
    };
    let package = match depends() {
        Ok(package) => package,
        Err(_) => {
            run(Command::new("apt-get").args(["update", "-qq"]))?;
            depends()?
        }
    };
    println!("fetching {package}");
    let scratch = tempfile::tempdir_in(lab)?;
    output(
        Command::new("apt-get")
            .args(["download", &package])
            .current_dir(scratch.path()),
    )?;
    let file = find(scratch.path(), &package)?.ok_or("apt-get download left no file")?;
    let part = scratch.path().join("unpacked");
    run(Command::new("dpkg-deb").arg("-x").args([&file, &part]))?;
    fs::rename(part, &unpacked)?;
    Ok(unpacked)
}

/// Builds the unikernels into `images`, and the end-to-end tests as a static program.
fn tests(images: &Path) -> Result<PathBuf> {
    let root = crate::root();
    run(cargo()
        .current_dir(&root)
        .args([
            "run",
            "--quiet",
            "--package",
            "solo5-tests",
            "--bin",
            "build-guests",
            "--",
            "hvt",
        ])
        .arg(images)
        .env("SOLO5_PREFIX", stage::prefix())
        .stdout(Stdio::null()))?;
    let messages = output(
        cargo()
            .current_dir(&root)
            .args([
                "test",
                "--quiet",
                "--package",
                "solo5-tests",
                "--test",
                "e2e",
                "--no-run",
            ])
            .args(["--message-format=json", "--target", &stage::host_triple()?])
            .arg("--target-dir")
            .arg(root.join("target/stage"))
            .env("CARGO_ENCODED_RUSTFLAGS", stage::rustflags(&root)),
    )?;
    let messages = String::from_utf8(messages)?;
    let key = "\"executable\":\"";
    let path = messages.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(key)?;
        rest.split_once('"').map(|(path, _)| PathBuf::from(path))
    });
    path.ok_or_else(|| "cargo names no test program".into())
}

/// The root file system of a machine, as a folder.
struct Initramfs {
    root: PathBuf,
}

impl Initramfs {
    fn inside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Copies a file of this machine to `to`.
    fn file(&self, from: &Path, to: &Path) -> Result<()> {
        let to = self.inside(to);
        fs::create_dir_all(to.parent().ok_or("a path without a folder")?)?;
        fs::copy(from, to).map_err(|error| format!("{}: {error}", from.display()))?;
        Ok(())
    }

    /// Copies a folder to the same place.
    fn folder(&self, from: &Path) -> Result<()> {
        let to = self.inside(from);
        fs::create_dir_all(&to)?;
        run(Command::new("cp").arg("-a").arg(from.join(".")).arg(to))
    }

    /// Copies a program of this machine with the libraries it loads.
    fn program(&self, path: &Path) -> Result<()> {
        let name = path.file_name().ok_or("a program without a name")?;
        self.file(path, &Path::new("/sbin").join(name))?;
        let libraries = String::from_utf8(output(Command::new("ldd").arg(path))?)?;
        for word in libraries
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            self.file(Path::new(word), Path::new(word))?;
        }
        Ok(())
    }

    /// The first program: loads modules, runs `command`, says how it ended, switches off.
    fn init(&self, modules: &[&str], variables: &[(&str, PathBuf)], command: &str) -> Result<()> {
        let mut script = String::from(
            "#!/bin/busybox sh\n\
             /bin/busybox --install -s /bin\n\
             mkdir -p /proc /sys /dev /tmp\n\
             mount -t proc proc /proc\nmount -t sysfs sys /sys\nmount -t devtmpfs dev /dev\n\
             ln -s /proc/self/fd /dev/fd\n\
             echo 1 >/proc/sys/vm/overcommit_memory\n\
             /sbin/ip link set lo up\n",
        );
        for module in modules {
            script += &format!("[ ! -e /lib/{module}.ko ] || insmod /lib/{module}.ko\n");
        }
        for (name, value) in variables {
            script += &format!("export {name}={}\n", value.display());
        }
        script += &format!("echo '{BEGIN}'\n{command}\necho \"{STATUS}$?\"\npoweroff -f\n");
        let init = self.inside(Path::new("/init"));
        fs::write(&init, script)?;
        Ok(fs::set_permissions(
            &init,
            fs::Permissions::from_mode(0o755),
        )?)
    }

    fn pack(&self, to: &Path) -> Result<()> {
        let command = "find . | cpio --quiet -o -H newc | gzip -1 >\"$0\"";
        run(Command::new("sh")
            .args(["-c", command])
            .arg(to)
            .current_dir(&self.root))
    }
}

/// Boots a machine, shows what it prints between the marks, and returns what its tests returned.
fn boot(qemu: &mut Command) -> Result<ExitCode> {
    // A machine that hangs must not hang us: the tests have their own, shorter limits.
    let mut limited = Command::new("timeout");
    limited
        .args(["--foreground", "1500"])
        .arg(qemu.get_program())
        .args(qemu.get_args());
    let mut child = limited
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let console = child.stdout.take().ok_or("the machine has no console")?;
    let (mut begun, mut status) = (false, None);
    for line in BufReader::new(console).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        if let Some(code) = line.strip_prefix(STATUS) {
            status = code.parse::<u8>().ok();
        } else if begun {
            println!("{line}");
        }
        begun |= line.ends_with(BEGIN);
    }
    let ended = child.wait()?;
    match status {
        Some(0) => Ok(ExitCode::SUCCESS),
        Some(code) => Ok(ExitCode::from(code)),
        None => Err(format!("the machine ended before its tests did ({ended})").into()),
    }
}

fn which(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut files = folders.map(|folder| folder.join(program));
    files
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{program}: not found").into())
}

/// A file below `folder` whose name starts with `name`.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with(name) {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}
