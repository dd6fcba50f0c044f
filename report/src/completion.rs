//! Completion scripts of programs with verbs. Only with the feature `man`.

use clap::Command;
use clap_complete::Shell;

/// Bash splits a word at `=`: the option is then two words before its value, and the generator looks
/// one word before.
const SPLIT: &str = "    prev=\"$3\"
    if [[ \"$prev\" == \"=\" ]]; then
        prev=\"${COMP_WORDS[COMP_CWORD-2]}\"
    elif [[ \"$cur\" == \"=\" ]]; then
        cur=\"\"
    fi
";

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
    let script = script.replace(&listed, &format!("{}__subcmd__", name.replace('-', "__")));
    script.replace("    prev=\"$3\"\n", SPLIT)
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

    #[test]
    fn bash_completes_the_value_behind_an_equals_sign() {
        let format = Arg::new("format").long("format").value_parser(["human", "sarif"]);
        let program = Command::new("a-name").subcommand(Command::new("verb").arg(format));
        let script = script(program, Shell::Bash);
        // As bash splits `a-name verb --format=sa`.
        for (words, offered) in [
            ("a-name verb --format = sa", "sarif"),
            ("a-name verb --format =", "human sarif"),
            ("a-name verb --format h", "human"),
        ] {
            let line = "eval \"$0\"; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); \
                        _a__name a-name \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                        echo \"${COMPREPLY[*]}\"";
            let mut bash = std::process::Command::new("bash");
            let run = bash.args(["--norc", "-c", line]).arg(&script).arg(words).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&run.stderr), "");
            assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), offered, "{words}");
        }
    }
}
