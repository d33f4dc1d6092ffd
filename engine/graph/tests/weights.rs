//! `weights`: what forms an origin has, and which file a path means.

mod common;

use common::*;
use dv_graph::merge::Setting;
use dv_graph::plan::Plan;
use dv_graph::stage::{Checkpoint, Drive, Origin};
use dv_graph::sweep;
use std::fs;
use std::path::{Path, PathBuf};

const ORIGIN: &str = "weights   = \"pretrain\"\nbatch     = 3";

fn drive(plan: &Plan, stage: &str) -> Drive {
    plan.stages.iter().find(|s| s.name == stage).unwrap().drive.clone()
}

/// The gallery's `weights` as the graph says them in these words.
fn gallery(weights: &str) -> Drive {
    let text = edited(
        GOOD,
        &[("keep       = { last = 1 }", "keep = { best = \"contrast.top1\" }"), (ORIGIN, &format!("weights = {weights}\nbatch = 3"))],
    );
    let checked = checked(&[("g.toml", &text)], &[]);
    assert_eq!(faults(&checked), Vec::<String>::new(), "\n{}", rendered(&checked));
    drive(&checked.plan.unwrap(), "gallery")
}

#[test]
fn one_origin_stands_for_all_models() {
    for origin in [
        "{ stage = \"pretrain\" }",
        "{ stage = \"pretrain\", epoch = 2 }",
        "{ stage = \"pretrain\", keep = \"best\" }",
        "{ file = \"/w.safetensors\" }",
    ] {
        assert_eq!(gallery(origin).weights, gallery(&format!("{{ \"*\" = {origin} }}")).weights, "{origin}");
    }
    assert_eq!(
        gallery("{ stage = \"pretrain\", epoch = 2 }").weights,
        [("*".into(), Origin::Stage { stage: "pretrain".into(), at: Checkpoint::Epoch(2) })]
    );
    let named = gallery("{ file = \"/w.safetensors\", names = [\"encoder_q.0\"] }").origin("encoder").cloned();
    assert_eq!(named, Some(Origin::File { file: "/w.safetensors".into(), names: Some(vec!["encoder_q.0".into()]) }));
}

#[test]
fn an_origin_at_fault_is_reported_as_one() {
    let told = |weights: &str| {
        let text = edited(GOOD, &[(ORIGIN, &format!("weights = {weights}\nbatch = 3"))]);
        let checked = checked(&[("g.toml", &text)], &[]);
        faults(&checked).iter().map(|f| f.rsplit(' ').next().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told("{ epoch = 2 }"), ["missing-setting"]);
    assert_eq!(told("{ stage = \"pretrain\", epochs = 2 }"), ["unknown-setting"]);
    assert_eq!(told("{ stage = \"pretrain\", encoder = \"initial\" }"), ["unknown-setting"]);
    assert_eq!(told("{ file = \"w\", epoch = 2 }"), ["unknown-setting"]);
    assert_eq!(told("{ file = 3 }"), ["wrong-type"]);
    assert_eq!(told("{ fiel = \"w\" }"), ["unknown-model"]);
    // what `weights` needs for its forms is no name of a model
    for name in ["stage", "file"] {
        let text = edited(
            GOOD,
            &[
                ("[models.proj]", &format!("[models.{name}]")),
                ("\"proj\", in = \"seen", &format!("\"{name}\", in = \"seen")),
                ("\"proj\", in = \"cut", &format!("\"{name}\", in = \"cut")),
            ],
        );
        let checked = checked(&[("g.toml", &text)], &[]);
        assert_eq!(faults(&checked), [format!("{} bad-name", place(&text, &format!("{name}]")))]);
    }
}

/// The folder `graphs/deep` with a graph that extends one above it; gives the file that the gallery's encoder comes from.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("graphs/deep")).unwrap();
        for (name, text) in files.iter().chain(&[("good.toml", GOOD)]) {
            fs::write(dir.path().join("graphs").join(name), text).unwrap();
        }
        Files(dir)
    }
    /// In each point of the sweep.
    fn origins(&self, graph: &str, sets: &[&str]) -> Vec<PathBuf> {
        let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
        let swept = sweep::check(&self.0.path().join("graphs").join(graph), &sets, &library());
        assert!(swept.faults.is_empty(), "{}", swept.faults.render(&swept.sources));
        let file = |plan: &Plan| match drive(plan, "gallery").origin("encoder") {
            Some(Origin::File { file, .. }) => file.clone(),
            other => panic!("{other:?}"),
        };
        swept.points.iter().map(|p| file(&p.plan)).collect()
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }
}

const UPPER: &str = "extends = 'good.toml'\nname = 'upper'\n[values]\nlearnt = 'value.st'\n[stages.gallery]\nweights = { encoder = { file = 'upper.st' } }\n";

#[test]
fn a_path_starts_at_the_folder_of_the_graph_that_it_is_written_in() {
    let on = |rest: &str| format!("extends = '../upper.toml'\nname = 'lower'\n{rest}");
    let lower = |rest: &str| Files::new(&[("upper.toml", UPPER), ("deep/lower.toml", &on(rest))]);
    let ignored = "remove = ['values.learnt']\n";
    let files = lower(ignored);
    assert_eq!(files.origins("deep/lower.toml", &[]), [files.path("graphs/upper.st")]);
    // beside other keys of the same table, and as one origin for all
    let files = lower(&format!("{ignored}[stages.gallery]\nweights = {{ encoder = {{ names = 'x' }} }}\n"));
    assert_eq!(files.origins("deep/lower.toml", &[]), [files.path("graphs/upper.st")]);
    let files = lower(&format!(
        "{}[stages.gallery]\nweights = {{ file = './../../w/own.st' }}\n",
        "remove = ['values.learnt', 'stages.gallery.weights']\n"
    ));
    assert_eq!(files.origins("deep/lower.toml", &[]), [files.path("w/own.st")]);
    // a value is written where it is declared
    let files = lower("[stages.gallery]\nweights = { encoder = { file = '$learnt' } }\n");
    assert_eq!(files.origins("deep/lower.toml", &[]), [files.path("graphs/value.st")]);
    let files = lower("[values]\nother = 'own.st'\nlearnt = '$other'\n[stages.gallery]\nweights = { encoder = { file = '$learnt' } }\n");
    assert_eq!(files.origins("deep/lower.toml", &[]), [files.path("graphs/deep/own.st")]);
    // a sweep's values are the file's that has the sweep; an arm's file has its own folder
    let sweep = "[sweep]\n'stages.gallery.weights.encoder.file' = ['a.st', '../b.st']\n";
    let files = lower(&format!("{ignored}{sweep}"));
    assert_eq!(files.origins("deep/lower.toml", &[]), [files.path("graphs/deep/a.st"), files.path("graphs/b.st")]);
    let files = lower(&format!("{ignored}[sweep]\narm = {{ own = {{}}, other = {{ extends = '../arm.toml' }} }}\n"));
    fs::write(files.path("graphs/arm.toml"), "[stages.gallery]\nweights = { encoder = { file = 'arm.st' } }\n").unwrap();
    assert_eq!(files.origins("deep/lower.toml", &[]), [files.path("graphs/upper.st"), files.path("graphs/arm.st")]);
    // an absolute one is itself
    let files = lower(&format!("{ignored}[stages.gallery]\nweights = {{ encoder = {{ file = '/w/../x.st' }} }}\n"));
    assert_eq!(files.origins("deep/lower.toml", &[]), [Path::new("/w/../x.st")]);
}

#[test]
fn a_path_of_the_command_line_starts_at_the_working_directory() {
    let here = std::env::current_dir().unwrap().canonicalize().unwrap();
    let files = Files::new(&[("upper.toml", &UPPER.replace("learnt = 'value.st'\n", ""))]);
    assert_eq!(files.origins("upper.toml", &["stages.gallery.weights.encoder.file=w.st"]), [here.join("w.st")]);
    let files = Files::new(&[("upper.toml", &UPPER.replace("'upper.st'", "'$learnt'"))]);
    assert_eq!(files.origins("upper.toml", &["values.learnt=../w.st"]), [here.parent().unwrap().join("w.st")]);
}

#[test]
fn the_resolved_graph_means_the_same_file_from_any_folder() {
    let files = Files::new(&[("upper.toml", &UPPER.replace("learnt = 'value.st'\n", ""))]);
    let checked = dv_graph::check::check(&files.path("graphs/upper.toml"), &[], &library(), None);
    let resolved = checked.plan.unwrap().resolved;
    fs::write(files.path("graphs/deep/graph.toml"), &resolved).unwrap();
    assert_eq!(files.origins("deep/graph.toml", &[]), [files.path("graphs/upper.st")]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_as_the_system_follows_them() {
    let files = Files::new(&[("upper.toml", &UPPER.replace("learnt = 'value.st'\n", "").replace("upper.st", "../link/../w.st"))]);
    fs::create_dir_all(files.path("far/away")).unwrap();
    std::os::unix::fs::symlink(files.path("far/away"), files.path("link")).unwrap();
    fs::write(files.path("far/w.st"), "here").unwrap();
    let found = files.origins("upper.toml", &[]);
    assert_eq!(fs::read_to_string(&found[0]).unwrap(), "here");
}
