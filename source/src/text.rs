//! Phase 1: bytes → text of bounded size, without characters that an editor does not show.

use std::sync::Arc;

use solo5_report::{Diagnostic, SourceText};

use crate::{SIZE_MAX, codes};

/// Checks `bytes` and converts them to text.
pub(crate) fn check(name: &str, bytes: &[u8]) -> Result<Arc<SourceText>, Vec<Diagnostic>> {
    if bytes.len() > SIZE_MAX {
        let message = format!("{name} is longer than {SIZE_MAX} bytes");
        let diagnostic = Diagnostic::error(codes::TOO_LONG, message)
            .with_help("a manifest or policy is a few kilobytes; is this the right file?");
        return Err(vec![diagnostic]);
    }
    let valid = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            // The snippet shows the valid text before the error.
            let text = String::from_utf8_lossy(bytes).into_owned();
            let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
            let source = source(name, text);
            let diagnostic = Diagnostic::error(codes::NOT_UTF8, "the file is not UTF-8")
                .label(&source, at..end, "this byte is not valid UTF-8")
                .with_help("save the file in the encoding UTF-8");
            return Err(vec![diagnostic]);
        }
    };
    let source = source(name, valid.to_owned());
    if let Some(rest) = valid.strip_prefix('\u{feff}') {
        let message = "the file starts with a byte order mark";
        let diagnostic = Diagnostic::error(codes::BYTE_ORDER_MARK, message)
            .label(&source, 0..valid.len() - rest.len(), "")
            .with_help("save the file as UTF-8 without a byte order mark");
        return Err(vec![diagnostic]);
    }
    if let Some((at, c)) = valid.char_indices().find(|(_, c)| !is_text(*c)) {
        let message = format!("the file contains the character U+{:04X}", u32::from(c));
        let diagnostic = Diagnostic::error(codes::CHARACTER, message)
            .label(&source, at..at + c.len_utf8(), "cannot be part of a text file")
            .with_help("remove it; in a quoted string it can be written as an escape");
        return Err(vec![diagnostic]);
    }
    Ok(source)
}

fn source(name: &str, text: String) -> Arc<SourceText> {
    Arc::new(SourceText { name: name.to_owned(), text })
}

/// Whether `c` is one of YAML's printable characters or line ends. The byte order mark is refused
/// because it is invisible, and U+2028 and U+2029 because only YAML 1.1 ends a line with them.
fn is_text(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}' => false,
        c => !c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(bytes: &[u8]) -> Option<(&'static str, usize)> {
        let diagnostics = check("x", bytes).err()?;
        let label = diagnostics[0].labels.first();
        Some((diagnostics[0].code, label.map_or(0, |label| label.span.start)))
    }

    #[test]
    fn faults_are_found_with_their_place() {
        assert_eq!(code(b"a: b\n"), None);
        assert_eq!(code("a: \u{e9}\t\r\n".as_bytes()), None);
        assert_eq!(code(b"ab\xff"), Some((codes::NOT_UTF8, 2)));
        assert_eq!(code(b"ab\0"), Some((codes::CHARACTER, 2)));
        assert_eq!(code(b"\x1b[31m"), Some((codes::CHARACTER, 0)));
        assert_eq!(code(b"\xef\xbb\xbfa"), Some((codes::BYTE_ORDER_MARK, 0)));
        assert_eq!(code(&vec![b' '; SIZE_MAX + 1]), Some((codes::TOO_LONG, 0)));
        assert_eq!(code(&vec![b' '; SIZE_MAX]), None);
    }
}
