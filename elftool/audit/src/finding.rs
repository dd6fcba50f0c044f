//! What a rule finds.

use solo5_report::Place;

/// Most findings of one rule in one image.
pub const FINDINGS_MAX: usize = 16;

/// Something a rule found.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) message: String,
    pub(crate) place: Place,
    pub(crate) notes: Vec<String>,
    /// Whether it is a note whatever the rule's severity, because it says what was not examined.
    pub(crate) is_note: bool,
}

impl Finding {
    pub(crate) fn new(message: impl Into<String>, place: Place) -> Finding {
        Finding { message: message.into(), place, notes: Vec::new(), is_note: false }
    }

    /// A note about what the rule could not examine.
    #[cfg(feature = "dwarf")]
    pub(crate) fn note(message: impl Into<String>, place: Place) -> Finding {
        Finding { is_note: true, ..Finding::new(message, place) }
    }
}
