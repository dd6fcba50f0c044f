//! Queries about network interfaces in the tender's own network namespace, through rtnetlink.
//!
//! `/sys/class/net` shows the namespace in which it was mounted, which may be another one. A
//! netlink socket answers for the namespace in which it was made.
//!
//! The only request is `RTM_GETLINK` for a single interface. The kernel answers it before `send`
//! returns, in one message.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::sys::Errno;

const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;

/// Size in bytes of a message's header (`nlmsghdr`).
const HEADER: usize = 16;
/// Size in bytes of the fixed part of a link message (`ifinfomsg`).
const LINK: usize = 16;
/// Size in bytes of an attribute's header.
const ATTRIBUTE: usize = 4;
/// Maximum size of an answer in bytes. A link message usually has about 1500.
const ANSWER_MAX: usize = 1 << 15;

/// How an interface is named in a request.
#[derive(Clone, Copy, Debug)]
enum Which<'a> {
    Name(&'a [u8]),
    Index(u32),
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    name: Vec<u8>,
    /// Index of the interface that it is a port of.
    master: Option<u32>,
}

/// The name of the bridge that the interface called `name` is a port of; `None` if there is none.
/// `ENODEV` if there is no interface called `name`.
pub fn master(name: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let port = link(Which::Name(name))?;
    // The kernel also finds an interface by its alternative names.
    if port.name != name {
        return Err(Errno::NODEV);
    }
    let master = port.master.map(|index| link(Which::Index(index))).transpose()?;
    Ok(master.map(|master| master.name))
}

fn link(which: Which<'_>) -> Result<Link, Errno> {
    // Protocol 0 is `NETLINK_ROUTE`.
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    // Connected to the kernel, so that no other process can answer.
    rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    rustix::net::send(&socket, &request(which)?, SendFlags::empty())?;
    let mut answer = vec![0; ANSWER_MAX];
    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
    let (_, length) = rustix::net::recv(&socket, &mut answer[..], flags)?;
    parse(answer.get(..length).ok_or(Errno::MSGSIZE)?)
}

fn request(which: Which<'_>) -> Result<Vec<u8>, Errno> {
    let (index, name) = match which {
        Which::Index(index) => (index, &[][..]),
        Which::Name(name) if name.is_empty() || name.len() >= libc::IFNAMSIZ => {
            return Err(Errno::NODEV);
        }
        Which::Name(name) => (0, name),
    };
    let mut attribute = Vec::new();
    if !name.is_empty() {
        // The name and its terminator; the check above bounds the length.
        let size = (ATTRIBUTE + name.len() + 1) as u16;
        attribute.extend(size.to_ne_bytes());
        attribute.extend(IFLA_IFNAME.to_ne_bytes());
        attribute.extend(name);
        attribute.resize((usize::from(size)).next_multiple_of(4), 0);
    }
    let mut message = Vec::new();
    message.extend(((HEADER + LINK + attribute.len()) as u32).to_ne_bytes());
    message.extend(libc::RTM_GETLINK.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // Sequence number and sender are 0: the socket carries one request, and the kernel fills in the
    // sender.
    message.extend([0; 8]);
    // Address family and hardware type: any.
    message.extend([0; 4]);
    message.extend(index.to_ne_bytes());
    // Interface flags and their change mask: none.
    message.extend([0; 8]);
    message.extend(attribute);
    Ok(message)
}

/// Parses the kernel's answer. Every length in it is checked against the answer's own size.
fn parse(answer: &[u8]) -> Result<Link, Errno> {
    let (header, rest) = answer.split_at_checked(HEADER).ok_or(Errno::BADMSG)?;
    let length = u32_at(header, 0).and_then(|length| usize::try_from(length).ok());
    let body = length.and_then(|length| rest.get(..length.checked_sub(HEADER)?));
    let body = body.ok_or(Errno::BADMSG)?;
    match u16_at(header, 4) {
        Some(libc::RTM_NEWLINK) => {}
        Some(kind) if i32::from(kind) == libc::NLMSG_ERROR => {
            let error = u32_at(body, 0).map(|error| (error as i32).saturating_neg());
            return Err(Errno::from_raw_os_error(
                error.filter(|error| *error > 0).unwrap_or(libc::EBADMSG),
            ));
        }
        _ => return Err(Errno::BADMSG),
    }
    let mut link = Link { name: Vec::new(), master: None };
    let mut rest = body.get(LINK..).ok_or(Errno::BADMSG)?;
    while let Some(size) = u16_at(rest, 0) {
        let size = usize::from(size);
        let value = rest.get(ATTRIBUTE..size).ok_or(Errno::BADMSG)?;
        match u16_at(rest, 2) {
            Some(IFLA_IFNAME) => {
                link.name = value.split(|byte| *byte == 0).next().unwrap_or_default().to_owned();
            }
            Some(IFLA_MASTER) => link.master = u32_at(value, 0),
            _ => {}
        }
        rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
    }
    if link.name.is_empty() { Err(Errno::BADMSG) } else { Ok(link) }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A link message with these attributes.
    fn answer(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![0; LINK];
        for (kind, value) in attributes {
            body.extend(((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        message(libc::RTM_NEWLINK, &body)
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.resize(HEADER, 0);
        message.extend(body);
        message
    }

    #[test]
    fn the_loopback_interface_is_found() {
        let found = link(Which::Name(b"lo")).unwrap();
        assert_eq!(found, Link { name: b"lo".to_vec(), master: None });
        assert_eq!(link(Which::Index(1)).unwrap().name, b"lo", "the first of every namespace");
        assert_eq!(master(b"lo"), Ok(None));
        for none in [&b"nosuchlink0"[..], b"", b"a-name-that-is-too-long"] {
            assert_eq!(master(none), Err(Errno::NODEV));
        }
    }

    #[test]
    fn names_and_masters_are_found_among_other_attributes() {
        let index = 7u32.to_ne_bytes();
        let found = parse(&answer(&[
            (1, b"12345"),
            (IFLA_IFNAME, b"tap0\0"),
            (IFLA_MASTER, &index),
            (4, &index),
        ]));
        assert_eq!(found, Ok(Link { name: b"tap0".to_vec(), master: Some(7) }));
        let error = message(libc::NLMSG_ERROR as u16, &(-libc::EPERM).to_ne_bytes());
        assert_eq!(parse(&error), Err(Errno::PERM));
    }

    #[test]
    fn truncated_and_unexpected_answers_are_refused() {
        let whole = answer(&[(IFLA_IFNAME, b"tap0\0")]);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), Err(Errno::BADMSG), "{length}");
        }
        for (what, bytes) in [
            ("nothing", answer(&[])),
            ("no error", message(libc::NLMSG_ERROR as u16, &[0; 4])),
            ("another message", message(3, &[0; LINK])),
            (
                "an attribute beyond the end",
                message(libc::RTM_NEWLINK, &[&[0; LINK][..], &[9, 0, 3, 0, 1]].concat()),
            ),
            ("an attribute of no size", message(libc::RTM_NEWLINK, &[0; LINK + 4])),
        ] {
            assert_eq!(parse(&bytes), Err(Errno::BADMSG), "{what}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let _ = parse(&message(libc::RTM_NEWLINK, &bytes));
        }
    }
}
