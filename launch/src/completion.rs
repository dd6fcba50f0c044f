//! Completion scripts of the tenders, made from the table of options. A tender has no option to print
//! them. The files in `docs/completions` are the output of this module, and a test compares the two.

use std::fmt::Write;

use solo5_abi::target::Target;

use crate::modules::Modules;
use crate::options::{OPTIONS, Shape};
use crate::short;

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

impl Shell {
    /// Every shell that there is a script for.
    pub const ALL: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }
}

/// An option as a user types it.
struct Spelling {
    name: &'static str,
    /// The letter of its short form.
    letter: Option<char>,
    shape: Shape,
    /// What its value is, such as `FILE | @NN`.
    value: &'static str,
    about: &'static str,
}

/// The options of a tender, `--help` and `--version` included.
fn spellings(modules: &Modules) -> Vec<Spelling> {
    let own = OPTIONS.iter().filter(|row| row.module.is_in(modules)).map(|row| {
        let (typed, about) = row.usage.split_once(" (").unwrap_or((row.usage, ""));
        let typed = typed.trim().trim_start_matches("[ ").trim_end_matches(" ]");
        let value = typed.split_once('=').map_or("", |(_, value)| value);
        let about = about.split_once(')').map_or(about, |(about, _)| about);
        let letter = short::letter(row.name).filter(|_| modules.target == Target::Virtio);
        Spelling { name: row.name, letter, shape: row.shape(), value, about }
    });
    let last = [("--help", "display this help"), ("--version", "display version information")];
    let last = last.map(|(name, about)| Spelling {
        name,
        letter: None,
        shape: Shape::Flag,
        value: "",
        about,
    });
    own.chain(last).collect()
}

/// The names of a tender's options, without values.
pub fn names(modules: &Modules) -> Vec<&'static str> {
    spellings(modules).iter().map(|spelling| spelling.name).collect()
}

impl Spelling {
    /// Its name and the separator after which the user goes on typing.
    fn typed(&self) -> String {
        let end = match self.shape {
            Shape::Flag => "",
            Shape::Value => "=",
            Shape::Device | Shape::Without => ":",
        };
        format!("{}{end}", self.name)
    }

    fn is_file(&self) -> bool {
        self.value.split(" | ").any(|value| matches!(value, "FILE" | "PATH" | "DIR"))
    }

    /// The fixed words that its value may be.
    fn choices(&self) -> Vec<&'static str> {
        let words = self.value.split(" | ");
        let word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
        words.filter(word).collect()
    }
}

/// The script that completes the options of `program`.
pub fn script(shell: Shell, program: &str, modules: &Modules) -> String {
    let all = spellings(modules);
    match shell {
        Shell::Bash => bash(program, &all),
        Shell::Zsh => zsh(program, &all),
        Shell::Fish => fish(program, &all),
    }
}

/// Bash by default splits words at `=` and `:`, so the script takes the whole word from the line and
/// completes only its value.
fn bash(program: &str, all: &[Spelling]) -> String {
    let function = format!("_{}", program.replace('-', "_"));
    let typed: Vec<String> = all.iter().map(Spelling::typed).collect();
    let (mut values, mut shorts) = (String::new(), String::new());
    for spelling in all {
        let name = spelling.name;
        // A short option's value is a word of its own, and is completed as that of the long one.
        if let Some(letter) = spelling.letter.filter(|_| matches!(spelling.shape, Shape::Value)) {
            let _ = writeln!(shorts, "        *\" -{letter} \") word=\"{name}=$word\" ;;");
        }
        let choices = spelling.choices();
        // Writing to a String cannot fail.
        let _ = if spelling.is_file() {
            writeln!(values, "        {name}=*|{name}:*=*) files=1 ;;")
        } else if !choices.is_empty() {
            let choices = choices.join(" ");
            writeln!(values, "        {name}=*|{name}:*=*) words=\"{choices}\" ;;")
        } else {
            Ok(())
        };
    }
    if !shorts.is_empty() {
        shorts = format!("    case \"${{line%\"$word\"}}\" in\n{shorts}    esac\n");
    }
    format!(
        "{function}() {{
    local line=\"${{COMP_LINE:0:COMP_POINT}}\" word value words= files=
    word=\"${{line##*[[:space:]]}}\"
    COMPREPLY=()
{shorts}    case \"$word\" in
{values}        --*[:=]*) return ;;
        -*) words=\"{}\" ;;
        *) files=1 ;;
    esac
    value=\"$word\"
    case \"$word\" in -*=*) value=\"${{word#*=}}\" ;; esac
    if [[ -n $files ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- \"$value\")
    else
        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$value\")
        [[ ${{COMPREPLY[0]}} == *[:=] ]] && compopt -o nospace 2>/dev/null
    fi
    return 0
}}
complete -F {function} {program}
",
        typed.join(" ")
    )
}

fn zsh(program: &str, all: &[Spelling]) -> String {
    let mut out = format!("#compdef {program}\n_arguments \\\n");
    for spelling in all {
        let about = spelling.about.replace(['[', ']', '\''], "");
        let choices = spelling.choices();
        let action = match (spelling.is_file(), choices.is_empty()) {
            (true, _) => String::from("_files"),
            (_, false) => format!("({})", choices.join(" ")),
            _ => String::new(),
        };
        let name = spelling.name;
        // Writing to a String cannot fail.
        let _ = match spelling.shape {
            Shape::Flag => writeln!(out, "  '{name}[{about}]' \\"),
            Shape::Value => writeln!(out, "  '*{name}=[{about}]:value:{action}' \\"),
            Shape::Device | Shape::Without => {
                writeln!(out, "  '*{name}\\:-[{about}]:device:' \\")
            }
        };
        let _ = match (spelling.letter, spelling.shape) {
            (Some(letter), Shape::Value) => {
                writeln!(out, "  '*-{letter}+[{about}]:value:{action}' \\")
            }
            (Some(letter), _) => writeln!(out, "  '*-{letter}[{about}]' \\"),
            (None, _) => Ok(()),
        };
    }
    out + "  '*:file:_files'\n"
}

fn fish(program: &str, all: &[Spelling]) -> String {
    let mut out = String::new();
    for spelling in all {
        let about = spelling.about.replace('\\', "").replace('\'', "\\'");
        let name = spelling.name.trim_start_matches('-');
        let choices = spelling.choices();
        let value = match (spelling.shape, spelling.is_file(), choices.is_empty()) {
            (Shape::Value, true, _) => String::from(" -r -F"),
            (Shape::Value, _, false) => format!(" -x -a '{}'", choices.join(" ")),
            (Shape::Value, ..) => String::from(" -x"),
            _ => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = match spelling.shape {
            Shape::Flag | Shape::Value => {
                let short = spelling.letter.map(|letter| format!(" -s {letter}"));
                let short = short.unwrap_or_default();
                writeln!(out, "complete -c {program}{short} -l {name}{value} -d '{about}'")
            }
            // Fish has no options with a colon, so these are completed as plain words.
            Shape::Device | Shape::Without => writeln!(
                out,
                "complete -c {program} -n 'string match -q -- \"--*\" (commandline -ct)' -a \
                 '{}' -d '{about}'",
                spelling.typed()
            ),
        };
    }
    out
}
