//! The image under audit: read once, with every reason for which its loader would refuse it.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target, stack};
#[cfg(feature = "dwarf")]
use solo5_dwarf::{DebugInfo, Limits, Source};
use solo5_image::elf::{self, Symbol};
use solo5_image::sections::{NAME_MAX, Section, SectionError, Sections};
use solo5_image::{Image, ImageError, LoadPlan, ProgramHeader, ReadAt, plan};
use solo5_report::Place;
use solo5_report::diagnostic::SourceLine;

use crate::budget::Budget;
use crate::calls::{self, Calls, Use};
use crate::finding::{FINDINGS_MAX, Finding};
use crate::strings::{self, Traces};

/// Most faults kept of one image.
const FAULTS_MAX: usize = 256;

/// Most symbols listed of one section.
const SYMBOLS_SHOWN: usize = 8;

/// Symbols that linker scripts define between sections.
const MARKS: [&str; 12] = [
    "_stext",
    "_etext",
    "_srodata",
    "_erodata",
    "_sdata",
    "_edata",
    "_stdata",
    "_etdata",
    "_sbss",
    "_ebss",
    "__bss_start",
    "_end",
];

/// Most searches for a symbol's name in one image: each may go through a million symbols.
const SEARCHES_MAX: u32 = 32;

/// What one pass over the symbols found.
#[derive(Debug, Default)]
pub(crate) struct SymbolFacts {
    /// The first function that is resolved at start.
    pub(crate) ifunc: Option<Symbol>,
    /// The first symbols that are not defined and not weak.
    pub(crate) undefined: Vec<Symbol>,
    /// How many of those there are.
    pub(crate) undefined_count: u64,
    /// Why not all symbols were seen.
    pub(crate) fault: Option<SectionError>,
}

/// An image under audit.
pub struct Subject<'a> {
    name: &'a str,
    pub(crate) reader: &'a dyn ReadAt,
    image: Option<Image>,
    target: Option<Target>,
    faults: Vec<ImageError>,
    plan: Option<LoadPlan>,
    sections: OnceCell<Result<Sections, SectionError>>,
    symbols: OnceCell<SymbolFacts>,
    calls: OnceCell<Option<Calls>>,
    traces: OnceCell<Traces>,
    #[cfg(feature = "dwarf")]
    info: OnceCell<DebugInfo>,
    searches: Cell<u32>,
    missed: Cell<bool>,
    budgets: &'a [Budget],
}

impl<'a> Subject<'a> {
    /// Reads the image in `reader`; `name` is its file's.
    pub fn new(name: &'a str, reader: &'a dyn ReadAt) -> Subject<'a> {
        let mut subject = Subject {
            name,
            reader,
            image: None,
            target: None,
            faults: Vec::new(),
            plan: None,
            sections: OnceCell::new(),
            symbols: OnceCell::new(),
            calls: OnceCell::new(),
            traces: OnceCell::new(),
            #[cfg(feature = "dwarf")]
            info: OnceCell::new(),
            searches: Cell::new(0),
            missed: Cell::new(false),
            budgets: &[],
        };
        match Image::read(reader, &Arch::ALL) {
            Ok(image) => {
                subject.target = image.target();
                subject.examine(&image);
                subject.image = Some(image);
            }
            Err(fault) => subject.faults.push(fault),
        }
        subject
    }

    /// Sets the limits that S503 compares sizes with.
    #[must_use]
    pub fn with_budgets(self, budgets: &'a [Budget]) -> Subject<'a> {
        Subject { budgets, ..self }
    }

    /// The limits that S503 compares sizes with.
    pub fn budgets(&self) -> &[Budget] {
        self.budgets
    }

    /// Collects what a loader refuses: notes in the loader's order, then segments.
    fn examine(&mut self, image: &Image) {
        let mut faults = image.notes().faults().to_vec();
        let mut push = |fault: Option<ImageError>| {
            if let Some(fault) = fault.filter(|fault| !faults.contains(fault)) {
                faults.push(fault);
            }
        };
        // Without a known target, any target reports the mismatch.
        push(image.abi_of(self.target.unwrap_or(Target::Hvt)).err());
        push(image.checked_manifest().err());
        if image.manifest().is_ok() {
            push(image.properties().err());
            push(image.features().err());
        }
        let target = self.target.unwrap_or(Target::Spt);
        let plan = plan::examine(image, self.reader, target, &mut |fault| {
            if faults.len() < FAULTS_MAX {
                faults.push(fault);
            }
        });
        self.faults = faults;
        self.plan = Some(plan);
    }

    /// The file's name as given.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The image, if its headers could be read.
    pub fn image(&self) -> Option<&Image> {
        self.image.as_ref()
    }

    /// The target its ABI note names, if that is one we know.
    pub fn target(&self) -> Option<Target> {
        self.target
    }

    /// Every fault a loader would refuse the image for.
    pub fn faults(&self) -> &[ImageError] {
        &self.faults
    }

    /// The load plan of the segments without fault.
    pub fn plan(&self) -> Option<&LoadPlan> {
        self.plan.as_ref()
    }

    /// The smallest memory in bytes that a guest starts with: for the segments, and for heap, guard
    /// and stack if the manifest asks for a stack and a tender of this suite loads the image. `None`
    /// without a load plan, or if the number has more than 64 bits.
    pub fn least_memory(&self) -> Option<u64> {
        let image_end = self.plan()?.minimum_memory;
        let tender = self.target.is_some_and(Target::has_tender);
        match self.image().filter(|_| tender).and_then(stack_of) {
            Some(stack) => stack::least_memory(image_end, stack),
            None => Some(image_end),
        }
    }

    /// Most memory in bytes that any launch can give it; `None` if no tender of this suite loads it.
    pub(crate) fn most_memory(&self) -> Option<u64> {
        let target = self.target.filter(|target| target.has_tender())?;
        Some(most_memory_of(self.image()?, target))
    }

    /// Its sections, if they can be read.
    pub fn sections(&self) -> Option<&Sections> {
        let read = self.section_result()?.as_ref();
        read.inspect_err(|_| self.missed.set(true)).ok()
    }

    /// Why its sections cannot be read; `None` if they can.
    pub fn unreadable_sections(&self) -> Option<String> {
        self.section_result()?.as_ref().err().map(ToString::to_string)
    }

    /// Whether unreadable sections were requested since the last call.
    pub(crate) fn take_missed(&self) -> bool {
        self.missed.take()
    }

    pub(crate) fn section_result(&self) -> Option<&Result<Sections, SectionError>> {
        let image = self.image.as_ref()?;
        let read = || Sections::read(self.reader, image.header());
        Some(self.sections.get_or_init(read))
    }

    pub(crate) fn symbols(&self) -> &SymbolFacts {
        self.symbols.get_or_init(|| {
            let mut facts = SymbolFacts::default();
            let Some(sections) = self.sections() else {
                return facts;
            };
            let seen = sections.visit_symbols(self.reader, |symbol| {
                let undefined = symbol.st_shndx == elf::SHN_UNDEF
                    && symbol.st_name != 0
                    && symbol.binding() != elf::STB_WEAK;
                if undefined {
                    facts.undefined_count += 1;
                    if facts.undefined.len() < 3 {
                        facts.undefined.push(*symbol);
                    }
                }
                if symbol.kind() == elf::STT_GNU_IFUNC && facts.ifunc.is_none() {
                    facts.ifunc = Some(*symbol);
                }
                ControlFlow::Continue(())
            });
            facts.fault = seen.err();
            facts
        })
    }

    /// References to functions of interest; `None` without symbols.
    pub(crate) fn calls(&self) -> Option<&Calls> {
        let search = || calls::calls(self.reader, self.image()?.arch(), self.sections()?);
        self.calls.get_or_init(search).as_ref()
    }

    /// The functions of the Solo5 API that code or data refer to; `None` without symbols.
    pub fn api_used(&self) -> Option<BTreeSet<&'static str>> {
        let references = self.calls()?.references.iter();
        let api = references.filter(|found| found.usage != Use::StackCheck);
        Some(api.map(|found| found.name).collect())
    }

    /// Whether code calls address 0.
    pub(crate) fn calls_null(&self) -> bool {
        let image = self.image().zip(self.sections());
        image
            .is_some_and(|(image, sections)| calls::calls_null(self.reader, image.arch(), sections))
    }

    /// What texts reveal about the build.
    pub(crate) fn traces(&self) -> &Traces {
        self.traces.get_or_init(|| {
            let sections = self.sections();
            sections.map(|all| strings::traces(self.reader, all)).unwrap_or_default()
        })
    }

    /// An address as a place: its section, the symbol it is in, its offset in the file, and its line.
    pub(crate) fn at(&self, address: u64) -> Place {
        Place { source: self.source_at(address), ..self.without_line(address) }
    }

    /// An address as a place, for a rule that knows its line.
    pub(crate) fn without_line(&self, address: u64) -> Place {
        let section = self.sections().and_then(|all| all.at_address(address));
        let offset = section.and_then(|section| {
            let within = address.wrapping_sub(section.header.sh_addr);
            section.header.sh_offset.checked_add(within)
        });
        Place {
            offset,
            section: section.map(|section| section.name.clone()),
            symbol: self.symbol_at(address),
            ..self.whole()
        }
    }

    /// Its debugging information, which gives places their lines. A rule that reads more of it
    /// starts from [fresh limits](DebugInfo::renewed), so that its result does not depend on other
    /// findings.
    #[cfg(feature = "dwarf")]
    pub(crate) fn debug_info(&self) -> Option<&DebugInfo> {
        let sections = self.sections()?;
        let read = || DebugInfo::read(self.reader, sections, Limits::MANY);
        Some(self.info.get_or_init(read))
    }

    /// The line of the code, or of the variable, at `address`.
    #[cfg(feature = "dwarf")]
    fn source_at(&self, address: u64) -> Option<Box<SourceLine>> {
        let info = self.debug_info().filter(|info| !info.is_empty())?;
        let frames = info.locate(&[address]).pop().unwrap_or_default();
        let line = frames.into_iter().next().and_then(|frame| frame.source);
        line.or_else(|| info.variable(address)).map(source_line)
    }

    #[cfg(not(feature = "dwarf"))]
    fn source_at(&self, _: u64) -> Option<Box<SourceLine>> {
        None
    }

    pub(crate) fn symbol_name(&self, symbol: &Symbol) -> String {
        let name = self.sections().and_then(|sections| sections.symbol_name(self.reader, symbol));
        name.map_or_else(|| format!("symbol at {:#x}", symbol.st_value), shortened)
    }

    /// The file as a place.
    pub(crate) fn whole(&self) -> Place {
        Place { file: self.name.to_owned(), ..Place::default() }
    }

    /// A program header as a place: the bytes it covers in the file.
    pub(crate) fn phdr(&self, index: usize) -> Place {
        let header = self.image().and_then(|image| image.segments().get(index));
        let section = header.and_then(|header| {
            let sections = self.sections()?;
            sections.at_address(header.p_vaddr).map(|section| section.name.clone())
        });
        Place {
            offset: header.map(|header| header.p_offset),
            length: header.map(|header| header.p_filesz),
            part: Some(format!("phdr[{index}]")),
            section,
            ..self.whole()
        }
    }

    /// A section as a place, with the symbol at its start.
    pub(crate) fn section(&self, section: &Section) -> Place {
        let symbol = self.symbol_at(section.header.sh_addr);
        self.section_with(section, symbol, section.header.sh_addr)
    }

    /// A section as a place, with the symbol that probably made it both writable and executable. A
    /// linker may merge data into it, but the symbol of such code is usually not an object. If
    /// several symbols qualify, none is named and the second value lists them.
    pub(crate) fn mixed_section(&self, section: &Section) -> (Place, Option<String>) {
        let mut best: Vec<Symbol> = Vec::new();
        let mut rank = u8::MAX;
        let mut count = 0_usize;
        let visit = |symbol: &Symbol| {
            let own_rank = match symbol.kind() {
                elf::STT_FUNC => 0,
                // Marks of linker scripts have no size and a typical name.
                elf::STT_NOTYPE if !self.is_mark(symbol) => 1,
                elf::STT_OBJECT => 2,
                _ => return,
            };
            if own_rank < rank {
                (rank, count) = (own_rank, 0);
                best.clear();
            }
            if own_rank == rank {
                count = count.saturating_add(1);
                if best.len() < SYMBOLS_SHOWN {
                    best.push(*symbol);
                }
            }
        };
        if let Some(sections) = self.sections() {
            sections.visit_symbols_of(self.reader, section, visit);
        }
        match best.as_slice() {
            [] => (self.section(section), None),
            [one] => {
                let name = Some(self.symbol_name(one));
                (self.section_with(section, name, one.st_value), None)
            }
            several => {
                let names = several.iter().map(|symbol| self.symbol_name(symbol));
                let more = if count > several.len() { " …" } else { "" };
                let names = names.collect::<Vec<_>>().join(" ");
                let listed = format!("symbols in {}: {names}{more}", section.name);
                (self.section_with(section, None, section.header.sh_addr), Some(listed))
            }
        }
    }

    /// Whether a symbol is a mark that a linker script sets, such as `_erodata`.
    fn is_mark(&self, symbol: &Symbol) -> bool {
        symbol.st_size == 0 && MARKS.contains(&self.symbol_name(symbol).as_str())
    }

    fn section_with(&self, section: &Section, symbol: Option<String>, address: u64) -> Place {
        let source = self.source_at(address);
        Place {
            offset: Some(section.header.sh_offset),
            length: Some(section.header.sh_size),
            section: Some(section.name.clone()),
            symbol,
            source,
            ..self.whole()
        }
    }

    /// The first segment of one type.
    pub(crate) fn first_segment(&self, kind: u32) -> Option<usize> {
        let segments = self.image()?.segments();
        segments.iter().position(|header| header.p_type == kind)
    }

    fn symbol_at(&self, address: u64) -> Option<String> {
        let done = self.searches.get();
        self.searches.set(done.saturating_add(1));
        let sections = self.sections().filter(|_| done < SEARCHES_MAX)?;
        sections.symbol_at(self.reader, address).map(shortened)
    }

    /// The place of a fault.
    pub(crate) fn place(&self, fault: &ImageError) -> Place {
        let mut place = fault.phdr().map_or_else(|| self.whole(), |index| self.phdr(index));
        if let Some(offset) = fault.offset() {
            let section = self.sections().and_then(|sections| sections.at_offset(offset));
            if let Some(section) = section {
                place.section = Some(section.name.clone());
            }
            place.offset = Some(offset);
            place.length = None;
        }
        place
    }

    /// Reports every fault for which `describe` returns a message.
    pub(crate) fn report(
        &self,
        out: &mut Vec<Finding>,
        describe: impl Fn(&ImageError) -> Option<String>,
    ) {
        for fault in &self.faults {
            if out.len() >= FINDINGS_MAX {
                break;
            }
            if let Some(message) = describe(fault) {
                out.push(Finding::new(message, self.place(fault)));
            }
        }
    }

    /// Reports every segment for which `describe` returns a message.
    pub(crate) fn report_segments(
        &self,
        out: &mut Vec<Finding>,
        mut describe: impl FnMut(usize, &ProgramHeader) -> Option<String>,
    ) {
        let segments = self.image().map_or(&[][..], |image| image.segments());
        for (index, header) in segments.iter().enumerate() {
            if out.len() >= FINDINGS_MAX {
                break;
            }
            if let Some(message) = describe(index, header) {
                out.push(Finding::new(message, self.phdr(index)));
            }
        }
    }
}

#[cfg(feature = "dwarf")]
pub(crate) fn source_line(source: Source) -> Box<SourceLine> {
    Box::new(SourceLine { file: source.file, line: source.line })
}

/// Most memory in bytes that any launch can give the image. A launch attaches every device that is not
/// optional, and network interfaces may take some of the memory.
pub(crate) fn most_memory_of(image: &Image, target: Target) -> u64 {
    let properties = image.properties().ok().flatten();
    let optional = |index| properties.as_ref().is_some_and(|all| all.device(index).optional);
    let needs_net = image.manifest().is_ok_and(|manifest| {
        let mut devices = manifest.devices();
        devices.any(|(index, entry)| entry.kind() == Some(DeviceType::NetBasic) && !optional(index))
    });
    target.most_memory(needs_net)
}

/// The bytes of stack that the manifest asks for.
pub(crate) fn stack_of(image: &Image) -> Option<u64> {
    image.properties().ok().flatten().and_then(|properties| properties.stack())
}

/// A name for people, cut to a length that suits a report.
fn shortened(name: String) -> String {
    #[cfg(feature = "dwarf")]
    let name = solo5_dwarf::for_people(name);
    let mut name = name;
    name.truncate(name.floor_char_boundary(NAME_MAX));
    name
}
