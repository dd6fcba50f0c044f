//! Help, the manual page and completions. The command line itself is scanned in `words.rs`.

use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use solo5_report::man::Ending;

use crate::PROGRAM;

/// What help and the manual page end with.
pub const ENDING: Ending = Ending {
    statuses: &[
        ("0", "The runtime underneath has done it."),
        ("1", "It cannot be done; one line on standard error and in the log says why."),
        ("60", "A policy of this host denies the unikernel."),
        ("other", "That of the runtime underneath, or with run that of the unikernel."),
    ],
    examples: "\
podman --runtime /usr/bin/solo5-run run --rm IMAGE
ctr run --runc-binary /usr/bin/solo5-run IMAGE NAME
solo5-run run --bundle FOLDER NAME",
    see_also: &[
        ("solo5-spt", 1),
        ("solo5-hvt", 1),
        ("solo5-virtio-mkimage", 1),
        ("solo5-elftool", 1),
        ("runc", 8),
        ("crun", 1),
    ],
};

const ABOUT: &str = "Start unikernels in containers, as an OCI runtime";
const LONG_ABOUT: &str = "\
Start unikernels in containers, as an OCI runtime.

podman, containerd and Kubernetes call it in place of runc, with runc's command line. If the program of a \
container is a unikernel for spt or hvt, this program asks the host's policies, makes the host's tender \
the container's process, and hands the container to runc or crun, which makes namespaces and control \
groups. A container with any other program is handed on as it is.

What belongs to the host stays the host's: the tender and the policies of /etc/solo5/policy.d are mounted \
read-only over whatever the image has there.";

/// The command line, for help and documents.
pub fn command() -> Command {
    let with_value = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let container = || Arg::new("CONTAINER").help("Name of the container").required(true);
    let bundle = || {
        let help = "Folder with config.json [default: the current one]";
        with_value("bundle", "FOLDER", help).short('b').value_hint(ValueHint::DirPath)
    };
    let verb = |name: &'static str, about: &'static str| Command::new(name).about(about);
    Command::new(PROGRAM)
        .version(solo5_report::VERSION)
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .override_usage("solo5-run [OPTIONS] VERB [OPTIONS OF THE VERB] CONTAINER")
        .after_help(after_help())
        .arg(
            with_value("runtime", "FILE", "Runtime underneath [default: runc, else crun]")
                .value_hint(ValueHint::ExecutablePath),
        )
        .arg(
            with_value("root", "FOLDER", "Where the runtime underneath keeps its state")
                .value_hint(ValueHint::DirPath),
        )
        .arg(
            with_value("log", "FILE", "Write errors to FILE too, one entry each")
                .value_hint(ValueHint::FilePath),
        )
        .arg(
            with_value("log-format", "FORMAT", "Form of these entries")
                .value_parser(["text", "json"]),
        )
        .arg(
            Arg::new("systemd-cgroup")
                .long("systemd-cgroup")
                .action(ArgAction::SetTrue)
                .help("Have systemd make the control groups"),
        )
        .arg(
            Arg::new("completions")
                .long("completions")
                .value_name("SHELL")
                .value_parser(clap::value_parser!(Shell))
                .exclusive(true)
                .hide(true),
        )
        .arg(Arg::new("man").long("man").action(ArgAction::SetTrue).exclusive(true).hide(true))
        .subcommand(
            verb("create", "Create a container, whose unikernel starts with start")
                .arg(bundle())
                .arg(with_value("pid-file", "FILE", "Write the process's number to FILE"))
                .arg(container()),
        )
        .subcommand(
            verb("run", "Create a container and start it")
                .arg(bundle())
                .arg(
                    Arg::new("detach")
                        .long("detach")
                        .short('d')
                        .action(ArgAction::SetTrue)
                        .help("Do not wait for its end"),
                )
                .arg(container()),
        )
        .subcommand(verb("start", "Start the unikernel of a created container").arg(container()))
        .subcommand(verb("state", "Print the state of a container as JSON").arg(container()))
        .subcommand(
            verb("kill", "Send a signal to the tender; SIGTERM and SIGKILL end it at once")
                .arg(container())
                .arg(Arg::new("SIGNAL").help("Signal [default: SIGTERM]")),
        )
        .subcommand(
            verb("delete", "Remove a container that has ended")
                .arg(
                    Arg::new("force")
                        .long("force")
                        .short('f')
                        .action(ArgAction::SetTrue)
                        .help("Kill it first if it runs"),
                )
                .arg(container()),
        )
        .subcommand(
            verb("exec", "Refused for a unikernel, which has no processes; else handed on")
                .arg(container()),
        )
}

fn after_help() -> String {
    format!(
        "Other verbs and options are handed to the runtime underneath.\n\n{}\n\n\
         Exit status: 0 done, 1 not done, 60 denied by a policy; else the runtime's or the unikernel's.",
        ENDING.help()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
