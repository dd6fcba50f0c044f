//! `verify`: the digest of an image, and which of some keys have signed it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use solo5_report::one_line;
use solo5_signature::{PublicKey, prove};

use crate::cli::{FAILED, Format};
use crate::content::{Content, detached};
use crate::files::{complain, print, reason};

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

pub(crate) fn run(program: &str, options: &VerifyOptions) -> u8 {
    let keys: Result<Vec<PublicKey>, String> =
        options.key.iter().map(|text| public_key(text)).collect();
    let keys = match keys {
        Ok(keys) => keys,
        Err(why) => {
            complain(program, why);
            return FAILED;
        }
    };
    let mut status = 0;
    let mut images = Vec::new();
    let mut lines = String::new();
    for path in &options.images {
        let name = path.to_string_lossy();
        match verify(path, &keys) {
            Ok(found) => {
                if !keys.is_empty() && found.signed_by.is_empty() {
                    status = status.max(1);
                }
                lines += &found.human(&name, &keys);
                images.push(found.json(&name));
            }
            Err(why) => {
                complain(program, format_args!("{name}: {why}"));
                status = FAILED;
            }
        }
    }
    let text = match options.format {
        Format::Human => lines,
        Format::Json => format!("{:#}\n", json!({ "images": images })),
    };
    status.max(print(program, &text, 0, FAILED))
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    if let Some(key) = PublicKey::parse(text) {
        return Ok(key);
    }
    let file = fs::read_to_string(text);
    let file = file.map_err(|error| format!("{text}: {}", reason(&error)))?;
    PublicKey::parse_file(&file).ok_or_else(|| format!("{text}: is not a public key"))
}

/// What was found of one image.
struct Found {
    digest: String,
    signatures: usize,
    signed_by: Vec<PublicKey>,
}

fn verify(path: &Path, keys: &[PublicKey]) -> Result<Found, String> {
    let Content { bytes, mut signatures } = Content::open(path)?;
    signatures.extend(detached(path));
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let proof = prove(&bytes, size, &signatures, keys).map_err(|error| error.to_string())?;
    Ok(Found {
        digest: proof.digest.to_string(),
        signatures: signatures.len(),
        signed_by: proof.signed_by,
    })
}

impl Found {
    fn human(&self, name: &str, keys: &[PublicKey]) -> String {
        let name = one_line(name);
        let mut text = format!("{name}: {}\n", self.digest);
        for key in &self.signed_by {
            text += &format!("{name}: signed by {key}\n");
        }
        if self.signed_by.is_empty() {
            let plural = if self.signatures == 1 { "" } else { "s" };
            let whose = match keys {
                [] => "; name keys with --key to check them",
                [_] => ", none by this key",
                _ => ", none by these keys",
            };
            text += &format!("{name}: {} signature{plural}{whose}\n", self.signatures);
        }
        text
    }

    fn json(&self, name: &str) -> Value {
        let keys = self.signed_by.iter().map(PublicKey::as_str);
        json!({
            "image": name,
            "digest": self.digest,
            "signatures": self.signatures,
            "signed_by": keys.collect::<Vec<_>>(),
        })
    }
}
