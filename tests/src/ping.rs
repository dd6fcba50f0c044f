//! A flood ping: sends a number of echo requests, a few at a time, and checks each reply.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketType, connect, ipproto, recv, send, socket,
};

use crate::directive::Ping;
use crate::outcome::{Context, Outcome};
use crate::{ensure, fail};

/// Requests without a reply yet; few enough for any queue on the way.
const IN_FLIGHT: u32 = 16;

/// A reply that takes longer counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Size of the payload in bytes, `ping`'s default.
const PAYLOAD: usize = 56;

/// Bytes at the start of the payload that number the request; `ping` has its time stamp there.
const NUMBER: usize = 16;

const HEADER: usize = 8;

/// Sends the pings from this thread's network namespace. Each must be answered once, with the payload
/// that was sent; the last few need not if the run says so. `identifier` tells concurrent pings apart. The payload behind its number
/// repeats `pattern`.
///
/// # Errors
/// A reply is missing, repeated or altered, or the host's network fails.
pub fn flood(ping: Ping, identifier: u16, pattern: &[u8]) -> Outcome {
    let icmp = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))
        .during("opening an ICMP socket")?;
    connect(&icmp, &SocketAddrV4::new(ping.address, 0)).during("routing the pings")?;
    set_socket_timeout(&icmp, Timeout::Recv, Some(Duration::from_millis(100)))?;

    let mut answered = vec![false; ping.count as usize];
    let (mut sent, mut received) = (0, 0);
    let mut last_reply = Instant::now();
    let mut buffer = [0; 2048];
    while received < ping.count {
        while sent < ping.count && sent - received < IN_FLIGHT {
            send(&icmp, &request(identifier, sent, pattern), SendFlags::empty())
                .during(format!("sending ping {sent}"))?;
            sent += 1;
        }
        let size = match recv(&icmp, &mut buffer[..], RecvFlags::empty()) {
            Ok((size, _)) => size,
            Err(error) if error == rustix::io::Errno::AGAIN => {
                let waited = last_reply.elapsed();
                if waited >= PATIENCE && sent == ping.count && sent - received <= ping.unanswered {
                    break;
                }
                ensure!(
                    waited < PATIENCE,
                    "{} of {sent} pings to {} lost",
                    sent - received,
                    ping.address
                );
                continue;
            }
            Err(error) => fail!("receiving from {}: {error}", ping.address),
        };
        let Some(reply) = reply(buffer.get(..size).unwrap_or_default(), ping.address, identifier)
        else {
            continue;
        };
        let number = number_of(reply).ok_or("a reply is too short")?;
        let expected = request(identifier, number, pattern);
        ensure!(
            reply.get(HEADER..) == expected.get(HEADER..),
            "the reply to ping {number} has another payload"
        );
        match answered.get_mut(number as usize) {
            Some(answered) if !*answered => *answered = true,
            _ => fail!("ping {number} was answered twice, or never sent"),
        }
        received += 1;
        last_reply = Instant::now();
    }
    Ok(())
}

/// An echo request with its number in header and payload (RFC 792).
fn request(identifier: u16, number: u32, pattern: &[u8]) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0];
    packet.extend(identifier.to_be_bytes());
    let [_, _, high, low] = number.to_be_bytes();
    packet.extend([high, low]);
    packet.extend(number.to_be_bytes());
    packet.resize(HEADER + NUMBER, 0);
    let pattern = if pattern.is_empty() { &[0x5a][..] } else { pattern };
    packet.extend(pattern.iter().cycle().take(PAYLOAD - NUMBER));
    let [high, low] = checksum(&packet).to_be_bytes();
    if let Some(field) = packet.get_mut(2..4) {
        field.copy_from_slice(&[high, low]);
    }
    packet
}

/// The ICMP packet in an IPv4 packet, if it is an intact echo reply from `address` to us.
fn reply(packet: &[u8], address: Ipv4Addr, identifier: u16) -> Option<&[u8]> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let icmp = packet.get(header..)?;
    let from_address = packet.get(12..16)? == address.octets();
    let is_reply = icmp.first() == Some(&0) && icmp.get(4..6)? == identifier.to_be_bytes();
    (from_address && is_reply && checksum(icmp) == 0).then_some(icmp)
}

fn number_of(icmp: &[u8]) -> Option<u32> {
    let bytes = icmp.get(HEADER..HEADER + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// RFC 1071; 0 over a packet that holds its own sum.
fn checksum(data: &[u8]) -> u16 {
    let words = data.chunks(2).map(|pair| {
        let high = pair.first().copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([high, pair.get(1).copied().unwrap_or(0)]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_its_number_and_sum() {
        let packet = request(0x1234, 70_000, &[0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(packet.len(), HEADER + PAYLOAD);
        assert_eq!(checksum(&packet), 0);
        assert_eq!(number_of(&packet), Some(70_000));
        assert_eq!(packet.get(HEADER + 16..HEADER + 20), Some(&[0xde, 0xad, 0xbe, 0xef][..]));
    }

    #[test]
    fn only_our_replies_count() {
        let mut icmp = request(7, 1, &[]);
        icmp[0] = 0;
        icmp[2..4].fill(0);
        let sum = checksum(&icmp).to_be_bytes();
        icmp[2..4].copy_from_slice(&sum);
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&[10, 0, 0, 2]);
        packet.extend(&icmp);
        let address = Ipv4Addr::new(10, 0, 0, 2);
        assert_eq!(reply(&packet, address, 7), Some(&icmp[..]));
        assert_eq!(reply(&packet, address, 8), None);
        assert_eq!(reply(&packet, Ipv4Addr::new(10, 0, 0, 3), 7), None);
        packet[40] ^= 1;
        assert_eq!(reply(&packet, address, 7), None);
    }
}
