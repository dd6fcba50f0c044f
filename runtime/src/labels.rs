//! Labels for policies, of what the engine says of a container.
//!
//! An annotation that the engine writes over what a pod says is a label that a policy can trust.
//! `docs/containers.md` says which engine writes which.

use std::collections::BTreeMap;

use solo5_launch::is_label_key;

/// The annotation in which an engine names itself. containerd has none.
const MANAGER: &str = "io.container.manager";

/// What containerd writes, whatever the pod's annotations say.
const CONTAINERD: [&str; 5] = [
    "io.kubernetes.cri.sandbox-namespace",
    "io.kubernetes.cri.sandbox-name",
    "io.kubernetes.cri.sandbox-uid",
    "io.kubernetes.cri.container-name",
    "io.kubernetes.cri.image-name",
];

/// CRI-O hands on every annotation of a pod, and writes these labels of the kubelet over them.
const CRI_O: [&str; 4] = [
    "io.kubernetes.pod.namespace",
    "io.kubernetes.pod.name",
    "io.kubernetes.pod.uid",
    "io.kubernetes.container.name",
];

/// Longest value of a label here. Names in Kubernetes have 253 bytes at most.
const VALUE_MAX: usize = 512;

/// `--label=` options for the annotations of a container. A value that would be no word on a line is
/// left out, so no policy selects by it.
pub fn options(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let trusted: &[&str] = match annotations.get(MANAGER).map(String::as_str) {
        None => &CONTAINERD,
        Some("cri-o") => &CRI_O,
        // podman, for example, hands on the annotations of an image.
        Some(_) => &[],
    };
    let known = trusted.iter().filter_map(|key| Some((*key, annotations.get(*key)?)));
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
        assert_eq!(found(&annotations), ["--label=io.kubernetes.cri.sandbox-namespace=shop"]);
        for key in CONTAINERD.iter().chain(&CRI_O) {
            assert!(is_label_key(key), "{key}");
        }
    }

    fn found(annotations: &[(&str, &str)]) -> Vec<String> {
        let owned = annotations.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        options(&owned.collect())
    }

    #[test]
    fn each_engine_writes_its_own() {
        let forged = ("io.kubernetes.cri.sandbox-namespace", "shop");
        let of_kubelet = ("io.kubernetes.pod.namespace", "garden");
        let cri_o = [forged, of_kubelet, ("io.container.manager", "cri-o")];
        assert_eq!(found(&cri_o), ["--label=io.kubernetes.pod.namespace=garden"]);
        let podman = [forged, of_kubelet, ("io.container.manager", "libpod")];
        assert_eq!(found(&podman), [] as [&str; 0]);
    }
}
