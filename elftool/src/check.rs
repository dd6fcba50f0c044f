//! `check`: asks policies about launches before they are deployed. It takes images with one set of
//! launch options, or a plan ([`crate::plan`]).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;

use crate::admit;
use crate::ask::{Answer, Question, Shown, ask};
use crate::console::{Console, Exit, Failure};
use crate::files::name;
use crate::guest_words::Tender;
use crate::launch_page::{Launched, launch_page};
use crate::options::ReportFormat;
use crate::plan::{self, PlanOptions};
use crate::policy_files::{Host, Lists, given};

#[derive(Debug, clap::Args)]
pub(crate) struct CheckOptions {
    /// Images
    #[arg(required_unless_present = "plan")]
    images: Vec<PathBuf>,
    /// Check every launch of a plan, and whether the launches conflict
    #[arg(long, value_name = "FILE", conflicts_with_all = ["images", "launch"])]
    plan: Option<PathBuf>,
    /// Show the plan as a table, and the command that starts each unikernel
    #[arg(long, requires = "plan", conflicts_with = "images")]
    explain: bool,
    /// A policy to ask; those of this host if none is given
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Folder with the policies of another host; where one of them applies, other policies can only
    /// deny
    #[arg(long, value_name = "DIR")]
    host_policies: Option<PathBuf>,
    /// Write the digests of the images that are allowed to FILE, for `admitted` in a policy
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Read the options as solo5-hvt-debug does, which has --gdb and --dumpcore too
    #[arg(long, conflicts_with = "plan")]
    debug_tender: bool,
    /// How to print decisions
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Options and guest arguments the tender would be started with
    #[arg(last = true, value_name = "LAUNCH-OPTIONS")]
    launch: Vec<OsString>,
}

/// The JSON output.
#[derive(Serialize)]
struct Report {
    images: Vec<Checked>,
}

#[derive(Serialize)]
struct Checked {
    #[serde(flatten)]
    answer: Shown,
    image: String,
}

impl CheckOptions {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let lock = self.lock.as_deref();
        if let Some(plan) = &self.plan {
            let (explain, format) = (self.explain, self.format);
            let (policies, host) = (&self.policy, self.host_policies.as_deref());
            let options = PlanOptions { plan, policies, host, lock, explain, format };
            return plan::run(console, &options);
        }
        let policies = given(&self.policy);
        let host = Host::asked(self.host_policies.as_deref(), !policies.is_empty());
        let tender = if self.debug_tender { Tender::Debug } else { Tender::Plain };
        let mut lists = Lists::new(console);
        let mut exit = Exit::Clean;
        let mut images = Vec::new();
        let mut admitted = BTreeMap::new();
        let mut asked = false;
        for path in &self.images {
            let (words, policies, host) = (&self.launch[..], &policies[..], &host);
            let question = Question { path, words, tender, policies, host, lock };
            let answer = ask(&question, &mut lists);
            exit = exit.max(answer.exit());
            asked |= matches!(answer, Answer::Decided(_));
            admitted.extend(answer.admission(path));
            if let Answer::Failed(why) = &answer {
                console.say_of(path, why);
            }
            let image = name(path);
            match self.format {
                ReportFormat::Human => console.print(&answer.human(&image))?,
                ReportFormat::Json | ReportFormat::Html => {
                    images.push(Checked { answer: answer.shown(), image });
                }
            }
        }
        match self.format {
            ReportFormat::Human => {}
            ReportFormat::Json => console.print_json(&Report { images })?,
            ReportFormat::Html => console.print(&page(&images))?,
        }
        admit::record(console, lock, &admitted, exit, asked)?;
        Ok(exit)
    }
}

fn page(images: &[Checked]) -> String {
    let launches = images.iter().map(|checked| {
        let image = checked.image.as_str();
        Launched { name: image, image, answer: &checked.answer, memory: None, command: None }
    });
    let launches: Vec<Launched<'_>> = launches.collect();
    let plural = if images.len() == 1 { "" } else { "s" };
    launch_page(&format!("Check of {} image{plural}", images.len()), &launches, &[], &[])
}
