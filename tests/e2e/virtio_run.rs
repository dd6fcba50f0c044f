//! Virtio unikernels under `solo5-virtio-run`: every run that their own files ask for, on each of its
//! machines in software, and on one under KVM where that runs guests.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::{Completion, Trial};
use solo5_tests::directive::Setup;
use solo5_tests::kvm::Kvm;
use solo5_tests::outcome::{Outcome, Stop};
use solo5_tests::{ensure, process, run};

use crate::{Suite, trial};

/// The runner.
const RUNNER: &str = "solo5-virtio-run";

/// A name of its own for each pair of options.
const MACHINES: [(&str, &str, &str); 4] = [
    ("pc", "pc", "qemu"),
    ("q35", "q35", "qemu"),
    ("microvm", "microvm", "qemu"),
    ("kvm", "pc", "kvm"),
];

/// Unikernels with more devices than a run can name. `virtio_names.rs` has their runs.
const NAMED_ELSEWHERE: [&str; 2] = ["virtio_devices", "virtio_devices_few"];

/// Whether the runs of this target are here. The lab has no QEMU.
pub(crate) fn has(suite: &Suite, target: &str) -> bool {
    target == "virtio" && suite.tree.program(RUNNER).exists() && !suite.builder.is_prebuilt()
}

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    if !has(suite, "virtio") {
        return Vec::new();
    }
    let mut trials = vec![trial(suite, "virtio-run/denied", denied)];
    let guests = suite.guests.iter().enumerate();
    for (index, guest) in
        guests.filter(|(_, guest)| !NAMED_ELSEWHERE.contains(&guest.name.as_str()))
    {
        let runs = guest.directives.runs.iter().enumerate();
        for (number, run) in runs.filter(|(_, run)| run.targets.iter().any(|one| one == "virtio")) {
            let case = run.case.as_ref().map(|case| format!("/{case}")).unwrap_or_default();
            for (name, machine, hypervisor) in MACHINES {
                let name = format!("guest/{}/virtio-{name}{case}", guest.name);
                trials.push(match hypervisor {
                    "kvm" => under_kvm(suite, name, (index, number), machine),
                    _ => trial(suite, name, move |suite| {
                        execute(suite, (index, number), machine, hypervisor)
                    }),
                });
            }
        }
    }
    trials
}

/// A run under this host's KVM. The lab has no such run, so one that is not possible here is ignored:
/// a KVM that interprets guests does not know the instructions of drivers.
fn under_kvm(
    suite: &Arc<Suite>,
    name: String,
    place: (usize, usize),
    machine: &'static str,
) -> Trial {
    let suite = Arc::clone(suite);
    Trial::ignorable_test(name, move || {
        let kvm = suite.kvm();
        let why = match kvm {
            Ok(Kvm::Processor) => None,
            Ok(Kvm::Interpreter) => Some("KVM interprets guests here"),
            Ok(Kvm::Unusable) | Err(_) => Some("no usable KVM here"),
        };
        if let Some(why) = why {
            return Ok(Completion::ignored_with(why));
        }
        match execute(&suite, place, machine, "kvm") {
            Ok(()) => Ok(Completion::Completed),
            Err(Stop::Fail(why)) => Err(why.into()),
            Err(Stop::Skip(why) | Stop::Elsewhere(why) | Stop::Lacking(why)) => {
                Ok(Completion::ignored_with(why))
            }
        }
    })
}

/// Runs a unikernel: its index, and the run's.
fn execute(
    suite: &Suite,
    (index, number): (usize, usize),
    machine: &str,
    hypervisor: &str,
) -> Outcome {
    if Command::new("qemu-system-x86_64").arg("--version").output().is_err() {
        return Err(Stop::Skip("qemu-system-x86_64 is not installed".into()));
    }
    let guest = &suite.guests[index];
    let mut run = guest.directives.runs[number].clone();
    // A machine's memory holds what firmware and drivers take too.
    run.memory = run.memory.map(|least| least.max(64));
    let options = ["-q", "-M", machine, "-H", hypervisor].map(str::to_owned);
    run.setup.insert(0, Setup::Options(options.to_vec()));
    let image = suite.builder.image(guest, "virtio")?;
    run::execute(&run, &suite.tree.program(RUNNER), &image, &suite.builder)
}

/// A unikernel that a policy denies is not started, nor is QEMU asked anything, and its disk is not
/// opened.
fn denied(suite: &Suite) -> Outcome {
    let image = suite.builder.image(suite.guest("blk")?, "virtio")?;
    let folder = tempfile::tempdir()?;
    let (policy, disk) = (folder.path().join("policy.yaml"), folder.path().join("disk"));
    fs::write(&disk, vec![7; 4096])?;
    for rule in ["memory: { maximum: 64MiB }", "image: { targets: [hvt, spt] }"] {
        let head = "type: solo5.policy\nversion: 1\notherwise: allow";
        fs::write(&policy, format!("{head}\n{rule}\n"))?;
        let mut command = suite.tool(RUNNER);
        // A QEMU would be found nowhere.
        command.env("PATH", folder.path()).arg(format!("--policy={}", policy.display()));
        command.arg(format!("--block:storage={}", disk.display())).arg(&image);
        let finished = process::run(command)?;
        let output = finished.text();
        ensure!(finished.status == 60, "status {}:\n{output}", finished.status);
        ensure!(output.contains("not started: denied by 1 of 1"), "{output}");
        ensure!(!output.contains("Solo5:"), "the guest ran:\n{output}");
    }
    ensure!(fs::read(&disk)? == vec![7; 4096], "the disk was written");
    Ok(())
}
