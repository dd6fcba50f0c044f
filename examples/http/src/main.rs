//! The unikernel: takes the device `service`, serves it for ever, and sleeps in between.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod device;

use alloc::format;
use alloc::string::String;
use core::convert::Infallible;

use http::{Options, Server};
use smoltcp::time::Instant as NetInstant;
use smoltcp::wire::EthernetAddress;
use solo5::{Instant, Net, Start, println, wall_clock, yield_until};

use crate::device::Device;

// The linker reads the manifest. Naming it here makes Cargo build again when it changes.
const _: &str = include_str!("../manifest.yaml");

solo5::main!(serve);

fn serve(start: &Start) -> Result<Infallible, String> {
    let command_line = start.command_line().map_err(|error| format!("command line: {error}"))?;
    let options = Options::parse(command_line).map_err(|error| format!("{error}"))?;
    let net = Net::acquire("service").map_err(|error| format!("net 'service': {error}"))?;
    let mac = EthernetAddress(net.mac_address());
    if !mac.is_unicast() {
        return Err(format!("net 'service': {mac} is not the address of one device"));
    }
    let mut device = Device::new(net);
    let mut server = Server::new(&mut device, mac, &options, seed(), net_time(Instant::now()));
    println!("http: serving http://{}/", options.ipv4.address());
    loop {
        let deadline = server.turn(&mut device, net_time(Instant::now()));
        if let Some(error) = device.failure() {
            return Err(format!("net 'service': {error}"));
        }
        yield_until(deadline.map_or(Instant::MAX, solo5_time));
    }
}

/// A number that differs from start to start. Solo5 gives a guest no better source than its clocks
/// (docs/reference/guest-api.md#time).
fn seed() -> u64 {
    wall_clock().as_nanos() as u64 ^ Instant::now().as_nanos().rotate_left(32)
}

/// smoltcp counts whole microseconds.
fn net_time(time: Instant) -> NetInstant {
    NetInstant::from_micros(i64::try_from(time.as_nanos() / 1000).unwrap_or(i64::MAX))
}

/// A point in time that is not before `time`. One that was rounded down could be waited for again and
/// again.
fn solo5_time(time: NetInstant) -> Instant {
    let microseconds = u64::try_from(time.total_micros()).unwrap_or(0);
    Instant::from_nanos(microseconds.saturating_mul(1000))
}
