//! The sections `image` and `admitted`, which together give one answer about the image. If nothing is
//! proven of the image, the proofs that `match` wants are judged here too.

use std::ops::Range;

use solo5_signature::PublicKey;

use super::applies::{has_digest, is_signed};
use super::verdict::{Phase, Provision, Section, Verdict, absent};
use crate::codes;
use crate::facts::{Asked, Fact, HostFacts};
use crate::model::{At, Image, Policy, Proofs};

/// Most keys that a reason names.
const SIGNERS_MAX: usize = 8;

pub(super) fn judge(policy: &Policy, asked: &Asked, facts: &HostFacts, phase: Phase) -> Verdict {
    let selects = &policy.selector.proofs;
    let span = match (&policy.image, &policy.admitted) {
        (Some(image), _) => &image.span,
        (None, Some(file)) => &file.span,
        (None, None) if asked.proof.is_some() || selects.is_empty() => return absent(policy),
        (None, None) => &(0..0),
    };
    let mut section = Section::new(span);
    if asked.proof.is_none() {
        proofs(selects, asked, &mut section);
    }
    if let Some(image) = &policy.image {
        said(image, asked, &mut section);
        proofs(&image.proofs, asked, &mut section);
    }
    let mut open = None;
    if let Some(file) = &policy.admitted {
        open = admitted(file, asked, facts, phase, &mut section);
    }
    match (open, section.verdict()) {
        (Some(provision), Verdict::Yes(_)) => Verdict::If(vec![provision]),
        (_, verdict) => verdict,
    }
}

/// Judges what the image says about itself.
fn said(rules: &Image, asked: &Asked, section: &mut Section) {
    if let Some(targets) = &rules.targets
        && !targets.value.contains(&asked.target)
    {
        let names: Vec<_> = targets.value.iter().map(|target| target.name()).collect();
        section.deny(
            codes::IMAGE_TARGET,
            format!("it is for {}", asked.target.name()),
            if names.is_empty() {
                "allows no target".to_owned()
            } else {
                format!("wants {}", names.join(" or "))
            },
            &targets.span,
        );
    }
    if let Some(minimum) = &rules.minimum_manifest
        && asked.manifest_version < minimum.value
    {
        section.deny(
            codes::IMAGE_MANIFEST,
            format!("its manifest has version {}", asked.manifest_version),
            format!("wants {} at least", minimum.value),
            &minimum.span,
        );
    }
}

/// Judges what is proven of the image.
fn proofs(wanted: &Proofs, asked: &Asked, section: &mut Section) {
    let Some(proof) = &asked.proof else {
        let spans = [
            wanted.digests.as_ref().map(|digests| &digests.span),
            wanted.signed_by.as_ref().map(|keys| &keys.span),
        ];
        if let Some(span) = spans.into_iter().flatten().next() {
            unproven(section, span);
        }
        return;
    };
    if let Some(digests) = &wanted.digests
        && !has_digest(wanted, proof)
    {
        let wants = match digests.value.as_slice() {
            [] => "allows none".to_owned(),
            [one] => format!("wants {one}"),
            several => format!("wants one of {} others", several.len()),
        };
        let message = format!("its digest is {}", proof.digest);
        section.deny(codes::IMAGE_DIGEST, message, wants, &digests.span);
    }
    if let Some(keys) = &wanted.signed_by
        && !is_signed(wanted, proof)
    {
        let wants = match keys.value.as_slice() {
            [] => "allows none".to_owned(),
            several if several.len() > SIGNERS_MAX => {
                format!("wants a signature of one of {} others", several.len())
            }
            several => {
                let names: Vec<_> = several.iter().map(PublicKey::short).collect();
                format!("wants a signature of {}…", names.join("… or "))
            }
        };
        let mut message = "it has no valid signature of a key that counts".to_owned();
        if let Some(why) = &proof.unread {
            message += &format!(", and its .minisig file cannot be used: {why}");
        }
        section.deny(codes::IMAGE_SIGNER, message, wants, &keys.span);
    }
}

fn unproven(section: &mut Section, span: &Range<usize>) {
    let message = "its content was not examined".to_owned();
    let wants = "wants to know its digest or signers".to_owned();
    section.deny(codes::IMAGE_UNPROVEN, message, wants, span);
}

/// Refuses an image that is not in the list; a condition if that is not known yet.
fn admitted(
    file: &At<String>,
    asked: &Asked,
    facts: &HostFacts,
    phase: Phase,
    section: &mut Section,
) -> Option<Provision> {
    let (path, span) = (&file.value, &file.span);
    let Some(proof) = &asked.proof else {
        unproven(section, span);
        return None;
    };
    let wants = || format!("wants it in {path}");
    let mut unread = |why: &str| {
        let message = format!("whether it is admitted cannot be read: {why}");
        section.deny(codes::IMAGE_UNPROVEN, message, wants(), span);
    };
    match facts.admitted.get(path).unwrap_or(&Fact::Unknown) {
        Fact::Known(true) => {}
        Fact::Known(false) => {
            let message = format!("{} is not admitted", proof.digest);
            section.deny(codes::IMAGE_ADMITTED, message, wants(), span);
        }
        Fact::Unreadable(why) => unread(why),
        Fact::Unknown if phase == Phase::Descriptors => unread("no answer"),
        Fact::Unknown => {
            return Some(Provision {
                message: format!("{} is in {path}", proof.digest),
                span: span.clone(),
            });
        }
    }
    None
}
