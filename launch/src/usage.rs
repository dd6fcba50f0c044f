//! The output of `--help`: upstream's text (`docs/reference/downstream.md#options`) and the options that
//! this suite adds.

use std::fmt::Write;

use solo5_abi::target::Target;

use super::memory::memory_default_mib;
use super::modules::{Module, Modules};
use super::options::OPTIONS;

/// The usage text of `program`. Each line ends with a line feed. It goes to standard error.
pub fn usage(program: &str, modules: &Modules) -> String {
    let is_spt = modules.target == Target::Spt;
    let order: &[(Module, &str)] = if is_spt {
        &[(Module::Net, "net"), (Module::Block, "block")]
    } else {
        &[
            (Module::Block, "block"),
            (Module::Net, "net"),
            (Module::Gdb, "gdb"),
            (Module::Dumpcore, "dumpcore"),
        ]
    };
    let mut out = String::new();
    let module_options = if is_spt { "" } else { " [ MODULE OPTIONS ]" };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "usage: {program} [ CORE OPTIONS ]{module_options} [ -- ] KERNEL [ ARGS ]\n\
         KERNEL is the filename of the unikernel to run.\n\
         ARGS are optional arguments passed to the unikernel.\n\
         Core options:"
    );
    let mut core = lines(Module::Core);
    // Upstream's lines come first, for scripts that compare the beginning.
    if let Some(memory) = core.next() {
        let default = |target| format!("--mem={}", memory_default_mib(target));
        let memory = memory.replace(&default(Target::Spt), &default(modules.target));
        let _ = writeln!(out, "{memory}\n    --help (display this help)");
    }
    if !is_spt {
        out.push_str("    --version (display version information)\n");
    }
    let further = [Module::Offer, Module::Runner, Module::Confinement];
    let further = further.into_iter().filter(|module| module.is_in(modules)).flat_map(lines);
    for line in core.chain(further) {
        let _ = writeln!(out, "{line}");
    }
    out.push_str("  [ --explain=CODE ] (explain a code such as P311)\n");
    out.push_str("Compiled-in modules: core ");
    let present = || order.iter().filter(|(module, _)| module.is_in(modules));
    for (_, name) in present() {
        let _ = write!(out, "{name} ");
    }
    out.push_str("\nCompiled-in module options:\n");
    let heap = [(Module::ExecHeap, "")];
    for (module, _) in heap.iter().filter(|(module, _)| module.is_in(modules)).chain(present()) {
        for line in lines(*module) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

fn lines(module: Module) -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().filter(move |row| row.module == module).map(|row| row.usage)
}
