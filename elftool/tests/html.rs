//! Reports as pages: in a browser, in both colour schemes, and with hostile names.

mod common;

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;

use common::{DEVICES, Place};
use html5gum::{Token, Tokenizer};
use proptest::prelude::*;
use serde_json::Value;
use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target};
use solo5_image::elf::{PF_R, PF_W, PF_X};
use solo5_image::testing::{self, DATA, Sample};
use solo5_report::escape::is_unsafe;

/// A new browser without windows, which calls nobody.
const OPTIONS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--window-size=1280,2000",
];

/// Uses the table as a person does, looks at the page as a checker of accessibility does, and adds what it saw
/// to the page as JSON.
const DRIVER: &str = include_str!("html/driver.js");

/// The page once its scripts have run, and its complaints. The width and the colour scheme are those of
/// the browser's options.
fn browse(page: &Path, options: &[&str]) -> io::Result<(String, Vec<String>)> {
    let folder = tempfile::tempdir()?;
    let output = Command::new("chromium")
        .args(OPTIONS)
        .args(options)
        .arg(format!("--user-data-dir={}", folder.path().display()))
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints = log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned);
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), complaints.collect()))
}

/// What the driver saw on a page; `None` without a browser.
fn driven(place: &Place, test: &str, page: &str, options: &[&str]) -> Option<Value> {
    // The page's own policy would forbid a second script.
    let (before, policy) = page.split_once("script-src '").expect("a policy on content");
    let (_, after) = policy.split_once('\'').expect("its end");
    let open = format!("{before}script-src 'unsafe-inline'{after}");
    let open = open.replace("</body>", &format!("<script>{DRIVER}</script></body>"));
    let path = place.write("driven.html", open.as_bytes());
    let (seen, complaints) = match browse(&path, options) {
        Ok(found) => found,
        Err(error) => {
            println!("skip: {test}: chromium: {error}");
            return None;
        }
    };
    assert!(complaints.is_empty(), "{complaints:#?}");
    let (_, seen) = seen.split_once("<pre id=\"driven\">").expect("what the driver saw");
    let (seen, _) = seen.split_once("</pre>").expect("its end");
    let seen = seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Some(serde_json::from_str(&seen).expect("JSON"))
}

fn image(data: u32) -> Vec<u8> {
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    sample.segments[DATA].p_flags = data;
    sample.bytes()
}

/// Three images: `bad.spt` with an error, `good.spt`, and the larger `large.spt`; a text file; a budget.
fn fleet(place: &Place) -> String {
    place.write("bad.spt", &image(PF_R | PF_W | PF_X));
    place.write("good.spt", &image(PF_R | PF_W));
    let large = [image(PF_R | PF_W), vec![0; 4096]].concat();
    place.write("large.spt", &large);
    place.write("text", b"no image");
    let run = place.run(&[
        "audit",
        "--format=html",
        "--budget=memory=64KiB",
        "good.spt",
        "bad.spt",
        "large.spt",
        "text",
        "none",
    ]);
    assert_eq!((run.status, run.stderr.lines().count()), (2, 1), "{}", run.stderr);
    run.stdout
}

fn names(seen: &Value) -> Vec<&str> {
    seen.as_array().expect("names").iter().map(|name| name.as_str().expect("a name")).collect()
}

#[test]
fn a_browser_filters_and_sorts_the_table_of_images() {
    let place = Place::new();
    let page = fleet(&place);
    let Some(seen) = driven(&place, "html", &page, &[]) else { return };
    // The page as it is, under its own policy on content.
    let path = place.write("page.html", page.as_bytes());
    let (shown, complaints) = browse(&path, &[]).expect("a browser");
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(shown.contains(">5 of 5 shown<"), "its script has not run");
    let input = ["good.spt", "bad.spt", "large.spt", "text", "none"];
    assert_eq!(names(&seen["all"]), input);
    assert_eq!(names(&seen["code"]), ["bad.spt"], "those with S201");
    assert_eq!(seen["count"], "1 of 5 shown");
    assert_eq!(names(&seen["unreadable"]), ["none"]);
    assert_eq!(names(&seen["ascending"]), ["bad.spt", "good.spt", "large.spt", "none", "text"]);
    assert_eq!(names(&seen["descending"]), ["text", "none", "large.spt", "good.spt", "bad.spt"]);
    assert_eq!(names(&seen["largest"])[0], "large.spt");
    assert_eq!(seen["sorted"], "descending", "aria-sort of the column");
}

/// Contrast of 4.5 (WCAG 2.1, 1.4.3) over the colours that the browser computes; names of controls and
/// tables; levels of headings; nothing wider than the window.
#[test]
fn both_colour_schemes_can_be_read() {
    let place = Place::new();
    let page = fleet(&place);
    for (scheme, dark) in [("1", false), ("0", true)] {
        for window in ["--window-size=1280,2000", "--window-size=500,2000"] {
            let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
            let Some(seen) = driven(&place, "html", &page, &[&scheme, window]) else { return };
            assert_eq!(seen["dark"], dark);
            assert!(seen["texts"].as_u64() > Some(100), "{seen}");
            assert_eq!(seen["pale"], serde_json::json!([]), "dark: {dark}, {window}");
            assert_eq!(seen["unnamed"], serde_json::json!([]), "dark: {dark}, {window}");
            assert_eq!(seen["overflow"], 0, "dark: {dark}, {window}");
        }
    }
}

#[test]
fn a_thousand_images_are_one_page() {
    let place = Place::new();
    let bytes = image(PF_R | PF_W);
    std::fs::create_dir(place.path("fleet")).expect("a folder");
    for number in 0..1000 {
        place.write(&format!("fleet/{number:03}.spt"), &bytes);
    }
    let run = place.run(&["audit", "--format=html", "fleet"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.len() < 8 << 20, "{} bytes", run.stdout.len());
    assert_eq!(run.stdout.matches("<tbody data-result").count(), 1000);
    let Some(seen) = driven(&place, "html", &run.stdout, &[]) else { return };
    assert_eq!(names(&seen["all"]).len(), 1000);
    assert_eq!(seen["count"], "0 of 1000 shown", "none has S201");
}

/// Without scripts everything is there, and nothing comes from elsewhere.
#[test]
fn a_page_needs_no_script_and_no_network() {
    let place = Place::new();
    let page = fleet(&place);
    for part in [
        "<h1>Audit of 4 images</h1>",
        "S201",
        "segment 2 is writable and executable",
        "No such file or directory",
        "Mend: ",
        ">RWX<",
        "default-src 'none'",
        "S503",
        "no unikernel image",
        "phdr[2]",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for token in tags(&page) {
        for loads in ["src", "href", "srcset", "style", "onclick", "action"] {
            assert!(!token.split(' ').skip(1).any(|word| word == loads), "{token}");
        }
    }
}

/// The tags of a page, each with the names of its attributes.
fn tags(page: &str) -> Vec<String> {
    let tokens = Tokenizer::new(page).filter_map(Result::ok);
    let tags = tokens.filter_map(|token| match token {
        Token::StartTag(tag) => {
            let names = tag.attributes.keys().map(|name| String::from_utf8_lossy(name));
            let names: Vec<_> = names.collect();
            Some(format!("{} {}", String::from_utf8_lossy(&tag.name), names.join(" ")))
        }
        Token::EndTag(tag) => Some(format!("/{}", String::from_utf8_lossy(&tag.name))),
        Token::Comment(_) => Some(String::from("comment")),
        _ => None,
    });
    tags.collect()
}

/// The page about an image of this name, with this device and section, and about a file that is not there.
fn named(file: &str, name: &str) -> String {
    let place = Place::new();
    let name = name.replace('=', "_");
    // A manifest that a compiler would refuse to make.
    let cut = &name.as_bytes()[..name.floor_char_boundary(60)];
    let valid = "Z".repeat(cut.len());
    let mut manifest = testing::manifest_note(&[(&valid, DeviceType::NetBasic)]);
    let at = manifest.windows(cut.len()).position(|window| window == valid.as_bytes());
    let at = at.expect("the device's name");
    manifest[at..at + cut.len()].copy_from_slice(cut);
    let groups = [testing::openbsd_note(), testing::abi_note(Target::Spt), manifest];
    let mut sample = Sample::with_notes(Target::Spt, Arch::X86_64, &groups);
    sample.segments[DATA].p_flags = PF_R | PF_W | PF_X;
    for (section, _) in sample.sections.iter_mut().filter(|(section, _)| section == ".data") {
        *section = format!(".{name}");
    }
    place.write(file, &sample.bytes());
    let missing = format!("{file}-missing");
    let budget = format!("--budget=.{name}=1KiB");
    let run = place.run(&["audit", "--format=html", &budget, "--", file, &missing]);
    assert_eq!(run.status, 2, "{}", run.stderr);
    run.stdout
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever names an image, its devices and its sections have, the page has the same tags and attributes, and
    /// no character that controls or reorders what is shown.
    #[test]
    fn hostile_names_never_become_markup(parts in prop::collection::vec(prop::sample::select(&[
        "<script>alert(1)</script>", "\"", "'", "<", ">", "&lt;", "&#60;", "\u{202e}", "\u{1b}[31m", "-->", "<!--",
        "</td>", "\n", "\r", "é", "`", "\\", "=", " onload=x ", "]]>", "\u{2028}", "\u{7f}", "x", " ", "\u{2066}", "\u{200b}", "\u{e0041}",
    ][..]), 1..8)) {
        // Every name has the `_` that no manifest allows, or the page would lack that finding.
        let name = parts.concat() + "_";
        let file = format!("n{}", name.replace('/', "\u{2029}"));
        let page = named(&file, &name);
        prop_assert!(!page.contains(|c| c != '\n' && is_unsafe(c)));
        prop_assert_eq!(tags(&page), tags(&named("nx", "_")));
    }
}

const POLICY: &str = "type: solo5.policy\nversion: 1\nname: node\notherwise: allow\nmemory: { maximum: 64MiB }\n\
    net: { allow: [ { name: \"*\", interface: \"tap-*\", bridge: br0 } ] }\n";
const TENANT: &str = "type: solo5.policy\nversion: 1\nname: tenant\nmatch: { label: { tenant: a } }\narguments: { allow: [] }\n";

/// A plan whose launches get each kind of answer.
fn plan(place: &Place) -> String {
    place.image("router.spt", Target::Spt);
    let none = Sample::new(Target::Hvt, Arch::X86_64, &[]);
    place.write("none.hvt", &none.bytes());
    place.write("node.yaml", POLICY.as_bytes());
    place.write("tenant.yaml", TENANT.as_bytes());
    let folder = place.path("").display().to_string();
    let text = format!(
        "type: solo5.plan\nversion: 1\nname: edge\nlimits: {{ memory: 128MiB }}\npolicies: [node.yaml, tenant.yaml]\n\
         unikernels:\n\
         - {{ name: ok, image: none.hvt, memory: 64MiB }}\n\
         - {{ name: large, image: none.hvt, memory: 66MiB }}\n\
         - {{ name: told, image: none.hvt, memory: 2MiB, labels: {{ tenant: a }}, arguments: [\"<x>\"] }}\n\
         - {{ name: maybe, image: router.spt, memory: 8MiB, net: {{ service0: {{ tap: tap-1 }} }}, \
         block: {{ storage: {{ path: {folder}a.img }} }} }}\n\
         - {{ name: bare, image: router.spt, memory: 8MiB }}\n\
         - {{ name: gone, image: none, memory: 8MiB }}\n"
    );
    place.write("plan.yaml", text.as_bytes());
    let run = place.run(&["check", "--plan=plan.yaml", "--format=html"]);
    assert_eq!((run.status, run.stderr.lines().count()), (2, 1), "{}", run.stderr);
    run.stdout
}

#[test]
fn a_plan_is_a_table_of_launches_and_their_policies() {
    let place = Place::new();
    let page = plan(&place);
    for part in [
        "<h1>Plan edge</h1>",
        "P305",
        "does not apply",
        "allows, if",
        "denies",
        "cannot start",
        "not asked",
        "P404",
        "plan.yaml:4:19",
        "its tap is on bridge &quot;br0&quot;",
        "solo5-hvt --policy=node.yaml",
        ">over<",
        "'&lt;x&gt;' fits no rule",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(page.matches("<tbody data-result=").count(), 6);
    let one =
        place.run(&["check", "--policy=node.yaml", "--format=html", "none.hvt", "--", "--mem=2"]);
    assert_eq!((one.status, one.stderr.as_str()), (0, ""));
    assert!(one.stdout.contains("<h1>Check of 1 image</h1>"), "{}", one.stdout);
    for scheme in ["1", "0"] {
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        let Some(seen) = driven(&place, "html", &page, &[&scheme, "--window-size=500,2000"]) else {
            return;
        };
        assert_eq!(names(&seen["all"]), ["ok", "large", "told", "maybe", "bare", "gone"]);
        assert_eq!(names(&seen["ascending"])[0], "bare");
        assert_eq!(seen["pale"], serde_json::json!([]), "{scheme}");
        assert_eq!(seen["unnamed"], serde_json::json!([]), "{scheme}");
        assert_eq!(seen["overflow"], 0, "{scheme}");
    }
}

#[test]
fn a_difference_is_a_table_of_changes() {
    let place = Place::new();
    place.image("a.spt", Target::Spt);
    place.write("b.spt", &image(PF_R | PF_W | PF_X));
    place.image("same.spt", Target::Spt);
    let run = place.run(&["diff", "--format=html", "a.spt", "b.spt", "same.spt"]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    let page = run.stdout;
    for part in ["<h1>1 of 2 compared images changed</h1>", "S201", "digest", "b.spt", "same.spt"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for scheme in ["1", "0"] {
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        let Some(seen) = driven(&place, "html", &page, &[&scheme, "--window-size=500,2000"]) else {
            return;
        };
        assert_eq!(names(&seen["all"]), ["b.spt", "same.spt"]);
        assert_eq!(names(&seen["code"]), ["b.spt"]);
        assert_eq!(seen["pale"], serde_json::json!([]), "{scheme}");
        assert_eq!(seen["unnamed"], serde_json::json!([]), "{scheme}");
        assert_eq!(seen["overflow"], 0, "{scheme}");
    }
}

/// A file that nobody could read whole: sizes and addresses at the ends of their ranges are drawn.
#[test]
fn extreme_segments_are_drawn() {
    let place = Place::new();
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    sample.segments[DATA].p_vaddr = u64::MAX;
    sample.segments[DATA].p_memsz = u64::MAX;
    let path = place.write("wide.spt", &sample.bytes());
    File::options().write(true).open(path).and_then(|file| file.set_len(1 << 40)).expect("holes");
    let run = place.run(&["audit", "--format=html", "wide.spt"]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    assert!(run.stdout.contains("0x1fffffffffffffffe"), "{}", run.stdout);
}
