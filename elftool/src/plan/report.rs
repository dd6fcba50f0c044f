//! What `check --plan` reports, as JSON and as a page.

use std::ffi::OsStr;

use serde::{Serialize, Serializer};
use solo5_report::Diagnostic;
use solo5_report::escape::shell_word;
use solo5_report::json::json;

use crate::ask::Shown;
use crate::launch_page::{Launched, Sum, launch_page};

/// The JSON output, of which the page is made too.
#[derive(Serialize)]
pub(super) struct Report<'p> {
    pub(super) plan: &'p str,
    pub(super) name: Option<&'p str>,
    pub(super) passed: bool,
    pub(super) unikernels: Vec<Planned<'p>>,
    #[serde(serialize_with = "diagnostics")]
    pub(super) findings: &'p [Diagnostic],
    pub(super) sums: SumsShown,
}

#[derive(Serialize)]
pub(super) struct Planned<'p> {
    #[serde(flatten)]
    pub(super) answer: Shown,
    pub(super) image: String,
    pub(super) name: &'p str,
    pub(super) memory: u64,
    pub(super) command: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(super) struct SumsShown {
    pub(super) unikernels: SumShown,
    pub(super) memory: SumShown,
    pub(super) net: SumShown,
    pub(super) block: SumShown,
}

#[derive(Serialize)]
pub(super) struct SumShown {
    pub(super) sum: u64,
    pub(super) limit: Option<u64>,
}

fn diagnostics<S: Serializer>(found: &&[Diagnostic], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(found.iter().map(json))
}

impl Report<'_> {
    pub(super) fn page(&self) -> String {
        let launches = self.unikernels.iter().map(|planned| {
            let words = planned.command.iter().flatten();
            let words: Vec<String> = words.map(|word| shell_word(OsStr::new(word))).collect();
            Launched {
                name: planned.name,
                image: &planned.image,
                answer: &planned.answer,
                memory: Some(planned.memory),
                command: (!words.is_empty()).then(|| words.join(" ")),
            }
        });
        let launches: Vec<Launched<'_>> = launches.collect();
        let SumsShown { unikernels, memory, net, block } = &self.sums;
        let sum =
            |what, shown: &SumShown, bytes| Sum { what, sum: shown.sum, limit: shown.limit, bytes };
        let sums = [
            sum("unikernels", unikernels, false),
            sum("memory", memory, true),
            sum("network interfaces", net, false),
            sum("block devices", block, false),
        ];
        let title = format!("Plan {}", self.name.unwrap_or(self.plan));
        launch_page(&title, &launches, &sums, self.findings)
    }
}
