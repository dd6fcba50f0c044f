//! One shell for a page, in a folder and a network namespace of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use solo5_tests::tree::{Tree, repository};
use tempfile::TempDir;

use crate::page::{Item, Page, Status, Step, matches};

/// Separates the output of one command from the next's; its status follows.
const MARK: &str = "@@step@@";

/// What hidden commands can use: `image NAME.TARGET DEVICES…` makes an image with these devices, `tap NAME…`
/// makes taps, and `own /DIR` gives the page a copy of a folder of the host's.
const PRELUDE: &str = r#"
ip link set lo up
image() {
    name=$1; shift
    printf 'type: solo5.manifest\nversion: 2\ndevices:\n' > "$name.yaml"
    for device in "$@"; do echo "  - { $device }"; done >> "$name.yaml"
    solo5-cc -z "solo5-abi=${name##*.}" -z "solo5-manifest=$name.yaml" app.o -o "$name" && rm "$name.yaml"
}
tap() { for tap in "$@"; do ip tuntap add "$tap" mode tap && ip link set "$tap" up; done; }
own() {
    mkdir "$PWD/own" && mount -t tmpfs tmpfs "$PWD/own" && cp -a "$1/." "$PWD/own" &&
        mount --move "$PWD/own" "$1" && rmdir "$PWD/own"
}
"#;

/// The most seconds for a page.
const TIME_MAX: &str = "120";

/// The most bytes shown of what went wrong on a page.
const OUTPUT_MAX: usize = 8000;

/// Programs that run others in a network namespace, the first for root.
const NAMESPACES: [&[&str]; 2] =
    [&["unshare", "--net", "--mount"], &["unshare", "--map-root-user", "--net", "--mount"]];

pub(crate) struct Session {
    folder: TempDir,
    bin: String,
    namespace: &'static [&'static str],
}

impl Session {
    /// Makes the folder that each page gets a copy of; `None` where there are no network namespaces.
    pub(crate) fn prepare() -> Option<Session> {
        let works = |words: &&&[&str]| {
            let tried = Command::new(words[0]).args(&words[1..]).arg("true").output();
            tried.is_ok_and(|output| output.status.success())
        };
        let namespace = NAMESPACES.iter().find(works)?;
        let tree = Tree::staged().expect("a tree");
        let bin = tree.prefix().join("bin").display().to_string();
        let session = Session { folder: tempfile::tempdir().expect("a folder"), bin, namespace };
        copy(&repository().join("examples/pages"), &session.folder.path().join("all"));
        let made = session.shell("all", ". ./make.sh");
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(made.status.success(), "make.sh: {said}");
        Some(session)
    }

    fn shell(&self, folder: &str, script: &str) -> Output {
        let path = format!("{}:{}", self.bin, std::env::var("PATH").unwrap_or_default());
        Command::new(self.namespace[0])
            .args(&self.namespace[1..])
            .args(["timeout", TIME_MAX, "sh", "-c", &format!("exec 2>&1\n{PRELUDE}\n{script}")])
            .current_dir(self.folder.path().join(folder))
            .env("PATH", path)
            .env("REPOSITORY", repository())
            .envs([
                ("TERM", "dumb"),
                ("USER", "root"),
                ("LC_ALL", "C"),
                ("CARGO_NET_OFFLINE", "true"),
            ])
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::null())
            .output()
            .expect("a shell")
    }

    /// What went wrong on a page.
    pub(crate) fn run(&self, page: &Page) -> String {
        let folder = page.name.replace('/', "-");
        let place = self.folder.path().join(&folder);
        copy(&self.folder.path().join("all"), &place);
        let (mut script, mut steps) = (String::new(), Vec::new());
        for item in &page.items {
            let these = match item {
                Item::File(name, text) => {
                    let copy = self.folder.path().join(format!("{folder}-{}", script.len()));
                    fs::write(&copy, text).expect("a file");
                    script += &format!("cp {} {name}\n", copy.display());
                    continue;
                }
                Item::Hidden(step) => std::slice::from_ref(step),
                Item::Block(block) if block.skip.is_none() => &block.steps,
                Item::Block(_) => continue,
            };
            for step in these {
                // The next command of a page may ask for `$?`.
                let Step { command, .. } = step;
                script += &format!("{command}\ncode=$?; echo \"{MARK}$code\"; (exit $code)\n");
                steps.push(step);
            }
        }
        let output = self.shell(&folder, &script);
        let _ = fs::remove_dir_all(place);
        let text = String::from_utf8_lossy(&output.stdout);
        let mut wrong = String::new();
        let mut rest: &str = &text;
        for step in steps {
            let Some((printed, after)) = rest.split_once(MARK) else {
                return format!("{wrong}{}:{}: ended the shell: {rest}\n", page.name, step.line);
            };
            let (status, after) = after.split_once('\n').unwrap_or((after, ""));
            rest = after;
            if let Some(why) = fault(step, printed, status.parse().unwrap_or(-1)) {
                let Step { line, command, .. } = step;
                wrong += &format!("{}:{line}: $ {command}\n{why}\n", page.name);
                if wrong.len() > OUTPUT_MAX {
                    return format!("{}\n", &wrong[..wrong.floor_char_boundary(OUTPUT_MAX)]);
                }
            }
        }
        wrong
    }
}

fn fault(step: &Step, printed: &str, status: i32) -> Option<String> {
    let right = match step.status {
        Status::Any => true,
        Status::Is(wanted) => status == wanted,
        Status::Failure => status != 0,
    };
    if !right {
        return Some(format!("status {status}, prints:\n{printed}"));
    }
    let lines: Vec<&str> = printed.trim_end().lines().collect();
    let same = step.output.is_empty() || matches(&step.output, &lines);
    (!same).then(|| format!("shows:\n{}\nprints:\n{printed}", step.output.join("\n")))
}

fn copy(from: &Path, to: &Path) {
    let mut cp = Command::new("cp");
    let done = cp.arg("-a").arg(from).arg(to).status().expect("cp starts");
    assert!(done.success(), "cp -a {} {}", from.display(), to.display());
}
