//! The root file system of a machine: a folder that becomes an archive with the first program, `/init`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use solo5_abi::Arch;
use tempfile::TempDir;

use super::{foreign, machine};
use crate::Result;
use crate::cross::binutils;
use crate::run::{output, run};

/// A root file system under construction, of a machine of `arch`.
pub(crate) struct Initramfs {
    root: TempDir,
    arch: Arch,
    modules: Vec<String>,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Initramfs {
    pub(crate) fn new(arch: Arch) -> Result<Self> {
        let (modules, variables) = (Vec::new(), Vec::new());
        Ok(Self { root: tempfile::tempdir()?, arch, modules, variables })
    }

    fn inside(&self, path: &Path) -> PathBuf {
        self.root.path().join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Copies a file of the host to `to`.
    pub(crate) fn file(&self, from: &Path, to: &Path) -> Result<()> {
        let to = self.inside(to);
        fs::create_dir_all(to.parent().ok_or("a path without a folder")?)?;
        fs::copy(from, to).map_err(|error| format!("{}: {error}", from.display()))?;
        Ok(())
    }

    /// Copies a program without its debugging information.
    pub(crate) fn stripped(&self, from: &Path, to: &Path) -> Result<()> {
        self.file(from, to)?;
        run(Command::new(binutils(self.arch, "strip")).arg(self.inside(to)))
    }

    /// Copies a folder to the same place.
    pub(crate) fn folder(&self, from: &Path) -> Result<()> {
        let to = self.inside(from);
        fs::create_dir_all(&to)?;
        run(Command::new("cp").arg("-a").arg(from.join(".")).arg(to))
    }

    /// Copies a program of the host to `to`, with the libraries it loads.
    pub(crate) fn program(&self, path: &Path, to: &str) -> Result<()> {
        self.file(path, Path::new(to))?;
        // `ldd` fails for a static program, which loads none.
        let libraries = output(Command::new("ldd").arg(path)).unwrap_or_default();
        let libraries = String::from_utf8_lossy(&libraries);
        let words = libraries.split_whitespace();
        for word in words.filter(|word| word.starts_with('/')) {
            self.file(Path::new(word), Path::new(word))?;
        }
        Ok(())
    }

    /// Copies a program of another architecture's packages, unpacked in `unpacked`, to `to`, with the libraries it loads.
    pub(crate) fn foreign(&self, unpacked: &Path, path: &str, to: &str) -> Result<()> {
        let program = foreign::file(unpacked, Path::new(path))?;
        self.file(&program.content, Path::new(to))?;
        for library in foreign::libraries(unpacked, &program)? {
            self.file(&library.content, &library.name)?;
        }
        Ok(())
    }

    /// Adds a module of the kernel, which is loaded after those added before.
    pub(crate) fn module(&mut self, name: &str, file: &Path) -> Result<()> {
        let to = Path::new("/lib").join(format!("{name}.ko"));
        self.file(file, &to)?;
        // The kernel would check the type information, which takes longer than all else at the start.
        let mut objcopy = Command::new(binutils(self.arch, "objcopy"));
        run(objcopy.arg("--remove-section=.BTF").arg(self.inside(&to)))?;
        self.modules.push(name.to_owned());
        Ok(())
    }

    /// Sets a variable of the environment.
    pub(crate) fn variable(&mut self, name: &'static str, value: impl Into<PathBuf>) {
        self.variables.push((name, value.into()));
    }

    /// Writes the archive `to`. Its first program loads the modules, runs the commands with their output
    /// on the line `results`, says whether one failed, and switches the machine off.
    pub(crate) fn pack(self, commands: &[String], results: &str, to: &Path) -> Result<PathBuf> {
        // Busybox's own `ip` cannot make taps, so busybox's folder comes last.
        let mut script = String::from(
            "#!/bin/busybox sh\n\
             /bin/busybox --install -s /bin\n\
             export PATH=/sbin:/bin\n\
             mkdir -p /proc /sys /dev /tmp\n\
             mount -t proc proc /proc\nmount -t sysfs sys /sys\nmount -t devtmpfs dev /dev\n\
             ln -s /proc/self/fd /dev/fd\n\
             echo 1 >/proc/sys/vm/overcommit_memory\n\
             ip link set lo up\n",
        );
        for module in &self.modules {
            script += &format!("insmod /lib/{module}.ko\n");
        }
        for (name, value) in &self.variables {
            script += &format!("export {name}='{}'\n", value.display());
        }
        let status = machine::STATUS;
        script += &format!("stty -F {results} raw 115200\nexec >{results} 2>&1\nfailed=0\n");
        for command in commands {
            script += &format!("{command} || failed=1\n");
        }
        // `stty` waits until all output has left the line, so none of it is lost.
        script += &format!("echo \"{status}$failed\"\nstty -F {results} cs8\npoweroff -f\n");
        let init = self.inside(Path::new("/init"));
        fs::write(&init, script)?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;

        let command = "find . | cpio --quiet -o -H newc >\"$0\"";
        run(Command::new("sh").args(["-c", command]).arg(to).current_dir(self.root.path()))?;
        Ok(to.to_owned())
    }
}
