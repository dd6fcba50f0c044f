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
use crate::attach::extent::extents;
use crate::attach::file_id::silence;
use crate::sys::descriptors::status_of;
use crate::sys::users::CallersRights;

/// Describes the file that `report` is open on, such as `the disk 'disk'`, if the launch uses that
/// file too. The launch's files are only looked up, so this works before any of them is judged or
/// opened.
///
/// If standard error is that file, it is redirected to `/dev/null`, because a message would be
/// written into the file.
pub(crate) fn use_of(report: impl AsFd, request: &Request) -> Option<String> {
    let report = rustix::fs::fstat(report).ok().as_ref().and_then(FileId::with_content)?;
    let found = use_of_file(report, request);
    if found.is_some() && FileId::of(stderr()) == Ok(report) {
        silence(2);
    }
    found
}

fn use_of_file(report: FileId, request: &Request) -> Option<String> {
    let _rights = CallersRights::take();
    let at_path =
        |path: &OsStr| stat(path).ok().as_ref().and_then(FileId::with_content) == Some(report);
    let at_fd = |fd| status_of(fd).ok().as_ref().and_then(FileId::with_content) == Some(report);
    let disk = request.disks().find(|(_, backing)| {
        let found = match backing {
            Backing::Path(path) => stat(path).ok(),
            Backing::Fd(fd) => status_of(*fd).ok(),
        };
        let disk = found.as_ref().and_then(FileId::with_content);
        disk.is_some_and(|disk| extents(disk).iter().any(|piece| piece.file == report))
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
    // More files need no check: a folder with more is refused when the policies are read.
    let folder = sources::folder().read_dir().into_iter().flatten().take(sources::POLICIES_MAX);
    let of_host = folder.flatten().map(|entry| entry.path()).find(|path| at_path(path.as_os_str()));
    of_host.map(|path| format!("the policy {}", os_text(path.as_os_str())))
}
