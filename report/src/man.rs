//! Manual pages. One page describes a program and every verb with its options.
//!
//! `clap_mangen` by itself would refer to a separate page for each verb, and these are not installed.

use std::io::{self, Write};

use clap::{Arg, Command};
use clap_mangen::Man;

/// The manual page of a program, with its verbs if it has any, in roff.
pub fn page(program: Command) -> io::Result<String> {
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
