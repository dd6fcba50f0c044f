//! Assembles the boot sector and the loader, which [`boot`](src/boot.rs) includes.

#[path = "src/layout.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod layout;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=boot");
    println!("cargo::rerun-if-changed=src/layout.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    assemble("sector", layout::BOOT_SECTOR_AT, &out);
    assemble("loader", layout::LOADER_AT, &out);
}

/// Makes `NAME.bin` of `boot/NAME.S`, to lie at `address`.
fn assemble(name: &str, address: usize, out: &Path) {
    let object = out.join(format!("{name}.o"));
    let linked = out.join(format!("{name}.elf"));
    let mut cc = tool("cc", "gcc");
    cc.args(["-c", "-x", "assembler-with-cpp", "-Iboot"]).arg(format!("boot/{name}.S"));
    for (name, value) in layout::NAMES {
        cc.arg(format!("-D{name}={value:#x}"));
    }
    cc.arg(format!("-DLOADER_NAME=\"{}00000000\"", layout::LOADER_NAME));
    run(cc.arg("-o").arg(&object));
    let mut ld = tool("ld", "ld");
    ld.args(["-m", "elf_x86_64", "--build-id=none", &format!("-Ttext={address:#x}")]);
    run(ld.arg(&object).arg("-o").arg(&linked));
    let mut objcopy = tool("objcopy", "objcopy");
    objcopy.args(["-O", "binary", "-j", ".text"]).arg(&linked);
    run(objcopy.arg(out.join(format!("{name}.bin"))));
}

/// A tool that makes code for x86_64: this machine's own, or a cross tool.
fn tool(own: &str, cross: &str) -> Command {
    let host = env::var("HOST").expect("cargo sets it");
    if host.starts_with("x86_64-") {
        Command::new(own)
    } else {
        Command::new(format!("x86_64-linux-gnu-{cross}"))
    }
}

fn run(command: &mut Command) {
    let status = command.status();
    let done = status.as_ref().is_ok_and(|status| status.success());
    assert!(done, "{command:?}: {status:?}; it needs a compiler and binutils for x86_64");
}
