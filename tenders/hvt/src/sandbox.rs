//! Drops all rights that running the guest does not need, right before the guest runs.
//!
//! The order matters, because each step needs rights that a later one drops: root directory, user
//! and groups, capabilities, `no_new_privs`, files and sockets (Landlock), core files and
//! debuggers, descriptors, and last, separately for each thread, system calls.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Gid, Uid};
use solo5_tender::attach::Locks;
use solo5_tender::boot::User;
use solo5_tender::confine;
use solo5_tender::error::Error;
use solo5_tender::seccomp::Instruction;
use solo5_tender::sys::descriptors::close_all_but;
use solo5_tender::sys::filters::install_filter;
use solo5_tender::sys::{Errno, landlock};

use crate::signals;

/// What the tender keeps, and what it changes to.
#[derive(Debug)]
pub struct Sandbox {
    /// New root directory, if any.
    pub chroot: Option<CString>,
    /// New user and group, if any.
    pub user: Option<User>,
    /// Descriptors that stay open besides the standard ones.
    pub keep: Vec<RawFd>,
    /// Locks on the guest's disks; their descriptors are in `keep`.
    pub locks: Locks,
    /// A directory from which files can still be removed.
    pub removable: Option<RawFd>,
    /// The filter of the guest's thread.
    pub guest: Vec<Instruction>,
}

fn failed(what: &'static str) -> impl Fn(Errno) -> Error {
    move |error| Error::Confine { what, error }
}

/// Makes `directory` the root directory and the current directory.
fn change_root(directory: &CStr) -> Result<(), Errno> {
    rustix::process::chroot(directory)?;
    rustix::process::chdir(c"/")
}

/// Checks that `directory` is a directory that this process can reach.
///
/// # Errors
///
/// The error of changing to it, but for a lack of privilege.
pub fn check_root(directory: &OsStr) -> Result<(), Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty());
    opened.map(drop).map_err(failed("chroot()"))
}

/// Changes to this user and group for good, and drops all other groups. The calls affect only the
/// calling thread, so no other thread may have been started yet.
fn change_user(uid: u32, gid: u32) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

impl Sandbox {
    /// Enters the sandbox; there is no way back. `threads` starts the other threads. All
    /// restrictions apply to them too, except the guest thread's filter. After this call nothing
    /// may allocate.
    pub fn enter(mut self, threads: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        if let Some(directory) = &self.chroot {
            change_root(directory).map_err(failed("chroot()"))?;
        }
        if let Some(User { uid, gid }) = self.user {
            change_user(uid, gid).map_err(failed("changing user and group"))?;
        }
        confine::capabilities().map_err(failed("capset()"))?;
        confine::no_new_privileges().map_err(failed("prctl(PR_SET_NO_NEW_PRIVS)"))?;
        match landlock::deny_all(self.removable) {
            // A container's seccomp filter that does not know the call fails it with these errors.
            Ok(_) | Err(Errno::PERM | Errno::NOSYS) => {}
            Err(error) => return Err(failed("landlock_restrict_self()")(error)),
        }
        // After the change of user, which would undo it.
        confine::undumpable().map_err(failed("prctl(PR_SET_DUMPABLE)"))?;
        // SAFETY: `keep` has all descriptors that a running guest needs. The caller forgets or
        // leaks every other owner of a descriptor.
        unsafe { close_all_but(&mut self.keep) }.map_err(failed("close_range()"))?;
        // SAFETY: the disks' descriptors are among the kept ones.
        unsafe { self.locks.take() }?;
        threads()?;
        // Freeing memory may need a system call, so everything is freed now or never.
        let filter: &'static [Instruction] = std::mem::take(&mut self.guest).leak();
        drop(self);
        install_filter(filter).map_err(failed("seccomp(SECCOMP_SET_MODE_FILTER)"))
    }
}

/// State of a thread: filter not installed yet, filter installed, or an error number.
const STARTING: i32 = -1;
const CONFINED: i32 = 0;

/// Stack size in bytes of a thread that copies frames and may report a fault.
const STACK: usize = 128 << 10;

/// Starts a thread that installs `filter` and then does `work`, and waits until it is confined.
pub fn thread(filter: Vec<Instruction>, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let state: &'static AtomicI32 = Box::leak(Box::new(AtomicI32::new(STARTING)));
    let body = move || {
        let ready = signals::leave_to_others().and_then(|()| install_filter(&filter));
        // Dropping it would call the allocator, which may make a system call.
        std::mem::forget(filter);
        match ready {
            Ok(()) => {
                state.store(CONFINED, Ordering::Release);
                work();
            }
            Err(error) => state.store(error.raw_os_error(), Ordering::Release),
        }
    };
    let spawned = std::thread::Builder::new().stack_size(STACK).spawn(body);
    let thread = spawned.map_err(|error| Error::RingOff {
        what: "pthread_create()",
        error: Errno::from_io_error(&error).unwrap_or(Errno::AGAIN),
    })?;
    // The thread is never joined: the process ends first.
    std::mem::forget(thread);
    loop {
        match state.load(Ordering::Acquire) {
            STARTING => std::thread::yield_now(),
            CONFINED => return Ok(()),
            error => {
                let error = Errno::from_raw_os_error(error);
                return Err(failed("seccomp(SECCOMP_SET_MODE_FILTER)")(error));
            }
        }
    }
}
