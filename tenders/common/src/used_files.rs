//! The files that a launch uses: its disks, its image and the image's signature, its policies. A
//! report must not be written into one of them.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;

use rustix::fs::stat;
use rustix::stdio::stderr;
use solo5_launch::{Backing, FileOrFd, Request};
use solo5_policy::sources;
use solo5_report::os_text;

use crate::attach::FileId;
use crate::attach::file_id::silence;
use crate::sys::{self, CallersRights};

/// What `report` is open on, if the launch uses that file too: `the disk 'disk'`. The files are
/// only looked up, so this can be asked before anything is judged or opened.
///
/// Standard error is closed if it is that file, because a message would be written into it.
pub(crate) fn which_is(report: impl AsFd, request: &Request) -> Option<String> {
    let report = rustix::fs::fstat(report).ok().as_ref().and_then(FileId::with_content)?;
    let found = which_file_is(report, request);
    if found.is_some() && FileId::of(stderr()) == Ok(report) {
        silence(2);
    }
    found
}

fn which_file_is(report: FileId, request: &Request) -> Option<String> {
    let _rights = CallersRights::take();
    let at_path =
        |path: &OsStr| stat(path).ok().as_ref().and_then(FileId::with_content) == Some(report);
    let at_fd =
        |fd| sys::status_of(fd).ok().as_ref().and_then(FileId::with_content) == Some(report);
    let disk = request.disks().find(|(_, backing)| match backing {
        Backing::Path(path) => at_path(path),
        Backing::Fd(fd) => at_fd(*fd),
    });
    if let Some((name, _)) = disk {
        return Some(format!("the disk '{name}'"));
    }
    let kernel = request.kernel();
    if at_path(kernel) {
        return Some("the image".to_owned());
    }
    let mut signature = OsString::from(kernel);
    signature.push(".minisig");
    if at_path(&signature) {
        return Some("a signature of the image".to_owned());
    }
    let given = request.policies().iter().find(|policy| match policy {
        FileOrFd::Path(path) => at_path(path),
        FileOrFd::Fd(fd) => at_fd(*fd),
    });
    if let Some(policy) = given {
        return Some(match policy {
            FileOrFd::Path(path) => format!("the policy {}", os_text(path)),
            FileOrFd::Fd(fd) => format!("the policy @{fd}"),
        });
    }
    // A folder with more files is refused when the policies are read.
    let folder = sources::folder().read_dir().into_iter().flatten().take(sources::POLICIES_MAX);
    let of_host = folder.flatten().map(|entry| entry.path()).find(|path| at_path(path.as_os_str()));
    of_host.map(|path| format!("the policy {}", os_text(path.as_os_str())))
}
