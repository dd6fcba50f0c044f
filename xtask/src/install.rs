//! `install`: the staged tree, copied to a prefix.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::{Arguments, Result, stage};

pub(crate) const ARGUMENTS: &str = "[--prefix=DIR] [--destdir=DIR]";
pub(crate) const HELP: &str =
    "Build, then install to DESTDIR/PREFIX (PREFIX: /usr/local); $DESTDIR and $PREFIX count too.";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let mut prefix = std::env::var("PREFIX").unwrap_or_else(|_| "/usr/local".to_owned());
    let mut destdir = std::env::var("DESTDIR").unwrap_or_default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => {
                let value = arguments
                    .next()
                    .ok_or(format!("'{argument}' wants a folder"))?;
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
    stage::build()?;
    let to = PathBuf::from(format!("{destdir}{prefix}"));
    let files = copy(&stage::prefix(), &to)?;
    println!("installed {files} files in {}", to.display());
    Ok(ExitCode::SUCCESS)
}

/// Copies a tree: executables as 0755, the rest as 0644, links as links. Each file takes its
/// place by a rename, so a program that is running is not written into.
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
