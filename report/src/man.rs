//! Manual pages: a program, then every verb with its options, so that one page says all.
//!
//! `clap_mangen` alone would refer to a page for each verb, and nobody installs those.

use std::io::{self, Write};

use clap::{Arg, Command};
use clap_mangen::Man;

/// The page in roff, of a program with verbs.
pub fn page(program: Command) -> io::Result<String> {
    // Pages have their own way of saying that a number is a version.
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
    writeln!(page, ".SH COMMANDS")?;
    verbs(&program, "", &mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Every verb of `command`, each followed by its own verbs. `before` is what is typed in front.
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
                // What every section defines anew: the page has it already.
                line if line.starts_with(".ie ") || line.starts_with(".el ") => {}
                line => writeln!(page, "{line}")?,
            }
        }
        verbs(verb, &format!("{name} "), page)?;
    }
    Ok(())
}

/// Hides what the program's own section has said.
fn own(argument: Arg) -> Arg {
    let shared =
        argument.is_global_set() || matches!(argument.get_id().as_str(), "help" | "version");
    let hidden = shared || argument.is_hide_set();
    argument.hide(hidden)
}
