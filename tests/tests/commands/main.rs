//! The commands that the pages show are run, and print what the pages show.
//!
//! | file | what |
//! |---|---|
//! | `page` | the blocks of a page, and what to do with each |
//! | `session` | runs a page's steps in one shell, in a folder and a network of their own |
//! | `explained` | what the pages need that `explain` prints, and which of their blocks are not run |
//! | `folder/` | what the folder of each page contains; `prepare.sh` makes images of it |
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
    let examples = ["hello", "http", "random", "deep"];
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
