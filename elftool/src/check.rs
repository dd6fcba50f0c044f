//! `check`: what policies say of launches, before they are deployed: of images with one set of options
//! each, or, in [`crate::plan`], of a plan.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use solo5_launch::FileOrFd;
use solo5_manifest::output;
use solo5_policies::admitted::{self, Admission};
use solo5_signature::Digest;

use crate::ask::{Answer, Question, ask};
use crate::cli::{CheckOptions, FAILED, Format};
use crate::files::{complain, print, reason};
use crate::plan;
use crate::policies::Lists;

pub(crate) fn run(program: &str, options: &CheckOptions) -> u8 {
    if let Some(path) = &options.plan {
        return plan::run(program, path, options);
    }
    let given: Vec<FileOrFd> =
        options.policy.iter().map(|path| FileOrFd::Path(path.into())).collect();
    let mut lists = Lists::default();
    let mut status = 0;
    let mut reports = Vec::new();
    let mut lock = BTreeMap::new();
    for path in &options.images {
        let question = Question {
            path,
            words: &options.launch,
            policies: &given,
            lock: options.lock.as_deref(),
        };
        let answer = ask(&question, &mut lists);
        status = status.max(answer.status());
        lock.extend(answer.admission(path));
        let name = path.to_string_lossy();
        if let Answer::Failed(why) = &answer {
            complain(program, format_args!("{name}: {why}"));
        }
        match options.format {
            Format::Human => status = status.max(print(program, &answer.human(&name), 0, FAILED)),
            Format::Json => reports.push(answer.json(&name)),
        }
    }
    if options.format == Format::Json {
        let text = format!("{:#}\n", json!({ "images": reports }));
        status = status.max(print(program, &text, 0, FAILED));
    }
    status.max(write_lock(program, options.lock.as_deref(), &lock, status))
}

/// Writes down what is admitted, unless the status is that something could not be asked about.
pub(crate) fn write_lock(
    program: &str,
    path: Option<&Path>,
    lock: &BTreeMap<Digest, Admission>,
    status: u8,
) -> u8 {
    let Some(path) = path else { return 0 };
    let name = path.to_string_lossy();
    // What could not be asked about may be missing from the list; an older one says more.
    let why = if status == FAILED {
        String::from("not written")
    } else {
        match output::write(path, admitted::text(lock).as_bytes()) {
            Ok(_) => return 0,
            Err(error) => reason(&error),
        }
    };
    complain(program, format_args!("{name}: {why}"));
    FAILED
}
