//! The users that this process runs as.

/// The user IDs of this process: real, effective, saved, and that for files.
pub fn user_ids() -> [u32; 4] {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // The call fails only for bad addresses. Were it to fail, the IDs would stay 0, which is root.
    // SAFETY: the three numbers outlive the call, which writes one into each.
    unsafe { libc::getresuid(&mut real, &mut effective, &mut saved) };
    [real, effective, saved, file_user(NO_USER)]
}

/// Sets the user ID for file access to `user`, and returns the one before. [`NO_USER`] changes
/// nothing.
fn file_user(user: u32) -> u32 {
    // SAFETY: the call takes a number and touches no memory.
    unsafe { libc::setfsuid(user) }.cast_unsigned()
}

/// As [`file_user`], for the group ID.
fn file_group(group: u32) -> u32 {
    // SAFETY: the call takes a number and touches no memory.
    unsafe { libc::setfsgid(group) }.cast_unsigned()
}

/// An invalid user or group ID.
const NO_USER: u32 = u32::MAX;

/// While this value lives, files are opened with the caller's rights. These differ from the
/// program's rights only in a set-user-ID program.
#[derive(Debug)]
pub struct CallersRights {
    user: u32,
    group: u32,
}

impl CallersRights {
    /// Switches to the caller's rights.
    pub fn take() -> CallersRights {
        // The group comes first: after the change of user the process may lack the right to change
        // the group.
        let group = file_group(rustix::process::getgid().as_raw());
        let user = file_user(rustix::process::getuid().as_raw());
        CallersRights { user, group }
    }
}

impl Drop for CallersRights {
    fn drop(&mut self) {
        file_user(self.user);
        file_group(self.group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_are_those_in_proc_status() {
        let shown = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
            line.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<u32>>()
        };
        assert_eq!(user_ids().to_vec(), shown());
        // Changes the effective ID of one thread. Without the right to do so, nothing changes.
        let before = shown();
        let changed = std::thread::spawn(move || {
            // SAFETY: the call takes numbers, and changes only this thread's IDs.
            unsafe { libc::syscall(libc::SYS_setresuid, -1, 65534, -1) };
            (user_ids().to_vec(), shown())
        });
        let (found, shown) = changed.join().unwrap();
        assert_eq!(found, shown);
        assert_eq!(found.first(), before.first());
        let rights = CallersRights::take();
        assert_eq!(user_ids()[3], user_ids()[0]);
        drop(rights);
        assert_eq!(user_ids().to_vec(), before);
    }
}
