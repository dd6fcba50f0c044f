//! Writes the JSON Schemas of every file format into the folder that is its argument. `cargo xtask
//! schemas` runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use solo5_audit::schema as audit;
use solo5_manifest::model::Version;
use solo5_manifest::schema as manifest;
use solo5_policies::schema as policy;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: write-schemas FOLDER");
        return ExitCode::from(2);
    };
    let manifests = [Version::V1, Version::V2];
    let manifests =
        manifests.map(|version| (manifest::file_name(version), manifest::text(version)));
    let written = policy::File::ALL.map(|file| (file.name(), file.text()));
    let printed =
        [(audit::REPORT_FILE, audit::report_text()), (audit::LOCK_FILE, audit::lock_text())];
    for (name, text) in manifests.into_iter().chain(written).chain(printed) {
        let file = folder.join(name);
        if let Err(error) = std::fs::write(&file, text) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
        println!("{}", file.display());
    }
    ExitCode::SUCCESS
}
