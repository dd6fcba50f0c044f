//! Launch options: the command line of a tender as a plain value.
//!
//! A tender and `solo5-elftool check` read the same command line with the same code, so what was
//! checked is what will be started.
//!
//! Upstream walks the arguments twice (`docs/reference/downstream.md#options`). These steps report
//! errors in the same order as upstream:
//!
//! 1. [`read`] finds help, version and KERNEL, and reads every option (`reader.rs`, with the table of
//!    `options.rs` and the `setters.rs` that it names). A wrong option does not stop it, because an
//!    error in the kernel file is reported before one in an option. The [`Request`] remembers the
//!    first wrong option.
//! 2. The caller opens KERNEL and reads its notes.
//! 3. [`Request::check`] compares the devices named with those declared and reports the first error
//!    in argument order (`request.rs`, `devices.rs`). `resolve.rs` makes the [`Launch`].
//!
//! 4. [`Launch::unfit`] says what no tender would attach (`foresee.rs`): descriptors, interfaces and disks
//!    that cannot be used, and a report that would be written into one of them. The tenders decide with
//!    the same parts (`unfit.rs`, `disks.rs`, `used_files.rs`) on what they have opened.
//!
//! Adversary: arguments of any content. They are compared and copied. The files that they name are looked
//! up, but never opened: links are followed, and `/sys` tells what a block device is a piece of
//! (`file_id.rs`, `extent.rs`).
//!
//! Some input that upstream accepts by accident is refused: numbers with signs, junk or overflow,
//! addresses with trailing text, a device attached twice.

#![forbid(unsafe_code)]

pub mod completion;
mod devices;
mod disks;
mod draft;
mod error;
mod extent;
mod file_id;
mod foresee;
mod launch;
mod machine;
mod memory;
mod modules;
mod needs;
mod offer;
mod options;
mod reader;
mod request;
mod resolve;
mod setters;
mod short;
mod unfit;
mod usage;
mod used_files;
mod value;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use solo5_abi::target::Target;
use solo5_report::os_text;

pub use disks::{Disk, Disks};
pub use error::OptionError;
pub use extent::{Extent, extents};
pub use file_id::FileId;
pub use foresee::{check_size, is_interface_name};
pub use launch::{
    Access, Backing, Block, FileOrFd, Format, Gdb, Interface, Label, Launch, Net, User,
    is_label_key,
};
pub use machine::{Hypervisor, Machine, Runner};
pub use memory::{TooMuchMemory, guest_memory, mebibytes, memory_default_mib, rounded};
pub use modules::Modules;
pub use needs::Unmet;
pub use reader::apart;
pub use request::Request;
pub use short::spelled;
pub use unfit::{NAMED_TWICE, STANDARD, Unfit};
pub use usage::usage;
pub use used_files::UsedFiles;
pub use value::{Mac, parse_mac};

/// A command line that launches nothing. Found before KERNEL is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `--help`: usage on standard error, exit 1.
    Help,
    /// `--version`: exit 0.
    Version,
    /// `--explain=CODE`: the page on this code, exit 0.
    Explain(String),
    /// No operand: [`MISSING_KERNEL`], then usage, exit 1.
    MissingKernel {
        /// Advice on the first wrong option, if there is any.
        advice: Option<String>,
    },
}

/// The text of [`Stop::MissingKernel`].
pub const MISSING_KERNEL: &str = "Missing KERNEL operand";

/// Reads a tender's arguments, which do not include the name of the program.
pub fn read(arguments: &[OsString], modules: &Modules) -> Result<Request, Stop> {
    let arguments = &*spelled(arguments, modules);
    let mut rest = arguments;
    while let Some((first, after)) = rest.split_first() {
        if !first.as_bytes().starts_with(b"-") {
            break;
        }
        rest = after;
        match first.as_bytes() {
            b"--" => break,
            b"--help" => return Err(Stop::Help),
            b"--version" => return Err(Stop::Version),
            option => {
                if let Some(code) = option.strip_prefix(b"--explain=") {
                    return Err(Stop::Explain(os_text(OsStr::from_bytes(code)).into_owned()));
                }
            }
        }
    }
    let Some((kernel, guest)) = rest.split_first() else {
        let wrong = reader::read(arguments, OsStr::new(""), &[], modules).error;
        return Err(Stop::MissingKernel { advice: wrong.and_then(|error| error.advice) });
    };
    let guest = match guest.split_first() {
        // As the runner of Solo5 0.12.
        Some((first, guest)) if modules.target == Target::Virtio && first == "--" => guest,
        _ => guest,
    };
    let seen = arguments.len() - rest.len();
    let options = arguments.get(..seen).unwrap_or_default();
    let last = options.last();
    let taken = last.and_then(|word| reader::taken_as_kernel(word, kernel, modules));
    Ok(Request { taken_as_kernel: taken, ..reader::read(options, kernel, guest, modules) })
}

/// Reads launch options for a KERNEL that is named elsewhere. The guest's arguments follow the options
/// or `--`.
pub fn read_for(kernel: &OsStr, arguments: &[OsString], modules: &Modules) -> Request {
    read_spelled_for(kernel, &spelled(arguments, modules), modules)
}

/// As [`read_for`], with options that are [`spelled`] already. Doing so twice could take a word for the value
/// of a short option that has none.
pub fn read_spelled_for(kernel: &OsStr, arguments: &[OsString], modules: &Modules) -> Request {
    let count = arguments
        .iter()
        .position(|argument| argument == "--" || !argument.as_bytes().starts_with(b"-"))
        .unwrap_or(arguments.len());
    let (options, rest) = arguments.split_at(count);
    let guest = match rest.split_first() {
        Some((first, guest)) if first == "--" => guest,
        _ => rest,
    };
    reader::read(options, kernel, guest, modules)
}

impl Launch {
    /// Advice about the guest's first argument that looks like a device option of the tender; `None`
    /// if there is no such argument.
    pub(crate) fn misplaced(&self) -> Option<String> {
        let found = self.arguments.iter().find(|argument| options::is_for_device(argument))?;
        Some(format!(
            "'{}' follows the image, so it is the guest's; options come before the image",
            os_text(found)
        ))
    }
}

#[cfg(test)]
mod tests;
