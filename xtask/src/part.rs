//! The parts of an installed tree, which can be built and installed one by one.

use std::path::Path;

use crate::{Result, programs};

/// A part of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The tools that read manifests, policies and unikernels; the formats' pages and schemas.
    Tools,
    /// The tenders.
    Tenders,
    /// The headers of the guest API.
    Headers,
    /// The wrappers, the bindings, the compiler's own headers, and files for build systems.
    Toolchain,
    /// The documentation and an example.
    Docs,
}

impl Part {
    /// Every part.
    pub(crate) const ALL: [Part; 5] =
        [Part::Tools, Part::Tenders, Part::Headers, Part::Toolchain, Part::Docs];

    fn name(self) -> &'static str {
        match self {
            Part::Tools => "tools",
            Part::Tenders => "tenders",
            Part::Headers => "headers",
            Part::Toolchain => "toolchain",
            Part::Docs => "docs",
        }
    }

    /// The parts of a list such as `tools,tenders`.
    pub(crate) fn list(text: &str) -> Result<Vec<Part>> {
        let part = |name: &str| {
            let found = Part::ALL.into_iter().find(|part| part.name() == name);
            found.ok_or_else(|| {
                let names = Part::ALL.map(Part::name).join(", ");
                format!("'{name}' is no part of the suite; the parts are {names}").into()
            })
        };
        text.split(',').map(part).collect()
    }

    /// The part that a file of the tree belongs to; `path` is relative to the tree.
    pub(crate) fn of(path: &Path) -> Part {
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
            assert_eq!(Part::of(Path::new(path)), part, "{path}");
        }
        assert_eq!(Part::list("tools,headers").unwrap(), [Part::Tools, Part::Headers]);
        let unknown = Part::list("tools,books").unwrap_err().to_string();
        assert!(unknown.contains("'books'") && unknown.contains("tenders"), "{unknown}");
    }
}
