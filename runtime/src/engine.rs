//! The runtime underneath: runc or crun.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::codes;
use crate::failure::Failure;
use crate::words::Words;

/// In order of preference.
const NAMES: [&str; 2] = ["runc", "crun"];

/// Where they are looked for behind the folders of `PATH`, which engines start runtimes without.
const FOLDERS: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Most bytes of an answer.
const ANSWER_MAX: usize = 1 << 20;

/// The annotation of a container that runs a unikernel. Its value is the target.
pub const ANNOTATION: &str = "org.solo5.run.target";

/// The runtime that `--runtime` names, else the first that is found.
///
/// # Errors
///
/// There is none.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::env::split_paths(&path).chain(FOLDERS.iter().map(PathBuf::from)).collect();
    let search = |name: &OsStr| {
        let mut places = folders.iter().filter(|folder| folder.is_absolute());
        places.find_map(|folder| usable(&folder.join(name)))
    };
    if let Some(named) = named {
        let is_name = named.components().count() == 1 && !named.is_absolute();
        let found = if is_name { search(named.as_os_str()) } else { usable(named) };
        return found.ok_or_else(|| {
            let named = solo5_report::path_text(named);
            Failure::new(codes::ENGINE, format!("--runtime: there is no program {named}"))
        });
    }
    NAMES.iter().find_map(|name| search(OsStr::new(name))).ok_or_else(|| {
        let text =
            "neither runc nor crun is installed; install one, or name it with --runtime=FILE";
        Failure::new(codes::ENGINE, text)
    })
}

/// `path`, if it is a program other than this one: it may be installed under the name of a runtime.
fn usable(path: &Path) -> Option<PathBuf> {
    let found = fs::metadata(path).ok()?;
    let own = fs::metadata("/proc/self/exe").ok();
    let is_own = own.is_some_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()));
    let runs = found.is_file() && found.permissions().mode() & 0o111 != 0;
    (runs && !is_own).then(|| path.to_owned())
}

/// Becomes the runtime. Returns only if that fails.
pub fn become_it(runtime: &Path, words: &[OsString]) -> Failure {
    let error = Command::new(runtime).args(words).exec();
    let runtime = solo5_report::path_text(runtime);
    Failure::new(codes::ENGINE, format!("{runtime} cannot be executed: {error}"))
}

/// Whether the container runs a unikernel, as the runtime remembers it. `false` if it does not know the
/// container: it will say so itself. `true` if its answer is too long to tell.
pub fn runs_unikernel(runtime: &Path, words: &Words) -> bool {
    let Some(id) = &words.id else { return false };
    let mut command = Command::new(runtime);
    command.args(without_log(&words.globals)).arg("state").arg(id);
    let answer = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Ok(answer) = answer else { return false };
    if answer.stdout.len() > ANSWER_MAX {
        return true;
    }
    let state = serde_json::from_slice::<Value>(&answer.stdout);
    state.is_ok_and(|state| {
        state.pointer("/annotations").is_some_and(|all| all.get(ANNOTATION).is_some())
    })
}

/// Global options without `--log`: what is asked in between is not the engine's business.
fn without_log(globals: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = globals.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        match text.trim_start_matches('-') {
            "log" => {
                words.next();
            }
            name if name.starts_with("log=") => {}
            _ => kept.push(word.clone()),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_runtime_must_be_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runc");
        fs::write(&file, "").unwrap();
        assert!(find(Some(&file)).is_err(), "it cannot be executed");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(Some(&file)), Ok(file));
        assert!(find(Some(&std::env::current_exe().unwrap())).is_err(), "it is this program");
        let line = find(Some(Path::new("no-such-runtime"))).unwrap_err();
        assert!(line.line().starts_with("error[R702]: "), "{}", line.line());
    }

    #[test]
    fn questions_in_between_do_not_reach_the_engines_log() {
        let globals = ["--root=/r", "--log", "/l", "--log-format=json", "-log=/l", "--debug"];
        let kept = without_log(&globals.map(OsString::from));
        assert_eq!(kept, ["--root=/r", "--log-format=json", "--debug"]);
    }
}
