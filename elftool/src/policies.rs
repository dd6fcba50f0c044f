//! `policy`: policies themselves, without an image. [`show`] and [`test`] have verbs of their own.

mod show;
mod test;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use solo5_audit::RULES;
use solo5_launch::FileOrFd;
use solo5_manifest::output;
use solo5_policies::lint;
use solo5_policy::date::Date;
use solo5_policy::{Policy, front, sources};
use solo5_report::{Colour, Diagnostic, human};

use crate::cli::FAILED;
use crate::files::{complain, read, reason};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum PolicyVerb {
    /// Read policies and say what is wrong with them
    ///
    /// Exits 0 if nothing is, also where there is a warning, 1 on errors, 2 if a file cannot be
    /// read.
    Check {
        /// Policies; those of one host belong together
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write policies in the one layout
    Fmt {
        /// Change nothing; exit 1 if a file would change
        #[arg(long)]
        check: bool,
        /// Policies
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show policies as a tender understands them, and what their silence denies
    Show(show::ShowOptions),
    /// Run the tests beside policies
    ///
    /// Exits 0 if all pass, 1 if one fails or --coverage is not reached, 2 if a file cannot be used.
    Test(test::TestOptions),
}

pub(crate) fn run(program: &str, verb: &PolicyVerb) -> u8 {
    match verb {
        PolicyVerb::Check { files } => {
            let mut policies = Vec::new();
            let mut status = 0;
            for path in files {
                match read_policy(program, path) {
                    Ok((policy, _)) => policies.push(policy),
                    Err(failed) => status = status.max(failed),
                }
            }
            // Of a set with gaps nothing can be said.
            if status == 0 {
                let rules: Vec<_> = RULES.iter().map(|rule| (rule.code, rule.severity)).collect();
                show(&lint::lints(&policies, today(), &rules));
            }
            status
        }
        PolicyVerb::Show(options) => show::run(program, options),
        PolicyVerb::Test(options) => test::run(program, options),
        PolicyVerb::Fmt { check, files } => {
            let results = files.iter().map(|path| fmt(program, path, *check));
            results.max().unwrap_or(0)
        }
    }
}

/// Reads a policy; its errors are shown. The status if there is none.
fn read_policy(program: &str, path: &Path) -> Result<(Policy, Vec<u8>), u8> {
    let name = path.to_string_lossy();
    let bytes = read(path).map_err(|why| {
        complain(program, format_args!("{name}: {why}"));
        FAILED
    })?;
    match front::read(&name, &bytes) {
        Ok(policy) => Ok((policy, bytes)),
        Err(found) => {
            show(&found);
            Err(1)
        }
    }
}

/// The policies in files, behind this host's if `host`. What is wrong with them is said in the error, for
/// people.
pub(crate) fn load(given: &[FileOrFd], host: bool) -> Result<Vec<Policy>, String> {
    let folder = sources::folder();
    // A folder that does not exist holds no policies.
    let nowhere = Path::new("/nonexistent/solo5");
    let folder = if host { folder.as_path() } else { nowhere };
    // Opened anew, since one descriptor may be in several lists.
    let inherited = |fd: i32| File::open(format!("/proc/self/fd/{fd}"));
    sources::load(folder, given, inherited)
        .map_err(|found| human::human(&found, Colour::detect(&io::stderr())))
}

/// Policies that are used together; `None` if one of them cannot be used.
type List = Option<Rc<[Policy]>>;

/// Policies by how they are named, each list of them loaded once.
#[derive(Default)]
pub(crate) struct Lists(HashMap<(Vec<FileOrFd>, bool), List>);

impl Lists {
    /// As [`load`]. What is wrong is said the first time.
    pub(crate) fn get(&mut self, given: Vec<FileOrFd>, host: bool) -> List {
        let list = self.0.entry((given, host));
        let list = list.or_insert_with_key(|(given, host)| match load(given, *host) {
            Ok(policies) => Some(policies.into()),
            Err(text) => {
                eprint!("{text}");
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

fn show(found: &[Diagnostic]) {
    eprint!("{}", human::human(found, Colour::detect(&io::stderr())));
}

/// Formats one policy that is sound; what cannot be understood is left as it is.
fn fmt(program: &str, path: &Path, check: bool) -> u8 {
    let (_, bytes) = match read_policy(program, path) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let name = path.to_string_lossy();
    let text = match solo5_source::parse(&name, &bytes) {
        Ok(document) => solo5_source::format::format(&document),
        Err(found) => {
            show(&found);
            return 1;
        }
    };
    if check {
        let changes = text.as_bytes() != bytes;
        if changes {
            complain(program, format_args!("{name}: is laid out otherwise"));
        }
        return u8::from(changes);
    }
    match output::write(path, text.as_bytes()) {
        Ok(_) => 0,
        Err(error) => {
            complain(program, format_args!("{name}: {}", reason(&error)));
            FAILED
        }
    }
}
