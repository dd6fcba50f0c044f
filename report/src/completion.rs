//! Completion scripts of programs with verbs. Only with the feature `man`.

use clap::Command;
use clap_complete::Shell;

/// The script that completes the command line of `program` in `shell`.
pub fn script(mut program: Command, shell: Shell) -> String {
    let name = program.get_name().to_owned();
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut program, &name, &mut out);
    let script = String::from_utf8_lossy(&out);
    if shell != Shell::Bash {
        return script.into_owned();
    }
    // The generator writes a name with a hyphen in two forms: one where it recognises a verb, and one
    // where it lists the verb's options. They must be the same.
    let listed = format!("{}__subcmd__", name.replace('-', "__subcmd__"));
    script.replace(&listed, &format!("{}__subcmd__", name.replace('-', "__")))
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn every_recognised_verb_has_options() {
        let verb = Command::new("deep-verb").arg(Arg::new("format").long("format"));
        let program = Command::new("two-part-name").subcommand(verb);
        let script = script(program, Shell::Bash);
        let recognised = script.lines().filter_map(|line| line.trim().strip_prefix("cmd=\""));
        let recognised: Vec<&str> = recognised
            .filter_map(|name| name.strip_suffix('"'))
            .filter(|name| !name.is_empty())
            .collect();
        assert!(recognised.len() >= 2, "{script}");
        for name in recognised {
            assert!(script.contains(&format!("\n        {name})\n")), "{name}:\n{script}");
        }
    }
}
