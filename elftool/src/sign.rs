//! `sign`: appends signatures to images, or writes detached ones.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use solo5_abi::Arch;
use solo5_image::Image;
use solo5_signature::proof::IMAGE_MAX;
use solo5_signature::signer::{SecretKey, SignError, generate};
use solo5_signature::{PublicKey, Signature, SignatureError, Signatures, prove, trailer};

use crate::console::{Console, Exit, Failure};
use crate::content::{Content, beside, detached};
use crate::files::{name, read_secret, reason};

const TOO_MANY: &str = "has as many signatures as an image can have";

#[derive(Debug, clap::Args)]
pub(crate) struct SignOptions {
    /// Images
    #[arg(required_unless_present = "new_key")]
    images: Vec<PathBuf>,
    /// Secret key, as `minisign -G` and --new-key write it
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key: Option<PathBuf>,
    /// File whose first line is the password of the key
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Comment to sign together with each image; absent: its name
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Write IMAGE.minisig and leave the image as it is
    #[arg(long)]
    detached: bool,
    /// Make a key without a password, FILE and FILE.pub, and sign nothing
    #[arg(long, value_name = "FILE", exclusive = true)]
    new_key: Option<PathBuf>,
}

impl SignOptions {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        if let Some(path) = &self.new_key {
            return new_key(path).map(|()| Exit::Clean);
        }
        let key = self.secret_key()?;
        let mut exit = Exit::Clean;
        for path in &self.images {
            if let Err(why) = self.sign(console, path, &key) {
                console.say_of(path, why);
                exit = Exit::Incomplete;
            }
        }
        Ok(exit)
    }

    fn secret_key(&self) -> Result<SecretKey, Failure> {
        let read = |path: &Path| read_secret(path).map_err(|why| Failure::of(path, why));
        let path = self.key.as_deref().unwrap_or(Path::new(""));
        let text = read(path)?;
        let password = self.password_file.as_deref().map(read).transpose()?;
        let password = password.as_deref().and_then(|text| text.lines().next());
        SecretKey::parse(&text, password).map_err(|error| {
            let help = match error {
                SignError::Locked => "; give it with --password-file",
                _ => "",
            };
            Failure::of(path, format_args!("{error}{help}"))
        })
    }

    fn sign(&self, console: &Console, path: &Path, key: &SecretKey) -> Result<(), String> {
        let content = Content::open(path)?;
        let image = Image::read(&content.bytes, &Arch::ALL);
        image
            .and_then(|image| image.abi())
            .map_err(|error| format!("is not a unikernel: {}", error.explained()))?;
        let comment = self.comment.clone().unwrap_or_else(|| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let plain: String = name.chars().filter(|c| !c.is_control()).collect();
            format!("file:{plain}")
        });
        let signature = |signed: &mut dyn Read, comment: &str| {
            key.sign(signed, comment).map_err(|error| error.to_string())
        };
        let public = key.public().map_err(|error| error.to_string())?;
        let other = others(path, &public)?;
        if self.detached {
            if other {
                let beside = name(&beside(path));
                return Err(format!(
                    "{beside} holds signatures of other keys; move it away first, \
                     or sign without --detached"
                ));
            }
            // Signs the whole file with its trailer, because `minisign` verifies whole files.
            let mut file = content.bytes.as_slice().chain(content.note.as_slice());
            return write(&beside(path), signature(&mut file, &comment)?.to_string().as_bytes());
        }
        let renewed = stale(path, &content, &public)?;
        let Content { mut bytes, signatures, .. } = content;
        let mut all = without(signatures, &public, &bytes);
        // A signature of no bytes has the same length, so the new size is known before the image is
        // hashed.
        let room = [all.as_slice(), &[signature(&mut std::io::empty(), &comment)?]].concat();
        let room = trailer::write(&room).ok_or(TOO_MANY)?.len();
        if bytes.len().saturating_add(room) as u64 > IMAGE_MAX {
            let mib = IMAGE_MAX >> 20;
            return Err(format!(
                "would be larger than {mib} MiB with the signature, so no tender would prove it; \
                 sign it with --detached"
            ));
        }
        all.push(signature(&mut bytes.as_slice(), &comment)?);
        let note = trailer::write(&all).ok_or(TOO_MANY)?;
        bytes.extend(note);
        write(path, &bytes)?;
        if other {
            console.say_of(
                &beside(path),
                "warning: it holds signatures of other keys, made before this change; \
                 `minisign` refuses them until those keys sign again",
            );
        }
        if let Some(comment) = renewed {
            let signature = signature(&mut bytes.as_slice(), &comment)?;
            write(&beside(path), signature.to_string().as_bytes())?;
        }
        Ok(())
    }
}

/// Whether the file with signatures beside the image holds anything but signatures of `key`.
fn others(path: &Path, key: &PublicKey) -> Result<bool, String> {
    let (found, errors) = read_detached(path)?;
    Ok(!errors.is_empty() || !found.iter().all(|signature| signature.names(key)))
}

fn read_detached(path: &Path) -> Result<(Vec<Signature>, Vec<SignatureError>), String> {
    detached(path).map_err(|why| format!("{}: {why}", name(&beside(path))))
}

/// The comment of the detached signature by `key`, if that is valid. `minisign` will refuse it once
/// the trailer of the file changes.
fn stale(path: &Path, content: &Content, key: &PublicKey) -> Result<Option<String>, String> {
    let (detached, _) = read_detached(path)?;
    let [one] = detached.as_slice() else {
        return Ok(None);
    };
    let keys = std::slice::from_ref(key);
    let size = u64::try_from(content.bytes.len()).unwrap_or(u64::MAX);
    let signatures = Signatures { attached: &[], detached: &detached, note: &content.note };
    let proof = prove(&content.bytes, size, signatures, keys).map_err(|error| error.to_string())?;
    let counts = !proof.signed_by.is_empty();
    Ok(counts.then(|| one.trusted_comment().to_owned()))
}

/// Writes a new pair of keys. Existing files are not replaced.
fn new_key(path: &Path) -> Result<(), Failure> {
    let (secret, public) = generate().map_err(|error| Failure::Cannot(error.to_string()))?;
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    for (path, text, mode) in [(path, secret, 0o600), (Path::new(&name), public, 0o644)] {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| Failure::of(path, reason(&error)))?;
    }
    Ok(())
}

/// The signatures without those by `key` of this content, since one for each key is enough.
fn without(signatures: Vec<Signature>, key: &PublicKey, content: &[u8]) -> Vec<Signature> {
    let keys = [key.clone()];
    let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let is_by_key = |signature: &Signature| {
        let proof = prove(content, size, std::slice::from_ref(signature).into(), &keys);
        proof.is_ok_and(|proof| !proof.signed_by.is_empty())
    };
    let kept = signatures.into_iter();
    kept.filter(|signature| !is_by_key(signature)).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let written = solo5_output::write(path, bytes);
    written.map(|_| ()).map_err(|error| reason(&error))
}
