//! Every run that a unikernel's own file asks for, and a link of each unikernel with the stub.

use std::sync::Arc;

use libtest_mimic::{Completion, Trial};
use solo5_tests::outcome::Stop;
use solo5_tests::{ensure, run};

use crate::{Suite, trial, virtio_run};

/// Targets with a tender of the same name.
const TENDERS: [&str; 2] = ["spt", "hvt"];

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let mut trials = vec![trial(suite, "guest/directives", every_guest_has_a_run)];
    let mut missing: Vec<(&str, usize)> = Vec::new();
    for (index, guest) in suite.guests.iter().enumerate() {
        trials.push(trial(suite, format!("stub/{}", guest.name), move |suite| {
            suite.builder.image(&suite.guests[index], "stub").map(drop)
        }));
        for (number, run) in guest.directives.runs.iter().enumerate() {
            for target in &run.targets {
                let tender = format!("solo5-{target}");
                if virtio_run::has(suite, target) {
                    continue;
                }
                let runs = TENDERS.contains(&target.as_str());
                if !runs || !suite.tree.program(&tender).exists() {
                    match missing.iter_mut().find(|(name, _)| name == target) {
                        Some((_, count)) => *count += 1,
                        None => missing.push((target, 1)),
                    }
                    continue;
                }
                let case = run.case.as_ref().map(|case| format!("/{case}")).unwrap_or_default();
                let name = format!("guest/{}/{target}{case}", guest.name);
                let place = (index, number, target.as_str());
                trials.push(run_of(suite, name.clone(), place, false));
                let peer = suite.peer.as_ref();
                if peer.is_some_and(|peer| run.peer.is_some_and(|since| since <= peer.release)) {
                    trials.push(run_of(suite, format!("{name}/peer"), place, true));
                }
            }
        }
    }
    for (target, count) in missing {
        let reason = format!("{count} runs wait for the {target} target: not in this tree");
        let waiting = Trial::ignorable_test(format!("guest/target-{target}"), move || {
            Ok(Completion::ignored_with(reason))
        });
        trials.push(waiting);
    }
    trials
}

/// A run of a unikernel: the unikernel's index, the run's, and the target.
fn run_of(
    suite: &Arc<Suite>,
    name: String,
    (index, number, target): (usize, usize, &str),
    under_peer: bool,
) -> Trial {
    if let Some(reason) = suite.guests[index].directives.runs[number].elsewhere() {
        return Trial::ignorable_test(name, move || Ok(Completion::ignored_with(reason)));
    }
    let target = target.to_owned();
    trial(suite, name, move |suite| {
        let guest = &suite.guests[index];
        let run = &guest.directives.runs[number];
        if target == "hvt" {
            suite.kvm()?.require(run.processor)?;
        }
        let image = suite.builder.image(guest, &target)?;
        let program = format!("solo5-{target}");
        let Some(peer) = suite.peer.as_ref().filter(|_| under_peer) else {
            let tender = suite.tree.program(&program);
            return run::execute(run, &tender, &image, &suite.builder);
        };
        let folder = tempfile::tempdir()?;
        let image = peer.image(&image, folder.path())?;
        run::execute(run, &peer.tree.program(&program), &image, &suite.builder)
    })
}

/// A misspelt directive would otherwise be a comment: a unikernel without a run is a mistake,
/// unless another test runs it.
fn every_guest_has_a_run(suite: &Suite) -> Result<(), Stop> {
    const RUN_ELSEWHERE: [&str; 1] = ["blk_writer"];
    for guest in &suite.guests {
        let idle = guest.directives.runs.is_empty();
        ensure!(
            idle == RUN_ELSEWHERE.contains(&guest.name.as_str()),
            "{}: has {} runs",
            guest.name,
            guest.directives.runs.len()
        );
        let mut names: Vec<_> = guest.directives.runs.iter().map(|run| &run.case).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        // `//@ run spt: …` and `//@ run hvt: …` may share the empty name.
        let unnamed = guest.directives.runs.iter().filter(|run| run.case.is_none()).count();
        ensure!(
            names.len() + unnamed.saturating_sub(1) == all,
            "{}: two cases have one name",
            guest.name
        );
    }
    Ok(())
}
