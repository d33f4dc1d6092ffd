//! The folder of bad graphs: what is told of each, in full, beside it; and `docs/faults.md`, made from both.
//!
//! `DV_WRITE=1 cargo test --release -p dv-graph --test faults` writes the texts anew: read the difference as a new user would.

mod common;

use common::*;
use dv_datasets::{Row, SetOptions, SetWriter, VideoMeta};
use dv_graph::check::check_data;
use dv_graph::codes::{self, CODES};
use dv_graph::fault::{Fault, Faults};
use dv_graph::merge::Setting;
use dv_graph::sweep;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = "tests/faults";

struct Bad {
    name: String,
    graph: String,
    faults: Faults,
    /// What `dv check` prints.
    said: String,
}

impl Bad {
    fn told(&self) -> Vec<&Fault> {
        self.faults.iter().collect()
    }
}

/// Where a new text is to be written and not compared.
fn writing() -> bool {
    std::env::var_os("DV_WRITE").is_some()
}

fn graphs() -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = fs::read_dir(FOLDER).unwrap().map(|f| f.unwrap().path()).collect();
    list.retain(|p| p.extension().is_some_and(|e| e == "toml") && !p.ends_with("base.toml"));
    list.sort();
    list
}

/// A set as the good graph reads it.
fn packed(dir: &Path) {
    let mut options = SetOptions::new("tiny", 24, 20);
    options.fsync = false;
    options.classes = vec!["a".into()];
    let mut writer = SetWriter::create(&dir.join("tiny"), options).unwrap();
    for (i, split) in ["train", "test"].repeat(4).into_iter().enumerate() {
        let frames = (0..6).map(|f| vec![f as u8; 24 * 20 * 3]);
        let meta = VideoMeta { path: format!("a/{split}{i}.avi"), class: Some(0), splits: vec![split.into()], ..VideoMeta::default() };
        writer.add_video(meta, frames).unwrap();
    }
    writer.set_split("some", [Row::Video(0), Row::Missing("a/damaged.avi".into()), Row::Video(2)]);
    writer.finish().unwrap();
}

/// Checks one graph as its first lines ask: `# --set PATH=VALUE`, `# --data`.
fn checked(path: &Path, data: &Path) -> Bad {
    let graph = fs::read_to_string(path).unwrap();
    let flags: Vec<&str> = graph.lines().map_while(|l| l.strip_prefix("# ")).filter(|l| l.starts_with("--")).collect();
    let settings = flags.iter().filter_map(|f| f.strip_prefix("--set ")).map(|s| Setting::parse(s).unwrap());
    let mut found = sweep::check(path, &settings.collect::<Vec<_>>(), &library());
    if flags.contains(&"--data") {
        for point in &found.points {
            check_data(&point.plan, data, true, &mut found.faults);
        }
    }
    let said = found.faults.render(&found.sources).replace(data.to_str().unwrap(), "data").replace(&format!("{FOLDER}/"), "");
    Bad { name: path.file_stem().unwrap().to_str().unwrap().to_string(), graph, faults: found.faults, said }
}

fn all() -> Vec<Bad> {
    let data = tempfile::tempdir().unwrap();
    packed(data.path());
    graphs().iter().map(|path| checked(path, data.path())).collect()
}

#[test]
fn each_bad_graph_is_told_as_its_text_says() {
    let all = all();
    assert!(all.len() >= 60, "{} bad graphs", all.len());
    let mut differing = Vec::new();
    for bad in &all {
        assert!(!bad.told().is_empty(), "{}: nothing was told", bad.name);
        let path = Path::new(FOLDER).join(format!("{}.txt", bad.name));
        if writing() {
            fs::write(&path, &bad.said).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != bad.said {
            differing.push(format!("{}:\n{}", bad.name, bad.said));
        }
    }
    assert!(differing.is_empty(), "other texts than those beside the graphs (DV_WRITE=1 writes them):\n{}", differing.join("\n"));
    let texts = fs::read_dir(FOLDER).unwrap().filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "txt")).count();
    assert_eq!(texts, all.len(), "a text without its graph");
}

#[test]
fn each_code_has_a_graph_and_no_fault_is_told_twice() {
    // several may be missing, or out of range, at one place
    let several = ["missing-input", "missing-setting", "needs-after", "no-origin", "out-of-range"];
    let mut shown = BTreeSet::new();
    for bad in all() {
        let mut places = BTreeSet::new();
        for fault in bad.told() {
            assert!(codes::get(fault.code).is_some(), "{}: `{}` is no code of the list", bad.name, fault.code);
            let twice = !places.insert((fault.code, fault.at));
            assert!(!twice || several.contains(&fault.code), "{}: {} is told twice:\n{}", bad.name, fault.code, bad.said);
            let plain = !fault.message.contains("invalid type") && !fault.message.contains("f64") && !fault.message.contains("usize");
            assert!(plain, "{}: {}", bad.name, fault.message);
        }
        let expected = bad.name.split('_').next().unwrap();
        if expected == "several" {
            assert!(bad.told().len() >= 3, "{}:\n{}", bad.name, bad.said);
        } else {
            assert!(bad.told().iter().any(|f| f.code == expected), "{}: no {expected}\n{}", bad.name, bad.said);
            shown.insert(expected.to_string());
        }
        for code in ["syntax", "no-file"] {
            // what follows from these is not told
            let follows = expected == code && bad.told().iter().any(|f| f.code != code);
            assert!(!follows, "{}:\n{}", bad.name, bad.said);
        }
    }
    for code in CODES {
        assert!(shown.contains(code.name), "no bad graph shows `{}`", code.name);
    }
}

#[test]
fn the_document_is_what_the_list_and_the_graphs_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/faults.md");
    let all = all();
    let example = |code: &str| all.iter().find(|b| b.name == code).map(|b| (b.graph.as_str(), b.said.as_str()));
    let now = dv_graph::docs::faults(&example, &fs::read_to_string(format!("{FOLDER}/base.toml")).unwrap());
    if writing() {
        fs::write(path, now).unwrap();
        return;
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(written == now, "docs/faults.md is out of date: write it with DV_WRITE=1 cargo test --release -p dv-graph --test faults");
}
