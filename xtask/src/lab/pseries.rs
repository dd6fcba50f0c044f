//! A machine of Power's, little-endian, with pages of 64 KiB: QEMU.

use std::process::Command;

use super::machine::{Boot, OPTIONS, limited};
use crate::Result;

/// The emulator, and what compiles unikernels and the tests' programs in C for it, and links all others.
pub(crate) const PROGRAMS: [(&str, &str); 3] = [
    ("qemu-system-ppc64", "qemu-system-ppc"),
    ("powerpc64le-linux-gnu-gcc", "gcc-powerpc64le-linux-gnu"),
    ("/usr/powerpc64le-linux-gnu/lib/libc.a", "libc6-dev-ppc64el-cross"),
];

/// The line for results: the second terminal.
pub(crate) const RESULTS: &str = "/dev/hvc1";

/// Time limit: several times what all tests take.
const SECONDS: u32 = 1200;

/// A machine that boots `boot`.
pub(crate) fn machine(boot: &Boot) -> Result<Command> {
    let mut qemu = limited(SECONDS, "qemu-system-ppc64");
    // Mitigations of speculation, about which QEMU would warn that it cannot emulate them.
    let machine = "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off";
    qemu.args(["-accel", "tcg,thread=single", "-M", machine])
        .args(["-smp", "2", "-m", "2048"])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .arg("-chardev")
        .arg(format!("file,id=console,path={}", boot.log.display()))
        .args(["-device", "spapr-vty,chardev=console"])
        .args(["-chardev", "stdio,id=results", "-device", "spapr-vty,chardev=results"])
        .arg("-kernel")
        .arg(&boot.kernel)
        .arg("-initrd")
        .arg(&boot.initramfs)
        .args(["-append", &format!("console=hvc0 {OPTIONS}")]);
    Ok(qemu)
}
