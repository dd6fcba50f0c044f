//! `symbolize`: adds functions and lines of the image to what a tender printed about a crashed guest,
//! or shows the calls in a core. Every line of a trace is passed on, followed by its addresses.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use solo5_abi::Arch;
use solo5_dwarf::core::Core;
use solo5_dwarf::link::DebugLink;
use solo5_dwarf::trace::{Address, By, Resolved, Tracer, addresses};
use solo5_dwarf::{Frame, Gap, Limits};
use solo5_image::Image;
use solo5_output::input::Input;
use solo5_report::one_line;

use crate::console::{Console, Exit, Failure};
use crate::files::{name, readable, reason};
use crate::options::Format;

#[derive(Debug, clap::Args)]
pub(crate) struct SymbolizeOptions {
    /// Image that ran
    image: PathBuf,
    /// What the tender, its guest or the kernel printed; `-` is standard input
    #[arg(default_value = "-", conflicts_with = "core")]
    trace: PathBuf,
    /// Show the calls in this core file instead
    #[arg(long, value_name = "FILE")]
    core: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Most bytes of a trace.
const TRACE_MAX: u64 = 16 << 20;
/// Most distinct addresses looked up; real traces have a few dozen.
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

/// A trace and what is known about the addresses in it.
struct Traced<'a> {
    image: &'a str,
    text: &'a str,
    places: HashMap<(u64, bool), Place>,
    /// Whether there were more addresses than are looked up.
    cut: bool,
}

/// A line with addresses.
#[derive(Serialize)]
struct Line<'a> {
    /// Its number, from 1.
    line: usize,
    text: &'a str,
    addresses: Vec<&'a Place>,
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

/// An address and what is known about it.
#[derive(Serialize)]
struct Place {
    address: u64,
    /// Whether it is where a call returns to.
    returns: bool,
    /// In a core: how the call was found.
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

impl SymbolizeOptions {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let (file, _) = readable(&self.image).map_err(|why| Failure::of(&self.image, why))?;
        let debug = self.linked(console, &file);
        let tracer = Tracer::with_debug(&file, debug.as_ref().unwrap_or(&file), Limits::ONE);
        let tracer = tracer.map_err(|error| Failure::of(&self.image, error.explained()))?;
        match &self.core {
            Some(core) => self.core(console, &tracer, core),
            None => self.trace(console, &tracer),
        }
    }

    /// The file with the debugging information, which a stripped image names.
    fn linked(&self, console: &Console, image: &File) -> Option<File> {
        let link = DebugLink::read(image)?;
        let mut why = String::from("is not found");
        for place in link.places(&self.image) {
            let Ok((file, Some(_))) = readable(&place) else {
                continue;
            };
            match link.fits(&file) {
                Ok(true) if Image::read(&file, &Arch::ALL).is_ok() => return Some(file),
                Ok(_) => why = format!("is another image's: {}", name(&place)),
                Err(error) => why = format!("cannot be read: {}", reason(&error)),
            }
        }
        let text = format!("note: its debugging information, {}, {why}", link.name());
        console.say_of(&self.image, text);
        None
    }

    fn core(&self, console: &Console, tracer: &Tracer<'_>, path: &Path) -> Result<Exit, Failure> {
        let (file, _) = readable(path).map_err(|why| Failure::of(path, why))?;
        let core = Core::read(&file).map_err(|error| Failure::of(path, error))?;
        if !tracer.fits(&core) {
            console.say_of(path, "warning: its code at rip is not this image's");
        }
        let (image, dump) = (name(&self.image), name(path));
        let dumped = dumped(tracer, &image, dump.into(), &core);
        self.remark(console, tracer);
        match self.format {
            Format::Human => console.print(&human_calls(&dumped))?,
            Format::Json => console.print_json(&dumped)?,
        }
        Ok(Exit::Clean)
    }

    fn trace(&self, console: &Console, tracer: &Tracer<'_>) -> Result<Exit, Failure> {
        let text = read(&self.trace).map_err(|why| Failure::of(&self.trace, why))?;
        let image = name(&self.image);
        let traced = Traced::new(tracer, &image, &text);
        self.remark(console, tracer);
        match self.format {
            Format::Human => console.stream(|out| traced.human(out))?,
            Format::Json => console.print_json(&traced)?,
        }
        if traced.places.is_empty() {
            console.say_of(&self.trace, "no address of the image's code is in it");
        } else if traced.cut {
            let why = format!("only {ADDRESSES_MAX} of its addresses are looked up");
            console.say_of(&self.trace, format_args!("warning: {why}"));
        }
        Ok(Exit::objection_if(traced.places.is_empty()))
    }

    /// Warns about missing debugging information.
    fn remark(&self, console: &Console, tracer: &Tracer<'_>) {
        let info = tracer.info();
        let why = match info.gap() {
            Some(gap @ Gap::Compressed) => {
                format!("{gap}, which is not read; use `objcopy --decompress-debug-sections`")
            }
            Some(gap) => format!("{gap}: not all of it is read"),
            None if !info.is_empty() => return,
            None if tracer.has_symbols() => String::from(
                "it has no debugging information, so only symbols are shown; compile it with -g",
            ),
            None => String::from(
                "it has neither debugging information nor symbols; name the image from before `strip`",
            ),
        };
        console.say_of(&self.image, format_args!("note: {why}"));
    }
}

/// Reads a trace; bytes that are not UTF-8 are replaced.
fn read(path: &Path) -> Result<String, String> {
    let bytes = Input::read_all(path, TRACE_MAX + 1).map_err(|error| reason(&error))?;
    if bytes.len() as u64 > TRACE_MAX {
        return Err(String::from(
            "longer than 16 MiB; take the part with the trace, such as its end by `tail`",
        ));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl<'a> Traced<'a> {
    fn new(tracer: &Tracer<'_>, image: &'a str, text: &'a str) -> Traced<'a> {
        // A guest that fails repeatedly prints the same addresses.
        let (mut seen, mut distinct) = (HashSet::new(), Vec::new());
        let all = text.lines().flat_map(addresses);
        let mut code =
            all.filter(|address| tracer.is_code(address.value) && seen.insert(key(address)));
        distinct.extend(code.by_ref().take(ADDRESSES_MAX));
        let cut = code.next().is_some();
        let resolved = tracer.resolve(&distinct).into_iter();
        let places = resolved.map(|found| (key(&found.address), place(found, None)));
        Traced { image, text, places: places.collect(), cut }
    }

    /// Every line, with what is known about its addresses.
    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = self.text.lines().zip(1..);
        lines.map(|(text, line)| {
            let found = addresses(text).into_iter();
            let addresses = found.filter_map(|address| self.places.get(&key(&address)));
            Line { line, text, addresses: addresses.collect() }
        })
    }

    /// The trace, with the meaning of its addresses below each line.
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for line in self.lines() {
            let mut shown = one_line(line.text) + "\n";
            for place in line.addresses {
                describe(place, "    ", &mut shown);
            }
            out.write_all(shown.as_bytes())?;
        }
        Ok(())
    }
}

impl Serialize for Traced<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Lines<'a>(&'a Traced<'a>);
        impl Serialize for Lines<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let lines = self.0.lines();
                serializer.collect_seq(lines.filter(|line| !line.addresses.is_empty()))
            }
        }
        let mut fields = serializer.serialize_struct("Traced", 2)?;
        fields.serialize_field("image", self.image)?;
        fields.serialize_field("lines", &Lines(self))?;
        fields.end()
    }
}

fn key(address: &Address) -> (u64, bool) {
    (address.value, address.returns)
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
        calls: resolved.map(|(resolved, (_, by))| place(resolved, Some(*by))).collect(),
    }
}

fn place(resolved: Resolved, by: Option<By>) -> Place {
    let Resolved { address, symbol, frames } = resolved;
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

fn human_calls(dumped: &Dumped<'_>) -> String {
    let mut out = format!("signal {}\n", dumped.signal);
    for (index, place) in dumped.calls.iter().enumerate() {
        describe(place, &format!("#{index:<3} "), &mut out);
    }
    let end = dumped.registers.len();
    for (index, (name, value)) in dumped.registers.iter().enumerate() {
        let value = value.as_u64().unwrap_or(0);
        let after = if index % 3 == 2 || index + 1 == end { "\n" } else { " " };
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
        out.push_str(&format!("{indent}{address} {}{guess}\n", one_line(name)));
    }
    for (index, call) in place.frames.iter().enumerate() {
        let last = index + 1 == place.frames.len();
        // The symbol belongs to the outermost function, which was not inlined.
        let symbol = symbol.as_deref().filter(|_| last);
        let name = symbol.or(call.function.as_deref()).unwrap_or("?");
        let source = match (&call.file, call.line) {
            (Some(file), Some(line)) => format!(" at {}:{line}", one_line(file)),
            _ => String::new(),
        };
        let name = one_line(name);
        if index == 0 {
            out.push_str(&format!("{indent}{address} {name}{source}{guess}\n"));
        } else {
            let blank = " ".repeat(indent.len() + address.len());
            out.push_str(&format!("{blank} inlined into {name}{source}\n"));
        }
    }
}
