//! Reports as one HTML file each, for browsers and for reading without scripts.
//!
//! | file | content |
//! |---|---|
//! | [`page`] | the frame of a page: its policy on content, styles, script, and parts that pages share |
//! | [`map`] | segments in memory, drawn to scale |
//! | [`findings`] | findings with their places and what to do |
//!
//! Only this module and files that draw a report with it use `maud`, which escapes what a template is given.
//! A text from outside goes into a template through [`text`]. So it becomes no markup, and none of its
//! characters controls or reorders what is shown. A page loads nothing, and a browser runs
//! only the script whose digest the page states.

mod findings;
mod map;
mod page;

pub(crate) use findings::{finding, waived};
pub(crate) use map::{bar, budget_row, segments};
pub(crate) use page::{Pieces, controls, left_out, number, page, text, tiles};
