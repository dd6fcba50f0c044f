//! The commands that the pages show are run, and print what the pages show.
//!
//! | file | what |
//! |---|---|
//! | `page` | the blocks of a page, and what to do with each |
//! | `session` | runs a page's steps in one shell, in a folder and a network of their own |
//! | `explained` | what the pages need that `explain` prints, and which of their blocks are not run |
//! | `examples/pages` | what the folder of each page contains; `make.sh` makes images of it |
//!
//! In a `console` block, `$ ` starts a command, `> ` continues it, and the other lines are its output. A
//! line `...` stands for any lines, and `...` within a line for any text. A command that shows no output
//! must succeed, unless its line ends with `# status N`. So must each command of an `sh` block, unless its
//! line has a comment that starts with `# refused`.
//!
//! A comment in front of a block says more about it, and readers of the page do not see it:
//! `<!-- skip: REASON -->`, `<!-- file: NAME -->` (the block is written to this file), `<!-- run: COMMANDS -->`
//! (they are run before the block, and must succeed).

mod explained;
mod page;
mod session;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use page::{Item, Page, SHOWN};
use session::Session;
use solo5_tests::tree::repository;
use walkdir::WalkDir;

/// Every page of the book, by its path in the repository.
fn pages() -> Vec<Page> {
    let docs = WalkDir::new(repository().join("docs")).sort_by_file_name();
    let docs = docs.into_iter().map(|entry| entry.expect("a readable folder").into_path());
    let docs = docs.filter(|path| path.extension().is_some_and(|suffix| suffix == "md"));
    let examples = ["hello", "http", "random", "deep", "pages", "lua", "sqlite", "service"];
    let examples = examples.map(|name| repository().join("examples").join(name).join("README.md"));
    let all = [repository().join("README.md")].into_iter().chain(docs).chain(examples);
    all.map(|path| {
        let name = path.strip_prefix(repository()).expect("a path of ours");
        let text = fs::read_to_string(&path).expect("a readable page");
        Page::read(&name.to_string_lossy(), &text)
    })
    .collect()
}

#[test]
fn every_command_block_is_run_or_is_a_named_skip() {
    let Some(session) = Session::prepare() else {
        println!("skip: commands: no network namespace can be made");
        return;
    };
    let (mut wrong, mut skips) = (String::new(), BTreeMap::new());
    let (mut run, mut commands, mut skipped) = (0, 0, 0);
    let only = std::env::var("SOLO5_PAGE").unwrap_or_default();
    for page in pages().iter().filter(|page| page.name.contains(&only)) {
        let blocks = page.items.iter().filter_map(Item::block);
        let (here, not_here): (Vec<_>, Vec<_>) = blocks.partition(|block| block.skip.is_none());
        for reason in not_here.iter().filter_map(|block| block.skip.clone()) {
            skips.entry(reason).or_insert_with(Vec::new).push(page.name.clone());
        }
        run += here.len();
        commands += here.iter().map(|block| block.steps.len()).sum::<usize>();
        skipped += not_here.len();
        if !here.is_empty() {
            wrong += &session.run(page);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let mut summary =
        format!("{run} command blocks with {commands} commands are run, {skipped} are not:\n");
    for (reason, pages) in skips {
        let _ = write!(summary, "\n{} × {reason}: {}", pages.len(), pages.join(" "));
    }
    println!("{summary}");
    if only.is_empty() {
        insta::assert_snapshot!("commands", summary);
    }
}

/// A reader can repeat what a page shows: no image is made where readers do not see it, and a page that names
/// the images of `examples/pages` says so.
#[test]
fn readers_can_make_the_images_that_pages_name() {
    let is_image = |word: &str| {
        let name = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        [".spt", ".hvt", ".virtio"].iter().any(|suffix| name.ends_with(suffix))
    };
    let given = |word: &str| {
        let name = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let name = name.rsplit('/').next().unwrap_or(name);
        is_image(name)
            && ["app", "router", "unikernel"]
                .iter()
                .any(|stem| name.split('.').next() == Some(stem))
    };
    let mut wrong = Vec::new();
    for page in pages().iter().filter(|page| page.name.starts_with("docs/")) {
        // Pages of codes are short, and their parent says where images come from.
        if page.name.matches('/').count() > 1 {
            continue;
        }
        let text = fs::read_to_string(repository().join(&page.name)).expect("a readable page");
        let mut names_given = false;
        for item in &page.items {
            match item {
                Item::Hidden(step) if step.command.split_whitespace().any(is_image) => {
                    wrong.push(format!("{}:{}: an image is made unseen", page.name, step.line));
                }
                Item::Block(block) if block.skip.is_none() => {
                    let mut words =
                        block.steps.iter().flat_map(|step| step.command.split_whitespace());
                    names_given |= words.any(given);
                }
                _ => {}
            }
        }
        let makes_them = text.contains("-o app.spt") || text.contains("-o app.virtio");
        if names_given && !makes_them && !text.contains("(../examples/pages/README.md)") {
            wrong.push(format!("{}: does not say where its images come from", page.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Editors find the schema that a first line names: it is a file that is installed, not an address.
#[test]
fn schemas_that_pages_name_are_files() {
    let places = ["README.md", "docs", "examples"].map(|name| repository().join(name));
    let files =
        places.iter().flat_map(WalkDir::new).map(|entry| entry.expect("readable").into_path());
    let read = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|suffix| suffix == "md" || suffix == "yaml")
    };
    let (mut wrong, mut found) = (Vec::new(), 0);
    for path in files.filter(read) {
        let text = fs::read_to_string(&path).expect("a text");
        for word in text.split("$schema=").skip(1) {
            let named = word.split_whitespace().next().unwrap_or_default();
            let file = named.rsplit('/').next().unwrap_or(named);
            found += 1;
            let is_there = repository().join("schemas").join(file).is_file();
            // An example's path leads to the schema from its own folder, here and installed.
            let leads = path.extension().is_none_or(|suffix| suffix != "yaml")
                || path.parent().expect("a folder").join(named).is_file();
            if named.contains("://") || !is_there || !leads {
                wrong.push(format!("{}: {named}", path.display()));
            }
        }
    }
    assert!(found > 8, "{found}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A block without a language could hide commands.
#[test]
fn every_block_names_its_language() {
    let languages = pages();
    let languages = languages.iter().flat_map(|page| {
        page.languages.iter().map(move |(line, language)| (&page.name, line, language))
    });
    let unknown: Vec<_> = languages
        .filter(|(_, _, language)| !SHOWN.contains(&language.as_str()))
        .map(|(name, line, language)| format!("{name}:{line}: '{language}'"))
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}
