//! Upstream's verbs: `query-abi`, `query-manifest` and `gen-manifest`, with upstream's output,
//! messages and exit statuses (`docs/reference/manifest.md#queries`). Build systems and
//! orchestrators call them often, so nothing else is set up here.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;

use solo5_abi::{Arch, mft1};
use solo5_image::{Image, ImageError};
use solo5_source::reader::similar;

use crate::console::{Console, Failure};
use crate::files::{open, reason};
use crate::generate;

/// Exit status of these verbs if they fail.
pub(crate) const FAILED: u8 = 1;

/// The verbs of this file.
const THEIRS: [&str; 3] = ["gen-manifest", "query-manifest", "query-abi"];

/// The verbs that [`crate::cli`] takes, and options that end with status 0.
const OURS: [&str; 16] = [
    "audit",
    "check",
    "sign",
    "verify",
    "policy",
    "show",
    "lock",
    "diff",
    "symbolize",
    "explain",
    "completions",
    "man",
    "help",
    "--help",
    "-h",
    "--version",
];

/// Runs one of upstream's verbs; `None` for other verbs.
pub(crate) fn run(console: &Console, arguments: &[OsString]) -> Option<Result<(), Failure>> {
    let operands = arguments.get(1..).unwrap_or_default();
    let verb = operands.first().and_then(|verb| verb.to_str());
    let ended = match (verb, operands) {
        (Some("query-abi"), [_, file]) => query(console, Path::new(file), abi),
        (Some("query-manifest"), [_, file]) => query(console, Path::new(file), manifest),
        (Some("gen-manifest"), [_, source, output]) => generate::run(console, source, output),
        (Some(verb), _) if OURS.contains(&verb) => return None,
        _ => Err(Failure::Lines(usage(console.program()) + &advice(console, verb))),
    };
    Some(ended)
}

/// A line on a verb that does not exist and resembles one that does; else nothing.
fn advice(console: &Console, verb: Option<&str>) -> String {
    let known: Vec<&str> = THEIRS.into_iter().chain(OURS).collect();
    let meant = verb.filter(|verb| !known.contains(verb)).and_then(|verb| {
        let similar = similar(verb, &known)?;
        Some(console.line(&format!("there is no {verb}; did you mean {similar}?")))
    });
    meant.unwrap_or_default()
}

fn usage(program: &str) -> String {
    let version = solo5_report::VERSION;
    format!(
        "usage: {program} COMMAND ...\n\
         {program} version {version}\n\
         \n\
         COMMAND is:\n    \
             gen-manifest SOURCE OUTPUT:\n        \
                 Generate application manifest from SOURCE, writing to OUTPUT.\n    \
             query-abi BINARY:\n        \
                 Display the ABI target and version from BINARY.\n    \
             query-manifest BINARY:\n        \
                 Display the application manifest from BINARY.\n    \
             audit IMAGES...:\n        \
                 Apply the audit rules to IMAGES.\n    \
             check IMAGES... [ --policy=FILE ... ] -- LAUNCH-OPTIONS:\n        \
                 Say whether policies allow IMAGES to be started with LAUNCH-OPTIONS.\n    \
             sign --key=FILE IMAGES...:\n        \
                 Sign IMAGES with a minisign key.\n    \
             verify [ --key=KEY ... ] IMAGES...:\n        \
                 Print digests of IMAGES, and which keys signed them.\n    \
             policy check | fmt FILES...:\n        \
                 Check policies, or write them in the standard layout.\n    \
             show IMAGE:\n        \
                 Display segments, notes and manifest of IMAGE.\n    \
             lock IMAGES... [ -o FILE ]:\n        \
                 Record digests, devices, sizes and findings of IMAGES.\n    \
             diff OLD NEW...:\n        \
                 Show what changed between images, or since a lock.\n    \
             symbolize IMAGE [ TRACE | --core=FILE ]:\n        \
                 Show the functions and lines of the addresses in TRACE or a core.\n    \
             explain [ CODE ]:\n        \
                 Explain a rule or another code of a message.\n"
    )
}

fn query(
    console: &Console,
    file: &Path,
    answer: fn(&Image) -> Result<String, ImageError>,
) -> Result<(), Failure> {
    let reader = open(file)
        .map_err(|error| Failure::of(file, format_args!("Could not open: {}", reason(&error))))?;
    let answer = Image::read(&reader, &Arch::ALL).and_then(|image| answer(&image));
    let text = answer.map_err(|error| match error {
        // Upstream's queries have another text than its tenders.
        ImageError::Manifest { .. } => Failure::of(file, "Manifest validation failed"),
        error => Failure::of(file, error),
    })?;
    console.print(&text)
}

fn abi(image: &Image) -> Result<String, ImageError> {
    let abi = image.abi()?;
    Ok(format!(
        "{{\n  \"type\": \"solo5.abi\",\n  \"target\": \"{}\",\n  \"version\": {}\n}}\n",
        abi.target_name(),
        abi.version()
    ))
}

fn manifest(image: &Image) -> Result<String, ImageError> {
    let manifest = image.manifest()?;
    let mut out = String::with_capacity(4096);
    out.push_str("{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [");
    for (position, (_, entry)) in manifest.devices().enumerate() {
        out.push_str(if position == 0 { "\n" } else { ",\n" });
        let kind = mft1::type_name(entry.kind_number());
        // An invalid name in an image may hold quotes or line feeds.
        let name = match entry.name() {
            "" => serde_json::Value::from(String::from_utf8_lossy(entry.name_bytes())).to_string(),
            name => format!("\"{name}\""),
        };
        // Writing to a String cannot fail.
        let _ = write!(out, "    {{ \"name\": {name}, \"type\": \"{kind}\" }}");
    }
    out.push_str("\n  ]\n}\n");
    Ok(out)
}
