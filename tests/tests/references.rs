//! References in the repository's texts must lead to pages, files and anchors in the repository.
//!
//! A reference is a relative link of a Markdown page, a name like `docs/reference/hvt.md#ring`
//! anywhere, or the name of any other page in a comment. A reader who has only this repository
//! cannot follow a name that leads out of it, nor look up a number of a collection of facts that is
//! not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

/// Folders of build results, of git, and of crates that `cargo vendor` has put beside the sources.
const NOT_OURS: [&str; 3] = ["target", ".git", "vendor"];
const EXTENSION: &str = ".md";

/// The texts of a repository by their path in it, without files that are not UTF-8.
type Texts = BTreeMap<PathBuf, String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn texts() -> Texts {
    let root = root();
    let ours = |name: &std::ffi::OsStr| !NOT_OURS.iter().any(|skipped| name == *skipped);
    let entries = WalkDir::new(&root).into_iter().filter_entry(|entry| ours(entry.file_name()));
    entries
        .map(|entry| entry.expect("a readable folder"))
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let text = String::from_utf8(fs::read(entry.path()).ok()?).ok()?;
            Some((entry.path().strip_prefix(&root).ok()?.to_owned(), text))
        })
        .collect()
}

/// `path` without `.` and `..`; `None` if it leads out.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => out.pop().then_some(())?,
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

/// The anchor that Markdown renderers give to a heading: letters, digits, `-` and `_` in lower case, with
/// a hyphen for each blank.
fn anchor_of(heading: &str) -> String {
    // Of a link only the text counts.
    let mut shown = String::new();
    let mut rest = heading;
    while let Some((before, link)) = rest.split_once("](") {
        shown.push_str(before);
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor: String = shown.trim().to_lowercase().chars().filter(kept).collect();
    anchor.replace(' ', "-")
}

/// The lines of a page that are not in a block of code.
fn prose(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    (1..).zip(page.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The anchors that a page sets itself.
fn set_anchors(page: &str) -> Vec<&str> {
    let parts = page.split("<a id=\"").skip(1);
    parts.filter_map(|part| Some(part.split_once('"')?.0)).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|(_, line)| line.starts_with('#'));
    let headings = headings.map(|(_, line)| anchor_of(line.trim_start_matches('#')));
    headings.chain(set_anchors(page).into_iter().map(str::to_owned)).collect()
}

/// Where the links of a line lead, as written.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|part| Some(part.split_once(')')?.0));
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// The names of pages in a line, with their anchors.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || "_-./#:".contains(c));
    let words = line.split(ends).map(|word| word.trim_end_matches(['.', ':', '/', '#']));
    words.filter(|word| {
        let path = word.split('#').next().unwrap_or_default();
        let stem = path.strip_suffix(EXTENSION).unwrap_or_default();
        !word.contains("://") && !stem.is_empty() && !stem.ends_with('/')
    })
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    ["//", "#", "*", "/*"].iter().any(|start| line.starts_with(start)) || line.contains(" // ")
}

/// Why `reference` in the file `from` leads nowhere, whichever of `folders` its path starts from.
fn lost(texts: &Texts, from: &Path, reference: &str, folders: &[&Path]) -> Option<String> {
    let (path, anchor) = reference.split_once('#').unwrap_or((reference, ""));
    let here = || texts.contains_key(from).then(|| from.to_owned());
    let found = if path.is_empty() {
        here()
    } else {
        let candidates = folders.iter().filter_map(|folder| inside(&folder.join(path)));
        let exists = |path: &PathBuf| texts.contains_key(path) || root().join(path).exists();
        candidates.into_iter().find(exists)
    };
    let Some(found) = found else {
        return Some(format!("'{reference}': there is no such file"));
    };
    let has = |page: &String| anchor.is_empty() || anchors(page).contains(anchor);
    match texts.get(&found) {
        Some(page) if !has(page) => Some(format!("'{reference}': there is no such anchor")),
        _ => None,
    }
}

/// Every reference of the file at `path` that leads nowhere, with its line.
fn faults(texts: &Texts, path: &Path, text: &str) -> Vec<String> {
    let top = Path::new("");
    let folder = path.parent().unwrap_or(top);
    let is_page = path.extension().is_some_and(|extension| extension == "md");
    let mut out = Vec::new();
    let mut report =
        |line: usize, why: String| out.push(format!("{}:{line}: {why}", path.display()));

    if is_page {
        let targets =
            prose(text).flat_map(|(number, line)| links(line).map(move |it| (number, it)));
        for (number, target) in targets {
            if let Some(why) = lost(texts, path, target, &[folder]) {
                report(number, why);
            }
        }
        let mut seen = BTreeSet::new();
        for anchor in set_anchors(text).into_iter().filter(|anchor| !seen.insert(*anchor)) {
            report(0, format!("the anchor '{anchor}' is set twice"));
        }
    }
    for (number, line) in (1..).zip(text.lines()) {
        let named =
            names(line).filter(|name| name.starts_with("docs/") || !is_page && is_comment(line));
        for name in named {
            if let Some(why) = lost(texts, path, name, &[top, folder]) {
                report(number, why);
            }
        }
        let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let lettered = words.filter_map(|word| word.strip_prefix("B-")).any(numbered);
        if lettered || line.split("spec/").skip(1).any(numbered) {
            report(number, "a number of a collection that is not here".to_owned());
        }
    }
    out
}

#[test]
fn every_reference_leads_somewhere() {
    let texts = texts();
    assert!(texts.contains_key(Path::new("README.md")), "this is no repository");
    let found: Vec<String> =
        texts.iter().flat_map(|(path, text)| faults(&texts, path, text)).collect();
    assert!(found.is_empty(), "{} references lead nowhere:\n{}", found.len(), found.join("\n"));
}

#[test]
fn broken_references_are_found() {
    // `@` stands for the folder, since this file is checked, too.
    let folder = |text: &str| text.replace('@', "docs");
    let page = "# The page\n\n<a id=\"ring\"></a>\n## A [ring](x.rs) of `frames`\n\n```\n# no heading\n```\n";
    let texts = Texts::from([
        (folder("@/page.md").into(), page.to_owned()),
        (folder("@/x.rs").into(), String::new()),
    ]);
    let count =
        |path: &str, text: &str| faults(&texts, Path::new(&folder(path)), &folder(text)).len();
    for good in [
        "[a](page.md) [b](page.md#ring) [c](page.md#a-ring-of-frames) [d](page.md#the-page)",
        "[e](x.rs) [f](https://example.org/no.md#no) [g](../@/page.md#ring)",
        "see `@/page.md#ring`, @/page.md.",
        "```\n[in code](no.md)\n```",
    ] {
        assert_eq!(count("@/other.md", good), 0, "{good}");
    }
    for bad in [
        "[a](no.md)",
        "[a](page.md#no)",
        "[a](page.md#no-heading)",
        "[a](#no)",
        "[a](../../page.md)",
        "see `@/page.md#no`",
        "see @/no.md",
        "<a id=\"one\"></a> <a id=\"one\"></a>",
    ] {
        assert_eq!(count("@/other.md", bad), 1, "{bad}");
    }
    for good in ["//! `@/page.md#ring`", "let text = \"notes.md\";", "// https://a.example/b.md"] {
        assert_eq!(count("crate/src/lib.rs", good), 0, "{good}");
    }
    let numbered = ["// spec", "/20, §4"].concat();
    let lettered = ["// as in B", "-17"].concat();
    for bad in ["// `@/page.md#no`", "\"@/no.md\"", "//! see `absent.md` §6", &numbered, &lettered]
    {
        assert_eq!(count("crate/src/lib.rs", bad), 1, "{bad}");
    }
}
