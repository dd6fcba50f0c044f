//! The log file that an engine names with `--log`, in the formats of runc. Engines read it when a
//! command fails: containerd takes the last error, podman the whole file as one object.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use solo5_policy::date::Date;

/// The form of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"`
    #[default]
    Text,
    /// One JSON object on a line.
    Json,
}

impl Format {
    /// The format that `--log-format` names.
    pub fn parse(name: &OsStr) -> Option<Format> {
        match name.as_encoded_bytes() {
            b"text" | b"" => Some(Format::Text),
            b"json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// Where errors are written besides standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The file, if one is named.
    pub path: Option<PathBuf>,
    /// Its form.
    pub format: Format,
}

#[derive(Serialize)]
struct Entry<'e> {
    level: &'static str,
    msg: &'e str,
    time: String,
}

impl Log {
    /// Appends an error. Best effort: the message is on standard error too.
    pub fn error(&self, message: &str) {
        let Some(path) = &self.path else { return };
        let mut options = OpenOptions::new();
        // A named pipe without a reader must not stop the runtime.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let opened = options.append(true).create(true).mode(0o644).custom_flags(nonblocking);
        if let Ok(mut file) = opened.open(path) {
            let _ = file.write_all(self.entry(message, SystemTime::now()).as_bytes());
        }
    }

    fn entry(&self, message: &str, at: SystemTime) -> String {
        let time = rfc3339(at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO));
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        match self.format {
            Format::Text => format!("time={} level=error msg={}\n", quoted(&time), quoted(message)),
            Format::Json => {
                let entry = Entry { level: "error", msg: message, time };
                serde_json::to_string(&entry).unwrap_or_default() + "\n"
            }
        }
    }
}

/// A time since 1970 as RFC 3339 has it, in UTC.
fn rfc3339(since: Duration) -> String {
    let seconds = since.as_secs();
    let (day, rest) = (Date::from_days(seconds / 86_400), seconds % 86_400);
    format!("{day}T{:02}:{:02}:{:02}Z", rest / 3600, rest % 3600 / 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_runcs_forms() {
        let at = UNIX_EPOCH + Duration::from_secs(1_764_429_384);
        let entry = |format| Log { path: None, format }.entry("denied: \"x\"", at);
        assert_eq!(
            entry(Format::Json),
            "{\"level\":\"error\",\"msg\":\"denied: \\\"x\\\"\",\"time\":\"2025-11-29T15:16:24Z\"}\n"
        );
        assert_eq!(
            entry(Format::Text),
            "time=\"2025-11-29T15:16:24Z\" level=error msg=\"denied: \\\"x\\\"\"\n"
        );
    }

    #[test]
    fn entries_are_appended_and_a_log_that_cannot_be_opened_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.json");
        let log = Log { path: Some(path.clone()), format: Format::Json };
        log.error("one");
        log.error("two");
        let text = std::fs::read_to_string(&path).unwrap();
        let messages: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["msg"].to_string())
            .collect();
        assert_eq!(messages, ["\"one\"", "\"two\""]);
        Log { path: Some(folder.path().join("none/at/all")), format: Format::Json }.error("three");
    }
}
