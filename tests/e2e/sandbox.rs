//! What the kernel says about a tender while its guest runs: which rights the tender has left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::directive::Signal;
use solo5_tests::outcome::{Context, Outcome, Stop};
use solo5_tests::process::Running;
use solo5_tests::{ensure, namespace};

use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    vec![
        trial(suite, "sandbox/alone/hvt", alone),
        trial(suite, "sandbox/other-user/hvt", other_user),
        trial(suite, "sandbox/threads/hvt", threads),
    ]
}

/// A guest without devices that spins.
fn alone(suite: &Suite) -> Outcome {
    let tender = spinning(suite, "hostile", &[])?;
    let process = Process::of(&tender);
    ensure!(process.threads()?.len() == 1, "it has threads");
    process.is_confined()?;
    let open = process.descriptors()?;
    let expected = ["anon_inode:[eventpoll]", "anon_inode:[timerfd]", "anon_inode:kvm-vcpu:0"];
    ensure!(
        open.iter().map(String::as_str).eq(expected),
        "open beside the standard ones: {open:?}"
    );
    end(tender)
}

fn other_user(suite: &Suite) -> Outcome {
    if std::fs::read_to_string("/proc/self/uid_map")?.split_whitespace().nth(2) == Some("1") {
        return Err(Stop::Skip("there is no other user in this user namespace".to_owned()));
    }
    let empty = tempfile::tempdir()?;
    let root = format!("--chroot={}", empty.path().display());
    let tender = spinning(suite, "hostile", &["--user=65534:65533", &root])?;
    let process = Process::of(&tender);
    process.is_confined()?;
    for (key, value) in [("Uid", "65534"), ("Gid", "65533")] {
        let found = process.status("status", key)?;
        ensure!(found.split_whitespace().all(|id| id == value), "{key}: {found}");
    }
    ensure!(process.status("status", "Groups")?.trim().is_empty(), "it has groups");
    let root = std::fs::read_link(process.0.join("root"))?;
    ensure!(root == empty.path(), "its root is {}", root.display());
    end(tender)
}

fn threads(suite: &Suite) -> Outcome {
    namespace::with_network(|| {
        namespace::add_tap("tap100", None)?;
        namespace::bring_up("tap100", "10.0.0.1/24")?;
        let tender = spinning(suite, "hostile_net", &["--net:service0=tap100"])?;
        let process = Process::of(&tender);
        ensure!(process.threads()?.len() == 2, "there is no I/O thread");
        process.is_confined()?;
        end(tender)
    })
}

fn spinning(suite: &Suite, name: &str, options: &[&str]) -> Outcome<Running> {
    suite.kvm()?.require(false)?;
    let image = suite.builder.image(suite.guest(name)?, "hvt")?;
    let mut tender = suite.tool("solo5-hvt");
    tender.arg("--mem=2").args(options).arg(image).arg("spin");
    tender.stdin(Stdio::null());
    let mut running = Running::start(tender)?;
    running.wait_for("Waiting for a signal\n")?;
    Ok(running)
}

/// SIGTERM still ends it.
fn end(mut tender: Running) -> Outcome {
    tender.signal(Signal::Terminate)?;
    tender.finish()?.expect(1, "Exiting on signal 15\n").map(drop)
}

/// A process's folder below `/proc`.
struct Process(PathBuf);

impl Process {
    fn of(running: &Running) -> Self {
        Self(Path::new("/proc").join(running.id().to_string()))
    }

    /// The `status` files of its threads, without the thread in which newer kernels do KVM's
    /// housekeeping: that one runs no code of the program.
    fn threads(&self) -> Outcome<Vec<String>> {
        let mut threads = Vec::new();
        for entry in std::fs::read_dir(self.0.join("task"))? {
            let thread = format!("task/{}/status", entry?.file_name().display());
            if !self.status(&thread, "Name")?.starts_with("kvm-nx-lpage") {
                threads.push(thread);
            }
        }
        Ok(threads)
    }

    /// A value of a `status` file.
    fn status(&self, file: &str, key: &str) -> Outcome<String> {
        let path = self.0.join(file);
        let text = std::fs::read_to_string(&path).during(path.display())?;
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(name, _)| *name == key);
        let value = found.next().map(|(_, value)| value.trim().to_owned());
        value.ok_or_else(|| format!("{}: no {key}", path.display()).into())
    }

    /// Fails unless every thread is under a filter, has no capabilities and cannot gain any.
    fn is_confined(&self) -> Outcome {
        for thread in self.threads()? {
            let none = "0000000000000000";
            for (key, expected) in [
                ("Seccomp", "2"),
                ("NoNewPrivs", "1"),
                ("CapInh", none),
                ("CapPrm", none),
                ("CapEff", none),
                ("CapAmb", none),
            ] {
                let found = self.status(&thread, key)?;
                ensure!(found == expected, "{thread}: {key}: {found}");
            }
        }
        Ok(())
    }

    /// Open descriptors besides the standard ones, sorted.
    fn descriptors(&self) -> Outcome<Vec<String>> {
        let folder = self.0.join("fd");
        // Only root may inspect a process that refuses debuggers.
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| Stop::Skip(format!("{}: {error}", folder.display())))?;
        let mut open = BTreeSet::new();
        for entry in entries {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
            if number.is_some_and(|number| number > 2) {
                open.insert(std::fs::read_link(path)?.display().to_string());
            }
        }
        Ok(open.into_iter().collect())
    }
}
