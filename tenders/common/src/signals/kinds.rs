//! The kinds of signals. Whoever treats signals differently goes by this table.

use std::os::raw::c_int;

/// Highest number of a signal.
pub const SIGNAL_MAX: c_int = 64;

/// What a signal is for, as far as a tender is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ends a process by default.
    Ending,
    /// Reports a fault of the process's own instructions. It ends even process 1.
    Fault,
    /// SIGABRT, by which a program ends itself.
    Abort,
    /// Stops a process or lets it go on.
    JobControl,
    /// Can be neither handled nor blocked.
    Unblockable,
    /// Does nothing by default.
    Ignored,
}

/// Every signal that is not [`Kind::Ending`].
const KINDS: [(c_int, Kind); 16] = [
    (libc::SIGKILL, Kind::Unblockable),
    (libc::SIGSTOP, Kind::Unblockable),
    (libc::SIGTSTP, Kind::JobControl),
    (libc::SIGTTIN, Kind::JobControl),
    (libc::SIGTTOU, Kind::JobControl),
    (libc::SIGCONT, Kind::JobControl),
    (libc::SIGCHLD, Kind::Ignored),
    (libc::SIGURG, Kind::Ignored),
    (libc::SIGWINCH, Kind::Ignored),
    (libc::SIGSEGV, Kind::Fault),
    (libc::SIGBUS, Kind::Fault),
    (libc::SIGFPE, Kind::Fault),
    (libc::SIGILL, Kind::Fault),
    (libc::SIGTRAP, Kind::Fault),
    (libc::SIGSYS, Kind::Fault),
    (libc::SIGABRT, Kind::Abort),
];

/// The kind of a signal.
pub fn kind(signal: c_int) -> Kind {
    let known = KINDS.iter().find(|(known, _)| *known == signal);
    known.map_or(Kind::Ending, |(_, kind)| *kind)
}
