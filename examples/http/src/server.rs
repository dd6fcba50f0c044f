//! The interface, its TCP sockets, and the connections on them.

use alloc::vec;
use alloc::vec::Vec;

use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::phy::Device;
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpCidr};

use crate::connection::Connection;
use crate::options::Options;

/// The port of HTTP.
const PORT: u16 = 80;

/// Most clients at once, including those whose connection is being opened or closed: each needs a
/// socket, because there is no queue of waiting clients. A socket and its buffers take 7 KiB.
const CONNECTIONS: usize = 256;

const RECEIVE_BUFFER: usize = 2048;
const SEND_BUFFER: usize = 4096;

/// A client that acknowledges nothing for this long counts as gone.
const SILENCE: Duration = Duration::from_secs(20);

/// Most frames read in one turn, so that a flood does not delay the answers.
const BURST: usize = 64;

/// An HTTP server on one network interface.
pub struct Server {
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: Vec<(SocketHandle, Connection)>,
}

impl Server {
    /// A server at the address of `options`, all its sockets listening.
    ///
    /// `mac` is an address of one device, not of a group. `seed` should differ from start to
    /// start: the first sequence numbers come from it.
    pub fn new(
        device: &mut impl Device,
        mac: EthernetAddress,
        options: &Options,
        seed: u64,
        now: Instant,
    ) -> Server {
        let mut config = Config::new(mac.into());
        config.random_seed = seed;
        let mut interface = Interface::new(config, device, now);
        interface.update_ip_addrs(|addresses| {
            // An interface has room for two addresses and has none yet.
            let _ = addresses.push(IpCidr::Ipv4(options.ipv4));
        });
        if let Some(gateway) = options.gateway {
            // Likewise.
            let _ = interface.routes_mut().add_default_ipv4_route(gateway);
        }
        let mut sockets = SocketSet::new(Vec::with_capacity(CONNECTIONS));
        let connections = (0..CONNECTIONS)
            .map(|_| {
                let mut socket = tcp::Socket::new(
                    tcp::SocketBuffer::new(vec![0; RECEIVE_BUFFER]),
                    tcp::SocketBuffer::new(vec![0; SEND_BUFFER]),
                );
                socket.set_nagle_enabled(false);
                socket.set_timeout(Some(SILENCE));
                (sockets.add(socket), Connection::new())
            })
            .collect();
        let mut server = Server { interface, sockets, connections };
        server.serve(now);
        server
    }

    /// Does everything that can be done now. Returns when there is something to do again even if no
    /// frame comes; `None` for never.
    pub fn turn(&mut self, device: &mut impl Device, now: Instant) -> Option<Instant> {
        let mut flooded = true;
        for _ in 0..BURST {
            if self.interface.poll_ingress_single(now, device, &mut self.sockets)
                == PollIngressSingleResult::None
            {
                flooded = false;
                break;
            }
        }
        loop {
            let active = self.serve(now);
            let sent = self.interface.poll_egress(now, device, &mut self.sockets);
            if !active && sent == PollResult::None {
                break;
            }
        }
        if flooded {
            return Some(now);
        }
        let limits = self.connections.iter().filter_map(|(_, connection)| connection.until());
        limits.chain(self.interface.poll_at(now, &self.sockets)).min()
    }

    /// Serves every connection. Returns whether any has something to send.
    fn serve(&mut self, now: Instant) -> bool {
        let mut active = false;
        for (handle, connection) in &mut self.connections {
            let socket = self.sockets.get_mut::<tcp::Socket>(*handle);
            active |= connection.serve(socket, PORT, now);
        }
        active
    }
}

#[cfg(test)]
mod tests;
