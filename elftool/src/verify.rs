//! `verify`: the digest of an image, and which of the given keys have signed it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use solo5_image::ReadError;
use solo5_report::one_line;
use solo5_signature::{PublicKey, Signatures, Trailer, locate, prove, trailer};

use crate::console::{Console, Exit, Failure};
use crate::content::{beside, bounded, detached};
use crate::files::{name, read_secret, readable};
use crate::options::Format;

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyOptions {
    /// Images
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Public key: its 56 characters, or a file like `minisign.pub`
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// How to print results
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The JSON output.
#[derive(Serialize)]
struct Report {
    images: Vec<Verified>,
}

/// The result for one image.
#[derive(Serialize)]
struct Verified {
    image: String,
    digest: String,
    signatures: usize,
    signed_by: Vec<String>,
    /// Keys whose signatures are of other content.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed_since: Vec<String>,
    /// Why other signatures are not valid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unusable: Vec<String>,
    /// Why the file with signatures beside the image could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
}

impl VerifyOptions {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let keys = self.key.iter().map(|text| public_key(text));
        let keys: Vec<PublicKey> = keys.collect::<Result<_, _>>()?;
        let mut exit = Exit::Clean;
        let mut images = Vec::new();
        for path in &self.images {
            match verify(path, &keys) {
                Ok(found) => {
                    let unsigned = !keys.is_empty() && found.signed_by.is_empty();
                    exit = exit.max(Exit::objection_if(unsigned));
                    if let Some(why) = &found.unread {
                        console.say_of(&beside(path), why);
                        exit = Exit::Incomplete;
                    }
                    images.push(found);
                }
                Err(why) => {
                    console.say_of(path, why);
                    exit = Exit::Incomplete;
                }
            }
        }
        match self.format {
            Format::Human => {
                let texts = images.iter().map(|image| image.human(keys.len()));
                console.print(&texts.collect::<String>())?;
            }
            Format::Json => console.print_json(&Report { images })?,
        }
        Ok(exit)
    }
}

fn public_key(text: &str) -> Result<PublicKey, Failure> {
    if let Some(key) = PublicKey::parse(text) {
        return Ok(key);
    }
    let path = Path::new(text);
    let file = read_secret(path).map_err(|why| Failure::of(path, why))?;
    PublicKey::parse_file(&file).ok_or_else(|| Failure::of(path, "is not a public key"))
}

/// Reads an image in one pass without keeping it in memory.
fn verify(path: &Path, keys: &[PublicKey]) -> Result<Verified, String> {
    let (file, _) = readable(path)?;
    let size = bounded(&file)?;
    let failed = |error: ReadError| error.to_string();
    let found = locate(&file, size).map_err(failed)?;
    let (detached, errors, unread) = match detached(path) {
        Ok((detached, errors)) => (detached, errors, None),
        Err(why) => (Vec::new(), Vec::new(), Some(why)),
    };
    let mut unusable: Vec<String> = Vec::new();
    if found.is_none() {
        if trailer::looks_signed(&file, size).map_err(failed)? {
            unusable.push(String::from("the trailer of the image is damaged"));
        } else if trailer::is_misplaced(&file, size).map_err(failed)? {
            let why = "the trailer of the image is not at the end of the file; \
                       bytes were added or cut off after signing";
            unusable.push(String::from(why));
        }
    }
    let beside = name(&beside(path));
    unusable.extend(errors.iter().map(|error| format!("{beside}: {error}")));
    let (content, attached, note) = match found {
        Some(Trailer { content, signatures, note }) => (content, signatures, note),
        None => (size, Vec::new(), Vec::new()),
    };
    let all = || attached.iter().chain(&detached);
    unusable.extend(all().filter_map(|one| Some(one.error()?.to_string())));
    let signatures = Signatures { attached: &attached, detached: &detached, note: &note };
    let proof = prove(&file, content, signatures, keys).map_err(failed)?;
    let changed = keys.iter().filter(|key| {
        !proof.signed_by.contains(key) && all().any(|signature| signature.names(key))
    });
    Ok(Verified {
        image: name(path),
        digest: proof.digest.to_string(),
        signatures: all().count(),
        changed_since: changed.map(PublicKey::to_string).collect(),
        signed_by: proof.signed_by.iter().map(PublicKey::to_string).collect(),
        unusable,
        unread,
    })
}

impl Verified {
    /// For people; `keys` is how many were asked about.
    fn human(&self, keys: usize) -> String {
        let name = one_line(&self.image);
        let mut text = format!("{name}: {}\n", self.digest);
        for key in &self.signed_by {
            text += &format!("{name}: signed by {key}\n");
        }
        for key in &self.changed_since {
            text += &format!("{name}: the image or the signature changed after {key} signed it\n");
        }
        for why in &self.unusable {
            text += &format!("{name}: unusable signature: {}\n", one_line(why));
        }
        if self.signed_by.is_empty() && self.changed_since.is_empty() {
            let plural = if self.signatures == 1 { "" } else { "s" };
            let whose = match keys {
                0 => "; name keys with --key to check them",
                1 => ", none by this key",
                _ => ", none by these keys",
            };
            text += &format!("{name}: {} signature{plural}{whose}\n", self.signatures);
        }
        text
    }
}
