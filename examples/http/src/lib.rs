//! An HTTP/1.1 server for one network interface, without an operating system.
//!
//! 1. `options.rs` reads the command line.
//! 2. `server.rs` moves frames between the interface and a fixed set of TCP sockets, and says how long
//!    the server can sleep.
//! 3. `connection.rs` is one client: it reads, answers, closes, and never waits longer than its
//!    limit.
//! 4. `answer.rs` turns the bytes of a request into the bytes of a response.
//!
//! The clients are not trusted: every buffer, every wait and the number of connections is bounded.
//! Nothing here touches a device, so all of it is tested on the host; `main.rs` and `device.rs` are
//! the unikernel.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod answer;
mod connection;
pub mod options;
pub mod server;

pub use options::Options;
pub use server::Server;
