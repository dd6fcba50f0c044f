//! `solo5-cc`, `solo5-c++`, `solo5-ld` and `solo5-objcopy`: they make the host's compilers, linker and objcopy build
//! unikernels. The crate also has the linker scripts of an installation.
//!
//! | phase | file | from → to |
//! |---|---|---|
//! | 1 | [`name`] | program name and location → tool, architecture, folders |
//! | 2 | [`response`] | arguments → arguments without response files |
//! | 3 | [`arguments`], [`option`] | → wrapper options, request, the tool's arguments |
//! | 4 | [`manifest`] | a manifest's source → objects to link |
//! | 5 | [`libc`], [`libraries`] | → the C library for unikernels, the libraries that only the host has |
//! | 6 | [`tools`], [`command`] | → the underlying tool's command |
//! | 7 | [`child`], [`relay`] | run it, and pass its output on |
//! | 8 | [`output`], [`audit`], [`origin`] | the file it wrote → kept, or removed with the reasons |
//! | 9 | [`side`] | the other files it wrote → with the manifest's name in them |
//!
//! [`script`] is the template of the linker scripts, `pkg_config.rs` that of the files for pkg-config,
//! [`codes`] has the codes of the wrapper's errors, and [`missing`] says what an installation lacks.
//!
//! If nothing is left to do after the tool, the wrapper replaces itself by the tool. Otherwise the
//! tool runs as a child. It writes the output under its final name: linkers put that name into
//! dependency files and maps, and compilers derive further names from it, so a temporary name would
//! show there.
//!
//! Adversary: none beyond the developer's own shell. Only the name of an installed ABI becomes part
//! of a path. The manifest and the image are read by crates that withstand any bytes.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod audit;
pub mod child;
pub mod codes;
pub mod command;
pub mod libc;
pub mod libraries;
pub mod library_script;
pub mod manifest;
pub mod missing;
pub mod name;
pub mod option;
pub mod origin;
pub mod output;
mod pkg_config;
pub mod relay;
pub mod response;
pub mod script;
pub mod side;
pub mod tools;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use solo5_abi::Arch;
use solo5_report::{Colour, Diagnostic, human};
use tempfile::TempDir;

use crate::arguments::{Arguments, AuditLevel, Mode};
use crate::command::Added;
use crate::name::{Identity, Installed, Tool};
use crate::output::Output;
use crate::relay::{Heard, Relay};
use crate::script::Bindings;
use crate::tools::Program;

/// Exit status when the wrapper refuses or fails.
const FAILED: u8 = 1;

/// Runs the program with the arguments of the process, its own name first.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments;
    let called = arguments.next().unwrap_or_default();
    let program = program_file(&called);
    let mut arguments: Vec<OsString> = arguments.collect();
    if let Some((verb, words)) = arguments.split_first()
        && Identity::of_call(&called).is_none()
    {
        match verb.to_str() {
            Some("explain") => return explain(words).into(),
            Some("script") => return of_bindings("script", words, script::render).into(),
            Some("pkg-config") => {
                return of_bindings("pkg-config", words, pkg_config::render).into();
            }
            _ => {}
        }
    }
    let Some(identity) = identify(&called, program.as_deref(), &mut arguments) else {
        say(
            "solo5-toolchain",
            "call it solo5-cc, solo5-c++, solo5-ld, solo5-objcopy or TRIPLE-TOOL, or name the tool as the first \
             argument; `explain CODE` explains a message, `script ARCH TARGET` prints a linker script, \
             `pkg-config ARCH TARGET` a file for pkg-config\n",
        );
        return FAILED.into();
    };
    let installed = match &program {
        Some(program) => Installed::beside(program, identity.arch),
        None => Installed { prefix: None, include: None, library: None },
    };
    match run(&identity, &installed, arguments) {
        Ok(status) => status.into(),
        Err(Failure::Said(text)) => {
            say(&identity.program, &format!("{text}\n"));
            FAILED.into()
        }
        Err(Failure::Found(diagnostics, status)) => {
            show(&identity, &diagnostics);
            status.into()
        }
    }
}

/// `explain`: the pages about codes; without any, the codes of our own errors and of the audit.
fn explain(codes: &[OsString]) -> u8 {
    let mut out = String::new();
    let ours = |code: &&str| code.starts_with(['L', 'S']);
    let title = |page: &str| page.lines().next().map(|line| line.replacen("# ", "", 1));
    if codes.is_empty() {
        let pages = solo5_report::explain::codes().filter(ours);
        for title in pages.filter_map(|code| title(solo5_report::explain(code)?)) {
            out += &(title + "\n");
        }
    }
    for code in codes {
        let Some(page) = code.to_str().and_then(solo5_report::explain) else {
            let code = solo5_report::one_line(&solo5_report::os_text(code));
            let text = format!("there is no code {code}; `explain` without a code lists them\n");
            say("solo5-toolchain", &text);
            return FAILED;
        };
        out += page;
    }
    print(&out)
}

/// `VERB ARCH TARGET`: a text that an installation has for them.
fn of_bindings(verb: &str, words: &[OsString], render: fn(Arch, Bindings) -> String) -> u8 {
    let found = match words {
        [arch, target] => arch
            .to_str()
            .and_then(Arch::from_name)
            .zip(target.to_str().and_then(Bindings::from_name)),
        _ => None,
    };
    match found.filter(|(arch, target)| Bindings::of(*arch).contains(target)) {
        Some((arch, target)) => print(&render(arch, target)),
        None => {
            let text = format!("`{verb}` takes an architecture and one of its targets\n");
            say("solo5-toolchain", &text);
            FAILED
        }
    }
}

/// Writes a text to standard output, and returns the exit status.
fn print(out: &str) -> u8 {
    let mut stdout = solo5_streams::stdout();
    match stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => 0,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            say("solo5-toolchain", &format!("standard output: {error}\n"));
            FAILED
        }
    }
}

/// Why the work was not done.
enum Failure {
    /// In upstream's words.
    Said(&'static str),
    /// With diagnostics; the exit status.
    Found(Vec<Diagnostic>, u8),
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Failure {
        Failure::Found(vec![diagnostic], FAILED)
    }
}

impl Failure {
    fn not_run(program: &Program, error: &io::Error) -> Failure {
        let (diagnostic, status) = child::not_run(&program.name, error);
        Failure::Found(vec![diagnostic], status)
    }
}

/// The program file, links resolved.
fn program_file(called: &OsStr) -> Option<PathBuf> {
    env::current_exe()
        .ok()
        .or_else(|| name::find(called))
        .and_then(|path| fs::canonicalize(path).ok())
}

fn identify(
    called: &OsStr,
    program: Option<&Path>,
    arguments: &mut Vec<OsString>,
) -> Option<Identity> {
    if let Some(identity) = Identity::of_call(called) {
        return Some(identity);
    }
    if let Some(tool) = arguments.first().and_then(|tool| tool.to_str())
        && let Some(identity) = Identity::from_name(&format!("solo5-{tool}"))
    {
        arguments.remove(0);
        return Some(identity);
    }
    Identity::from_name(program?.file_name()?.to_str()?)
}

fn show(identity: &Identity, diagnostics: &[Diagnostic]) {
    let text = human::human(diagnostics, Colour::detect(&io::stderr()));
    say(&identity.program, &text);
}

/// Writes to standard error. A failure is ignored, as there is nowhere left to report it.
fn say(program: &str, text: &str) {
    let _ = write!(io::stderr(), "{program}: {text}");
}

fn run(
    identity: &Identity,
    installed: &Installed,
    arguments: Vec<OsString>,
) -> Result<u8, Failure> {
    let program = match identity.plus_plus {
        true => Program::plus_plus(identity.arch),
        false => Program::of(identity.tool, identity.arch),
    };
    match identity.tool {
        Tool::Objcopy => return pass_on(&program, arguments),
        Tool::Cc if arguments.is_empty() => {
            return Err(Failure::Said("No input files. Compilation terminated."));
        }
        Tool::Cc if arguments == ["-v"] => return pass_on(&program, arguments),
        Tool::Cc | Tool::Ld => {}
    }
    let response::Expanded { arguments, from_file } = response::expand(arguments);
    let read = arguments::read(identity.tool, arguments)?;
    if identity.tool == Tool::Cc && installed.include.is_none() {
        return Err(missing::headers(installed, identity.arch).into());
    }
    let Some(library) = &installed.library else {
        return Err(missing::bindings(installed, identity.arch).into());
    };
    let abi = command::abi(identity, &read, library)?;
    let libc = libc::named(&read, library)?;
    let libraries = libraries::find(identity.tool, &program, &read, libc.as_ref())?;

    let mut scratch = Scratch::default();
    let manifest = match &read.manifest {
        Some(file) if matches!(read.mode, Mode::Link | Mode::Relocatable) => Some(file),
        _ => None,
    };
    let objects = match manifest {
        Some(file) => manifest_objects(identity, file, &mut scratch)?,
        None => Vec::new(),
    };
    if manifest.is_some() && read.mode == Mode::Link && read.abi.is_none() {
        show(identity, &[no_target(identity.tool)]);
    }
    let relay = Relay::new(&objects, manifest.map(OsString::as_os_str).unwrap_or_default());
    let audited = abi.as_ref().is_some_and(|abi| abi.has_loader) && read.audit != AuditLevel::Off;
    // The linker names the undefined symbols.
    let relayed = audited || !objects.is_empty() || !libraries.left_out.is_empty();
    let added = Added { abi: abi.as_ref(), libc: libc.as_ref(), objects };
    let mut command = command::arguments(identity, &program, installed, &read, added, &libraries);
    if relayed && identity.tool == Tool::Cc && Colour::detect(&io::stderr()) == Colour::Always {
        // The relay hides the terminal from the compiler.
        command.insert(program.arguments.len(), "-fdiagnostics-color=always".into());
    }
    if (from_file || read.from_file) && response::too_long(&command) {
        let path = scratch.file("arguments", |file| response::write(&command, file))?;
        let mut at = OsString::from("@");
        at.push(path);
        command = vec![at];
    }
    if !relayed && scratch.is_empty() {
        let error = child::become_tool(&program.name, &command);
        return Err(Failure::not_run(&program, &error));
    }
    let output = audited.then(|| Output::before_link(&read.output));
    let run = if relayed {
        child::run_relayed(&program.name, &command, &relay)
    } else {
        child::run(&program.name, &command).map(|status| (status, Heard::default()))
    };
    let (status, heard) = run.map_err(|error| Failure::not_run(&program, &error))?;
    if let Some(manifest) = manifest {
        let manifest = Path::new(manifest);
        if let Ok(folder) = scratch.folder() {
            side::name_manifest(&read, &side::Objects { relay: &relay, folder })?;
        }
        if status == 0 {
            side::depend_on_manifest(&read, manifest)?;
        }
    }
    if status != 0 && !heard.undefined.is_empty() {
        let compiler = Program::of(Tool::Cc, identity.arch);
        let missed = libraries::missed(&compiler, &libraries.left_out, &heard.undefined);
        if !missed.is_empty() {
            return Err(Failure::Found(missed, status));
        }
    }
    // The tool saw a pipe that took everything.
    let ended = |status: u8| match &heard.unwritten {
        Some(error) if status == 0 => {
            say(&identity.program, &format!("standard output: {error}\n"));
            FAILED
        }
        _ => status,
    };
    let Some(output) = output.filter(|_| status == 0) else {
        return Ok(ended(status));
    };
    let judged = judge(identity, &read, &output, |findings| {
        let Ok(folder) = scratch.folder() else { return };
        command.extend(origin::arguments(identity.tool, &read, folder));
        // The first link has already printed its messages.
        if child::run_quietly(&program.name, &command).is_ok_and(|status| status == 0) {
            origin::add(findings, folder);
        }
    });
    judged.map(ended)
}

/// The warning for a manifest in a link without a target.
fn no_target(tool: Tool) -> Diagnostic {
    let linked = match tool {
        Tool::Cc => "this links the stub, which never runs",
        Tool::Ld | Tool::Objcopy => "no bindings are linked",
    };
    let text = format!("a manifest but no target: {linked}");
    Diagnostic::warning(codes::NO_TARGET, text)
        .with_help("add -z solo5-abi=NAME, such as -z solo5-abi=spt; solo5-abi=stub has no warning")
}

fn pass_on(program: &Program, arguments: Vec<OsString>) -> Result<u8, Failure> {
    let mut all = program.arguments.clone();
    all.extend(arguments);
    let error = child::become_tool(&program.name, &all);
    Err(Failure::not_run(program, &error))
}

/// Compiles the manifest and writes the objects to link.
fn manifest_objects(
    identity: &Identity,
    file: &OsStr,
    scratch: &mut Scratch,
) -> Result<Vec<PathBuf>, Failure> {
    let compiled = manifest::compile(Path::new(file), identity.arch)
        .map_err(|diagnostics| Failure::Found(diagnostics, FAILED))?;
    if !compiled.warnings.is_empty() {
        show(identity, &compiled.warnings);
    }
    let mut paths = Vec::new();
    for (kind, bytes) in compiled.objects {
        let name = relay::object_name(file, kind);
        paths.push(scratch.file(&name, |mut file| file.write_all(&bytes))?);
    }
    Ok(paths)
}

/// Audits what the link wrote. A refused image is removed; `trace` finds the sections at fault.
fn judge(
    identity: &Identity,
    read: &Arguments,
    output: &Output,
    trace: impl FnOnce(&mut [Diagnostic]),
) -> Result<u8, Failure> {
    let found = match output.written() {
        Ok(Some(image)) => audit::audit(&image, output.path(), read.audit),
        Ok(None) => return Ok(0),
        Err(diagnostic) => audit::Verdict { findings: vec![diagnostic], refused: true },
    };
    if !found.refused {
        if !found.findings.is_empty() {
            show(identity, &found.findings);
        }
        return Ok(0);
    }
    let mut findings = found.findings;
    if origin::wanted(&findings) {
        trace(&mut findings);
    }
    if let Err(diagnostic) = output.remove() {
        findings.push(diagnostic);
    }
    Err(Failure::Found(findings, FAILED))
}

/// Temporary files that live as long as the link. Their folder is made when first needed.
#[derive(Default)]
struct Scratch {
    folder: Option<TempDir>,
}

impl Scratch {
    fn is_empty(&self) -> bool {
        self.folder.is_none()
    }

    fn folder(&mut self) -> io::Result<&Path> {
        let folder = match self.folder.take() {
            Some(folder) => folder,
            None => tempfile::Builder::new().prefix("solo5-link-").tempdir()?,
        };
        Ok(self.folder.insert(folder).path())
    }

    fn file(
        &mut self,
        name: impl AsRef<Path>,
        write: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<PathBuf, Diagnostic> {
        self.folder()
            .and_then(|folder| {
                let path = folder.join(name);
                write(&File::create_new(&path)?)?;
                Ok(path)
            })
            .map_err(|error| {
                Diagnostic::error(
                    codes::TEMPORARY,
                    format!("cannot write a temporary file: {error}"),
                )
                .with_help("TMPDIR names the folder for them")
            })
    }
}
