//! Files of an installed tree: how one is written, and the part that it belongs to.

use std::fs;
use std::path::Path;

use crate::part::Part;
use crate::{Result, programs};

/// Writes a file of the tree, in a folder that may not be there yet.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().ok_or("a path without a folder")?)?;
    Ok(fs::write(path, content)?)
}

/// The part that a file of the tree belongs to; `path` is relative to the tree.
pub(crate) fn part_of(path: &Path) -> Part {
    if path.starts_with("include/solo5") {
        return Part::Headers;
    }
    if path.starts_with("share/doc") {
        return Part::Docs;
    }
    if path.starts_with("share/man/man5") || path.starts_with("share/solo5") {
        return Part::Tools;
    }
    if !path.starts_with("bin") && !path.starts_with("share") {
        return Part::Toolchain;
    }
    // Pages and completions have the name of their program, with something around it.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_start_matches('_').trim_end_matches(".fish").trim_end_matches(".1");
    programs::part_of(name).unwrap_or(Part::Toolchain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_one_part() {
        for (path, part) in [
            ("bin/solo5-elftool", Part::Tools),
            ("share/man/man1/solo5-mft.1", Part::Tools),
            ("bin/solo5-hvt-debug", Part::Tenders),
            ("bin/solo5-hvt.2", Part::Tenders),
            ("share/man/man1/solo5-hvt.2.1", Part::Tenders),
            ("share/fish/vendor_completions.d/solo5-spt.fish", Part::Tenders),
            ("share/zsh/site-functions/_solo5-hvt", Part::Tenders),
            ("include/solo5/solo5.h", Part::Headers),
            ("include/x86_64-solo5-none-static/stddef.h", Part::Toolchain),
            ("bin/x86_64-solo5-none-static-cc", Part::Toolchain),
            ("share/man/man1/solo5-cc.1", Part::Toolchain),
            ("share/man/man5/solo5-policy.5", Part::Tools),
            ("share/solo5/schemas/policy.json", Part::Tools),
            ("share/doc/solo5/docs/policy.md", Part::Docs),
            ("share/man/man1/x86_64-solo5-none-static-ld.1", Part::Toolchain),
            ("share/bash-completion/completions/solo5-toolchain", Part::Toolchain),
            ("lib/pkgconfig/solo5-bindings-spt.pc", Part::Toolchain),
            ("lib/cmake/Solo5/Solo5Config.cmake", Part::Toolchain),
            ("lib/x86_64-solo5-none-static/solo5_spt.o", Part::Toolchain),
        ] {
            assert_eq!(part_of(Path::new(path)), part, "{path}");
        }
    }
}
