//! Reads the content of sections in windows, for rules that search it. One pass reads at most
//! [`CONTENT_MAX`] bytes of an image, so a huge file does not take longer.

use solo5_image::ReadAt;
use solo5_image::elf::{SHT_NOBITS, SectionHeader};

/// Most bytes read of one image by one pass.
pub(crate) const CONTENT_MAX: u64 = 64 << 20;
/// Bytes in a window, without what it shares with the next.
const WINDOW: usize = 64 << 10;
/// Bytes that a window shares with the next, so that nothing shorter is cut in two.
pub(crate) const SHARED: usize = 256;

/// One part of a section.
pub(crate) struct Window<'a> {
    /// Offset of its first byte in the section.
    pub(crate) at: u64,
    /// Its bytes: up to [`SHARED`] of them are in the next window too.
    pub(crate) bytes: &'a [u8],
    /// Matches that start below this index belong to this window, others to the next.
    pub(crate) own: usize,
}

/// How much may still be read.
pub(crate) struct Allowance(u64);

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance(CONTENT_MAX)
    }
}

impl Allowance {
    /// Visits the content of a section, as far as the file holds it and the allowance lasts.
    pub(crate) fn visit(
        &mut self,
        reader: &dyn ReadAt,
        header: &SectionHeader,
        mut visit: impl FnMut(&Window<'_>),
    ) {
        if header.sh_type == SHT_NOBITS {
            return;
        }
        let mut buffer = vec![0; WINDOW + SHARED];
        let mut at = 0;
        while at < header.sh_size && self.0 > 0 {
            let left = usize::try_from(header.sh_size - at).unwrap_or(usize::MAX);
            let want = left.min(buffer.len());
            let reaches_end = want == left;
            let place = header.sh_offset.checked_add(at);
            let Some((offset, window)) = place.zip(buffer.get_mut(..want)) else {
                return;
            };
            let Ok(got) = reader.read_at(offset, window) else {
                return;
            };
            self.0 = self.0.saturating_sub(got as u64);
            let bytes = window.get(..got).unwrap_or_default();
            let last = got < want || reaches_end;
            let own = if last { got } else { WINDOW };
            visit(&Window { at, bytes, own });
            if last {
                return;
            }
            at += WINDOW as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_in_one_window_and_the_allowance_ends() {
        for size in [0, 1, WINDOW, WINDOW + 1, WINDOW + SHARED, 3 * WINDOW + 7] {
            let file: Vec<u8> = (0..size + 10).map(|at| at as u8).collect();
            let header = SectionHeader {
                sh_type: 1,
                sh_offset: 10,
                sh_size: size as u64,
                ..SectionHeader::default()
            };
            let mut seen = Vec::new();
            Allowance::default().visit(&file, &header, |window| {
                assert_eq!(window.at, seen.len() as u64);
                seen.extend_from_slice(&window.bytes[..window.own]);
            });
            assert_eq!(seen, &file[10..], "{size}");
        }
        struct Endless;
        impl ReadAt for Endless {
            fn read_at(&self, _: u64, out: &mut [u8]) -> Result<usize, solo5_image::ReadError> {
                Ok(out.len())
            }
        }
        let header = SectionHeader { sh_size: u64::MAX, ..SectionHeader::default() };
        let (mut allowance, mut total) = (Allowance::default(), 0);
        for _ in 0..3 {
            allowance.visit(&Endless, &header, |window| total += window.own as u64);
        }
        assert!(total <= CONTENT_MAX, "{total}");
    }
}
