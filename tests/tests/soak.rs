//! A few seconds of each long test.

use dv_datasets::Ffmpeg;
use dv_tests::soak::graphs::{Corpus, Graphs};
use dv_tests::soak::pack::Packs;
use dv_tests::soak::runs::Runs;
use dv_tests::soak::sets::Sets;
use dv_tests::soak::{self, Plan};
use std::time::Duration;

#[test]
fn damaged_graphs_are_refused_with_places_in_little_time_and_memory() {
    let kept = dv_tests::root().join("target/soak");
    let graphs = Graphs { corpus: Corpus::of(&dv_tests::root()), program: dv_tests::program(), kept };
    let plan = Plan { seed: 1, cases: 24, time: Duration::from_secs(300), jobs: 1 };
    let tally = soak::run(&graphs, plan, &|_| ());
    assert!(tally.failures.is_empty(), "{tally}{:#?}", tally.failures);
    assert_eq!(tally.cases, plan.cases);
}

#[test]
fn damaged_sets_give_what_was_packed_or_an_error_with_its_place() {
    let kept = dv_tests::root().join("target/soak");
    let program = dv_tests::program();
    let sets = Sets { reader: program.with_file_name("dv-soak"), program, kept };
    let plan = Plan { seed: 1, cases: 60, time: Duration::from_secs(300), jobs: 1 };
    let tally = soak::run(&sets, plan, &|_| ());
    assert!(tally.failures.is_empty(), "{tally}{:#?}", tally.failures);
    assert_eq!(tally.cases, plan.cases);
}

#[test]
fn packs_that_are_disturbed_end_in_whole_sets() {
    let kept = dv_tests::root().join("target/soak");
    let packs = Packs { program: dv_tests::program(), ffmpeg: Ffmpeg::find().unwrap(), kept };
    let plan = Plan { seed: 1, cases: 12, time: Duration::from_secs(300), jobs: 1 };
    let tally = soak::run(&packs, plan, &|_| ());
    assert!(tally.failures.is_empty(), "{tally}{:#?}", tally.failures);
    assert_eq!(tally.cases, plan.cases);
}

#[test]
fn runs_that_are_killed_or_wrecked_go_on_or_say_why_not() {
    let kept = dv_tests::root().join("target/soak");
    let runs = Runs { program: dv_tests::program(), kept };
    let plan = Plan { seed: 1, cases: 20, time: Duration::from_secs(300), jobs: 1 };
    let tally = soak::run(&runs, plan, &|_| ());
    assert!(tally.failures.is_empty(), "{tally}{:#?}", tally.failures);
    assert_eq!(tally.cases, plan.cases);
}
