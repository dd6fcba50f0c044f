//! Directives: how a unikernel's source file says how to run it.
//!
//! ```c
//! //@ run spt hvt limited: tap.service0=10.0.0.1/24 args=limit ping=10.0.0.2*100 expect=success
//! ```
//!
//! runs it under two tenders, as the case `limited`. A value with blanks stands in double quotes,
//! with `\n`, `\t`, `\"` and `\\`. `docs/testing.md` lists the keys.

use std::net::Ipv4Addr;

use solo5_abi::Arch;

use crate::peer::Release;

/// The directives of one file.
#[derive(Debug, Default)]
pub struct Directives {
    /// Its runs, in order.
    pub runs: Vec<Run>,
}

/// One way to run a unikernel, on each of its targets.
#[derive(Clone, Debug)]
pub struct Run {
    /// Names of targets, such as `spt`.
    pub targets: Vec<String>,
    /// Name that distinguishes this run from the unikernel's others.
    pub case: Option<String>,
    /// Guest memory in MiB; `None` leaves it to the tender.
    pub memory: Option<u64>,
    /// Options and devices, in the order they are given to the tender.
    pub setup: Vec<Setup>,
    /// Whether `--` stands before the image.
    pub separator: bool,
    /// The guest's arguments.
    pub arguments: Vec<String>,
    /// Whether the tender runs as in a container.
    pub container: bool,
    /// Whether the host cannot flush files for the tender.
    pub failing_flush: bool,
    /// Standard descriptors that are closed when the tender starts.
    pub closed: Vec<u8>,
    /// Pings sent while it runs.
    pub pings: Vec<Ping>,
    /// The bytes that the pings' payload repeats.
    pub pattern: Vec<u8>,
    /// A signal sent to the tender while it runs.
    pub signal: Option<Signal>,
    /// How it must end.
    pub expect: Expect,
    /// Texts the output must contain.
    pub output: Vec<String>,
    /// Texts the output must not contain.
    pub absent: Vec<String>,
    /// What the output must be, to the byte.
    pub only: Option<Text>,
    /// Block devices whose file must be as it was.
    pub unchanged: Vec<String>,
    /// The first release of another Solo5 that is expected to behave the same; `None` if none is.
    pub peer: Option<Release>,
    /// Whether it needs a real processor: a KVM that interprets guests is not enough.
    pub processor: bool,
    /// The only architecture that it is about, if it is not about all.
    pub arch: Option<Arch>,
}

/// Part of a tender's command line, with what it needs on the host.
#[derive(Clone, Debug, PartialEq)]
pub enum Setup {
    /// Options taken as they are.
    Options(Vec<String>),
    /// A file of zeroes, attached as a block device.
    Block {
        /// The device's name.
        name: String,
        /// The file's size in bytes.
        size: u64,
    },
    /// A block device's sector size.
    SectorSize {
        /// The device's name.
        name: String,
        /// Bytes, as text: it may be one the tender must refuse.
        size: String,
    },
    /// The mode of the file behind a block device attached before.
    Permissions {
        /// The device's name.
        name: String,
        /// The mode, such as 0o444.
        mode: u32,
    },
    /// A tap, attached as a network device.
    Tap(Tap),
}

/// A tap in the run's own network namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Tap {
    /// The device's name.
    pub name: String,
    /// The host's address and prefix length; `None` leaves the tap down.
    pub address: Option<String>,
    /// The MTU, if it is not 1500.
    pub mtu: Option<u16>,
    /// Passed as an open descriptor and not by name.
    pub descriptor: bool,
}

/// Pings to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ping {
    /// The address to ping.
    pub address: Ipv4Addr,
    /// How often.
    pub count: u32,
    /// How many of the last may stay without a reply, because a machine may end with replies in it.
    pub unanswered: u32,
}

/// A signal that ends programs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    /// SIGINT
    Interrupt,
    /// SIGTERM
    Terminate,
}

/// How a run must end.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// Status 0, and SUCCESS in the output.
    Success,
    /// Status 255, and ABORT in the output.
    Abort,
    /// This status; 128 and a signal's number for a death by signal.
    Exit(i32),
    /// Status 1, and the tender's last and only message is that the guest did what this text says,
    /// with the CPU's registers or without. `*` at its end stands for any end.
    Fault(String),
}

/// A text, or the name of a file beside the unikernel that holds one.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    /// The text itself.
    Literal(String),
    /// The file.
    File(String),
}

/// The known names of targets; any other word before the colon names the case.
const TARGETS: [&str; 5] = ["spt", "hvt", "virtio", "xen", "muen"];

/// Reads the `//@` lines of a file.
///
/// # Errors
/// The first line that makes no sense, with its number.
pub fn parse(source: &str) -> Result<Directives, String> {
    let mut directives = Directives::default();
    for (number, line) in source.lines().enumerate() {
        let Some(text) = line.strip_prefix("//@") else {
            continue;
        };
        let run = parse_line(text.trim()).map_err(|e| format!("line {}: {e}", number + 1))?;
        directives.runs.push(run);
    }
    Ok(directives)
}

fn parse_line(text: &str) -> Result<Run, String> {
    let text = text.strip_prefix("run ").ok_or("a directive starts with `run`")?;
    let (head, tail) = text.split_once(':').ok_or("`run TARGET… [CASE]: …` lacks its colon")?;
    let mut run = Run::new();
    for word in head.split_whitespace() {
        if run.case.is_some() {
            return Err(format!("`{word}` follows the case's name"));
        } else if TARGETS.contains(&word) {
            run.targets.push(word.to_owned());
        } else {
            run.case = Some(word.to_owned());
        }
    }
    if run.targets.is_empty() {
        return Err("names no target".to_owned());
    }
    let mut expected = false;
    for (key, value) in pairs(tail)? {
        expected |= key == "expect";
        run.set(&key, &value).map_err(|e| format!("{key}: {e}"))?;
    }
    if !expected {
        return Err("expects nothing".to_owned());
    }
    Ok(run)
}

impl Run {
    /// Upstream's test-suite runs spt with 2 MiB, the least that works
    /// (`docs/reference/toolchain.md#tests`).
    fn new() -> Self {
        Self {
            targets: Vec::new(),
            case: None,
            memory: Some(2),
            setup: Vec::new(),
            separator: true,
            arguments: Vec::new(),
            container: false,
            failing_flush: false,
            closed: Vec::new(),
            pings: Vec::new(),
            pattern: Vec::new(),
            signal: None,
            expect: Expect::Success,
            output: Vec::new(),
            absent: Vec::new(),
            only: None,
            unchanged: Vec::new(),
            peer: Some(Release::default()),
            processor: false,
            arch: None,
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        if let Some((kind, device)) = key.split_once('.') {
            return self.set_device(kind, device, value);
        }
        match key {
            "mem" if value == "default" => self.memory = None,
            "mem" => self.memory = Some(number(value)?),
            "options" => self.setup.push(Setup::Options(words(value)?)),
            "separator" => self.separator = yes_or_no(value)?,
            "args" => self.arguments = words(value)?,
            "letters" => {
                let letters = ('a'..='z').cycle().take(number(value)?);
                self.arguments = vec![letters.collect()];
            }
            "container" => self.container = yes_or_no(value)?,
            "host-flush" if value == "fails" => self.failing_flush = true,
            "closed" => {
                self.closed = value.split(',').map(number).collect::<Result<_, _>>()?;
            }
            "ping" => {
                let (address, count) = value.split_once('*').ok_or("is ADDRESS*COUNT")?;
                let address = address.parse().map_err(|_| "is not an IPv4 address")?;
                let (count, unanswered) = count.split_once('~').unwrap_or((count, "0"));
                let (count, unanswered) = (number(count)?, number(unanswered)?);
                self.pings.push(Ping { address, count, unanswered });
            }
            "ping-pattern" => self.pattern = hex(value)?,
            "expect" => {
                self.expect = match value.split_once(':') {
                    None if value == "success" => Expect::Success,
                    None if value == "abort" => Expect::Abort,
                    Some(("exit", status)) => Expect::Exit(number(status)?),
                    Some(("fault", text)) => Expect::Fault(text.to_owned()),
                    _ => return Err("is unknown".to_owned()),
                }
            }
            "signal" => {
                self.signal = Some(match value {
                    "INT" => Signal::Interrupt,
                    "TERM" => Signal::Terminate,
                    _ => return Err("is INT or TERM".to_owned()),
                });
            }
            "output" => self.output.push(value.to_owned()),
            "absent" => self.absent.push(value.to_owned()),
            "only" => self.only = Some(Text::Literal(value.to_owned())),
            "only-file" => self.only = Some(Text::File(value.to_owned())),
            "unchanged" => self.unchanged.push(value.to_owned()),
            "peer" if value == "no" => self.peer = None,
            "peer" => self.peer = Some(value.parse()?),
            "needs" if value == "processor" => self.processor = true,
            "needs" => {
                let arch = Arch::from_name(value);
                self.arch = Some(arch.ok_or("is processor, or an architecture")?);
            }
            _ => return Err("is not a key".to_owned()),
        }
        Ok(())
    }

    fn set_device(&mut self, kind: &str, device: &str, value: &str) -> Result<(), String> {
        for name in expand(device)? {
            self.setup.push(match kind {
                "block" => Setup::Block { name, size: size(value)? },
                "sector-size" => Setup::SectorSize { name, size: value.to_owned() },
                "permissions" => {
                    let mode = u32::from_str_radix(value, 8).map_err(|_| "is not an octal mode")?;
                    Setup::Permissions { name, mode }
                }
                "tap" => Setup::Tap(tap(name, value)?),
                _ => return Err("is not a kind of device".to_owned()),
            });
        }
        Ok(())
    }

    /// Why it is not run here: it is about another architecture than this machine's.
    #[must_use]
    pub fn elsewhere(&self) -> Option<String> {
        let other = self.arch.filter(|arch| Arch::HOST != Some(*arch))?;
        Some(format!("it is about {}", other.name()))
    }

    /// Whether it needs a network namespace of its own.
    #[must_use]
    pub fn needs_network(&self) -> bool {
        self.setup.iter().any(|setup| matches!(setup, Setup::Tap(_)))
    }
}

/// `ADDRESS/PREFIX[,mtu=N][,descriptor]`, or `down`.
fn tap(name: String, value: &str) -> Result<Tap, String> {
    let mut parts = value.split(',');
    let address = parts.next().filter(|&part| part != "down").map(str::to_owned);
    let mut tap = Tap { name, address, mtu: None, descriptor: false };
    for part in parts {
        match part.split_once('=') {
            Some(("mtu", mtu)) => tap.mtu = Some(number(mtu)?),
            None if part == "descriptor" => tap.descriptor = true,
            _ => return Err(format!("`{part}` is unknown")),
        }
    }
    Ok(tap)
}

/// `name{0..2}` → `name0`, `name1`, `name2`.
fn expand(name: &str) -> Result<Vec<String>, String> {
    let Some((stem, range)) = name.split_once('{') else {
        return Ok(vec![name.to_owned()]);
    };
    let range = range.strip_suffix('}').ok_or("lacks its `}`")?;
    let (first, last) = range.split_once("..").ok_or("is NAME{FIRST..LAST}")?;
    let (first, last): (u32, u32) = (number(first)?, number(last)?);
    Ok((first..=last).map(|index| format!("{stem}{index}")).collect())
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number that fits"))
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("is yes or no".to_owned()),
    }
}

/// Bytes, or a number with KiB or MiB.
fn size(text: &str) -> Result<u64, String> {
    if let Some(text) = text.strip_suffix("KiB") {
        Ok(number::<u64>(text)? << 10)
    } else if let Some(text) = text.strip_suffix("MiB") {
        Ok(number::<u64>(text)? << 20)
    } else {
        number(text)
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok()))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| format!("`{text}` is not hexadecimal"))
}

/// `key=value` pairs; a value may stand in double quotes.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(|| format!("`{rest}` has no `=`"))?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                (value.to_owned(), after)
            }
        };
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err(format!("no blank before `{after}`"));
        }
        pairs.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        value.push(match character {
            '"' => return Ok((value, characters.as_str())),
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(character @ ('"' | '\\')) => character,
                other => return Err(format!("unknown escape {other:?}")),
            },
            _ => character,
        });
    }
    Err("a value lacks its closing quote".to_owned())
}

/// Words as a shell would see them, as far as single quotes go.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').ok_or("a word lacks its closing quote")?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Run {
        let mut runs = parse(text).expect("the directive is sound").runs;
        assert_eq!(runs.len(), 1);
        runs.remove(0)
    }

    #[test]
    fn a_full_directive() {
        let run = one(
            "/* prose */\n//@ run spt hvt limited: tap.s0=10.0.0.1/24,mtu=9000 block.d{1..2}=4KiB \
             sector-size.d1=521 options=\"--x 'a b'\" args=limit ping=10.0.0.2*7~2 \
             ping-pattern=dead expect=exit:3 output=\"a \\\"b\\\"\\n\" peer=no mem=default",
        );
        assert_eq!(run.targets, ["spt", "hvt"]);
        assert_eq!(run.case.as_deref(), Some("limited"));
        let block = |name: &str| Setup::Block { name: name.to_owned(), size: 4096 };
        let tap = Tap {
            name: "s0".to_owned(),
            address: Some("10.0.0.1/24".to_owned()),
            mtu: Some(9000),
            descriptor: false,
        };
        assert_eq!(
            run.setup,
            [
                Setup::Tap(tap),
                block("d1"),
                block("d2"),
                Setup::SectorSize { name: "d1".to_owned(), size: "521".to_owned() },
                Setup::Options(vec!["--x".to_owned(), "a b".to_owned()]),
            ]
        );
        let address = Ipv4Addr::new(10, 0, 0, 2);
        assert_eq!(run.pings, [Ping { address, count: 7, unanswered: 2 }]);
        assert_eq!(run.pattern, [0xde, 0xad]);
        assert_eq!(run.expect, Expect::Exit(3));
        assert_eq!(run.output, ["a \"b\"\n"]);
        assert_eq!((run.peer, run.memory), (None, None));
        assert!(run.needs_network());
    }

    #[test]
    fn letters_and_empty_words() {
        let run = one("//@ run spt: letters=28 expect=success");
        assert_eq!(run.arguments, ["abcdefghijklmnopqrstuvwxyzab"]);
        let run = one("//@ run spt: args=\"'a b' '' 'c'\" expect=abort peer=0.7.4");
        assert_eq!(run.peer, Some("0.7.4".parse().expect("a release")));
        assert_eq!(run.arguments, ["a b", "", "c"]);
        assert_eq!(run.expect, Expect::Abort);
    }

    #[test]
    fn faults_and_signals() {
        let run = one("//@ run hvt: args=hlt expect=\"fault:KVM: exit, rip=0x*\"");
        assert_eq!(run.expect, Expect::Fault("KVM: exit, rip=0x*".to_owned()));
        let run = one("//@ run hvt: signal=TERM expect=exit:1");
        assert_eq!(run.signal, Some(Signal::Terminate));
    }

    #[test]
    fn mistakes_are_refused() {
        for (text, message) in [
            ("//@ ran spt: expect=success", "a directive starts with `run`"),
            ("//@ run spt expect=success", "lacks its colon"),
            ("//@ run case: expect=success", "names no target"),
            ("//@ run spt: args=x", "expects nothing"),
            ("//@ run spt: expect=success colour=red", "colour: is not a key"),
            ("//@ run spt: expect=\"success", "closing quote"),
            ("//@ run spt: expect=failure", "expect: is unknown"),
            ("//@ run spt: expect=success:1", "expect: is unknown"),
            ("//@ run spt: expect=success signal=9", "is INT or TERM"),
            ("//@ run spt: expect=success tap.x=10.0.0.1/24,fast", "`fast` is unknown"),
            ("//@ run spt: mem=many expect=success", "`many` is not a number"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
