//! `schemas`: the JSON Schemas under `schemas/`, written by the crates that read the formats. Each
//! crate's own tests fail when its file is stale.

use std::fs;
use std::process::ExitCode;

use solo5_audit::schema as audit;
use solo5_manifest::model::Version;
use solo5_manifest::schema as manifest;
use solo5_policies::schema as policy;

use crate::{Arguments, Result};

pub(crate) const HELP: &str = "Write the JSON Schemas under schemas/.";

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("unknown argument '{unknown}'").into());
    }
    let manifests = [Version::V1, Version::V2];
    let manifests =
        manifests.map(|version| (manifest::file_name(version), manifest::text(version)));
    let written = policy::File::ALL.map(|file| (file.name(), file.text()));
    let printed =
        [(audit::REPORT_FILE, audit::report_text()), (audit::LOCK_FILE, audit::lock_text())];
    for (name, text) in manifests.into_iter().chain(written).chain(printed) {
        fs::write(crate::root().join("schemas").join(name), text)?;
        println!("schemas/{name}");
    }
    Ok(ExitCode::SUCCESS)
}
