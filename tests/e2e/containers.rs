//! Unikernels in containers: `solo5-run` on top of Debian's runc, with bundles that `runc spec` writes.
//!
//! These need root of the machine, not of a user namespace, because runc makes control groups.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use solo5_tests::outcome::{Context, Outcome, Stop};
use solo5_tests::process::{self, Finished};
use solo5_tests::{ensure, fail};
use tempfile::TempDir;

use crate::{Suite, trial};

const RUN: &str = "solo5-run";
const CONFIG: &str = "config.json";

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    // The lab's machines have no runc.
    if suite.builder.is_prebuilt() {
        return Vec::new();
    }
    vec![
        trial(suite, "containers/hello", hello),
        trial(suite, "containers/denied", denied),
        trial(suite, "containers/stopped", stopped),
        trial(suite, "containers/other-program", other_program),
        trial(suite, "containers/image", image),
        trial(suite, "containers/hostile", hostile),
        trial(suite, "containers/documents", documents),
        trial(suite, "containers/nothing-left", nothing_left),
    ]
}

/// Skips where containers cannot be made.
fn require() -> Outcome {
    let map = fs::read_to_string("/proc/self/uid_map")?;
    if !rustix::process::geteuid().is_root() || !map.contains("4294967295") {
        return Err(Stop::Skip("containers need root of the machine".into()));
    }
    if Command::new("runc").arg("--version").output().is_err() {
        return Err(Stop::Skip("runc is not installed".into()));
    }
    static PROBE: OnceLock<Option<String>> = OnceLock::new();
    match PROBE.get_or_init(|| probe().err()) {
        None => Ok(()),
        Some(why) => Err(Stop::Lacking(format!("runc makes no containers here: {why}"))),
    }
}

/// Has runc run a container without us.
fn probe() -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
    let rootfs = folder.path().join("rootfs");
    fs::create_dir(&rootfs).map_err(|error| failed(&error))?;
    fs::copy("/bin/busybox", rootfs.join("true")).map_err(|error| format!("busybox: {error}"))?;
    let runc = || {
        let mut runc = Command::new("runc");
        runc.current_dir(folder.path()).stdin(Stdio::null());
        runc
    };
    runc().arg("spec").output().map_err(|error| failed(&error))?;
    let config = folder.path().join(CONFIG);
    let text = fs::read(&config).map_err(|error| failed(&error))?;
    let mut value: Value = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
    value["process"]["terminal"] = false.into();
    value["process"]["args"] = json!(["/true"]);
    fs::write(config, value.to_string()).map_err(|error| failed(&error))?;
    let id = format!("solo5-probe-{}", std::process::id());
    let ran = runc().args(["run", &id]).output().map_err(|error| failed(&error))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned()),
    }
}

/// Runs a command that must succeed.
fn done(command: &mut Command) -> Outcome {
    let output = command.output().during(format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    Ok(())
}

/// A bundle, whose container has the bundle's name and is removed with it.
struct Bundle<'s> {
    suite: &'s Suite,
    folder: TempDir,
    id: String,
}

impl<'s> Bundle<'s> {
    /// A bundle with these words as its process, whose root file system is empty.
    fn new(suite: &'s Suite, words: &[&str]) -> Outcome<Self> {
        require()?;
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("rootfs"))?;
        let mut spec = Command::new("runc");
        done(spec.args(["spec", "--bundle"]).arg(folder.path()))?;
        let name = folder.path().file_name().unwrap_or_default().to_string_lossy();
        let id = format!("solo5-test-{}", name.trim_start_matches('.'));
        let bundle = Bundle { suite, folder, id };
        bundle.edit(|config| {
            config["process"]["terminal"] = false.into();
            config["process"]["args"] = json!(words);
        })?;
        Ok(bundle)
    }

    /// A bundle with the unikernel `guest` as `/app.spt`.
    fn of(suite: &'s Suite, guest: &str, words: &[&str]) -> Outcome<Self> {
        let all = [&["/app.spt"], words].concat();
        let bundle = Bundle::new(suite, &all)?;
        fs::copy(suite.spt_image(guest)?, bundle.rootfs("app.spt"))?;
        Ok(bundle)
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join(CONFIG)
    }

    fn rootfs(&self, name: &str) -> PathBuf {
        self.folder.path().join("rootfs").join(name)
    }

    fn edit(&self, body: impl FnOnce(&mut Value)) -> Outcome {
        let mut config: Value = serde_json::from_slice(&fs::read(self.config())?)?;
        body(&mut config);
        fs::write(self.config(), serde_json::to_vec(&config)?)?;
        Ok(())
    }

    /// `solo5-run VERB … NAME`, in the bundle's folder.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.suite.tool(RUN);
        command.args(words).arg(&self.id).current_dir(self.folder.path());
        command
    }

    fn run(&self) -> Outcome<Finished> {
        process::run(self.command(&["run"]))
    }

    /// Runs it, which must fail with `status` and one line that contains `text`; nothing is started.
    fn refused(&self, status: i32, text: &str) -> Outcome {
        let log = self.folder.path().join("log.json");
        let mut command = self.suite.tool(RUN);
        command.arg("--log").arg(&log).args(["--log-format", "json", "create", "--bundle"]);
        command.arg(self.folder.path()).arg(&self.id);
        let finished = process::run(command)?.expect(status, text)?;
        let output = finished.text();
        ensure!(output.trim_end().lines().count() == 1, "more than a line:\n{output}");
        let entry: Value = serde_json::from_slice(&fs::read(&log)?).during("the log")?;
        let message = entry["msg"].as_str().unwrap_or_default();
        ensure!(
            output.trim_end() == format!("{RUN}: {message}"),
            "the log has {message:?}\n{output}"
        );
        ensure!(entry["level"] == "error", "{entry}");
        fs::remove_file(&log)?;
        let state = process::run(self.command(&["state"]))?;
        ensure!(state.status != 0, "there is a container:\n{}", state.text());
        Ok(())
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["delete", "--force"]).output();
    }
}

/// A unikernel prints what it does under its tender, with its arguments, and as an unprivileged user.
fn hello(suite: &Suite) -> Outcome {
    let bundle = Bundle::of(suite, "hello", &["Hello_Solo5"])?;
    bundle.run()?.expect(0, "SUCCESS")?;
    bundle.edit(|config| {
        config["process"]["user"] = json!({ "uid": 1234, "gid": 1234 });
        config["linux"]["resources"]["memory"] = json!({ "limit": 64 << 20 });
        // A word of the working directory, as a Containerfile may have it.
        config["process"]["args"][0] = "./app.spt".into();
    })?;
    let finished = bundle.run()?.expect(0, "SUCCESS")?;
    ensure!(
        finished.printed("59 MB addressable") || finished.printed("[0x0 - 0x3b"),
        "{}",
        finished.text()
    );
    let status = Bundle::of(suite, "exit_status", &[])?.run()?;
    let direct = process::run({
        let mut tender = suite.tool("solo5-spt");
        tender.arg(suite.spt_image("exit_status")?);
        tender
    })?;
    ensure!(status.status == direct.status, "{} and {}", status.status, direct.status);
    Ok(())
}

/// `body` with a folder `/etc` of its own, in which the node has this policy.
fn with_policy(policy: &str, mut command: Command) -> Outcome<Finished> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("node.yaml"), policy)?;
    let script = r#"
        folder=$1; shift
        mkdir "$folder/etc" && mount -t tmpfs tmpfs "$folder/etc" && cp -a /etc/. "$folder/etc" &&
            mount --move "$folder/etc" /etc && mkdir -p /etc/solo5/policy.d &&
            cp "$folder/node.yaml" /etc/solo5/policy.d && exec "$@""#;
    let mut inner = Command::new("unshare");
    inner.args(["--mount", "sh", "-c", script, "sh"]).arg(folder.path());
    inner.arg(command.get_program()).args(command.get_args());
    if let Some(place) = command.get_current_dir() {
        inner.current_dir(place);
    }
    command = inner;
    process::run(command)
}

/// The node's policies hold, and the image cannot bring the node's.
fn denied(suite: &Suite) -> Outcome {
    let head = "type: solo5.policy\nversion: 1\nname: node\n";
    let bundle = Bundle::of(suite, "hello", &["Hello_Solo5"])?;
    let run = || bundle.command(&["run"]);
    let most = format!("{head}otherwise: allow\nmemory: {{ maximum: 64MiB }}\n");
    let finished =
        with_policy(&most, run())?.expect(60, "solo5-run: denied: P305 memory: 512MiB")?;
    ensure!(finished.printed("policy.d/node.yaml:5:"), "{}", finished.text());
    ensure!(!finished.printed("Solo5:"), "it started:\n{}", finished.text());
    let root = format!("{head}otherwise: allow\nprocess: {{ root: forbid }}\n");
    with_policy(&root, run())?.expect(60, "denied: P3")?;
    bundle.edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 32 << 20 });
        config["process"]["user"] = json!({ "uid": 1234, "gid": 1234 });
        config["annotations"] = json!({ "io.kubernetes.cri.sandbox-namespace": "shop" });
    })?;
    with_policy(&most, run())?.expect(0, "SUCCESS")?;
    // Whoever the tender runs as in the container, it reads the node's policies there too: silence
    // about a thing is a denial by them alone.
    let only =
        "match: { label: { io.kubernetes.cri.sandbox-namespace: shop } }\notherwise: allow\n";
    with_policy(&format!("{head}{only}"), run())?.expect(0, "SUCCESS")?;
    let other = only.replace("shop", "other");
    with_policy(&format!("{head}{other}"), run())?.expect(60, "no policy applies")?;
    with_policy("nonsense", run())?.expect(1, "not started: ")?;
    // Those of the image are none of the node's.
    fs::create_dir_all(bundle.rootfs("etc/solo5/policy.d"))?;
    fs::write(
        bundle.rootfs("etc/solo5/policy.d/a.yaml"),
        format!("{head}memory: {{ maximum: 1MiB }}\n"),
    )?;
    bundle.run()?.expect(0, "SUCCESS")?;
    Ok(())
}

/// A container that runs is stopped by SIGTERM at once, and nothing can be executed in it.
fn stopped(suite: &Suite) -> Outcome {
    let bundle = Bundle::of(suite, "clock_jump", &["600"])?;
    let mut running = process::Running::start(bundle.command(&["run"]))?;
    running.wait_for("Solo5: Memory map")?;
    let state: Value = serde_json::from_str(&process::succeed(bundle.command(&["state"]))?)?;
    ensure!(state["status"] == "running", "{state}");
    let exec = process::run({
        let mut exec = bundle.command(&["exec"]);
        exec.arg("sh");
        exec
    })?;
    exec.expect(1, "error[R706]")?;
    let since = Instant::now();
    process::succeed({
        let mut kill = bundle.command(&["kill"]);
        kill.arg("TERM");
        kill
    })?;
    let finished = running.finish()?;
    ensure!(since.elapsed() < Duration::from_secs(1), "stopped after {:?}", since.elapsed());
    ensure!(finished.status == 143, "status {}", finished.status);
    Ok(())
}

/// A container without a unikernel is handed on as it is, and commands can be executed in it.
fn other_program(suite: &Suite) -> Outcome {
    let bundle = Bundle::new(suite, &["busybox", "sleep", "600"])?;
    fs::create_dir(bundle.rootfs("bin"))?;
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).exists());
    let busybox = busybox.ok_or_else(|| Stop::Skip("busybox is not installed".into()))?;
    fs::copy(busybox, bundle.rootfs("bin/busybox"))?;
    let before = fs::read(bundle.config())?;
    // What is detached keeps the streams.
    let mut start = bundle.command(&["run", "--detach"]);
    let start = start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ensure!(start.status()?.success(), "it does not start");
    let mut exec = bundle.command(&["exec"]);
    exec.args(["/bin/busybox", "ls", "/"]);
    let listed = process::succeed(exec)?;
    ensure!(listed.contains("bin") && !listed.contains("solo5"), "{listed}");
    ensure!(fs::read(bundle.config())? == before, "config.json was changed");
    ensure!(!bundle.folder.path().join(".solo5-run").exists(), "there is a second bundle");
    Ok(())
}

/// Images of `solo5-virtio-mkimage`, unpacked by umoci, whose process is the guest's arguments.
fn image(suite: &Suite) -> Outcome {
    require()?;
    if Command::new("umoci").arg("--version").output().is_err() {
        return Err(Stop::Skip("umoci is not installed".into()));
    }
    for words in [&["Hello_Solo5"][..], &[]] {
        let folder = tempfile::tempdir()?;
        let mut make = suite.tool("solo5-virtio-mkimage");
        make.args(["--no-record", "-f", "oci", "--tag=v1"]).arg(folder.path().join("layout"));
        done(make.arg(suite.spt_image("hello")?).args(words))?;
        let mut unpack = Command::new("umoci");
        unpack.arg("unpack").arg("--image").arg(format!("{}/layout:v1", folder.path().display()));
        done(unpack.arg(folder.path().join("bundle")))?;
        fs::rename(folder.path().join("bundle/config.json"), folder.path().join("made.json"))?;
        let made: Value = serde_json::from_slice(&fs::read(folder.path().join("made.json"))?)?;
        let bundle = Bundle::new(suite, &[])?;
        fs::remove_dir(bundle.rootfs(""))?;
        fs::rename(folder.path().join("bundle/rootfs"), bundle.rootfs(""))?;
        bundle.edit(|config| config["process"]["args"] = made["process"]["args"].clone())?;
        let finished = bundle.run()?;
        ensure!(finished.printed("Solo5: Bindings version"), "{}", finished.text());
        let expected = if words.is_empty() { "" } else { "SUCCESS" };
        ensure!(finished.printed(expected), "{}", finished.text());
        // Annotations of an engine say the same.
        fs::remove_file(bundle.rootfs("urunc.json"))?;
        bundle.edit(|config| config["annotations"] = made["annotations"].clone())?;
        let again = bundle.run()?;
        ensure!(again.printed("Solo5: Bindings version"), "{}", again.text());
        bundle.edit(|config| {
            config["annotations"] =
                json!({ "com.urunc.unikernel.binary": "../../../etc/hostname" });
        })?;
        bundle.refused(1, "error[R704]")?;
    }
    Ok(())
}

/// Bundles that want what is the host's.
fn hostile(suite: &Suite) -> Outcome {
    let bundle = Bundle::of(suite, "hello", &["Hello_Solo5"])?;
    let good = fs::read(bundle.config())?;
    let again = || fs::write(bundle.config(), &good);
    let volume = tempfile::tempdir()?;
    fs::write(
        volume.path().join("a.yaml"),
        "type: solo5.policy\nversion: 1\nname: a\notherwise: allow\n",
    )?;
    for place in
        ["/etc/solo5", "/etc/solo5/policy.d", "/etc", "/data/../etc//solo5", "/.solo5", "/"]
    {
        bundle.edit(|config| {
            let mount = json!({
                "destination": place, "type": "bind", "source": volume.path(), "options": ["rbind"]
            });
            config["mounts"].as_array_mut().map(|all| all.push(mount)).unwrap_or_default();
        })?;
        bundle.refused(1, "error[R707]")?;
        again()?;
    }
    // Annotations are strings of any content, and no label has more than a word.
    bundle.edit(|config| {
        config["annotations"] = json!({
            "io.kubernetes.cri.sandbox-namespace": "a\n--policy=/etc/passwd",
            "io.kubernetes.cri.sandbox-name": "x --require-policy",
            "../../x\n": "..",
            "org.solo5.run.target": "..\n",
        });
    })?;
    bundle.run()?.expect(0, "SUCCESS")?;
    again()?;
    // An entry that is a link to the host's tender leads to the image's own place of that name.
    let tender = suite.tree.program("solo5-spt");
    symlink(&tender, bundle.rootfs("tender"))?;
    bundle.edit(|config| config["process"]["args"][0] = "/tender".into())?;
    let finished = bundle.run()?;
    ensure!(finished.status == 1 && !finished.printed("usage"), "{}", finished.text());
    again()?;
    for (link, to) in [("etc", "/data"), (".solo5", "/data")] {
        fs::create_dir_all(bundle.rootfs("data"))?;
        let _ = fs::remove_dir_all(bundle.rootfs(link));
        symlink(to, bundle.rootfs(link))?;
        bundle.refused(1, "error[R707]")?;
        fs::remove_file(bundle.rootfs(link))?;
    }
    for (text, why) in [
        (" ".repeat(10_000_001), "larger than 10 MB"),
        ("{\"a\":".repeat(100_000), "recursion limit"),
        ("[".repeat(5_000_000), "recursion limit"),
        ("{}}".to_owned(), "trailing characters"),
    ] {
        fs::write(bundle.config(), text)?;
        bundle.refused(1, why)?;
    }
    fs::remove_file(bundle.config())?;
    bundle.refused(1, "config.json: No such file")
}

/// What people and engines ask it without a container.
fn documents(suite: &Suite) -> Outcome {
    let asked = |words: &[&str]| {
        let mut command = suite.tool(RUN);
        command.args(words);
        process::run(command)
    };
    for words in [&["--help"][..], &["-h"], &["help"], &[]] {
        asked(words)?.expect(0, "podman --runtime")?;
    }
    asked(&["--version"])?.expect(0, "solo5-run version v")?;
    asked(&["--man"])?.expect(0, ".TH solo5-run")?;
    asked(&["--completions", "bash"])?.expect(0, "complete ")?;
    asked(&["--explain=R707"])?.expect(0, "R707")?;
    asked(&["--explain=R0"])?.expect(1, "no page about 'R0'")?;
    asked(&["--runtime=/none", "state", "x"])?.expect(1, "error[R702]")?;
    asked(&["create", "--bundle"])?.expect(1, "error[R701]: --bundle needs a value")?;
    Ok(())
}

/// Ten containers, one after the other: mounts, control groups and processes are as before.
fn nothing_left(suite: &Suite) -> Outcome {
    let bundle = Bundle::of(suite, "hello", &["Hello_Solo5"])?;
    let marks = |bundle: &Bundle<'_>| -> Outcome<Vec<String>> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mine = mounts.lines().filter(|line| line.contains("solo5")).map(str::to_owned);
        let mut found: Vec<String> = mine.collect();
        let mut search = Command::new("find");
        search.args(["/sys/fs/cgroup", "/run/runc", "-name"]).arg(format!("{}*", bundle.id));
        let output = search.output()?;
        found.extend(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned));
        Ok(found)
    };
    let before = marks(&bundle)?;
    for _ in 0..10 {
        bundle.run()?.expect(0, "SUCCESS")?;
    }
    let after = marks(&bundle)?;
    ensure!(before == after, "{before:#?}\n{after:#?}");
    let seen = fs::read_dir(bundle.folder.path().join(".solo5-run"))?.count();
    if seen != 1 {
        fail!("{seen} bundles");
    }
    Ok(())
}
