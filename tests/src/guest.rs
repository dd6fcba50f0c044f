//! The unikernels in `guests/`: finding them, and building images of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::directive::{self, Directives};
use crate::ensure;
use crate::outcome::{Context, Outcome, Stop};
use crate::process;
use crate::tree::{ARCH, Tree, repository};

/// Upstream's compiler options for its test unikernels (`docs/reference/toolchain.md#tests`).
pub const C_FLAGS: [&str; 11] = [
    "-std=c11",
    "-Wall",
    "-Wshadow",
    "-Wpointer-arith",
    "-Wcast-qual",
    "-Wsign-compare",
    "-Wwrite-strings",
    "-Wextra",
    "-Werror",
    "-O2",
    "-g",
];

/// One C file of `guests/`.
#[derive(Debug)]
pub struct Guest {
    /// Its file's name without the suffix.
    pub name: String,
    /// The file.
    pub source: PathBuf,
    /// `NAME.json` or `NAME.yaml` beside it, else the manifest without devices.
    pub manifest: PathBuf,
    /// Its directives.
    pub directives: Directives,
}

/// The directory of the unikernels.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guests")
}

/// All unikernels, sorted by name.
///
/// # Errors
/// A directive that makes no sense, or a file that cannot be read.
pub fn all() -> Outcome<Vec<Guest>> {
    let mut guests = Vec::new();
    for entry in std::fs::read_dir(directory())? {
        let source = entry?.path();
        if source.extension().is_none_or(|suffix| suffix != "c") {
            continue;
        }
        let text = std::fs::read_to_string(&source)?;
        let directives = directive::parse(&text).during(source.display())?;
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let manifest = ["json", "yaml"]
            .map(|suffix| source.with_extension(suffix))
            .into_iter()
            .find(|path| path.exists())
            .unwrap_or_else(|| directory().join("none.json"));
        guests.push(Guest { name, source, manifest, directives });
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}

/// Helper programs of runs: one passes an open tap to a program, one imitates a container runtime, one
/// a host that cannot flush files; one records what a program does with a disk.
pub const HOST_PROGRAMS: [&str; 4] = ["with_tap", "in_container", "failing_flush", "record_disk"];

/// Examples that are unikernels in Rust.
pub const EXAMPLES: [&str; 3] = ["deep", "http", "random"];

/// The target of the Rust compiler for unikernels on machines of `arch`. That of x86_64 is the examples' own.
fn rust_target(arch: &str) -> &'static str {
    match arch {
        "aarch64" => "aarch64-unknown-none",
        "ppc64le" => "powerpc64le-unknown-linux-gnu",
        _ => "x86_64-unknown-linux-gnu",
    }
}

/// Builds images with the tree under test, each at most once; or, where `SOLO5_IMAGES` names a
/// directory that `build-guests` filled, takes them from there.
#[derive(Debug)]
pub struct Builder {
    tree: Tree,
    output: PathBuf,
    prebuilt: Option<PathBuf>,
    built: Mutex<HashMap<String, Product>>,
}

type Product = Arc<OnceLock<Result<PathBuf, String>>>;

impl Builder {
    /// A builder that leaves its files in `output`.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(tree: Tree, output: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(output).during(output.display())?;
        Ok(Self {
            tree,
            output: output.to_owned(),
            prebuilt: std::env::var_os("SOLO5_IMAGES").map(PathBuf::from),
            built: Mutex::default(),
        })
    }

    /// Whether the images were built elsewhere, for the machine this runs in.
    #[must_use]
    pub fn is_prebuilt(&self) -> bool {
        self.prebuilt.is_some()
    }

    /// The image `NAME.TARGET` of a unikernel.
    ///
    /// # Errors
    /// A tool fails; every later caller gets the same error.
    pub fn image(&self, guest: &Guest, target: &str) -> Outcome<PathBuf> {
        self.once(&format!("{}.{target}", guest.name), |image| self.link(guest, target, image))
    }

    /// The image of `examples/NAME`, which is in Rust, built as a user does: plain `cargo build`, which
    /// finds everything it needs in the example's own folder.
    ///
    /// # Errors
    /// Cargo fails.
    pub fn example(&self, name: &str, target: &str) -> Outcome<PathBuf> {
        self.once(&format!("{name}.{target}"), |image| {
            let example = repository().join("examples").join(name);
            let mut cargo =
                Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["build", "--release"]).current_dir(&example);
            let triple = rust_target(self.tree.arch());
            if self.tree.arch() != "x86_64" {
                cargo.args(["--target", triple]);
            }
            // Variables for this test's own build must not reach the example's.
            for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS"] {
                cargo.env_remove(variable);
            }
            let mut folder = example.join("target");
            if target != "spt" {
                let settings = format!("{target}.toml");
                cargo.args(["--config", &settings]);
                // In a shared folder, other flags would rebuild everything each time.
                folder = folder.join(target);
                cargo.arg("--target-dir").arg(&folder);
            }
            let finished = process::run_within(cargo, process::BUILD_TIME_LIMIT)?;
            ensure!(finished.status == 0, "building examples/{name}:\n{}", finished.text());
            let built = folder.join(triple).join("release").join(name);
            std::fs::copy(&built, image).during(built.display())?;
            Ok(())
        })
    }

    /// A program of [`HOST_PROGRAMS`], for machines of the unikernels' architecture.
    ///
    /// # Errors
    /// The C compiler for them fails.
    pub fn host_program(&self, name: &str) -> Outcome<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("host");
        let source = folder.join(name).with_extension("c");
        self.once(name, |program| {
            let mut cc = Command::new(match self.tree.arch() {
                ARCH => "cc",
                "aarch64" => "aarch64-linux-gnu-gcc",
                "ppc64le" => "powerpc64le-linux-gnu-gcc",
                _ => "x86_64-linux-gnu-gcc",
            });
            cc.args(["-Wall", "-Wextra", "-Werror", "-O2", "-static"])
                .arg(source)
                .arg("-o")
                .arg(program);
            process::succeed(cc).map(drop)
        })
    }

    fn once(&self, name: &str, make: impl FnOnce(&Path) -> Outcome) -> Outcome<PathBuf> {
        if let Some(directory) = &self.prebuilt {
            return Ok(directory.join(name));
        }
        let product = {
            let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(built.entry(name.to_owned()).or_default())
        };
        let result = product.get_or_init(|| {
            let path = self.output.join(name);
            match make(&path) {
                Ok(()) => Ok(path),
                Err(
                    Stop::Fail(message)
                    | Stop::Skip(message)
                    | Stop::Elsewhere(message)
                    | Stop::Lacking(message),
                ) => Err(message),
            }
        });
        result.clone().map_err(Stop::Fail)
    }

    fn link(&self, guest: &Guest, target: &str, image: &Path) -> Outcome {
        let kit =
            self.once("kit.o", |object| self.compile(&directory().join("kit/kit.c"), object))?;
        let object =
            self.once(&format!("{}.o", guest.name), |object| self.compile(&guest.source, object))?;
        let manifest = self.once(&format!("{}.manifest.o", guest.name), |object| {
            self.compile_manifest(guest, object)
        })?;
        let mut cc = Command::new(self.tree.cc());
        // Without options the wrapper links the stub.
        if target != "stub" {
            cc.arg("-z").arg(format!("solo5-abi={target}"));
        }
        cc.args([&object, &kit, &manifest]).arg("-o").arg(image);
        process::succeed(cc).map(drop)
    }

    fn compile(&self, source: &Path, object: &Path) -> Outcome {
        let mut cc = Command::new(self.tree.cc());
        cc.args(C_FLAGS).arg("-I").arg(directory().join("kit"));
        cc.arg("-c").arg(source).arg("-o").arg(object);
        process::succeed(cc).map(drop)
    }

    /// Compiles JSON as upstream does, through generated C, and YAML as we do, straight to an object.
    fn compile_manifest(&self, guest: &Guest, object: &Path) -> Outcome {
        if guest.manifest.extension().is_some_and(|suffix| suffix == "yaml") {
            let mut mft = Command::new(self.tree.program("solo5-mft"));
            mft.arg("compile").arg("--arch").arg(self.tree.arch());
            mft.arg(&guest.manifest).arg("-o").arg(object);
            return process::succeed(mft).map(drop);
        }
        let source = object.with_extension("c");
        let mut elftool = Command::new(self.tree.program("solo5-elftool"));
        elftool.arg("gen-manifest").arg(&guest.manifest).arg(&source);
        process::succeed(elftool)?;
        self.compile(&source, object)
    }
}
