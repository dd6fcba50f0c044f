//! Compiles a manifest's source to the objects that bring its notes into the image.

use std::path::Path;

use solo5_abi::Arch;
use solo5_manifest::object;
use solo5_output::input::{self, Input};
use solo5_report::{Diagnostic, Severity, path_text};

use crate::codes;

/// Most bytes read of a source. The front end accepts less, so it reports a source that is too long.
const SOURCE_MAX: u64 = 2 << 20;

/// Objects to link, and warnings about the manifest.
pub struct Compiled {
    /// Endings of file names, and contents.
    pub objects: Vec<(&'static str, Vec<u8>)>,
    /// Warnings only. Notes are left to `solo5-mft`: a link that is repeated all day should print
    /// nothing when nothing is wrong.
    pub warnings: Vec<Diagnostic>,
}

/// Compiles the manifest in `file` for `arch`. Its `package` becomes a separate note, which is
/// never in the manifest's object.
///
/// # Errors
///
/// All faults of the manifest, or the failure to read it.
pub fn compile(file: &Path, arch: Arch) -> Result<Compiled, Vec<Diagnostic>> {
    let name = path_text(file).into_owned();
    let input = input::open(file).and_then(|opened| Input::of(opened, file));
    let source = input.and_then(|input| input.all(SOURCE_MAX)).map_err(|error| {
        vec![
            Diagnostic::error(codes::MANIFEST, format!("cannot read manifest {name}: {error}"))
                .with_help("`-z solo5-manifest=` takes the path of a manifest's source"),
        ]
    })?;
    let checked = solo5_manifest::parse(&name, &source)?;
    let mut objects = vec![("o", object::write(&checked.manifest.notes(), arch))];
    if let Some(note) = solo5_manifest::package_note(&checked.manifest) {
        objects.push(("package.o", object::write_package(&note, arch)));
    }
    let mut warnings = checked.remarks;
    warnings.retain(|remark| remark.severity > Severity::Note);
    Ok(Compiled { objects, warnings })
}
