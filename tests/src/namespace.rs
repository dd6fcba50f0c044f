//! A network namespace with taps, or a small file system, for one thread; it ends with the thread.
//!
//! A namespace belongs to a thread and to what it starts, so tests with their own run side by side
//! and need no unique names. The main program has become root of a user namespace if it was not
//! root before (see `e2e/main.rs`).

use std::fs::File;
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::outcome::{Context, Outcome, Stop};
use crate::process;

/// Runs `body` in a thread with a network namespace of its own, loopback up.
///
/// # Errors
/// What `body` returns; a skip where namespaces cannot be made.
pub fn with_network<T: Send>(body: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    in_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|error| Stop::Skip(format!("no network namespace: {error}")))?;
        ip(&["link", "set", "lo", "up"])?;
        body()
    })
}

/// Runs `body` in a thread that has a file system of `size` bytes on `directory`. Other threads do not
/// see it.
///
/// # Errors
/// What `body` returns; a skip where mounting is not permitted.
pub fn with_small_disk<T: Send>(
    directory: &Path,
    size: u64,
    body: impl FnOnce() -> Outcome<T> + Send,
) -> Outcome<T> {
    in_thread(|| {
        unshare(CloneFlags::CLONE_NEWNS)
            .map_err(|error| Stop::Skip(format!("no mount namespace: {error}")))?;
        // Otherwise the new mount would appear in the parent's namespace too.
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).during("making mounts private")?;
        let options = std::ffi::CString::new(format!("size={size}"))?;
        let options = Some(options.as_c_str());
        rustix::mount::mount("tmpfs", directory, "tmpfs", MountFlags::empty(), options)
            .map_err(|error| Stop::Skip(format!("no tmpfs: {error}")))?;
        body()
    })
}

fn in_thread<T: Send>(body: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    std::thread::scope(|scope| match scope.spawn(body).join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Creates the tap `interface` in this thread's namespace; it is down.
///
/// # Errors
/// `ip` is missing or this host permits no taps (skips), or `ip` fails.
pub fn add_tap(interface: &str, mtu: Option<u16>) -> Outcome {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .map_err(|error| Stop::Skip(format!("no taps: /dev/net/tun: {error}")))?;
    ip(&["tuntap", "add", interface, "mode", "tap"])?;
    if let Some(mtu) = mtu {
        ip(&["link", "set", interface, "mtu", &mtu.to_string()])?;
    }
    // Otherwise the host's own IPv6 packets would come first and reach tests that count frames.
    let quiet = Path::new("/proc/sys/net/ipv6/conf").join(interface).join("disable_ipv6");
    if quiet.exists() {
        // In a user namespace it may not be writable; the tests tolerate those packets.
        let _ = std::fs::write(quiet, "1");
    }
    Ok(())
}

/// Gives `interface` the address `address` (with its prefix length) and brings it up.
///
/// # Errors
/// `ip` refuses.
pub fn bring_up(interface: &str, address: &str) -> Outcome {
    ip(&["addr", "add", address, "dev", interface])?;
    ip(&["link", "set", interface, "up"])
}

/// The interfaces of this thread's namespace, sorted.
///
/// # Errors
/// `ip` fails.
pub fn interfaces() -> Outcome<Vec<String>> {
    let mut command = Command::new("ip");
    command.args(["-json", "link", "show"]);
    let links: serde_json::Value = serde_json::from_str(&process::succeed(command)?)?;
    let links = links.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<String> =
        links.iter().filter_map(|link| link["ifname"].as_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

fn ip(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("ip");
    command.args(arguments);
    if Command::new("ip").arg("-V").output().is_err() {
        return Err(Stop::Skip("no `ip` program (iproute2)".to_owned()));
    }
    process::succeed(command).map(drop)
}
