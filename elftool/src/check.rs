//! `check`: what policies say of a launch, before it is deployed. The engine is the tender's; what
//! only the host knows becomes a condition.

use std::fs::File;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use solo5_abi::{Arch, Target};
use solo5_image::Image;
use solo5_policy::launch::{self, FileOrFd, Launch, Modules};
use solo5_policy::{Asked, Decision, HostFacts, Phase, Policy, decide, sources};
use solo5_report::{Colour, human, printable};

use crate::audit::readable;
use crate::cli::{CheckOptions, FAILED, Format};
use crate::files::{complain, print};

/// The answer about one image.
enum Answer {
    /// The question makes no sense, or could not be asked.
    Failed(String),
    /// It would not start, whatever policies say.
    Cannot(Vec<String>),
    /// What policies say.
    Decided(Decision),
}

pub(crate) fn run(program: &str, options: &CheckOptions) -> u8 {
    let given: Vec<FileOrFd> = options
        .policy
        .iter()
        .map(|path| FileOrFd::Path(path.into()))
        .collect();
    let mut status = 0;
    let mut reports = Vec::new();
    for path in &options.images {
        let answer = match examine(path, options) {
            Ok((image, launch)) => match policies(&given, &launch) {
                Ok(policies) => decided(&image, &launch, &policies),
                Err(text) => {
                    eprint!("{text}");
                    Answer::Failed(String::from("a policy cannot be used"))
                }
            },
            Err(answer) => answer,
        };
        status = status.max(answer.status());
        let name = path.to_string_lossy();
        if let Answer::Failed(why) = &answer {
            complain(
                program,
                format_args!("{}: {}", printable(&name), printable(why)),
            );
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
    status
}

impl Answer {
    fn status(&self) -> u8 {
        match self {
            Answer::Failed(_) => FAILED,
            Answer::Cannot(_) => 1,
            Answer::Decided(decision) => u8::from(decision.is_denied()),
        }
    }

    fn human(&self, name: &str) -> String {
        let lines = match self {
            // Said on standard error.
            Answer::Failed(_) => Vec::new(),
            Answer::Cannot(reasons) => reasons
                .iter()
                .map(|reason| format!("cannot start: {reason}"))
                .collect(),
            Answer::Decided(decision) => decision.lines(),
        };
        let line = |line: String| format!("{}: {}\n", printable(name), printable(&line));
        lines.into_iter().map(line).collect()
    }

    fn json(&self, name: &str) -> Value {
        let mut value = match self {
            Answer::Failed(why) => json!({ "decision": "failed", "messages": [why] }),
            Answer::Cannot(reasons) => json!({ "decision": "cannot", "messages": reasons }),
            Answer::Decided(decision) => decision.json(),
        };
        if let Some(fields) = value.as_object_mut() {
            fields.insert(String::from("image"), Value::from(name));
        }
        value
    }
}

/// Reads the image and the launch options against its manifest, and asks what a tender asks before
/// it asks a policy.
fn examine(path: &Path, options: &CheckOptions) -> Result<(Image, Launch), Answer> {
    let (file, _) = readable(path).map_err(Answer::Failed)?;
    let cannot = |text: String| Answer::Cannot(vec![text]);
    let fault = |fault: solo5_image::Fault| cannot(fault.to_string());
    let image = Image::read(&file, &Arch::ALL).map_err(fault)?;
    let target = image.abi().map_err(fault)?.target();
    let target = target.filter(|target| target.has_tender()).ok_or_else(|| {
        let name = target.map_or("this", Target::name);
        Answer::Failed(format!(
            "no tender starts a {name} image, so no policy is asked"
        ))
    })?;
    image.abi_of(target).map_err(fault)?;
    let modules = Modules::debug(target);
    let launch = {
        let manifest = image.checked_manifest().map_err(fault)?;
        let properties = image.properties().map_err(fault)?;
        let request = launch::read_for(path.as_os_str(), &options.launch, &modules);
        let launch = request
            .check(&manifest, properties.as_ref())
            .map_err(|fault| Answer::Failed(fault.lines.join("; ")))?;
        let mut problems = launch.unattached(&manifest);
        let memory = launch.memory_mib.saturating_mul(1 << 20);
        let plan = image.plan(&file, target).map_err(fault)?;
        problems.extend(plan.fits(memory).err().map(|fault| fault.to_string()));
        let minimum = properties.and_then(|all| all.memory_minimum()).unwrap_or(0);
        if minimum > memory {
            let mib = minimum.div_ceil(1 << 20);
            problems.push(format!(
                "the manifest asks for more memory; add --mem={mib}MiB"
            ));
        }
        if !problems.is_empty() {
            return Err(Answer::Cannot(problems));
        }
        launch
    };
    Ok((image, launch))
}

/// The policies given here and those the launch options name; this host's, if none is given here.
fn policies(given: &[FileOrFd], launch: &Launch) -> Result<Vec<Policy>, String> {
    let all: Vec<FileOrFd> = given.iter().chain(&launch.policies).cloned().collect();
    let folder = sources::folder();
    let folder = if given.is_empty() {
        folder.as_path()
    } else {
        // A folder that does not exist holds no policies.
        Path::new("/nonexistent/solo5")
    };
    // Opened anew, since one descriptor may be asked for with every image.
    let inherited = |fd: i32| File::open(format!("/proc/self/fd/{fd}"));
    sources::load(folder, &all, inherited)
        .map_err(|found| human::human(&found, Colour::detect(&io::stderr())))
}

fn decided(image: &Image, launch: &Launch, policies: &[Policy]) -> Answer {
    let target = image.target();
    let (Some(target), Ok(manifest), Ok(properties)) =
        (target, image.checked_manifest(), image.properties())
    else {
        return Answer::Failed(String::from("the image changed while it was read"));
    };
    let asked = Asked::new(launch, target, &manifest, properties.as_ref());
    let facts = HostFacts::default();
    Answer::Decided(decide(
        policies,
        &asked,
        &facts,
        Phase::Strings,
        launch.require_policy,
    ))
}
