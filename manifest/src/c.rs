//! Phase 7: notes → C source, for build systems that compile the manifest themselves.
//!
//! MFT1 uses the macros of the installed `mft_abi.h` (`docs/reference/manifest.md#c`). MFT2 defines its
//! own structure, so that a header that knows only MFT1 also works. The text depends only on the
//! notes. From the manifest's source it takes over only device names, which were checked.

use std::fmt::Write;

use solo5_abi::note;
use solo5_report::Diagnostic;

use crate::encode::Notes;

/// Compiles `source`, YAML or JSON, to C. `name` is the file's name in diagnostics.
///
/// # Errors
///
/// Everything wrong with the source.
pub fn compile(name: &str, source: &[u8]) -> Result<String, Vec<Diagnostic>> {
    Ok(write(&crate::parse(name, source)?.manifest.notes()))
}

/// The C source of `notes`.
pub fn write(notes: &Notes) -> String {
    let mut out = String::from(
        "/* Application manifest of a Solo5 unikernel. Generated from its source; do not edit. */\n\n",
    );
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "#define MFT_ENTRIES {}\n\
         #include \"mft_abi.h\"\n\n\
         MFT1_NOTE_DECLARE_BEGIN\n\
         {{\n  .version = MFT_VERSION,\n  .entries = MFT_ENTRIES,\n  .e = {{\n    \
         {{ .name = \"\", .type = MFT_RESERVED_FIRST }},\n",
        notes.devices().len() + 1,
    );
    for (name, kind) in notes.devices() {
        let kind = kind.name();
        let _ = writeln!(out, "    {{ .name = \"{name}\", .type = MFT_DEV_{kind} }},");
    }
    out.push_str("  }\n}\nMFT1_NOTE_DECLARE_END\n");
    if let Some(mft2) = notes.mft2() {
        let _ = write!(out, "\n{}", properties(mft2));
    }
    out
}

/// The whole MFT2 note as bytes, because upstream's `mft_abi.h` has no macros for it.
fn properties(mft2: &[u8]) -> String {
    let (symbol, section, align) = (note::SYMBOL_MFT2, note::SECTION_MFT2_INPUT, note::ALIGN);
    let mut out = format!(
        "struct solo5_mft2_note {{\n  unsigned char bytes[{}];\n}};\n\
         extern const struct solo5_mft2_note {symbol};\n\
         const struct solo5_mft2_note {symbol}\n\
         __attribute__((used, section(\"{section}\"), aligned({align}))) = {{\n  {{\n",
        mft2.len(),
    );
    for row in mft2.chunks(16) {
        out.push_str("   ");
        for byte in row {
            let _ = write!(out, " 0x{byte:02x},");
        }
        out.push('\n');
    }
    out.push_str("  }\n};\n");
    out
}
