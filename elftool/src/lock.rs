//! `lock`: records facts about images, for a later `diff`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use solo5_report::json::pretty;

use crate::console::{Console, Exit, Failure};
use crate::facts::{Facts, LOCK_MAX, Lock, TYPE};
use crate::files::{not_elf, readable};
use crate::inputs::{Input, InputError, inputs};
use crate::parallel::in_order;
use crate::replace;

#[derive(Debug, clap::Args)]
pub(crate) struct LockOptions {
    /// Images, folders and patterns, as for `audit`
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Where to write it; `-` is standard output
    #[arg(short, long, default_value = "-")]
    output: PathBuf,
}

impl LockOptions {
    /// Writes the facts about the images; nothing if one of them cannot be read.
    pub(crate) fn run(self, console: &Console) -> Result<Exit, Failure> {
        let threads = available_parallelism().map_or(1, NonZeroUsize::get);
        let (mut facts, mut exit) = (Vec::new(), Exit::Clean);
        let mut length = 0_u64;
        in_order(
            threads,
            inputs(self.images, Vec::new()),
            |input| {
                let input = input?;
                look(&input).map_err(|why| InputError::new(&input.path, why))
            },
            |found| match found {
                Ok(None) => {}
                // The lock would exceed the limit, so nothing more is kept.
                Ok(Some(_)) if length > LOCK_MAX => {}
                Ok(Some(found)) => {
                    length = length.saturating_add(pretty(&found).len() as u64);
                    facts.push(found);
                }
                Err(unusable) => {
                    console.say(unusable);
                    exit = Exit::Incomplete;
                }
            },
        );
        if exit == Exit::Clean && facts.is_empty() {
            console.say("no image was found, so nothing is written");
            exit = Exit::Incomplete;
        }
        if exit == Exit::Clean {
            write(&Lock::new(facts), &self.output)?;
        }
        Ok(exit)
    }
}

fn write(lock: &Lock, path: &Path) -> Result<(), Failure> {
    let text = pretty(lock);
    if text.len() as u64 > LOCK_MAX {
        let most = LOCK_MAX >> 20;
        let why = format!("not written: a lock of so many images is longer than {most} MiB");
        return Err(Failure::of(path, why));
    }
    replace::write(path, TYPE, text.as_bytes())
}

/// The facts about an image; `None` for a file in a folder that is not ELF. A named file that is not ELF is an
/// error: most likely another one was meant.
fn look(input: &Input) -> Result<Option<Facts>, String> {
    match not_elf(&readable(&input.path)?.0)? {
        None => Facts::of(&input.path).map(Some),
        Some(_) if !input.named => Ok(None),
        Some(what) => Err(format!("is {what}")),
    }
}
