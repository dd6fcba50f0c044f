//! `peer`: another Solo5 to compare ours with: upstream's, which is written in C.
//!
//! The crate `solo5-sys` carries the whole tree of upstream's release 0.7.2: tenders, toolchain and
//! test unikernels. Cargo fetches it from wherever it gets its crates; it is built and put under
//! `target/peer`, and nothing of it is part of ours.
//!
//! That release's hvt and spt have ABI 1, ours ABI 2. The hypercalls are the same; what changed is
//! where a linker puts TLS and bss (`docs/reference/README.md#versions`). Only the number makes the
//! tenders refuse each other's images, so it is raised before the build. `docs/testing.md` says what
//! such a peer cannot show.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::lab::packages;
use crate::run::{cargo, output, run};
use crate::{Arguments, Result};

pub(crate) const HELP: &str =
    "Build another Solo5 under target/peer: upstream's 0.7.2, its ABI number raised to ours.";

const CRATE: &str = "solo5-sys";
const CRATE_VERSION: &str = "0.1.0";
/// The crate's SHA-256 in the registry, which cargo compares with the file it fetched.
const SHA256: &str = "ab8c8ad38eac848299598f8ed117d460ac935833364fb2782e2863da397c4500";
/// Where upstream's tree is in the crate.
const TREE: &str = "solo5";

/// File with the version of a tree without a repository. The crate lacks it.
const VERSION: (&str, &str) = (
    "include/version.h.distrib",
    "#ifndef SOLO5_VERSION\n#define SOLO5_VERSION \"v0.7.2\"\n#endif\n",
);
/// The headers with an ABI number, and its name.
const NUMBERS: [(&str, &str); 2] =
    [("include/hvt_abi.h", "HVT_ABI_VERSION"), ("include/spt_abi.h", "SPT_ABI_VERSION")];

/// A file of the peer as this version of the task builds it: one without it is built again.
const NEWEST: &str = "unikernels/test_hello.virtio";

/// Programs and files that the build needs, and the packages that have them.
pub(crate) const NEEDED: [(&str, &str); 4] = [
    ("gcc", "gcc"),
    ("make", "make"),
    ("pkg-config", "pkg-config"),
    ("/usr/include/seccomp.h", "libseccomp-dev"),
];

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    if let Some(argument) = arguments.first() {
        return Err(format!("unknown argument '{argument}'").into());
    }
    let prefix = prepare()?;
    let shown = prefix.display();
    println!(
        "upstream's 0.7.2 with ABI 2 is in {shown}, its unikernels in {shown}/unikernels; \
         use: SOLO5_PEER={shown} cargo test -p solo5-tests --test e2e -- peer"
    );
    Ok(ExitCode::SUCCESS)
}

/// The folder of the peer, which exists once it is built.
fn prefix() -> PathBuf {
    crate::root().join("target/peer")
}

/// The Solo5 to compare with, if there is one: what `SOLO5_PEER` names, else what was built. An empty
/// variable means none.
pub(crate) fn there() -> Option<PathBuf> {
    match std::env::var_os("SOLO5_PEER") {
        Some(named) => Some(PathBuf::from(named)).filter(|named| !named.as_os_str().is_empty()),
        None => Some(prefix()).filter(|built| built.exists()),
    }
}

/// Fetches and builds the peer, unless that is done already.
///
/// # Errors
/// It cannot be fetched or built.
pub(crate) fn prepare() -> Result<PathBuf> {
    let prefix = prefix();
    if prefix.join(NEWEST).exists() {
        return Ok(prefix);
    }
    packages::install(&NEEDED, "the peer")?;
    let target = crate::root().join("target");
    fs::create_dir_all(&target)?;
    let work = tempfile::tempdir_in(&target)?;
    let tree = fetch(work.path())?;
    raise_abi(&tree)?;
    let built = build(&tree, work.path())?;
    // What is there lacks something. Only a complete tree gets the final name.
    if prefix.exists() {
        fs::remove_dir_all(&prefix)?;
    }
    fs::rename(built, &prefix)?;
    Ok(prefix)
}

/// Upstream's tree, copied into `work`.
fn fetch(work: &Path) -> Result<PathBuf> {
    println!("fetching {CRATE} {CRATE_VERSION}");
    let manifest = work.join("Cargo.toml");
    fs::write(&manifest, manifest_text())?;
    fs::write(work.join("lib.rs"), "")?;
    let cargo = |arguments: &[&str]| {
        let mut cargo = cargo();
        output(cargo.args(arguments).arg("--manifest-path").arg(&manifest).current_dir(work))
            .map_err(|error| format!("the peer cannot be fetched: {error}"))
    };
    cargo(&["fetch", "--quiet"])?;
    let metadata = cargo(&["metadata", "--quiet", "--offline", "--format-version=1"])?;
    if !fs::read_to_string(work.join("Cargo.lock"))?.contains(SHA256) {
        return Err(format!("{CRATE} {CRATE_VERSION} has another SHA-256 than {SHA256}").into());
    }
    let unpacked = crate_folder(&metadata)?;
    let tree = work.join(TREE);
    run(Command::new("cp").arg("-R").arg(unpacked.join(TREE)).arg(&tree))?;
    Ok(tree)
}

/// A package that has the crate as its one dependency.
fn manifest_text() -> String {
    format!(
        "[package]\nname = \"peer\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [lib]\npath = \"lib.rs\"\n\
         [dependencies]\n{CRATE} = \"={CRATE_VERSION}\"\n[workspace]\n"
    )
}

/// Where cargo has unpacked the crate, by what `cargo metadata` printed.
fn crate_folder(metadata: &[u8]) -> Result<PathBuf> {
    let metadata: serde_json::Value = serde_json::from_slice(metadata)?;
    let packages = metadata["packages"].as_array().ok_or("cargo names no packages")?;
    let found = packages.iter().find(|package| package["name"] == CRATE);
    let manifest = found.and_then(|package| package["manifest_path"].as_str());
    let folder = manifest.and_then(|manifest| Path::new(manifest).parent());
    Ok(folder.ok_or_else(|| format!("cargo did not unpack {CRATE}"))?.to_owned())
}

/// Raises the ABI numbers of hvt and spt to ours.
fn raise_abi(tree: &Path) -> Result<()> {
    for (header, name) in NUMBERS {
        let header = tree.join(header);
        let text = fs::read_to_string(&header)?;
        let (old, new) = (format!("#define {name} 1\n"), format!("#define {name} 2\n"));
        if text.matches(&old).count() != 1 {
            return Err(format!("{} does not define {name} as 1", header.display()).into());
        }
        fs::write(header, text.replace(&old, &new))?;
    }
    Ok(())
}

/// Builds the tree. Installs it, and copies its unikernels, into a folder below `work`.
fn build(tree: &Path, work: &Path) -> Result<PathBuf> {
    let (version, text) = VERSION;
    fs::write(tree.join(version), text)?;
    let prefix = work.join("prefix");
    let log = crate::root().join("target/peer.log");
    println!("building the peer");
    let mut make = Command::new("sh");
    make.args([
        "-c",
        "{ ./configure.sh --prefix=\"$1\" && make -j2 && make install; } >\"$2\" 2>&1 </dev/null",
        "sh",
    ]);
    make.args([&prefix, &log]).current_dir(tree);
    if !make.stdin(Stdio::null()).status()?.success() {
        return Err(format!("the peer cannot be built; see {}", log.display()).into());
    }
    let unikernels = prefix.join("unikernels");
    fs::create_dir(&unikernels)?;
    for entry in fs::read_dir(tree.join("tests"))? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        for target in ["spt", "hvt", "virtio"] {
            let name = format!("{name}.{target}");
            let image = folder.join(&name);
            if image.exists() {
                fs::copy(image, unikernels.join(name))?;
            }
        }
    }
    Ok(prefix)
}
