//! Names in a container image: of the image in its layout, and of the framework
//! (`docs/reference/disk-image.md#oci`).

/// What may stand between two runs of letters and digits.
const SEPARATORS: [&str; 7] = ["--", "-", ".", "_", ":", "@", "+"];

/// Checks the name of an image, by the grammar of `org.opencontainers.image.ref.name` in OCI's Image
/// Format Specification.
///
/// # Errors
///
/// The grammar, in words.
pub fn reference(text: &str) -> Result<String, String> {
    if text.split('/').all(is_component) {
        return Ok(text.to_owned());
    }
    Err("a name consists of letters and digits from ASCII; between two of them there may be one of \
         '-', '.', '_', ':', '@', '+', '/', or '--', as in 'team/http:v1.2'"
        .to_owned())
}

/// Checks the name of a framework: one part of such a name.
///
/// # Errors
///
/// The grammar, in words.
pub fn framework(text: &str) -> Result<String, String> {
    if is_component(text) {
        return Ok(text.to_owned());
    }
    Err("a framework's name consists of letters and digits from ASCII; between two of them there may \
         be one of '-', '.', '_', ':', '@', '+', or '--', as in 'mirage'"
        .to_owned())
}

/// `alphanum (separator alphanum)*`.
fn is_component(text: &str) -> bool {
    let mut rest = text;
    loop {
        let Some(after) = behind_letters(rest) else {
            return false;
        };
        if after.is_empty() {
            return true;
        }
        match SEPARATORS.iter().find_map(|separator| after.strip_prefix(separator)) {
            Some(next) => rest = next,
            None => return false,
        }
    }
}

/// What follows the letters and digits at the start. `None` if there are none.
fn behind_letters(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric());
    (rest.len() < text.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_specification_accepts() {
        for name in ["latest", "v1", "1", "a/b:1.2_x", "A--b", "a@b", "a+b", "x/y/z"] {
            assert_eq!(reference(name).as_deref(), Ok(name));
        }
        let refused = [
            "", "a b", "-a", "a-", "a---b", "a..b", "a//b", "/a", "a/", "a\n", "\u{e4}", "a,b",
            "a_-b",
        ];
        for name in refused {
            assert!(reference(name).is_err(), "{name:?}");
            assert!(framework(name).is_err(), "{name:?}");
        }
        assert!(framework("a/b").is_err() && framework("rumprun").is_ok());
    }
}
