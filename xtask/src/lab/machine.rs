//! A machine: booting it, showing what its tests print, and what became of them.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Result;

/// The machine's line for results. The first one is the kernel's console, which breaks into any
/// line it likes; that one goes to a file.
pub(crate) const RESULTS: &str = "/dev/ttyS1";

/// What the machine prints before the status of its tests.
pub(crate) const STATUS: &str = "lab: status ";

/// A machine that hangs must not hang us: its tests have their own, shorter limits.
const SECONDS: &str = "2400";

/// A machine to boot.
pub(crate) struct Machine {
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
    /// Where the kernel's console goes.
    pub(crate) log: PathBuf,
}

impl Machine {
    /// Boots it and shows each line of its tests; false if a test failed.
    pub(crate) fn run(self, show: &mut dyn FnMut(&str)) -> Result<bool> {
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let results = child
            .stdout
            .take()
            .ok_or("the machine has no line for results")?;
        let mut status = None;
        for line in BufReader::new(results).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
            match line.strip_prefix(STATUS) {
                Some(code) => status = code.parse::<u8>().ok(),
                None => show(&line),
            }
        }
        let ended = child.wait()?;
        status.map(|code| code == 0).ok_or_else(|| {
            let log = self.log.display();
            format!("the machine ended before its tests did ({ended}); its console: {log}").into()
        })
    }

    fn command(&self) -> Command {
        let mut qemu = Command::new("timeout");
        qemu.args(["--foreground", SECONDS, "qemu-system-x86_64"])
            // With a thread for each processor QEMU 7.2 loses interrupts under nested
            // virtualisation, and the machine locks up within a minute.
            .args(["-accel", "tcg,thread=single", "-cpu", "max,+svm"])
            .args(["-smp", "2", "-m", "3072"])
            .args(["-display", "none", "-nic", "none", "-no-reboot"])
            .arg("-serial")
            .arg(format!("file:{}", self.log.display()))
            .args(["-serial", "stdio"])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            // A kernel that is stuck ends the machine.
            .args([
                "-append",
                "console=ttyS0 panic=-1 softlockup_panic=1 watchdog_thresh=60",
            ]);
        qemu
    }
}
