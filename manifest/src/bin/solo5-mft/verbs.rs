//! One function per verb.

use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Error};
use clap_complete::Shell;
use solo5_abi::Arch;
use solo5_manifest::{Version, c, codes, object, schema, yaml};
use solo5_report::Diagnostic;
use solo5_source::format;

use crate::PROGRAM;
use crate::args::{Arguments, Compile, ENDING, Emit};
use crate::binary;
use crate::console::{Console, Failure, cannot_read, cannot_write, name_of, print, read_source};

/// Ends the program like clap does on wrong usage of `compile`.
fn usage(message: &str) -> ! {
    let mut program = Arguments::command();
    program.build();
    let compile = program.find_subcommand_mut("compile");
    let mut command = compile.cloned().unwrap_or(program);
    let error = Error::raw(ErrorKind::ValueValidation, message).format(&mut command);
    solo5_report::usage::exit(PROGRAM, &error)
}

/// `compile`.
pub(crate) fn compile(options: &Compile, console: &mut Console) -> Result<(), Failure> {
    let to_stdout = options.output == Path::new("-");
    let Some(emit) = options.emit.or_else(|| Emit::of(&options.output)) else {
        usage("cannot tell what to write from the name of the output; add --emit\n");
    };
    if options.arch.is_some() && emit != Emit::Object {
        usage("--arch is for objects; C and raw notes are the same for every machine\n");
    }
    if options.depfile.is_some() && to_stdout {
        usage("--depfile needs an output file with a name\n");
    }
    let Some(arch) = options.arch.or(Arch::HOST) else {
        usage("unikernels cannot be built for the host's machine; add --arch\n");
    };
    if to_stdout && emit != Emit::C && io::stdout().is_terminal() {
        let message = "binary output could disturb the terminal";
        let help = "write to a file with -o FILE, or to a pipe";
        return Err(Box::new(Diagnostic::error(codes::TERMINAL, message).with_help(help)));
    }
    let bytes = read_source(&options.source)?;
    let checked = match solo5_manifest::parse(&name_of(&options.source), &bytes) {
        Ok(checked) => checked,
        Err(diagnostics) => {
            console.report(diagnostics);
            return Ok(());
        }
    };
    console.report(checked.remarks);
    if checked.manifest.package().is_some() {
        let message = "`package` is not in the output: it is a note of the whole unikernel";
        let help = "link with `solo5-ld -z solo5-manifest=FILE` to add it";
        console.report([Diagnostic::note(codes::PACKAGE_LEFT_OUT, message).with_help(help)]);
    }
    let notes = checked.manifest.notes();
    let content = match emit {
        Emit::Object => object::write(&notes, arch),
        Emit::C => c::write(&notes).into_bytes(),
        Emit::Raw => notes.bytes(),
    };
    let write = |path: &Path, content: &[u8]| {
        if solo5_output::is_same_file(path, &options.source) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is the manifest itself");
            return Err(cannot_write(path, &error));
        }
        solo5_output::write(path, content).map_err(|error| cannot_write(path, &error))
    };
    write(&options.output, &content)?;
    if let Some(depfile) = &options.depfile {
        write(depfile, &dependencies(&options.output, &options.source))?;
    }
    Ok(())
}

/// A rule for make: `output` depends on `source`.
fn dependencies(output: &Path, source: &Path) -> Vec<u8> {
    let escape = |path: &Path| {
        let mut out = Vec::new();
        for byte in path.as_os_str().as_bytes() {
            match byte {
                b' ' | b'#' | b'\\' | b':' => out.push(b'\\'),
                b'$' => out.push(b'$'),
                _ => {}
            }
            out.push(*byte);
        }
        out
    };
    let output = escape(output);
    if source == Path::new("-") {
        return [&output[..], b":\n"].concat();
    }
    let source = escape(source);
    // With the empty rule, make does not fail after the source was removed or renamed.
    [&output[..], b": ", &source, b"\n", &source, b":\n"].concat()
}

/// `check`.
pub(crate) fn check(sources: &[PathBuf], console: &mut Console) -> Result<(), Failure> {
    console.diagnostics_are_result = true;
    for source in sources {
        match read_source(source) {
            Ok(bytes) => match solo5_manifest::parse(&name_of(source), &bytes) {
                Ok(checked) => console.report(checked.remarks),
                Err(diagnostics) => console.report(diagnostics),
            },
            Err(failure) => console.fail(*failure),
        }
    }
    Ok(())
}

/// `show`.
pub(crate) fn show(binary: &Path, console: &mut Console) -> Result<(), Failure> {
    match binary::manifest(binary)? {
        Ok(manifest) => print(&yaml::write(&manifest)),
        Err(diagnostic) => {
            console.report([diagnostic]);
            Ok(())
        }
    }
}

/// `fmt`.
pub(crate) fn fmt(check: bool, sources: &[PathBuf], console: &mut Console) -> Result<(), Failure> {
    for path in sources {
        if let Err(failure) = fmt_one(check, path, console) {
            console.fail(*failure);
        }
    }
    Ok(())
}

fn fmt_one(check: bool, path: &Path, console: &mut Console) -> Result<(), Failure> {
    // Reading a named pipe would wait for a writer, and what is read cannot be written back.
    if std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(cannot_read(path, &error));
    }
    let bytes = read_source(path)?;
    let document = match solo5_source::parse(&name_of(path), &bytes) {
        Ok(document) => document,
        Err(diagnostics) => {
            console.report(diagnostics);
            return Ok(());
        }
    };
    let formatted = format::format(&document);
    if !check {
        return solo5_output::write(path, formatted.as_bytes())
            .map(|_| ())
            .map_err(|error| cannot_write(path, &error));
    }
    if formatted != document.source.text {
        let same = formatted.bytes().zip(bytes).take_while(|(ours, theirs)| ours == theirs).count();
        let message = format!("{} is not in the standard layout", name_of(path));
        let diagnostic = Diagnostic::warning(codes::NOT_FORMATTED, message)
            .label(&document.source, same..same, "differs from here on")
            .with_help("run `solo5-mft fmt` on the file");
        console.report([diagnostic]);
    }
    Ok(())
}

/// `explain`.
pub(crate) fn explain(code: Option<&str>, console: &mut Console) -> Result<(), Failure> {
    let Some(code) = code else {
        let titles = solo5_report::explain::codes().filter_map(|code| {
            let page = solo5_report::explain(code)?;
            Some(format!("{}\n", page.lines().next()?.trim_start_matches("# ")))
        });
        return print(&titles.collect::<String>());
    };
    match solo5_report::explain(code) {
        Some(page) => print(page),
        None => {
            let message = format!("there is no code {code}");
            let help = "`solo5-mft explain` lists all codes";
            console.report([Diagnostic::error(codes::NO_SUCH_CODE, message).with_help(help)]);
            Ok(())
        }
    }
}

/// `schema`.
pub(crate) fn schema(version: Version) -> Result<(), Failure> {
    print(&schema::text(version))
}

/// `completions`.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    print(&solo5_report::completion::script(Arguments::command(), shell))
}

/// `man`.
pub(crate) fn man() -> Result<(), Failure> {
    let page = solo5_report::man::page(Arguments::command(), &ENDING);
    print(&page.map_err(|error| cannot_write(Path::new("-"), &error))?)
}
