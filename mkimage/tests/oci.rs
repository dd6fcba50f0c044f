//! Container images, as `skopeo`, `umoci`, Go's JSON Schemas of the specification and `urunc` read them.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::Workshop;
use serde_json::{Map, Value, json};
use solo5_abi::Target;
use solo5_signature::Digest;

/// The schemas of the specification: Debian's golang-github-opencontainers-image-spec-dev.
const SCHEMAS: &str = "/usr/share/gocode/src/github.com/opencontainers/image-spec/schema";

fn read(shop: &Workshop, name: &str) -> Value {
    serde_json::from_slice(&fs::read(shop.path(name)).unwrap()).unwrap()
}

/// The blob that a descriptor names.
fn blob(shop: &Workshop, layout: &str, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let file = format!("{layout}/blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap());
    let bytes = fs::read(shop.path(&file)).unwrap();
    assert_eq!(Digest::of(&bytes).to_string(), digest);
    assert_eq!(descriptor["size"], bytes.len());
    bytes
}

fn object(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn skopeo_and_umoci_read_it() {
    let shop = Workshop::new();
    shop.guest("guest.hvt", Target::Hvt, 4096);
    shop.make(&["-f", "oci", "--tag=v1", "image", "guest.hvt", "--name=x", "two words"]);
    let inspected: Value =
        serde_json::from_str(&shop.tool(&["skopeo", "inspect", "oci:image:v1"])).unwrap();
    assert_eq!(inspected["Architecture"], "amd64");
    assert_eq!(inspected["Os"], "linux");
    assert_eq!(inspected["Created"], "1970-01-01T00:00:00Z");
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), 1);
    assert_eq!(inspected["Labels"]["org.solo5.target"], "hvt");
    assert_eq!(inspected["Labels"]["org.solo5.devices"], "net:service block:storage");

    // A copy checks every digest.
    shop.tool(&["skopeo", "copy", "--insecure-policy", "oci:image:v1", "oci-archive:copy.tar"]);

    shop.tool(&["umoci", "unpack", "--rootless", "--image", "image:v1", "bundle"]);
    let unpacked = shop.path("bundle/rootfs/unikernel.hvt");
    assert!(fs::read(&unpacked).unwrap() == fs::read(shop.path("guest.hvt")).unwrap());
    assert_eq!(fs::metadata(&unpacked).unwrap().permissions().mode() & 0o777, 0o755);
    let config = read(&shop, "bundle/config.json");
    // urunc hands all of them to the guest.
    assert_eq!(config["process"]["args"], json!(["--name=x", "two words"]));
    assert_eq!(config["annotations"]["org.solo5.target"], "hvt");
    assert_eq!(config["annotations"]["com.urunc.unikernel.hypervisor"], "hvt");
}

/// A schema with the files that it refers to as its definitions.
fn schema(name: &str) -> Value {
    fn local(value: &mut Value, file: &str) {
        match value {
            Value::Object(fields) => {
                // They change what a reference is relative to. A property of that name is an object.
                fields.retain(|key, value| {
                    !matches!(key.as_str(), "id" | "$schema") || !value.is_string()
                });
                if let Some(Value::String(to)) = fields.get_mut("$ref") {
                    let (other, path) = to.split_once('#').unwrap_or((to, ""));
                    let other = if other.is_empty() { file } else { other };
                    *to = format!("#/definitions/{other}{path}");
                }
                fields.values_mut().for_each(|value| local(value, file));
            }
            Value::Array(items) => items.iter_mut().for_each(|value| local(value, file)),
            _ => {}
        }
    }
    let mut all = Map::new();
    for entry in fs::read_dir(SCHEMAS).expect("golang-github-opencontainers-image-spec-dev") {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "json") {
            let file = path.file_name().unwrap().to_str().unwrap();
            let mut value = object(&fs::read(&path).unwrap());
            local(&mut value, file);
            all.insert(file.to_owned(), value);
        }
    }
    json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "allOf": [{ "$ref": format!("#/definitions/{name}") }],
        "definitions": all,
    })
}

fn assert_valid(name: &str, value: &Value) {
    let schema = schema(name);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{name}: {errors:?}\n{value:#}");
    assert!(!validator.is_valid(&json!({ "schemaVersion": "2", "architecture": 1 })), "{name}");
}

#[test]
fn the_schemas_of_the_specification_hold() {
    let shop = Workshop::new();
    shop.make(&["-f", "oci", "image", "guest.virtio", "x"]);
    assert_valid("image-layout-schema.json", &read(&shop, "image/oci-layout"));
    let index = read(&shop, "image/index.json");
    assert_valid("image-index-schema.json", &index);
    let manifest = object(&blob(&shop, "image", &index["manifests"][0]));
    assert_valid("image-manifest-schema.json", &manifest);
    let config = object(&blob(&shop, "image", &manifest["config"]));
    assert_valid("config-schema.json", &config);
    blob(&shop, "image", &manifest["layers"][0]);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
}

#[test]
fn urunc_finds_what_it_wants_to_know() {
    let shop = Workshop::new();
    for (target, monitor) in [(Target::Spt, "spt"), (Target::Virtio, "qemu")] {
        let name = format!("guest.{}", target.name());
        shop.guest(&name, target, 64);
        shop.make(&["-f", "oci", "--framework=rumprun", "image", &name, "--a", "b"]);
        let manifest =
            object(&blob(&shop, "image", &read(&shop, "image/index.json")["manifests"][0]));
        let annotations = manifest["annotations"].as_object().unwrap();
        let expected = [
            ("unikernelType", "rumprun"),
            ("hypervisor", monitor),
            ("binary", &*format!("/unikernel.{}", target.name())),
            ("cmdline", "--a b"),
            ("solo5NetDev", "service"),
            ("solo5BlkDev", "storage"),
        ];
        shop.tool(&["umoci", "unpack", "--rootless", "--image", "image", "bundle"]);
        let file = read(&shop, "bundle/rootfs/urunc.json");
        assert_eq!(file.as_object().unwrap().len(), expected.len(), "{file}");
        for (key, value) in expected {
            let key = format!("com.urunc.unikernel.{key}");
            assert_eq!(annotations[&key], value);
            // As `base64` decodes it.
            let coded = file[&key].as_str().unwrap();
            let decoded = shop.tool(&["sh", "-c", &format!("echo {coded} | base64 -d")]);
            assert_eq!(decoded, value);
        }
        shop.tool(&["rm", "-rf", "bundle"]);
    }
    shop.guest("guest.xen", Target::Xen, 64);
    shop.make(&["-f", "oci", "image", "guest.xen"]);
    let manifest = object(&blob(&shop, "image", &read(&shop, "image/index.json")["manifests"][0]));
    assert!(!manifest.to_string().contains("urunc"), "it has no monitor for xen");
    let config = object(&blob(&shop, "image", &manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"], json!(["/unikernel.xen"]));
}

/// Engines refuse an image whose process has no word, and `urunc` would hand a path on to the guest.
#[test]
fn without_arguments_the_process_has_one_empty_word() {
    let shop = Workshop::new();
    shop.guest("guest.hvt", Target::Hvt, 64);
    shop.make(&["-f", "oci", "image", "guest.hvt"]);
    shop.tool(&["umoci", "unpack", "--rootless", "--image", "image", "bundle"]);
    assert_eq!(read(&shop, "bundle/config.json")["process"]["args"], json!([""]));
}

#[test]
fn names_follow_the_specification() {
    let shop = Workshop::new();
    for name in ["v1", "team/http:1.2_x", "A--b", "a+b"] {
        shop.make(&["-f", "oci", &format!("--tag={name}"), "image", "guest.virtio"]);
        let index = read(&shop, "image/index.json");
        let annotations = &index["manifests"][0]["annotations"];
        assert_eq!(annotations["org.opencontainers.image.ref.name"], name);
        shop.tool(&["skopeo", "inspect", &format!("oci:image:{name}")]);
    }
    for name in ["", "two words", "-a", "a-", "a---b", "a//b", "\u{e4}", "a\nb"] {
        for option in ["tag", "framework"] {
            let option = format!("--{option}={name}");
            let said = shop.refused(&["-f", "oci", &option, "other", "guest.virtio"]);
            assert!(said.contains("letters and digits"), "{name:?}: {said}");
        }
    }
    assert!(!shop.path("other").exists());
}

#[test]
fn two_runs_give_the_same_folder_and_only_a_layout_is_replaced() {
    let shop = Workshop::new();
    let make = |name: &str, epoch: &str| {
        let mut program = shop.program(&["-f", "oci", name, "guest.virtio"]);
        assert!(program.env("SOURCE_DATE_EPOCH", epoch).status().unwrap().success());
    };
    make("one", "1735689600");
    make("two", "1735689600");
    shop.tool(&["diff", "--recursive", "one", "two"]);
    let index = read(&shop, "one/index.json");
    let record = read(&shop, "one.json");
    assert_eq!(record["image"]["digest"], index["manifests"][0]["digest"]);
    assert_eq!(record["created"], "2025-01-01T00:00:00Z");
    make("one", "0");
    assert_ne!(read(&shop, "one/index.json"), index);
    let blobs = fs::read_dir(shop.path("one/blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 3, "nothing of the older image is left");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    fs::create_dir(shop.path("mine")).unwrap();
    assert_eq!(mode(&shop.path("one")), mode(&shop.path("mine")));

    fs::write(shop.path("mine/letter"), "dear").unwrap();
    let said = shop.refused(&["-f", "oci", "mine", "guest.virtio"]);
    assert!(said.contains("something else is there"), "{said}");
    assert_eq!(fs::read_dir(shop.path("mine")).unwrap().count(), 1);
}
