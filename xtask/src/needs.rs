//! What `cargo xtask test` needs of the machine, besides Rust: the list in `.ci/run`, which installs it.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

use crate::Result;

/// A program, or the path of a file, and the package of Debian that has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Need {
    what: String,
    pub(crate) package: String,
}

/// The lines `need WHAT PACKAGE` of the script.
fn listed(script: &str) -> Vec<Need> {
    let lines = script.lines().filter_map(|line| line.strip_prefix("need "));
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Some(Need { what: words.next()?, package: words.next()? })
        })
        .collect()
}

/// Those of `needs` that are neither a file nor a program in one of these folders.
fn lacking(needs: Vec<Need>, path: &[PathBuf]) -> Vec<Need> {
    let is_there = |what: &str| {
        Path::new(what).is_absolute() && Path::new(what).exists()
            || path.iter().any(|folder| folder.join(what).is_file())
    };
    needs.into_iter().filter(|need| !is_there(&need.what)).collect()
}

/// What this machine lacks, in the order of the list.
pub(crate) fn missing(root: &Path) -> Result<Vec<Need>> {
    let script = fs::read_to_string(root.join(".ci/run"))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(lacking(listed(&script), &std::env::split_paths(&path).collect::<Vec<_>>()))
}

/// What to do about what is missing, for people.
pub(crate) fn advice(missing: &[Need]) -> String {
    let mut text = String::from("the tests use programs that are not installed here:\n");
    for Need { what, package } in missing {
        text += &format!("  {what} (package {package})\n");
    }
    let packages: Vec<_> = missing.iter().map(|need| need.package.as_str()).collect();
    text += &format!(
        "On Debian: apt-get install --no-install-recommends {}\n\
         SOLO5_MISSING=ignore runs the tests all the same; those that need one of these fail. \
         `cargo test -p solo5-CRATE` runs one crate's.",
        packages.join(" ")
    );
    text
}

/// Whether the sources have their tests. Those of a release leave out crates that only tests need
/// (`dist`).
pub(crate) fn has_tests(root: &Path) -> Result<bool> {
    let manifest: DocumentMut = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let members = manifest.get("workspace").and_then(|table| table.get("members"));
    let members = members.and_then(|list| list.as_array());
    Ok(members.is_some_and(|list| list.iter().any(|name| name.as_str() == Some("tests"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_files_that_are_missing_are_named_with_their_packages() {
        let script = "# need x y\nneed() { :; }\nneed sh dash\nneed /etc/passwd base-passwd\n\
                      need no-such-program one\nneed /no/such/file two\n";
        let missing = lacking(listed(script), &[PathBuf::from("/bin"), PathBuf::from("/usr/bin")]);
        let packages: Vec<_> = missing.iter().map(|need| need.package.as_str()).collect();
        assert_eq!(packages, ["one", "two"]);
        let said = advice(&missing);
        assert!(said.contains("  no-such-program (package one)\n"), "{said}");
        assert!(said.contains("apt-get install --no-install-recommends one two\n"), "{said}");
    }

    #[test]
    fn the_list_is_that_of_continuous_integration_and_these_sources_have_their_tests() {
        let script = fs::read_to_string(crate::root().join(".ci/run")).unwrap();
        let needs = listed(&script);
        assert!(needs.iter().any(|need| need.what == "qemu-img" && need.package == "qemu-utils"));
        assert_eq!(needs.len(), script.lines().filter(|line| line.starts_with("need ")).count());
        assert!(has_tests(&crate::root()).unwrap());
    }

    #[test]
    fn sources_of_a_release_have_no_tests() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), "[workspace]\nmembers = [\"abi\"]\n").unwrap();
        assert!(!has_tests(folder.path()).unwrap());
    }
}
