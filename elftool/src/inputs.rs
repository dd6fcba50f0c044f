//! Names on the command line → files: patterns, folders, lists. Everything is lazy, so the length of
//! a list or the size of a tree costs no memory.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};
use solo5_output::input;
use walkdir::WalkDir;

use crate::files::{name, reason};

/// Longest name in a list, in bytes: the system's longest path.
const NAME_MAX: u64 = 4096;

/// A file to look at.
#[derive(Debug)]
pub(crate) struct Input {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Whether the operator named it. Files that were found in a folder are skipped if they are not
    /// ELF.
    pub(crate) named: bool,
}

/// A name or an entry of a folder that cannot be used, and why.
#[derive(Debug)]
pub(crate) struct InputError {
    pub(crate) name: String,
    pub(crate) why: String,
}

impl InputError {
    pub(crate) fn new(path: &Path, why: impl Into<String>) -> InputError {
        InputError { name: name(path), why: why.into() }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

impl std::error::Error for InputError {}

/// Files, or errors in their place.
pub(crate) type Inputs = Box<dyn Iterator<Item = Result<Input, InputError>> + Send>;

/// A list of names in a file.
#[derive(Clone, Debug)]
pub(crate) struct List {
    /// The file; `-` is standard input.
    pub(crate) file: PathBuf,
    /// Names end with a NUL instead of a line end.
    pub(crate) null: bool,
}

/// The files that `names`, then the lists' names, stand for, in that order.
pub(crate) fn inputs(names: Vec<PathBuf>, lists: Vec<List>) -> Inputs {
    let names = names.into_iter().flat_map(expand);
    let lists = lists
        .into_iter()
        .flat_map(|list| listed(&list).unwrap_or_else(|error| none(&list.file, reason(&error))));
    Box::new(names.chain(lists))
}

/// An error in place of files.
fn none(path: &Path, why: impl Into<String>) -> Inputs {
    failed(InputError::new(path, why))
}

/// A file, what is in a folder, or what fits a pattern. A name is taken as a pattern only if there
/// is no such file, because names may hold any character.
fn expand(name: PathBuf) -> Inputs {
    let pattern =
        name.to_str().filter(|name| name.contains(['*', '?', '[']) && !Path::new(name).exists());
    let Some(pattern) = pattern else {
        return entry(name);
    };
    let found = match expansion(pattern) {
        Ok(found) => found,
        Err(error) => return none(&name, format!("not a pattern: {}", error.msg)),
    };
    let mut found = found.peekable();
    if found.peek().is_none() {
        return none(&name, "no file fits this pattern");
    }
    Box::new(found.flat_map(|found| found.map_or_else(failed, entry)))
}

/// The files that fit a pattern, sorted by name. Links to folders are not followed, because they may
/// form a loop.
fn expansion(
    pattern: &str,
) -> Result<impl Iterator<Item = Result<PathBuf, InputError>> + Send + use<>, PatternError> {
    const OPTIONS: MatchOptions = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    // The components before the first with a wildcard name a folder.
    let first = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let start = pattern.get(..first).and_then(|plain| plain.rfind('/'));
    let (folder, below) = match start {
        Some(at) => (pattern.get(..=at), pattern.get(at + 1..)),
        None => (Some(""), Some(pattern)),
    };
    let (folder, below) =
        (PathBuf::from(folder.unwrap_or_default()), below.unwrap_or_default().to_owned());
    let whole = Pattern::new(&below)?;
    let parts: Vec<Pattern> = below
        .split('/')
        .take_while(|part| *part != "**")
        .map(Pattern::new)
        .collect::<Result<_, _>>()?;
    let any_depth = below.split('/').any(|part| part == "**");
    let depth = if any_depth { usize::MAX } else { parts.len() };
    let here = folder.as_os_str().is_empty();
    let root = if here { PathBuf::from(".") } else { folder.clone() };
    let walk = WalkDir::new(&root).min_depth(1).max_depth(depth).sort_by_file_name();
    // Do not descend into a folder that no match can lie in.
    let mut walk = walk.into_iter().filter_entry(move |entry| {
        let part = entry.depth().checked_sub(1).and_then(|depth| parts.get(depth));
        part.is_none_or(|part| part.matches_with(&entry.file_name().to_string_lossy(), OPTIONS))
    });
    Ok(std::iter::from_fn(move || {
        loop {
            let found = match walk.next()? {
                Ok(found) => found,
                Err(error) => {
                    let place = error.path().unwrap_or(&root).to_owned();
                    let why = error.io_error().map_or("a loop of links".into(), reason);
                    return Some(Err(InputError::new(&place, why)));
                }
            };
            let path = found.path().strip_prefix(&root).unwrap_or(found.path());
            let folder_link = found.path_is_symlink() && found.path().is_dir();
            if folder_link || !whole.matches_with(&path.to_string_lossy(), OPTIONS) {
                continue;
            }
            // A matching folder is expanded whole; skipping its entries avoids duplicates.
            if found.file_type().is_dir() {
                walk.skip_current_dir();
            }
            let path = if here { path.to_owned() } else { found.path().to_owned() };
            return Some(Ok(path));
        }
    }))
}

/// One error.
fn failed(unusable: InputError) -> Inputs {
    Box::new(std::iter::once(Err(unusable)))
}

/// A file itself, or all files in a folder, sorted by name. Links in a folder are not followed: their
/// targets are outside, or are found anyway.
fn entry(path: PathBuf) -> Inputs {
    if !path.is_dir() {
        let named = true;
        return Box::new(std::iter::once(Ok(Input { path, named })));
    }
    let walk = WalkDir::new(&path).sort_by_file_name().into_iter();
    Box::new(walk.filter_map(move |found| match found {
        Ok(found) => found.file_type().is_file().then(|| {
            let (path, named) = (found.into_path(), false);
            Ok(Input { path, named })
        }),
        Err(error) => {
            let place = error.path().unwrap_or(&path).to_owned();
            let why = error.io_error().map_or("a loop of links".into(), reason);
            Some(Err(InputError::new(&place, why)))
        }
    }))
}

fn listed(list: &List) -> io::Result<Inputs> {
    let mut reader = BufReader::new(input::Input::open(&list.file)?);
    let end = if list.null { 0 } else { b'\n' };
    let file = list.file.clone();
    let mut ended = false;
    let lines = std::iter::from_fn(move || {
        while !ended {
            let mut name = Vec::new();
            match reader.by_ref().take(NAME_MAX + 1).read_until(end, &mut name) {
                Ok(0) => return None,
                Ok(_) if name.last() == Some(&end) => drop(name.pop()),
                // The last name of a list may lack its end.
                Ok(length) if length as u64 <= NAME_MAX => {}
                Ok(_) => {
                    ended = true;
                    return Some(Err(InputError::new(&file, "a name in it is too long")));
                }
                Err(error) => {
                    ended = true;
                    return Some(Err(InputError::new(&file, reason(&error))));
                }
            }
            if !name.is_empty() {
                return Some(Ok(PathBuf::from(OsString::from_vec(name))));
            }
        }
        None
    });
    // Names in a list are not patterns: each is a file or a folder.
    Ok(Box::new(lines.flat_map(|name| match name {
        Ok(name) => entry(name),
        Err(unusable) => failed(unusable),
    })))
}
