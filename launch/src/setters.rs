//! What options do with their values: each reads one, and puts what is asked for into the [`Draft`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use solo5_abi::device::Mtu;
use solo5_abi::mft1::DeviceType;
use solo5_report::os_text;

use super::draft::{Draft, ValueError};
use super::launch::{Access, Backing, FileOrFd, Format, Gdb, Interface, Label, User, is_label_key};
use super::machine::{Hypervisor, Machine};
use super::offer::parse_offer;
use super::resolve::{Attachment, NetWish};
use super::value::{parse_fd, parse_mac, parse_memory, parse_number, parse_sector_size};

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

pub(super) fn memory(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    let wrong = || ValueError::Advised(memory_advice(value));
    draft.launch.memory_mib = parse_memory(value).ok_or_else(wrong)?;
    Ok(())
}

pub(super) fn user(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    let text = str::from_utf8(value).map_err(|_| ValueError::Malformed)?;
    let (uid, gid) = text.split_once(':').ok_or(ValueError::Malformed)?;
    // The largest number means "no change" to the kernel.
    let number = |text: &str| {
        let number = parse_number(text.as_bytes()).and_then(|number| u32::try_from(number).ok());
        number.filter(|number| *number != u32::MAX).ok_or(ValueError::Malformed)
    };
    draft.launch.user = Some(User { uid: number(uid)?, gid: number(gid)? });
    Ok(())
}

pub(super) fn chroot(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    if value.is_empty() {
        return Err(ValueError::Malformed);
    }
    draft.launch.chroot = Some(os(value));
    Ok(())
}

/// `@NN`, or with `bare` also `NN`, is a descriptor. Any other text is a path, if it is not empty.
fn file_or_fd(value: &[u8], bare: bool) -> Result<FileOrFd, ValueError> {
    if let Some(number) = value.strip_prefix(b"@") {
        return parse_fd(number).map(FileOrFd::Fd).ok_or(ValueError::Malformed);
    }
    if bare && value.iter().all(u8::is_ascii_digit) {
        return parse_fd(value).map(FileOrFd::Fd).ok_or(ValueError::Malformed);
    }
    if value.is_empty() {
        return Err(ValueError::Malformed);
    }
    if bare && let Some(advice) = nearly_number(value) {
        return Err(ValueError::Advised(advice));
    }
    Ok(FileOrFd::Path(os(value)))
}

/// Advice on a number with a sign or blanks around it, which is more likely a wrong descriptor than a
/// file's name. No file is made of a typing mistake.
fn nearly_number(value: &[u8]) -> Option<String> {
    let text = str::from_utf8(value).ok()?;
    let number = text.trim();
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| {
        format!("a descriptor is a number without sign or blanks; for a file of this name write ./{text}")
    })
}

pub(super) fn policy(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    draft.launch.policies.push(file_or_fd(value, false)?);
    Ok(())
}

pub(super) fn report(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    draft.launch.report = Some(file_or_fd(value, true)?);
    Ok(())
}

pub(super) fn label(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    let text = str::from_utf8(value).map_err(|_| ValueError::Malformed)?;
    let (key, value) = text.split_once('=').ok_or(ValueError::Malformed)?;
    if !is_label_key(key) {
        return Err(ValueError::Malformed);
    }
    if !draft.label_keys.insert(key.to_owned()) {
        let why = format!("Label '{key}' is given more than once");
        let advice = "a label has one value: leave all but one of them out".to_owned();
        return Err(ValueError::Because(why, advice));
    }
    draft.launch.labels.push(Label { key: key.to_owned(), value: value.to_owned() });
    Ok(())
}

pub(super) fn format(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    draft.launch.format = match value {
        b"human" => Format::Human,
        b"json" => Format::Json,
        _ => return Err(ValueError::Malformed),
    };
    Ok(())
}

pub(super) fn offer(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    draft.launch.offer = parse_offer(value).map_err(ValueError::Advised)?;
    Ok(())
}

pub(super) fn machine(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    let machine = str::from_utf8(value).ok().and_then(Machine::from_name);
    let advice = || {
        ValueError::Advised("the machines are pc, q35, microvm and, for aarch64, virt".to_owned())
    };
    draft.launch.runner.machine = Some(machine.ok_or_else(advice)?);
    Ok(())
}

pub(super) fn hypervisor(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    let hypervisor = str::from_utf8(value).ok().and_then(Hypervisor::from_name);
    let why = || {
        let value = os_text(OsStr::from_bytes(value));
        let advice = "the hypervisors are best, kvm, qemu and bhyve".to_owned();
        ValueError::Because(format!("Unknown hypervisor: {value}"), advice)
    };
    draft.launch.runner.hypervisor = hypervisor.ok_or_else(why)?;
    Ok(())
}

pub(super) fn next_disk(value: &[u8]) -> Result<Attachment, ValueError> {
    Ok(Attachment::Block(Backing::Path(os(value))))
}

/// `IFACE` or `IFACE:MTU`. No interface has a colon in its name.
pub(super) fn next_interface(value: &[u8]) -> Result<Attachment, ValueError> {
    let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
    let (name, mtu) = value.split_at(end);
    let mtu = mtu.strip_prefix(b":").map(|text| {
        let mtu = parse_number(text).and_then(Mtu::new);
        mtu.ok_or_else(|| {
            let (least, most) = (Mtu::RANGE.start(), Mtu::RANGE.end());
            ValueError::Advised(format!("an MTU is a number from {least} to {most}"))
        })
    });
    Ok(Attachment::Net(interface(name)?, mtu.transpose()?))
}

/// The name of a tap, or `@NN`.
fn interface(value: &[u8]) -> Result<Interface, ValueError> {
    Ok(match value.strip_prefix(b"@") {
        None => Interface::Tap(os(value)),
        Some(number) => Interface::Fd(net_fd(value, number)?),
    })
}

pub(super) fn net(draft: &mut Draft, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let interface = interface(value)?;
    draft.once(DeviceType::NetBasic, name)?;
    draft.wishes.nets.push(NetWish { name: name.to_owned(), interface, mac: None, mtu: None });
    Ok(())
}

/// A tap's descriptor. A wrong number is refused with upstream's texts
/// (`docs/reference/downstream.md#attach-net`).
fn net_fd(value: &[u8], number: &[u8]) -> Result<i32, ValueError> {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    parse_fd(number).ok_or_else(|| {
        let why = if is_number { "Numerical result out of range" } else { "Invalid argument" };
        let value = os_text(OsStr::from_bytes(value));
        let advice = "a descriptor is @ and a number, as in @3".to_owned();
        ValueError::Because(format!("Could not attach interface: {value}: {why}"), advice)
    })
}

pub(super) fn net_mac(draft: &mut Draft, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let mac = parse_mac(value).ok_or(ValueError::Invalid)?;
    // As upstream: an address of zeros counts as absent.
    let mac = Some(mac).filter(|mac| mac.0 != [0; 6]);
    draft.wishes.settings.macs.insert(name.to_owned(), mac);
    Ok(())
}

pub(super) fn block(draft: &mut Draft, name: &str, value: &[u8]) -> Result<(), ValueError> {
    draft.attach_block(name, Backing::Path(os(value)))
}

pub(super) fn block_fd(draft: &mut Draft, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let fd = parse_fd(value).ok_or(ValueError::Malformed)?;
    draft.attach_block(name, Backing::Fd(fd))
}

pub(super) fn sector_size(draft: &mut Draft, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let size = parse_sector_size(value).ok_or(ValueError::SectorSize)?;
    draft.wishes.settings.sector_sizes.insert(name.to_owned(), size);
    Ok(())
}

pub(super) fn block_access(draft: &mut Draft, name: &str, value: &[u8]) -> Result<(), ValueError> {
    let access = str::from_utf8(value).ok().and_then(Access::from_name);
    let access = access.ok_or(ValueError::Malformed)?;
    draft.wishes.settings.accesses.insert(name.to_owned(), access);
    Ok(())
}

pub(super) fn gdb_port(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    let port = parse_number(value).and_then(|number| u16::try_from(number).ok());
    draft.gdb_at = Gdb::Port(port.ok_or(ValueError::Malformed)?);
    Ok(())
}

pub(super) fn gdb_socket(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    if value.is_empty() {
        return Err(ValueError::Malformed);
    }
    draft.gdb_at = Gdb::Socket(os(value));
    Ok(())
}

pub(super) fn dumpcore(draft: &mut Draft, value: &[u8]) -> Result<(), ValueError> {
    if value.is_empty() {
        return Err(ValueError::Malformed);
    }
    draft.launch.dumpcore = Some(os(value));
    Ok(())
}

/// What to write for a memory size that is none: if it is a number with another unit, that one.
fn memory_advice(value: &[u8]) -> String {
    let text = str::from_utf8(value).unwrap_or_default();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text.strip_suffix(unit).unwrap_or_default();
    let meant = match unit.to_ascii_lowercase().as_str() {
        "m" | "mb" | "mib" => Some("MiB"),
        "g" | "gb" | "gib" => Some("GiB"),
        _ => None,
    };
    let meant = meant.map(|unit| format!("{number}{unit}"));
    match meant.filter(|meant| parse_memory(meant.as_bytes()).is_some()) {
        Some(meant) => format!("write --mem={meant}"),
        None => "write a number of MiB, such as --mem=512, or a size such as --mem=2GiB".to_owned(),
    }
}
