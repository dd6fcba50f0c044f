//! A command line that was read but not yet compared with a manifest, and the comparison.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use solo5_abi::mft1::{DeviceType, Mft1};
use solo5_abi::mft2::Mft2;
use solo5_report::os_text;

use super::devices::{attaching, meant, undeclared};
use super::error::OptionError;
use super::launch::{Backing, FileOrFd, Interface, Label, Launch};
use super::resolve::{Attachment, Wishes};

/// A device that an option names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) argument: usize,
    pub(super) option: OsString,
    pub(super) kind: DeviceType,
    pub(super) name: String,
    /// Whether the option declines the device.
    pub(super) declines: bool,
}

/// A command line that was read but not yet compared with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was asked for, without devices to attach. Before [`Request::check`] only the parts that
    /// have an accessor may be used.
    pub(super) launch: Launch,
    pub(super) wishes: Wishes,
    pub(super) error: Option<OptionError>,
    pub(super) mentions: Vec<Mention>,
    /// What to write if KERNEL is the value of the option in front of it.
    pub(super) taken_as_kernel: Option<String>,
}

impl Request {
    /// Advice for a KERNEL that is no unikernel: it was taken as KERNEL because no option's value is a
    /// word of its own.
    pub fn advice_on_kernel(&self) -> Option<&str> {
        self.taken_as_kernel.as_deref()
    }

    /// The request as [`read_for`](crate::read_for) gives it, which is told the unikernel: without that doubt.
    #[must_use]
    pub fn of_a_known_kernel(self) -> Request {
        Request { taken_as_kernel: None, ..self }
    }

    /// The unikernel's file.
    pub fn kernel(&self) -> &OsStr {
        &self.launch.kernel
    }

    /// Where to write the report; known even if an option is wrong.
    pub fn report(&self) -> Option<&FileOrFd> {
        self.launch.report.as_ref()
    }

    /// The policies named. They may be used before [`Request::check`]: if another option is wrong,
    /// nothing starts anyway.
    pub fn policies(&self) -> &[FileOrFd] {
        &self.launch.policies
    }

    /// The labels. Like [`Request::policies`], they may be used before [`Request::check`].
    pub fn labels(&self) -> &[Label] {
        &self.launch.labels
    }

    /// The disks to attach: the name of each device, and what backs it. Before [`Request::check`] a
    /// tender may look at the files, but not open them.
    pub fn disks(&self) -> impl Iterator<Item = (Cow<'_, str>, &Backing)> {
        let named = self.wishes.blocks.iter();
        let named = named.map(|block| (Cow::Borrowed(block.name.as_str()), &block.backing));
        let placed = self.wishes.placed.iter().filter_map(|placed| match &placed.what {
            Attachment::Block(backing) => Some((os_text(&placed.option), backing)),
            Attachment::Net(..) => None,
        });
        named.chain(placed)
    }

    /// Every inherited descriptor that an option names. A tender checks that they are open before it
    /// opens files of its own, which could take the same numbers.
    pub fn descriptors(&self) -> impl Iterator<Item = i32> {
        let nets = self.wishes.nets.iter().map(|net| &net.interface);
        let placed = self.wishes.placed.iter().filter_map(|placed| match &placed.what {
            Attachment::Net(interface, _) => Some(interface),
            Attachment::Block(_) => None,
        });
        let nets = nets.chain(placed).filter_map(|interface| match interface {
            Interface::Fd(fd) => Some(*fd),
            Interface::Tap(_) => None,
        });
        let blocks = self.wishes.blocks.iter().filter_map(|block| match block.backing {
            Backing::Fd(fd) => Some(fd),
            Backing::Path(_) => None,
        });
        let files = self.launch.policies.iter().chain(&self.launch.report);
        let files = files.filter_map(|file| match file {
            FileOrFd::Fd(fd) => Some(*fd),
            FileOrFd::Path(_) => None,
        });
        nets.chain(blocks).chain(files)
    }

    /// Whether the launch is only explained. Then there is no outcome to report.
    pub fn only_explains(&self) -> bool {
        self.launch.explain
    }

    /// What was asked for, or the first wrong option in argument order: one that could not be
    /// read, names a device the manifest does not declare, or declines one that is not optional.
    pub fn check(
        self,
        manifest: &Mft1<'_>,
        properties: Option<&Mft2<'_>>,
    ) -> Result<Launch, OptionError> {
        let wrong = self.mentions.iter().find_map(|mention| {
            let name = &mention.name;
            let (why, advice) = match manifest.find(name, mention.kind) {
                None => (undeclared(name), meant(manifest, mention.kind, name)),
                Some((index, _))
                    if mention.declines
                        && !properties.is_some_and(|all| all.device(index).optional) =>
                {
                    let advice = format!("attach it with --{}", attaching(mention.kind, name));
                    (format!("Device '{name}' is not optional"), advice)
                }
                Some(_) => return None,
            };
            Some(OptionError::invalid(mention.argument, &mention.option, Some(why), Some(advice)))
        });
        let first = [wrong, self.error].into_iter().flatten().min_by_key(|error| error.argument);
        match first {
            Some(error) => Err(error),
            None => {
                let wishes = self.wishes.placed(&self.launch, manifest)?;
                wishes.resolve(self.launch, manifest, properties)
            }
        }
    }
}
