//! Files for pkg-config, `solo5-bindings-NAME.pc`: the arguments that the wrappers would add, for build
//! systems that call the host's GCC themselves.
//!
//! Paths are relative to the file's own folder, `lib/pkgconfig`, so an installation can be moved.

use std::ffi::OsString;
use std::path::Path;

use solo5_abi::Arch;

use crate::script::Bindings;
use crate::tools::{self, Family};

/// The file for the bindings of `arch`.
pub(crate) fn render(arch: Arch, bindings: Bindings) -> String {
    let (triple, name) = (arch.triple(), bindings.name());
    let include = Path::new("${includedir}");
    let own = include.join(triple);
    let compile = words(tools::compile_with(Family::Gcc, arch, Some(include), Some(own), None));
    let mut link = tools::compiler_link(Family::Gcc, arch, false);
    link.extend(tools::link(arch, Path::new("${libdir}")));
    // In one word, because pkg-config sorts some words and drops those it has seen.
    link.push(format!("-Wl,-T,${{libdir}}/{}", bindings.script_file()).into());
    link.push(format!("${{libdir}}/{}", bindings.object_file()).into());
    let link = words(link).replace("-z max-page-size", "-Wl,-z,max-page-size");
    let version = solo5_report::VERSION.trim_start_matches('v');
    format!(
        "prefix=${{pcfiledir}}/../..\n\
         includedir=${{prefix}}/include\n\
         libdir=${{prefix}}/lib/{triple}\n\
         target={name}\n\
         triple={triple}\n\
         cc=${{prefix}}/bin/{triple}-cc\n\
         ld=${{prefix}}/bin/{triple}-ld\n\
         objcopy=${{prefix}}/bin/{triple}-objcopy\n\
         \n\
         Name: solo5-bindings-{name}\n\
         Description: Solo5 bindings for {name}, for GCC\n\
         URL: https://github.com/Solo5/solo5\n\
         Version: {version}\n\
         Cflags: {compile}\n\
         Libs: {link}\n"
    )
}

fn words(words: Vec<OsString>) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use solo5_abi::Target;

    use super::*;

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = render(Arch::X86_64, Bindings::Target(Target::Spt));
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        let libs = line("Libs: ");
        assert!(libs.ends_with(" -Wl,-T,${libdir}/solo5_spt.lds ${libdir}/solo5_spt.o"), "{libs}");
        assert!(libs.contains(" -Wl,-z,max-page-size=0x1000 "), "{libs}");
        let compile = line("Cflags: ");
        assert!(compile.contains("-isystem ${includedir}/x86_64-solo5-none-static "), "{compile}");
        assert!(compile.contains("-I ${includedir}/solo5 "), "{compile}");
        assert!(!text.contains(" /"), "{text}");
    }
}
