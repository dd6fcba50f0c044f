//! Policies in files, and the day that their waivers are compared with.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use solo5_launch::FileOrFd;
use solo5_policy::date::Date;
use solo5_policy::{Policy, front, sources};
use solo5_report::Diagnostic;

use crate::console::{Console, Exit};
use crate::files::{name, read};

/// Policies as options name them.
pub(crate) fn given(paths: &[PathBuf]) -> Vec<FileOrFd> {
    paths.iter().map(|path| FileOrFd::Path(path.into())).collect()
}

/// Reads a policy and prints its diagnostics. The error is the exit status they call for.
pub(crate) fn read_policy(console: &Console, path: &Path) -> Result<(Policy, Vec<u8>), Exit> {
    let bytes = read(path).map_err(|why| {
        console.say_of(path, why);
        Exit::Incomplete
    })?;
    match front::read(&name(path), &bytes) {
        Ok(policy) => Ok((policy, bytes)),
        Err(found) => {
            console.show(&found);
            Err(Exit::Objection)
        }
    }
}

/// Which host's policies apply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// This host's.
    This,
    /// Another host's, in a folder.
    Model(PathBuf),
    /// None.
    None,
}

impl Host {
    /// The host that `--host-policies` names; without it this host, unless policies are named.
    pub(crate) fn asked(model: Option<&Path>, any_named: bool) -> Host {
        match model {
            Some(folder) => Host::Model(folder.to_owned()),
            None if any_named => Host::None,
            None => Host::This,
        }
    }
}

/// The host's policies, then the `given` ones.
pub(crate) fn load(given: &[FileOrFd], host: &Host) -> Result<Vec<Policy>, Vec<Diagnostic>> {
    let folder = sources::folder();
    let host = match host {
        Host::This => sources::Host::Folder(&folder),
        Host::Model(folder) => sources::Host::Model(folder),
        Host::None => sources::Host::None,
    };
    // Opened again, because several lists may name one descriptor.
    let inherited = |fd: i32| File::open(format!("/proc/self/fd/{fd}"));
    sources::load(host, given, inherited)
}

/// Policies that are used together; `None` if one of them cannot be used.
type List = Option<Rc<[Policy]>>;

/// Lists of policies by the options that name them; each list is loaded once.
pub(crate) struct Lists<'c> {
    console: &'c Console,
    known: HashMap<(Vec<FileOrFd>, Host), List>,
}

impl<'c> Lists<'c> {
    pub(crate) fn new(console: &'c Console) -> Lists<'c> {
        Lists { console, known: HashMap::new() }
    }

    /// As [`load`]. Diagnostics are printed the first time only.
    pub(crate) fn get(&mut self, given: Vec<FileOrFd>, host: &Host) -> List {
        let console = self.console;
        let list = self.known.entry((given, host.clone()));
        let list = list.or_insert_with_key(|(given, host)| match load(given, host) {
            Ok(policies) => Some(policies.into()),
            Err(found) => {
                console.show(&found);
                None
            }
        });
        list.clone()
    }
}

/// The day by this machine's clock, in UTC.
pub(crate) fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Date::from_days(since.map_or(0, |since| since.as_secs() / 86_400))
}
