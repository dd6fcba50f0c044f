//! `dist`: what a release publishes, under `target/dist`.
//!
//! * `solo5-VERSION.tar.gz`: the sources with every crate that they need, so that they build without
//!   a network. What only tests need is left out, and so are crates for other systems.
//! * `solo5-VERSION-ARCH-linux.tar.gz`: the installed tree.
//! * with `--deb`, Debian packages of the tree ([`deb`]).
//! * `opam-repository`: the packages of opam for the two archives ([`opam`]).
//! * `SHA256SUMS` of all archives and packages; with `--sign=KEY`, also its minisign signature.
//!
//! The same commit makes the same bytes: files have the time of the commit.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;
use solo5_abi::Arch;
use toml_edit::DocumentMut;

use crate::run::{cargo, output, run};
use crate::{Arguments, Result, namespace, stage, version};

mod deb;
mod opam;
mod root;

pub(crate) const ARGUMENTS: &str =
    "[--sources] [--binaries] [--deb] [--staged] [--check] [--sign=KEY]";
pub(crate) const HELP: &str = "Make the archives of a release under target/dist: sources that build without network, the installed tree (--binaries), and Debian packages of it; without --sources, --binaries and --deb the first two. --staged takes the tree that was built last. --check builds and installs the sources without a network and boots a unikernel, does the same with the unpacked tree, installs both through opam if that is installed, and installs, upgrades and removes the packages in a root that debootstrap makes. --sign signs the sums with a minisign key.";

/// The folder of crates in the sources.
const VENDOR: &str = "vendor";

/// Makes cargo take crates from [`VENDOR`] and nothing from a network.
const CONFIG: &str = "
# Everything that the sources need is beside them.
[source.crates-io]
replace-with = \"vendored-sources\"

[source.vendored-sources]
directory = \"vendor\"

[net]
offline = true
";

/// Members of the workspace that only test.
const TEST_MEMBERS: [&str; 1] = ["tests"];

/// Unikernels in Rust with crates of their own, which the demo and their readers build.
const EXAMPLES: [&str; 3] = ["examples/http", "examples/random", "examples/deep"];

/// What is asked for.
#[derive(Default)]
struct Options {
    sources: bool,
    binaries: bool,
    deb: bool,
    staged: bool,
    check: bool,
    key: Option<PathBuf>,
}

impl Options {
    fn read(arguments: Arguments) -> Result<Options> {
        let mut options = Options::default();
        for argument in arguments {
            match (argument.as_str(), argument.split_once('=')) {
                ("--sources", _) => options.sources = true,
                ("--binaries", _) => options.binaries = true,
                ("--deb", _) => options.deb = true,
                ("--staged", _) => options.staged = true,
                ("--check", _) => options.check = true,
                (_, Some(("--sign", file))) => options.key = Some(std::path::absolute(file)?),
                _ => {
                    return Err(format!("unknown argument '{argument}'; known: {ARGUMENTS}").into());
                }
            }
        }
        if !(options.sources || options.binaries || options.deb) {
            (options.sources, options.binaries) = (true, true);
        }
        Ok(options)
    }
}

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let options = Options::read(arguments)?;
    let root = crate::root();
    let version = version::find(&root);
    let folder = root.join("target/dist");
    fs::create_dir_all(&folder)?;
    let time = commit_time(&root)?;
    let name = format!("solo5-{version}");
    let work = tempfile::Builder::new().prefix("solo5-dist").tempdir_in(root.join("target"))?;
    let mut made = Vec::new();
    if options.sources {
        println!("collecting sources and crates");
        sources(&root, &version, &work.path().join(&name))?;
        made.push(pack(work.path(), &name, &name, &time, &folder)?);
        if options.check {
            check(&folder, &name)?;
        }
    }
    if (options.binaries || options.deb) && !options.staged {
        stage::build(stage::Effort::Full)?;
    }
    if options.binaries {
        made.push(binaries(&name, &time, work.path(), &folder)?);
        if options.check {
            check_binaries(&folder, &made[made.len() - 1])?;
        }
    }
    if options.sources || options.binaries {
        opam::repository(&root, &version, &made, &folder)?;
        if options.check {
            opam::check(&folder)?;
        }
    }
    if options.deb {
        let origin = deb::Origin { author: author(&root)?, time };
        let version = deb::debian_version(&version);
        made.extend(deb::make(&root, &stage::prefix(), &version, &origin, &folder)?);
        if options.check {
            root::check(&root, &stage::prefix(), &version, &origin, &folder)?;
        }
    }
    seal(&folder, &made, options.key.as_deref())?;
    for archive in &made {
        println!("{}", folder.join(archive).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the sums of the files `made`, signed if there is a key.
fn seal(folder: &Path, made: &[String], key: Option<&Path>) -> Result<()> {
    let sums = output(Command::new("sha256sum").args(made).current_dir(folder))?;
    fs::write(folder.join("SHA256SUMS"), sums)?;
    let Some(key) = key else { return Ok(()) };
    let mut minisign = Command::new("minisign");
    minisign.current_dir(folder).arg("-S").arg("-s").arg(key).args(["-m", "SHA256SUMS"]);
    run(&mut minisign)
}

/// Packs the staged tree.
fn binaries(name: &str, time: &str, work: &Path, folder: &Path) -> Result<String> {
    let arch = Arch::HOST.ok_or("this machine's architecture is not known")?.name();
    let parent = work.join("tree");
    fs::create_dir_all(&parent)?;
    let mut copy = Command::new("cp");
    copy.args(["-a", "-T"]).arg(stage::prefix()).arg(parent.join(name));
    run(&mut copy)?;
    pack(&parent, name, &format!("{name}-{arch}-linux"), time, folder)
}

/// Unpacks the archive of the tree in a folder that then cannot be written to, and boots a unikernel.
fn check_binaries(folder: &Path, archive: &str) -> Result<()> {
    let work = tempfile::tempdir()?;
    let script = format!(
        "set -e
        mkdir tree
        tar -xzf \"$1\" -C tree --strip-components=1
        chmod -R a-w tree
        PATH=\"$PWD/tree/bin:$PATH\"
        cp tree/share/doc/solo5/examples/hello/* .
        {BOOT}
        chmod -R u+w tree"
    );
    let mut shell = namespace::unshare()?;
    shell.args(["sh", "-c", &script, "sh"]).arg(folder.join(archive)).current_dir(work.path());
    run(&mut shell)
}

/// Links and boots the example in the working directory, with the programs that are found first.
const BOOT: &str =
    "solo5-cc -O2 -z solo5-abi=spt -z solo5-manifest=manifest.yaml -o ./hello.spt hello.c
        solo5-spt --mem=2 ./hello.spt Hello_Solo5 | grep SUCCESS
        rm ./hello.spt";

/// The commit's author.
fn author(root: &Path) -> Result<String> {
    let mut git = Command::new("git");
    let author = output(git.arg("-C").arg(root).args(["log", "-1", "--format=%an <%ae>"]))?;
    Ok(String::from_utf8(author)?.trim().to_owned())
}

/// What a packager does, without a network and without crates from elsewhere: configure, make,
/// install, and then compile, link and boot a unikernel with what was installed.
fn check(folder: &Path, name: &str) -> Result<()> {
    let work = tempfile::tempdir()?;
    let place = work.path();
    run(Command::new("tar")
        .arg("-xzf")
        .arg(folder.join(format!("{name}.tar.gz")))
        .arg("-C")
        .arg(place))?;
    let script = format!(
        "set -e
        ./configure.sh --prefix=/usr
        make
        make install DESTDIR=\"$1/root\"
        PATH=\"$1/root/usr/bin:$PATH\"
        cd examples/hello
        {BOOT}"
    );
    let mut shell = namespace::unshare()?;
    shell.args(["sh", "-c", &script, "sh"]).arg(place).current_dir(place.join(name));
    // Cargo must not find crates that were fetched for something else, nor our own task runner's variables.
    shell.env("CARGO_HOME", place.join("cargo")).env_remove("CARGO").env_remove("RUSTC");
    run(&mut shell)
}

/// Seconds since 1970 of the commit, or `SOURCE_DATE_EPOCH`.
fn commit_time(root: &Path) -> Result<String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let mut git = Command::new("git");
    let time = output(git.arg("-C").arg(root).args(["log", "-1", "--format=%ct"]))?;
    Ok(String::from_utf8(time)?.trim().to_owned())
}

/// Writes the sources of the commit to the new folder `to`, with every crate that they need.
fn sources(root: &Path, version: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut git = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["archive", "--format=tar", "HEAD"])
        .stdout(Stdio::piped())
        .spawn()?;
    let archive = git.stdout.take().ok_or("git has no output")?;
    run(Command::new("tar").arg("-x").arg("-C").arg(to).stdin(archive))?;
    if !git.wait()?.success() {
        return Err("git archive failed".into());
    }
    fs::write(to.join(".version"), format!("{version}\n"))?;
    without_tests(to)?;
    // Not locked: cargo takes the packages that only tests needed out of the lock.
    let mut vendor = cargo();
    vendor.current_dir(to).args(["vendor", "--quiet"]);
    for example in EXAMPLES {
        vendor.arg("--sync").arg(to.join(example).join("Cargo.toml"));
    }
    run(vendor.arg(VENDOR).stdout(Stdio::null()))?;
    let config = to.join(".cargo/config.toml");
    fs::write(&config, fs::read_to_string(&config)? + CONFIG)?;
    empty_unneeded(to)
}

/// Removes what only tests need: their members of the workspace, and all dev-dependencies.
fn without_tests(tree: &Path) -> Result<()> {
    let manifest = tree.join("Cargo.toml");
    let mut workspace = read(&manifest)?;
    let members = workspace
        .get_mut("workspace")
        .and_then(|table| table.get_mut("members"))
        .and_then(|list| list.as_array_mut())
        .ok_or("the workspace lists no members")?;
    members.retain(|member| !member.as_str().is_some_and(|name| TEST_MEMBERS.contains(&name)));
    let members: Vec<_> = members.iter().filter_map(|member| member.as_str()).collect();
    let manifests: Vec<_> = members.iter().map(|name| tree.join(name).join("Cargo.toml")).collect();
    fs::write(&manifest, workspace.to_string())?;
    for manifest in manifests {
        let mut package = read(&manifest)?;
        package.remove("dev-dependencies");
        fs::write(&manifest, package.to_string())?;
    }
    Ok(())
}

fn read(manifest: &Path) -> Result<DocumentMut> {
    let text = fs::read_to_string(manifest)?;
    text.parse().map_err(|error| format!("{}: {error}", manifest.display()).into())
}

/// Empties the crates that no Linux build of the suite compiles. Their manifests stay, because the
/// lock names them.
fn empty_unneeded(tree: &Path) -> Result<()> {
    let needed = needed(tree)?;
    for entry in fs::read_dir(tree.join(VENDOR))? {
        let folder = entry?.path();
        let mut package = read(&folder.join("Cargo.toml"))?;
        let text = |field: &str| {
            let value = package.get("package").and_then(|table| table.get(field));
            value.and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        if needed.contains(&(text("name"), text("version"))) {
            continue;
        }
        for targets in ["lib", "bin", "test", "example", "bench"] {
            package.remove(targets);
        }
        if let Some(table) = package.get_mut("package").and_then(|table| table.as_table_mut()) {
            for key in ["build", "links", "readme", "license-file", "autolib"] {
                table.remove(key);
            }
        }
        let checksum: Value =
            serde_json::from_slice(&fs::read(folder.join(".cargo-checksum.json"))?)?;
        let checksum = serde_json::json!({ "files": {}, "package": checksum["package"] });
        fs::remove_dir_all(&folder)?;
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("src/lib.rs"), "")?;
        fs::write(folder.join("Cargo.toml"), package.to_string())?;
        fs::write(folder.join(".cargo-checksum.json"), checksum.to_string())?;
    }
    Ok(())
}

/// Name and version of every package that a build of `tree` and its examples for Linux compiles.
fn needed(tree: &Path) -> Result<BTreeSet<(String, String)>> {
    let mut needed = BTreeSet::new();
    let triples = ["x86_64", "aarch64", "powerpc64le"]
        .into_iter()
        .flat_map(|arch| ["gnu", "musl"].map(|library| format!("{arch}-unknown-linux-{library}")));
    for triple in triples {
        for package in [""].into_iter().chain(EXAMPLES) {
            let mut command = cargo();
            command.current_dir(tree).args([
                "metadata",
                "--format-version=1",
                "--all-features",
                "--locked",
            ]);
            command.arg("--manifest-path").arg(tree.join(package).join("Cargo.toml"));
            let metadata = output(command.args(["--filter-platform", &triple]))?;
            let metadata: Value = serde_json::from_slice(&metadata)?;
            let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
            let resolved: BTreeSet<String> = list(&metadata["resolve"]["nodes"])
                .iter()
                .filter_map(|node| Some(node["id"].as_str()?.to_owned()))
                .collect();
            needed.extend(list(&metadata["packages"]).iter().filter_map(|package| {
                let field = |name: &str| package[name].as_str().map(str::to_owned);
                resolved.contains(&field("id")?).then_some(())?;
                Some((field("name")?, field("version")?))
            }));
        }
    }
    Ok(needed)
}

/// Packs the folder `name` of `parent` as `archive`.tar.gz in `to`, and returns the file's name.
fn pack(parent: &Path, name: &str, archive: &str, time: &str, to: &Path) -> Result<String> {
    let file = format!("{archive}.tar.gz");
    println!("packing {file}");
    let mut tar = Command::new("tar")
        .args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0"])
        .args(["--numeric-owner", "--mode=u+rw,go=u-w", &format!("--mtime=@{time}")])
        .arg("-C")
        .arg(parent)
        .arg(name)
        .stdout(Stdio::piped())
        .spawn()?;
    let new = to.join(format!("{file}.new"));
    let packed = tar.stdout.take().ok_or("tar has no output")?;
    let mut gzip = Command::new("gzip");
    run(gzip.args(["-9", "-n"]).stdin(packed).stdout(fs::File::create(&new)?))?;
    if !tar.wait()?.success() {
        return Err("tar failed".into());
    }
    fs::rename(new, to.join(&file))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_need_is_left_out() {
        let tree = tempfile::tempdir().unwrap();
        let file = |name: &str| tree.path().join(name);
        fs::create_dir(file("abi")).unwrap();
        fs::write(file("Cargo.toml"), "[workspace]\nmembers = [\"abi\", \"tests\"]\n").unwrap();
        let manifest = "[package]\nname = \"abi\"\n\n[dependencies]\nlibc = \"0.2\"\n\n\
                        [dev-dependencies]\nproptest = \"1\"\n\n[dev-dependencies.insta]\nversion = \"1\"\n";
        fs::write(file("abi/Cargo.toml"), manifest).unwrap();
        without_tests(tree.path()).unwrap();
        let workspace = fs::read_to_string(file("Cargo.toml")).unwrap();
        assert!(workspace.contains("\"abi\"") && !workspace.contains("tests"), "{workspace}");
        let left = fs::read_to_string(file("abi/Cargo.toml")).unwrap();
        assert!(left.contains("libc"), "{left}");
        assert!(!left.contains("proptest") && !left.contains("insta"), "{left}");
    }

    #[test]
    fn without_a_choice_there_are_sources_and_binaries() {
        let read = |words: &[&str]| {
            let words = words.iter().map(|&word| word.to_owned()).collect();
            Options::read(words).map(|options| (options.sources, options.binaries, options.deb))
        };
        assert_eq!(read(&["--check"]).unwrap(), (true, true, false));
        assert_eq!(read(&["--sources"]).unwrap(), (true, false, false));
        assert_eq!(read(&["--deb", "--binaries"]).unwrap(), (false, true, true));
        assert!(read(&["--rpm"]).unwrap_err().to_string().contains("--deb"));
    }

    /// The commands of docs/installing.md for somebody who has downloaded a release.
    #[test]
    fn sums_and_signature_find_a_changed_archive() {
        let folder = tempfile::tempdir().unwrap();
        let run = |program: &str, words: &[&str]| {
            let output = Command::new(program).args(words).current_dir(folder.path()).output();
            output.unwrap().status.success()
        };
        assert!(run("minisign", &["-G", "-W", "-p", "solo5.pub", "-s", "solo5.key"]));
        fs::write(folder.path().join("a.tar.gz"), "an archive").unwrap();
        let key = folder.path().join("solo5.key");
        seal(folder.path(), &["a.tar.gz".to_owned()], Some(&key)).unwrap();
        let signed = || run("minisign", &["-V", "-p", "solo5.pub", "-m", "SHA256SUMS"]);
        let same = || run("sha256sum", &["--check", "--ignore-missing", "SHA256SUMS"]);
        assert!(signed() && same());
        fs::write(folder.path().join("a.tar.gz"), "another one").unwrap();
        assert!(signed() && !same());
        seal(folder.path(), &["a.tar.gz".to_owned()], None).unwrap();
        assert!(!signed() && same());
    }

    #[test]
    fn packed_twice_an_archive_has_the_same_bytes() {
        let work = tempfile::tempdir().unwrap();
        let tree = work.path().join("tree/x");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("b"), "b").unwrap();
        let packed = |to: &str| {
            fs::write(tree.join("a"), "a").unwrap();
            let to = work.path().join(to);
            fs::create_dir(&to).unwrap();
            let name = pack(&work.path().join("tree"), "x", "x-1", "1000000000", &to).unwrap();
            assert_eq!(name, "x-1.tar.gz");
            fs::read(to.join(name)).unwrap()
        };
        assert_eq!(packed("one"), packed("two"));
    }
}
