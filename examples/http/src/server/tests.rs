//! The server against clients of smoltcp, on a wire in memory, with a clock that the test moves.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use std::{assert, assert_eq, format, vec};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv4Address};

use super::{CONNECTIONS, Server};
use crate::options::Options;

type Frames = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// One end of the wire.
struct End {
    incoming: Frames,
    outgoing: Frames,
}

fn wire() -> (End, End) {
    let (there, back) = (Frames::default(), Frames::default());
    (
        End { incoming: there.clone(), outgoing: back.clone() },
        End { incoming: back, outgoing: there },
    )
}

struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Slot(Frames);

impl TxToken for Slot {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.borrow_mut().push_back(frame);
        result
    }
}

impl Device for End {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Slot;

    fn receive(&mut self, _now: Instant) -> Option<(Frame, Slot)> {
        let frame = self.incoming.borrow_mut().pop_front()?;
        Some((Frame(frame), Slot(self.outgoing.clone())))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Slot> {
        Some(Slot(self.outgoing.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// A server, and a host with clients.
struct Net {
    now: Instant,
    server: Server,
    server_end: End,
    host: Interface,
    host_end: End,
    clients: SocketSet<'static>,
    next_port: u16,
}

impl Net {
    fn new() -> Net {
        let now = Instant::from_secs(100);
        let (mut server_end, mut host_end) = wire();
        let options = Options::parse("--ipv4=10.0.0.2/24").unwrap();
        let mac = EthernetAddress([2, 0, 0, 0, 0, 2]);
        let server = Server::new(&mut server_end, mac, &options, 1, now);
        let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
        let mut host = Interface::new(config, &mut host_end, now);
        host.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::v4(10, 0, 0, 1), 24)).unwrap();
        });
        let clients = SocketSet::new(Vec::new());
        Net { now, server, server_end, host, host_end, clients, next_port: 1024 }
    }

    /// A client that is connecting.
    fn client(&mut self) -> SocketHandle {
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(vec![0; 8192]),
            tcp::SocketBuffer::new(vec![0; 8192]),
        );
        let port = self.next_port;
        self.next_port += 1;
        let server = (Ipv4Address::new(10, 0, 0, 2), 80);
        socket.connect(self.host.context(), server, port).unwrap();
        self.clients.add(socket)
    }

    fn socket(&mut self, client: SocketHandle) -> &mut tcp::Socket<'static> {
        self.clients.get_mut(client)
    }

    /// Lets frames pass until there are none; time stands still.
    fn settle(&mut self) -> Option<Instant> {
        loop {
            self.host.poll(self.now, &mut self.host_end, &mut self.clients);
            let deadline = self.server.turn(&mut self.server_end, self.now);
            let quiet = self.server_end.incoming.borrow().is_empty()
                && self.server_end.outgoing.borrow().is_empty();
            if quiet {
                return deadline;
            }
        }
    }

    /// Lets `time` pass, both sides waking whenever they asked for it.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let server = self.settle();
            let host = self.host.poll_at(self.now, &self.clients);
            let next = server.into_iter().chain(host).min().unwrap_or(end);
            // With a deadline that is not later, the server would wait without sleeping.
            assert!(server.is_none_or(|deadline| deadline > self.now), "the server does not sleep");
            self.now = next.clamp(self.now + Duration::from_micros(1), end);
        }
        self.settle();
    }

    fn send(&mut self, client: SocketHandle, bytes: &str) {
        assert_eq!(self.socket(client).send_slice(bytes.as_bytes()), Ok(bytes.len()));
        self.settle();
    }

    fn received(&mut self, client: SocketHandle) -> String {
        let mut text = Vec::new();
        let socket = self.socket(client);
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), text.extend_from_slice(bytes))).unwrap();
        }
        String::from_utf8(text).unwrap()
    }

    fn connected(&mut self) -> SocketHandle {
        let client = self.client();
        self.settle();
        assert!(self.socket(client).may_send());
        client
    }

    fn listening(&self) -> usize {
        let state = |handle| self.server.sockets.get::<tcp::Socket>(handle).state();
        self.server.connections.iter().filter(|c| state(c.0) == tcp::State::Listen).count()
    }
}

fn request(number: usize, connection: &str) -> String {
    format!("GET /echo/{number} HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n")
}

#[test]
fn sleeps_while_nothing_happens() {
    let mut net = Net::new();
    assert_eq!(net.settle(), None);
    net.wait(Duration::from_secs(3600));
    assert_eq!(net.listening(), CONNECTIONS);
}

#[test]
fn many_requests_on_one_connection() {
    let mut net = Net::new();
    let client = net.connected();
    for number in 0..1000 {
        net.send(client, &request(number, "keep-alive"));
        assert!(net.received(client).ends_with(&format!("\r\n\r\n{number}\n")));
    }
    let ahead: String = (0..20).map(|number| request(number, "keep-alive")).collect();
    net.send(client, &ahead);
    let text = net.received(client);
    for number in 0..20 {
        assert!(text.contains(&format!("\r\n\r\n{number}\n")), "{number} of {text}");
    }
    assert!(net.socket(client).may_recv());
}

#[test]
fn many_connections_one_after_another_leave_no_socket_behind() {
    let mut net = Net::new();
    for number in 0..4 * CONNECTIONS {
        let client = net.connected();
        net.send(client, &request(number, "close"));
        assert!(net.received(client).ends_with(&format!("\r\n\r\n{number}\n")));
        assert!(!net.socket(client).may_recv(), "the server closes");
        net.socket(client).close();
        net.settle();
        net.clients.remove(client);
        // No time has passed, so no connection lingers.
        assert_eq!(net.listening(), CONNECTIONS);
    }
}

#[test]
fn as_many_connections_at_once_as_there_are_sockets() {
    let mut net = Net::new();
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| net.client()).collect();
    net.settle();
    for (number, &client) in clients.iter().enumerate() {
        net.send(client, &request(number, "keep-alive"));
    }
    for (number, &client) in clients.iter().enumerate() {
        assert!(net.received(client).ends_with(&format!("\r\n\r\n{number}\n")));
    }
    // One more is refused, and the others go on.
    let refused = net.client();
    net.settle();
    assert!(!net.socket(refused).is_open());
    net.send(clients[0], &request(7, "close"));
    assert!(net.received(clients[0]).ends_with("\r\n\r\n7\n"));
}

#[test]
fn a_client_that_closes_first() {
    let mut net = Net::new();
    let client = net.connected();
    net.socket(client).send_slice(request(1, "keep-alive").as_bytes()).unwrap();
    net.socket(client).close();
    net.settle();
    assert!(net.received(client).ends_with("\r\n\r\n1\n"));
    net.wait(Duration::from_millis(100));
    assert_eq!(net.listening(), CONNECTIONS);
}

#[test]
fn a_bad_request_is_answered_and_ends_the_connection() {
    let mut net = Net::new();
    let client = net.connected();
    net.send(client, "NONSENSE\r\n\r\n");
    assert!(net.received(client).starts_with("HTTP/1.1 400 "));
    assert!(!net.socket(client).may_recv());
}

#[test]
fn slow_clients_lose_their_connection() {
    let mut net = Net::new();
    let silent = net.connected();
    let slow = net.connected();
    for byte in "GET / HTT".chars() {
        net.send(slow, &String::from(byte));
        net.wait(Duration::from_secs(1));
    }
    assert!(net.socket(slow).may_recv() && net.socket(silent).may_recv());
    net.wait(Duration::from_secs(2));
    // The server closed; the clients do not, and are reset.
    assert!(!net.socket(slow).may_recv() && !net.socket(silent).may_recv());
    net.wait(Duration::from_secs(6));
    assert!(!net.socket(slow).is_open() && !net.socket(silent).is_open());
    assert_eq!(net.listening(), CONNECTIONS);
}

#[test]
fn half_open_connections_are_given_up() {
    let mut net = Net::new();
    net.connected();
    for _ in 0..10 {
        net.client();
    }
    // Their first packets arrive; the clients vanish.
    net.host.poll(net.now, &mut net.host_end, &mut net.clients);
    net.clients = SocketSet::new(Vec::new());
    net.host.update_ip_addrs(|addresses| addresses.clear());
    net.settle();
    assert_eq!(net.listening(), CONNECTIONS - 11);
    net.wait(Duration::from_secs(60));
    assert_eq!(net.listening(), CONNECTIONS);
}

#[test]
fn a_connection_that_is_reset_while_it_opens() {
    let mut net = Net::new();
    net.connected();
    let client = net.client();
    net.host.poll(net.now, &mut net.host_end, &mut net.clients);
    net.server.turn(&mut net.server_end, net.now);
    assert_eq!(net.listening(), CONNECTIONS - 2);
    net.socket(client).abort();
    net.settle();
    assert_eq!(net.listening(), CONNECTIONS - 1);
    net.wait(Duration::from_secs(60));
}

#[test]
fn clients_that_vanish_from_the_network_are_given_up() {
    let mut net = Net::new();
    let client = net.connected();
    // Longer than the server remembers an address, so that it has to ask for it again.
    for number in 0..14 {
        net.send(client, &request(number, "keep-alive"));
        net.wait(Duration::from_secs(5));
    }
    net.host.update_ip_addrs(|addresses| addresses.clear());
    assert_eq!(net.listening(), CONNECTIONS - 1);
    net.wait(Duration::from_secs(60));
    assert_eq!(net.listening(), CONNECTIONS);
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let mut net = Net::new();
    let client = net.connected();
    // More answers than all buffers can hold, and the client reads none.
    for _ in 0..10 {
        let ahead: String = (0..20).map(|_| "GET / HTTP/1.1\r\nHost: a\r\n\r\n").collect();
        let _ = net.socket(client).send_slice(ahead.as_bytes());
        net.settle();
    }
    assert_eq!(net.listening(), CONNECTIONS - 1);
    net.wait(Duration::from_secs(120));
    assert_eq!(net.listening(), CONNECTIONS);
}
