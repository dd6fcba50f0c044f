//! `install`: the staged tree, copied to a prefix.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::{Arguments, Result, stage};

pub(crate) const ARGUMENTS: &str = "[--prefix=DIR] [--destdir=DIR]";
pub(crate) const HELP: &str = "Build, then install to DESTDIR/PREFIX (PREFIX: /usr/local by default); the variables DESTDIR and PREFIX count, too.";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let variable = |name: &str| std::env::var(name).ok();
    let to = destination(arguments, variable("PREFIX"), variable("DESTDIR"))?;
    stage::build(stage::Effort::Full)?;
    let files = copy(&stage::prefix(), &to)?;
    println!("installed {files} files in {}", to.display());
    Ok(ExitCode::SUCCESS)
}

/// The folder to install to. `prefix` and `destdir` come from the environment; arguments override them.
fn destination(
    arguments: Arguments,
    prefix: Option<String>,
    destdir: Option<String>,
) -> Result<PathBuf> {
    let mut prefix = prefix.unwrap_or_else(|| "/usr/local".to_owned());
    let mut destdir = destdir.unwrap_or_default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => {
                let value = arguments.next().ok_or(format!("'{argument}' needs a folder"))?;
                (argument, value)
            }
        };
        match name.as_str() {
            "--prefix" => prefix = value,
            "--destdir" => destdir = value,
            _ => return Err(format!("unknown option '{name}'; known: {ARGUMENTS}").into()),
        }
    }
    if !Path::new(&prefix).is_absolute() {
        return Err(format!("the prefix '{prefix}' is not an absolute path").into());
    }
    Ok(PathBuf::from(format!("{destdir}{prefix}")))
}

/// Copies a tree: executables as 0755, the rest as 0644, links as links. Each file takes its place by
/// a rename, so the file of a running program is never written to.
fn copy(from: &Path, to: &Path) -> Result<usize> {
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    let mut files = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files += copy(&from, &to)?;
            continue;
        }
        let name = entry.file_name();
        let new = to.with_file_name(format!(".{}.new", name.to_string_lossy()));
        let placed = if kind.is_symlink() {
            let _ = fs::remove_file(&new);
            symlink(fs::read_link(&from)?, &new)
        } else {
            let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
            let mode = if executable { 0o755 } else { 0o644 };
            fs::copy(&from, &new)
                .and_then(|_| fs::set_permissions(&new, fs::Permissions::from_mode(mode)))
        };
        placed
            .and_then(|()| fs::rename(&new, &to))
            .map_err(|error| format!("{}: {error}", to.display()))?;
        files += 1;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_is_destdir_and_prefix() {
        let to = |arguments: &[&str], prefix: Option<&str>, destdir: Option<&str>| {
            let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
            let own = |text: Option<&str>| text.map(str::to_owned);
            destination(arguments, own(prefix), own(destdir))
                .map(|path| path.display().to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(to(&[], None, None).unwrap(), "/usr/local");
        assert_eq!(to(&[], Some("/usr"), Some("/tmp/x")).unwrap(), "/tmp/x/usr");
        let typed = ["--prefix=/opt/solo5", "--destdir", "/tmp/y"];
        let typed = to(&typed, Some("/usr"), Some("/tmp/x"));
        assert_eq!(typed.unwrap(), "/tmp/y/opt/solo5");
        assert!(to(&["--prefix=opt"], None, None).unwrap_err().contains("absolute"));
        assert!(to(&["--root=/"], None, None).unwrap_err().contains("--root"));
        assert!(to(&["--destdir"], None, None).unwrap_err().contains("folder"));
    }

    #[test]
    fn a_tree_is_copied_with_modes_and_links_and_over_a_running_program() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("tree"), folder.path().join("d/usr"));
        fs::create_dir_all(from.join("bin")).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let program = from.join("bin/program");
        fs::copy("/bin/sleep", &program).unwrap();
        set(&program, 0o700);
        symlink("program", from.join("bin/other")).unwrap();
        fs::write(from.join("header.h"), "first").unwrap();
        set(&from.join("header.h"), 0o600);
        assert_eq!(copy(&from, &to).unwrap(), 3);
        assert_eq!(mode(to.join("bin/program")), 0o755);
        assert_eq!(mode(to.join("header.h")), 0o644);
        let link = fs::read_link(to.join("bin/other")).unwrap();
        assert_eq!(link, Path::new("program"));

        let mut running = std::process::Command::new(to.join("bin/program"));
        let mut running = running.arg("60").spawn().unwrap();
        fs::write(from.join("header.h"), "second").unwrap();
        let again = copy(&from, &to);
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(again.unwrap(), 3);
        assert_eq!(fs::read(to.join("header.h")).unwrap(), b"second");
        let names = fs::read_dir(to.join("bin")).unwrap().count();
        assert_eq!(names, 2, "nothing else is left");
    }
}
