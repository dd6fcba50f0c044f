//! The fuzzer's functions without a fuzzer: on every seed, and on damaged ones.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use solo5_fuzz::TARGETS;

#[test]
fn every_target_accepts_some_of_its_seeds_and_refuses_others() {
    for target in &TARGETS {
        let seeds = (target.seeds)();
        let taken = seeds.iter().filter(|seed| (target.run)(seed)).count();
        println!("{}: {taken} of {} seeds are accepted", target.name, seeds.len());
        assert!(taken > 0, "{} refuses every seed", target.name);
        assert!(!(target.run)(b""), "{} accepts an empty input", target.name);
        let longest = seeds.iter().map(Vec::len).max();
        assert!(longest < Some(16 * 1024), "{}: seeds of {longest:?} bytes", target.name);
    }
}

#[test]
fn targets_are_named_after_their_files() {
    for target in &TARGETS {
        let file = format!("{}/targets/{}.rs", env!("CARGO_MANIFEST_DIR"), target.name);
        assert!(std::path::Path::new(&file).is_file(), "{file}");
    }
}

#[test]
fn dictionaries_are_quoted_words() {
    for target in &TARGETS {
        for line in target.dictionary().lines() {
            assert!(line.is_ascii() && line.len() > 2, "{line}");
            assert!(line.starts_with('"') && line.ends_with('"'), "{line}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn damaged_seeds_are_accepted_or_refused(
        seed: Index,
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<Index>()),
    ) {
        for target in &TARGETS {
            let seeds = (target.seeds)();
            let mut bytes = seed.get(&seeds).clone();
            let length = bytes.len();
            for (at, byte) in &changes {
                if let Some(place) = bytes.get_mut(at.index(length + 1)) {
                    *place = *byte;
                }
            }
            if let Some(cut) = &cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            (target.run)(&bytes);
        }
    }
}
