//! Places in a container that are the host's: where the tender and the node's policies are mounted.
//!
//! Nothing else may be mounted over or below them. A volume that other containers can write to could
//! otherwise have its folders renamed while the tender starts, and the policies with them.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;
use rustix::io::Errno;
use solo5_policy::sources;
use solo5_report::path_text;

use crate::codes;
use crate::failure::Failure;
use crate::rootfs::Rootfs;

/// The folder with the tender.
pub const OWN: &str = "/.solo5";

/// The folder with the settings of the suite.
pub fn settings() -> PathBuf {
    Path::new(sources::SYSCONFDIR).join("solo5")
}

/// Refuses mounts over the host's places and over the `unikernel`, and links in the image on the way to
/// these places. `lists` are further files that the host's policies name.
///
/// # Errors
///
/// There is one.
pub fn check(
    rootfs: &Rootfs,
    mounts: &[Mount],
    unikernel: &Path,
    lists: &[PathBuf],
) -> Result<(), Failure> {
    let refuse = |text: String| Err(Failure::new(codes::PLACE, text));
    let failed = |path: &Path, error: Errno| {
        Failure::new(codes::PLACE, format!("{} in the root file system: {error}", path_text(path)))
    };
    let mut reserved = vec![PathBuf::from(OWN), settings()];
    reserved.extend(lists.iter().cloned());
    for place in &reserved {
        let real = rootfs.real(place).map_err(|error| failed(place, error))?;
        if real != *place {
            let (place, real) = (path_text(place), path_text(&real));
            return refuse(format!(
                "{place} is the host's, and in the image it is a link to {real}"
            ));
        }
        if overlap(place, unikernel) {
            let (place, unikernel) = (path_text(place), path_text(unikernel));
            return refuse(format!(
                "{place} is the host's, so the unikernel cannot be {unikernel}"
            ));
        }
    }
    for mount in mounts {
        let named = mount.destination();
        let real = rootfs.real(named).map_err(|error| failed(named, error))?;
        let named = path_text(named);
        if let Some(place) = reserved.iter().find(|place| overlap(place, &real)) {
            let place = path_text(place);
            return refuse(format!("{place} is the host's, so nothing can be mounted at {named}"));
        }
        if covers(&real, unikernel) {
            let unikernel = path_text(unikernel);
            let text = format!("what is mounted at {named} hides the unikernel {unikernel}");
            return refuse(format!("{text}; it has to be in the image"));
        }
    }
    Ok(())
}

/// Whether one of these is the other, or above it.
fn overlap(one: &Path, other: &Path) -> bool {
    covers(one, other) || covers(other, one)
}

/// Whether a mount at `place` hides `path`.
fn covers(place: &Path, path: &Path) -> bool {
    path.starts_with(place)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use oci_spec::runtime::MountBuilder;

    use super::*;

    #[test]
    fn nothing_is_mounted_over_or_below_the_hosts_places() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(folder.path().join("app.spt"), "").unwrap();
        symlink("/etc", folder.path().join("conf")).unwrap();
        let rootfs = Rootfs::open(folder.path()).unwrap();
        let at = |destination: &str| {
            let mount = MountBuilder::default().destination(destination).build().unwrap();
            let lists = [PathBuf::from("/srv/admitted.json")];
            check(&rootfs, &[mount], Path::new("/app.spt"), &lists)
        };
        for fine in ["/proc", "/etc/hosts", "/etc/solo5-other", "/data", "/app.spt.d", "srv/disk"] {
            assert_eq!(at(fine), Ok(()), "{fine}");
        }
        for bad in [
            "/",
            "/etc",
            "/etc/solo5",
            "/etc/solo5/policy.d",
            "/etc/solo5/policy.d/a.yaml",
            "/conf/solo5",
            "/data/../conf/../etc/solo5/",
            "etc/solo5",
            "/.solo5/solo5-spt",
            "/srv",
            "/app.spt",
        ] {
            let failure = at(bad).unwrap_err();
            assert!(failure.line().starts_with("error[R707]: "), "{bad}: {}", failure.line());
        }
    }

    #[test]
    fn an_image_cannot_lead_the_hosts_places_elsewhere() {
        for (link, to) in [("etc", "/data"), (".solo5", "data"), ("etc/solo5", "/data/x")] {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("data")).unwrap();
            let link = folder.path().join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(to, &link).unwrap();
            let rootfs = Rootfs::open(folder.path()).unwrap();
            let failure = check(&rootfs, &[], Path::new("/app.spt"), &[]).unwrap_err();
            assert!(failure.line().contains("in the image it is a link"), "{}", failure.line());
        }
        let folder = tempfile::tempdir().unwrap();
        let rootfs = Rootfs::open(folder.path()).unwrap();
        assert!(check(&rootfs, &[], Path::new("/etc/solo5/app.spt"), &[]).is_err());
    }
}
