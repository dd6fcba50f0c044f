//! Files with which build systems find the toolchain: `lib/cmake/Solo5` and `lib/pkgconfig`.

use std::path::Path;
use std::process::Command;

use solo5_abi::Arch;

use crate::programs::TOOLCHAIN;
use crate::run::output;
use crate::tree::write;
use crate::{Result, version};

const CONFIG: &str = include_str!("build_systems/Solo5Config.cmake");
const CONFIG_VERSION: &str = include_str!("build_systems/Solo5ConfigVersion.cmake");
const TOOLCHAIN_FILE: &str = include_str!("build_systems/toolchain.cmake");

/// Puts the files for the bindings `all` of `arch` into `tree`. The toolchain program is in the folder `native`, for
/// this machine.
pub(crate) fn stage(
    root: &Path,
    tree: &Path,
    native: &Path,
    arch: Arch,
    all: &[&str],
) -> Result<()> {
    let version = version::find(root);
    let filled = |text: &str| {
        text.replace("@ARCH@", arch.name())
            .replace("@TRIPLE@", arch.triple())
            .replace("@ABIS@", &all.join(" "))
            .replace("@VERSION@", version.trim_start_matches('v'))
    };
    let cmake = tree.join("lib/cmake/Solo5");
    write(&cmake.join(format!("{}.cmake", arch.triple())), filled(TOOLCHAIN_FILE).as_bytes())?;
    write(&cmake.join("Solo5Config.cmake"), filled(CONFIG).as_bytes())?;
    write(&cmake.join("Solo5ConfigVersion.cmake"), filled(CONFIG_VERSION).as_bytes())?;
    for target in all {
        let mut toolchain = Command::new(native.join(TOOLCHAIN));
        let file = output(toolchain.args(["pkg-config", arch.name(), target]))?;
        let name = format!("lib/pkgconfig/solo5-bindings-{target}.pc");
        write(&tree.join(name), &file)?;
    }
    Ok(())
}
