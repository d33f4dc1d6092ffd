//! Sweeps: the points of a grid, what their arms change, whose stages are the same, and faults told once over all of them.

mod common;

use common::*;
use dv_graph::identity::{draws, identities};
use dv_graph::merge::Setting;
use dv_graph::sweep::{self, Swept};
use std::collections::BTreeSet;

/// Reads the first of the files.
fn read(files: &[(&str, &str)], sets: &[&str]) -> Swept {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
    sweep::check(&dir.path().join(files[0].0), &sets, &library())
}

#[track_caller]
fn points(files: &[(&str, &str)], sets: &[&str]) -> Swept {
    let swept = read(files, sets);
    assert!(swept.faults.is_empty(), "{}", swept.faults.render(&swept.sources));
    swept
}

fn names(swept: &Swept) -> Vec<&str> {
    swept.points.iter().map(|p| p.name.as_str()).collect()
}

/// `line:column code`, and in which points.
fn told(swept: &Swept) -> Vec<String> {
    let mut list: Vec<_> = swept.faults.iter().collect();
    list.sort_by_key(|f| f.at);
    let one = |f: &&dv_graph::fault::Fault| {
        let (line, column) = swept.sources.line_column(f.at);
        let points = f.points.as_ref().map_or(String::new(), |p| format!(" {p}"));
        format!("{line}:{column} {}{points}", f.code)
    };
    list.iter().map(one).collect()
}

/// A value of the resolved graph of one point.
fn value(swept: &Swept, point: usize, path: &str) -> Option<toml::Value> {
    let tree: toml::Table = swept.points[point].plan.resolved.parse().unwrap();
    path.split('.').try_fold(toml::Value::Table(tree), |v, key| v.get(key).cloned())
}

const ON: &str = "extends = 'good.toml'\nname = 'sweep'\n";

fn on(rest: &str) -> String {
    format!("{ON}{rest}")
}

#[test]
fn a_graph_without_a_sweep_is_one_point() {
    let one = points(&[("g.toml", GOOD)], &[]);
    assert_eq!((names(&one), one.axes.len(), one.at), (vec![""], 0, None));
}

#[test]
fn a_grid_has_a_point_for_each_combination_in_the_files_order() {
    let text = on("[sweep]\n'stages.pretrain.nodes.contrast.temperature' = [0.5, 0.05]\nseed = [2, 0]\nmethod = { whole = {}, short = { values = { length = 2 }, stages.pretrain.nodes.order.items = 2 } }\n");
    let swept = points(&[("g.toml", &text), ("good.toml", GOOD)], &[]);
    assert_eq!(swept.axes.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["temperature", "seed", "method"]);
    assert_eq!(
        names(&swept),
        [
            "temperature=0.5,seed=2,method=whole",
            "temperature=0.5,seed=2,method=short",
            "temperature=0.5,seed=0,method=whole",
            "temperature=0.5,seed=0,method=short",
            "temperature=0.05,seed=2,method=whole",
            "temperature=0.05,seed=2,method=short",
            "temperature=0.05,seed=0,method=whole",
            "temperature=0.05,seed=0,method=short",
        ]
    );
    assert_eq!(swept.points[5].values, [1, 0, 1]);
    assert_eq!(value(&swept, 5, "stages.pretrain.nodes.contrast.temperature"), Some(0.05.into()));
    assert_eq!(value(&swept, 5, "stages.pretrain.nodes.pair.length"), Some(2.into()));
    assert_eq!(value(&swept, 4, "stages.pretrain.nodes.pair.length"), Some(4.into()));
    assert_eq!((swept.points[5].plan.seed, swept.points[7].plan.seed), (2, 0));
    // the point's graph is an experiment of its own
    assert_eq!((value(&swept, 0, "sweep"), value(&swept, 0, "name")), (None, Some("sweep".into())));
}

#[test]
fn names_of_points_are_folders_names() {
    let text = on("[sweep]\n'stages.gallery.nodes.video.set' = ['a b', 'a:b', 'ü']\n'stages.query.nodes.video.set' = ['x']\n'models.proj.widths' = [[8, 6], [4]]\n'stages.pretrain.optimiser' = [{ lr = 0.1 }, { lr = 0.2 }]\n");
    let swept = points(&[("g.toml", &text), ("good.toml", GOOD), ("none.toml", "")], &["models.proj.names=[]"]);
    // what is not told apart is numbered; of axes that end alike more of the path is said
    let axes: Vec<String> = swept.axes.iter().map(|a| format!("{}: {}", a.name, a.values.join(" "))).collect();
    assert_eq!(axes, ["gallery.nodes.video.set: a_b 2 _", "query.nodes.video.set: x", "widths: 8-6 4", "optimiser: 1 2"]);
    let all: BTreeSet<&str> = names(&swept).into_iter().collect();
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|n| n.chars().all(|c| c.is_ascii_alphanumeric() || "._-+=,".contains(c))), "{all:?}");
}

#[test]
fn an_arm_merges_like_a_file_that_extends_the_graph() {
    let other = "extends = 'base.toml'\nname = 'other'\nabout = 'other'\n[sweep]\nseed = [7, 8]\n[stages.pretrain]\nepochs = 5\nkeep = { last = 3 }\n";
    let base = "[values]\nlength = 2\n[stages.pretrain]\nbatch = 8\n[stages.pretrain.nodes.order]\nitems = 2\n";
    let text = on("[sweep.method]\nplain = {}\nfile = { extends = 'other.toml', stages.pretrain.epochs = 6 }\nless = { remove = ['stages.query', 'stages.retrieval', 'stages.pretrain.keep'], stages.last.nodes.score = { kind = 'evaluate/score', in = { gallery = 'gallery/table.rows', query = 'gallery/table.rows' }, k = 1 } }\nkind = { stages.pretrain.schedule = { kind = 'cosine', warm_up = 0.1 } }\n");
    let swept = points(&[("g.toml", &text), ("good.toml", GOOD), ("other.toml", other), ("base.toml", base)], &["stages.pretrain.world=1"]);
    assert_eq!(names(&swept), ["method=plain", "method=file", "method=less", "method=kind"]);
    let pretrain = |point: usize, key: &str| value(&swept, point, &format!("stages.pretrain.{key}"));
    assert_eq!([0, 1, 2].map(|p| pretrain(p, "epochs").unwrap().as_integer().unwrap()), [2, 6, 2], "own keys come after the file's");
    assert_eq!([0, 1].map(|p| pretrain(p, "batch").unwrap().as_integer().unwrap()), [4, 8], "a file's base comes along");
    assert_eq!(pretrain(1, "keep.last"), Some(3.into()));
    assert_eq!(pretrain(1, "nodes.pair.length"), Some(2.into()), "values are filled in after the arm");
    assert_eq!((pretrain(2, "keep"), value(&swept, 2, "stages.query")), (None, None));
    assert_eq!(pretrain(3, "schedule.warm_up"), Some(0.1.into()), "a table whose kind changes is replaced");
    // --set comes after arms
    assert!((0..4).all(|p| pretrain(p, "world") == Some(1.into())));
    // name, about and sweep are the graph's
    assert_eq!((value(&swept, 1, "name"), value(&swept, 1, "about")), (Some("sweep".into()), None));
}

#[test]
fn a_path_may_lead_into_what_an_arm_brings() {
    let arms = "method = { one = { extends = 'more.toml' }, two = { extends = 'more.toml', seed = 3 } }\n";
    let text = on(&format!("[sweep]\n'stages.more.nodes.score.k' = [1, 2]\n{arms}"));
    let more = "[stages.more.nodes]\nscore = { kind = 'evaluate/score', in = { gallery = 'gallery/table.rows', query = 'query/table.rows' }, k = 5 }\n";
    let swept = points(&[("g.toml", &text), ("good.toml", GOOD), ("more.toml", more)], &[]);
    assert_eq!(
        (0..4).map(|p| value(&swept, p, "stages.more.nodes.score.k").unwrap()).collect::<Vec<_>>(),
        [1, 1, 2, 2].map(toml::Value::from)
    );
    // where only some arms bring it, the others are named
    let text = text.replace("two = { extends = 'more.toml', seed = 3 }", "two = {}");
    let swept = read(&[("g.toml", &text), ("good.toml", GOOD), ("more.toml", more)], &[]);
    assert_eq!(told(&swept), ["4:1 set-missing with method=two"]);
}

#[test]
fn the_grid_itself_can_be_set() {
    let text = on("[sweep]\nseed = [0, 1, 2]\nmethod = { a = {}, b = { stages.pretrain.epochs = 3 } }\n");
    let files = [("g.toml", text.as_str()), ("good.toml", GOOD)];
    assert_eq!(names(&points(&files, &["sweep.seed=[7]"])), ["seed=7,method=a", "seed=7,method=b"]);
    assert_eq!(points(&files, &["sweep.method.c={ seed = 9 }"]).points.len(), 9);
    // what is set for all points is no axis
    assert!(points(&files, &["stages.pretrain.epochs=9"]).points.iter().all(|p| p.plan.stages[0].drive.settings.epochs == Some(9)));
    // a sweep is not inherited
    let upper = "extends = 'g.toml'\nname = 'upper'\n";
    assert_eq!(points(&[("u.toml", upper), files[0], files[1]], &[]).points.len(), 1);
}

/// The sweep has exactly these faults: a code, the text that it stands at, and in which points.
#[track_caller]
fn bad(rest: &str, wanted: &[(&str, &str, &str)]) {
    let text = on(rest);
    let swept = read(&[("g.toml", &text), ("good.toml", GOOD)], &[]);
    let points = |p: &str| if p.is_empty() { String::new() } else { format!(" {p}") };
    let wanted: Vec<String> = wanted.iter().map(|(code, at, p)| format!("{} {code}{}", place(&text, at), points(p))).collect();
    assert_eq!(told(&swept), wanted, "\n{}", swept.faults.render(&swept.sources));
    assert!(swept.points.is_empty());
}

#[test]
fn faults_are_told_once_over_all_points() {
    // in all points: no more than that
    bad("[sweep]\nseed = [0, 1, 2]\n[stages.pretrain.nodes.contrast]\ntemprature = 1\n", &[("unknown-setting", "temprature", "")]);
    // in an arm, at its place; the other axis multiplies nothing
    bad(
        "[sweep]\nseed = [0, 1, 2]\nmethod = { a = {}, b = { stages.pretrain.nodes.contrast.temprature = 1 } }\n",
        &[("unknown-setting", "temprature", "with method=b")],
    );
    // in values of a path
    bad(
        "[sweep]\nseed = [0, 1]\n'stages.pretrain.nodes.contrast.temperature' = [0.1, 'warm', -1.0]\n",
        &[("wrong-type", "'warm'", "with temperature=warm"), ("out-of-range", "-1.0", "with temperature=-1.0")],
    );
    // only where two axes meet
    bad("[sweep]\n'stages.pretrain.batch' = [4, 6]\n'stages.pretrain.world' = [2, 4]\n", &[("out-of-range", "4]\n", "in batch=6,world=4")]);
    bad(
        "[sweep]\nseed = [0, 1]\n'stages.pretrain.batch' = [4, 6]\n'stages.pretrain.world' = [2, 4]\n",
        &[("out-of-range", "4]\n", "in 2 of 8 points, the first of them seed=0,batch=6,world=4")],
    );
    // beside what an arm extends and is not there, nothing is told that follows from it
    bad("[sweep]\nmethod = { a = { extends = 'none.toml' }, b = { remove = ['stages.qery'] } }\n", &[("no-file", "'none", "")]);
    bad(
        "[sweep]\nmethod = { a = { name = 'x', sweep = {} }, b = { remove = ['stages.qery'] } }\n",
        &[("bad-sweep", "name = 'x'", ""), ("bad-sweep", "sweep = {", ""), ("remove-missing", "'stages.qery'", "with method=b")],
    );
    // an axis at fault hides no other
    bad(
        "[sweep]\nseed = 3\nname = ['a', 'b']\n'a b' = [1]\n'stages.pretrain.epochs' = [1, 0]\n",
        &[("bad-sweep", "3\n", ""), ("bad-sweep", "name = ['a'", ""), ("bad-path", "'a b'", ""), ("out-of-range", "0]\n", "with epochs=0")],
    );
    // a grid that no one would wait for
    let many: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    bad(&format!("[sweep]\nseed = [{0}]\n'stages.pretrain.epochs' = [{0}]\n", many[1..].join(", ")), &[("bad-sweep", "sweep]", "")]);
}

#[test]
fn points_of_one_structure_differ_in_numbers_only() {
    let text = on("[sweep]\nseed = [0, 1]\n'stages.pretrain.nodes.total.weights.d' = [0.5, 1, false]\n'stages.pretrain.schedule' = [{ kind = 'constant' }, { kind = 'cosine', warm_up = 0.1 }]\n");
    let swept = points(&[("g.toml", &text), ("good.toml", GOOD)], &[]);
    let structures: Vec<&str> = swept.points.iter().map(|p| p.structure.as_str()).collect();
    assert_eq!((structures.len(), structures.iter().collect::<BTreeSet<_>>().len()), (12, 4));
    assert!(structures[0] == structures[2] && structures[0] != structures[4] && structures[0] != structures[1]);
}

/// Stages of two points that are the same, by name.
fn shared(a: &str, b: &str) -> String {
    let of = |text: &str| {
        let swept = points(&[("g.toml", &on(text)), ("good.toml", GOOD)], &[]);
        identities(&swept.points[0].plan, &|_| None)
    };
    let (a, b) = (of(a), of(b));
    a.iter().filter(|(name, id)| b.get(*name) == Some(id)).map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_stage_is_what_it_computes_from() {
    let all = "gallery pretrain query retrieval";
    assert_eq!(shared("", ""), all);
    assert_eq!(shared("", "about = 'another'\n[published]\n'a.b' = { value = 1 }\n"), all);
    // its own text, and what follows from it
    assert_eq!(shared("", "[stages.retrieval.nodes.score]\nk = 2\n"), "gallery pretrain query");
    assert_eq!(shared("", "[stages.query.nodes.video]\nsplit = 'other'\n"), "gallery pretrain");
    assert_eq!(shared("", "[stages.pretrain]\nepochs = 3\n"), "");
    // models and groups that it applies, however deep
    assert_eq!(shared("", "[models.proj]\nwidths = [8, 4]\n"), "");
    let untrained = "[stages.gallery]\nweights = 'initial'\n";
    assert_eq!(shared(untrained, &format!("{untrained}[models.proj]\nwidths = [8, 4]\n")), "gallery query retrieval");
    assert_eq!(shared(untrained, &format!("{untrained}[groups.twice.nodes.view]\nafter = []\n")), "gallery query retrieval");
    assert_eq!(shared(untrained, &format!("{untrained}[groups.base.nodes.crop]\nsize = 8\n")), "");
}

#[test]
fn what_draws_depends_on_the_seed() {
    let drawing = |rest: &str| {
        let swept = points(&[("g.toml", &on(rest)), ("good.toml", GOOD)], &[]);
        let plan = &swept.points[0].plan;
        plan.stages.iter().filter(|s| draws(s)).map(|s| s.name.clone()).collect::<Vec<_>>().join(" ")
    };
    // the good graph's galleries crop at random
    assert_eq!(drawing(""), "pretrain gallery query");
    let whole = "[stages.gallery.nodes]\ncrop = { kind = 'view/normal', in = 'clips.clips' }\n";
    assert_eq!(drawing(whole), "pretrain");
    assert_eq!(drawing(&format!("{whole}[stages.gallery]\nweights = 'initial'\n")), "pretrain gallery query");
    // a bootstrap shows no draw on a port
    let resampled = "[stages.retrieval.nodes]\nagain = { kind = 'evaluate/resample', in = 'score.ranks' }\n";
    assert_eq!(drawing(&format!("{whole}{resampled}")), "pretrain retrieval");
    // what does not draw is the same for all seeds, where what it needs is
    let text = on(&format!("{whole}[stages.gallery]\nweights = {{ encoder = {{ file = 'none.safetensors' }} }}\n[sweep]\nseed = [0, 1]\n"));
    let swept = points(&[("g.toml", &text), ("good.toml", GOOD)], &[]);
    let ids = |p: usize| identities(&swept.points[p].plan, &|_| None);
    let (a, b) = (ids(0), ids(1));
    let same: Vec<&str> = a.iter().filter(|(name, id)| b[*name] == **id).map(|(name, _)| name.as_str()).collect();
    assert_eq!(same, ["gallery", "query", "retrieval"]);
}

#[test]
fn a_set_is_known_by_its_fingerprint() {
    let swept = points(&[("g.toml", GOOD)], &[]);
    let of = |print: &str| identities(&swept.points[0].plan, &|set| (set == "tiny").then(|| print.to_string()));
    assert!(of("a") == of("a") && of("a").iter().all(|(name, id)| of("b")[name] != *id));
}
