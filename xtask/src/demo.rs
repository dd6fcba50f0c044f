//! `demo`: the whole way from a manifest to a running, policy-checked unikernel.
//!
//! Every step shows the command that a person would type, and checks its result. The demo exits with
//! 0 only if every step passed. The HTTP part needs a network namespace; if none can be made, the
//! demo says so and exits with 3.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::run::{cargo, show, this_program};
use crate::{Arguments, Result, namespace, stage};

pub(crate) const HELP: &str = "Show the main job: manifest, link, audit, policy, boot; exits with 3 if network namespaces are not allowed.";

/// Exit status when a network namespace cannot be made.
pub(crate) const NO_NAMESPACE: u8 = 3;
/// Argument of the second process, which runs inside the namespace.
const INSIDE: &str = "--inside-namespace";

const TAP: &str = "tap0";
const HOST_ADDRESS: &str = "10.0.0.1/24";
const GUEST_ADDRESS: &str = "10.0.0.2/24";
const GUEST_SOCKET: ([u8; 4], u16) = ([10, 0, 0, 2], 80);

/// A guest with a section that is writable and executable, which the link has to refuse.
const WRITABLE_CODE: &str = r#"
__asm__(".section .data.jit,\"awx\",@progbits\n.globl patch\npatch: ret\n.previous");
int solo5_app_main(const void *info) { extern void patch(void); (void)info; patch(); return 0; }
"#;

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    if arguments.first().is_some_and(|argument| argument == INSIDE) {
        return serve_one_page().map(|()| ExitCode::SUCCESS);
    }
    if let Some(unknown) = arguments.first() {
        return Err(format!("unknown argument '{unknown}'").into());
    }
    println!("== build: what the demo shows, without optimisation, under target/demo");
    stage::build_demo()?;
    let work = tempfile::tempdir()?;
    let demo = Demo { bin: stage::demo_prefix().join("bin"), work: work.path().to_owned() };
    demo.main_line()?;
    demo.refusals()?;
    let served = demo.http()?;
    if !served {
        return Ok(ExitCode::from(NO_NAMESPACE));
    }
    println!("\n== done: manifest, link, audit, policy, boot and HTTP all did what they must");
    Ok(ExitCode::SUCCESS)
}

struct Demo {
    bin: PathBuf,
    work: PathBuf,
}

impl Demo {
    fn main_line(&self) -> Result<()> {
        let hello = crate::root().join("examples/hello");
        heading("manifest: YAML becomes ELF notes");
        let manifest = hello.join("manifest.yaml");
        self.step("solo5-mft", 0, |run| {
            run.arg("compile").arg(&manifest).args(["-o", "manifest.o"])
        })?;
        heading("link: objects and notes become an image, audited as it is written");
        self.step(CC, 0, |run| run.args(["-O2", "-c"]).arg(hello.join("hello.c")))?;
        self.step(CC, 0, |run| {
            run.args(["-z", "solo5-abi=spt", "hello.o", "manifest.o", "-o", "hello.spt"])
        })?;
        heading("audit: what is in it");
        self.step("solo5-elftool", 0, |run| run.args(["audit", "hello.spt"]))?;
        heading("explain: what the tender would do");
        let policy = format!("--policy={}", hello.join("policy.yaml").display());
        self.step(SPT, 0, |run| {
            run.args(["--explain", "--mem=2", &policy, "hello.spt", "Hello_Solo5"])
        })?;
        heading("boot: under the policy");
        let output =
            self.step(SPT, 0, |run| run.args(["--mem=2", &policy, "hello.spt", "Hello_Solo5"]))?;
        expect(output.contains("SUCCESS"), "the guest prints SUCCESS")
    }

    fn refusals(&self) -> Result<()> {
        heading("policy: the same image, refused with every reason");
        fs::write(
            self.work.join("strict.yaml"),
            "type: solo5.policy\nversion: 1\nname: strict\nimage: { targets: [hvt] }\n\
             memory: { maximum: 1MiB }\narguments: { maximum-length: 4 }\n",
        )?;
        let output = self.step(SPT, 60, |run| {
            run.args(["--mem=2", "--policy=strict.yaml", "hello.spt", "Hello_Solo5"])
        })?;
        for line in ["strict.yaml:4:", "strict.yaml:5:", "strict.yaml:6:"] {
            expect(output.contains(line), &format!("a reason names {line}"))?;
        }
        heading("link: writable code is refused, and no file is left behind");
        fs::write(self.work.join("wx.c"), WRITABLE_CODE)?;
        self.step(CC, 0, |run| run.args(["-O2", "-Wa,--no-warn", "-c", "wx.c"]))?;
        let output = self.step(LD, 1, |run| {
            run.args(["-z", "solo5-abi=spt", "wx.o", "manifest.o", "-o", "wx.spt"])
        })?;
        expect(output.contains("S2"), "a rule of family S2 is named")?;
        expect(!self.work.join("wx.spt").exists(), "no file is left behind")
    }

    /// Boots `examples/http` in a network namespace and fetches its page; false if none can be made.
    fn http(&self) -> Result<bool> {
        heading("rust: examples/http by plain cargo build");
        let example = crate::root().join("examples/http");
        let mut build = cargo();
        // The example's configuration names the compiler driver in target/solo5; use the demo's.
        let driver = self.bin.join("x86_64-solo5-none-static-cc");
        let driver = format!("{TARGET}.rustflags=['-Clinker={}']", driver.display());
        build.current_dir(&example).args(["build", "--quiet", "--config", &driver]);
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
            build.env_remove(name);
        }
        println!("$ (cd examples/http && {})", without_root(&show(&build)));
        expect(build.status()?.success(), "examples/http builds")?;

        heading("boot: an HTTP server in its own network namespace");
        let mut inside = match namespace::unshare() {
            Ok(unshare) => unshare,
            Err(why) => {
                println!("not done: {why}");
                return Ok(false);
            }
        };
        inside.arg("--").arg(this_program()?).args(["demo", INSIDE]);
        expect(inside.status()?.success(), "the page is served")?;
        Ok(true)
    }

    /// Runs one of our programs in the work folder, and shows the command and its output. Fails if the
    /// exit status is not `status`.
    fn step(
        &self,
        program: &str,
        status: i32,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<String> {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(&self.work).env_remove("NO_COLOR");
        arguments(&mut command);
        let typed = show(&command).replace(&format!("{}/", self.bin.display()), "");
        println!("$ {}", without_root(&typed));
        let output = command.stdin(Stdio::null()).output()?;
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.concat();
        print!("{text}");
        let got = output.status.code();
        expect(got == Some(status), &format!("exit status {status} (it was {})", output.status))?;
        Ok(text)
    }
}

const CC: &str = "solo5-cc";
const LD: &str = "solo5-ld";
const SPT: &str = "solo5-spt";

/// The key of cargo's configuration for the example's target.
const TARGET: &str = "target.x86_64-unknown-linux-gnu";

/// `text`, with paths inside the checkout relative to its root.
fn without_root(text: &str) -> String {
    text.replace(&format!("{}/", crate::root().display()), "")
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn expect(held: bool, what: &str) -> Result<()> {
    if held { Ok(()) } else { Err(format!("this step failed: {what}").into()) }
}

/// The part that runs inside the namespace: a tap, the guest on it, one page.
fn serve_one_page() -> Result<()> {
    let ip = |arguments: &[&str]| {
        let done = Command::new("ip").args(arguments).status();
        expect(done.is_ok_and(|status| status.success()), &format!("ip {}", arguments.join(" ")))
    };
    ip(&["tuntap", "add", TAP, "mode", "tap"])?;
    ip(&["addr", "add", HOST_ADDRESS, "dev", TAP])?;
    ip(&["link", "set", TAP, "up"])?;
    let example = crate::root().join("examples/http");
    let image = example.join("target/x86_64-unknown-linux-gnu/debug/http");
    let mut tender = Command::new(stage::demo_prefix().join("bin").join(SPT));
    tender
        .arg("--mem=32")
        .arg(format!("--policy={}", example.join("policy.yaml").display()))
        .arg(format!("--net:service={TAP}"))
        .arg(&image)
        .arg(format!("--ipv4={GUEST_ADDRESS}"))
        .stdin(Stdio::null());
    println!("$ {}", without_root(&show(&tender)));
    let guest = Guest(tender.spawn()?);
    let page = fetch(Path::new("/"))?;
    drop(guest);
    println!("\n$ curl http://10.0.0.2/");
    println!("{page}");
    expect(page.starts_with("HTTP/1.1 200") && page.contains("Solo5"), "the page names Solo5")
}

/// A guest that is killed when this value is dropped.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have exited by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Fetches a page of the guest, waiting until it listens.
fn fetch(path: &Path) -> Result<String> {
    let address = SocketAddr::from(GUEST_SOCKET);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut stream = loop {
        match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let path = path.display();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}
