//! Every graph of the house is whole, and runs from its first stage to its last.
//!
//! Of the papers' folders only [`BASES`] are run by default: the others are these with another network, loss, set or rate, and all together take
//! minutes. `DV_GRAPHS=all cargo test --release -p dv-tests --test graphs -- --nocapture` runs each one.

use dv_tests::{graph, Call};
use std::path::{Path, PathBuf};

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
}

/// The folders of papers.
const PAPERS: [&str; 2] = ["dualvar/", "iic/"];
/// The graphs there that the others extend.
const BASES: [&str; 3] = ["dualvar/simclr.toml", "dualvar/moco.toml", "iic/r3d_repeat.toml"];

/// Its place below `graphs/`.
fn name_of(path: &Path) -> String {
    path.strip_prefix(graph("")).unwrap().display().to_string()
}

/// Whether a graph is run: always, or where all are asked for.
fn is_run(name: &str) -> bool {
    let of_paper = PAPERS.iter().any(|folder| name.starts_with(folder));
    !of_paper || BASES.contains(&name) || std::env::var("DV_GRAPHS").is_ok_and(|graphs| graphs == "all")
}

fn all() -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&graph(""), &mut found);
    assert!(found.len() >= 2, "graphs/ holds {found:?}");
    found
}

#[test]
fn each_is_without_fault() {
    let call = all().iter().fold(Call::default().arg("check"), |call, path| call.arg(path.to_str().unwrap()));
    let said = call.run().done().never_says(&["error["]);
    assert_eq!(said.out.lines().filter(|l| l.contains(": ok")).count(), all().len());
    // a set that is not packed is all that there is to note
    let notes: Vec<&str> = said.err.lines().filter(|l| l.contains("note[") && !l.contains("note[no-set]")).collect();
    assert!(notes.is_empty(), "{}", notes.join("\n"));
    for path in all() {
        let shown = Call::new("show", &path).run().done();
        assert!(shown.out.contains("encoder"), "{}", shown.out);
    }
}

#[test]
fn each_runs_in_seconds() {
    let (mut failures, mut seconds, mut left) = (Vec::new(), 0.0, 0);
    for base in BASES {
        assert!(graph(base).is_file(), "{base}");
    }
    for path in all() {
        let name = name_of(&path);
        if !is_run(&name) {
            left += 1;
            continue;
        }
        let said = Call::new("run", &path).arg("--smoke").args(["--compute-threads", "2"]).run();
        println!("{name}: {:.1} s", said.seconds);
        seconds += said.seconds;
        if said.status != Some(0) {
            failures.push(format!("{name}: status {:?}\n{}", said.status, said.err));
        }
    }
    println!("all: {seconds:.1} s; {left} graphs were left out (DV_GRAPHS=all runs them)");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The fragments of docs/language.md, each laid over the graph that its first line names.
#[test]
fn each_fragment_of_the_guide_is_without_fault() {
    let text = std::fs::read_to_string(dv_tests::root().join("docs/language.md")).unwrap();
    let fragments: Vec<&str> = text.split("```toml\n").skip(1).map(|f| f.split("```").next().unwrap()).collect();
    assert!(fragments.len() >= 5, "{}", fragments.len());
    let dir = tempfile::tempdir().unwrap();
    for (i, fragment) in fragments.iter().enumerate() {
        let (first, rest) = fragment.split_once('\n').unwrap();
        let on = first.strip_prefix("# on ").unwrap_or_else(|| panic!("over which graph?\n{fragment}"));
        let path = dir.path().join(format!("{i}.toml"));
        std::fs::write(&path, format!("extends = {:?}\nname = \"fragment\"\n{rest}", dv_tests::root().join(on))).unwrap();
        let said = Call::new("check", &path).run();
        assert_eq!(said.status, Some(0), "{fragment}\n{}", said.err);
    }
}
