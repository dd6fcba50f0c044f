//! Asks policies about a launch before it is deployed, with the tender's own engine. A fact that only
//! the host knows becomes a condition.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;

use serde::{Serialize, Serializer};
use solo5_abi::mft1::Mft1;
use solo5_abi::mft2::Mft2;
use solo5_abi::{Arch, Target};
use solo5_audit::{Selection, Subject, audit_subject};
use solo5_image::{Image, ReadAt};
use solo5_launch::{FileId, FileOrFd, Launch};
use solo5_policies::admitted::Admission;
use solo5_policies::audit::{Waived, is_asked, judge};
pub(crate) use solo5_policies::examine::AskError;
use solo5_policies::examine::{self, problems};
use solo5_policy::{
    Asked, Decision, Fact, HostFacts, Phase, Policy, admission_lists, decide, keys_to_prove,
    sources,
};
use solo5_report::one_line;
use solo5_signature::{Digest, Proof};

use crate::console::Exit;
use crate::content::Content;
use crate::files::{name, readable};
use crate::guest_words::{self, Tender};
use crate::policy_files::{Host, Lists, today};

/// A launch to judge.
pub(crate) struct Question<'q> {
    /// The image.
    pub(crate) path: &'q Path,
    /// Options of the tender, then arguments of the guest.
    pub(crate) words: &'q [OsString],
    /// Whose options they are.
    pub(crate) tender: Tender,
    /// Policies to ask in addition to the host's.
    pub(crate) policies: &'q [FileOrFd],
    /// Which host's policies apply.
    pub(crate) host: &'q Host,
    /// The list of admitted images that is about to be written.
    pub(crate) lock: Option<&'q Path>,
}

/// The answer about one image.
pub(crate) enum Answer {
    /// The question makes no sense, or could not be asked.
    Failed(String),
    /// It would not start, whatever policies say.
    Cannot(Vec<String>),
    /// What policies say.
    Decided(Decided),
}

/// What policies say about an image.
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    /// Findings of the audit that would deny the launch but are waived until a day.
    waived: Vec<Waived>,
    /// The digest of the image, if a policy or `--lock` needs it.
    digest: Option<Digest>,
}

/// An [`Answer`] as programs see it.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Shown {
    /// No policy was asked.
    NotAsked {
        decision: &'static str,
        messages: Vec<String>,
    },
    Decided(ShownDecision),
}

#[derive(Serialize)]
pub(crate) struct ShownDecision {
    #[serde(flatten, serialize_with = "decision_json")]
    pub(crate) decision: Decision,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) waived: Vec<ShownWaiver>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
}

fn decision_json<S: Serializer>(decision: &Decision, serializer: S) -> Result<S::Ok, S::Error> {
    decision.json().serialize(serializer)
}

#[derive(Serialize)]
pub(crate) struct ShownWaiver {
    pub(crate) code: &'static str,
    pub(crate) reason: String,
    pub(crate) until: String,
    pub(crate) policy: String,
}

impl ShownWaiver {
    fn of(waived: &Waived) -> ShownWaiver {
        ShownWaiver {
            code: waived.code,
            reason: waived.reason.clone(),
            until: waived.until.to_string(),
            policy: waived.place.policy.clone(),
        }
    }
}

impl From<AskError> for Answer {
    fn from(why: AskError) -> Answer {
        match why {
            AskError::Image(why) => Answer::Cannot(vec![why]),
            AskError::Target(why) | AskError::Options(why) => Answer::Failed(why),
            AskError::Launch(problems) => Answer::Cannot(problems),
        }
    }
}

/// Asks about one image.
pub(crate) fn ask(question: &Question<'_>, lists: &mut Lists<'_>) -> Answer {
    answer(question, lists).unwrap_or_else(|answer| answer)
}

fn answer(question: &Question<'_>, lists: &mut Lists<'_>) -> Result<Answer, Answer> {
    let path = question.path;
    let (file, _) = readable(path).map_err(Answer::Failed)?;
    let asked = examine(&file, path, question.words, question.tender)?;
    // Policies named to `check`, then those that the tender's options name.
    let given = question.policies.iter().chain(&asked.launch.policies).cloned();
    let policies = lists
        .get(given.collect(), question.host)
        .ok_or_else(|| Answer::Failed(String::from("a policy cannot be used")))?;
    let audits = policies.iter().any(|policy| policy.audit.is_some());
    let keys = keys_to_prove(&policies, &asked.launch.labels);
    if keys.is_none() && !audits && question.lock.is_none() {
        let unfit = unfit(&file, &file, &asked);
        return Ok(decided(&policies, &asked, question, None).unless(unfit));
    }
    // The file may change meanwhile, so the bytes that are hashed are examined again.
    let content = Content::read(&file).map_err(Answer::Failed)?;
    let asked = examine(&content.bytes, path, question.words, question.tender)?;
    let proof = content.prove(path, &keys.unwrap_or_default()).map_err(Answer::Failed)?;
    let asked = Asked { proof: Some(proof), ..asked };
    let name = name(path);
    let subject = Subject::new(&name, &content.bytes);
    let unfit = unfit(&file, &content.bytes, &asked);
    Ok(decided(&policies, &asked, question, Some(&subject)).unless(unfit))
}

/// What the tender would refuse of the devices and the place for the report, whatever policies say.
/// `content` is that of `file`, the image.
fn unfit<R: ReadAt>(file: &File, content: &R, asked: &Asked) -> Vec<String> {
    let arch = Image::read(content, &Arch::ALL).map_or(Arch::X86_64, |image| image.arch());
    let of_host = sources::of_host(&sources::folder()).collect::<Vec<_>>().into_iter();
    let found = asked.launch.unfit((asked.target, arch), FileId::of(file).ok(), of_host);
    found.iter().map(ToString::to_string).collect()
}

impl Answer {
    /// The answer if the tender would refuse these things. It asks the policies first, so a denial stays one.
    fn unless(self, unfit: Vec<String>) -> Answer {
        match self {
            Answer::Decided(found) if !found.decision.is_denied() && !unfit.is_empty() => {
                Answer::Cannot(unfit)
            }
            answer => answer,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Answer::Failed(_) => Exit::Incomplete,
            Answer::Cannot(_) => Exit::Objection,
            Answer::Decided(found) => Exit::objection_if(found.decision.is_denied()),
        }
    }

    pub(crate) fn human(&self, name: &str) -> String {
        let lines = match self {
            // Printed on standard error.
            Answer::Failed(_) => Vec::new(),
            Answer::Cannot(reasons) => {
                reasons.iter().map(|reason| format!("cannot start: {reason}")).collect()
            }
            Answer::Decided(found) => {
                let waived = found.waived.iter();
                let waived = waived.map(|waived| format!("waived: {}", waived.line()));
                waived.chain(found.decision.lines()).collect()
            }
        };
        let line = |line: String| one_line(&format!("{name}: {line}")) + "\n";
        lines.into_iter().map(line).collect()
    }

    /// The answer for programs.
    pub(crate) fn shown(&self) -> Shown {
        match self {
            Answer::Failed(why) => {
                Shown::NotAsked { decision: "failed", messages: vec![why.clone()] }
            }
            Answer::Cannot(reasons) => {
                Shown::NotAsked { decision: "cannot", messages: reasons.clone() }
            }
            Answer::Decided(found) => Shown::Decided(ShownDecision {
                decision: found.decision.clone(),
                waived: found.waived.iter().map(ShownWaiver::of).collect(),
                digest: found.digest.map(|digest| digest.to_string()),
            }),
        }
    }

    /// The entry of this image for a list of admitted images, if it is admitted.
    pub(crate) fn admission(&self, path: &Path) -> Option<(Digest, Admission)> {
        let Answer::Decided(found) = self else {
            return None;
        };
        let admission = Admission { file: name(path), policies: found.decision.applicable.clone() };
        let admitted = !found.decision.is_denied();
        found.digest.filter(|_| admitted).map(|digest| (digest, admission))
    }
}

/// [`examine`](solo5_policies::examine::examine) with the words of a command line.
pub(crate) fn examine<R: ReadAt>(
    file: &R,
    path: &Path,
    words: &[OsString],
    tender: Tender,
) -> Result<Asked, AskError> {
    let kernel = path.as_os_str();
    examine::examine(file, |target, manifest, properties| {
        guest_words::read(kernel, words, (tender, target), manifest, properties)
    })
}

/// Reads launch options and compares them with a manifest. The second value lists what the manifest
/// asks for and the launch lacks.
pub(crate) fn options(
    kernel: &OsStr,
    words: &[OsString],
    (tender, target): (Tender, Target),
    manifest: &Mft1<'_>,
    properties: Option<&Mft2<'_>>,
) -> Result<(Launch, Vec<String>), AskError> {
    let launch = guest_words::read(kernel, words, (tender, target), manifest, properties);
    let launch = launch.map_err(|error| AskError::Options(error.to_string()))?;
    let problems = problems(&launch, target, manifest, properties);
    Ok((launch, problems))
}

/// Asks the policies about the launch, and about the audit's findings if a policy has `audit`.
fn decided(
    policies: &[Policy],
    asked: &Asked,
    question: &Question<'_>,
    subject: Option<&Subject<'_>>,
) -> Answer {
    let mut facts = HostFacts::default();
    // The list that this run writes will contain the image.
    let lists = admission_lists(policies, asked).into_iter();
    let written = lists.filter(|list| question.lock == Some(Path::new(list)));
    facts.admitted = written.map(|list| (list.to_owned(), Fact::Known(true))).collect();
    let require = asked.launch.require_policy;
    let mut decision = decide(policies, asked, &facts, Phase::Strings, require);
    let mut waived = Vec::new();
    if let Some(subject) = subject.filter(|_| is_asked(policies, asked)) {
        let findings = audit_subject(subject, &Selection::default());
        let judgement = judge(policies, asked, &findings, today());
        decision.deny(judgement.reasons);
        waived = judgement.waived;
    }
    Answer::Decided(Decided {
        decision,
        waived,
        digest: asked.proof.as_ref().map(|proof: &Proof| proof.digest),
    })
}
