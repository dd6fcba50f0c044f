//! The files that a launch uses: its disks, its image and the image's signature, its policies. A
//! report must not be written into one of them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use solo5_report::os_text;

use super::extent::extents;
use super::file_id::FileId;
use super::launch::{Backing, FileOrFd};

/// The files that a launch uses.
#[derive(Debug)]
pub struct UsedFiles<'u, D> {
    /// Its disks: the name of each, and what backs it.
    pub disks: D,
    /// Its image.
    pub kernel: &'u OsStr,
    /// The policies that its options name.
    pub policies: &'u [FileOrFd],
}

impl<'u, D, N> UsedFiles<'u, D>
where
    D: Iterator<Item = (N, &'u Backing)>,
    N: AsRef<str>,
{
    /// Describes the file `report`, such as `the disk 'disk'`, if the launch uses it. `of_fd` tells what
    /// a descriptor is open on; `of_host` are the policies of the host. All are only looked up.
    pub fn find(
        self,
        report: FileId,
        of_fd: impl Fn(i32) -> Option<FileId>,
        of_host: impl Iterator<Item = PathBuf>,
    ) -> Option<String> {
        let UsedFiles { mut disks, kernel, policies } = self;
        let at_path = |path: &OsStr| FileId::at(path) == Some(report);
        let disk = disks.find(|(_, backing)| {
            let disk = match backing {
                Backing::Path(path) => FileId::at(path),
                Backing::Fd(fd) => of_fd(*fd),
            };
            disk.is_some_and(|disk| extents(disk).iter().any(|piece| piece.file == report))
        });
        if let Some((name, _)) = disk {
            return Some(format!("the disk '{}'", name.as_ref()));
        }
        if at_path(kernel) {
            return Some("the image".to_owned());
        }
        let mut signature = OsString::from(kernel);
        signature.push(".minisig");
        if at_path(&signature) {
            return Some("a signature of the image".to_owned());
        }
        let given = policies.iter().find(|policy| match policy {
            FileOrFd::Path(path) => at_path(path),
            FileOrFd::Fd(fd) => of_fd(*fd) == Some(report),
        });
        if let Some(policy) = given {
            return Some(match policy {
                FileOrFd::Path(path) => format!("the policy {}", os_text(path)),
                FileOrFd::Fd(fd) => format!("the policy @{fd}"),
            });
        }
        let mut of_host = of_host.filter(|path| at_path(path.as_os_str()));
        of_host.next().map(|path| format!("the policy {}", os_text(path.as_os_str())))
    }
}
