//! Follows the links of a folder of HTML pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use html5gum::{Token, Tokenizer};

use crate::Result;
use crate::references::inside;

/// What a page refers to, and what can be referred to in it.
#[derive(Default)]
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

/// How many links there are; an error names those that lead nowhere. Addresses elsewhere are not followed.
pub(super) fn follow(folder: &Path) -> Result<usize> {
    let mut pages = BTreeMap::new();
    read(folder, Path::new(""), &mut pages)?;
    let (mut count, mut lost) = (0, Vec::new());
    for (path, page) in &pages {
        for link in &page.links {
            let elsewhere =
                link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:");
            if elsewhere {
                continue;
            }
            count += 1;
            if !leads_somewhere(folder, &pages, path, link) {
                lost.push(format!("{}: {link}", path.display()));
            }
        }
    }
    if lost.is_empty() {
        return Ok(count);
    }
    Err(format!("{} links of the book lead nowhere:\n{}", lost.len(), lost.join("\n")).into())
}

fn leads_somewhere(
    folder: &Path,
    pages: &BTreeMap<PathBuf, Page>,
    from: &Path,
    link: &str,
) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = path.split('?').next().unwrap_or_default();
    let target = if path.is_empty() {
        Some(from.to_owned())
    } else {
        inside(&from.parent().unwrap_or(Path::new("")).join(path))
    };
    let Some(target) = target else { return false };
    match pages.get(&target) {
        Some(page) => anchor.is_empty() || page.anchors.contains(anchor),
        None => folder.join(target).is_file(),
    }
}

fn read(folder: &Path, below: &Path, pages: &mut BTreeMap<PathBuf, Page>) -> Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            read(folder, &path, pages)?;
        } else if path.extension().is_some_and(|suffix| suffix == "html")
            // Server pages: their links are from the root of a site.
            && path != Path::new("404.html")
        {
            let text = fs::read_to_string(entry.path())?;
            pages.insert(path, page(&text));
        }
    }
    Ok(())
}

fn page(text: &str) -> Page {
    let mut page = Page::default();
    for token in Tokenizer::new(text).flatten() {
        let Token::StartTag(tag) = token else { continue };
        for (name, value) in &tag.attributes {
            let value = String::from_utf8_lossy(value).into_owned();
            match name.as_slice() {
                b"href" | b"src" => page.links.push(value),
                b"id" => drop(page.anchors.insert(value)),
                _ => {}
            }
        }
    }
    page
}

#[test]
fn lost_links_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "a.html",
        "<h2 id=one>1</h2><a href='b.html#two'>b</a><a href=\"#one\"></a><img src=c.png>",
    );
    write("b.html", "<h2 id='two'>2</h2><a href='https://example.org/x#y'>z</a>");
    write("c.png", "");
    assert_eq!(follow(folder.path()).unwrap(), 3);
    write("b.html", "<a href='a.html#no'></a><a href=no.html></a><a href='../a.html'></a>");
    let error = follow(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("4 links"), "{error}");
}
