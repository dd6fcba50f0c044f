//! The parts of a lab: programs and a kernel, from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::run::{output, run};

/// Programs that every lab needs on the host, and the packages that have them.
///
/// The machine does not get the installed gdb but that of [`debugger`]. Installing gdb also installs
/// the libraries that the other one loads.
const PROGRAMS: [(&str, &str); 4] =
    [("busybox", "busybox-static"), ("cpio", "cpio"), ("ip", "iproute2"), ("gdb", "gdb-minimal")];

/// The package whose dependency is the newest kernel.
const KERNEL: &str = "linux-image-amd64";

/// Installs the programs of every lab, and `more`, where they are missing.
pub(crate) fn programs(more: &[(&str, &str)]) -> Result<()> {
    install(&[&PROGRAMS, more].concat(), "the lab")
}

/// Checks for the programs that `whom` needs, or files by path, each with its package. Installs the
/// packages of those that are missing, which only root can do.
pub(crate) fn install(needed: &[(&str, &str)], whom: &str) -> Result<()> {
    let missing = needed.iter().filter(|(file, _)| which(file).is_err());
    let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
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
    .map_err(|error| format!("{error}; {whom} needs the packages {}", missing.join(", ")).into())
}

/// Debian's kernel with its modules, unpacked under `lab`.
pub(crate) fn kernel(lab: &Path) -> Result<PathBuf> {
    unpacked(lab, "kernel", kernel_package)
}

/// A debugger without Python, unpacked under `lab`: Python would need its own library in the machine.
pub(crate) fn debugger(lab: &Path) -> Result<PathBuf> {
    let folder = unpacked(lab, "gdb", || Ok("gdb-minimal".to_owned()))?;
    Ok(folder.join("usr/bin/gdb"))
}

/// The package `named`, unpacked as `folder` under `lab`; nothing of it is installed.
fn unpacked(lab: &Path, folder: &str, named: fn() -> Result<String>) -> Result<PathBuf> {
    let unpacked = lab.join(folder);
    if unpacked.exists() {
        return Ok(unpacked);
    }
    fs::create_dir_all(lab)?;
    let scratch = tempfile::tempdir_in(lab)?;
    let fetch = || {
        let package = named()?;
        println!("fetching {package}");
        let mut apt = Command::new("apt-get");
        apt.args(["download", &package]).current_dir(scratch.path());
        output(&mut apt).map(|_| package)
    };
    let package = match fetch() {
        Ok(package) => package,
        // A new machine's apt knows no packages at first.
        Err(_) => {
            run(Command::new("apt-get").args(["update", "-qq"]))?;
            fetch()?
        }
    };
    let file = find(scratch.path(), &package)?.ok_or("apt-get download left no file")?;
    let part = scratch.path().join("unpacked");
    run(Command::new("dpkg-deb").arg("-x").args([&file, &part]))?;
    fs::rename(part, &unpacked)?;
    Ok(unpacked)
}

/// The name of the package with the newest kernel.
fn kernel_package() -> Result<String> {
    let text = String::from_utf8(output(Command::new("apt-cache").args(["depends", KERNEL]))?)?;
    let mut lines = text.lines().map(str::trim);
    let name = lines.find_map(|line| line.strip_prefix("Depends: "));
    let name = name.ok_or("apt knows no kernel; try `apt-get update`")?;
    Ok(name.to_owned())
}

/// The file of `program`, found as root's shell would find it. A path stays as it is.
pub(crate) fn which(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file()).ok_or_else(|| format!("{program}: not found").into())
}

/// A file below `folder` whose name starts with `name`.
pub(crate) fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuous_integration_installs_what_the_lab_and_the_peer_need() {
        let script = fs::read_to_string(crate::root().join(".ci/run")).unwrap();
        let scenarios = crate::lab::SCENARIOS.iter().map(|scenario| scenario.programs);
        for (file, package) in scenarios.chain([&PROGRAMS[..], &crate::peer::NEEDED]).flatten() {
            let line = script.lines().find(|line| line.ends_with(&format!(" {package}")));
            assert!(line.is_some_and(|line| line.starts_with("need ")), "{file}: {package}");
        }
    }
}
