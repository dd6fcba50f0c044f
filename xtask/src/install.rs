//! `install`: the staged tree, copied to a prefix.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use solo5_abi::Arch;

use crate::part::Part;
use crate::tree::part_of;
use crate::{Arguments, Result, stage};

pub(crate) const ARGUMENTS: &str =
    "[--prefix=DIR] [--destdir=DIR] [--only=PART,... | --cross=ARCH] [--staged]";
pub(crate) const HELP: &str = "Build everything, or some of tools, tenders, headers, toolchain and docs; then install to DESTDIR/PREFIX (PREFIX: /usr/local by default; the variables DESTDIR and PREFIX count, too). --staged installs what was built last, and builds nothing. --cross=ARCH adds to an installation what its tools need to make unikernels for machines of that architecture.";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let variable = |name: &str| std::env::var(name).ok();
    let options = Options::read(arguments, variable("PREFIX"), variable("DESTDIR"))?;
    let staged = options.cross.map_or_else(stage::prefix, stage::toolchain_for);
    if !options.staged {
        match options.cross {
            Some(arch) => stage::build_cross(arch, stage::Effort::Full)?,
            None => stage::build_parts(stage::Effort::Full, &options.parts)?,
        }
    } else if !staged.is_dir() {
        return Err(format!("nothing is staged in {}: build first", staged.display()).into());
    }
    let mut files = copy(&staged, Path::new(""), &options)?;
    files += copy_book(&crate::root().join("target/book"), &options)?;
    println!("installed {files} files in {}", options.to.display());
    Ok(ExitCode::SUCCESS)
}

/// What to install, and where.
struct Options {
    to: PathBuf,
    parts: Vec<Part>,
    /// Only what has the name of this architecture. The rest is the same for all, and installed already.
    cross: Option<Arch>,
    staged: bool,
}

impl Options {
    /// `prefix` and `destdir` come from the environment; arguments override them.
    fn read(
        arguments: Arguments,
        prefix: Option<String>,
        destdir: Option<String>,
    ) -> Result<Options> {
        let mut prefix = prefix.unwrap_or_else(|| "/usr/local".to_owned());
        let mut destdir = destdir.unwrap_or_default();
        let (mut parts, mut cross, mut staged) = (None, None, false);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if argument == "--staged" {
                staged = true;
                continue;
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => {
                    let value = arguments.next().ok_or(format!("'{argument}' needs a value"))?;
                    (argument, value)
                }
            };
            match name.as_str() {
                "--prefix" => prefix = value,
                "--destdir" => destdir = value,
                "--only" => parts = Some(Part::list(&value)?),
                "--cross" => cross = Some(stage::another(&value)?),
                _ => return Err(format!("unknown option '{name}'; known: {ARGUMENTS}").into()),
            }
        }
        if !Path::new(&prefix).is_absolute() {
            return Err(format!("the prefix '{prefix}' is not an absolute path").into());
        }
        let parts = match (parts, cross) {
            (Some(_), Some(_)) => {
                return Err("--cross installs one part; it goes not with --only".into());
            }
            (None, Some(_)) => vec![Part::Toolchain],
            (parts, None) => parts.unwrap_or_else(|| Part::ALL.to_vec()),
        };
        Ok(Options { to: PathBuf::from(format!("{destdir}{prefix}")), parts, cross, staged })
    }
}

impl Options {
    /// Whether the file `place` of the tree is to be installed.
    fn has(&self, place: &Path) -> bool {
        let of = |arch: Arch| {
            let names = place.iter().map(|name| name.to_string_lossy());
            names.into_iter().any(|name| name.starts_with(arch.triple()))
        };
        self.cross.map_or_else(|| self.parts.contains(&part_of(place)), of)
    }
}

/// Copies the book if it has been made. It is no part of the staged tree, because to make it needs mdBook, and
/// the tree has the same bytes with and without that.
fn copy_book(book: &Path, options: &Options) -> Result<usize> {
    if options.parts.contains(&Part::Docs) && book.join("index.html").is_file() {
        return copy_parts(book, &options.to.join("share/doc/solo5/book"), &Part::ALL);
    }
    Ok(0)
}

/// Copies these parts of the tree `staged` to the folder `to`.
pub(crate) fn copy_parts(staged: &Path, to: &Path, parts: &[Part]) -> Result<usize> {
    let options = Options { to: to.to_owned(), parts: parts.to_vec(), cross: None, staged: true };
    copy(staged, Path::new(""), &options)
}

/// Copies `folder` of the tree `staged`: executables as 0755, the rest as 0644, links as links. Each
/// file takes its place by a rename, so the file of a running program is never written to.
fn copy(staged: &Path, folder: &Path, options: &Options) -> Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(staged.join(folder))? {
        let entry = entry?;
        let place = folder.join(entry.file_name());
        let (from, to) = (entry.path(), options.to.join(&place));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files += copy(staged, &place, options)?;
            continue;
        }
        if !options.has(&place) {
            continue;
        }
        let parent = options.to.join(folder);
        fs::create_dir_all(&parent).map_err(|error| format!("{}: {error}", parent.display()))?;
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
            Options::read(arguments, own(prefix), own(destdir))
                .map(|options| options.to.display().to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(to(&[], None, None).unwrap(), "/usr/local");
        assert_eq!(to(&[], Some("/usr"), Some("/tmp/x")).unwrap(), "/tmp/x/usr");
        let typed = ["--prefix=/opt/solo5", "--destdir", "/tmp/y"];
        let typed = to(&typed, Some("/usr"), Some("/tmp/x"));
        assert_eq!(typed.unwrap(), "/tmp/y/opt/solo5");
        assert!(to(&["--prefix=opt"], None, None).unwrap_err().contains("absolute"));
        assert!(to(&["--root=/"], None, None).unwrap_err().contains("--root"));
        assert!(to(&["--destdir"], None, None).unwrap_err().contains("value"));
    }

    #[test]
    fn a_cross_installation_adds_what_has_the_architecture_in_its_name() {
        let other = if Arch::HOST == Some(Arch::Aarch64) { Arch::Ppc64le } else { Arch::Aarch64 };
        let read = |words: &[&str]| {
            Options::read(words.iter().map(|&word| word.to_owned()).collect(), None, None)
        };
        let options = read(&[&format!("--cross={}", other.name())]).unwrap();
        let triple = other.triple();
        for place in
            ["bin/{}-cc", "lib/{}/solo5_spt.o", "include/{}/stddef.h", "lib/cmake/Solo5/{}.cmake"]
        {
            assert!(options.has(Path::new(&place.replace("{}", triple))), "{place}");
        }
        // The package of this machine's tools has these.
        for place in
            ["bin/solo5-toolchain", "include/solo5/solo5.h", "lib/pkgconfig/solo5-bindings-spt.pc"]
        {
            assert!(!options.has(Path::new(place)), "{place}");
        }
        assert!(read(&[&format!("--cross={}", other.name()), "--only=tools"]).is_err());
        let host = Arch::HOST.unwrap().name();
        for wrong in ["z80", host] {
            assert!(read(&[&format!("--cross={wrong}")]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_book_that_has_been_made_is_installed_with_the_documentation() {
        let folder = tempfile::tempdir().unwrap();
        let (book, to) = (folder.path().join("book"), folder.path().join("usr"));
        let options = |parts: &[Part]| Options {
            to: to.clone(),
            parts: parts.to_vec(),
            cross: None,
            staged: true,
        };
        assert_eq!(copy_book(&book, &options(&Part::ALL)).unwrap(), 0);
        fs::create_dir_all(book.join("docs")).unwrap();
        fs::write(book.join("index.html"), "a").unwrap();
        fs::write(book.join("docs/policy.html"), "b").unwrap();
        assert_eq!(copy_book(&book, &options(&[Part::Tools])).unwrap(), 0);
        assert!(!to.exists());
        assert_eq!(copy_book(&book, &options(&[Part::Docs])).unwrap(), 2);
        assert_eq!(fs::read(to.join("share/doc/solo5/book/docs/policy.html")).unwrap(), b"b");
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
        let copy = |parts: &[Part]| {
            let options =
                Options { to: to.clone(), parts: parts.to_vec(), cross: None, staged: true };
            copy(&from, Path::new(""), &options)
        };
        assert_eq!(copy(&[Part::Tools]).unwrap(), 0, "none of these is a tool");
        assert!(!to.exists());
        assert_eq!(copy(&Part::ALL).unwrap(), 3);
        assert_eq!(mode(to.join("bin/program")), 0o755);
        assert_eq!(mode(to.join("header.h")), 0o644);
        let link = fs::read_link(to.join("bin/other")).unwrap();
        assert_eq!(link, Path::new("program"));

        let mut running = std::process::Command::new(to.join("bin/program"));
        let mut running = running.arg("60").spawn().unwrap();
        fs::write(from.join("header.h"), "second").unwrap();
        let again = copy(&Part::ALL);
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(again.unwrap(), 3);
        assert_eq!(fs::read(to.join("header.h")).unwrap(), b"second");
        let names = fs::read_dir(to.join("bin")).unwrap().count();
        assert_eq!(names, 2, "nothing else is left");
    }
}
