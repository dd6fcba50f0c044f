//! Signed images: a valid signature is found, and every change is noticed.

use std::io::{Seek, Write};

use proptest::prelude::*;
use solo5_signature::minisign::{COMMENT_MAX, SIGNATURES_MAX, TEXT_MAX};
use solo5_signature::signer::{SecretKey, SignError, generate};
use solo5_signature::{
    Digest, Proof, PublicKey, Signature, SignatureError, Signatures, Trailer, locate, prove,
    trailer,
};

/// A secret key with its public half.
fn pair() -> (SecretKey, PublicKey) {
    let (secret, public) = generate().unwrap();
    let secret = SecretKey::parse(&secret, None).unwrap();
    let public = PublicKey::parse_file(&public).unwrap();
    assert_eq!(secret.public().unwrap(), public);
    (secret, public)
}

fn signed(content: &[u8], signatures: &[Signature]) -> Vec<u8> {
    let note = trailer::write(signatures).expect("a note");
    [content, &note].concat()
}

/// The proof about a file with its trailer.
fn proof(file: &[u8], keys: &[PublicKey]) -> Proof {
    let size = file.len() as u64;
    let found = locate(file, size).unwrap();
    let (content, signatures) = match &found {
        None => (size, &[][..]),
        Some(Trailer { content, signatures, .. }) => (*content, signatures.as_slice()),
    };
    prove(file, content, signatures.into(), keys).unwrap()
}

/// Content of a few pages whose length is not a multiple of any block size.
fn content() -> Vec<u8> {
    (0..150_001u32).map(|at| (at % 251) as u8).collect()
}

#[test]
fn signers_are_found_and_signing_keeps_the_digest() {
    let (one, two, other) = (pair(), pair(), pair());
    let content = content();
    let signatures = [
        one.0.sign(content.as_slice(), "file:a.spt").unwrap(),
        two.0.sign(content.as_slice(), "").unwrap(),
    ];
    let file = signed(&content, &signatures);
    let keys = [other.1.clone(), two.1.clone(), one.1.clone()];
    let found = proof(&file, &keys);
    assert_eq!(found.digest, Digest::of(&content));
    assert_eq!(found.signed_by, [two.1, one.1]);
    assert_eq!(proof(&file, &[other.1]).signed_by, []);
    let unsigned = proof(&content, &keys);
    assert_eq!(unsigned.digest, Digest::of(&content));
    assert_eq!(unsigned.signed_by, []);
    let back = locate(file.as_slice(), file.len() as u64).unwrap().unwrap();
    assert_eq!(back.content, content.len() as u64);
    assert_eq!(back.signatures[0].trusted_comment(), "file:a.spt");
}

#[test]
fn any_flipped_byte_is_noticed() {
    let (secret, public) = pair();
    let content = b"a unikernel".to_vec();
    let signature = secret.sign(content.as_slice(), "file:a.spt").unwrap();
    let mut file = signed(&content, &[signature]);
    let keys = [public];
    assert_eq!(proof(&file, &keys).signed_by.len(), 1);
    for at in 0..file.len() {
        // One bit of each byte: all eight would take a debug build half a minute.
        let bit = 1 << (at % 8);
        for change in [bit, 0xff] {
            file[at] ^= change;
            assert_eq!(proof(&file, &keys).signed_by, [], "byte {at} ^ {change:#x}");
            file[at] ^= change;
        }
    }
    for at in 0..file.len() {
        assert_eq!(proof(&file[..at], &keys).signed_by, [], "cut at {at}");
    }
    file.push(0);
    assert_eq!(proof(&file, &keys).signed_by, []);
}

#[test]
fn a_signature_does_not_fit_other_content() {
    let (secret, public) = pair();
    let signature = secret.sign(&b"one"[..], "").unwrap();
    let file = signed(b"two", &[signature]);
    assert_eq!(proof(&file, &[public]).signed_by, []);
}

#[test]
fn signing_an_image_with_its_trailer_changes_the_digest() {
    let (secret, public) = pair();
    let inner = signed(b"image", &[secret.sign(&b"image"[..], "").unwrap()]);
    let outer = signed(&inner, &[secret.sign(inner.as_slice(), "").unwrap()]);
    let found = proof(&outer, &[public]);
    assert_eq!(found.digest, Digest::of(&inner));
    assert_eq!(found.signed_by.len(), 1);
}

#[test]
fn signatures_and_comments_are_bounded() {
    let (secret, _) = pair();
    let longest = "c".repeat(COMMENT_MAX);
    let signature = secret.sign(&b""[..], &longest).unwrap();
    let most = vec![signature.clone(); SIGNATURES_MAX];
    let note = trailer::write(&most).unwrap();
    assert!(note.len() < TEXT_MAX + 64);
    let found = locate(note.as_slice(), note.len() as u64).unwrap().unwrap();
    assert_eq!(found.signatures.len(), SIGNATURES_MAX);
    assert!(trailer::write(&vec![signature; SIGNATURES_MAX + 1]).is_none());
    assert!(trailer::write(&[]).is_none());
    let longer = format!("{longest}c");
    let made = [secret.sign(&b""[..], &longer), secret.sign(&b""[..], "a\nb")];
    assert!(made.iter().all(|made| matches!(made, Err(SignError::Comment))));
    for (content, why) in
        [(String::new(), "is empty"), ("\n".repeat(TEXT_MAX + 1), "is too long for signatures")]
    {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file.rewind().unwrap();
        assert_eq!(trailer::read_detached(file).unwrap_err().to_string(), why);
    }
    let endless = std::fs::File::open("/dev/zero").unwrap();
    let why = trailer::read_detached(endless).unwrap_err().to_string();
    assert_eq!(why, "is not a regular file");
}

#[test]
fn a_file_that_shrinks_proves_nothing() {
    assert!(prove(&b"short"[..], 6, Signatures::default(), &[]).is_err());
}

#[test]
fn a_locked_key_needs_its_password() {
    let pair = minisign::KeyPair::generate_encrypted_keypair(Some("secret".into())).unwrap();
    let text = pair.sk.to_box(None).unwrap().into_string();
    assert!(matches!(SecretKey::parse(&text, None), Err(SignError::Locked)));
    SecretKey::parse(&text, Some("secret")).unwrap();
    assert!(matches!(SecretKey::parse("no\nkey\n", None), Err(SignError::Key(_))));
}

/// `minisign` does not know trailers, so it signs the whole file.
#[test]
fn a_detached_signature_covers_the_content_or_the_file() {
    let ((secret, public), (_, other)) = (pair(), pair());
    let file = signed(b"image", &[secret.sign(&b"image"[..], "").unwrap()]);
    let Trailer { content, note, .. } =
        locate(file.as_slice(), file.len() as u64).unwrap().unwrap();
    let proven = |signed: &[u8]| {
        let detached = [secret.sign(signed, "").unwrap()];
        let signatures = Signatures { detached: &detached, note: &note, attached: &[] };
        let keys = [other.clone(), public.clone()];
        prove(file.as_slice(), content, signatures, &keys).unwrap()
    };
    assert_eq!(proven(b"image").signed_by, std::slice::from_ref(&public));
    assert_eq!(proven(&file).signed_by, std::slice::from_ref(&public));
    assert_eq!(proven(&file).digest, Digest::of(b"image"));
    assert_eq!(proven(&file[..file.len() - 1]).signed_by, []);
    assert_eq!(proven(&note).signed_by, []);
    // An attached signature covers only the content.
    let whole = [secret.sign(file.as_slice(), "").unwrap()];
    let signatures = Signatures { attached: &whole, note: &note, detached: &[] };
    assert_eq!(prove(file.as_slice(), content, signatures, &[public]).unwrap().signed_by, []);
}

#[test]
fn a_useless_signature_says_why() {
    let (secret, public) = pair();
    let good = secret.sign(&b"image"[..], "").unwrap();
    assert_eq!((good.error(), good.names(&public), good.names(&pair().1)), (None, true, false));
    let text = good.to_string();
    let older = Signature::parse(&text.replacen("\nRU", "\nRW", 1)).unwrap();
    assert_eq!(older.error(), Some(SignatureError::Older));
    let long =
        text.replacen("trusted comment: ", &format!("trusted comment: {}", "c".repeat(1025)), 2);
    for (text, error) in [
        ("", SignatureError::Lines),
        (&text[..text.len() - 9], SignatureError::Lines),
        (&long.replacen(&"c".repeat(1025), "", 1), SignatureError::Comment),
    ] {
        assert_eq!(Signature::parse(text).err(), Some(error), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_is_read(bytes in prop::collection::vec(any::<u8>(), 0..300), length in 0..600u32) {
        let _ = locate(bytes.as_slice(), bytes.len() as u64).unwrap();
        let ended = [&bytes[..], &length.to_le_bytes(), b"SIG1"].concat();
        prop_assert!(locate(ended.as_slice(), ended.len() as u64).unwrap().is_none());
    }

    #[test]
    fn any_text_is_read(text in "(untrusted comment:|trusted comment: |[A-Za-z0-9+/=]{88}|\n|.){0,12}") {
        let _ = Signature::parse_all(&text);
        let _ = PublicKey::parse_file(&text);
    }
}
