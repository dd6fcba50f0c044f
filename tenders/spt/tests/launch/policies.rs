//! Policy decisions and their messages; `--explain` and `--report`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::Value;
use solo5_abi::mft2::tag;

use crate::guest::{BLOCK, Code, Guest, Ran, text};

fn policy(guest: &Guest, rules: &str) -> String {
    let content = format!("type: solo5.policy\nversion: 1\nname: node\n{rules}");
    format!("--policy={}", text(&guest.file("node.yaml", content.as_bytes())))
}

#[test]
fn a_policy_allows_or_denies_a_launch() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let narrow = policy(&guest, "otherwise: allow\nmemory: { maximum: 64MiB }\n");
    guest.run(&[&narrow, "--mem=64"]).gives(5);
    let ran = guest.run(&[&narrow]).gives(60);
    let lines: Vec<_> = ran.err.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("solo5-spt: denied: P3"), "{lines:?}");
    assert!(lines[0].contains("node.yaml:5:"), "{lines:?}");
    assert!(lines[1].starts_with("solo5-spt: not started: denied by 1 of 1 "), "{lines:?}");
    // A policy denies what it does not mention.
    let silent = policy(&guest, "memory: { maximum: 64MiB }\n");
    guest.run(&[&silent, "--mem=64", "--x-exec-heap"]).gives(60);
    guest.run(&["--require-policy"]).gives(60).mentions("denied: P3");
    // A policy that cannot be read refuses the launch; it is not skipped.
    let broken = policy(&guest, "memory: { maximum: 64 }\n");
    guest.run(&[&broken]).gives(1).mentions("node.yaml:4:").mentions("error[");
    guest.run(&["--policy=/nonexistent"]).gives(1);
    guest.run(&["--policy=@77"]).gives(1);
}

#[test]
fn a_file_must_really_lie_in_the_folder() {
    let guest = Guest::new(Code::new().exit(5), &[("disk", BLOCK)]);
    let inside = guest.folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("good"), [0; 512]).unwrap();
    guest.file("outside", &[0; 512]);
    symlink("../outside", inside.join("link")).unwrap();
    let rules = format!(
        "otherwise: allow\nblock: {{ allow: [ {{ name: disk, file: {{ under: {} }} }} ] }}\n",
        inside.display()
    );
    let policy = policy(&guest, &rules);
    let run = |path: &str| guest.run(&[&policy, &format!("--block:disk={path}")]);
    run(text(&inside.join("good"))).gives(5);
    run(text(&inside.join("link"))).gives(60).mentions("denied: P3");
    run(text(&guest.folder.path().join("outside"))).gives(60);
    run("inside/good").gives(60);
}

#[test]
fn a_denial_reveals_nothing_about_the_device() {
    let smallest = 4096u64.to_le_bytes();
    let wishes = &[(1, tag::CAPACITY_MINIMUM, &smallest[..])];
    let guest = Guest::with_properties(Code::new().exit(5), &[("disk", BLOCK)], wishes);
    let inside = guest.folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let disks = [("odd", 100), ("small", 512), ("busy", 4096)];
    let mut held = Vec::new();
    for (name, size) in disks {
        for folder in [guest.folder.path(), &inside] {
            fs::write(folder.join(name), vec![0; size]).unwrap();
        }
        symlink(format!("../{name}"), inside.join(format!("link-{name}"))).unwrap();
    }
    for folder in [guest.folder.path(), &inside] {
        let busy = fs::File::options().write(true).open(folder.join("busy"));
        let busy = busy.unwrap();
        fcntl_lock(&busy, FlockOperation::NonBlockingLockExclusive).unwrap();
        held.push(busy);
    }
    let rules = format!(
        "otherwise: allow\nblock: {{ allow: [ {{ name: disk, file: {{ under: {} }} }} ] }}\n",
        inside.display()
    );
    let policy = policy(&guest, &rules);
    for explain in [&[][..], &["--explain"]] {
        let run = |name: &str| {
            let disk = format!("--block:disk={}", inside.join(name).display());
            guest.run(&[&[policy.as_str(), &disk], explain].concat())
        };
        for (name, _) in disks {
            let denied = run(&format!("link-{name}")).gives(60);
            assert!(denied.err.contains("denied: P3"), "{name}: {denied:?}");
            assert_eq!(denied.err.lines().count(), 2, "{name}: {denied:?}");
        }
        run("odd").gives(1).mentions("block aligned (512 bytes)");
        run("small").gives(1).mentions("at least 4096 bytes");
        // Only a real launch takes the lock, so only it finds the disk busy.
        let busy = run("busy");
        match explain {
            [] => busy.gives(1).mentions("in use by another guest"),
            _ => busy.gives(0),
        };
    }
}

/// A launch would be refused for its report, so it is not explained as if it started.
#[test]
fn explaining_looks_at_the_place_of_the_report() {
    let guest = Guest::new(Code::new().exit(0), &[("disk", BLOCK)]);
    guest.file("disk.img", &[0; 512]);
    let explain = |report: &str| guest.run(&["--explain", report, "--block:disk=disk.img"]);
    for (report, says) in [
        ("--report=none/report", "none/report: No such file or directory"),
        ("--report=disk.img", "would be written into the disk 'disk'"),
        ("--report=.", "cannot be written to .: Is a directory"),
        ("--report=99", "descriptor 99: Bad file descriptor"),
    ] {
        explain(report).gives(1).mentions("error[T443]").mentions(says);
    }
    explain("--report=report").gives(0);
    assert!(!guest.folder.path().join("report").exists(), "nothing happened");
}

#[test]
fn explaining_starts_and_writes_nothing() {
    let guest = Guest::new(Code::new().print(0x100000, 1).exit(5), &[("disk", BLOCK)]);
    let disk = guest.file("disk.img", &[0; 1024]);
    let mut permissions = fs::metadata(&disk).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&disk, permissions).unwrap();
    let options = ["--explain", "--mem=8", "--block:disk=disk.img"];
    let ran = guest.run(&options).gives(0);
    let shown = String::from_utf8(ran.out).unwrap();
    for part in [
        "memory 8 MiB",
        "block 'disk': disk.img, read-write, 1024 bytes in sectors of 512",
        "allowed: no policy applies",
        "write(fd = standard output): the console",
        "pwrite64(fd = the file, size = 512, offset <= 512): writing 'disk'",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    assert!(!shown.contains("missing here"), "{shown}");

    let rules = policy(&guest, "otherwise: allow\nmemory: { maximum: 4MiB }\n");
    let options = ["--explain", "--format=json", &rules, "--mem=8", "--block:disk=disk.img"];
    let ran = guest.run(&options).gives(60).mentions("denied: P3");
    let json: Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!(json["policy"]["decision"], "denied");
    assert!(json["devices"].is_null(), "denied devices are not inspected");
    let options = ["--explain", "--format=json", "--mem=8", "--block:disk=disk.img"];
    let ran = guest.run(&options).gives(0);
    let json: Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!(json["type"], "solo5.explanation");
    assert_eq!(json["memory"], 8 << 20);
    assert_eq!(json["devices"][0]["capacity"], 1024);
    let calls = json["system_calls"].as_array().unwrap();
    // The seven calls of every guest and two for the disk.
    assert_eq!(calls.len(), 9);
    assert!(calls.iter().all(|call| call["action"] == "allow" && call["reason"].is_string()));
}

/// Runs the guest with these options; returns the report and the result.
fn report(guest: &Guest, options: &[&str]) -> (Value, Ran) {
    let path = guest.folder.path().join("report");
    let _ = fs::remove_file(&path);
    let option = format!("--report={}", text(&path));
    let ran = guest.run(&[&[option.as_str()], options].concat());
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count(), 1, "{written}");
    (serde_json::from_str(&written).unwrap(), ran)
}

#[test]
fn a_report_tells_the_outcome_and_leaves_status_and_output_unchanged() {
    let guest = Guest::new(Code::new().print(0x100000, 4).exit(7), &[]);
    let (told, ran) = report(&guest, &[]);
    assert_eq!(told, serde_json::json!({"outcome": "guest-exit", "status": 7, "reasons": []}));
    assert_eq!(ran.gives(7).out, b"/non");

    let (told, ran) = report(&Guest::new(Code::new().call(39, &[]), &[]), &[]);
    assert_eq!(told["outcome"], "guest-fault");
    assert_eq!(told["signal"], "SIGSYS");
    ran.gives(159);

    let (told, ran) = report(&Guest::new(Code::new().bytes(&[0x0f, 0x0b]), &[]), &[]);
    assert_eq!(
        (told["outcome"].as_str(), told["status"].as_i64()),
        (Some("guest-fault"), Some(132))
    );
    ran.gives(132);

    let (told, ran) = report(&Guest::new(Code::new().exit(0), &[("disk", BLOCK)]), &[]);
    assert_eq!((told["outcome"].as_str(), told["status"].as_i64()), (Some("cannot"), Some(1)));
    let unattached = "Device 'disk' of type BLOCK_BASIC declared but not attached.";
    assert_eq!(told["reasons"], serde_json::json!([{"code": "T406", "message": unattached}]));
    ran.gives(1).says(unattached).mentions("All declared devices must be attached.");

    let (told, ran) = report(&guest, &["--require-policy"]);
    assert_eq!((told["outcome"].as_str(), told["status"].as_i64()), (Some("denied"), Some(60)));
    assert_eq!(told["reasons"][0]["code"], "P300");
    let message = told["reasons"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("policy: "), "the message repeats the code: {message}");
    ran.gives(60).mentions(&format!("denied: P300 {message}"));
    guest.run(&["--report=/nonexistent/x"]).gives(1).mentions("error[T443]");
    guest.run(&["--report=77"]).gives(1).mentions("error[T443]");
    let ran = guest.run(&["--report=2"]).gives(7);
    assert!(ran.err.contains(r#"{"outcome":"guest-exit","status":7"#), "{ran:?}");
}

#[test]
fn with_a_report_signals_still_reach_the_guest() {
    let (_guest, parent, path, _) = endless();
    // SAFETY: this test started the process and has not waited for it, so the PID is not reused.
    unsafe { libc::kill(parent.id() as i32, libc::SIGTERM) };
    Ran::from(parent.wait_with_output().unwrap()).gives(143);
    let told: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(told["outcome"], "signal");
    assert_eq!(told["signal"], "SIGTERM");
}

/// A guest that runs without end, its tender with `--report`, the report's path, and the process that
/// has become the guest.
fn endless() -> (Guest, std::process::Child, std::path::PathBuf, i32) {
    let guest = Guest::new(Code::new().print(0x100000, 1).bytes(&[0xeb, 0xfe]), &[]);
    let path = guest.folder.path().join("report");
    let option = format!("--report={}", text(&path));
    let mut parent = guest.command(&[&option]).stdout(Stdio::piped()).spawn().unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(parent.stdout.as_mut().unwrap(), &mut byte).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let child = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    (guest, parent, path, child)
}

#[test]
fn a_signal_that_another_process_sends_to_the_guest_is_no_fault_of_it() {
    for (signal, name) in [(libc::SIGSEGV, "SIGSEGV"), (libc::SIGABRT, "SIGABRT")] {
        let (_guest, parent, path, child) = endless();
        // SAFETY: its parent waits for it no earlier than it ends.
        assert_eq!(unsafe { libc::kill(child, signal) }, 0);
        Ran::from(parent.wait_with_output().unwrap()).gives(128 + signal);
        let told: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let expected = serde_json::json!(
            {"outcome": "signal", "status": 128 + signal, "signal": name, "reasons": []}
        );
        assert_eq!(told, expected);
    }
}

#[test]
fn a_denial_does_not_reveal_whether_an_outside_file_exists() {
    let guest = Guest::new(Code::new().exit(5), &[("disk", BLOCK)]);
    let inside = guest.folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("disk"), vec![0; 512]).unwrap();
    // Opening it for writing would fail because the program is running, and so reveal that it
    // exists.
    symlink("/proc/self/exe", inside.join("program")).unwrap();
    symlink("../secret", inside.join("there")).unwrap();
    symlink("../nothing", inside.join("gone")).unwrap();
    guest.file("secret", &[0; 100]);
    let rules = format!(
        "otherwise: allow\nblock: {{ allow: [ {{ name: disk, file: {{ under: {} }} }} ] }}\n",
        text(&inside)
    );
    let policy = policy(&guest, &rules);
    let run = |name: &str, more: &[&str]| {
        let option = format!("--block:disk={}", text(&inside.join(name)));
        guest.run(&[&[policy.as_str(), option.as_str()], more].concat())
    };
    run("disk", &[]).gives(5);
    run("missing", &[]).gives(1).mentions("No such file or directory");
    for more in [&[][..], &["--explain"]] {
        let told = ["there", "gone", "program"]
            .map(|name| run(name, more).gives(60).err.replace(&format!("/{name}'"), "/NAME'"));
        assert!(told[0].contains("P321"), "{told:?}");
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    }
}

#[test]
fn a_policy_can_allow_inherited_descriptors() {
    let guest = Guest::new(Code::new().exit(5), &[("disk", BLOCK)]);
    let disk = guest.file("disk.img", &[0; 1024]);
    let run = |most: &str, option: &str| {
        let rules = format!(
            "otherwise: allow\nblock:\n  allow:\n    - {{ name: disk, descriptor: allow, capacity: {{ maximum: {most} }} }}\n"
        );
        let script = format!(r#"exec "$0" "$1" {option} "$2" 7<>"$3""#);
        let mut shell = std::process::Command::new("sh");
        let tender = guest.command::<&str>(&[]);
        shell.args(["-c", &script]).arg(tender.get_program()).arg(policy(&guest, &rules));
        shell.arg(&guest.image).arg(&disk);
        Ran::from(shell.output().unwrap())
    };
    run("1KiB", "--block-fd:disk=7").gives(5);
    run("0MiB", "--block-fd:disk=7").gives(60).mentions("P325");
    run("1KiB", r#"--block:disk="$3""#).gives(60).mentions("P328");
}

#[test]
fn a_policy_at_a_descriptor_is_read_from_its_start_and_pipes_are_refused() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let narrow = policy(&guest, "otherwise: allow\nmemory: { maximum: 64MiB }\n");
    let file = narrow.trim_start_matches("--policy=");
    let run = |script: &str| {
        let mut shell = std::process::Command::new("sh");
        let tender = guest.command::<&str>(&[]);
        shell.args(["-c", script]).arg(tender.get_program()).arg(&guest.image).arg(file);
        Ran::from(shell.output().unwrap())
    };
    // `read` leaves the offset after the first line or further.
    run(r#"exec 7<"$2"; read -r line <&7; exec "$0" --mem=64 --policy=@7 "$1""#).gives(5);
    run(r#"exec 7<"$2"; cat <&7 >/dev/null; exec "$0" --policy=@7 "$1""#)
        .gives(60)
        .mentions("P305");
    run(r#"cat "$2" | "$0" --policy=@0 "$1""#).gives(1).mentions("not a regular file");
    run(r#"mkfifo "$2.p" && exec "$0" --policy="$2.p" "$1""#)
        .gives(1)
        .mentions("not a regular file");
    run(r#"exec "$0" --report="$2.p" "$1""#).gives(1).mentions("T443");
}

#[test]
fn a_report_into_a_file_that_the_launch_uses_is_refused_and_nothing_is_written() {
    let guest = Guest::new(Code::new().exit(5), &[("disk", BLOCK)]);
    let disk = guest.file("disk.img", &[7; 4096]);
    fs::hard_link(&disk, guest.folder.path().join("hard.img")).unwrap();
    std::os::unix::fs::symlink("disk.img", guest.folder.path().join("soft.img")).unwrap();
    let policy = guest.file("p.yaml", b"type: solo5.policy\nversion: 1\notherwise: allow\n");
    let signature = guest.file("guest.spt.minisig", b"none");
    let files = [&disk, &guest.image, &policy, &signature];
    let before = files.map(|file| fs::read(file).unwrap());
    let run = |script: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_solo5-spt")]);
        let ran = Ran::of(shell.current_dir(guest.folder.path()));
        for (file, content) in files.iter().zip(&before) {
            assert!(fs::read(file).unwrap() == *content, "{script}: {}: {ran:?}", file.display());
        }
        ran
    };
    let read_only = "--block-access:disk=read-only";
    for (script, what) in [
        (r#"exec "$0" --report=disk.img --block:disk=disk.img guest.spt"#, "the disk 'disk'"),
        (r#"exec "$0" --report=hard.img --block:disk=disk.img guest.spt"#, "the disk 'disk'"),
        (r#"exec "$0" --report=disk.img --block:disk=soft.img guest.spt"#, "the disk 'disk'"),
        (r#"exec "$0" --report=7 --block-fd:disk=7 guest.spt 7<>disk.img"#, "the disk 'disk'"),
        (r#"exec "$0" --report=7 --block-fd:disk=8 guest.spt 7>>disk.img 8<disk.img"#, "the disk"),
        (r#"exec "$0" --report=disk.img --block-fd:disk=8 guest.spt 8<>soft.img"#, "the disk"),
        (r#"exec "$0" --report=1 --block:disk=disk.img guest.spt 1>>hard.img"#, "the disk 'disk'"),
        // Launches that fail for another reason write no report there either.
        (r#"exec "$0" --report=7 --block-fd:disk=7 nosuch.spt 7<>disk.img"#, "the disk 'disk'"),
        (r#"exec "$0" --frob --report=disk.img --block:disk=disk.img guest.spt"#, "the disk"),
        (r#"exec "$0" --report=guest.spt --block:disk=disk.img guest.spt"#, "the image"),
        (r#"exec "$0" --report=7 --block:disk=disk.img guest.spt 7>>guest.spt"#, "the image"),
        (r#"exec "$0" --report=p.yaml --policy=p.yaml guest.spt"#, "the policy p.yaml"),
        (r#"exec "$0" --report=p.yaml --policy=@7 guest.spt 7<p.yaml"#, "the policy @7"),
        (r#"exec "$0" --report=guest.spt.minisig guest.spt"#, "a signature of the image"),
    ] {
        for script in
            [script.to_owned(), script.replace(" guest.spt", &format!(" {read_only} guest.spt"))]
        {
            let ran = run(&script).gives(1).mentions("error[T443]").mentions(what);
            assert!(ran.err.ends_with("solo5-spt: not started\n"), "{ran:?}");
        }
    }
    // Standard error is the disk here, so the tender prints no message.
    run(r#"exec "$0" --report=2 --block:disk=disk.img guest.spt 2>>disk.img"#).gives(1);
    run(r#"exec "$0" --report=/dev/null --block:disk=disk.img guest.spt"#).gives(5);
}

#[test]
fn a_disk_that_is_the_image_is_not_opened_for_writing() {
    let guest = Guest::new(Code::new().exit(5), &[("disk", BLOCK)]);
    // The image is padded to whole sectors, so that its size is no reason to refuse it.
    let mut image = fs::read(&guest.image).unwrap();
    image.resize(image.len().next_multiple_of(512), 0);
    fs::write(&guest.image, &image).unwrap();
    std::os::unix::fs::symlink("guest.spt", guest.folder.path().join("soft")).unwrap();
    for name in ["guest.spt", "soft"] {
        let option = format!("--block:disk={name}");
        for more in [&[][..], &["--explain"]] {
            let ran = guest.run(&[&[option.as_str()], more].concat()).gives(1);
            ran.mentions(&format!("error[T427]: {name} is also the image"));
        }
        guest.run(&[&option, "--block-access:disk=read-only"]).gives(5);
    }
}

#[test]
fn one_descriptor_for_two_options_gets_its_own_message() {
    let guest = Guest::new(Code::new().exit(5), &[("a", BLOCK), ("b", BLOCK)]);
    guest.file("disk.img", &[7; 4096]);
    guest.file("p.yaml", b"type: solo5.policy\nversion: 1\notherwise: allow\n");
    let run = |options: &str| {
        let script = format!(r#"exec "$0" {options} guest.spt 8<p.yaml 9<>disk.img"#);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_solo5-spt")]);
        let ran = Ran::of(shell.current_dir(guest.folder.path())).gives(1);
        assert!(!ran.err.contains("Bad file descriptor"), "{ran:?}");
        ran
    };
    for explain in ["", "--explain "] {
        let both = "--block-fd:a=9 --block-fd:b=9";
        run(&format!("{explain}{both}")).mentions("error[T426]: 'a' and 'b' are the same disk, @9");
        let read_only = "--block-access:a=read-only --block-access:b=read-only";
        run(&format!("{explain}{both} {read_only}")).mentions("error[T426]");
        run(&format!("{explain}--policy=@8 --policy=@8")).mentions("another option names it too");
        let policy_as_disk = "--policy=@8 --block-fd:a=9 --block-fd:b=8";
        run(&format!("{explain}{policy_as_disk}")).mentions("another option names it too");
    }
}

/// `unshare -U` makes no map of users, so the tender's user may be anybody.
#[test]
fn a_user_without_a_number_may_be_root() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let process =
        |root| format!("otherwise: allow\nprocess: {{ root: {root}, sandbox: optional }}\n");
    let run = |policy: &str| {
        let mut outer = std::process::Command::new("unshare");
        outer.arg("-U").arg(env!("CARGO_BIN_EXE_solo5-spt")).arg(policy).arg(&guest.image);
        Ran::of(&mut outer)
    };
    let ran = run(&policy(&guest, &process("forbid")));
    if ran.err.contains("unshare failed") {
        println!("skip: a_user_without_a_number_may_be_root: user namespaces are not allowed here");
        return;
    }
    ran.gives(60).mentions("P303").mentions("is unknown in this user namespace");
    run(&policy(&guest, &process("allow"))).gives(5);
}
