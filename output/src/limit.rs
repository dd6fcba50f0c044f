//! A limit on the size of files (`ulimit -f`).

use nix::sys::signal::{SigSet, Signal};

/// Makes a write beyond the limit an error. Otherwise the kernel ends the process with SIGXFSZ, and its
/// temporary files stay. Once blocked, the signal stays so: it would be delivered after the write.
pub(crate) fn becomes_an_error() {
    // It can fail only for a signal that does not exist.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
}
