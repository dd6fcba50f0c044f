//! Giving up, right before the guest runs, everything that running it does not need.
//!
//! In this order, because each step needs what a later one takes away: root directory, user and
//! groups, capabilities, the chance to gain any (`no_new_privs`), files and sockets (Landlock), core
//! files and debuggers, descriptors, and last, for each thread on its own, system calls.

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Gid, Uid};
use solo5_tender::attach::Locks;
use solo5_tender::boot::User;
use solo5_tender::confine;
use solo5_tender::error::Error;
use solo5_tender::seccomp::Instruction;
use solo5_tender::sys::{self, Errno, landlock};

use crate::signals;

/// What the tender is left with.
#[derive(Debug)]
pub struct Sandbox {
    /// The root directory, if it is changed.
    pub chroot: Option<CString>,
    /// The user and group, if they are changed.
    pub user: Option<User>,
    /// Descriptors that stay open besides the standard ones.
    pub keep: Vec<RawFd>,
    /// The locks on the guest's disks, whose descriptors are among those.
    pub locks: Locks,
    /// A directory whose files can still be removed.
    pub removable: Option<RawFd>,
    /// The filter of the guest's thread.
    pub guest: Vec<Instruction>,
}

fn failed(what: &'static str) -> impl Fn(Errno) -> Error {
    move |error| Error::Confine { what, error }
}

/// Makes `directory` the root directory, and the current one.
fn change_root(directory: &CStr) -> Result<(), Errno> {
    rustix::process::chroot(directory)?;
    rustix::process::chdir(c"/")
}

/// Becomes this user and group for good, and leaves every other group. The calls are the calling
/// thread's: no other one may have been started yet.
fn change_user(uid: u32, gid: u32) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

impl Sandbox {
    /// Enters it; there is no way back. `threads` starts what else runs, inside all of it but the
    /// guest's filter; afterwards nothing may allocate.
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
            // A container's own filter that does not know the call yet answers like this.
            Ok(_) | Err(Errno::PERM | Errno::NOSYS) => {}
            Err(error) => return Err(failed("landlock_restrict_self()")(error)),
        }
        // Behind the change of user, which undoes it.
        confine::undumpable().map_err(failed("prctl(PR_SET_DUMPABLE)"))?;
        // SAFETY: what is kept is everything a running guest needs; whatever else owns a descriptor
        // is forgotten by the caller, or leaked.
        unsafe { sys::close_all_but(&mut self.keep) }.map_err(failed("close_range()"))?;
        // SAFETY: the descriptors of disks are among those that were kept.
        unsafe { self.locks.take() }?;
        threads()?;
        // Freeing memory may need a call, too: everything is freed now, or never.
        let filter: &'static [Instruction] = std::mem::take(&mut self.guest).leak();
        drop(self);
        sys::install_filter(filter).map_err(failed("seccomp(SECCOMP_SET_MODE_FILTER)"))
    }
}

/// How far a thread has come: not yet in its filter, in it, or an error number.
const STARTING: i32 = -1;
const CONFINED: i32 = 0;

/// Bytes of stack for a thread that copies frames and says last words.
const STACK: usize = 128 << 10;

/// Starts a thread that installs `filter` and then does `work`, and waits until it is confined.
pub fn thread(filter: Vec<Instruction>, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let state: &'static AtomicI32 = Box::leak(Box::new(AtomicI32::new(STARTING)));
    let body = move || {
        let ready = signals::leave_to_others().and_then(|()| sys::install_filter(&filter));
        // Dropping it would be the allocator's business, which may make calls.
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
    // Nobody waits for its end: the process ends before it does.
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
