//! The check that a report is not written into a file that the launch uses.

use std::os::fd::AsFd;

use rustix::stdio::stderr;
use solo5_launch::{FileId, Request, UsedFiles};
use solo5_policy::sources;

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
    let (disks, kernel, policies) = (request.disks(), request.kernel(), request.policies());
    let of_fd = |fd| status_of(fd).ok().as_ref().and_then(FileId::with_content);
    UsedFiles { disks, kernel, policies }.find(report, of_fd, sources::of_host(&sources::folder()))
}
