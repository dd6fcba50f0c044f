//! `explain`: the page about a code.

use std::fmt::Write;

use solo5_audit::RULES;
use solo5_audit::rules::FAMILIES;

use crate::cli::FAILED;
use crate::files::{complain, print};

pub(crate) fn run(program: &str, code: Option<&str>) -> u8 {
    let code = code.unwrap_or_default();
    if let Some(page) = solo5_report::explain(code) {
        return print(program, page, 0, FAILED);
    }
    let list = rules(code);
    if list.is_empty() {
        complain(program, format_args!("no code {code}; `explain` without a code lists the rules"));
        return FAILED;
    }
    print(program, &list, 0, FAILED)
}

/// The rules whose code starts with `prefix`, by family.
fn rules(prefix: &str) -> String {
    let mut out = String::new();
    let prefix = prefix.to_ascii_uppercase();
    for (family, about) in FAMILIES {
        let rules = RULES.iter().filter(|rule| rule.family() == family);
        let mut rules = rules.filter(|rule| rule.code.starts_with(&prefix)).peekable();
        // Writing to a String cannot fail.
        if rules.peek().is_some() {
            let _ = writeln!(out, "{family}  {about}");
        }
        for rule in rules {
            let _ = writeln!(out, "  {}  {:<7}  {}", rule.code, rule.severity.name(), rule.title);
        }
    }
    out
}
