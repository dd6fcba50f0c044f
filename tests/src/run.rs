//! One run of a unikernel: sets up what its directive requires, and judges the result.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::directive::{Expect, Run, Setup, Tap, Text};
use crate::guest::{self, Builder};
use crate::outcome::{Context, Outcome};
use crate::process::{Finished, Running};
use crate::{ensure, fail, namespace, ping};

/// Descriptor for an inherited tap, above those that a program opens first.
const TAP_DESCRIPTOR: &str = "9";

/// Runs `image` under `tender` as `run` says.
///
/// # Errors
/// The end is not the expected one, or the host lacks something (a skip).
pub fn execute(run: &Run, tender: &Path, image: &Path, builder: &Builder) -> Outcome {
    if run.needs_network() {
        namespace::with_network(|| execute_here(run, tender, image, builder))
    } else {
        execute_here(run, tender, image, builder)
    }
}

/// What was set up on the host for one run.
#[derive(Default)]
struct Host {
    options: Vec<OsString>,
    disks: HashMap<String, PathBuf>,
    inherited_tap: Option<String>,
    taps: usize,
}

fn execute_here(run: &Run, tender: &Path, image: &Path, builder: &Builder) -> Outcome {
    let directory = tempfile::tempdir()?;
    let mut host = Host::default();
    if let Some(memory) = run.memory {
        host.options.push(format!("--mem={memory}").into());
    }
    for setup in &run.setup {
        host.set_up(setup, directory.path())?;
    }
    let disks: Vec<(PathBuf, Vec<u8>)> = run
        .unchanged
        .iter()
        .map(|name| {
            let path = host.disks.get(name).ok_or("names no block device")?.clone();
            let content = std::fs::read(&path)?;
            Ok((path, content))
        })
        .collect::<Outcome<_>>()?;

    let command = command(run, &host, tender, image, builder)?;
    let shown = format!("{command:?}");
    let mut running = Running::start(command)?;
    if !run.pings.is_empty() {
        running.wait_for("Serving ping")?;
        send_pings(run)?;
    }
    if let Some(signal) = run.signal {
        running.wait_for("Waiting for a signal")?;
        running.signal(signal)?;
    }
    let finished = running.finish()?;
    let name = tender.file_name().unwrap_or_default().to_string_lossy();
    judge(run, &name, &finished).during(&shown)?;
    for (path, content) in disks {
        ensure!(std::fs::read(&path)? == content, "{} was changed", path.display());
    }
    for (name, path) in &host.disks {
        let size = run.setup.iter().rev().find_map(|setup| match setup {
            Setup::Block { name: device, size } if device == name => Some(*size),
            _ => None,
        });
        ensure!(
            Some(std::fs::metadata(path)?.len()) == size,
            "the file of '{name}' changed its size"
        );
    }
    Ok(())
}

impl Host {
    fn set_up(&mut self, setup: &Setup, directory: &Path) -> Outcome {
        match setup {
            Setup::Options(words) => self.options.extend(words.iter().map(OsString::from)),
            Setup::Block { name, size } => {
                let path = directory.join(format!("{name}.img"));
                std::fs::File::create(&path)?.set_len(*size)?;
                let mut option = OsString::from(format!("--block:{name}="));
                option.push(&path);
                self.options.push(option);
                self.disks.insert(name.clone(), path);
            }
            Setup::SectorSize { name, size } => {
                self.options.push(format!("--block-sector-size:{name}={size}").into());
            }
            Setup::Permissions { name, mode } => {
                let path = self.disks.get(name).ok_or("permissions of no block device")?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
            }
            Setup::Tap(tap) => self.add_tap(tap)?,
        }
        Ok(())
    }

    fn add_tap(&mut self, tap: &Tap) -> Outcome {
        let interface = format!("tap{}", 100 + self.taps);
        self.taps += 1;
        namespace::add_tap(&interface, tap.mtu)?;
        if let Some(address) = &tap.address {
            namespace::bring_up(&interface, address)?;
        }
        if tap.descriptor {
            self.options.push(format!("--net:{}=@{TAP_DESCRIPTOR}", tap.name).into());
            self.inherited_tap = Some(interface);
        } else {
            self.options.push(format!("--net:{}={interface}", tap.name).into());
        }
        Ok(())
    }
}

fn command(
    run: &Run,
    host: &Host,
    tender: &Path,
    image: &Path,
    builder: &Builder,
) -> Outcome<Command> {
    let mut words: Vec<OsString> = Vec::new();
    if run.container {
        words.push(builder.host_program("in_container")?.into());
    }
    if run.failing_flush {
        words.push(builder.host_program("failing_flush")?.into());
    }
    if let Some(interface) = &host.inherited_tap {
        let with_tap = builder.host_program("with_tap")?;
        words.extend([with_tap.into(), interface.into(), TAP_DESCRIPTOR.into()]);
    }
    words.push(tender.into());
    words.extend(host.options.iter().cloned());
    if run.separator {
        words.push("--".into());
    }
    words.push(image.into());
    words.extend(run.arguments.iter().map(OsString::from));
    if !run.closed.is_empty() {
        // Only a shell starts a program without its standard descriptors.
        let closing: String = run.closed.iter().map(|fd| format!(" {fd}>&-")).collect();
        let shell = ["sh", "-c", &format!("exec \"$@\"{closing}"), "sh"].map(OsString::from);
        words.splice(0..0, shell);
    }
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null());
    Ok(command)
}

/// All pings at once, each in its own thread, which shares this thread's network namespace.
fn send_pings(run: &Run) -> Outcome {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0x5010..)
            .zip(&run.pings)
            .map(|(identifier, ping)| {
                scope.spawn(move || ping::flood(*ping, identifier, &run.pattern))
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(outcome) => outcome?,
                Err(_) => fail!("a pinging thread panicked"),
            }
        }
        Ok(())
    })
}

fn judge(run: &Run, tender: &str, finished: &Finished) -> Result<(), String> {
    let (status, word) = match run.expect {
        Expect::Success => (0, "SUCCESS"),
        Expect::Abort => (255, "ABORT"),
        Expect::Exit(status) => (status, ""),
        Expect::Fault(_) => (1, ""),
    };
    let verdict = if finished.status != status {
        format!("status {}, expected {status}", finished.status)
    } else if let Some(text) =
        run.output.iter().map(String::as_str).chain([word]).find(|text| !finished.printed(text))
    {
        format!("{text:?} was not printed")
    } else if let Some(text) = run.absent.iter().find(|text| finished.printed(text)) {
        format!("{text:?} was printed")
    } else if let Expect::Fault(text) = &run.expect
        && !is_fault(&finished.text(), tender, text)
    {
        format!("the tender's message is not just {text:?}")
    } else {
        let only = match &run.only {
            None => return Ok(()),
            Some(Text::Literal(text)) => text.clone().into_bytes(),
            Some(Text::File(name)) => std::fs::read(guest::directory().join(name))
                .map_err(|error| format!("{name}: {error}"))?,
        };
        if finished.output == only {
            return Ok(());
        }
        format!("printed other bytes than the {} expected ones", only.len())
    };
    Err(format!("{verdict}; it printed:\n{}", finished.text()))
}

/// Whether `output` ends with the tender's only message: `fault`, and perhaps the registers.
fn is_fault(output: &str, tender: &str, fault: &str) -> bool {
    let said = format!("{tender}: ");
    let registers = format!("{tender}:   ");
    let mut lines = output.lines().skip_while(|line| !line.starts_with(&said));
    let first = lines.next().and_then(|line| line.strip_prefix(&said));
    let is_it = first.is_some_and(|text| match fault.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == fault,
    });
    is_it && lines.all(|line| line.starts_with(&registers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_the_tenders_last_and_only_message() {
        let is = |output, fault| is_fault(output, "solo5-hvt", fault);
        let whole = "Solo5: banner\nsolo5-hvt: bad call\nsolo5-hvt:   rip=0x1\n";
        assert!(is(whole, "bad call") && is(whole, "bad*"));
        assert!(!is(whole, "bad") && !is(whole, "worse*"));
        for output in [
            "",
            "solo5-hvt: bad call\nsolo5-hvt: bad call\n",
            "solo5-hvt: warning\nsolo5-hvt: bad call\n",
            "solo5-hvt: bad call\nthread 'main' panicked\n",
            "solo5-hvt:   rip=0x1\n",
        ] {
            assert!(!is(output, "bad call"), "{output}");
        }
    }
}
