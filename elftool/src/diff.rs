//! `diff`: what changed from one image or lock to another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use maud::{Markup, html};
use serde::Serialize;
use solo5_report::one_line;

use crate::console::{Console, Exit, Failure};
use crate::facts::{Facts, LOCK_MAX, Lock};
use crate::html::{Pieces, controls, left_out, page, text, tiles};
use crate::options::ReportFormat;

#[derive(Debug, clap::Args)]
pub(crate) struct DiffOptions {
    /// Image or lock
    old: PathBuf,
    /// Images or locks
    #[arg(required = true)]
    new: Vec<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

/// One difference. `old` is missing where something was added, `new` where it was removed.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    /// What: `digest`, `device`, `section .text`, …
    what: String,
    old: Option<String>,
    new: Option<String>,
}

/// The differences of one image.
#[derive(Debug, Serialize)]
struct Compared {
    file: String,
    changes: Vec<Change>,
}

/// The JSON output.
#[derive(Serialize)]
struct Report {
    images: Vec<Compared>,
    /// How many of the new files cannot be read.
    #[serde(skip_serializing_if = "is_none")]
    unreadable: usize,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Compared {
    /// What became of the image, in a word.
    fn result(&self) -> &'static str {
        match self.changes.as_slice() {
            [] => "unchanged",
            [Change { what, old: None, .. }] if what == "image" => "added",
            [Change { what, new: None, .. }] if what == "image" => "removed",
            _ => "changed",
        }
    }
}

impl DiffOptions {
    /// Compares the old with each of the new that can be read.
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let mut left = LOCK_MAX;
        let mut read =
            |path: &Path| Lock::of(path, &mut left).map_err(|why| Failure::of(path, why));
        let (old, old_is_image) = read(&self.old)?;
        let mut news = Vec::new();
        for path in &self.new {
            match read(path) {
                Ok(new) => news.push(new),
                Err(why) => console.say(why),
            }
        }
        if news.is_empty() {
            return Ok(Exit::Incomplete);
        }
        let unreadable = self.new.len().saturating_sub(news.len());
        let images = compare((&old, old_is_image), &news, unreadable);
        let changed = images.iter().any(|image| !image.changes.is_empty());
        match self.format {
            ReportFormat::Human => console.print(&images.iter().map(human).collect::<String>())?,
            ReportFormat::Json => console.print_json(&Report { images, unreadable })?,
            ReportFormat::Html => console.print(&whole(&images, unreadable))?,
        }
        Ok(match unreadable {
            0 => Exit::objection_if(changed),
            _ => Exit::Incomplete,
        })
    }
}

/// Compares two images whatever their paths, an image with a lock's entry for its path, and two locks
/// whole. The flag of each lock says whether it was made from an image. `unreadable` is how many of the
/// new ones are not among `new`.
fn compare(
    (old, is_image): (&Lock, bool),
    new: &[(Lock, bool)],
    unreadable: usize,
) -> Vec<Compared> {
    let known = by_path(&old.images);
    let single = new.len() == 1 && unreadable == 0;
    let pair = |file: &str, old: Option<&Facts>, new: Option<&Facts>| Compared {
        file: file.to_owned(),
        changes: between(old, new),
    };
    let mut results = Vec::new();
    for (lock, new_is_image) in new {
        match (old.images.as_slice(), lock.images.as_slice()) {
            // A lock with one entry is compared whatever its path.
            ([old], [new]) if is_image && (*new_is_image || single) || *new_is_image && single => {
                results.push(pair(&new.file, Some(old), Some(new)));
            }
            ([old], all) if is_image => {
                let new = by_path(all).get(old.file.as_str()).copied();
                results.push(pair(&old.file, Some(old), new));
            }
            (_, all) => results.extend(all.iter().map(|new| {
                let old = known.get(new.file.as_str()).copied();
                pair(&new.file, old, Some(new))
            })),
        }
    }
    // Only between locks are missing entries a change: given images need not be all of a lock. What is
    // missing from those that can be read may be in another.
    if unreadable == 0 && !is_image && new.iter().all(|(_, is_image)| !is_image) {
        let locks = new.iter().flat_map(|(lock, _)| &lock.images);
        let there: BTreeSet<&str> = locks.map(|facts| facts.file.as_str()).collect();
        let gone = old.images.iter();
        let gone = gone.filter(|facts| !there.contains(facts.file.as_str()));
        results.extend(gone.map(|old| pair(&old.file, Some(old), None)));
    }
    results
}

/// The images of a lock by path; of several with one path, the first.
fn by_path(images: &[Facts]) -> BTreeMap<&str, &Facts> {
    let images = images.iter().rev();
    images.map(|facts| (facts.file.as_str(), facts)).collect()
}

/// The changes of an image, or that it was added or removed.
fn between(old: Option<&Facts>, new: Option<&Facts>) -> Vec<Change> {
    if let (Some(old), Some(new)) = (old, new) {
        return changes(old, new);
    }
    vec![Change {
        what: String::from("image"),
        old: old.map(|facts| facts.digest.clone()),
        new: new.map(|facts| facts.digest.clone()),
    }]
}

fn changes(old: &Facts, new: &Facts) -> Vec<Change> {
    let mut out = Vec::new();
    let mut value = |what: &str, old: Option<String>, new: Option<String>| {
        if old != new {
            let what = what.to_owned();
            out.push(Change { what, old, new });
        }
    };
    let number = |number: u64| Some(number.to_string());
    value("digest", Some(old.digest.clone()), Some(new.digest.clone()));
    value("arch", old.arch.clone(), new.arch.clone());
    value("abi", old.abi.clone(), new.abi.clone());
    let version = |facts: &Facts| facts.manifest.map(|version| version.to_string());
    value("manifest", version(old), version(new));
    value("size", number(old.size), number(new.size));
    let memory = |facts: &Facts| facts.memory.map(|bytes| bytes.to_string());
    value("memory", memory(old), memory(new));
    value("writable", number(old.writable), number(new.writable));
    let names: BTreeSet<&String> = old.sections.keys().chain(new.sections.keys()).collect();
    for name in names {
        let size = |facts: &Facts| facts.sections.get(name).map(|bytes| bytes.to_string());
        value(&format!("section {name}"), size(old), size(new));
    }
    sets("needs", &old.needs, &new.needs, &mut out);
    sets("device", &old.devices, &new.devices, &mut out);
    // Order matters: the guest refers to a device by its position.
    if old.devices != new.devices && old.devices.len() == new.devices.len() {
        let both = (old.devices.join(", "), new.devices.join(", "));
        out.push(Change { what: String::from("devices"), old: Some(both.0), new: Some(both.1) });
    }
    // For an image without symbols the functions it uses are unknown, so no change is reported.
    if let (Some(old), Some(new)) = (&old.api, &new.api) {
        sets("api", old, new, &mut out);
    }
    sets("finding", &old.findings, &new.findings, &mut out);
    out
}

/// Entries added and removed.
fn sets(what: &str, old: &[String], new: &[String], out: &mut Vec<Change>) {
    let (olds, news): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
    for gone in olds.difference(&news) {
        out.push(Change { what: what.to_owned(), old: Some((*gone).clone()), new: None });
    }
    for came in news.difference(&olds) {
        out.push(Change { what: what.to_owned(), old: None, new: Some((*came).clone()) });
    }
}

/// The difference of two sizes; empty for other values.
fn difference(what: &str, old: &str, new: &str) -> Option<String> {
    let counts = matches!(what, "size" | "memory" | "writable") || what.starts_with("section ");
    let (old, new): (u64, u64) = (old.parse().ok()?, new.parse().ok()?);
    let sign = if new < old { '-' } else { '+' };
    counts.then(|| format!("  ({sign}{})", new.abs_diff(old)))
}

fn human(Compared { file, changes }: &Compared) -> String {
    let mut out = one_line(file);
    if changes.is_empty() {
        out.push_str("  unchanged");
    }
    out.push('\n');
    for Change { what, old, new } in changes {
        let line = match (old, new) {
            (Some(old), Some(new)) => {
                let by = difference(what, old, new).unwrap_or_default();
                format!("  {what}: {old} → {new}{by}")
            }
            (Some(old), None) => format!("- {what}: {old}"),
            (None, Some(new)) => format!("+ {what}: {new}"),
            (None, None) => continue,
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {}", one_line(&line));
    }
    out
}

/// The page.
fn whole(images: &[Compared], unreadable: usize) -> String {
    let mut rows = Pieces::default();
    images.iter().for_each(|image| rows.add(&entry(image).into_string()));
    let count = |wanted: &str| images.iter().filter(|image| image.result() == wanted).count();
    let counts = [
        (images.len(), "", "images"),
        (count("changed"), "warning", "changed"),
        (count("added"), "note", "added"),
        (count("removed"), "note", "removed"),
        (count("unchanged"), "good", "unchanged"),
        (unreadable, "error", "unreadable"),
    ];
    let counts: Vec<_> = counts.into_iter().filter(|(count, ..)| *count > 0).collect();
    let body = html! {
        (tiles(&counts))
        h2 #images { "Images" }
        (left_out(rows.left_out, images.len()))
        (controls("name, device, .text …", &[
            ("changed", "changed"), ("added", "added"), ("removed", "removed"), ("unchanged", "unchanged"),
        ]))
        table.fleet aria-labelledby="images" {
            thead { tr {
                th scope="col" { "Image" }
                th scope="col" { "Result" }
                th.number scope="col" { "Changes" }
            } }
            (rows.markup())
        }
    };
    let changed = images.iter().filter(|image| !image.changes.is_empty()).count();
    page(
        &format!("{changed} of {} compared images changed", images.len()),
        "from the old to the new",
        &body,
    )
}

/// An image of the page: its row and its changes.
fn entry(image: &Compared) -> Markup {
    let (result, count) = (image.result(), image.changes.len());
    let changed = result != "unchanged";
    html! {
        tbody data-result=(result) {
            tr {
                th scope="row" { (text(&image.file)) }
                td { span.tag.warning[changed].good[!changed] { (result) } }
                td.number { (count) }
            }
            @if changed {
                tr.more {
                    td colspan="3" {
                        details open {
                            summary { "Changes of " (text(&image.file)) }
                            div.card { (changes_table(image)) }
                        }
                    }
                }
            }
        }
    }
}

fn changes_table(image: &Compared) -> Markup {
    let difference =
        |change: &Change| difference(&change.what, change.old.as_ref()?, change.new.as_ref()?);
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Changes of " (text(&image.file)) } {
            table.lines.changes aria-label="Changes" {
                thead { tr {
                    th scope="col" { "What" }
                    th scope="col" { "Old" }
                    th scope="col" { "New" }
                    th.number scope="col" { "By" }
                } }
                tbody {
                    @for change in &image.changes {
                        tr {
                            th scope="row" { (text(&change.what)) }
                            td { (value(change.old.as_deref())) }
                            td { (value(change.new.as_deref())) }
                            td.number { (difference(change).unwrap_or_default().trim().trim_matches(['(', ')'])) }
                        }
                    }
                }
            }
        }
    }
}

fn value(value: Option<&str>) -> Markup {
    html! {
        @if let Some(value) = value { code { (text(value)) } } @else { span.quiet { "none" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Facts {
            file: String::from("a.spt"),
            digest: String::from("sha256:0"),
            size: 1000,
            arch: Some(String::from("x86_64")),
            abi: Some(String::from("spt 2")),
            devices: words(&["net a", "net b"]),
            manifest: Some(1),
            needs: Vec::new(),
            memory: Some(2 << 20),
            writable: 4096,
            api: Some(words(&["solo5_net_read"])),
            sections: BTreeMap::from([(String::from(".text"), 100), (String::from(".data"), 8)]),
            findings: words(&["S301 odd"]),
        }
    }

    fn shown(change: fn(&mut Facts)) -> String {
        let mut new = facts();
        change(&mut new);
        human(&Compared { file: String::from("a.spt"), changes: changes(&facts(), &new) })
    }

    #[test]
    fn each_fact_that_changes_is_reported() {
        assert_eq!(shown(|_| {}), "a.spt  unchanged\n");
        for (change, expected) in [
            (
                (|facts| facts.digest = String::from("sha256:1")) as fn(&mut Facts),
                "    digest: sha256:0 → sha256:1\n",
            ),
            (|facts| facts.arch = None, "  - arch: x86_64\n"),
            (|facts| facts.abi = Some(String::from("hvt 2")), "    abi: spt 2 → hvt 2\n"),
            (|facts| facts.manifest = Some(2), "    manifest: 1 → 2\n"),
            (|facts| facts.size = 900, "    size: 1000 → 900  (-100)\n"),
            (|facts| facts.memory = Some(3 << 20), "    memory: 2097152 → 3145728  (+1048576)\n"),
            (|facts| facts.writable = 8192, "    writable: 4096 → 8192  (+4096)\n"),
            (
                |facts| facts.needs.push(String::from("an executable heap")),
                "  + needs: an executable heap\n",
            ),
            (|facts| facts.devices.swap(0, 1), "    devices: net a, net b → net b, net a\n"),
            (
                |facts| facts.devices[0] = String::from("net a, optional"),
                "  - device: net a\n  + device: net a, optional\n    devices: net a, net b → net a, \
                 optional, net b\n",
            ),
            (
                |facts| facts.api = Some(vec![String::from("solo5_net_write")]),
                "  - api: solo5_net_read\n  + api: solo5_net_write\n",
            ),
            (
                |facts| {
                    facts.sections.remove(".data");
                    facts.sections.insert(String::from(".text"), 120);
                    facts.sections.insert(String::from(".bss"), 64);
                },
                "  + section .bss: 64\n  - section .data: 8\n    section .text: 100 → 120  (+20)\n",
            ),
            (|facts| facts.findings.clear(), "  - finding: S301 odd\n"),
            // The functions that an image without symbols uses are unknown.
            (|facts| facts.api = None, ""),
        ] {
            let expected = if expected.is_empty() {
                String::from("a.spt  unchanged\n")
            } else {
                format!("a.spt\n{expected}")
            };
            assert_eq!(shown(change), expected);
        }
    }
}
