//! `.gnu_debuglink`: where the debugging information of a stripped image is kept.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use solo5_abi::Arch;
use solo5_image::sections::Sections;
use solo5_image::{Image, ReadAt};

/// Name of the section.
const SECTION: &str = ".gnu_debuglink";
/// Most bytes of it: a name, up to 3 bytes of padding, and a checksum.
const SIZE_MAX: u64 = 4096;
/// The folder below which systems keep such files. The path below it repeats the program's folder.
const SYSTEM: &str = "/usr/lib/debug";

/// The reference of an image to the file with its debugging information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugLink {
    name: String,
    sum: u32,
}

impl DebugLink {
    /// Reads it; `None` if the image has none, or has debugging information itself.
    pub fn read(reader: &dyn ReadAt) -> Option<DebugLink> {
        let image = Image::read(reader, &Arch::ALL).ok()?;
        let sections = Sections::read(reader, image.header()).ok()?;
        if sections.find(".debug_info").is_some() {
            return None;
        }
        let content = sections.content(reader, sections.find(SECTION)?, SIZE_MAX);
        let end = content.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(content.get(..end)?).ok()?;
        let sum = content.get(end.checked_add(1)?.next_multiple_of(4)..)?.first_chunk()?;
        // No tool writes a name with a folder in it.
        let plain = !name.is_empty() && name != ".." && !name.contains('/');
        plain.then(|| DebugLink { name: name.to_owned(), sum: u32::from_le_bytes(*sum) })
    }

    /// The name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Paths to try for an image at `path`, in order: beside it, in `.debug` there, and below the
    /// system's folder.
    pub fn places(&self, path: &Path) -> Vec<PathBuf> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut places = vec![folder.join(&self.name), folder.join(".debug").join(&self.name)];
        let whole = std::path::absolute(folder).ok();
        let below = whole.as_deref().and_then(|whole| whole.strip_prefix("/").ok());
        places.extend(below.map(|below| Path::new(SYSTEM).join(below).join(&self.name)));
        places
    }

    /// Whether `file` has the checksum that the image names.
    ///
    /// # Errors
    ///
    /// The host's, if it cannot be read.
    pub fn fits(&self, mut file: impl Read) -> io::Result<bool> {
        let mut sum = crc32fast::Hasher::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(sum.finalize() == self.sum),
                length => sum.update(buffer.get(..length).unwrap_or_default()),
            }
        }
    }
}
