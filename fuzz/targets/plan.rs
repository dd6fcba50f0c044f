//! Launch plans and tests of policies.

use std::ffi::OsString;

use solo5_abi::Target as Abi;
use solo5_launch::{self as launch, Modules};
use solo5_policies::plan::{Identity, Plan};
use solo5_policies::schema::File;
use solo5_policies::{case, plan};
use solo5_report::Severity;

use crate::{Target, files, source};

pub(crate) const TARGET: Target = Target { name: "plan", run, seeds, words };

fn run(data: &[u8]) -> bool {
    let tests = match case::read("test.yaml", data) {
        Ok(suite) => {
            assert!(!suite.cases.is_empty() && !suite.policies.is_empty());
            true
        }
        Err(found) => {
            files::shown(&found);
            false
        }
    };
    let plan = match plan::read("plan.yaml", data) {
        Ok(plan) => plan,
        Err(found) => {
            files::shown(&found);
            return tests;
        }
    };
    assert!(!tests, "a file is of one type");
    started(&plan);
    conflicts(&plan);
    // Another layout of the file starts the same unikernels.
    let document = solo5_source::parse("plan.yaml", data).expect("a plan is YAML");
    let formatted = source::formatted(&document);
    let formatted = plan::read("plan.yaml", formatted.as_bytes());
    let formatted =
        formatted.unwrap_or_else(|found| panic!("{:?}: {found:#?}", document.source.text));
    let words =
        |plan: &Plan| -> Vec<_> { plan.unikernels.iter().map(|one| plan.words(one)).collect() };
    assert_eq!(words(&formatted), words(&plan));
    assert_eq!(sums(&formatted), sums(&plan));
    true
}

/// The sums, with the memory that is asked for.
fn sums(plan: &Plan) -> plan::Sums {
    plan.sums(|index| plan.unikernels[index].memory.value)
}

/// A tender splits the arguments of a launch as the plan means them.
fn started(plan: &Plan) {
    for unikernel in &plan.unikernels {
        let words: Vec<OsString> = plan.words(unikernel).into_iter().map(OsString::from).collect();
        let request = launch::read_for("image".as_ref(), &words, &Modules::ordinary(Abi::Spt));
        assert!(request.policies().is_empty() && !request.only_explains());
        assert_eq!(request.labels().len(), unikernel.labels.len());
        let arguments = words.len() - unikernel.arguments.len();
        assert_eq!(words[arguments - 1], "--");
        assert!(words[..arguments - 1].iter().all(|word| word != "--"));
    }
}

/// Every finding can be shown. If all paths are one file, at least as many conflicts are found.
fn conflicts(plan: &Plan) {
    let access = |index: usize, number: usize| plan.unikernels[index].blocks[number].access;
    let errors = |identity: fn(&str) -> Option<Identity>| {
        let found = plan.conflicts(access, identity, sums(plan));
        if !found.is_empty() {
            files::shown(&found);
        }
        let errors = found.iter().filter(|one| one.severity == Severity::Error);
        errors.count()
    };
    let apart = errors(|_| None);
    assert!(errors(|_| Some(Identity::File(1, 1))) >= apart);
}

fn seeds() -> Vec<Vec<u8>> {
    let cases = ["elftool/policies/tests/files/plan", "elftool/policies/tests/files/policy-test"];
    let cases = cases.into_iter().flat_map(files::cases);
    cases.map(|(_, bytes)| bytes).collect()
}

fn words() -> Vec<Vec<u8>> {
    let own = ["tap-1", "/srv/a", "52:54:00:00:00:01", "P305", "S319", "none"];
    let own = own.map(|word| word.as_bytes().to_vec()).into_iter();
    let schemas = [File::Plan, File::PolicyTest].map(File::schema);
    own.chain(schemas.iter().flat_map(files::schema_words)).chain(files::yaml_words()).collect()
}
