//! One client, from its first packet to its last.

use alloc::vec::Vec;

use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::{Duration, Instant};

use crate::answer::{HEAD_LIMIT, answer};

/// Time for a request to arrive whole, counted from the connection's first packet or from the end
/// of the response before.
const REQUEST: Duration = Duration::from_secs(10);
/// Time for a client to take a response.
const RESPONSE: Duration = Duration::from_secs(20);
/// Time for a client to close its side after ours is closed. Then the same time to find the client's
/// address for a reset.
const CLOSE: Duration = Duration::from_secs(5);

/// What a connection waits for. Each wait has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// For a client.
    Listening,
    /// For the rest of a request.
    Request { until: Instant },
    /// For room to send the response; then for the next request, or for the end.
    Response { until: Instant, close: bool },
    /// For the client to close.
    Closing { until: Instant },
    /// For the reset to be sent. If the client has left the network, its address is not found.
    Reset { until: Instant },
}

/// The server's side of one TCP connection, used for one client after another.
#[derive(Debug)]
pub(crate) struct Connection {
    phase: Phase,
    /// Received and not answered: less than a request, or requests sent ahead of their answers.
    input: Vec<u8>,
    /// The response.
    output: Vec<u8>,
    /// How much of it the socket has taken.
    sent: usize,
}

impl Connection {
    pub(crate) fn new() -> Connection {
        Connection { phase: Phase::Listening, input: Vec::new(), output: Vec::new(), sent: 0 }
    }

    /// When the client's time is over.
    pub(crate) fn until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Listening => None,
            Phase::Request { until }
            | Phase::Response { until, .. }
            | Phase::Closing { until }
            | Phase::Reset { until } => Some(until),
        }
    }

    /// Does everything that can be done now. Returns whether the socket has something to send.
    pub(crate) fn serve(&mut self, socket: &mut Socket<'_>, port: u16, now: Instant) -> bool {
        match socket.state() {
            // A client's reset before the connection is open also leads here.
            State::Listen => {
                self.forget();
                return false;
            }
            // The connection is over. The server does not linger: with ten seconds for each client,
            // no socket would be free.
            State::TimeWait => {
                self.listen(socket, port);
                return false;
            }
            // Over as well, but the client may still have to be reset.
            State::Closed => {
                let reset_sent = socket.remote_endpoint().is_none();
                match self.phase {
                    Phase::Reset { until } if !reset_sent && now < until => {}
                    Phase::Reset { .. } => self.listen(socket, port),
                    _ if reset_sent => self.listen(socket, port),
                    _ => self.phase = Phase::Reset { until: now + CLOSE },
                }
                return false;
            }
            _ => {}
        }
        let mut active = false;
        loop {
            let before = self.phase;
            active |= self.turn(socket, now);
            if self.phase == before {
                return active;
            }
        }
    }

    /// Drops everything of the last client, so that none of it reaches the next.
    fn forget(&mut self) {
        self.phase = Phase::Listening;
        self.input.clear();
        self.output.clear();
        self.sent = 0;
    }

    /// Makes the socket wait for the next client.
    fn listen(&mut self, socket: &mut Socket<'_>, port: u16) {
        self.forget();
        // This fails only for port 0 and for an open socket; this is neither.
        let _ = socket.listen(port);
    }

    fn turn(&mut self, socket: &mut Socket<'_>, now: Instant) -> bool {
        match self.phase {
            Phase::Listening => {
                self.phase = Phase::Request { until: now + REQUEST };
                false
            }
            Phase::Request { until } => {
                self.receive(socket);
                if let Some(answered) = answer(&self.input, &mut self.output) {
                    self.input.drain(..answered.consumed);
                    self.phase = Phase::Response { until: now + RESPONSE, close: answered.close };
                    false
                } else if socket.state() == State::SynReceived && now >= until {
                    // The client never acknowledged the connection.
                    self.reset(socket, now)
                } else if now >= until || client_closed(socket) {
                    self.close(socket, now)
                } else {
                    false
                }
            }
            Phase::Response { until, close } => {
                let rest = self.output.get(self.sent..).unwrap_or_default();
                let Ok(taken) = socket.send_slice(rest) else {
                    return self.reset(socket, now);
                };
                self.sent += taken;
                if self.sent < self.output.len() {
                    return if now >= until { self.reset(socket, now) } else { taken > 0 };
                }
                self.output.clear();
                self.sent = 0;
                if close {
                    return self.close(socket, now);
                }
                self.phase = Phase::Request { until: now + REQUEST };
                true
            }
            Phase::Closing { until } => {
                // Further data is dropped. It has to be taken, so that the client's end is seen.
                let taken = socket.recv(|bytes| (bytes.len(), bytes.len())).unwrap_or(0);
                if now >= until { self.reset(socket, now) } else { taken > 0 }
            }
            // `serve` has already handled a closed socket.
            Phase::Reset { .. } => false,
        }
    }

    /// Takes what the socket has received, up to the longest head.
    fn receive(&mut self, socket: &mut Socket<'_>) {
        while socket.can_recv() && self.input.len() < HEAD_LIMIT {
            let room = HEAD_LIMIT - self.input.len();
            let taken = socket.recv(|bytes| {
                let part = bytes.get(..room.min(bytes.len())).unwrap_or_default();
                self.input.extend_from_slice(part);
                (part.len(), ())
            });
            if taken.is_err() {
                break;
            }
        }
    }

    /// Ends our side, after what is queued.
    fn close(&mut self, socket: &mut Socket<'_>, now: Instant) -> bool {
        // The client's last packet must be acknowledged at once, because `serve` does not linger.
        socket.set_ack_delay(None);
        socket.close();
        self.phase = Phase::Closing { until: now + CLOSE };
        true
    }

    /// Ends the connection at once.
    fn reset(&mut self, socket: &mut Socket<'_>, now: Instant) -> bool {
        socket.abort();
        self.phase = Phase::Reset { until: now + CLOSE };
        true
    }
}

/// Whether the client will send nothing more.
fn client_closed(socket: &Socket<'_>) -> bool {
    !socket.may_recv() && !matches!(socket.state(), State::SynReceived)
}
