//! Policies and folders that are refused, and what the refusal says.

use std::fs;

use solo5_policy::front;
use solo5_policy::glob::{LENGTH_MAX, Pattern, PatternError};
use solo5_policy::sources::{Host, POLICIES_MAX, load};

/// Messages and helps of everything wrong with a policy.
fn refused(text: &str) -> Vec<(String, String)> {
    let text = format!("type: solo5.policy\nversion: 1\notherwise: allow\n{text}");
    let found = front::read("p.yaml", text.as_bytes()).unwrap_err();
    found.into_iter().map(|found| (found.message, found.help.unwrap_or_default())).collect()
}

#[test]
fn a_pattern_has_a_limit() {
    let longest = "x".repeat(LENGTH_MAX);
    assert!(Pattern::new(&longest).is_ok());
    let long = format!("{longest}x");
    assert_eq!(Pattern::new(&long), Err(PatternError::Long));
    let found = refused(&format!("match: {{ label: {{ app: {long} }} }}\n"));
    let message = format!("a label's value is longer than {LENGTH_MAX} bytes");
    assert_eq!(found, [(message, String::from("write a shorter pattern, or several"))]);
}

#[test]
fn what_a_policy_matches_is_a_mapping() {
    for (text, what) in [("match: x\n", "`match`"), ("match: { label: x }\n", "`label`")] {
        let found = refused(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, format!("{what} must be a mapping, not a plain text"));
    }
}

#[test]
fn a_device_is_named_below_dev() {
    for (name, help) in [
        ("/dev/vg0/a", "write `vg0/a`"),
        ("/vg0/a", "write it without `/` in front, such as `vg0/*`"),
        ("vg0/../a", "write it without `/` in front, such as `vg0/*`"),
    ] {
        let found = refused(&format!("block: {{ allow: [ {{ name: a, device: {name} }} ] }}\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        let message = format!("`device` must be a name below /dev, not `{name}`");
        assert_eq!(found[0], (message, help.to_owned()));
    }
}

#[test]
fn a_folder_has_a_limited_number_of_policies() {
    let folder = tempfile::tempdir().unwrap();
    let add = |number: usize| {
        let text = "type: solo5.policy\nversion: 1\notherwise: allow\n";
        fs::write(folder.path().join(format!("{number}.yaml")), text).unwrap();
    };
    (0..POLICIES_MAX).for_each(add);
    let loaded = || load(Host::Model(folder.path()), &[], |_| Err(std::io::Error::other("none")));
    assert_eq!(loaded().unwrap().len(), POLICIES_MAX);
    add(POLICIES_MAX);
    let found = loaded().unwrap_err();
    assert_eq!(found.len(), 1);
    let message = &found[0].message;
    assert!(message.ends_with("cannot be read: more than 1000 policies"), "{message}");
}
