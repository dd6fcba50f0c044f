//! What an installation lacks, and how it gets there.

use std::path::{Path, PathBuf};

use solo5_abi::Arch;
use solo5_report::{Diagnostic, path_text};

use crate::codes;
use crate::name::Installed;

/// The error of a tool whose architecture has no bindings beside it. It begins with upstream's words.
pub fn bindings(installed: &Installed, arch: Arch) -> Diagnostic {
    let place = place(installed, &Path::new("lib").join(arch.triple()));
    let text = format!("Could not determine library path: no bindings for {}{place}", arch.name());
    Diagnostic::error(codes::NOT_INSTALLED, text).with_help(how(arch))
}

/// The error of a compiler that has no headers beside it. It begins with upstream's words.
pub fn headers(installed: &Installed, arch: Arch) -> Diagnostic {
    let place = place(installed, Path::new("include"));
    let text = format!("Could not determine include path: no headers of unikernels{place}");
    Diagnostic::error(codes::NOT_INSTALLED, text).with_help(how(arch))
}

/// Where `folder` would be.
fn place(installed: &Installed, folder: &Path) -> String {
    let path: Option<PathBuf> = installed.prefix.as_ref().map(|prefix| prefix.join(folder));
    path.map_or_else(
        || " beside the program".to_owned(),
        |path| format!(" in {}", path_text(&path)),
    )
}

/// How headers and bindings for `arch` come beside the tools.
pub fn how(arch: Arch) -> String {
    let (name, triple) = (arch.name(), arch.triple());
    if Arch::HOST == Some(arch) {
        return "install them with the tools; in the suite's sources, `cargo xtask build` makes \
                target/solo5, which has all of it"
            .to_owned();
    }
    format!(
        "in the suite's sources, `cargo xtask build --cross={name}` makes target/{name}/toolchain, \
         which has {triple}-cc with them"
    )
}
