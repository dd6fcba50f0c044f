//! The book's source: copies of the pages, and a summary of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::references::{inside, links};
use crate::tree::write;

/// Where the order of the pages is.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Copies the pages to `source`, and returns how many they are.
pub(super) fn copy(root: &Path, source: &Path) -> Result<usize> {
    let listed = fs::read_to_string(root.join(SUMMARY))?;
    let (summary, pages) = summary(root, &listed)?;
    fs::create_dir_all(source)?;
    fs::write(source.join("SUMMARY.md"), summary)?;
    let mut files = BTreeSet::new();
    for page in &pages {
        let text = fs::read_to_string(root.join(page))
            .map_err(|error| format!("{SUMMARY} lists {}: {error}", page.display()))?;
        let folder = page.parent().unwrap_or(Path::new(""));
        let linked = links(&text).filter_map(|link| inside(&folder.join(link)));
        files.extend(linked.filter(|link| !pages.contains(link) && root.join(link).is_file()));
        write(&source.join(page), text.as_bytes())?;
    }
    for file in files {
        write(&source.join(&file), &fs::read(root.join(&file))?)?;
    }
    Ok(pages.len())
}

/// The summary with paths from the root of the repository and with the pages of folders, and all pages.
fn summary(root: &Path, listed: &str) -> Result<(String, BTreeSet<PathBuf>)> {
    let (mut out, mut pages) = (String::new(), BTreeSet::new());
    for line in listed.lines() {
        let Some(link) = links(line).next() else {
            out += &format!("{line}\n");
            continue;
        };
        let page = inside(&Path::new("docs").join(link))
            .ok_or_else(|| format!("{SUMMARY}: '{link}' leads out"))?;
        out += &format!("{}\n", line.replace(&format!("]({link})"), &target(&page)));
        let folder = page.parent().unwrap_or(Path::new(""));
        if page.ends_with("README.md") && folder.starts_with("docs") {
            let indent = line.len() - line.trim_start().len() + 2;
            for child in children(root, folder)? {
                let text = fs::read_to_string(root.join(&child))?;
                let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
                let title = title.replace(['[', ']'], "");
                out += &format!("{:indent$}- [{title}{}\n", "", target(&child));
                pages.insert(child);
            }
        }
        pages.insert(page);
    }
    Ok((out, pages))
}

fn target(page: &Path) -> String {
    format!("]({})", page.display())
}

/// The other pages in the folder of a `README.md`, sorted.
fn children(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|suffix| suffix == "md") && name != Path::new("README.md") {
            found.push(folder.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// Every page is in the book, so that a reader who searches finds it.
#[test]
fn the_summary_has_every_page() {
    let root = crate::root();
    let listed = fs::read_to_string(root.join(SUMMARY)).unwrap();
    let (_, pages) = summary(&root, &listed).unwrap();
    let mut missing = Vec::new();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "md")
                && path != Path::new(SUMMARY)
                && !path.starts_with("docs/completions")
                && !pages.contains(&path)
            {
                missing.push(path);
            }
        }
    }
    assert!(missing.is_empty(), "docs/SUMMARY.md lacks {missing:?}");
    for page in &pages {
        assert!(root.join(page).is_file(), "{}", page.display());
    }
}
