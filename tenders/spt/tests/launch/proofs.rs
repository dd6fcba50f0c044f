//! Policies on the image itself: digests, signatures, lists of admitted images.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use solo5_signature::signer::{SecretKey, generate};
use solo5_signature::{Digest, PublicKey, trailer};

use crate::guest::{Code, Guest, text};

fn policy(guest: &Guest, rules: &str) -> String {
    let content =
        format!("type: solo5.policy\nversion: 1\nname: node\notherwise: allow\n{rules}\n");
    let path = guest.file("node.yaml", content.as_bytes());
    format!("--policy={}", text(&path))
}

fn pair() -> (SecretKey, PublicKey) {
    let (secret, public) = generate().unwrap();
    let secret = SecretKey::parse(&secret, None).unwrap();
    (secret, PublicKey::parse_file(&public).unwrap())
}

#[test]
fn the_digest_covers_the_content_that_runs() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let content = fs::read(&guest.image).unwrap();
    let right = policy(&guest, &format!("image: {{ digest: \"{}\" }}", Digest::of(&content)));
    guest.run(&[&right]).gives(5);
    fs::write(&guest.image, [&content[..], b"x"].concat()).unwrap();
    guest.run(&[&right]).gives(60).mentions("denied: P350 image: its digest is sha256:");
    // Signing does not change the digest.
    let signature = pair().0.sign(content.as_slice(), "").unwrap();
    let note = trailer::write(&[signature]).unwrap();
    fs::write(&guest.image, [&content[..], &note].concat()).unwrap();
    guest.run(&[&right]).gives(5);
}

#[test]
fn a_signature_lets_an_image_start() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let content = fs::read(&guest.image).unwrap();
    let (ours, other) = (pair(), pair());
    let signed = policy(&guest, &format!("image: {{ signed-by: \"{}\" }}", ours.1));
    let denied = "denied: P351 image: it has no valid signature of a key that counts";
    guest.run(&[&signed]).gives(60).mentions(denied);

    let note = |key: &SecretKey| {
        let signature = key.sign(content.as_slice(), "file:guest").unwrap();
        trailer::write(&[signature]).unwrap()
    };
    let foreign = [&content[..], &note(&other.0)].concat();
    fs::write(&guest.image, foreign).unwrap();
    guest.run(&[&signed]).gives(60).mentions(denied);
    let mut image = [&content[..], &note(&ours.0)].concat();
    fs::write(&guest.image, &image).unwrap();
    guest.run(&[&signed]).gives(5);
    // Without a policy that needs it, a signature has no effect.
    guest.run(&[]).gives(5);
    guest.run(&[&signed, "--explain"]).gives(0);

    for at in [0, content.len() / 2, content.len() - 1, content.len(), image.len() - 1] {
        image[at] ^= 1;
        fs::write(&guest.image, &image).unwrap();
        let ran = guest.run(&[&signed]);
        // A file that is no longer an image is refused with status 1.
        assert!([1, 60].contains(&ran.status), "byte {at}: {}", ran.err);
        image[at] ^= 1;
    }
}

#[test]
fn a_signature_may_be_beside_the_image() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let content = fs::read(&guest.image).unwrap();
    let (secret, public) = pair();
    let signed = policy(&guest, &format!("image: {{ signed-by: [{public}] }}"));
    let signature = secret.sign(content.as_slice(), "").unwrap().to_string();
    let beside = format!("{}.minisig", text(&guest.image));
    fs::write(&beside, signature).unwrap();
    guest.run(&[&signed]).gives(5);
    fs::write(&beside, "nothing of use").unwrap();
    guest.run(&[&signed]).gives(60).mentions("P351");
}

#[test]
fn a_proof_selects_a_policy() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let content = fs::read(&guest.image).unwrap();
    let digest = Digest::of(&content);
    let narrow =
        policy(&guest, &format!("match: {{ digest: \"{digest}\" }}\nmemory: {{ maximum: 2MiB }}"));
    guest.run(&[&narrow]).gives(60).mentions("P305");
    fs::write(&guest.image, [&content[..], b"x"].concat()).unwrap();
    guest.run(&[&narrow]).gives(5);
    guest.run(&[&narrow, "--require-policy"]).gives(60).mentions("P300");
}

#[test]
fn only_admitted_images_start() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let digest = Digest::of(&fs::read(&guest.image).unwrap());
    let list = |images: &BTreeMap<_, _>| {
        guest.file("list.json", solo5_policies::admitted::text(images).as_bytes())
    };
    let admission =
        solo5_policies::admitted::Admission { file: "guest".to_owned(), policies: Vec::new() };
    let path = list(&BTreeMap::from([(digest, admission)]));
    let admitted = policy(&guest, &format!("admitted: {}", text(&path)));
    guest.run(&[&admitted]).gives(5);
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    guest.run(&[&admitted]).gives(60).mentions("P353").mentions("P202");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    list(&BTreeMap::new());
    guest.run(&[&admitted]).gives(60).mentions("denied: P352 image: sha256:");
    fs::remove_file(path).unwrap();
    guest.run(&[&admitted]).gives(60).mentions("P353");
}
