//! Signatures behind an image, and keys. An input is a file that may end with a trailer.

use std::sync::LazyLock;

use solo5_signature::{Digest, PublicKey, Signature, Trailer, locate, prove, trailer};

use crate::Target;

pub(crate) const TARGET: Target = Target { name: "signature", run, seeds, words };

/// A key and what it signed, from the documentation of the format's verifiers.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const SIGNED: &[u8] = b"test";
const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1556193335\tfile:test
y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==
";

static KEYS: LazyLock<[PublicKey; 1]> = LazyLock::new(|| [PublicKey::parse(KEY).expect("a key")]);

fn run(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let (detached, _) = Signature::parse_all(&text);
    for signature in &detached {
        let shown = signature.to_string();
        let again = Signature::parse(&shown).expect("our own form");
        assert_eq!(again.to_string(), shown, "two forms of one signature");
        assert_eq!(again.trusted_comment(), signature.trusted_comment());
        assert!(!signature.trusted_comment().contains(['\n', '\x1b']));
    }
    proven(data, data.len() as u64, &detached);
    for key in [PublicKey::parse(&text), PublicKey::parse_file(&text)].into_iter().flatten() {
        assert_eq!(PublicKey::parse(key.as_str()), Some(key.clone()));
        assert!(text.contains(key.as_str()) && key.short().len() == 16);
    }
    if let Some(digest) = Digest::parse(&text) {
        assert_eq!(digest.to_string(), text);
    }

    let found = locate(data, data.len() as u64).expect("reading cannot fail here");
    let Some(Trailer { content, signatures, .. }) = found else {
        return !detached.is_empty();
    };
    let length = usize::try_from(content).expect("a length in the file");
    let written = trailer::write(&signatures).expect("signatures that were read");
    assert_eq!(data.get(length..), Some(&written[..]), "two forms of one trailer");
    proven(data, content, &signatures);
    true
}

/// The key signed only one content, and nothing here can sign another.
fn proven(data: &[u8], content: u64, signatures: &[Signature]) {
    let proof =
        prove(data, content, signatures.into(), KEYS.as_slice()).expect("all of it is there");
    let content = data.get(..content as usize).expect("a length in the file");
    assert_eq!(proof.digest, Digest::of(content));
    assert!(proof.signed_by.is_empty() || content == SIGNED, "forged");
}

fn seeds() -> Vec<Vec<u8>> {
    let (signatures, _) = Signature::parse_all(&SIGNATURE.repeat(2));
    let one = trailer::write(&signatures[..1]).expect("a trailer");
    let two = trailer::write(&signatures).expect("a trailer");
    vec![
        SIGNED.to_vec(),
        [SIGNED, &one].concat(),
        [b"another content", &two[..]].concat(),
        two,
        SIGNATURE.into(),
        KEY.into(),
        format!("untrusted comment: minisign public key\n{KEY}\n").into(),
        Digest::of(SIGNED).to_string().into(),
    ]
}

fn words() -> Vec<Vec<u8>> {
    let lines = SIGNATURE.lines().map(|line| format!("{line}\n").into_bytes());
    let marks: [&[u8]; 6] =
        [b"SIG1", b"Solo5\0", b"RWQ", b"RUQ", b"untrusted comment: ", b"trusted comment: "];
    lines.chain(marks.map(<[u8]>::to_vec)).collect()
}
