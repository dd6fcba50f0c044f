//! A bundle's `config.json`.
//!
//! It is kept as a tree, and only the parts that are needed are read with the types of the
//! specification: what a newer engine writes, and this program does not know, is handed on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxIdMapping, Mount, User};
use serde::de::DeserializeOwned;
use serde_json::Value;
use solo5_report::path_text;

use crate::codes;
use crate::failure::Failure;

/// Most bytes of a `config.json`. Docker's with its longest seccomp profile has 100 KB.
pub const CONFIG_MAX: u64 = 10_000_000;

/// The file's name.
pub const CONFIG: &str = "config.json";

/// A bundle.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// The document; an object.
    pub config: Value,
}

impl Bundle {
    /// Reads the bundle in `folder`.
    ///
    /// # Errors
    ///
    /// There is none, or it is too large, nested too deeply, or not JSON.
    pub fn read(folder: &Path) -> Result<Bundle, Failure> {
        let refuse = |why: String| {
            let file = folder.join(CONFIG);
            let name = path_text(&file);
            Failure::new(codes::CONFIG, format!("{name}: {why}"))
        };
        // A named pipe must not be waited for.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut options = File::options();
        let opened = options.read(true).custom_flags(nonblocking).open(folder.join(CONFIG));
        let file = opened.map_err(|error| refuse(error.to_string()))?;
        if !file.metadata().is_ok_and(|found| found.is_file()) {
            return Err(refuse("not a regular file".to_owned()));
        }
        let mut bytes = Vec::new();
        let read = file.take(CONFIG_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| refuse(error.to_string()))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > CONFIG_MAX {
            return Err(refuse(format!("larger than {} MB", CONFIG_MAX / 1_000_000)));
        }
        // The reader's own limit bounds the depth: 128.
        let config: Value =
            serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        if !config.is_object() {
            return Err(refuse("not an object".to_owned()));
        }
        let folder = std::path::absolute(folder).map_err(|error| refuse(error.to_string()))?;
        Ok(Bundle { folder, config })
    }

    /// The part at `pointer`; `None` if it is absent or null.
    fn part<T: DeserializeOwned>(&self, pointer: &str) -> Result<Option<T>, Failure> {
        let part = self.config.pointer(pointer).filter(|part| !part.is_null());
        let read = part.map(T::deserialize).transpose();
        read.map_err(|error| {
            let file = self.folder.join(CONFIG);
            let name = path_text(&file);
            let part = pointer.trim_start_matches('/').replace('/', ".");
            Failure::new(codes::CONFIG, format!("{name}: {part}: {error}"))
        })
    }

    /// The words of its process.
    ///
    /// # Errors
    ///
    /// They are no list of strings.
    pub fn args(&self) -> Result<Vec<String>, Failure> {
        Ok(self.part("/process/args")?.unwrap_or_default())
    }

    /// The environment of its process.
    ///
    /// # Errors
    ///
    /// It is no list of strings.
    pub fn environment(&self) -> Result<Vec<String>, Failure> {
        Ok(self.part("/process/env")?.unwrap_or_default())
    }

    /// The folder that its process starts in.
    ///
    /// # Errors
    ///
    /// It is no text.
    pub fn working_folder(&self) -> Result<PathBuf, Failure> {
        Ok(self.part("/process/cwd")?.unwrap_or_else(|| PathBuf::from("/")))
    }

    /// The user of its process, by the container's numbers.
    ///
    /// # Errors
    ///
    /// It is not as specified.
    pub fn user(&self) -> Result<u32, Failure> {
        let user: Option<User> = self.part("/process/user")?;
        Ok(user.map_or(0, |user| user.uid()))
    }

    /// The folder with its root file system, absolute.
    ///
    /// # Errors
    ///
    /// It is not as specified.
    pub fn root(&self) -> Result<Option<PathBuf>, Failure> {
        let path: Option<PathBuf> = self.part("/root/path")?;
        Ok(path.map(|path| self.folder.join(path)))
    }

    /// What is mounted in it, in order.
    ///
    /// # Errors
    ///
    /// They are not as specified.
    pub fn mounts(&self) -> Result<Vec<Mount>, Failure> {
        Ok(self.part("/mounts")?.unwrap_or_default())
    }

    /// Its annotations, sorted.
    ///
    /// # Errors
    ///
    /// They are not as specified.
    pub fn annotations(&self) -> Result<BTreeMap<String, String>, Failure> {
        Ok(self.part("/annotations")?.unwrap_or_default())
    }

    /// The limit on its memory in bytes; `None` if there is none.
    ///
    /// # Errors
    ///
    /// It is not as specified.
    pub fn memory_limit(&self) -> Result<Option<u64>, Failure> {
        let limit: Option<i64> = self.part("/linux/resources/memory/limit")?;
        // Runtimes take a negative limit for none.
        Ok(limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0))
    }

    /// The user and the group of the host that are root in the container.
    ///
    /// # Errors
    ///
    /// They are not as specified.
    pub fn root_user(&self) -> Result<(u32, u32), Failure> {
        let root = |pointer| -> Result<u32, Failure> {
            let mappings: Vec<LinuxIdMapping> = self.part(pointer)?.unwrap_or_default();
            let root = mappings.iter().find(|mapping| mapping.container_id() == 0);
            Ok(root.map_or(0, LinuxIdMapping::host_id))
        };
        Ok((root("/linux/uidMappings")?, root("/linux/gidMappings")?))
    }

    /// Whether it has a user namespace.
    pub fn has_user_namespace(&self) -> bool {
        let all = self.config.pointer("/linux/namespaces").and_then(Value::as_array);
        all.is_some_and(|all| {
            all.iter().any(|one| one.get("type").and_then(Value::as_str) == Some("user"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Bundle, Failure> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), text).unwrap();
        Bundle::read(folder.path())
    }

    #[test]
    fn what_is_no_document_is_refused_on_one_line() {
        let deep = "[".repeat(200_000);
        let object = |inner: &str| format!("{{\"process\":{inner}}}");
        for (text, why) in [
            (" ".repeat(10_000_001).as_str(), "larger than 10 MB"),
            (deep.as_str(), "recursion limit exceeded"),
            (object(&"{\"a\":".repeat(1000)).as_str(), "recursion limit exceeded"),
            ("[]", "not an object"),
            ("{", "EOF while parsing"),
            ("", "EOF while parsing"),
        ] {
            let failure = read(text).unwrap_err();
            let line = failure.line();
            assert!(line.starts_with("error[R703]: ") && line.contains(why), "{line}");
            assert!(line.len() < 300, "{line}");
        }
        let absent = Bundle::read(Path::new("/nonexistent")).unwrap_err();
        assert!(absent.line().contains("/nonexistent/config.json"), "{}", absent.line());
    }

    #[test]
    fn parts_are_absent_or_as_specified() {
        let empty = read("{}").unwrap();
        assert_eq!(empty.args(), Ok(vec![]));
        assert_eq!(empty.root(), Ok(None));
        assert_eq!(empty.memory_limit(), Ok(None));
        assert_eq!(empty.root_user(), Ok((0, 0)));
        let odd = read(r#"{"process":{"args":[1]},"linux":{"resources":{"memory":{"limit":-1}}}}"#);
        let odd = odd.unwrap();
        assert!(odd.args().unwrap_err().line().contains("config.json: process.args: invalid type"));
        assert_eq!(odd.memory_limit(), Ok(None));
        let mapped = r#"{"root":{"path":"r"},"linux":{"namespaces":[{"type":"user"}],
            "uidMappings":[{"containerID":0,"hostID":7,"size":1}],
            "gidMappings":[{"containerID":5,"hostID":7,"size":1}]}}"#;
        let mapped = read(mapped).unwrap();
        assert_eq!(mapped.root_user(), Ok((7, 0)));
        assert!(mapped.has_user_namespace());
        assert_eq!(mapped.root(), Ok(Some(mapped.folder.join("r"))));
    }
}
