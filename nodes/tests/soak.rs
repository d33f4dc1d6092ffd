//! Damaged graphs against the whole node library, in this process: many in a few seconds. `cargo xtask soak graphs` does the same with the
//! real program, and measures its memory.

use dv_tests::soak::graphs::{codes, Corpus};
use std::collections::BTreeMap;

/// CPU seconds of this thread.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[test]
fn damaged_graphs_are_refused_with_places() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (seed, cases) = (number("DV_SOAK_SEED", 1), number("DV_SOAK_CASES", 200));
    let dir = tempfile::tempdir().unwrap();
    let corpus = Corpus::of(&dv_tests::root());
    let files = corpus.lay_out(dir.path()).unwrap();
    let library = dv_nodes::library();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in seed..seed + cases {
        let (folder, text) = corpus.case(&files, seed);
        let path = dir.path().join(folder).join("soak.toml");
        std::fs::write(&path, text).unwrap();
        let start = cpu();
        let swept = dv_graph::sweep::check(&path, &[], &library);
        let said = swept.faults.render(&swept.sources);
        let seconds = cpu() - start;
        assert!(seconds < 5.0, "seed {seed}: {seconds:.1} s");
        let codes = codes(&said).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        assert_eq!(codes.is_empty(), swept.faults.is_empty(), "seed {seed}: {said}");
        codes.into_iter().for_each(|code| *seen.entry(code).or_default() += 1);
    }
    println!("{seen:#?}");
    assert!(cases < 200 || seen.len() > 12, "{seen:?}");
}
