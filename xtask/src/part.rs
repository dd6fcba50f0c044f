//! The parts of an installed tree, which can be built and installed one by one.

use crate::Result;

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_only_names_of_parts() {
        assert_eq!(Part::list("tools,headers").unwrap(), [Part::Tools, Part::Headers]);
        let unknown = Part::list("tools,books").unwrap_err().to_string();
        assert!(unknown.contains("'books'") && unknown.contains("tenders"), "{unknown}");
    }
}
