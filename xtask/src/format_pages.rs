//! Manual pages about file formats: what a person has written in `docs/man/NAME.5`, with the keys of the
//! format taken from its JSON Schema, so that no page lacks a key.
//!
//! A line `.\" KEYS OF SCHEMA` of a page stands for the keys.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Result;

const MARK: &str = ".\\\" KEYS OF ";

/// The page `text` with its keys; schemas are in the folder `schemas`.
pub(crate) fn complete(text: &str, schemas: &Path) -> Result<String> {
    let mut out = String::new();
    for line in text.lines() {
        match line.strip_prefix(MARK) {
            Some(name) => {
                let schema: Value = serde_json::from_slice(&fs::read(schemas.join(name))?)?;
                keys(&schema, "", &mut out)?;
            }
            None => writeln!(out, "{line}")?,
        }
    }
    Ok(out)
}

/// The keys of a mapping, each with those below it. `above` is what stands before their names.
fn keys(schema: &Value, above: &str, out: &mut String) -> Result<()> {
    // Of several forms, such as the types of a device, each key is told once.
    let forms = match list(&schema["oneOf"]) {
        [] => vec![schema],
        forms => forms.iter().collect(),
    };
    let mut told = BTreeSet::new();
    for (name, key) in forms.iter().filter_map(|form| form["properties"].as_object()).flatten() {
        if !told.insert(name) {
            continue;
        }
        let path = format!("{above}{name}");
        let about = key["description"].as_str().unwrap_or_default();
        write!(out, ".TP\n.B {}\n{}", escaped(&path), escaped(about))?;
        if !about.ends_with('.') {
            out.push('.');
        }
        let values = forms.iter().map(|form| &form["properties"][name]);
        let mut words: Vec<_> = values.flat_map(words).collect();
        let mut seen = BTreeSet::new();
        words.retain(|word| seen.insert(word.clone()));
        match &words[..] {
            [] => {}
            [only] => write!(out, " It is {only}.")?,
            _ => write!(out, " One of {}.", words.join(", "))?,
        }
        let required = |form: &&Value| list(&form["required"]).iter().any(|key| key == name);
        if forms.iter().all(required) {
            out.push_str(" Required.");
        }
        out.push('\n');
        keys(key, &format!("{path}."), out)?;
        keys(&key["items"], &format!("{path}[]."), out)?;
        if key["additionalProperties"].is_object() {
            keys(&key["additionalProperties"], &format!("{path}.NAME."), out)?;
        }
    }
    Ok(())
}

/// The words that a value is one of, if its schema lists them.
fn words(key: &Value) -> Vec<String> {
    let all = list(&key["enum"]).iter().chain(key.get("const"));
    all.map(word).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("\\fB{}\\fR", escaped(&text))
}

/// Text that roff prints as it is; what stands in backquotes is bold.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (number, piece) in text.split('`').enumerate() {
        if number > 0 {
            out.push_str(if number % 2 == 1 { "\\fB" } else { "\\fR" });
        }
        out.push_str(&piece.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq"));
    }
    // A full stop at the start of a line would be a request.
    if out.starts_with('.') { format!("\\&{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_keys_of_its_schema_at_every_depth() {
        let folder = tempfile::tempdir().unwrap();
        let schema = r#"{ "required": ["net"], "properties": {
            "net": { "description": "Its `net`.", "items": { "oneOf": [
                { "properties": { "mac": { "description": ".an address", "const": "any" } } },
                { "properties": { "mac": { "description": "unseen", "enum": ["o'ne", "any"] } } }
            ] } } } }"#;
        fs::write(folder.path().join("x.json"), schema).unwrap();
        let page = complete(".SH KEYS\n.\\\" KEYS OF x.json\n.SH END\n", folder.path()).unwrap();
        let expected = ".SH KEYS\n.TP\n.B net\nIts \\fBnet\\fR. Required.\n.TP\n.B net[].mac\n\
                        \\&.an address. One of \\fBany\\fR, \\fBo\\(aqne\\fR.\n.SH END\n";
        assert_eq!(page, expected);
    }

    #[test]
    fn the_formats_pages_name_schemas_that_exist() {
        let root = crate::root();
        let mut found = 0;
        for page in fs::read_dir(root.join("docs/man")).unwrap() {
            let text = fs::read_to_string(page.unwrap().path()).unwrap();
            if text.contains(MARK) {
                let page = complete(&text, &root.join("schemas")).unwrap();
                assert!(page.matches(".TP").count() > 8, "{page}");
                found += 1;
            }
        }
        assert_eq!(found, 3);
    }
}
