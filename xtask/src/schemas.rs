//! `schemas`: writes the JSON Schemas under `schemas/`. The crates that read the formats generate them,
//! and each crate's own tests fail when its file is stale.
//!
//! The program that writes them is an example of `solo5-elftool`, which depends on all those crates.
//! xtask depends on none of them, so that it compiles fast.

use std::process::ExitCode;

use crate::run::{cargo, run};
use crate::{Arguments, Result};

pub(crate) const HELP: &str = "Write the JSON Schemas under schemas/.";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("unknown argument '{unknown}'").into());
    }
    let mut writer = cargo();
    writer.current_dir(crate::root()).args(["run", "--quiet", "--package", "solo5-elftool"]);
    run(writer.args(["--example", "write-schemas", "--", "schemas"]))?;
    Ok(ExitCode::SUCCESS)
}
