//! The command line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Arg, CommandFactory, Parser, ValueEnum, ValueHint};
use clap_complete::Shell;
use solo5_report::man::Ending;

use crate::name;

/// Make a disk, cloud or container image of a unikernel.
///
/// The disk formats take a virtio unikernel for x86_64 and make a disk that a BIOS or UEFI boots: QEMU,
/// bhyve, VirtualBox and clouds. kernel takes one for aarch64 and makes the raw form that loaders of Linux
/// kernels take. oci takes every target and makes an image for podman, containerd and
/// Kubernetes. No root and no other program is needed. IMAGE.json beside the image says what it was made
/// of. The same input gives the same bytes; SOURCE_DATE_EPOCH sets the one time in an image.
#[derive(Debug, Parser)]
#[command(
    name = crate::PROGRAM,
    version = solo5_report::VERSION,
    override_usage = "solo5-virtio-mkimage [OPTIONS] [--] IMAGE UNIKERNEL [ARGUMENTS]...",
    after_help = after_help(),
)]
pub struct Arguments {
    /// What to make
    #[arg(short, long, value_enum, default_value_t = Format::Raw)]
    pub format: Format,
    /// Name of the image in its layout; only with --format=oci
    #[arg(long, value_name = "NAME", value_parser = name::reference)]
    pub tag: Option<String>,
    /// What the runtime urunc takes the unikernel for; only with --format=oci [default: mirage]
    #[arg(long, value_name = "NAME", value_parser = name::framework)]
    pub framework: Option<String>,
    /// Write no IMAGE.json
    #[arg(long)]
    pub no_record: bool,
    /// Accepted and ignored: Solo5 0.12 ran its tools in Docker then, and none are needed here
    #[arg(short = 'd')]
    pub docker: bool,
    /// Print a completion script
    #[arg(long, value_name = "SHELL", exclusive = true, hide = true)]
    pub completions: Option<Shell>,
    /// Print the manual page
    #[arg(long, exclusive = true, hide = true)]
    pub man: bool,

    /// File to write, or folder for oci; `-` is standard output
    #[arg(value_hint = ValueHint::FilePath, required_unless_present_any = ["completions", "man"])]
    pub image: Option<PathBuf>,
    /// Unikernel to put into the image
    #[arg(value_hint = ValueHint::FilePath, required_unless_present_any = ["completions", "man"])]
    pub unikernel: Option<PathBuf>,
    /// Arguments of the unikernel; everything after UNIKERNEL is one
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// The words of a command line, the program's name first, with `--` behind UNIKERNEL. Otherwise clap would
/// take words there that look like its options for its own.
pub fn delimited(mut words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let command = Arguments::command();
    let takes_value = |is_it: &dyn Fn(&Arg) -> bool| {
        let found = command.get_arguments().find(|argument| is_it(argument));
        found.is_some_and(|argument| argument.get_action().takes_values())
    };
    let mut all: Vec<OsString> = words.next().into_iter().collect();
    let mut names = 0;
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        let value_follows = match bytes {
            b"--" => {
                all.push(word);
                break;
            }
            [b'-', b'-', name @ ..] => takes_value(&|argument| {
                argument.get_long().is_some_and(|long| long.as_bytes() == name)
            }),
            [b'-', letters @ ..] if !letters.is_empty() => {
                let with_value = letters.iter().position(|letter| {
                    takes_value(&|argument| argument.get_short() == Some(char::from(*letter)))
                });
                with_value.is_some_and(|at| at + 1 == letters.len())
            }
            _ => {
                names += 1;
                false
            }
        };
        all.push(word);
        if value_follows {
            all.extend(words.next());
        }
        if names == 2 {
            all.push("--".into());
            break;
        }
    }
    all.extend(words);
    all
}

/// What help and the manual page end with.
pub const ENDING: Ending = Ending {
    statuses: &[("0", "The image is there."), ("1", "It is not, and nothing is left behind.")],
    examples: "\
solo5-virtio-mkimage disk.img web.virtio --ipv4=10.0.0.2/24
qemu-system-x86_64 -nographic -drive file=disk.img,format=raw,if=ide

solo5-virtio-mkimage -f tar web.tar.gz web.virtio   # Google Compute
solo5-virtio-mkimage -f qcow2 web.qcow2 web.virtio  # libvirt, OpenStack
solo5-virtio-mkimage -f oci web web.hvt             # podman, Kubernetes",
    see_also: &[
        ("solo5-virtio-run", 1),
        ("solo5-cc", 1),
        ("solo5-elftool", 1),
        ("qemu-system-x86_64", 1),
        ("skopeo", 1),
    ],
};

fn after_help() -> String {
    format!("{}\n\nExit status: 0 done, 1 not done, and nothing is left behind.", ENDING.help())
}

/// Formats of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Sparse file with the bytes of the disk
    Raw,
    /// Compressed archive with disk.raw, for Google Compute Engine
    Tar,
    /// For QEMU, libvirt, OpenStack
    Qcow2,
    /// Stream optimised, for VMware and AWS
    Vmdk,
    /// Of fixed size, for Azure, Hyper-V, VirtualBox
    Vhd,
    /// The raw form of a Linux kernel, for loaders of aarch64
    Kernel,
    /// Folder with a container image, for podman, containerd, Kubernetes
    Oci,
}

impl Format {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Tar => "tar",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
            Format::Vhd => "vhd",
            Format::Kernel => "kernel",
            Format::Oci => "oci",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The image's format and the unikernel's arguments.
    fn read(line: &str) -> (Format, Vec<OsString>) {
        let words = ["mkimage"].into_iter().chain(line.split(' ')).map(OsString::from);
        let arguments = Arguments::try_parse_from(delimited(words)).unwrap();
        assert_eq!(arguments.image, Some("i".into()));
        assert_eq!(arguments.unikernel, Some("u".into()));
        (arguments.format, arguments.arguments)
    }

    #[test]
    fn words_behind_the_unikernel_are_its_arguments() {
        for own in [
            "-f qcow2",
            "--format qcow2",
            "-V",
            "-h",
            "-d",
            "--no-record",
            "--tag=x",
            "Hello -f oci",
        ] {
            let words: Vec<OsString> = own.split(' ').map(OsString::from).collect();
            assert_eq!(read(&format!("i u {own}")), (Format::Raw, words.clone()), "{own}");
            assert_eq!(read(&format!("-df vhd i u {own}")), (Format::Vhd, words.clone()), "{own}");
            assert_eq!(
                read(&format!("--tag t i -f oci u {own}")),
                (Format::Oci, words.clone()),
                "{own}"
            );
            assert_eq!(read(&format!("-- i u {own}")), (Format::Raw, words), "{own}");
        }
        // The program drops the first `--`, as tenders do.
        assert_eq!(read("-fvmdk i u -- -d"), (Format::Vmdk, vec!["--".into(), "-d".into()]));
    }
}
