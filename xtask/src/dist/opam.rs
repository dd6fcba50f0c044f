//! A repository of opam for a release: the packages in `opam/`, with the address and the sum of their archive.
//!
//! `solo5.opam` builds the sources, and `solo5-binary.opam` has the static programs. Both are versions of the
//! package `solo5`, because mirage depends on that name. `solo5-cross-aarch64.opam` adds to either what makes unikernels for
//! aarch64, from the same sources.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{BOOT, namespace};
use crate::Result;
use crate::run::{output, run};

/// Each package's file, and what the name of its archive ends in.
const PACKAGES: [(&str, &str); 3] = [
    ("solo5.opam", ".tar.gz"),
    ("solo5-binary.opam", "-linux.tar.gz"),
    ("solo5-cross-aarch64.opam", ".tar.gz"),
];

/// Where releases are downloaded from.
const RELEASES: &str = "https://github.com/Solo5/solo5/releases/download";

/// Writes the repository for those of the archives `made` in `folder` that opam can install.
pub(super) fn repository(root: &Path, version: &str, made: &[String], folder: &Path) -> Result<()> {
    let place = folder.join("opam-repository");
    let _ = fs::remove_dir_all(&place);
    crate::tree::write(&place.join("repo"), b"opam-version: \"2.0\"\n")?;
    for (file, ending) in PACKAGES {
        let is_binary = ending != ".tar.gz";
        let fits =
            |name: &&String| name.ends_with(ending) && is_binary == name.ends_with("-linux.tar.gz");
        let Some(archive) = made.iter().find(fits) else { continue };
        let text = fs::read_to_string(root.join("opam").join(file))?;
        let sum = output(Command::new("sha256sum").arg(archive).current_dir(folder))?;
        let sum = String::from_utf8(sum)?;
        let sum = sum.split(' ').next().unwrap_or_default();
        let url = format!("{RELEASES}/{version}/{archive}");
        let name = field(&text, "name")?;
        let folder = format!("packages/{name}/{name}.{}", field(&text, "version")?);
        let text = format!("{text}url {{\n  src: \"{url}\"\n  checksum: \"sha256={sum}\"\n}}\n");
        crate::tree::write(&place.join(folder).join("opam"), text.as_bytes())?;
    }
    Ok(())
}

/// What a package's file states in a line `FIELD: "…"`.
fn field<'a>(text: &'a str, field: &str) -> Result<&'a str> {
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(": \"")?.strip_suffix('"'));
    found.ok_or_else(|| format!("a package of opam states no {field}").into())
}

/// Installs each version of the package `solo5` into an empty switch, in opam's own sandbox and without a network, boots a
/// unikernel with it, and removes it again. The sources are built with this machine's Rust.
pub(super) fn check(folder: &Path) -> Result<()> {
    if Command::new("opam").arg("--version").output().is_err() {
        println!("skipped: opam is not installed, so its packages were not tried");
        return Ok(());
    }
    println!("installing and removing the packages of opam");
    let work = tempfile::tempdir()?;
    let script = format!(
        "set -e
        export OPAMROOT=\"$PWD/root\" OPAMYES=1 OPAMROOTISOK=1 OPAMCOLOR=never OPAMNODEPEXTS=1
        cp -R \"$1/opam-repository\" repository
        for file in repository/packages/*/*/opam; do
            opam lint \"$file\"
            sed -i \"s|{RELEASES}/[^/]*/|file://$1/|\" \"$file\"
        done
        opam init --bare --no-setup --kind=local default \"$PWD/repository\"
        opam switch create tried --empty
        listed() {{ find root/tried \\( -type f -o -type l \\) -not -path '*/.opam-switch/*' | sort; }}
        listed >before
        for package in repository/packages/solo5/*; do
            echo \"== ${{package##*/}}\"
            opam install \"${{package##*/}}\"
            cp root/tried/share/doc/solo5/examples/hello/* .
            (PATH=\"$PWD/root/tried/bin:$PATH\"
            {BOOT}
            solo5-hvt.2 --version)
            opam remove solo5
            listed >after
            cmp before after
        done"
    );
    let mut shell = namespace::unshare()?;
    // opam's sandbox does not show root's home, where rustup keeps Rust.
    let rust = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let rust = String::from_utf8(rust)?.trim().to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("OPAM_USER_PATH_RO", &rust).env("PATH", format!("{rust}/bin:{path}"));
    shell.args(["sh", "-c", &script, "sh"]).arg(folder).current_dir(work.path());
    run(&mut shell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_archive_has_its_package_in_the_range_of_mirage() {
        let folder = tempfile::tempdir().unwrap();
        let made = ["solo5-v1.tar.gz".to_owned(), "solo5-v1-x86_64-linux.tar.gz".to_owned()];
        for archive in &made {
            fs::write(folder.path().join(archive), archive).unwrap();
        }
        repository(&crate::root(), "v1", &made, folder.path()).unwrap();
        let place = folder.path().join("opam-repository/packages/solo5");
        for (version, archive) in [("0.12.100", &made[0]), ("0.12.100~binary", &made[1])] {
            let text = fs::read_to_string(place.join(format!("solo5.{version}")).join("opam"));
            let text = text.unwrap();
            assert!(text.contains(&format!("{RELEASES}/v1/{archive}\"")), "{text}");
            assert_eq!(text.matches("sha256=").count(), 1);
        }
        let cross = place.with_file_name("solo5-cross-aarch64");
        let cross = cross.join("solo5-cross-aarch64.0.12.100/opam");
        let text = fs::read_to_string(cross).unwrap();
        assert!(text.contains(&format!("{RELEASES}/v1/{}\"", made[0])), "{text}");
    }

    #[test]
    fn packages_have_the_version_of_the_crates() {
        for (file, _) in PACKAGES {
            let text = fs::read_to_string(crate::root().join("opam").join(file)).unwrap();
            let version = field(&text, "version").unwrap();
            assert_eq!(version.split('~').next().unwrap(), env!("CARGO_PKG_VERSION"), "{file}");
        }
    }
}
