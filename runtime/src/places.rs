//! Places in a container that are the host's: where the tender and the node's policies are mounted.
//!
//! Nothing else may be mounted over or below them. A volume that other containers can write to could
//! otherwise have its folders renamed while the tender starts, and the policies with them. For the same
//! reason nothing is mounted inside a volume: a link there could lead to these places.

use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Mount;
use rustix::io::Errno;
use solo5_policy::sources;
use solo5_report::path_text;

use crate::codes;
use crate::failure::Failure;
use crate::rootfs::Rootfs;

/// The folder with the tender.
pub const OWN: &str = "/.solo5";

/// File systems that are new when they are mounted, so nobody can have put a link into them.
const NEW: [&str; 6] = ["tmpfs", "devpts", "mqueue", "sysfs", "cgroup", "cgroup2"];

/// The folder with the settings of the suite.
pub fn settings() -> PathBuf {
    Path::new(sources::SYSCONFDIR).join("solo5")
}

/// The tenders that may be mounted.
const TENDERS: [&str; 2] = ["solo5-spt", "solo5-hvt"];

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
    // With the places themselves, since a link can be at the last word of one.
    let mut reserved = vec![PathBuf::from(OWN), settings(), sources::folder()];
    reserved.extend(TENDERS.map(|name| Path::new(OWN).join(name)));
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
    let mut volumes: Vec<PathBuf> = Vec::new();
    for mount in mounts {
        let named = mount.destination();
        if named.components().any(|part| part == Component::ParentDir) {
            let named = path_text(named);
            return refuse(format!("nothing can be mounted at {named}, which has `..` in it"));
        }
        let real = rootfs.real(named).map_err(|error| failed(named, error))?;
        let named = path_text(named);
        if let Some(volume) =
            volumes.iter().find(|volume| **volume != real && covers(volume, &real))
        {
            let volume = path_text(volume);
            return refuse(format!(
                "{named} lies in what is mounted at {volume}, where a link can lead to the host's places"
            ));
        }
        if let Some(place) = reserved.iter().find(|place| overlap(place, &real)) {
            let place = path_text(place);
            return refuse(format!("{place} is the host's, so nothing can be mounted at {named}"));
        }
        if covers(&real, unikernel) {
            let unikernel = path_text(unikernel);
            let text = format!("what is mounted at {named} hides the unikernel {unikernel}");
            return refuse(format!("{text}; it has to be in the image"));
        }
        if may_have_links(mount) {
            volumes.push(real);
        }
    }
    Ok(())
}

/// Whether the pod's author can have put links into what is mounted.
fn may_have_links(mount: &Mount) -> bool {
    let is_new = mount.typ().as_deref().is_some_and(|kind| NEW.contains(&kind));
    let is_bound = mount.options().iter().flatten().any(|one| one == "bind" || one == "rbind");
    // In a user namespace engines bind the host's, because a new one cannot be mounted there.
    let is_sys = mount.source().as_deref() == Some(Path::new("/sys"));
    !(is_sys || is_new && !is_bound)
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
            "/data/..",
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
    fn nothing_is_mounted_where_links_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let rootfs = Rootfs::open(folder.path()).unwrap();
        let check = |all: &[(&str, &str, &[&str])]| {
            let mounts = all.iter().map(|(at, kind, options)| {
                let options: Vec<String> = options.iter().map(|one| one.to_string()).collect();
                MountBuilder::default()
                    .destination(*at)
                    .typ(*kind)
                    .options(options)
                    .build()
                    .unwrap()
            });
            let mounts: Vec<Mount> = mounts.collect();
            super::check(&rootfs, &mounts, Path::new("/app.spt"), &[])
        };
        let proc = ("/proc", "proc", &[][..]);
        let dev = ("/dev", "tmpfs", &["nosuid"][..]);
        let usual = [proc, dev, ("/dev/pts", "devpts", &[]), ("/dev/shm", "bind", &["rbind"])];
        assert_eq!(check(&usual), Ok(()));
        let data = ("/data", "bind", &["rbind"][..]);
        assert_eq!(check(&[data, ("/data", "bind", &["bind"])]), Ok(()));
        for inside in [("/data/x", "bind", &["bind"][..]), ("/data/x", "tmpfs", &[])] {
            let failure = check(&[data, inside]).unwrap_err();
            assert!(failure.line().contains("a link can lead"), "{}", failure.line());
        }
        assert!(check(&[proc, ("/proc/self/root/etc", "bind", &["bind"])]).is_err());
    }

    #[test]
    fn an_image_cannot_lead_the_hosts_places_elsewhere() {
        for (link, to) in [
            ("etc", "/data"),
            (".solo5", "data"),
            ("etc/solo5", "/data/x"),
            ("etc/solo5/policy.d", "/proc/self/cwd/p"),
            (".solo5/solo5-spt", "/data/t"),
        ] {
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
