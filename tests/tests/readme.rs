//! What README promises in its first lines, and the figure that it shows.

use dv_tests::{dv, graph, root};
use std::fs;

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

#[test]
fn the_first_sixty_lines_say_what_runs_and_how_it_is_checked() {
    let readme = readme();
    let lines: Vec<&str> = readme.lines().take(60).collect();
    let top = lines.join("\n");
    let block: Vec<&str> =
        lines.iter().skip_while(|l| !l.starts_with("```")).skip(1).take_while(|l| !l.starts_with("```")).copied().collect();
    assert_eq!(block, ["cargo xtask quickstart", "cargo xtask test"], "the first code block is the two commands");
    assert!(top.contains("| runs today | does not yet run |"), "the table of what runs");
    for row in ["| methods |", "| backbones |", "| protocols |", "| data |", "| running |"] {
        assert!(top.contains(row), "{row}");
    }
    let cases = fs::read_dir(root().join("tests/parity/cases"))
        .unwrap()
        .filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "json"))
        .count();
    assert!(top.contains(&format!("holds {cases} cases")), "there are {cases} cases");
    assert!(top.contains("(docs/figures/ucf_r3d.svg)"), "the figure of a graph");
    // what is named there exists
    for path in ["tests/parity/run", "docs/figures/ucf_r3d.svg", "docs/reference.md", "graphs/ucf_r3d.toml", "graphs/dualvar", "graphs/iic"]
    {
        assert!(top.contains(path) && root().join(path).exists(), "{path}");
    }
}

#[test]
fn every_backbone_of_the_library_is_named() {
    let top: String = readme().lines().take(60).collect::<Vec<_>>().join("\n");
    let folder = fs::read_dir(root().join("nodes/src/backbone")).unwrap();
    let kinds: Vec<String> = folder.filter_map(|f| f.unwrap().path().file_stem()?.to_str().map(String::from)).collect();
    let names = [
        ("r3d", "R3D-10"),
        ("r21d", "R(2+1)D-10"),
        ("c3d", "C3D"),
        ("s3d", "S3D"),
        ("r2d3d", "R2D3D"),
        ("r3d_18", "R3D-18"),
        ("i3d", "I3D"),
    ];
    for kind in kinds.iter().filter(|k| !["mod", "tests", "ten"].contains(&k.as_str())) {
        let name = names.iter().find(|(k, _)| k == kind).unwrap_or_else(|| panic!("README names no backbone/{kind}")).1;
        assert!(top.contains(name), "{name}");
    }
}

#[test]
fn the_figure_is_what_dv_draws() {
    let drawn = dv(["show", graph("ucf_r3d.toml").to_str().unwrap(), "--format", "svg"]).done().out;
    let figure = fs::read_to_string(root().join("docs/figures/ucf_r3d.svg")).unwrap();
    assert!(drawn == figure, "docs/figures/ucf_r3d.svg is out of date: cargo xtask docs");
}

#[test]
fn the_range_of_the_quickstart_is_what_it_compares_with() {
    let source = fs::read_to_string(root().join("xtask/src/quickstart.rs")).unwrap();
    let range = |name: &str| {
        let (_, rest) = source.split_once(&format!("const {name}: (f64, f64) = (")).unwrap_or_else(|| panic!("no {name}"));
        let (low, high) = rest.split_once(')').unwrap().0.split_once(", ").unwrap();
        format!("{low} to {high}")
    };
    let stated = format!("a top-1 of {}, against {} untrained", range("PRETRAINED"), range("UNTRAINED"));
    assert!(readme().contains(&stated), "{stated}");
}
