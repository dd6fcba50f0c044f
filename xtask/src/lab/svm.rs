//! A machine with AMD's virtualisation: QEMU.

use std::process::Command;

use super::machine::{Boot, limited, pc_options};
use crate::Result;

/// The emulator.
pub(crate) const PROGRAMS: [(&str, &str); 1] = [("qemu-system-x86_64", "qemu-system-x86")];

/// Time limit: ten times what all tests take.
const SECONDS: u32 = 2400;

/// A machine that boots `boot`.
pub(crate) fn machine(boot: &Boot) -> Result<Command> {
    with_processors(boot, "2")
}

/// The same with one processor, whose clocks count its instructions, a nanosecond each: nothing else on
/// the host changes what is measured in it.
pub(crate) fn counting(boot: &Boot) -> Result<Command> {
    let mut qemu = with_processors(boot, "1")?;
    qemu.args(["-icount", "shift=0,sleep=off"]);
    Ok(qemu)
}

fn with_processors(boot: &Boot, count: &str) -> Result<Command> {
    let mut qemu = limited(SECONDS, "qemu-system-x86_64");
    // With a thread for each processor QEMU 7.2 loses interrupts under nested virtualisation, and
    // the machine locks up within a minute.
    qemu.args(["-accel", "tcg,thread=single", "-cpu", "max,+svm"])
        .args(["-smp", count, "-m", "3072"])
        .args(["-display", "none", "-nic", "none", "-no-reboot"])
        .arg("-serial")
        .arg(format!("file:{}", boot.log.display()))
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(&boot.kernel)
        .arg("-initrd")
        .arg(&boot.initramfs)
        .args(["-append", &pc_options()]);
    Ok(qemu)
}
