//! Exchanging keys and signatures with the program `minisign`, in both directions.

use std::fs;
use std::path::Path;
use std::process::Command;

use solo5_signature::signer::{SecretKey, generate};
use solo5_signature::{PublicKey, Signature, prove};

/// Runs `minisign` in `folder`. Says whether it succeeded; `None` if it is not installed.
fn minisign(folder: &Path, arguments: &[&str]) -> Option<bool> {
    let output = Command::new("minisign").args(arguments).current_dir(folder).output();
    output.ok().map(|output| output.status.success())
}

#[test]
fn this_crate_verifies_minisigns_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("image"), b"a unikernel").unwrap();
    let keys = ["-G", "-W", "-p", "key.pub", "-s", "key"];
    if minisign(path, &keys).is_none() {
        println!("skip: this_crate_verifies_minisigns_signatures: no minisign");
        return;
    }
    let sign = ["-S", "-s", "key", "-m", "image", "-t", "made by minisign"];
    assert_eq!(minisign(path, &sign), Some(true));
    let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    let public = PublicKey::parse_file(&read("key.pub")).unwrap();
    let signature = Signature::parse(&read("image.minisig")).unwrap();
    assert_eq!(signature.trusted_comment(), "made by minisign");
    let content = &b"a unikernel"[..];
    let keys = [public.clone()];
    let proof = prove(content, content.len() as u64, [signature][..].into(), &keys).unwrap();
    assert_eq!(proof.signed_by, [public]);
    // This crate can also sign with a key that `minisign` made.
    let secret = SecretKey::parse(&read("key"), None).unwrap();
    let own = secret.sign(content, "").unwrap();
    let proof = prove(content, content.len() as u64, [own][..].into(), &keys).unwrap();
    assert_eq!(proof.signed_by.len(), 1);
}

#[test]
fn minisign_verifies_this_crates_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (secret, public) = generate().unwrap();
    let secret = SecretKey::parse(&secret, None).unwrap();
    let signature = secret.sign(&b"a unikernel"[..], "file:image").unwrap();
    fs::write(path.join("image"), b"a unikernel").unwrap();
    fs::write(path.join("key.pub"), public).unwrap();
    fs::write(path.join("image.minisig"), signature.to_string()).unwrap();
    let verify = ["-V", "-p", "key.pub", "-m", "image"];
    match minisign(path, &verify) {
        None => println!("skip: minisign_verifies_this_crates_signatures: no minisign"),
        Some(taken) => assert!(taken),
    }
    fs::write(path.join("image"), b"another").unwrap();
    assert_ne!(minisign(path, &verify), Some(true));
}
