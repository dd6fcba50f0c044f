//! `explain`: the page about a code.

use std::fmt::Write;

use solo5_audit::RULES;
use solo5_audit::rules::FAMILIES;

use crate::console::{Console, Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainOptions {
    /// Code, such as S201, or family, such as S2; absent: list all rules
    code: Option<String>,
}

impl ExplainOptions {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let code = self.code.as_deref().unwrap_or_default();
        if let Some(page) = solo5_report::explain(code) {
            return console.print(page).map(|()| Exit::Clean);
        }
        let list = rules(code);
        if list.is_empty() {
            let text = format!("no code {code}; `explain` without a code lists the rules");
            return Err(Failure::Cannot(text));
        }
        console.print(&list).map(|()| Exit::Clean)
    }
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
