//! Addresses → symbols, for images without debugging information.

use std::ops::ControlFlow;

use solo5_image::ReadAt;
use solo5_image::elf::{self, Symbol};
use solo5_image::sections::Sections;

use crate::meter::Meter;
use crate::names::demangled;

/// The symbols that may name code, by address.
#[derive(Debug, Default)]
pub struct Symbols(Vec<Symbol>);

/// A symbol, and the distance of an address from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name, demangled.
    pub name: String,
    /// Bytes from its start.
    pub offset: u64,
}

impl Symbols {
    /// Reads them.
    pub fn read(reader: &dyn ReadAt, sections: &Sections) -> Symbols {
        let mut list = Vec::new();
        // On an error, the symbols read so far are used.
        let _ = sections.visit_symbols(reader, |symbol| {
            let code = matches!(symbol.kind(), elf::STT_NOTYPE | elf::STT_FUNC);
            let placed = !matches!(symbol.st_shndx, elf::SHN_UNDEF | elf::SHN_ABS);
            if code && placed && symbol.st_value != 0 && symbol.st_name != 0 {
                list.push(*symbol);
            }
            ControlFlow::Continue(())
        });
        // If several have one address, `at` takes the last, so functions with a size sort last.
        list.sort_by_key(|symbol: &Symbol| {
            let function = symbol.kind() == elf::STT_FUNC;
            (symbol.st_value, function, symbol.st_size)
        });
        Symbols(list)
    }

    /// The last symbol at or before `address`; `None` if its size ends before `address`.
    pub(crate) fn at(
        &self,
        reader: &dyn ReadAt,
        sections: &Sections,
        meter: &Meter,
        address: u64,
    ) -> Option<Named> {
        let after = self.0.partition_point(|symbol| symbol.st_value <= address);
        let symbol = self.0.get(after.checked_sub(1)?)?;
        let offset = address.checked_sub(symbol.st_value)?;
        if symbol.st_size != 0 && offset >= symbol.st_size {
            return None;
        }
        let name = sections.symbol_name(reader, symbol)?;
        Some(Named { name: demangled(&name, meter)?, offset })
    }
}
