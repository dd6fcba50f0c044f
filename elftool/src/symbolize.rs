//! `symbolize`: what a tender printed about a guest that went wrong, or a core of it, with the
//! functions and lines of the image. Of a trace, every line is passed on, and what its addresses are
//! stands below it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use solo5_dwarf::core::Core;
use solo5_dwarf::trace::{Address, By, Resolved, Tracer, addresses};
use solo5_dwarf::{Frame, Gap, Limits};
use solo5_report::printable;

use crate::audit::readable;
use crate::cli::{FAILED, Format};
use crate::files::{complain, print, reason};

/// Most bytes of a trace.
const TRACE_MAX: u64 = 16 << 20;
/// Most addresses looked up; real traces have a few dozen.
const ADDRESSES_MAX: usize = 16 * 1024;

/// Names of the registers, with DWARF's numbers.
const REGISTERS: [(&str, u16); 17] = [
    ("rip", 16),
    ("rsp", 7),
    ("rbp", 6),
    ("rax", 0),
    ("rbx", 3),
    ("rcx", 2),
    ("rdx", 1),
    ("rsi", 4),
    ("rdi", 5),
    ("r8", 8),
    ("r9", 9),
    ("r10", 10),
    ("r11", 11),
    ("r12", 12),
    ("r13", 13),
    ("r14", 14),
    ("r15", 15),
];

/// The addresses of a trace.
#[derive(Serialize)]
struct Traced<'a> {
    image: &'a str,
    lines: Vec<Line<'a>>,
}

/// A line with addresses.
#[derive(Serialize)]
struct Line<'a> {
    /// Its number, from 1.
    line: usize,
    text: &'a str,
    addresses: Vec<Place>,
}

/// The calls in a core.
#[derive(Serialize)]
struct Dumped<'a> {
    image: &'a str,
    core: Cow<'a, str>,
    signal: u16,
    registers: serde_json::Map<String, serde_json::Value>,
    calls: Vec<Place>,
}

/// An address and what is known of it.
#[derive(Serialize)]
struct Place {
    address: u64,
    /// Whether it is where a call returns to.
    returns: bool,
    /// In a core: how it is known that there was a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    /// Innermost first: all but the last are inlined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    frames: Vec<Call>,
}

#[derive(Serialize)]
struct Call {
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
}

pub(crate) fn run(
    program: &str,
    image: &Path,
    trace: &Path,
    core: Option<&Path>,
    format: Format,
) -> u8 {
    let failed = |path: &Path, why: &str| {
        let name = path.to_string_lossy();
        complain(program, format_args!("{}: {why}", printable(&name)));
        FAILED
    };
    let file = match readable(image) {
        Ok((file, _)) => file,
        Err(why) => return failed(image, &why),
    };
    let tracer = match Tracer::new(&file, Limits::ONE) {
        Ok(tracer) => tracer,
        Err(fault) => return failed(image, &fault.to_string()),
    };
    let name = image.to_string_lossy();
    let text = if let Some(path) = core {
        let file = match readable(path) {
            Ok((file, _)) => file,
            Err(why) => return failed(path, &why),
        };
        let core = match Core::read(&file) {
            Ok(core) => core,
            Err(fault) => return failed(path, &fault.to_string()),
        };
        if !tracer.fits(&core) {
            let why = "warning: its code at rip is not this image's";
            failed(path, why);
        }
        let dumped = dumped(&tracer, &name, path.to_string_lossy(), &core);
        remark(program, image, &tracer);
        match format {
            Format::Human => Ok(human_calls(&dumped)),
            Format::Json => serde_json::to_string_pretty(&dumped),
        }
    } else {
        let text = match read(trace) {
            Ok(text) => text,
            Err(why) => return failed(trace, &why),
        };
        let traced = traced(&tracer, &name, &text);
        remark(program, image, &tracer);
        let none = traced.lines.is_empty();
        let printed = match format {
            Format::Human => Ok(human_trace(&text, &traced)),
            Format::Json => serde_json::to_string_pretty(&traced),
        };
        if none {
            let status = printed.map_or(FAILED, |printed| print(program, &printed, 1, FAILED));
            failed(trace, "no address of the image's code is in it");
            return status;
        }
        printed
    };
    match text {
        Ok(text) => print(program, &(text.trim_end().to_owned() + "\n"), 0, FAILED),
        Err(error) => failed(image, &error.to_string()),
    }
}

/// Says why there was less to see than expected.
fn remark(program: &str, image: &Path, tracer: &Tracer<'_>) {
    let info = tracer.info();
    let why = match info.gap() {
        Some(gap @ Gap::Compressed) => {
            format!("{gap}, which is not read; use `objcopy --decompress-debug-sections`")
        }
        Some(gap) => format!("{gap}: not all of it is read"),
        None if !info.is_empty() => return,
        None if tracer.has_symbols() => String::from(
            "it has no debugging information, so there are symbols alone; compile it with -g",
        ),
        None => String::from(
            "it has neither debugging information nor symbols; name the image from before `strip`",
        ),
    };
    let name = image.to_string_lossy();
    complain(program, format_args!("{}: note: {why}", printable(&name)));
}

/// A trace, whatever bytes are in it.
fn read(path: &Path) -> Result<String, String> {
    let stdin = io::stdin();
    let mut reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(stdin.lock())
    } else {
        Box::new(File::open(path).map_err(|error| reason(&error))?)
    };
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(TRACE_MAX + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| reason(&error))?;
    if length as u64 > TRACE_MAX {
        return Err(String::from(
            "longer than 16 MiB; take the part with the trace, such as its end by `tail`",
        ));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn traced<'a>(tracer: &Tracer<'_>, image: &'a str, text: &'a str) -> Traced<'a> {
    let mut found: Vec<(usize, Address)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let of_line = addresses(line).into_iter();
        let code = of_line.filter(|address| tracer.is_code(address.value));
        found.extend(code.map(|address| (index, address)));
        if found.len() >= ADDRESSES_MAX {
            found.truncate(ADDRESSES_MAX);
            break;
        }
    }
    let all: Vec<Address> = found.iter().map(|(_, address)| *address).collect();
    let mut resolved = found.iter().zip(tracer.resolve(&all)).peekable();
    let mut lines = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let mut addresses = Vec::new();
        while let Some((_, resolved)) = resolved.next_if(|((at, _), _)| *at == index) {
            addresses.push(place(resolved, None));
        }
        if !addresses.is_empty() {
            lines.push(Line {
                line: index + 1,
                text,
                addresses,
            });
        }
    }
    Traced { image, lines }
}

fn dumped<'a>(
    tracer: &Tracer<'_>,
    image: &'a str,
    name: Cow<'a, str>,
    core: &Core<'_>,
) -> Dumped<'a> {
    let calls = tracer.backtrace(core);
    let all: Vec<Address> = calls.iter().map(|(address, _)| *address).collect();
    let resolved = tracer.resolve(&all).into_iter().zip(&calls);
    let registers = REGISTERS.iter().filter_map(|(name, number)| {
        let value = core.registers.get(*number)?;
        Some(((*name).to_owned(), value.into()))
    });
    Dumped {
        image,
        core: name,
        signal: core.signal,
        registers: registers.collect(),
        calls: resolved
            .map(|(resolved, (_, by))| place(resolved, Some(*by)))
            .collect(),
    }
}

fn place(resolved: Resolved, by: Option<By>) -> Place {
    let Resolved {
        address,
        symbol,
        frames,
    } = resolved;
    let call = |frame: Frame| {
        let source = frame.source;
        let column = source.as_ref().map(|source| source.column);
        Call {
            function: frame.function,
            line: source.as_ref().map(|source| source.line),
            column: column.filter(|column| *column > 0),
            file: source.map(|source| source.file),
        }
    };
    Place {
        address: address.value,
        returns: address.returns,
        by: by.map(By::name),
        offset: symbol.as_ref().map(|symbol| symbol.offset),
        symbol: symbol.map(|symbol| symbol.name),
        frames: frames.into_iter().map(call).collect(),
    }
}

/// The trace with what its addresses are below each line.
fn human_trace(text: &str, traced: &Traced<'_>) -> String {
    let mut out = String::new();
    let mut found = traced.lines.iter().peekable();
    for (index, line) in text.lines().enumerate() {
        out.push_str(&printable(line));
        out.push('\n');
        let found = found.next_if(|found| found.line == index + 1);
        for place in found.iter().flat_map(|found| &found.addresses) {
            describe(place, "    ", &mut out);
        }
    }
    out
}

fn human_calls(dumped: &Dumped<'_>) -> String {
    let mut out = format!("signal {}\n", dumped.signal);
    for (index, place) in dumped.calls.iter().enumerate() {
        describe(place, &format!("#{index:<3} "), &mut out);
    }
    let end = dumped.registers.len();
    for (index, (name, value)) in dumped.registers.iter().enumerate() {
        let value = value.as_u64().unwrap_or(0);
        let after = if index % 3 == 2 || index + 1 == end {
            "\n"
        } else {
            " "
        };
        out.push_str(&format!("{name:<3} {value:#018x}{after}"));
    }
    out
}

/// One line for the address, and one more for each function that was inlined there.
fn describe(place: &Place, indent: &str, out: &mut String) {
    let address = format!("{:#x}", place.address);
    let symbol = match (&place.symbol, place.offset) {
        (Some(name), Some(offset)) => Some(format!("{name}+{offset:#x}")),
        _ => None,
    };
    let guess = match place.by {
        Some("stack") => "  (from the stack: a guess)",
        Some("frame-pointer") => "  (by a frame pointer)",
        _ => "",
    };
    if place.frames.is_empty() {
        let name = symbol.as_deref().unwrap_or("code without a symbol");
        out.push_str(&format!("{indent}{address} {}{guess}\n", shown(name)));
    }
    for (index, call) in place.frames.iter().enumerate() {
        let last = index + 1 == place.frames.len();
        // The symbol is of the function that was not inlined.
        let symbol = symbol.as_deref().filter(|_| last);
        let name = symbol.or(call.function.as_deref()).unwrap_or("?");
        let source = match (&call.file, call.line) {
            (Some(file), Some(line)) => format!(" at {}:{line}", shown(file)),
            _ => String::new(),
        };
        let name = shown(name);
        if index == 0 {
            out.push_str(&format!("{indent}{address} {name}{source}{guess}\n"));
        } else {
            let blank = " ".repeat(indent.len() + address.len());
            out.push_str(&format!("{blank} inlined into {name}{source}\n"));
        }
    }
}

/// A name from a hostile file, on one line.
fn shown(text: &str) -> String {
    printable(&text.replace('\n', "\\n")).into_owned()
}
