//! Source packages of Debian, as their authors published them: `target/sources/PACKAGE`.
//!
//! They are fetched by apt, which checks their signatures, with a configuration of its own: the host's
//! has usually no sources, and nothing of it is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::run::output;
use crate::{Arguments, Result};

pub(crate) const ARGUMENTS: &str = "PACKAGE...";
pub(crate) const HELP: &str = "Fetch the archives of source packages of Debian, under target/sources, and print their paths: lua5.4 and sqlite3 are what two examples are made of.";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    if arguments.is_empty() {
        return Err(format!("which packages? usage: cargo xtask sources {ARGUMENTS}").into());
    }
    for package in arguments {
        println!("{}", archive(&package)?.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Keys of Debian's archive, for hosts that name them for each source.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The archive `PACKAGE_VERSION.orig….tar.…` of a source package: the one that was fetched before, else
/// the newest that the host's sources have.
///
/// # Errors
/// There is none, or it cannot be fetched.
pub(crate) fn archive(package: &str) -> Result<PathBuf> {
    // As Debian's policy has it: what is an option or a path is no name.
    let is_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if !package.bytes().all(is_name) || !package.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(format!("'{package}' is no name of a package").into());
    }
    let folder = crate::root().join("target/sources").join(package);
    if let Some(found) = original(&folder)? {
        return Ok(found);
    }
    fs::create_dir_all(&folder)?;
    eprintln!("fetching the sources of {package}");
    fetch(package, &folder)
        .map_err(|error| format!("Debian's source package {package} cannot be fetched: {error}"))?;
    original(&folder)?.ok_or_else(|| format!("apt fetched no archive of {package}").into())
}

/// The archive in `folder`. A package that consists of several has the others by longer names.
fn original(folder: &Path) -> Result<Option<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(None);
    };
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains(".orig.tar."))
            && path.extension().is_some_and(|suffix| suffix != "asc")
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The host's sources of binary packages, as sources of source packages. `state` is a folder for apt.
fn sources(state: &Path) -> Result<String> {
    let listed = listed(&[])?;
    if !listed.is_empty() {
        return Ok(listed);
    }
    // A new machine's apt knows no packages at first. Its own lists stay as they are.
    let [lists, cache] = ["host-lists", "host-cache"].map(|name| state.join(name));
    fs::create_dir_all(lists.join("partial"))?;
    fs::create_dir_all(cache.join("archives/partial"))?;
    let own = [
        format!("-oDir::State::Lists={}", lists.display()),
        format!("-oDir::Cache={}", cache.display()),
    ];
    let update = ["-oAPT::Sandbox::User=", "-oAPT::Update::Error-Mode=any", "update", "-qq"];
    output(Command::new("apt-get").args(&own).args(update))?;
    match self::listed(&own)? {
        listed if listed.is_empty() => Err("apt has no sources of Debian's here".into()),
        listed => Ok(listed),
    }
}

/// Those that apt knows, with these options.
fn listed(own: &[String]) -> Result<String> {
    let listed = output(Command::new("apt-get").args(own).args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME) $(COMPONENT)",
        "Created-By: Packages",
        "Origin: Debian",
    ]))?;
    let options = match Path::new(KEYS).exists() {
        true => format!("[signed-by={KEYS}] "),
        false => String::new(),
    };
    let listed = String::from_utf8(listed)?;
    let mut lines: Vec<_> =
        listed.lines().map(|source| format!("deb-src {options}{source}\n")).collect();
    lines.sort();
    lines.dedup();
    Ok(lines.concat())
}

fn fetch(package: &str, folder: &Path) -> Result<()> {
    let state = tempfile::tempdir_in(folder)?;
    let place = |name: &str| state.path().join(name);
    for part in ["lists/partial", "cache/archives/partial", "parts", "fetched"] {
        fs::create_dir_all(place(part))?;
    }
    fs::write(place("sources.list"), sources(state.path())?)?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        for (option, value) in [
            ("Dir::State::Lists", "lists"),
            ("Dir::Cache", "cache"),
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::Etc::SourceParts", "parts"),
        ] {
            apt.arg("-o").arg(format!("{option}={}", place(value).display()));
        }
        // Its own user may not read the folder.
        apt.args(["-qq", "-o", "APT::Sandbox::User="]).current_dir(place("fetched"));
        apt
    };
    // Without this option it succeeds when there is no network.
    output(apt().args(["-o", "APT::Update::Error-Mode=any", "update"]))?;
    output(apt().args(["source", "--download-only", package]))?;
    for entry in fs::read_dir(place("fetched"))? {
        let entry = entry?;
        fs::rename(entry.path(), folder.join(entry.file_name()))?;
    }
    Ok(())
}

/// Unpacks an archive of sources into `folder`, and returns the one folder in it.
///
/// # Errors
/// It has no such folder, or cannot be read.
pub(crate) fn unpack(archive: &Path, folder: &Path) -> Result<PathBuf> {
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(folder).arg("--no-same-owner");
    output(&mut tar)?;
    let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    match entries.as_slice() {
        [one] if one.path().is_dir() => Ok(one.path()),
        _ => Err(format!("{}: not one folder with sources", archive.display()).into()),
    }
}
