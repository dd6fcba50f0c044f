//! Signals: SIGINT and SIGTERM end the tender with a message; SIGPIPE does not end it.

use std::ffi::CString;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};

use solo5_tender::error::EXIT_CANNOT;
use solo5_tender::signals::install;
use solo5_tender::sys::Errno;

/// The line for a signal, formatted in advance, because a handler must not format or allocate.
/// Pointer and length are set before any handler is installed.
struct Line(AtomicPtr<u8>, AtomicUsize);

/// For each signal, its line for standard error and its line for the report.
static LINES: [(libc::c_int, Line, &str); 2] = [
    (
        libc::SIGINT,
        Line(AtomicPtr::new(std::ptr::null_mut()), AtomicUsize::new(0)),
        "{\"outcome\":\"signal\",\"status\":1,\"signal\":\"SIGINT\",\"reasons\":[]}\n",
    ),
    (
        libc::SIGTERM,
        Line(AtomicPtr::new(std::ptr::null_mut()), AtomicUsize::new(0)),
        "{\"outcome\":\"signal\",\"status\":1,\"signal\":\"SIGTERM\",\"reasons\":[]}\n",
    ),
];

/// Descriptor for the outcome with `--report`, or -1.
static REPORT: AtomicI32 = AtomicI32::new(-1);

/// A file to remove unless [`keep_file`] was called: its directory and its name.
static FILE: (AtomicI32, AtomicPtr<libc::c_char>) =
    (AtomicI32::new(-1), AtomicPtr::new(std::ptr::null_mut()));

/// From now on [`remove_file`] removes the file `name` in `directory`. The signal handlers call it
/// too.
pub fn remove_unless_kept(directory: RawFd, name: CString) {
    FILE.1.store(name.into_raw(), Ordering::Release);
    FILE.0.store(directory, Ordering::Release);
}

/// Keeps the file: [`remove_file`] no longer removes it.
pub fn keep_file() {
    FILE.0.store(-1, Ordering::Release);
}

/// Removes the file, unless there is none or it is kept.
pub fn remove_file() {
    let directory = FILE.0.load(Ordering::Acquire);
    if directory >= 0 {
        // SAFETY: a leaked, terminated string, set before the directory; `unlinkat` is
        // async-signal-safe.
        unsafe { libc::unlinkat(directory, FILE.1.load(Ordering::Acquire), 0) };
    }
}

extern "C" fn ended(signal: libc::c_int) {
    let found = LINES.iter().find(|(number, ..)| *number == signal);
    if let Some((_, Line(text, length), reported)) = found {
        let (text, length) = (text.load(Ordering::Acquire), length.load(Ordering::Acquire));
        // SAFETY: a leaked text and its length; `write` is async-signal-safe.
        unsafe { libc::write(2, text.cast(), length) };
        let report = REPORT.load(Ordering::Acquire);
        if report >= 0 {
            // SAFETY: a constant and its length.
            unsafe { libc::write(report, reported.as_ptr().cast(), reported.len()) };
        }
    }
    remove_file();
    // SAFETY: `_exit` is async-signal-safe and runs no code of this program.
    unsafe { libc::_exit(EXIT_CANNOT.into()) }
}

/// From now on SIGINT and SIGTERM end the tender with upstream's line and status 1, and SIGPIPE is
/// ignored.
pub fn handle(program: &str, report: Option<RawFd>) -> Result<(), Errno> {
    REPORT.store(report.unwrap_or(-1), Ordering::Release);
    for (signal, Line(text, length), _) in &LINES {
        let line = format!("{program}: Exiting on signal {signal}\n").leak();
        length.store(line.len(), Ordering::Release);
        text.store(line.as_mut_ptr(), Ordering::Release);
        let handler: extern "C" fn(libc::c_int) = ended;
        install(*signal, handler as libc::sighandler_t)?;
    }
    install(libc::SIGPIPE, libc::SIG_IGN)
}

/// Blocks all signals in this thread, so that the guest's thread takes them.
pub fn leave_to_others() -> Result<(), Errno> {
    // SAFETY: a signal set is plain bits, so all zero is a value.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills in the set it is given.
    unsafe { libc::sigfillset(&mut all) };
    // SAFETY: the set is initialised and only read; a null pointer asks for no old set.
    let result = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(result)) }
}

#[cfg(test)]
mod tests {
    use solo5_tender::process::signal_name;

    use super::*;

    #[test]
    fn a_report_names_the_signal() {
        for (signal, _, reported) in &LINES {
            let told: serde_json::Value = serde_json::from_str(reported).unwrap();
            assert_eq!((&told["outcome"], &told["status"]), (&"signal".into(), &1.into()));
            assert_eq!(told["signal"], signal_name(*signal));
            assert!(reported.ends_with('\n'));
        }
    }

    /// Environment variable that marks a child process, and says what it does.
    const CHILD: &str = "SOLO5_TEST_SIGNALS";

    /// Runs the test `name` in a child process that finds `what` in [`CHILD`].
    fn child(name: &str, what: &str) -> std::process::Output {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("signals::tests::{name}")]).env(CHILD, what);
        command.output().unwrap()
    }

    fn raise(signal: libc::c_int) {
        // SAFETY: only a number is passed.
        assert_eq!(unsafe { libc::raise(signal) }, 0);
    }

    #[test]
    fn sigterm_removes_the_file_and_is_reported_and_sigpipe_ends_nothing() {
        const NAME: &str = "sigterm_removes_the_file_and_is_reported_and_sigpipe_ends_nothing";
        const STDOUT: RawFd = 1;
        if let Ok(what) = std::env::var(CHILD) {
            // The start of a Rust program ignores it already.
            install(libc::SIGPIPE, libc::SIG_DFL).unwrap();
            handle("solo5-hvt", Some(STDOUT)).unwrap();
            let (place, kept) = what.split_once(' ').unwrap();
            let directory = std::fs::File::open(place).unwrap();
            let directory = std::os::fd::IntoRawFd::into_raw_fd(directory);
            remove_unless_kept(directory, CString::new("core").unwrap());
            raise(libc::SIGPIPE);
            if kept == "kept" {
                keep_file();
                return remove_file();
            }
            return raise(libc::SIGTERM);
        }
        let place = tempfile::tempdir().unwrap();
        let core = place.path().join("core");
        std::fs::write(&core, "").unwrap();
        let place = place.path().display();

        let kept = child(NAME, &format!("{place} kept"));
        assert!(kept.status.success() && core.exists(), "{kept:?}");

        let ended = child(NAME, &format!("{place} raise"));
        assert_eq!(ended.status.code(), Some(EXIT_CANNOT.into()), "{ended:?}");
        assert!(!core.exists());
        assert_eq!(str::from_utf8(&ended.stderr), Ok("solo5-hvt: Exiting on signal 15\n"));
        let out = String::from_utf8(ended.stdout).unwrap();
        assert!(out.ends_with(LINES[1].2), "{out}");
    }

    #[test]
    fn a_thread_can_leave_all_signals_to_others() {
        let blocked = std::thread::spawn(|| {
            leave_to_others().unwrap();
            // SAFETY: a signal set is plain bits, so all zero is a value.
            let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
            let nothing = std::ptr::null();
            // SAFETY: without a new set, the call only fills in the old one.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, nothing, &mut set) };
            // SAFETY: the call before has initialised the set.
            [libc::SIGINT, libc::SIGTERM].map(|signal| unsafe { libc::sigismember(&set, signal) })
        });
        assert_eq!(blocked.join().unwrap(), [1, 1]);
    }
}
