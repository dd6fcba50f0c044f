//! `new`: begins a rule, a code, a property of the manifest, or a test unikernel.
//!
//! The files have [`MARK`] wherever the author has to write something. The commands that are printed
//! show what is left to do: the compiler reports a missing check; tests report an unfinished page,
//! fixture or schema; and a test of the repository reports each mark.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::{Arguments, Result};

pub(crate) const ARGUMENTS: &str =
    "rule CODE TITLE | code CODE TITLE | property KEY unikernel|device|block|net | guest NAME";
pub(crate) const HELP: &str = "Begin a rule, a code, a property of the manifest or a test unikernel; prints commands that show what is left to do.";

/// Stands where the author has to write.
const MARK: &str = concat!("FILL", " IN");

const RULES: &str = "elftool/audit/src/rules.rs";
const FIXTURES: &str = "elftool/audit/tests/fixtures";
const PROPERTIES: &str = "abi/src/mft2/table.rs";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let next = begin(&crate::root(), &words)?;
    println!("to see what is left:\n    {next}");
    println!("    cargo test -p solo5-tests --test repository left_to");
    Ok(ExitCode::SUCCESS)
}

/// Begins what the words ask for in the checkout at `root`, and returns the next command.
fn begin(root: &Path, words: &[&str]) -> Result<&'static str> {
    match words {
        ["rule", code, title] => rule(root, code, title),
        ["code", code, title] => diagnostic(root, code, title),
        ["property", key, subject] => property(root, key, subject),
        ["guest", name] => guest(root, name),
        _ => Err(format!("usage: cargo xtask new {ARGUMENTS}").into()),
    }
}

fn rule(root: &Path, code: &str, title: &str) -> Result<&'static str> {
    let family = match code.as_bytes() {
        [b'S', b'1', _, _] => "loadable",
        [b'S', b'2', _, _] => "protection",
        [b'S', b'3', _, _] => "notes",
        [b'S', b'4', _, _] => "provenance",
        [b'S', b'5', _, _] => "surface",
        _ => return Err(format!("a rule is S1xx to S5xx, not {code}").into()),
    };
    is_code(code)?;
    let check = identifier(title)?;
    let row = format!(
        "    warning(\n        \"{code}\",\n        \"{title}\",\n        \"{MARK}: what to do about it\",\n        {family}::{check},\n    ),\n"
    );
    page(root, "rules", code, title)?;
    let folder = root.join(FIXTURES).join(code);
    fs::create_dir_all(&folder)?;
    for (name, what) in [("refused", "breaks the rule"), ("accepted", "is near that and keeps it")]
    {
        let text = format!("# {MARK}: what is different in an image that {what}.\n");
        create(&folder.join(format!("{name}.yaml")), &text)?;
    }
    insert_rule(&root.join(RULES), code, &row)?;
    Ok("cargo test -p solo5-audit")
}

fn diagnostic(root: &Path, code: &str, title: &str) -> Result<&'static str> {
    is_code(code)?;
    let (file, next) = match code.as_bytes().first() {
        Some(b'Y') => ("source/src/codes.rs", "cargo test -p solo5-source"),
        Some(b'M') => ("manifest/src/codes.rs", "cargo test -p solo5-manifest"),
        Some(b'P') => ("policy/src/codes.rs", "cargo test -p solo5-policy"),
        Some(b'L') => ("linker-wrapper/src/codes.rs", "cargo test -p solo5-linker-wrapper"),
        _ => return Err(format!("{code} is none of Y, M, P, L and a number").into()),
    };
    let name = identifier(title)?.to_uppercase();
    page(root, "codes", code, title)?;
    let row = format!("    /// {MARK}: when it is reported.\n    {name} = \"{code}\";\n");
    insert(&root.join(file), "\n}\n", &row)?;
    Ok(next)
}

fn property(root: &Path, key: &str, subject: &str) -> Result<&'static str> {
    let (first, subject) = match subject {
        "unikernel" => (1, "Subject::Unikernel"),
        "device" => (0x10, "Subject::Device"),
        "block" => (0x20, "Subject::Only(DeviceType::BlockBasic)"),
        "net" => (0x30, "Subject::Only(DeviceType::NetBasic)"),
        _ => return Err(format!("'{subject}' has no properties").into()),
    };
    let name = identifier(key)?;
    let (upper, hyphened) = (name.to_uppercase(), name.replace('_', "-"));
    let file = root.join(PROPERTIES);
    let text = fs::read_to_string(&file)?;
    if text.contains(&format!("pub const {upper}: u16")) {
        return Err(format!("there is a property {key}").into());
    }
    // Each subject has sixteen numbers, and a number is never reused: take the next one.
    let numbers = text.lines().filter_map(|line| line.trim().split_once(": u16 = "));
    let numbers = numbers.filter_map(|(_, number)| number_of(number.trim_end_matches(';')));
    let last = numbers.filter(|number| number / 16 == first / 16).max();
    let number = last.map_or(first, |last| last + 1);
    if number / 16 != first / 16 {
        return Err("all numbers of this subject are taken".into());
    }
    let constant =
        format!("    /// {MARK}: what it is.\n    pub const {upper}: u16 = {number:#04x};\n");
    let row = format!(
        "    Property {{\n        tag: tag::{upper},\n        name: \"{hyphened}\",\n        key: \"{key}\",\n        subject: {subject},\n        shape: Shape::Size,\n        critical: true,\n        feature: None,\n        meaning: \"{MARK}.\",\n        phrase: \"{MARK} {{}}\",\n    }},\n"
    );
    let tags = text.find("pub mod tag {").ok_or("there is no list of tags")?;
    let tags_end = text[tags..].find("\n}\n").ok_or("the list of tags has no end")? + tags + 1;
    let rows = text.find("pub const PROPERTIES: [Property; ").ok_or("there is no table")?;
    let rows_end = text[rows..].find("\n];\n").ok_or("the table has no end")? + rows + 1;
    if rows < tags_end {
        return Err("the table stands before the tags".into());
    }
    println!("{}", file.display());
    let counted = text[rows..rows_end].matches("\n    Property {").count();
    let (old, new) = (format!("[Property; {counted}]"), format!("[Property; {}]", counted + 1));
    let table = text[rows..rows_end].replacen(&old, &new, 1);
    fs::write(
        file,
        [&text[..tags_end], &constant, &text[tags_end..rows], &table, &row, &text[rows_end..]]
            .concat(),
    )?;
    Ok("cargo test -p solo5-abi && cargo xtask schemas && cargo test -p solo5-manifest")
}

fn guest(root: &Path, name: &str) -> Result<&'static str> {
    let name = identifier(name)?;
    let text = format!(
        "/* {name}: {MARK}: what it shows. */\n//@ run spt hvt: expect=success\n#include \"kit.h\"\n\n\
         int solo5_app_main(const struct solo5_start_info *info __attribute__((unused)))\n{{\n    \
         title(\"test_{name}\");\n    return SOLO5_EXIT_SUCCESS;\n}}\n"
    );
    create(&root.join(format!("tests/guests/{name}.c")), &text)?;
    let manifest = "type: solo5.manifest\nversion: 2\nstack: 64KiB\ndevices: []\n";
    create(&root.join(format!("tests/guests/{name}.yaml")), manifest)?;
    Ok("cargo xtask build --quick && cargo test -p solo5-tests --test e2e -- guest/")
}

fn number_of(text: &str) -> Option<u16> {
    let hexadecimal = text.strip_prefix("0x").map(|digits| u16::from_str_radix(digits, 16));
    hexadecimal.unwrap_or_else(|| text.parse()).ok()
}

fn is_code(code: &str) -> Result<()> {
    match code.as_bytes() {
        [letter, digits @ ..]
            if letter.is_ascii_uppercase()
                && digits.len() == 3
                && digits.iter().all(u8::is_ascii_digit) =>
        {
            Ok(())
        }
        _ => Err(format!("'{code}' is not a letter and three digits").into()),
    }
}

/// Words as a name in Rust and C.
fn identifier(words: &str) -> Result<String> {
    let name: String =
        words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(format!("'{words}' makes no name").into())
    }
}

fn page(root: &Path, folder: &str, code: &str, title: &str) -> Result<()> {
    let text = format!(
        "# {code}: {title}\n\n{MARK}: what was found.\n\n**Why.** {MARK}.\n\n**Mend.** {MARK}.\n\n```sh\n$ {MARK}\n```\n"
    );
    create(&root.join("docs").join(folder).join(format!("{code}.md")), &text)
}

/// Writes a file that is not there.
fn create(path: &Path, text: &str) -> Result<()> {
    if path.exists() {
        return Err(format!("{} exists", path.display()).into());
    }
    println!("{}", path.display());
    Ok(fs::write(path, text)?)
}

/// Puts a row at the end of a file's last list, which ends with `end`.
fn insert(path: &Path, end: &str, row: &str) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let at = text.rfind(end).ok_or_else(|| format!("{} has no list", path.display()))? + 1;
    println!("{}", path.display());
    Ok(fs::write(path, [&text[..at], row, &text[at..]].concat())?)
}

/// Puts the row of a rule before the first with a greater code; the table is sorted.
fn insert_rule(path: &Path, code: &str, row: &str) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let greater = text.match_indices("\"S").find(|(at, _)| {
        let found = text.get(at + 1..at + 5);
        found.is_some_and(|found| is_code(found).is_ok() && found > code)
    });
    let Some((greater, _)) = greater else {
        return insert(path, "\n];\n", row);
    };
    let starts = ["error(", "warning(", "note("];
    let starts = starts.map(|start| text[..greater].rfind(&format!("\n    {start}")));
    let at = starts.into_iter().flatten().max().ok_or("there is no table of rules")? + 1;
    println!("{}", path.display());
    Ok(fs::write(path, [&text[..at], row, &text[at..]].concat())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A copy of the files that `new` adds to.
    fn checkout() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in [RULES, PROPERTIES, "policy/src/codes.rs"] {
            let to = folder.path().join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(crate::root().join(file), to).unwrap();
        }
        for folder_of_pages in ["docs/rules", "docs/codes", "tests/guests"] {
            fs::create_dir_all(folder.path().join(folder_of_pages)).unwrap();
        }
        folder
    }

    #[test]
    fn a_new_rule_or_code_has_its_row_and_its_page() {
        let folder = checkout();
        let root = folder.path();
        let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
        // A path written out would fail the test that checks the repository's references.
        let page = |folder: &str, code: &str| read(&format!("docs/{folder}/{code}.md"));
        begin(root, &["rule", "S599", "too many wheels"]).unwrap();
        assert!(read(RULES).ends_with("surface::too_many_wheels,\n    ),\n];\n"));
        begin(root, &["rule", "S299", "too few wheels"]).unwrap();
        assert!(
            read(RULES)
                .contains("protection::too_few_wheels,\n    ),\n    error(\n        \"S301\",")
        );
        for name in ["accepted", "refused"] {
            assert!(read(&format!("{FIXTURES}/S599/{name}.yaml")).contains(MARK));
        }
        assert!(page("rules", "S599").starts_with("# S599: too many wheels\n"));
        begin(root, &["code", "P399", "no wheel"]).unwrap();
        assert!(read("policy/src/codes.rs").contains("    NO_WHEEL = \"P399\";\n}\n"));
        assert!(page("codes", "P399").contains(MARK));
        begin(root, &["guest", "wheel"]).unwrap();
        assert!(read("tests/guests/wheel.c").contains("//@ run spt hvt: expect=success\n"));
        assert!(begin(root, &["guest", "wheel"]).is_err(), "it exists");
    }

    #[test]
    fn a_property_gets_a_number_that_was_never_used() {
        let folder = checkout();
        let root = folder.path();
        let count = |text: &str| text.matches("\n    Property {").count();
        let before = count(&fs::read_to_string(root.join(PROPERTIES)).unwrap());
        begin(root, &["property", "wheels.minimum", "net"]).unwrap();
        let text = fs::read_to_string(root.join(PROPERTIES)).unwrap();
        assert!(text.contains("pub const WHEELS_MINIMUM: u16 = 0x31;\n}\n"), "{text}");
        assert!(text.contains(&format!("[Property; {}] = [", before + 1)));
        assert_eq!(count(&text), before + 1);
        assert!(begin(root, &["property", "wheels.minimum", "net"]).is_err(), "it exists");
        assert!(begin(root, &["property", "wheels", "car"]).is_err());
    }

    #[test]
    fn codes_are_a_letter_and_three_digits() {
        let folder = checkout();
        for words in [["rule", "S999", "x"], ["rule", "S50", "x"], ["code", "Q100", "x"]] {
            assert!(begin(folder.path(), &words).is_err(), "{words:?}");
        }
        assert!(begin(folder.path(), &["code", "P3-1", "x"]).is_err());
    }
}
