//! What a machine of another architecture is made of: packages of Debian for that architecture, unpacked under
//! `target/lab`. Apt gets lists and a state of its own there, so this host's are as before, and nobody
//! has to be root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use solo5_abi::Arch;

use super::packages::which;
use crate::Result;
use crate::run::{output, run};

/// Packages that are unpacked together with what they depend on.
const PACKAGES: [&str; 3] = ["busybox-static", "iproute2", "gdb-minimal"];

/// Programs of these packages, and where they are in a machine.
pub(crate) const PROGRAMS: [(&str, &str); 3] =
    [("bin/busybox", "/bin/busybox"), ("bin/ip", "/sbin/ip"), ("usr/bin/gdb", "/sbin/gdb")];

/// The packages of `arch` in one folder under `lab`; fetched if they are not there yet.
///
/// # Errors
/// A package cannot be fetched.
pub(crate) fn unpacked(lab: &Path, arch: Arch) -> Result<PathBuf> {
    let unpacked = lab.join(arch.name());
    let has_all = |folder: &Path| {
        PROGRAMS.iter().all(|(program, _)| file(folder, Path::new(program)).is_ok())
    };
    if unpacked.exists() && has_all(&unpacked) {
        return Ok(unpacked);
    }
    which("apt-get")?;
    fs::create_dir_all(lab)?;
    let scratch = tempfile::tempdir_in(lab)?;
    let apt = Apt::new(scratch.path(), arch)?;
    println!("fetching packages for {}: a kernel, {}", arch.name(), PACKAGES.join(", "));
    // An archive that is being changed while it is read is an error, but what counts is whether the packages are to be had.
    let updated = run(&mut apt.get(&["update"]));
    let fetched = apt.fetch();
    if let Err(error) = fetched {
        updated?;
        return Err(error);
    }
    let part = scratch.path().join("unpacked");
    for package in fs::read_dir(apt.folder.join("archives"))? {
        let package = package?.path();
        if package.extension().is_some_and(|suffix| suffix == "deb") {
            run(Command::new("dpkg-deb").arg("-x").args([&package, &part]))?;
        }
    }
    // An earlier version of this program wanted fewer.
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    fs::rename(part, &unpacked)?;
    Ok(unpacked)
}

/// Apt for another architecture, with its state in `folder`.
struct Apt {
    folder: PathBuf,
    arch: Arch,
}

impl Apt {
    fn new(folder: &Path, arch: Arch) -> Result<Apt> {
        for name in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(name))?;
        }
        // No package is installed there.
        fs::write(folder.join("status"), "")?;
        Ok(Apt { folder: folder.to_owned(), arch })
    }

    fn fetch(&self) -> Result<()> {
        let (name, kernel) = names(self.arch);
        let depends = output(self.command("apt-cache").args(["depends", kernel]))?;
        let depends = String::from_utf8(depends)?;
        let mut lines = depends.lines().map(str::trim);
        let newest = lines
            .find_map(|line| line.strip_prefix("Depends: "))
            .ok_or_else(|| format!("apt knows no {kernel} for {name}"))?;
        // Without what it depends on: that would make an initial file system.
        run(self.get(&["download", newest]).current_dir(self.folder.join("archives")))?;
        let options = ["install", "-y", "--download-only", "--no-install-recommends"];
        run(self.get(&options).args(PACKAGES))
    }

    fn get(&self, arguments: &[&str]) -> Command {
        let mut get = self.command("apt-get");
        get.arg("-qq").args(arguments).stdout(Stdio::null());
        get
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.folder.display();
        let (name, _) = names(self.arch);
        let mut command = Command::new(program);
        for option in [
            format!("APT::Architecture={name}"),
            format!("APT::Architectures={name}"),
            format!("Dir::State::lists={folder}/lists"),
            format!("Dir::State::status={folder}/status"),
            format!("Dir::Cache={folder}"),
            // Apt's own user may not write below a private folder.
            "APT::Sandbox::User=root".to_owned(),
            "Debug::NoLocking=true".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// Debian's name of an architecture, and the package whose dependency is its newest kernel.
const fn names(arch: Arch) -> (&'static str, &'static str) {
    match arch {
        Arch::X86_64 => ("amd64", "linux-image-amd64"),
        Arch::Aarch64 => ("arm64", "linux-image-arm64"),
        Arch::Ppc64le => ("ppc64el", "linux-image-powerpc64le"),
    }
}

/// A file of the folder `unpacked`, as a program in the machine would name it, and where its content is on
/// this host.
pub(crate) struct File {
    pub(crate) name: PathBuf,
    pub(crate) content: PathBuf,
}

/// The file `name` of the folder `unpacked`. Links are followed inside the folder.
///
/// # Errors
/// There is none.
pub(crate) fn file(unpacked: &Path, name: &Path) -> Result<File> {
    const LINKS_MAX: usize = 8;
    let inside = |path: &Path| unpacked.join(path.strip_prefix("/").unwrap_or(path));
    let mut content = inside(name);
    for _ in 0..LINKS_MAX {
        let Ok(link) = fs::read_link(&content) else { break };
        content = match link.is_absolute() {
            true => inside(&link),
            false => content.parent().unwrap_or(unpacked).join(link),
        };
    }
    if content.is_file() {
        return Ok(File { name: name.to_owned(), content });
    }
    Err(format!("no package has {}", name.display()).into())
}

/// The files that a program in the folder `unpacked` loads when it starts, and those that these load.
///
/// # Errors
/// A library is not there.
pub(crate) fn libraries(unpacked: &Path, program: &File) -> Result<Vec<File>> {
    let (mut pending, mut all) = (vec![program.content.clone()], Vec::<File>::new());
    while let Some(file) = pending.pop() {
        let text = output(Command::new("readelf").args(["-W", "-l", "-d"]).arg(&file))?;
        for name in loads(&String::from_utf8_lossy(&text)) {
            let found = place(unpacked, &name)?;
            if !all.iter().any(|known| known.name == found.name) {
                pending.push(found.content.clone());
                all.push(found);
            }
        }
    }
    Ok(all)
}

/// The file `name`, which is a path, or the name of a library in a folder where the loader looks.
fn place(unpacked: &Path, name: &str) -> Result<File> {
    if name.starts_with('/') {
        return file(unpacked, Path::new(name));
    }
    for folder in ["lib", "usr/lib"] {
        for entry in fs::read_dir(unpacked.join(folder)).into_iter().flatten() {
            let path = entry?.path().join(name);
            if let Ok(path) = path.strip_prefix(unpacked)
                && let Ok(found) = file(unpacked, path)
            {
                return Ok(found);
            }
        }
    }
    Err(format!("no package has {name}").into())
}

/// What a program loads, as readelf prints it: names of libraries, and the path of the loader.
fn loads(text: &str) -> Vec<String> {
    let between = |line: &str, before: &str| {
        let (_, rest) = line.split_once(before)?;
        Some(rest.split_once(']')?.0.to_owned())
    };
    let loaded = |line| {
        between(line, "Shared library: [")
            .or_else(|| between(line, "Requesting program interpreter: "))
    };
    text.lines().filter_map(loaded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_loads_what_the_loader_lists() {
        // Some program of this host that is linked dynamically.
        let program = which("readelf").unwrap();
        let text = output(Command::new("readelf").args(["-W", "-l", "-d"]).arg(&program)).unwrap();
        let listed = String::from_utf8(output(Command::new("ldd").arg(&program)).unwrap()).unwrap();
        let names = loads(&String::from_utf8_lossy(&text));
        assert!(names.len() > 1, "{names:?}");
        for name in names {
            assert!(listed.contains(&name), "{name}: {listed}");
        }
    }
}
