//! The linker scripts: one template, one table (`docs/reference/toolchain.md#scripts`).
//!
//! The text of [`render`] is common to all unikernels; a row of [`Layout::of`] has the differences
//! between targets. The scripts differ from those of earlier Solo5 releases in these points, each of
//! which has a test:
//!
//! * `.interp` and the notes survive `--gc-sections`. No other note is kept: linkers place an unknown
//!   note in PT_INTERP, where it breaks the no-exec trick.
//! * PT_TLS covers `.tdata` and `.tbss`, so that every linker computes the same offsets, and
//!   `_stls_align` tells the bindings their alignment. Neither is padded.
//! * spt, virtio and stub have their read-only data in a segment of its own, not executable.
//! * `.bss` gets its rights even where no tender loads it.

use std::fmt::{self, Write};

use solo5_abi::{Arch, Target, note};

/// What a link is for: the NAME of `-z solo5-abi=NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bindings {
    /// Enough to link and nothing to run, for build systems that probe the compiler.
    Stub,
    /// The bindings of a target.
    Target(Target),
}

impl Bindings {
    /// The name in `-z solo5-abi=NAME` and in the installed files' names.
    pub const fn name(self) -> &'static str {
        match self {
            Bindings::Stub => "stub",
            Bindings::Target(target) => target.name(),
        }
    }

    /// The bindings called `name`.
    pub fn from_name(name: &str) -> Option<Bindings> {
        if name == Bindings::Stub.name() {
            return Some(Bindings::Stub);
        }
        Target::from_name(name).map(Bindings::Target)
    }

    /// File name of the linker script.
    pub fn script_file(self) -> String {
        format!("solo5_{}.lds", self.name())
    }

    /// File name of the bindings object.
    pub fn object_file(self) -> String {
        format!("solo5_{}.o", self.name())
    }

    /// The bindings that an architecture has (`docs/reference/toolchain.md#tree`).
    pub const fn of(arch: Arch) -> &'static [Bindings] {
        match arch {
            Arch::X86_64 => &[
                Bindings::Stub,
                Bindings::Target(Target::Hvt),
                Bindings::Target(Target::Spt),
                Bindings::Target(Target::Virtio),
                Bindings::Target(Target::Muen),
                Bindings::Target(Target::Xen),
            ],
            Arch::Aarch64 => &[
                Bindings::Stub,
                Bindings::Target(Target::Hvt),
                Bindings::Target(Target::Spt),
                Bindings::Target(Target::Virtio),
            ],
            Arch::Ppc64le => &[Bindings::Stub, Bindings::Target(Target::Spt)],
        }
    }
}

/// Place of the notes, which decides whether the guest may write them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notes {
    /// Before `.rodata`, in its segment.
    Rodata,
    /// Before `.got` and `.data`: bindings without a tender fill in the manifest in place.
    Data,
}

/// The Multiboot header, and what it asks of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Multiboot {
    /// There is none.
    None,
    /// At the start of `.text`.
    Text,
    /// In a section of its own, in a flat file: a Multiboot loader takes the file as one piece, so each
    /// byte lies in it at the distance that it has in memory. GNU ld gives a section a place that is
    /// equal to its address modulo its alignment. That is the place wanted if the file begins at the
    /// base, so the text segment needs [`Layout::headers`].
    Flat,
}

/// One row of the table: the features of a target's script.
struct Layout {
    /// Address of the first byte.
    base: u64,
    /// `p_flags` of the text segment. Under hvt a guest cannot read its text.
    text_flags: u32,
    /// Whether read-only data has a segment of its own; else it lies behind the text.
    rodata_segment: bool,
    /// Where the notes lie.
    notes: Notes,
    /// Whether `.interp` follows `.text`, which then starts with what the loader looks for.
    interp_behind_text: bool,
    /// Whether there is a Multiboot header, and where.
    multiboot: Multiboot,
    /// Whether the ELF header and the program headers are at the start of the text segment. For aarch64 that
    /// makes room for the header of the raw form, which replaces them.
    headers: bool,
    /// Whether the segment of thread-local storage has an address even if it is empty.
    places_empty: bool,
    /// Whether Xen's note is kept, with a PT_NOTE of its own.
    xen_note: bool,
    /// Whether there are ABI and OpenBSD notes. The stub has neither, and an empty PT_NOTE would
    /// make readers refuse the file before they see its manifest.
    identified: bool,
}

impl Layout {
    const fn of(arch: Arch, bindings: Bindings) -> Layout {
        let tender = Layout {
            base: Target::Spt.base(arch),
            text_flags: R | X,
            rodata_segment: true,
            notes: Notes::Rodata,
            interp_behind_text: false,
            multiboot: Multiboot::None,
            headers: false,
            places_empty: false,
            xen_note: false,
            identified: true,
        };
        let target = match bindings {
            Bindings::Stub => {
                return Layout { identified: false, ..tender };
            }
            Bindings::Target(target) => target,
        };
        let based = Layout { base: target.base(arch), ..tender };
        match target {
            Target::Hvt => Layout { text_flags: X, ..based },
            // Genode's number is reserved and no bindings exist: nothing is known to differ.
            Target::Spt | Target::Muen | Target::Genode => based,
            Target::Virtio => {
                let virtio = Layout { notes: Notes::Data, headers: true, ..based };
                match arch {
                    Arch::X86_64 => Layout { multiboot: Multiboot::Flat, xen_note: true, ..virtio },
                    // No bindings exist for ppc64le: nothing is known to differ.
                    Arch::Aarch64 | Arch::Ppc64le => Layout { places_empty: true, ..virtio },
                }
            }
            Target::Xen => Layout {
                rodata_segment: false,
                notes: Notes::Data,
                interp_behind_text: true,
                multiboot: Multiboot::Text,
                xen_note: true,
                ..based
            },
        }
    }
}

/// PF_X.
const X: u32 = 1;
/// PF_R.
const R: u32 = 4;

/// The next page of the size that the linker was told, `-z max-page-size`.
const NEXT_PAGE: &str = ". = ALIGN(CONSTANT(MAXPAGESIZE));";

/// Input sections that only some code models and architectures have.
struct Extra {
    got: &'static str,
    rodata: &'static str,
    data: &'static str,
    bss: &'static str,
}

impl Extra {
    const fn of(arch: Arch) -> Extra {
        match arch {
            Arch::X86_64 => Extra {
                got: "",
                rodata: " *(.lrodata .lrodata.*)",
                data: " *(.ldata .ldata.*)",
                bss: " *(.lbss .lbss.*)",
            },
            Arch::Aarch64 => Extra { got: "", rodata: "", data: "", bss: "" },
            Arch::Ppc64le => {
                Extra { got: " *(.toc .toc.* .branch_lt)", rodata: "", data: "", bss: "" }
            }
        }
    }
}

/// The linker script for `bindings` on `arch`, for GNU ld and for lld.
pub fn render(arch: Arch, bindings: Bindings) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_script(&mut out, arch, bindings);
    out
}

fn write_script(out: &mut String, arch: Arch, bindings: Bindings) -> fmt::Result {
    let layout = Layout::of(arch, bindings);
    let extra = Extra::of(arch);
    writeln!(
        out,
        "/* Layout of {} unikernels for {}. Empty program headers are harmless, except\n   \
         PT_NOTE: readers take an empty one for damage. */\n\nENTRY(_start)\n",
        arch.name(),
        bindings.name()
    )?;
    program_headers(out, &layout)?;
    if bindings == Bindings::Target(Target::Virtio) {
        // These bindings read the manifest in the image. Without one the audit says so, in better words
        // than a linker that misses a symbol.
        writeln!(out, "\nPROVIDE({} = 0);", note::SYMBOL_MFT1)?;
    }
    writeln!(out, "\nSECTIONS\n{{")?;
    let headers = if layout.headers { "    . += SIZEOF_HEADERS;\n" } else { "" };
    writeln!(out, "    . = {:#x};\n    _stext = .;\n{headers}", layout.base)?;
    let interp = "    .interp : { KEEP(*(.interp)) } :interp :text\n";
    if !layout.interp_behind_text {
        out.push_str(interp);
    }
    if layout.multiboot == Multiboot::Flat {
        writeln!(out, "    .multiboot : {{ KEEP(*(.multiboot)) }} :text")?;
    }
    let multiboot = match layout.multiboot {
        Multiboot::Text => "KEEP(*(.data.multiboot)) ",
        Multiboot::None | Multiboot::Flat => "",
    };
    writeln!(out, "    .text : {{ {multiboot}*(.text .text.* .gnu.linkonce.t.*) }} :text")?;
    if layout.interp_behind_text {
        out.push_str(interp);
    }
    writeln!(out, "\n    {NEXT_PAGE}\n    _etext = .;\n")?;

    let rodata = if layout.rodata_segment { "rodata" } else { "text" };
    if layout.notes == Notes::Rodata {
        notes(out, &layout, rodata)?;
    }
    read_only_data(out, &extra, rodata)?;
    writeln!(out, "\n    {NEXT_PAGE}\n    _erodata = .;\n")?;

    if layout.notes == Notes::Data {
        notes(out, &layout, "data")?;
    }
    let end_of_data = if layout.headers { "\n    _egot = .;" } else { "" };
    write!(
        out,
        "    /* .data is first: if it is aligned above a page, the segment starts at that alignment. */
    .data : {{ *(.data .data.* .gnu.linkonce.d.*){} }} :data
    .got : {{ *(.got.plt) *(.got .got.*){} }} :data{}

    /* A thread's block repeats .tdata and .tbss at their distance here, so .tdata starts at an
       address that is aligned for both. .tbss takes no addresses. */
    . = ALIGN(MAX(CONSTANT(MAXPAGESIZE), MAX(ALIGNOF(.tdata), ALIGNOF(.tbss))));
    _stdata = .;
    .tdata : {{ *(.tdata .tdata.* .gnu.linkonce.td.*) }} :tdata :tls
    _edata = .;
    .tbss : {{ *(.tbss .tbss.* .gnu.linkonce.tb.*) *(.tcommon) }} :tls

    {NEXT_PAGE}

    .bss : {{ *(.bss .bss.* .gnu.linkonce.b.*) *(COMMON){} }} :bss

    {NEXT_PAGE}
    _ebss = .;
    _end = .;

    /DISCARD/ : {{ *(.note .note.*) }}
}}

/* Numbers, not addresses. _ltdata includes the padding between .tdata and .tbss. */
_ltdata = SIZEOF(.tdata) == 0 ? 0 : SIZEOF(.tbss) == 0 ? SIZEOF(.tdata) : ADDR(.tbss) - ADDR(.tdata);
_ltbss = SIZEOF(.tbss);
_stls_align = MAX(1, MAX(ALIGNOF(.tdata), ALIGNOF(.tbss)));
",
        extra.data, extra.got, end_of_data, extra.bss
    )?;
    if layout.headers {
        let loader = match layout.multiboot {
            Multiboot::Flat => "a Multiboot loader",
            Multiboot::None | Multiboot::Text => "a loader of the raw form",
        };
        writeln!(
            out,
            "\n/* What {loader} reads ends here; behind it the file may end too. */\n\
             _eload = SIZEOF(.tdata) == 0 ? _egot : _edata;"
        )?;
    }
    Ok(())
}

fn program_headers(out: &mut String, layout: &Layout) -> fmt::Result {
    writeln!(out, "PHDRS\n{{\n    interp PT_INTERP;")?;
    let headers = if layout.headers { "FILEHDR PHDRS " } else { "" };
    writeln!(out, "    text PT_LOAD {headers}FLAGS({});", layout.text_flags)?;
    if layout.rodata_segment {
        writeln!(out, "    rodata PT_LOAD FLAGS({R});")?;
    }
    // Without FLAGS the segment gets the rights that its sections ask for. So the audit finds code
    // among the data, which otherwise would silently lose a right.
    writeln!(out, "    data PT_LOAD;")?;
    // QEMU's loader for Arm counts a segment without content too, and that would be at address 0.
    let at = if layout.places_empty { " AT(_stdata)" } else { "" };
    writeln!(out, "    tdata PT_LOAD{at} FLAGS({R});")?;
    writeln!(out, "    tls PT_TLS FLAGS({R});")?;
    writeln!(out, "    bss PT_LOAD;")?;
    if layout.identified {
        // The kernel of OpenBSD before 6.7 looks only at the first PT_NOTE.
        writeln!(out, "    note_not_openbsd PT_NOTE FLAGS({R});")?;
    }
    if layout.xen_note {
        writeln!(out, "    note_xen PT_NOTE FLAGS({R});")?;
    }
    if layout.identified {
        writeln!(out, "    note_abi PT_NOTE FLAGS({R});")?;
    }
    writeln!(out, "    note_manifest PT_NOTE FLAGS({R});\n}}")
}

/// The manifest comes first, at the start of a page, because its structure must be aligned to 8.
/// What follows it in the same PT_NOTE is for readers that walk every note.
fn notes(out: &mut String, layout: &Layout, segment: &str) -> fmt::Result {
    let mut place = |output: &str, input: &str, header: &str| {
        writeln!(out, "    {output} : {{ KEEP(*({input})) }} :{segment} :{header}")
    };
    place(note::SECTION_MFT1, note::SECTION_MFT1, "note_manifest")?;
    place(
        note::SECTION_MFT2,
        &format!("{} {}", note::SECTION_MFT2_INPUT, note::SECTION_MFT2),
        "note_manifest",
    )?;
    place(note::SECTION_PACKAGE, note::SECTION_PACKAGE, "note_manifest")?;
    place(BUILD_ID, BUILD_ID, "note_manifest")?;
    if layout.identified {
        place(note::SECTION_ABI1, &format!("{}*", note::SECTION_ABI1), "note_abi")?;
        place(
            note::SECTION_NOT_OPENBSD,
            &format!("{}*", note::SECTION_NOT_OPENBSD),
            "note_not_openbsd",
        )?;
    }
    if layout.xen_note {
        place(SECTION_XEN, &format!("{SECTION_XEN}*"), "note_xen")?;
    }
    writeln!(out)
}

/// The note that `--build-id` asks for.
const BUILD_ID: &str = ".note.gnu.build-id";
/// Xen's entry point note.
const SECTION_XEN: &str = ".note.solo5.xen";

/// `.data.rel.ro` and the arrays are usually writable, for relocation at start-up. Here the linker
/// relocates everything, so they are as constant as the rest.
fn read_only_data(out: &mut String, extra: &Extra, segment: &str) -> fmt::Result {
    write!(
        out,
        "    .rodata : {{ *(.rodata .rodata.* .gnu.linkonce.r.*){} }} :{segment}
    .data.rel.ro : {{ *(.data.rel.ro.local .data.rel.ro.local.* .data.rel.ro .data.rel.ro.*) }} :{segment}
    .preinit_array : {{
        PROVIDE_HIDDEN(__preinit_array_start = .);
        KEEP(*(.preinit_array))
        PROVIDE_HIDDEN(__preinit_array_end = .);
    }} :{segment}
    .init_array : {{
        PROVIDE_HIDDEN(__init_array_start = .);
        KEEP(*(SORT_BY_INIT_PRIORITY(.init_array.*) SORT_BY_INIT_PRIORITY(.ctors.*)))
        KEEP(*(.init_array .ctors))
        PROVIDE_HIDDEN(__init_array_end = .);
    }} :{segment}
    .fini_array : {{
        PROVIDE_HIDDEN(__fini_array_start = .);
        KEEP(*(SORT_BY_INIT_PRIORITY(.fini_array.*) SORT_BY_INIT_PRIORITY(.dtors.*)))
        KEEP(*(.fini_array .dtors))
        PROVIDE_HIDDEN(__fini_array_end = .);
    }} :{segment}
    .eh_frame_hdr : {{
        PROVIDE_HIDDEN(__eh_frame_hdr_start = .);
        *(.eh_frame_hdr)
        PROVIDE_HIDDEN(__eh_frame_hdr_end = .);
    }} :{segment}
    .eh_frame : {{ KEEP(*(.eh_frame .eh_frame.*)) }} :{segment}
    .gcc_except_table : {{ *(.gcc_except_table .gcc_except_table.*) }} :{segment}
",
        extra.rodata
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every script as it is installed; `INSTA_UPDATE=always` writes them anew.
    #[test]
    fn scripts_are_the_snapshots() {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../tests/scripts");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let _bound = settings.bind_to_scope();
        for arch in Arch::ALL {
            for bindings in Bindings::of(arch) {
                let name = format!("{}-{}", arch.name(), bindings.script_file());
                insta::assert_snapshot!(name, render(arch, *bindings));
            }
        }
    }

    #[test]
    fn names_round_trip() {
        for bindings in Bindings::of(Arch::X86_64) {
            assert_eq!(Bindings::from_name(bindings.name()), Some(*bindings));
        }
        assert_eq!(Bindings::from_name("../spt"), None);
    }
}
