//! Load on `examples/http`: the whole way from a Rust unikernel's source to its answers.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::outcome::Outcome;
use solo5_tests::process::Running;
use solo5_tests::tree::ARCH;
use solo5_tests::{ensure, http, namespace};

use crate::{Suite, trial};

const SEQUENTIAL: u32 = 20_000;
const CONNECTIONS_IN_TURN: u32 = 2000;
const CONNECTIONS: u32 = 64;
const REQUESTS_PER_CONNECTION: u32 = 25;

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    vec![
        trial(suite, "http/load", |suite| serve(suite, "spt", load)),
        trial(suite, "http/spt", |suite| serve(suite, "spt", hundred)),
        trial(suite, "http/hvt", |suite| {
            // The server's code uses vector registers.
            suite.kvm()?.require(true)?;
            // Other architectures are emulated, and so are their virtual machines.
            serve(suite, "hvt", if ARCH == "x86_64" { thousand } else { hundred })
        }),
    ]
}

/// Boots the server under a target's tender, and makes `requests`.
fn serve(suite: &Suite, target: &str, requests: fn(SocketAddr) -> Outcome) -> Outcome {
    let image = suite.builder.example("http", target)?;
    namespace::with_network(|| {
        namespace::add_tap("tap100", None)?;
        namespace::bring_up("tap100", "10.0.0.1/24")?;
        let mut tender = Command::new(suite.tree.program(&format!("solo5-{target}")));
        tender.args(["--mem=64", "--net:service=tap100", "--"]);
        tender.arg(&image).arg("--ipv4=10.0.0.2/24");
        let running = Running::start(tender)?;
        requests(SocketAddr::from(([10, 0, 0, 2], 80))).map_err(|stop| {
            let printed = running.printed();
            stop.during(format!("the server printed:\n{}\n", String::from_utf8_lossy(&printed)))
        })
    })
}

fn load(server: SocketAddr) -> Outcome {
    page(server)?;
    http::sequential(server, SEQUENTIAL)?;
    http::connection_each(server, CONNECTIONS_IN_TURN)?;
    http::parallel(server, CONNECTIONS, REQUESTS_PER_CONNECTION)?;
    // The server still works.
    http::sequential(server, 10)
}

/// A thousand requests: in sequence, on a connection each, and in parallel.
fn thousand(server: SocketAddr) -> Outcome {
    page(server)?;
    http::sequential(server, 700)?;
    http::connection_each(server, 100)?;
    http::parallel(server, 20, 10)
}

/// A hundred requests: in sequence, on a connection each, and in parallel.
fn hundred(server: SocketAddr) -> Outcome {
    page(server)?;
    http::sequential(server, 70)?;
    http::connection_each(server, 10)?;
    http::parallel(server, 4, 5)
}

/// Checks that `/` is the example's page.
fn page(server: SocketAddr) -> Outcome {
    http::wait_until_up(server)?;
    let page = http::Client::new(server).get("/")?;
    ensure!(page.status == 200, "/: status {}", page.status);
    let text = String::from_utf8_lossy(&page.body);
    ensure!(text.contains("Solo5"), "the page does not mention Solo5:\n{text}");
    Ok(())
}
