//! Every graph of the house is whole, and runs from its first stage to its last.

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
    for path in all() {
        let shown = Call::new("show", &path).run().done();
        assert!(shown.out.contains("encoder"), "{}", shown.out);
    }
}

#[test]
fn each_runs_in_seconds() {
    let mut failures = Vec::new();
    for path in all() {
        let name = path.strip_prefix(graph("")).unwrap().display().to_string();
        let said = Call::new("run", &path).arg("--smoke").args(["--compute-threads", "2"]).run();
        println!("{name}: {:.1} s", said.seconds);
        if said.status != Some(0) {
            failures.push(format!("{name}: status {:?}\n{}", said.status, said.err));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
