//! Both ways with the program `minisign`.

use std::fs;
use std::path::Path;
use std::process::Command;

use solo5_signature::signer::{SecretKey, generate};
use solo5_signature::{PublicKey, Signature, prove};

/// Runs `minisign` in `folder`; whether it succeeded, or `None` if there is none.
fn minisign(folder: &Path, arguments: &[&str]) -> Option<bool> {
    let output = Command::new("minisign").args(arguments).current_dir(folder).output();
    output.ok().map(|output| output.status.success())
}

#[test]
fn its_signatures_count_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("image"), b"a unikernel").unwrap();
    let keys = ["-G", "-W", "-p", "key.pub", "-s", "key"];
    if minisign(path, &keys).is_none() {
        println!("skip: its_signatures_count_here: no minisign");
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
    // Its key signs here, too.
    let secret = SecretKey::parse(&read("key"), None).unwrap();
    let own = secret.sign(content, "").unwrap();
    let proof = prove(content, content.len() as u64, [own][..].into(), &keys).unwrap();
    assert_eq!(proof.signed_by.len(), 1);
}

#[test]
fn it_takes_our_signatures() {
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
        None => println!("skip: it_takes_our_signatures: no minisign"),
        Some(taken) => assert!(taken),
    }
    fs::write(path.join("image"), b"another").unwrap();
    assert_ne!(minisign(path, &verify), Some(true));
}
