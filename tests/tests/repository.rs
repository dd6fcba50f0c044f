//! The repository as a whole: circles of imports, lengths of files, lock files, marks left by
//! `cargo xtask new`, and what pages say about packages, files and rules.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use solo5_tests::tree::repository;
use syn::visit::Visit;

/// The most files that may import each other in a circle.
const CIRCLE_MAX: usize = 3;
/// The most lines of a file, its tests not counted.
const LINES_MAX: usize = 500;

/// Circles that are left, by the first file of each.
const CIRCLES: &[&str] = &[];

/// Files that may be longer, and why.
const LONG: &[(&str, &str)] = &[
    ("linker-wrapper/src/arguments.rs", "options of three tools, most of it a table"),
    ("tenders/common/src/error.rs", "every error of a tender and its words"),
];

/// A module: the names from its crate's root to it.
type Module = Vec<String>;

/// The imports of a crate.
#[derive(Default)]
struct Imports {
    /// The file of each module. A module that is written in its parent's file has that file.
    files: BTreeMap<Module, PathBuf>,
    /// What each module imports under a name, as written there.
    names: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
    /// Every path that is written in a module.
    paths: Vec<(Module, Vec<String>)>,
}

/// Whether an item is compiled only for tests.
fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string().replace(' ', "");
        list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
    })
}

impl Imports {
    /// Reads a crate from its root file.
    fn of(root: &Path) -> Imports {
        let mut imports = Imports::default();
        imports.read(Vec::new(), root, root.parent().expect("a folder"));
        imports
    }

    /// Reads the file of a module, whose own modules have theirs in `folder`.
    fn read(&mut self, module: Module, file: &Path, folder: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        self.items(&module, &parsed.items, file, folder);
    }

    fn items(&mut self, module: &Module, items: &[syn::Item], file: &Path, folder: &Path) {
        self.files.insert(module.clone(), file.to_owned());
        for item in items {
            match item {
                syn::Item::Mod(inner) if !for_tests(&inner.attrs) => {
                    let name = inner.ident.to_string();
                    let child: Module = [module.as_slice(), std::slice::from_ref(&name)].concat();
                    let below = folder.join(&name);
                    if let Some((_, items)) = &inner.content {
                        self.items(&child, items, file, &below);
                        continue;
                    }
                    let files = [folder.join(format!("{name}.rs")), below.join("mod.rs")];
                    let file = files.into_iter().find(|file| file.exists());
                    self.read(child, &file.unwrap_or_else(|| panic!("no file of {name}")), &below);
                }
                syn::Item::Mod(_) => {}
                item => Paths { module, imports: self }.visit_item(item),
            }
        }
    }

    /// The file that a path leads to, if it is one of this crate.
    fn target(&self, module: &Module, path: &[String], depth: usize) -> Option<&PathBuf> {
        // A name may stand for another name, and so on. The limit ends a cycle.
        if depth > 16 {
            return None;
        }
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => module.split_last()?.1.to_vec(),
            name => {
                let child = [module.as_slice(), &[name.to_owned()]].concat();
                if !self.files.contains_key(&child) {
                    let meant = self.names.get(module)?.get(name)?;
                    // An import of a name from another crate stands for itself.
                    let meant = (meant.first() != Some(first)).then_some(meant)?;
                    return self.target(module, &[meant, rest].concat(), depth + 1);
                }
                child
            }
        };
        while let Some((name, further)) = rest.split_first() {
            if name == "super" {
                at.pop()?;
            } else {
                let child = [at.as_slice(), std::slice::from_ref(name)].concat();
                if !self.files.contains_key(&child) {
                    // An item that a module re-exports belongs to the module that defines it.
                    let meant = self.names.get(&at).and_then(|names| names.get(name));
                    let passed = meant.and_then(|meant| self.target(&at, meant, depth + 1));
                    return passed.or_else(|| self.files.get(&at));
                }
                at = child;
            }
            rest = further;
        }
        self.files.get(&at)
    }

    /// Files that import each other in a circle, by groups.
    fn circles(&self) -> Vec<Vec<PathBuf>> {
        let mut files: Vec<&PathBuf> = self.files.values().collect();
        files.sort();
        files.dedup();
        let root = &self.files[&Vec::new()];
        let index = |file: &PathBuf| files.binary_search(&file).expect("a known file");
        let mut reaches = vec![vec![false; files.len()]; files.len()];
        for (module, path) in &self.paths {
            // A crate's root re-exports items of its modules, and modules may use items of the root,
            // such as the crate's error. So the root counts in no circle.
            if let Some(target) = self.target(module, path, 0)
                && target != root
            {
                reaches[index(&self.files[module])][index(target)] = true;
            }
        }
        for middle in 0..files.len() {
            let further = reaches[middle].clone();
            for row in reaches.iter_mut().filter(|row| row[middle]) {
                row.iter_mut().zip(&further).for_each(|(cell, reached)| *cell |= reached);
            }
        }
        let mut circles = Vec::new();
        let mut seen = vec![false; files.len()];
        for first in 0..files.len() {
            let circle: Vec<usize> = (first..files.len())
                .filter(|&other| other == first || reaches[first][other] && reaches[other][first])
                .collect();
            if !seen[first] && circle.len() > 1 {
                circles.push(circle.iter().map(|&file| files[file].clone()).collect());
            }
            circle.into_iter().for_each(|file| seen[file] = true);
        }
        circles
    }
}

/// Collects the paths of an item that is no module.
struct Paths<'a> {
    module: &'a Module,
    imports: &'a mut Imports,
}

impl Paths<'_> {
    fn import(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        let mut add = |name: Option<String>, path: Vec<String>| {
            self.imports.paths.push((self.module.clone(), path.clone()));
            let names = self.imports.names.entry(self.module.clone()).or_default();
            names.extend(name.map(|name| (name, path)));
        };
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(tree, before));
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                add(before.last().cloned(), before.clone());
            }
            syn::UseTree::Name(name) => {
                let name = name.ident.to_string();
                add(Some(name.clone()), [before.as_slice(), &[name]].concat());
            }
            syn::UseTree::Rename(rename) => {
                let path = [before.as_slice(), &[rename.ident.to_string()]].concat();
                add(Some(rename.rename.to_string()), path);
            }
            syn::UseTree::Glob(_) => add(None, before.clone()),
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !for_tests(&item.attrs) {
            self.import(&item.tree, &mut Vec::new());
        }
    }

    /// `pub(super)` imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.imports.paths.push((self.module.clone(), names));
        syn::visit::visit_path(self, path);
    }
}

/// Every Rust file in the repository that is not of a test, by its path from the root.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![repository()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                // Cargo marks the folders it builds into.
                let built = path.join("CACHEDIR.TAG").exists();
                // `cargo vendor` puts other people's crates beside the sources.
                let tests =
                    ["tests", "e2e", ".git", "vendor"].iter().any(|name| path.ends_with(name));
                if !built && (!tests || path == repository().join("tests")) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                let below = path.strip_prefix(repository()).expect("a path in the repository");
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn no_more_than_three_files_import_each_other_in_a_circle() {
    let is_root = |path: &&String| {
        path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.ends_with("/main.rs")
    };
    let mut wrong = String::new();
    let mut left: Vec<&str> = CIRCLES.to_vec();
    let sources = sources();
    let roots: Vec<_> = sources.iter().filter(is_root).collect();
    assert!(roots.len() > 15, "only {} crates were found", roots.len());
    for root in roots {
        for circle in Imports::of(&repository().join(root)).circles() {
            let circle: Vec<_> = circle
                .iter()
                .map(|file| file.strip_prefix(repository()).expect("a file of ours").display())
                .map(|file| file.to_string())
                .collect();
            if circle.len() <= CIRCLE_MAX {
                continue;
            }
            let before = left.len();
            left.retain(|known| *known != circle[0]);
            if left.len() == before {
                wrong += &format!("{} files: {}\n", circle.len(), circle.join(" "));
            }
        }
    }
    assert!(wrong.is_empty(), "these import each other:\n{wrong}");
    assert!(left.is_empty(), "these are no longer circles, so remove them: {left:?}");
}

#[test]
fn no_file_is_longer_than_500_lines_without_a_reason() {
    let mut wrong = Vec::new();
    let mut left: Vec<_> = LONG.iter().map(|(file, _)| *file).collect();
    for file in sources() {
        let text = fs::read_to_string(repository().join(&file)).expect("a readable file");
        let own = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().lines().count();
        if own <= LINES_MAX || file.ends_with("/tests.rs") {
            continue;
        }
        let before = left.len();
        left.retain(|known| *known != file);
        if left.len() == before {
            wrong.push(format!("{file}: {own}"));
        }
    }
    assert!(wrong.is_empty(), "these are too long: {wrong:#?}");
    assert!(left.is_empty(), "these are short enough, so remove them: {left:?}");
}

/// Checks the finder of circles, on a crate made for the test.
#[test]
fn circles_are_found_through_re_exported_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    let circle = || Imports::of(&folder.path().join("lib.rs")).circles();
    write("lib.rs", "mod a; mod b; mod c; pub use c::C; #[cfg(test)] mod t { use crate::a; }");
    write("a.rs", "use crate::b::B; pub struct A(B);");
    write("b.rs", "pub struct B(super::C);");
    write("c.rs", "mod d; pub struct C(d::D);");
    fs::create_dir(folder.path().join("c")).expect("a folder");
    write("c/d.rs", "pub(super) struct D;");
    assert_eq!(circle(), Vec::<Vec<PathBuf>>::new());
    write("c.rs", "pub struct C; fn f() { crate::a::A::new(); }");
    let names = ["a.rs", "b.rs", "c.rs"].map(|name| folder.path().join(name));
    assert_eq!(circle(), [names.to_vec()]);
}

/// Words of a text that could be names of Debian's packages.
fn words(text: &str) -> std::collections::BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).collect()
}

/// docs/testing.md names exactly the packages that `.ci/run` installs.
#[test]
fn the_testing_page_names_the_packages_that_ci_installs() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).expect("a file of ours");
    let script = read(".ci/run");
    let installed: std::collections::BTreeSet<_> = script
        .lines()
        .filter_map(|line| line.strip_prefix("need "))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert!(installed.len() > 15, "{installed:?}");
    let page = read("docs/testing.md");
    let named = page.split_once("<!-- packages -->").and_then(|(_, rest)| rest.split_once("<!--"));
    let named: std::collections::BTreeSet<_> =
        named.expect("a list of packages").0.split('`').skip(1).step_by(2).collect();
    assert_eq!(installed, named);
    let readme = read("README.md");
    let start = readme.split_once("(Debian: `").and_then(|(_, rest)| rest.split_once('`'));
    for package in words(start.expect("what the demo needs").0) {
        assert!(installed.contains(package), ".ci/run does not install {package}");
    }
}

/// Programs outside the workspace have their own lock files, which become stale when a dependency
/// of ours changes.
#[test]
fn the_locks_of_programs_outside_the_workspace_are_fresh() {
    for manifest in [
        "examples/deep/Cargo.toml",
        "examples/http/Cargo.toml",
        "examples/random/Cargo.toml",
        "fuzz/Cargo.toml",
    ] {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.current_dir(repository()).args(["metadata", "--locked"]);
        cargo.args(["--format-version=1", "--manifest-path", manifest]);
        let output = cargo.output().expect("cargo runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{manifest}: {said}");
    }
}

/// `cargo xtask new` marks what only the author of a rule, a page or a unikernel can write.
#[test]
fn nothing_is_left_to_fill_in() {
    let mark = concat!("FILL", " IN");
    let mut left = Vec::new();
    for folder in ["abi/src", "elftool/audit", "docs", "tests/guests", "policy/src"]
        .into_iter()
        .chain(["source/src", "manifest/src", "linker-wrapper/src"])
    {
        for entry in walkdir::WalkDir::new(repository().join(folder)) {
            let entry = entry.expect("a readable folder");
            let text = if entry.file_type().is_file() {
                fs::read(entry.path()).expect("a readable file")
            } else {
                continue;
            };
            for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
                if line.contains(mark) {
                    left.push(format!("{}:{}: {line}", entry.path().display(), number + 1));
                }
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

/// The files that ARCHITECTURE.md names, by a path or by a name that some source has.
#[test]
fn the_story_of_a_launch_names_files_that_exist() {
    let page = fs::read_to_string(repository().join("ARCHITECTURE.md")).expect("the page");
    let sources = sources();
    let named: Vec<_> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.ends_with(".rs") && !word.contains(' '))
        .collect();
    assert!(named.len() > 30, "only {} files are named", named.len());
    let exists = |name: &&&str| {
        let ending = format!("/{name}");
        sources.iter().any(|source| source == **name || source.ends_with(&ending))
    };
    let missing: Vec<_> = named.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Pages that show the audit's output show the right number of rules. The audit uses rules of S4 and S5
/// only on request.
#[test]
fn pages_that_count_the_rules_count_right() {
    let is_rule = |name: &str| ["S1", "S2", "S3"].iter().any(|family| name.starts_with(family));
    let rules = fs::read_dir(repository().join("docs/rules")).expect("a readable folder");
    let rules = rules
        .filter(|entry| is_rule(&entry.as_ref().expect("an entry").file_name().to_string_lossy()))
        .count();
    let mut counted = 0;
    let pages = walkdir::WalkDir::new(repository().join("docs"));
    for page in pages.into_iter().map(|entry| entry.expect("an entry").into_path()) {
        if page.extension().is_none_or(|suffix| suffix != "md") {
            continue;
        }
        let text = fs::read_to_string(&page).expect("a readable page");
        for (before, _) in text.match_indices(" rules, ").map(|(at, _)| text.split_at(at)) {
            let number = before.rsplit(' ').next().unwrap_or_default();
            if let Ok(number) = number.parse::<usize>() {
                counted += 1;
                assert_eq!(number, rules, "{}", page.display());
            }
        }
    }
    assert!(counted > 1, "only {counted} pages count them");
}
