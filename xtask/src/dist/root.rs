//! Tries Debian packages in a root of their own: installed, used, upgraded, removed, purged, without a network.
//!
//! debootstrap makes the root, which takes a minute and needs root and Debian's mirror. It has the host's release
//! and is kept in `target/dist/debian-root` for the next time.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{BOOT, deb};
use crate::Result;
use crate::run::run;

/// What the root has besides Debian's minimum.
const INCLUDED: &str = "gcc,libc6-dev,systemd-standalone-sysusers,systemd-standalone-tmpfiles";

/// Packages that a person would call the ones before.
const BEFORE: &str = "0.12.1~before";

/// Runs in the root, with the packages in /packages/before and /packages/now. The versions are its arguments.
const SCRIPT: &str = r#"set -eu
ours() { dpkg-query -W -f '${db:Status-Abbrev}${Package} ${Version}\n' 'solo5-*' 2>/dev/null || true; }
listed() { find / -xdev \( -path /packages -o -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \) -prune -o -print | sort; }
# The user and the files that name it are meant to stay.
apt-get -qq check
dpkg --purge $(dpkg-query -W -f '${Package}\n' 'solo5-*' 2>/dev/null) 2>/dev/null || true
listed >/tmp/before

echo "== install"
dpkg -i /packages/before/*.deb
ours
[ "$(ours | grep -c "^ii .* $1\$")" = 4 ]
id -nG solo5 | grep -w kvm
[ "$(stat -c '%U:%G %a' /var/lib/solo5)" = "solo5:solo5 750" ]
[ "$(stat -c '%U:%G %a' /etc/solo5/policy.d)" = "root:root 755" ]
dpkg --verify solo5-tools solo5-tenders solo5-toolchain solo5-doc

echo "== use"
mkdir -p /tmp/hello
cp /usr/share/doc/solo5-doc/examples/hello/* /tmp/hello
cd /tmp/hello
BOOT
# As the user whom the package has made, under a policy of the host.
cp policy.yaml /etc/solo5/policy.d/hello.yaml
solo5-cc -O2 -z solo5-abi=spt -z solo5-manifest=manifest.yaml -o /var/lib/solo5/hello.spt hello.c
chmod o+r /var/lib/solo5/hello.spt
setpriv --reuid=solo5 --regid=solo5 --init-groups solo5-spt --mem=2 /var/lib/solo5/hello.spt Hello_Solo5 | grep SUCCESS
status=0
setpriv --reuid=solo5 --regid=solo5 --init-groups solo5-spt --mem=64 /var/lib/solo5/hello.spt || status=$?
[ $status = 60 ]

echo "== upgrade"
dpkg -i /packages/now/*.deb
[ "$(ours | grep -c "^ii .* $2\$")" = 4 ]
[ -f /etc/solo5/policy.d/hello.yaml ]
BOOT

echo "== remove"
dpkg --remove solo5-tools solo5-tenders solo5-toolchain solo5-doc
[ -f /etc/solo5/policy.d/hello.yaml ]
[ -f /var/lib/solo5/hello.spt ]
! command -v solo5-spt
rm -r /etc/solo5/policy.d/hello.yaml /var/lib/solo5/hello.spt /tmp/hello
dpkg --purge solo5-tools solo5-tenders solo5-toolchain solo5-doc
[ -z "$(ours | grep '^i' || true)" ]
listed >/tmp/after
left=$(comm -13 /tmp/before /tmp/after | grep -v -e '^/etc/[a-z]*-$' -e '^/etc/\.pwd\.lock$' || true)
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
"#;

/// Checks the packages in `folder`, which were made of the tree `staged`.
pub(super) fn check(
    root: &Path,
    staged: &Path,
    version: &str,
    origin: &deb::Origin,
    folder: &Path,
) -> Result<()> {
    let packages: Vec<_> = deb::names().map(|name| format!("{name}_{version}")).collect();
    let made = |file: &str| packages.iter().any(|start| file.starts_with(start));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "deb")
            && path.file_name().is_some_and(|name| made(&name.to_string_lossy()))
        {
            files.push(path);
        }
    }
    println!("looking at packages with lintian");
    let mut lintian = Command::new("lintian");
    // Warnings too; what cannot be otherwise is in the packages' overrides.
    run(lintian.args(["--allow-root", "--fail-on=error,warning"]).args(&files))?;

    let place = debian(folder)?;
    let packages = place.join("packages");
    let _ = fs::remove_dir_all(&packages);
    fs::create_dir_all(packages.join("now"))?;
    fs::create_dir_all(packages.join("before"))?;
    for file in &files {
        fs::copy(
            file,
            packages.join("now").join(file.file_name().ok_or("a file without a name")?),
        )?;
    }
    deb::make(root, staged, BEFORE, origin, &packages.join("before"))?;
    println!("installing, upgrading and removing the packages");
    // Mounts are gone with the namespace, and so is the only network of the commands.
    let mounts = "mount --make-rprivate / && mount -t proc proc \"$1/proc\" && mount --rbind /dev \"$1/dev\" && \
                  mount --rbind /sys \"$1/sys\" && exec chroot \"$1\" /usr/bin/env -i HOME=/root \
                  DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c \"$2\" sh \"$3\" \"$4\"";
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--net", "sh", "-c", mounts, "sh"]).arg(&place);
    run(shell.arg(SCRIPT.replace("BOOT", BOOT)).args([BEFORE, version]))
}

/// The root, which is made if it is not there.
fn debian(folder: &Path) -> Result<std::path::PathBuf> {
    let place = folder.join("debian-root");
    if place.is_dir() {
        return Ok(place);
    }
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename.ok_or("/etc/os-release has no VERSION_CODENAME; is this Debian?")?;
    println!("making a root of Debian {codename}");
    let new = folder.join("debian-root.new");
    let _ = fs::remove_dir_all(&new);
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={INCLUDED}"), codename]);
    run(debootstrap.arg(&new).stdout(std::process::Stdio::null()))?;
    fs::rename(new, &place)?;
    Ok(place)
}
