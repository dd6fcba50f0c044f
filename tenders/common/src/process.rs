//! Processes and their signals, for the parent that watches a guest and reports how it ended.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::Signal;
pub use rustix::process::{Pid, WaitStatus};

pub use crate::signals::is_ignored;
use crate::signals::kinds::{Kind, SIGNAL_MAX, kind};
use crate::sys::{Errno, check};

/// A set of signals.
#[derive(Clone, Copy)]
pub struct Signals(libc::sigset_t);

impl Signals {
    fn none() -> Signals {
        // SAFETY: a signal set is plain bits; all zero is the empty set.
        Signals(unsafe { std::mem::zeroed() })
    }

    fn all_but(left_out: impl Fn(libc::c_int) -> bool) -> Result<Signals, Errno> {
        let mut set = Signals::none();
        // SAFETY: the call fills in the set it is given, which lives on this stack.
        check(unsafe { libc::sigfillset(&mut set.0) })?;
        for signal in (1..=SIGNAL_MAX).filter(|signal| left_out(*signal)) {
            // SAFETY: the set is initialised, and a number that is no signal is an error.
            check(unsafe { libc::sigdelset(&mut set.0, signal) })?;
        }
        Ok(set)
    }

    fn only(signal: libc::c_int) -> Result<Signals, Errno> {
        let mut set = Signals::none();
        // SAFETY: the set is initialised, and a number that is no signal is an error.
        check(unsafe { libc::sigaddset(&mut set.0, signal) })?;
        Ok(set)
    }

    /// Changes the mask of this process's only thread and returns the one before.
    fn mask(&self, how: libc::c_int) -> Result<Signals, Errno> {
        let mut before = Signals::none();
        // SAFETY: both sets are initialised and outlive the call.
        check(unsafe { libc::sigprocmask(how, &self.0, &mut before.0) })?;
        Ok(before)
    }
}

fn set_default_action(signal: libc::c_int) {
    // SAFETY: the default action runs no code of this program.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Whether [`block_signals`] leaves `signal` alone: job control must reach the process, and a fault
/// of the program itself must act at once.
fn stays(signal: libc::c_int) -> bool {
    match kind(signal) {
        Kind::JobControl | Kind::Fault | Kind::Abort | Kind::Unblockable => true,
        Kind::Ignored | Kind::Ending => false,
    }
}

/// Blocks signals so that [`next_signal`] can take them, and resets SIGCHLD to its default, so
/// that the kernel does not discard it. Returns the signals blocked now and those blocked
/// before.
pub fn block_signals() -> Result<(Signals, Signals), Errno> {
    let wanted = Signals::all_but(stays)?;
    set_default_action(libc::SIGCHLD);
    let before = wanted.mask(libc::SIG_SETMASK)?;
    Ok((wanted, before))
}

/// Blocks exactly `signals`.
pub fn restore_signals(signals: &Signals) -> Result<(), Errno> {
    signals.mask(libc::SIG_SETMASK).map(drop)
}

/// Waits for the next of the blocked `signals`.
pub fn next_signal(signals: &Signals) -> Result<i32, Errno> {
    loop {
        // SAFETY: the set is initialised and only read; a null pointer asks for no details.
        match check(unsafe { libc::sigwaitinfo(&signals.0, std::ptr::null_mut()) }) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Blocked signals as a descriptor, for a program that waits for more than signals.
#[derive(Debug)]
pub struct SignalSource(SignalFd);

impl SignalSource {
    /// Of these signals, which stay blocked.
    pub fn of(signals: &Signals) -> Result<SignalSource, Errno> {
        // SAFETY: the set is initialised.
        let set = unsafe { SigSet::from_sigset_t_unchecked(signals.0) };
        let source = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        source.map(SignalSource).map_err(errno)
    }

    /// The next signal, if there is one.
    pub fn take(&self) -> Result<Option<i32>, Errno> {
        let taken = self.0.read_signal().map_err(errno)?;
        Ok(taken.and_then(|taken| i32::try_from(taken.ssi_signo).ok()))
    }
}

impl AsFd for SignalSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn errno(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}

/// Adds to `signals` those that whoever started this program lets it ignore, as `nohup` does.
pub fn with_ignored(signals: &Signals) -> Result<Signals, Errno> {
    let mut all = *signals;
    for signal in (1..=SIGNAL_MAX).filter(|signal| is_ignored(*signal)) {
        // SAFETY: the set is initialised, and a number that is no signal is an error.
        check(unsafe { libc::sigaddset(&mut all.0, signal) })?;
    }
    Ok(all)
}

/// Whether `signal` is SIGCHLD.
pub fn is_about_children(signal: i32) -> bool {
    signal == libc::SIGCHLD
}

/// Forks. Returns `None` in the child, which the kernel kills when its parent ends.
pub fn fork() -> Result<Option<Pid>, Errno> {
    let parent = rustix::process::getpid();
    // SAFETY: a tender has one thread at this point, so no lock is held and the child may do
    // anything.
    let child = check(unsafe { libc::fork() })?;
    if child != 0 {
        return Ok(Pid::from_raw(child));
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Some(parent) {
        return Err(Errno::SRCH);
    }
    Ok(None)
}

/// Sends `signal` to `child`, which this process has not waited for yet.
pub fn forward(child: Pid, signal: i32) {
    // SAFETY: only numbers are passed. A child that has ended in the meantime is no error.
    unsafe { libc::kill(child.as_raw_nonzero().get(), signal) };
}

/// The wait status of `child` if it has ended, or if it is traced and a signal has stopped it; `None`
/// while it runs, and if it is stopped and not traced.
pub fn ended(child: Pid) -> Result<Option<WaitStatus>, Errno> {
    use rustix::process::{WaitOptions, waitpid};
    let found = rustix::io::retry_on_intr(|| waitpid(Some(child), WaitOptions::NOHANG))?;
    Ok(found.map(|(_, status)| status))
}

/// Ends this process by `signal`, as its child ended, but without a core file.
pub fn die_of(signal: i32) -> ! {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    set_default_action(signal);
    if let Ok(only) = Signals::only(signal) {
        let _ = only.mask(libc::SIG_UNBLOCK);
    }
    // SAFETY: only a number is passed, and the signal's action is the default, so no handler
    // runs.
    unsafe { libc::raise(signal) };
    // Reached only if the signal's default action does not end a process.
    std::process::exit(128 + signal)
}

/// The name of a signal, such as `SIGSEGV`.
pub fn signal_name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

/// Whether `signal` reports a fault of the process's own instructions.
pub fn is_fault(signal: i32) -> bool {
    kind(signal) == Kind::Fault
}
