//! Load on `examples/http`: the whole line from a Rust unikernel's source to its answers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::outcome::Outcome;
use solo5_tests::process::{self, Running};
use solo5_tests::tree::repository;
use solo5_tests::{ensure, http, namespace};

use crate::{Suite, trial};

const SEQUENTIAL: u32 = 20_000;
const CONNECTIONS_IN_TURN: u32 = 2000;
const CONNECTIONS: u32 = 64;
const REQUESTS_PER_CONNECTION: u32 = 25;

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    vec![trial(suite, "http/load", load)]
}

fn load(suite: &Suite) -> Outcome {
    let image = build()?;
    namespace::with_network(|| {
        namespace::add_tap("tap100", None)?;
        namespace::bring_up("tap100", "10.0.0.1/24")?;
        let mut tender = Command::new(suite.tree.program("solo5-spt"));
        tender.args(["--mem=64", "--net:service=tap100", "--"]);
        tender.arg(&image).arg("--ipv4=10.0.0.2/24");
        let running = Running::start(tender)?;
        requests(SocketAddr::from(([10, 0, 0, 2], 80))).map_err(|stop| {
            let printed = running.printed();
            stop.during(format!(
                "the server printed:\n{}\n",
                String::from_utf8_lossy(&printed)
            ))
        })
    })
}

fn requests(server: SocketAddr) -> Outcome {
    http::wait_until_up(server)?;
    let page = http::Client::new(server).get("/")?;
    ensure!(page.status == 200, "/: status {}", page.status);
    let text = String::from_utf8_lossy(&page.body);
    ensure!(
        text.contains("Solo5"),
        "the page does not speak of Solo5:\n{text}"
    );
    http::sequential(server, SEQUENTIAL)?;
    http::connection_each(server, CONNECTIONS_IN_TURN)?;
    http::parallel(server, CONNECTIONS, REQUESTS_PER_CONNECTION)?;
    // and it is still well
    http::sequential(server, 10)
}

/// Builds the example as a user does: plain `cargo build`, which finds everything it needs in the
/// example's own configuration.
fn build() -> Outcome<PathBuf> {
    let example = repository().join("examples/http");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release"]).current_dir(&example);
    // What this test's own build was told is not for the example's.
    for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS"] {
        cargo.env_remove(variable);
    }
    let finished = process::run_within(cargo, process::BUILD_TIME_LIMIT)?;
    ensure!(
        finished.status == 0,
        "building examples/http:\n{}",
        finished.text()
    );
    let image = example.join("target/x86_64-unknown-linux-gnu/release/http");
    ensure!(image.exists(), "{} was not built", image.display());
    Ok(image)
}
