//! Waits for the end: of QEMU, of the machine in it, and of what the guest has said.
//!
//! Each wait has an end that does not depend on the guest, on QEMU or on who reads the console:
//! signals to this program are taken all the time, and a machine that cannot go on is ended.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use solo5_tender::error::Error;
use solo5_tender::process::{self, WaitStatus};
use solo5_tender::signals::kinds::{Kind, kind};
use solo5_tender::start::host;

use crate::monitor::{Heard, Monitor};
use crate::process::Running;

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended {
    /// QEMU ended by itself, or by a signal that this program had no part in.
    Itself(WaitStatus),
    /// QEMU had stopped the machine, which stays in this state, so QEMU was ended.
    Stopped(&'static str),
    /// This signal ends this program, so QEMU was ended.
    Asked(i32),
}

/// The ends of pipes that this program and the thread that relays tell each other by.
#[derive(Debug)]
pub struct Relaying {
    /// Closed to say that QEMU has ended.
    pub ended: OwnedFd,
    /// Closed when everything is relayed.
    pub relayed: OwnedFd,
}

impl Running {
    /// Waits until QEMU has ended and everything is relayed. A signal that would end this program ends
    /// QEMU at once: a guest's disks are as after any other end, because QEMU keeps nothing back that was
    /// written.
    ///
    /// # Errors
    ///
    /// A system call failed.
    pub fn wait(&self, monitor: Monitor, relaying: Relaying) -> Result<Ended, Error> {
        let Relaying { ended, relayed } = relaying;
        let found = self.wait_for_qemu(monitor)?;
        drop(ended);
        if matches!(found, Ended::Asked(_)) {
            // What the guest printed last may be lost: a reader that does not read must not hold up
            // the end.
            return Ok(found);
        }
        while !ready([&self.signals, &relayed])?[1] {
            if let Some(signal) = self.ending()? {
                return Ok(Ended::Asked(signal));
            }
        }
        Ok(found)
    }

    fn wait_for_qemu(&self, monitor: Monitor) -> Result<Ended, Error> {
        let mut monitor = Some(monitor);
        let mut why = None;
        loop {
            let is_heard = match &monitor {
                Some(monitor) => ready([&self.signals as &dyn AsFd, monitor])?[1],
                None => {
                    ready([&self.signals])?;
                    false
                }
            };
            if is_heard && let Some(open) = &mut monitor {
                match open.hear() {
                    Heard::Nothing => {}
                    Heard::Closed => monitor = None,
                    Heard::Stopped(state) => {
                        why.get_or_insert(Ended::Stopped(state));
                        process::forward(self.child, libc::SIGKILL);
                        monitor = None;
                    }
                }
            }
            while let Some(signal) = self.signals.take().map_err(host("read()"))? {
                if process::is_about_children(signal) {
                    let status = process::ended(self.child).map_err(host("waitpid()"))?;
                    if let Some(status) = status.filter(|status| !status.stopped()) {
                        return Ok(why.unwrap_or(Ended::Itself(status)));
                    }
                } else if ends(signal) {
                    why.get_or_insert(Ended::Asked(signal));
                    process::forward(self.child, libc::SIGKILL);
                }
            }
        }
    }

    /// A signal that ends this program, if one has come.
    fn ending(&self) -> Result<Option<i32>, Error> {
        while let Some(signal) = self.signals.take().map_err(host("read()"))? {
            if ends(signal) {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }
}

/// Whether a signal ends this program. It may have been started to ignore it, as `nohup` does.
fn ends(signal: i32) -> bool {
    kind(signal) == Kind::Ending && !process::is_ignored(signal)
}

/// Waits until one of these can be read, and says which.
fn ready<const N: usize>(from: [&dyn AsFd; N]) -> Result<[bool; N], Error> {
    let mut polled = from.map(|one| PollFd::from_borrowed_fd(one.as_fd(), PollFlags::IN));
    retry_on_intr(|| poll(&mut polled, None)).map_err(host("poll()"))?;
    Ok(polled.map(|one| !one.revents().is_empty()))
}
