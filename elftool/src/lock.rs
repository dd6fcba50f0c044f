//! `lock`: writes down what images are, for `diff` to compare with later.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use solo5_manifest::output;

use crate::audit::{is_elf, readable};
use crate::cli::FAILED;
use crate::facts::{Facts, Lock};
use crate::files::{complain, reason};
use crate::inputs::{Input, Trouble, inputs};
use crate::parallel::in_order;

/// Writes the facts about `images` to `out`; nothing if one of them cannot be read.
pub(crate) fn run(program: &str, images: Vec<PathBuf>, out: &Path) -> u8 {
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    let (mut facts, mut status) = (Vec::new(), 0);
    in_order(
        threads,
        inputs(images, Vec::new()),
        |input| {
            let input = input?;
            look(&input).map_err(|why| {
                let name = input.path.to_string_lossy().into_owned();
                Trouble { name, why }
            })
        },
        |found| match found {
            Ok(found) => facts.extend(found),
            Err(Trouble { name, why }) => {
                complain(program, format_args!("{name}: {why}"));
                status = FAILED;
            }
        },
    );
    if status != 0 {
        return status;
    }
    let written = serde_json::to_string_pretty(&Lock::new(facts))
        .map_err(|error| error.to_string())
        .and_then(|text| {
            let text = format!("{text}\n");
            output::write(out, text.as_bytes()).map(drop).map_err(|error| reason(&error))
        });
    match written {
        Ok(()) => 0,
        Err(why) => {
            let name = out.to_string_lossy();
            complain(program, format_args!("{name}: {why}"));
            FAILED
        }
    }
}

/// The facts about an image; `None` of what a folder holds beside images.
fn look(input: &Input) -> Result<Option<Facts>, String> {
    if !input.named && is_elf(&readable(&input.path)?.0) == Ok(false) {
        return Ok(None);
    }
    Facts::of(&input.path).map(Some)
}
