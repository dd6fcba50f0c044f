//! `check --plan`: verdicts, conflicts, the table, and JSON.

mod common;

use std::os::unix::fs::symlink;
use std::path::Path;

use common::{DEVICES, Place, documented, snapshot};
use serde_json::Value;
use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target, mft2};
use solo5_image::testing::{self, Sample};

const POLICY: &str = "\
type: solo5.policy
version: 1
name: node
otherwise: allow
memory: { maximum: 64MiB }
net: { allow: [ { name: \"*\", interface: \"tap-*\", bridge: br0 } ] }
";

/// A place with an image of [`DEVICES`], one without any, and a policy; its folder's path.
fn place() -> (Place, String) {
    let place = Place::new();
    place.image("router.spt", Target::Spt);
    let none = Sample::new(Target::Hvt, Arch::X86_64, &[]);
    place.write("none.hvt", &none.bytes());
    place.write("node.yaml", POLICY.as_bytes());
    let folder = place.path("").display().to_string();
    (place, folder.trim_end_matches('/').to_owned())
}

fn plan(place: &Place, text: &str) {
    let text = format!("type: solo5.plan\nversion: 1\nname: edge\n{text}");
    place.write("plan.yaml", text.as_bytes());
}

fn check(place: &Place, options: &[&str]) -> common::Run {
    place.run(&[&["check", "--plan=plan.yaml"], options].concat())
}

#[test]
fn each_unikernel_gets_the_verdict_of_its_policies() {
    let (place, folder) = place();
    place.write("tenant.yaml", b"type: solo5.policy\nversion: 1\nmatch: { label: { tenant: a } }\narguments: { allow: [] }\n");
    plan(
        &place,
        &format!(
            "policies: node.yaml\nunikernels:\n\
             - {{ name: ok, image: none.hvt, memory: 64MiB }}\n\
             - {{ name: large, image: none.hvt, memory: 66MiB }}\n\
             - {{ name: told, image: none.hvt, memory: 2MiB, policies: tenant.yaml, \
             labels: {{ tenant: a }}, arguments: [x] }}\n\
             - {{ name: maybe, image: router.spt, memory: 8MiB, net: {{ service0: {{ tap: tap-1 }} }}, \
             block: {{ storage: {{ path: {folder}/a.img }} }} }}\n\
             - {{ name: bare, image: router.spt, memory: 8MiB }}\n"
        ),
    );
    let run = check(&place, &[]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""), "{}", run.stdout);
    for line in [
        "ok: allowed by 1 applicable policy\n",
        "large: denied: P305 memory: 66MiB asked for; node wants at most 64MiB (node.yaml:5:20)\n",
        "told: denied: P308 arguments: 'x' fits no rule; tenant allows none (tenant.yaml:4:21)\n",
        "maybe: allowed, if net 'service0': its tap is on bridge \"br0\"; node wants it (node.yaml:6:17)\n",
        "bare: cannot start: Device 'storage' of type BLOCK_BASIC declared but not attached.\n",
        "edge: 5 unikernels, 148MiB: 1 allowed, 1 allowed under conditions, 2 denied, 1 cannot start\n",
    ] {
        assert!(run.stdout.contains(line), "{line:?} in\n{}", run.stdout);
    }
    // A plan without objections.
    plan(
        &place,
        "policies: node.yaml\nunikernels:\n- { name: ok, image: none.hvt, memory: 64MiB }\n",
    );
    let run = check(&place, &[]);
    assert_eq!(run.status, 0);
    assert_eq!(
        run.stdout,
        "ok: allowed by 1 applicable policy\nedge: 1 unikernel, 64MiB: 1 allowed\n"
    );
    plan(
        &place,
        "require-policy: true\npolicies: tenant.yaml\nunikernels:\n\
         - { name: a, image: none.hvt, memory: 2MiB }\n",
    );
    let run = check(&place, &[]);
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("a: denied: P300 "), "{}", run.stdout);
}

/// Several paths to one file: one through a link to its folder, one a hard link.
#[test]
fn one_file_under_several_names_is_written_once() {
    let (place, folder) = place();
    std::fs::create_dir(place.path("disks")).unwrap();
    place.write("disks/a.img", &[0; 512]);
    place.write("disks/b.img", &[0; 512]);
    symlink("disks", place.path("link")).unwrap();
    std::fs::hard_link(place.path("disks/a.img"), place.path("c.img")).unwrap();
    let unikernel = |name: &str, tap: &str, path: &str, access: &str| {
        format!(
            "- {{ name: {name}, image: router.spt, memory: 2MiB, net: {{ service0: {{ tap: {tap} }} }}, \
             block: {{ storage: {{ path: {folder}/{path}, access: {access} }} }} }}\n"
        )
    };
    let all = [
        unikernel("one", "tap-1", "disks/a.img", "read-write"),
        unikernel("two", "tap-2", "link/a.img", "read-write"),
        unikernel("three", "tap-3", "c.img", "read-only"),
        unikernel("four", "tap-1", "disks/b.img", "read-write"),
        unikernel("five", "tap-5", "gone.img", "read-write"),
        unikernel("six", "tap-6", "gone.img", "read-write"),
    ];
    plan(&place, &format!("unikernels:\n{}", all.concat()));
    let run = check(&place, &[]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    for line in [
        format!(
            "error[P401]: '{folder}/disks/a.img' is written by 'storage' of one and by 'storage' of two"
        ),
        format!("note: '{folder}/link/a.img' leads to the same device"),
        format!(
            "warning[P402]: '{folder}/disks/a.img' is written by 'storage' of one while 'storage' of three reads"
        ),
        "error[P403]: tap 'tap-1' is attached to 'service0' of one and to 'service0' of four"
            .into(),
        format!(
            "error[P401]: '{folder}/gone.img' is written by 'storage' of five and by 'storage' of six"
        ),
        "edge: 6 unikernels, 12MiB: 6 allowed, 3 errors in the plan\n".into(),
    ] {
        assert!(run.stdout.contains(&line), "{line:?} in\n{}", run.stdout);
    }
    // A warning is no failure.
    let two = [
        unikernel("one", "tap-1", "disks/a.img", "read-write"),
        unikernel("two", "tap-2", "c.img", "read-only"),
    ];
    plan(&place, &format!("unikernels:\n{}", two.concat()));
    let run = check(&place, &[]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    assert!(run.stdout.contains("warning[P402]"), "{}", run.stdout);
}

/// The manifest's read-only flag counts, not only the access in the plan.
#[test]
fn the_image_decides_what_is_written() {
    let (place, folder) = place();
    let mut manifest = testing::manifest_note(&DEVICES);
    let (read_only, optional) = (mft2::DEVICE_READ_ONLY, mft2::DEVICE_OPTIONAL);
    let records: [(u32, u16, &[u8]); 2] = [
        (1, mft2::tag::DEVICE_FLAGS, &read_only.to_le_bytes()),
        (2, mft2::tag::DEVICE_FLAGS, &optional.to_le_bytes()),
    ];
    manifest.extend(testing::properties_note(3, &records));
    place.image_with("reader.spt", Target::Spt, manifest);
    let unikernel = |name: &str, image: &str, more: &str| {
        format!(
            "- {{ name: {name}, image: {image}, memory: 8MiB, {more}, \
             block: {{ storage: {{ path: {folder}/a.img }} }} }}\n"
        )
    };
    let declines = "without-net: [service0]";
    let both = [unikernel("one", "reader.spt", declines), unikernel("two", "reader.spt", declines)];
    plan(&place, &format!("unikernels:\n{}", both.concat()));
    let run = check(&place, &["--explain"]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    let cell = format!("service0 none  storage={folder}/a.img ro  allowed\n");
    assert!(run.stdout.contains(&cell), "{}", run.stdout);
    let wrong = [
        unikernel("one", "router.spt", declines),
        unikernel("two", "router.spt", "net: { service9: { tap: tap-1 } }"),
        unikernel("three", "none.hvt", "net: {}"),
    ];
    plan(&place, &format!("unikernels:\n{}", wrong.concat()));
    let run = check(&place, &[]);
    assert_eq!(run.status, 1);
    for line in [
        "one: cannot start: router.spt cannot go without net 'service0'\n",
        "error[P409]: router.spt cannot go without net 'service0'\n --> plan.yaml:5:",
        "error[P408]: router.spt declares no net 'service9'\n --> plan.yaml:6:",
        "= help: it declares service0\n",
        "error[P408]: none.hvt declares no block 'storage'\n",
    ] {
        assert!(run.stdout.contains(line), "{line:?} in\n{}", run.stdout);
    }
}

#[test]
fn sums_are_held_to_the_limits() {
    let (place, _) = place();
    plan(
        &place,
        "limits: { memory: 3MiB, unikernels: 1 }\nunikernels:\n\
         - { name: a, image: none.hvt, memory: 2MiB }\n\
         - { name: b, image: none.hvt, memory: 2MiB, arguments: [\"it's\"] }\n",
    );
    let run = check(&place, &["--explain"]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    snapshot("check-plan", &run.stdout);

    let run = check(&place, &["--format=json"]);
    assert_eq!(run.status, 1);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["passed"], false);
    assert_eq!(value["findings"][0]["code"], "P404");
    assert_eq!(value["findings"][0]["locations"][0]["line"], 4);
    assert_eq!(value["sums"]["memory"]["sum"], 4 << 20);
    assert_eq!(value["sums"]["memory"]["limit"], 3 << 20);
    assert_eq!(value["sums"]["net"]["limit"], Value::Null);
    let second = &value["unikernels"][1];
    assert_eq!(second["name"], "b");
    assert_eq!(second["decision"], "allowed");
    assert_eq!(
        second["command"],
        serde_json::json!(["solo5-hvt", "--mem=2", "--", "none.hvt", "it's"])
    );
}

/// hvt gives whole granules of 2 MiB: a guest gets 2 MiB of 3, and 2 MiB of 1.
#[test]
fn memory_is_what_the_guests_get() {
    let (place, _) = place();
    let none = Sample::new(Target::Spt, Arch::X86_64, &[]);
    place.write("none.spt", &none.bytes());
    let all = "limits: { memory: MOST }\nunikernels:\n\
         - { name: a, image: none.hvt, memory: 3MiB }\n\
         - { name: b, image: none.hvt, memory: 1MiB }\n\
         - { name: c, image: none.spt, memory: 3MiB }\n";
    plan(&place, &all.replace("MOST", "7MiB"));
    let run = check(&place, &["--explain"]);
    assert!(run.stdout.contains("7MiB of 7MiB"), "{}", run.stdout);
    assert!(!run.stdout.contains("P404"), "{}", run.stdout);
    plan(&place, &all.replace("MOST", "6MiB"));
    let run = check(&place, &["--format=json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["findings"][0]["code"], "P404");
    assert_eq!(value["sums"]["memory"]["sum"], 7 << 20);
    let each = [0, 1, 2].map(|index| value["unikernels"][index]["memory"].as_u64().unwrap());
    assert_eq!(each.map(|bytes| bytes >> 20), [2, 2, 3]);
}

/// The command contains everything that the verdict depends on.
#[test]
fn commands_ask_for_what_the_plan_asks_for() {
    let (place, folder) = place();
    plan(
        &place,
        &format!(
            "policies: node.yaml\nrequire-policy: true\nunikernels:\n\
             - {{ name: a, image: router.spt, memory: 2MiB, labels: {{ k: v }}, arguments: [x], \
             net: {{ service0: {{ tap: tap-1, mac: \"2:0:0:0:0:1\" }} }}, \
             block: {{ storage: {{ path: {folder}/a.img, access: read-only }} }} }}\n"
        ),
    );
    let words = [
        "solo5-spt",
        "--policy=node.yaml",
        "--require-policy",
        "--mem=2",
        "--label=k=v",
        "--net:service0=tap-1",
        "--net-mac:service0=02:00:00:00:00:01",
        &format!("--block:storage={folder}/a.img"),
        "--block-access:storage=read-only",
        "--",
        "router.spt",
        "x",
    ];
    let run = check(&place, &["--explain"]);
    let line = format!("\n{}\n", words.join(" "));
    assert!(run.stdout.contains(&line), "{line} in\n{}", run.stdout);
    let run = check(&place, &["--format=json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["unikernels"][0]["command"], serde_json::json!(words));
}

/// No tender starts an image of another target, and nothing is known about a broken one.
#[test]
fn images_that_nothing_starts_have_no_command() {
    let (place, folder) = place();
    place.image("router.xen", Target::Xen);
    place.image("router.virtio", Target::Virtio);
    let mut manifest = testing::manifest_note(&DEVICES);
    let flags: (u32, u16, &[u8]) = (1, mft2::tag::DEVICE_FLAGS, &[0xff; 4]);
    manifest.extend(testing::properties_note(3, &[flags]));
    place.image_with("broken.spt", Target::Spt, manifest);
    let unikernel = |name: &str, image: &str| {
        format!(
            "- {{ name: {name}, image: {image}, memory: 2MiB, net: {{ service0: {{ tap: tap-{name} }} }}, \
             block: {{ storage: {{ path: {folder}/{name}.img }} }} }}\n"
        )
    };
    let all = [unikernel("one", "router.xen"), unikernel("two", "broken.spt")];
    plan(&place, &format!("unikernels:\n{}", all.concat()));
    let run = check(&place, &["--explain"]);
    assert_eq!(
        (run.status, run.stderr.as_str()),
        (
            2,
            "solo5-elftool: one: router.xen: no tender starts a xen image, so no policy is asked\n"
        )
    );
    assert!(!run.stdout.contains("solo5-"), "{}", run.stdout);
    assert!(!run.stdout.contains("\n\n\n"), "{}", run.stdout);
    assert!(!run.stdout.contains("declares no"), "{}", run.stdout);
    assert!(run.stdout.contains("two: cannot start: "), "{}", run.stdout);
    let run = check(&place, &["--format=json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    for index in 0..2 {
        assert_eq!(value["unikernels"][index]["command"], Value::Null);
    }
    plan(&place, &format!("unikernels:\n{}", unikernel("one", "router.virtio")));
    let run = check(&place, &["--format=json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["unikernels"][0]["command"][0], "solo5-virtio-run", "{}", run.stdout);
}

#[test]
fn a_broken_policy_is_reported_once() {
    let (place, _) = place();
    place.write("broken.yaml", b"type: solo5.policy\nversion: x\n");
    plan(
        &place,
        "policies: broken.yaml\nunikernels:\n\
         - { name: a, image: none.hvt, memory: 2MiB }\n\
         - { name: b, image: none.hvt, memory: 2MiB }\n",
    );
    let run = check(&place, &[]);
    assert_eq!(run.status, 2);
    assert_eq!(run.stderr.matches("error[").count(), 1, "{}", run.stderr);
    for name in ["a", "b"] {
        let line = format!("solo5-elftool: {name}: none.hvt: a policy cannot be used\n");
        assert!(run.stderr.contains(&line), "{line:?} in\n{}", run.stderr);
    }
}

/// Only a warning, because it may be intended.
#[test]
fn an_address_is_pointed_out_if_it_is_given_twice() {
    let (place, folder) = place();
    let unikernel = |name: &str| {
        format!(
            "- {{ name: {name}, image: router.spt, memory: 2MiB, \
             net: {{ service0: {{ tap: tap-{name}, mac: \"2:0:0:0:0:1\" }} }}, \
             block: {{ storage: {{ path: {folder}/{name}.img }} }} }}\n"
        )
    };
    plan(&place, &format!("unikernels:\n{}{}", unikernel("a"), unikernel("b")));
    let run = check(&place, &[]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    let warning = "warning[P410]: 02:00:00:00:00:01 is the address of 'service0' of a and of 'service0' of b\n";
    assert!(run.stdout.contains(warning), "{}", run.stdout);
}

#[test]
fn what_cannot_be_asked_is_status_2() {
    let (place, _) = place();
    let one = "unikernels:\n- { name: a, image: IMAGE, memory: 2MiB }\n\
               - { name: b, image: none.hvt, memory: 2MiB }\n";
    for (image, stderr) in
        [("gone.spt", "solo5-elftool: a: gone.spt: No such file"), ("node.yaml", "")]
    {
        plan(&place, &one.replace("IMAGE", image));
        let run = check(&place, &[]);
        let expected = if stderr.is_empty() { 1 } else { 2 };
        assert_eq!(run.status, expected, "{image}: {}", run.stdout);
        assert!(run.stderr.starts_with(stderr), "{}", run.stderr);
        assert!(run.stdout.contains("b: allowed"), "{}", run.stdout);
    }
    plan(&place, "unikernels: []\n");
    let run = check(&place, &[]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("error[P206]"), "{}", run.stderr);
    plan(
        &place,
        "policies: gone.yaml\nunikernels: [ { name: a, image: none.hvt, memory: 2MiB } ]\n",
    );
    let run = check(&place, &[]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("error[P201]"), "{}", run.stderr);
    for arguments in [
        &["check", "--plan=gone.yaml"][..],
        &["check", "--plan=plan.yaml", "none.hvt"],
        &["check", "--plan=plan.yaml", "--", "--mem=2"],
        &["check", "--explain", "none.hvt"],
        &["check"],
    ] {
        assert_eq!(place.run(arguments).status, 2, "{arguments:?}");
    }
}

#[test]
fn a_plan_writes_down_what_it_admits() {
    let (place, _) = place();
    plan(
        &place,
        "policies: node.yaml\nunikernels:\n\
         - { name: ok, image: none.hvt, memory: 2MiB }\n\
         - { name: large, image: router.spt, memory: 2MiB }\n",
    );
    let run = check(&place, &["--lock=admitted.json"]);
    assert_eq!(run.status, 1);
    let text = std::fs::read_to_string(place.path("admitted.json")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["images"].as_array().unwrap().len(), 1);
    assert_eq!(list["images"][0]["file"], "none.hvt");
}

/// The example's plan, with an image that asks for what the example does.
#[test]
fn the_example_is_allowed() {
    let place = Place::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/http");
    for name in ["plan.yaml", "policy.yaml"] {
        let text = std::fs::read(example.join(name)).unwrap();
        place.write(name, &text);
    }
    let devices = [("service", DeviceType::NetBasic)];
    let mut manifest = testing::manifest_note(&devices);
    manifest.extend(testing::properties_note(2, &[]));
    place.image_with("http.spt", Target::Spt, manifest);
    let run = check(&place, &["--explain"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    assert!(
        run.stdout.contains("in sum     2         32MiB of 64MiB  2 of 2          0 of 0"),
        "{}",
        run.stdout
    );
}

/// The first plan of the documentation, with the policy beside it, prints what the page shows.
#[test]
fn the_documentation_is_right() {
    let block = |kind: &str, index: usize| documented("plan.md", &format!("```{kind}\n"), index);
    let place = Place::new();
    place.image("router.spt", Target::Spt);
    place.write("plan.yaml", block("yaml", 0).as_bytes());
    place.write("node.yaml", block("yaml", 1).as_bytes());
    let console = block("console", 0);
    let (command, shown) = console.split_once('\n').unwrap();
    let command = command.strip_prefix("$ solo5-elftool ").unwrap();
    let shown = shown.strip_suffix("$ echo $?\n1\n").unwrap();
    let run = place.run(&command.split(' ').collect::<Vec<_>>());
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    assert_eq!(run.stdout, shown, "prints\n{}", run.stdout);
}

/// A printed command, pasted into a shell, starts what was checked.
#[test]
fn printed_commands_are_the_words_that_were_checked() {
    let place = Place::new();
    let image =
        solo5_image::testing::Sample::new(solo5_abi::Target::Spt, solo5_abi::Arch::X86_64, &[]);
    place.write("a.spt", &image.bytes());
    place.write(
        "plan.yaml",
        b"type: solo5.plan\nversion: 1\nunikernels:\n  - { name: a, image: a.spt, memory: 4MiB, \
          arguments: [\"new\\nline\", \"it's\", \"\\e[31m\", \"\\u202e\"] }\n",
    );
    let run = place.run(&["check", "--plan=plan.yaml", "--explain"]);
    let command =
        run.stdout.lines().find(|line| line.starts_with("solo5-spt ")).expect(&run.stdout);
    assert!(command.contains("$'new\\nline'"), "{command}");
    let arguments = command.trim_start_matches("solo5-spt");
    let script = format!("printf '%s\\0' {arguments}");
    let shown = place.run_program("bash".as_ref(), &["-c", &script], b"");
    let words: Vec<&str> = shown.stdout.split('\0').collect();
    let expected = ["--mem=4", "--", "a.spt", "new\nline", "it's", "\u{1b}[31m", "\u{202e}", ""];
    assert_eq!(words, expected, "{command}");
}
