//! A machine of Arm's with virtualisation: QEMU. Its processor starts the kernel at EL2, so KVM works in it.

use std::process::Command;

use super::machine::{Boot, OPTIONS, limited};
use crate::Result;

/// The emulator, and what compiles unikernels and the tests' programs in C for it.
pub(crate) const PROGRAMS: [(&str, &str); 3] = [
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("/usr/aarch64-linux-gnu/lib/libc.a", "libc6-dev-arm64-cross"),
];

/// The line for results: the machine's own line is the kernel's console.
pub(crate) const RESULTS: &str = "/dev/ttyS0";

/// Time limit: several times what all tests take.
const SECONDS: u32 = 1200;

/// A machine that boots `boot`.
pub(crate) fn machine(boot: &Boot) -> Result<Command> {
    let mut qemu = limited(SECONDS, "qemu-system-aarch64");
    // The architecture's own algorithm for signed pointers takes most of the time if it is emulated.
    qemu.args(["-accel", "tcg,thread=single", "-cpu", "max,pauth-impdef=on"])
        .args(["-M", "virt,virtualization=on,gic-version=3", "-smp", "2", "-m", "2048"])
        .args(["-display", "none", "-nic", "none", "-no-reboot"])
        .arg("-serial")
        .arg(format!("file:{}", boot.log.display()))
        .args(["-chardev", "stdio,id=results", "-device", "pci-serial,chardev=results"])
        .arg("-kernel")
        .arg(&boot.kernel)
        .arg("-initrd")
        .arg(&boot.initramfs)
        .args(["-append", &format!("console=ttyAMA0 {OPTIONS}")]);
    Ok(qemu)
}
