//! Labels for policies, of what the engine says of a container.
//!
//! An annotation that the engine writes is a label that a policy can trust, because neither the image
//! nor the pod can set it. `docs/containers.md` says which engine writes which.

use std::collections::BTreeMap;

use solo5_launch::is_label_key;

/// Annotations that become labels of the same name.
pub const TRUSTED: [&str; 6] = [
    "io.kubernetes.cri.sandbox-namespace",
    "io.kubernetes.cri.sandbox-name",
    "io.kubernetes.cri.sandbox-uid",
    "io.kubernetes.cri.container-name",
    "io.kubernetes.cri.image-name",
    "io.kubernetes.cri-o.Namespace",
];

/// Longest value of a label here. Names in Kubernetes have 253 bytes at most.
const VALUE_MAX: usize = 512;

/// `--label=` options for the annotations of a container. A value that would be no word on a line is
/// left out, so no policy selects by it.
pub fn options(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let known = TRUSTED.iter().filter_map(|key| Some((*key, annotations.get(*key)?)));
    known
        .filter(|(key, value)| is_label_key(key) && is_plain(value))
        .map(|(key, value)| format!("--label={key}={value}"))
        .collect()
}

fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= VALUE_MAX
        && value.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_engines_write_becomes_a_label() {
        let annotations = [
            ("io.kubernetes.cri.sandbox-namespace", "shop"),
            ("io.kubernetes.cri.sandbox-name", "a\n--policy=x"),
            ("io.kubernetes.cri.container-name", ""),
            ("org.example.namespace", "kube-system"),
        ];
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let found = options(&annotations.into());
        assert_eq!(found, ["--label=io.kubernetes.cri.sandbox-namespace=shop"]);
        for key in TRUSTED {
            assert!(is_label_key(key), "{key}");
        }
    }
}
