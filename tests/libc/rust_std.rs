//! Rust's standard library on musl: what works, and how what Solo5 has not is refused.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::panic::catch_unwind;
use std::time::{Duration, Instant, SystemTime};

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    assert_eq!(arguments, ["unikernel", "one", "two words"]);
    assert_eq!(std::env::vars().count(), 0);
    // Its keys are random.
    let mut counts = HashMap::new();
    for letter in "hello, world".chars() {
        *counts.entry(letter).or_insert(0) += 1;
    }
    assert_eq!((counts[&'l'], counts[&'o']), (3, 2));
    let caught = catch_unwind(|| {
        let none: [u32; 0] = [];
        none[std::hint::black_box(1)]
    });
    assert!(caught.is_err());
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert!(SystemTime::UNIX_EPOCH.elapsed().unwrap() > Duration::from_secs(1_600_000_000));
    let thread = std::thread::Builder::new().spawn(|| ());
    assert_eq!(thread.map(drop).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(std::fs::read("/etc/passwd").unwrap_err().kind(), ErrorKind::NotFound);
    let listener = std::net::TcpListener::bind("127.0.0.1:80");
    assert_eq!(listener.map(drop).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(std::io::stdin().read(&mut [0; 8]).unwrap(), 0);
    std::io::stderr().write_all(b"to standard error\n").unwrap();
    let large: Vec<u64> = (0..200_000).collect();
    println!("SUCCESS {}", large.iter().sum::<u64>());
    std::process::exit(3);
}
