//! The new bundle: the old document with the tender as its process, in a folder inside the old bundle,
//! which the engine removes with it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxDeviceBuilder, LinuxDeviceCgroupBuilder, LinuxDeviceType, Mount, MountBuilder,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use solo5_abi::Target;
use solo5_policy::model::Layer;
use solo5_policy::{Policy, sources};
use solo5_report::path_text;

use crate::bundle::{Bundle, CONFIG};
use crate::codes;
use crate::engine::ANNOTATION;
use crate::failure::Failure;
use crate::places::OWN;

/// The folder inside the bundle.
const FOLDER: &str = ".solo5-run";

/// What becomes the container's process.
#[derive(Debug)]
pub struct Process<'p> {
    /// The tender's program on the host.
    pub tender: &'p Path,
    /// Its name.
    pub name: &'p str,
    /// The image's target.
    pub target: Target,
    /// Its words: options, `--`, the unikernel, its arguments.
    pub words: Vec<String>,
}

/// A copy that the container's root owns, of what the host has.
#[derive(Debug)]
struct Copies {
    folder: PathBuf,
    owner: (u32, u32),
    mounts: Vec<Mount>,
}

/// Writes the new bundle and returns its folder. `policies` are mounted where the tender looks for the
/// host's, `lists` at their own places.
///
/// # Errors
///
/// It cannot be written.
pub fn write(
    bundle: &Bundle,
    id: &str,
    process: &Process<'_>,
    policies: &[Policy],
    lists: &[PathBuf],
) -> Result<PathBuf, Failure> {
    let folder = bundle.folder.join(FOLDER).join(id);
    let failed =
        |error: io::Error| Failure::new(codes::WRITE, format!("{}: {error}", path_text(&folder)));
    let owner = bundle.root_user()?;
    let mut copies = Copies { folder: folder.clone(), owner, mounts: Vec::new() };
    copies.make(policies, lists).map_err(failed)?;
    copies.mounts.push(mount(&Path::new(OWN).join(process.name), process.tender)?);
    let mut config = bundle.config.clone();
    absolute(&mut config, &bundle.folder);
    edit(&mut config, process, &copies.mounts, bundle.user()?)?;
    let text = serde_json::to_vec(&config).map_err(io::Error::other).map_err(failed)?;
    let path = folder.join(CONFIG);
    fs::write(&path, text).map_err(failed)?;
    // It has the environment of the old one, which may be secret.
    fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(folder)
}

impl Copies {
    /// Makes the folder anew, with the copies in it.
    fn make(&mut self, policies: &[Policy], lists: &[PathBuf]) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&self.folder)?;
        // Even if the host has none: the image's own must not stand in their place.
        let copy = self.folder.join("policy.d");
        fs::create_dir(&copy)?;
        for policy in policies.iter().filter(|policy| policy.layer == Layer::Host) {
            let name = Path::new(&policy.source.name).file_name().unwrap_or_default();
            self.file(&copy.join(name), policy.source.text.as_bytes())?;
        }
        self.give(&copy, 0o755)?;
        self.mount(&sources::folder(), &copy)?;
        for (number, list) in lists.iter().enumerate() {
            let copy = self.folder.join(format!("list{number}"));
            self.file(&copy, &fs::read(list)?)?;
            self.mount(list, &copy)?;
        }
        Ok(())
    }

    fn file(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        fs::write(path, content)?;
        self.give(path, 0o644)
    }

    fn give(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        match self.owner {
            (0, 0) => Ok(()),
            (user, group) => chown(path, Some(user), Some(group)),
        }
    }

    fn mount(&mut self, place: &Path, source: &Path) -> io::Result<()> {
        let mount =
            mount(place, source).map_err(|failure| io::Error::other(failure.line().to_owned()))?;
        self.mounts.push(mount);
        Ok(())
    }
}

/// A mount of the host's `source` at `place` that nobody in the container can change.
fn mount(place: &Path, source: &Path) -> Result<Mount, Failure> {
    let options = ["bind", "ro", "nosuid", "nodev"].map(str::to_owned).to_vec();
    let mount =
        MountBuilder::default().destination(place).typ("bind").source(source).options(options);
    mount.build().map_err(|error| Failure::new(codes::CONFIG, error.to_string()))
}

/// Makes paths absolute that start at the bundle's `folder`.
fn absolute(config: &mut Value, folder: &Path) {
    let join = |path: &mut Value| {
        if let Some(text) = path.as_str().filter(|text| !text.starts_with('/')) {
            *path = json!(folder.join(text));
        }
    };
    if let Some(path) = config.pointer_mut("/root/path") {
        join(path);
    }
    let Some(mounts) = config.pointer_mut("/mounts").and_then(Value::as_array_mut) else { return };
    for mount in mounts {
        let options = mount.get("options").and_then(Value::as_array);
        let is_bind = mount.get("type").and_then(Value::as_str) == Some("bind")
            || options.is_some_and(|all| all.iter().any(|one| one == "bind" || one == "rbind"));
        if let Some(source) = mount.get_mut("source").filter(|_| is_bind) {
            join(source);
        }
    }
}

/// Puts the tender into the document.
fn edit(
    config: &mut Value,
    process: &Process<'_>,
    mounts: &[Mount],
    uid: u32,
) -> Result<(), Failure> {
    let words = std::iter::once(format!("{OWN}/{}", process.name)).chain(process.words.clone());
    let now = object(config, "process")?;
    now.insert("args".into(), words.collect());
    now.insert("noNewPrivileges".into(), true.into());
    let kinds = ["bounding", "effective", "inheritable", "permitted", "ambient"];
    now.insert("capabilities".into(), kinds.map(|kind| (kind, json!([]))).into_iter().collect());
    let document = config.as_object_mut().ok_or_else(|| invalid("it", "an object"))?;
    extend(document, "mounts", mounts)?;
    object(config, "annotations")?.insert(ANNOTATION.into(), process.target.name().into());
    if process.target == Target::Hvt {
        device(config, "/dev/kvm", (10, 232), uid)?;
    }
    Ok(())
}

/// Adds a character device that only the container's user may use.
fn device(config: &mut Value, path: &str, number: (i64, i64), uid: u32) -> Result<(), Failure> {
    let made = LinuxDeviceBuilder::default()
        .path(path)
        .typ(LinuxDeviceType::C)
        .major(number.0)
        .minor(number.1)
        .file_mode(0o600_u32)
        .uid(uid)
        .build();
    let allowed = LinuxDeviceCgroupBuilder::default()
        .allow(true)
        .typ(LinuxDeviceType::C)
        .major(number.0)
        .minor(number.1)
        .access("rw")
        .build();
    let failed = |error: &dyn std::fmt::Display| Failure::new(codes::CONFIG, error.to_string());
    let (made, allowed) =
        (made.map_err(|error| failed(&error))?, allowed.map_err(|error| failed(&error))?);
    let linux = object(config, "linux")?;
    if let Some(devices) = linux.get_mut("devices").and_then(Value::as_array_mut) {
        devices.retain(|one| one.get("path").and_then(Value::as_str) != Some(path));
    }
    extend(linux, "devices", &[made])?;
    let resources = linux.entry("resources").or_insert_with(|| json!({}));
    let resources =
        resources.as_object_mut().ok_or_else(|| invalid("linux.resources", "an object"))?;
    extend(resources, "devices", &[allowed])
}

/// The object `key` of the document, made if it is absent.
fn object<'v>(config: &'v mut Value, key: &str) -> Result<&'v mut Map<String, Value>, Failure> {
    let document = config.as_object_mut().ok_or_else(|| invalid("it", "an object"))?;
    let value = document.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut().ok_or_else(|| invalid(key, "an object"))
}

/// Appends to the list `key`, which is made if it is absent.
fn extend<T: Serialize>(
    parent: &mut Map<String, Value>,
    key: &str,
    more: &[T],
) -> Result<(), Failure> {
    let list = parent.entry(key).or_insert(Value::Null);
    if list.is_null() {
        *list = json!([]);
    }
    let list = list.as_array_mut().ok_or_else(|| invalid(key, "a list"))?;
    for one in more {
        let one = serde_json::to_value(one);
        list.push(one.map_err(|error| Failure::new(codes::CONFIG, error.to_string()))?);
    }
    Ok(())
}

fn invalid(what: &str, kind: &str) -> Failure {
    Failure::new(codes::CONFIG, format!("{CONFIG}: {what} is not {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(folder: &Path, config: Value) -> Bundle {
        Bundle { folder: folder.to_owned(), config }
    }

    fn written(folder: &Path, config: Value, target: Target) -> Value {
        let words = ["--mem=2", "--", "/app", "a\nb"].map(str::to_owned).to_vec();
        let process = Process { tender: Path::new("/host/tender"), name: "solo5-x", target, words };
        let made = write(&bundle(folder, config), "id", &process, &[], &[]).unwrap();
        assert_eq!(made, folder.join(".solo5-run/id"));
        serde_json::from_slice(&fs::read(made.join(CONFIG)).unwrap()).unwrap()
    }

    #[test]
    fn the_tender_becomes_the_process_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let old = json!({
            "ociVersion": "1.9.9", "unknown": { "kept": [1, 2] }, "hostname": "h",
            "process": {
                "user": { "uid": 7, "gid": 0 }, "cwd": "/", "args": ["/app", "a\nb"],
                "capabilities": { "effective": ["CAP_FUTURE"] }, "newer": true,
            },
            "root": { "path": "rootfs", "readonly": true },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/data", "source": "data", "options": ["rbind"] },
            ],
            "linux": { "seccomp": { "defaultAction": "SCMP_ACT_ERRNO" } },
        });
        let new = written(folder.path(), old.clone(), Target::Spt);
        assert_eq!(
            new["process"]["args"],
            json!(["/.solo5/solo5-x", "--mem=2", "--", "/app", "a\nb"])
        );
        assert_eq!(new["process"]["noNewPrivileges"], true);
        assert_eq!(new["process"]["capabilities"]["effective"], json!([]));
        assert_eq!(new["process"]["newer"], true);
        assert_eq!(new["root"]["path"], json!(folder.path().join("rootfs")));
        assert_eq!(new["root"]["readonly"], true);
        assert_eq!(new["annotations"], json!({ "org.solo5.run.target": "spt" }));
        for kept in ["ociVersion", "unknown", "hostname", "linux"] {
            assert_eq!(new[kept], old[kept], "{kept}");
        }
        let mounts = new["mounts"].as_array().unwrap();
        assert_eq!(mounts[0], old["mounts"][0]);
        assert_eq!(mounts[1]["source"], json!(folder.path().join("data")));
        let places: Vec<_> = mounts.iter().map(|mount| mount["destination"].clone()).collect();
        assert_eq!(places, ["/proc", "/data", "/etc/solo5/policy.d", "/.solo5/solo5-x"]);
        for own in &mounts[2..] {
            assert_eq!(own["options"], json!(["bind", "ro", "nosuid", "nodev"]));
        }
    }

    #[test]
    fn a_machine_gets_kvm_for_its_user_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let old = json!({
            "process": { "user": { "uid": 7, "gid": 0 }, "cwd": "/" },
            "linux": { "devices": [{ "path": "/dev/kvm", "type": "c", "major": 10, "minor": 232, "fileMode": 438 }] },
        });
        let new = written(folder.path(), old, Target::Hvt);
        let devices = new["linux"]["devices"].as_array().unwrap();
        assert_eq!(devices.len(), 1);
        assert_eq!((&devices[0]["path"], &devices[0]["uid"]), (&json!("/dev/kvm"), &json!(7)));
        assert_eq!(devices[0]["fileMode"], 0o600);
        let allowed = &new["linux"]["resources"]["devices"];
        assert_eq!(
            *allowed,
            json!([{ "allow": true, "type": "c", "major": 10, "minor": 232, "access": "rw" }])
        );
    }

    #[test]
    fn a_document_of_another_shape_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (old, what) in [
            (json!({ "mounts": {} }), "mounts is not a list"),
            (json!({ "annotations": 1 }), "annotations is not an object"),
        ] {
            let process =
                Process { tender: Path::new("/t"), name: "t", target: Target::Spt, words: vec![] };
            let failure = write(&bundle(folder.path(), old), "id", &process, &[], &[]).unwrap_err();
            assert!(failure.line().contains(what), "{}", failure.line());
        }
    }
}
