//! `docs/reference/manifest.md` shows a manifest byte by byte, computed by hand. The encoder must write
//! these bytes.

/// The bytes in the page's `text` blocks, in the form `OFFSET: HEX HEX …   comment`. `00 x68` means 68
/// zeros.
fn shown(page: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in page.lines() {
        let Some((offset, rest)) = line.split_once(": ") else {
            continue;
        };
        let Ok(offset) = usize::from_str_radix(offset, 16) else {
            continue;
        };
        assert_eq!(offset, bytes.len(), "{line}");
        let hex = rest.split("   ").next().unwrap_or_default();
        for word in hex.split_whitespace() {
            match word.strip_prefix('x') {
                Some(count) => {
                    let last = bytes.pop().expect("something to repeat");
                    let count: usize = count.parse().expect("a count");
                    bytes.resize(bytes.len() + count, last);
                }
                None => {
                    bytes.extend((0..word.len()).step_by(2).map(|at| {
                        u8::from_str_radix(&word[at..at + 2], 16).expect("two hex digits")
                    }))
                }
            }
        }
    }
    bytes
}

#[test]
fn the_page_shows_the_encoded_bytes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/manifest.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let (_, source) = page.split_once("```yaml\n").expect("a manifest on the page");
    let (source, _) = source.split_once("```").expect("its end");
    let checked = solo5_manifest::parse("page.yaml", source.as_bytes()).expect("it is valid");
    let shown = shown(&page);
    assert_eq!(shown.len(), 344 + 100);
    assert_eq!(checked.manifest.notes().bytes(), shown);
}
