//! Manual pages. One page describes a program and every verb with its options.
//!
//! `clap_mangen` by itself would refer to a separate page for each verb, and these are not installed.

use std::io::{self, Write};

use clap::{Arg, Command};
use clap_mangen::Man;

/// The sections at the end of a page, which `clap` knows nothing of.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Exit statuses, with what each means.
    pub statuses: &'static [(&'static str, &'static str)],
    /// Command lines, printed as they are; [`Ending::help`] shows them in help, too.
    pub examples: &'static str,
    /// Other pages with their sections.
    pub see_also: &'static [(&'static str, u8)],
}

impl Ending {
    /// The examples, for the end of `--help`.
    pub fn help(&self) -> String {
        let lines = self.examples.lines();
        let lines =
            lines.map(|line| if line.is_empty() { "\n".into() } else { format!("  {line}\n") });
        format!("Examples:\n{}", lines.collect::<String>()).trim_end().to_owned()
    }

    fn write(&self, page: &mut Vec<u8>) -> io::Result<()> {
        writeln!(page, ".SH \"EXIT STATUS\"")?;
        for (status, meaning) in self.statuses {
            writeln!(page, ".TP\n.B {status}\n{}", roff(meaning))?;
        }
        writeln!(page, ".SH EXAMPLES\n.nf")?;
        for line in self.examples.lines() {
            writeln!(page, "{}", if line.is_empty() { ".sp".to_owned() } else { roff(line) })?;
        }
        writeln!(page, ".fi\n.SH \"SEE ALSO\"")?;
        let last = self.see_also.len().saturating_sub(1);
        for (number, (name, section)) in self.see_also.iter().enumerate() {
            let comma = if number == last { "" } else { "," };
            writeln!(page, ".BR {} ({section}){comma}", roff(name))?;
        }
        Ok(())
    }
}

/// A line of text that roff prints as it is.
fn roff(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    // At its start, these would begin a request.
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

/// The manual page of a program, with its verbs if it has any, in roff.
pub fn page(program: Command, ending: &Ending) -> io::Result<String> {
    // The page itself puts a `v` before the version.
    let version = crate::VERSION.trim_start_matches('v');
    let mut program = program.version(version);
    program.build();
    let mut page = Vec::new();
    let man = Man::new(program.clone()).manual("Solo5");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if program.has_subcommands() {
        writeln!(page, ".SH COMMANDS")?;
        verbs(&program, "", &mut page)?;
    }
    ending.write(&mut page)?;
    let page = String::from_utf8_lossy(&page);
    // An empty date needs its quotes, or the version stands in its place; and an empty line between
    // two breaks is one request.
    Ok(page.replacen(" 1  \"", " 1 \"\" \"", 1).replace("\n.br\n\n.br\n", "\n.sp\n"))
}

/// Writes every verb of `command`, each followed by its own verbs. `before` are the verbs typed before
/// it.
fn verbs(command: &Command, before: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let all = command.get_subcommands();
    for verb in all.filter(|verb| verb.get_name() != "help") {
        let name = format!("{before}{}", verb.get_name());
        let man = Man::new(verb.clone().mut_args(own));
        let mut sections = Vec::new();
        man.render_synopsis_section(&mut sections)?;
        man.render_description_section(&mut sections)?;
        man.render_options_section(&mut sections)?;
        for line in String::from_utf8_lossy(&sections).lines() {
            match line {
                ".SH SYNOPSIS" => writeln!(page, ".SS {name}")?,
                ".SH DESCRIPTION" => writeln!(page, ".PP")?,
                ".SH OPTIONS" => {}
                // Each section defines these macros again; the page already has them.
                line if line.starts_with(".ie ") || line.starts_with(".el ") => {}
                line => writeln!(page, "{line}")?,
            }
        }
        verbs(verb, &format!("{name} "), page)?;
    }
    Ok(())
}

/// Hides arguments that the program's own section has described.
fn own(argument: Arg) -> Arg {
    let shared =
        argument.is_global_set() || matches!(argument.get_id().as_str(), "help" | "version");
    let hidden = shared || argument.is_hide_set();
    argument.hide(hidden)
}
