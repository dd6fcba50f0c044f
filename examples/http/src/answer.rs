//! From the bytes of a request to the bytes of its response (RFC 9110, RFC 9112).

use alloc::vec::Vec;

use httparse::{EMPTY_HEADER, Error, Header, Request, Status};

/// The longest head of a request in bytes, its empty line included.
pub const HEAD_LIMIT: usize = 4096;

/// The most header lines of a request.
const HEADERS: usize = 32;

/// The most digits of a number to echo: those of a 64-bit number.
const DIGITS: usize = 20;

const PAGE: &str = include_str!("page.html");
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// How many bytes of the input the request was.
    pub consumed: usize,
    /// Whether the connection ends with this response.
    pub close: bool,
}

/// Writes the response to the request that `input` begins with to the end of `output`.
///
/// `None` while the request is not complete; then `input` is shorter than [`HEAD_LIMIT`].
pub fn answer(input: &[u8], output: &mut Vec<u8>) -> Option<Answered> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    let (consumed, response, close) = match request.parse(input) {
        Ok(Status::Complete(length)) => {
            let (response, close) = respond(&request);
            (length, response, close)
        }
        Ok(Status::Partial) if input.len() < HEAD_LIMIT => return None,
        // The end of this request is unknown, so no further request can be read.
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => {
            (input.len(), Response::error("431 Request Header Fields Too Large"), true)
        }
        Err(_) => (input.len(), Response::error("400 Bad Request"), true),
    };
    response.write(close, output);
    Some(Answered { consumed, close })
}

/// A response to be written.
struct Response<'a> {
    status: &'static str,
    kind: &'static str,
    body: &'a str,
    /// What follows the body, so that a number need not be copied to gain its newline.
    end: &'static str,
    /// The head is that of the whole response, but the body is not sent.
    head_only: bool,
}

impl<'a> Response<'a> {
    fn new(kind: &'static str, body: &'a str, end: &'static str) -> Response<'a> {
        Response { status: "200 OK", kind, body, end, head_only: false }
    }

    /// The body repeats the status.
    fn error(status: &'static str) -> Response<'static> {
        Response { status, ..Response::new(TEXT, status, "\n") }
    }

    fn write(&self, close: bool, output: &mut Vec<u8>) {
        let head = alloc::format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}Connection: {}\r\n\r\n",
            self.status,
            self.kind,
            self.body.len() + self.end.len(),
            if self.status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" },
            if close { "close" } else { "keep-alive" },
        );
        output.extend_from_slice(head.as_bytes());
        if !self.head_only {
            output.extend_from_slice(self.body.as_bytes());
            output.extend_from_slice(self.end.as_bytes());
        }
    }
}

/// The response to a request whose head is complete, and whether it is the connection's last.
fn respond<'r>(request: &Request<'_, 'r>) -> (Response<'r>, bool) {
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return (Response::error("400 Bad Request"), true);
    };
    // RFC 9112 §3.2: exactly one Host, except in the old version.
    let hosts = values(request.headers, "Host").count();
    if hosts > 1 || (hosts == 0 && version == 1) {
        return (Response::error("400 Bad Request"), true);
    }
    // No request needs a body. A body is not read, so no request can follow it.
    let body = match body_follows(request.headers) {
        Some(body) => body,
        None => return (Response::error("400 Bad Request"), true),
    };
    let asked = |option: &str| {
        values(request.headers, "Connection")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    };
    let close = body || asked("close") || (version == 0 && !asked("keep-alive"));
    let mut response = match method {
        "GET" | "HEAD" => route(path(target)),
        _ => Response::error("405 Method Not Allowed"),
    };
    response.head_only = method == "HEAD";
    (response, close)
}

/// The values of the header lines called `name`.
fn values<'h>(headers: &'h [Header<'_>], name: &'static str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

/// Whether the head announces a body; `None` if it does so ambiguously.
fn body_follows(headers: &[Header<'_>]) -> Option<bool> {
    let coded = values(headers, "Transfer-Encoding").next().is_some();
    let mut lengths = values(headers, "Content-Length");
    let length = match lengths.next() {
        None => 0,
        Some(text) => number(text)?.parse::<u64>().ok()?,
    };
    if lengths.next().is_some() || (coded && length != 0) {
        return None;
    }
    Some(coded || length != 0)
}

/// `text` if it is only decimal digits.
fn number(text: &[u8]) -> Option<&str> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if digits { core::str::from_utf8(text).ok() } else { None }
}

/// The path of a request's target: without scheme and host, which a proxy may send, and the query.
fn path(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => target,
    };
    match target.split(['?', '#']).next() {
        None | Some("") => "/",
        Some(path) => path,
    }
}

fn route(path: &str) -> Response<'_> {
    if path == "/" {
        return Response::new(HTML, PAGE, "");
    }
    match path.strip_prefix("/echo/").and_then(|text| number(text.as_bytes())) {
        Some(number) if number.len() <= DIGITS => Response::new(TEXT, number, "\n"),
        _ => Response::error("404 Not Found"),
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::{assert_eq, format, vec::Vec};

    use super::*;

    /// The whole answer to `request`, with the length of its head's bytes checked.
    fn ask(request: &str) -> (String, Answered) {
        let mut output = Vec::new();
        let answered = answer(request.as_bytes(), &mut output).expect("a complete request");
        let text = String::from_utf8(output).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}", body.len());
        assert!(request.starts_with("HEAD") || head.contains(&length), "{text}");
        let connection =
            if answered.close { "Connection: close" } else { "Connection: keep-alive" };
        assert!(head.ends_with(connection), "{text}");
        (text, answered)
    }

    fn status(request: &str) -> u16 {
        ask(request).0[9..12].parse().unwrap()
    }

    fn get(target: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
    }

    #[test]
    fn the_page() {
        let request = get("/");
        let (text, answered) = ask(&request);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"));
        assert!(text.contains("Solo5"));
        assert_eq!(answered, Answered { consumed: request.len(), close: false });
        for same in ["/?a=b", "http://a", "http://a/", "http://a?b"] {
            assert_eq!(ask(&get(same)).0, text, "{same}");
        }
    }

    #[test]
    fn echo() {
        let (text, _) = ask(&get("/echo/0123456789"));
        assert!(text.contains("Content-Type: text/plain"));
        assert!(text.ends_with("\r\n\r\n0123456789\n"));
        assert_eq!(status(&get("/echo/18446744073709551615")), 200);
        for missing in ["/echo", "/echo/", "/echo/x", "/echo/-1", "/echo/184467440737095516150"] {
            assert_eq!(status(&get(missing)), 404, "{missing}");
        }
    }

    #[test]
    fn statuses() {
        for (request, expected) in [
            ("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
            ("GET / HTTP/1.0\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 400),
            ("GET  /\r\n\r\n", 400),
            ("\0", 400),
            ("\u{16}\u{3}\u{1}", 400),
        ] {
            assert_eq!(status(request), expected, "{request:?}");
        }
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(HEADERS));
        assert_eq!(status(&many), 431);
        assert_eq!(status(&format!("GET /{}", "x".repeat(HEAD_LIMIT - 5))), 431);
    }

    #[test]
    fn a_head_has_no_body() {
        let (text, _) = ask("HEAD /echo/7 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(text.contains("Content-Length: 2\r\n") && text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn which_connections_stay() {
        for (rest, close) in [
            ("1.1\r\nHost: a\r\n\r\n", false),
            ("1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true),
            ("1.1\r\nHost: a\r\nconnection: x, CLOSE\r\n\r\n", true),
            ("1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", false),
            ("1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", true),
            ("1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            ("1.0\r\n\r\n", true),
            ("1.0\r\nConnection: Keep-Alive\r\n\r\n", false),
        ] {
            assert_eq!(ask(&format!("GET / HTTP/{rest}")).1.close, close, "{rest:?}");
        }
    }

    #[test]
    fn damaged_requests_get_an_answer_or_wait() {
        let request = b"GET http://a/echo/1?b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\
            Connection: close, x\r\nTransfer-Encoding: y\r\n\r\n";
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % below
        };
        let mut statuses = std::collections::BTreeSet::new();
        for _ in 0..50_000 {
            let mut input = request.to_vec();
            for _ in 0..next(4) {
                let at = next(input.len());
                match next(3) {
                    0 => input[at] = next(256) as u8,
                    1 => drop(input.drain(at..(at + next(9)).min(input.len()))),
                    _ => input.insert(at, request[next(request.len())]),
                }
            }
            let mut output = Vec::new();
            if let Some(answered) = answer(&input, &mut output) {
                assert!((1..=input.len()).contains(&answered.consumed));
                statuses.insert(String::from_utf8(output[..12].to_vec()).unwrap());
            } else {
                assert!(output.is_empty() && input.len() < HEAD_LIMIT);
            }
        }
        // Every kind of answer but the one for a request that is too long.
        let expected = [200, 400, 404, 405].map(|status| format!("HTTP/1.1 {status}"));
        assert!(statuses.iter().eq(&expected), "{statuses:?}");
    }

    #[test]
    fn an_incomplete_request_waits_and_the_next_one_is_left() {
        let request = get("/");
        let mut output = Vec::new();
        for length in 0..request.len() {
            assert_eq!(answer(&request.as_bytes()[..length], &mut output), None);
        }
        assert!(output.is_empty());
        let two = format!("{request}{request}");
        assert_eq!(answer(two.as_bytes(), &mut output).unwrap().consumed, request.len());
    }
}
