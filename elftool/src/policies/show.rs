//! `policy show`: policies as a tender understands them, with what their silence denies.

mod human;
mod json;

use std::path::PathBuf;

use crate::console::{Console, Exit, Failure};
use crate::options::Format;
use crate::policy_files::{Host, given, load};

#[derive(Debug, clap::Args)]
pub(crate) struct ShowOptions {
    /// Policies that are used together; those of this host if none is given
    files: Vec<PathBuf>,
    /// Folder with the policies of another host
    #[arg(long, value_name = "DIR")]
    host_policies: Option<PathBuf>,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl ShowOptions {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let host = Host::asked(self.host_policies.as_deref(), !self.files.is_empty());
        let policies = load(&given(&self.files), &host).map_err(Failure::Wrong)?;
        match self.format {
            Format::Human => {
                let shown: String = policies.iter().map(human::human).collect();
                console.print(&(shown + &human::closing(&policies)))?;
            }
            Format::Json => console.print_json(&json::Shown::of(&policies))?,
        }
        Ok(Exit::Clean)
    }
}
