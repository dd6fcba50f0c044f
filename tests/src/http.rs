//! An HTTP client that compares every answer, for load tests of a unikernel's server.
//!
//! The server under test answers `GET /echo/NUMBER` with the body `NUMBER\n`.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::outcome::{Context, Outcome};
use crate::{ensure, fail};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest body; the test servers send shorter ones.
const BODY_LIMIT: usize = 1 << 20;

/// A connection that is made anew whenever the server closes it.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

/// An answer of the server.
#[derive(Debug)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// As many bytes as `Content-Length` says, or all up to the end.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of `server`, not connected yet.
    #[must_use]
    pub fn new(server: SocketAddr) -> Self {
        Self { server, connection: None }
    }

    /// Connects, if it is not connected.
    ///
    /// # Errors
    /// The server does not accept.
    pub fn connect(&mut self) -> Outcome {
        if self.connection.is_none() {
            let stream = TcpStream::connect_timeout(&self.server, PATIENCE).during("connecting")?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            self.connection = Some(BufReader::new(stream));
        }
        Ok(())
    }

    /// Fetches `path`. A connection used before may turn out closed; then, and only then, the
    /// request is sent again.
    ///
    /// # Errors
    /// No answer, or none that is HTTP.
    pub fn get(&mut self, path: &str) -> Outcome<Response> {
        if self.connection.is_some()
            && let Some(response) = self.try_get(path)?
        {
            return Ok(response);
        }
        self.connection = None;
        self.connect()?;
        self.try_get(path)?.ok_or_else(|| format!("{path}: closed without an answer").into())
    }

    /// `None` if the server had closed the connection before the request reached it.
    fn try_get(&mut self, path: &str) -> Outcome<Option<Response>> {
        let Some(mut connection) = self.connection.take() else {
            return Ok(None);
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.server);
        if let Err(error) = connection.get_mut().write_all(request.as_bytes()) {
            return if closed(error.kind()) { Ok(None) } else { Err(error.into()) };
        }
        let mut line = String::new();
        match connection.read_line(&mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if closed(error.kind()) => return Ok(None),
            Err(error) => fail!("{path}: {error}"),
        }
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.ok_or_else(|| format!("{path}: {line:?} is not a status line"))?;
        let (mut length, mut keep) = (None, line.starts_with("HTTP/1.1"));
        loop {
            line.clear();
            connection.read_line(&mut line).during(path)?;
            if line.trim_end().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| format!("header {line:?}"))?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.trim().parse::<usize>()?),
                "connection" => keep = !value.trim().eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        let mut body = Vec::new();
        let limit = length.unwrap_or(BODY_LIMIT).min(BODY_LIMIT) as u64;
        (&mut connection).take(limit).read_to_end(&mut body).during(path)?;
        if let Some(length) = length {
            ensure!(body.len() == length, "{path}: {} of {length} bytes arrived", body.len());
        }
        if keep && length.is_some() {
            self.connection = Some(connection);
        }
        Ok(Some(Response { status, body }))
    }

    /// Fetches `/echo/NUMBER` and compares.
    ///
    /// # Errors
    /// No answer, or another one.
    pub fn echo(&mut self, number: u32) -> Outcome {
        let response = self.get(&format!("/echo/{number}"))?;
        ensure!(response.status == 200, "/echo/{number}: status {}", response.status);
        ensure!(
            response.body == format!("{number}\n").as_bytes(),
            "/echo/{number} answered {:?}",
            String::from_utf8_lossy(&response.body)
        );
        Ok(())
    }
}

fn closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

/// Waits until the server answers at all.
///
/// # Errors
/// It does not within 10 s.
pub fn wait_until_up(server: SocketAddr) -> Outcome {
    let start = Instant::now();
    loop {
        match TcpStream::connect_timeout(&server, Duration::from_millis(200)) {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > PATIENCE => fail!("{server}: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// `count` requests one after the other, on one connection as far as the server lets us.
///
/// # Errors
/// The first one that is lost or wrong.
pub fn sequential(server: SocketAddr, count: u32) -> Outcome {
    let mut client = Client::new(server);
    for number in 0..count {
        client.echo(number).map_err(|stop| stop.during(format!("request {number}")))?;
    }
    Ok(())
}

/// `count` requests one after the other, each on a connection of its own.
///
/// # Errors
/// The first one that is lost or wrong.
pub fn connection_each(server: SocketAddr, count: u32) -> Outcome {
    for number in 0..count {
        let echoed = Client::new(server).echo(number);
        echoed.map_err(|stop| stop.during(format!("connection {number}")))?;
    }
    Ok(())
}

/// `clients` connections, all open before the first request, `each` requests on each.
///
/// # Errors
/// The first request of a client that is lost or wrong.
pub fn parallel(server: SocketAddr, clients: u32, each: u32) -> Outcome {
    let all_connected = Barrier::new(clients as usize);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|index| {
                let all_connected = &all_connected;
                scope.spawn(move || {
                    let mut client = Client::new(server);
                    let connected = client.connect();
                    all_connected.wait();
                    connected?;
                    let first = 1_000_000 + index * each;
                    for number in first..first + each {
                        client
                            .echo(number)
                            .map_err(|stop| stop.during(format!("request {number}")))?;
                    }
                    Ok(())
                })
            })
            .collect();
        let mut outcome = Ok(());
        for thread in threads {
            match thread.join() {
                Ok(result) => outcome = outcome.and(result),
                Err(_) => fail!("a client panicked"),
            }
        }
        outcome
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that answers `replies` in order, each on the connection at hand, and closes when a
    /// reply says so.
    fn server(replies: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback listens");
        let address = listener.local_addr().expect("it has an address");
        std::thread::spawn(move || {
            let mut connection: Option<BufReader<TcpStream>> = None;
            for reply in replies {
                let mut stream = connection.take().unwrap_or_else(|| {
                    BufReader::new(listener.accept().expect("a client connects").0)
                });
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).expect("a request arrives");
                }
                stream.get_mut().write_all(reply.as_bytes()).expect("the reply leaves");
                if !reply.contains("close") {
                    connection = Some(stream);
                }
            }
        });
        address
    }

    #[test]
    fn answers_are_compared() {
        let address = server(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n2\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n9\n",
        ]);
        let mut client = Client::new(address);
        client.echo(1).expect("the first answer is right");
        client.echo(2).expect("the second too, and the server closes");
        assert!(client.echo(3).is_err(), "9 is not 3");
    }

    #[test]
    fn a_short_body_is_lost() {
        let address =
            server(&["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n1\n"]);
        assert!(Client::new(address).echo(1).is_err());
    }
}
