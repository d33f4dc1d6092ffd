//! What the language says of stages and passes, as numbers and files: sweeps, files, steering by metrics, parts of the world.

use dv_tests::{packed_set, read, Call, Probe, TINY};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};
use tempfile::TempDir;

/// What is laid behind the tiny graph: retrieval with its features.
const RETRIEVAL: &str = r#"[stages.gallery]
weights   = "learn"
batch     = 3
precision = "fp32"
files     = ["table.rows"]
[stages.gallery.nodes]
video  = { kind = "source/shards", set = "tiny", split = "train01", hold_out = 0, height = 32, width = 32 }
clip   = { kind = "clip/at", in = "video.frames", position = "first", length = 8, stride = 1 }
normal = { kind = "view/normalize", in = "clip.clips", mean = [0.5, 0.5, 0.5], deviation = [0.2, 0.2, 0.2] }
seen   = { apply = "encoder", in = "normal.clips" }
pool   = { kind = "head/global_pool", in = "seen.map" }
table  = { kind = "collect/mean", in = { rows = "pool.features", label = "video.label" }, over = [] }
[stages.query]
extends = "gallery"
[stages.query.nodes.video]
split = "test01"
[stages.retrieval]
files = ["score.ranks", "score.neighbours"]
[stages.retrieval.nodes]
score = { kind = "evaluate/retrieval", in = { gallery = "gallery/table.rows", query = "query/table.rows" }, centre = "each", k = [1, 5] }
"#;

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        packed_set(&dir.path().join("data"), "tiny", (32, 32), 8);
        fs::write(dir.path().join("tiny.toml"), format!("{TINY}{RETRIEVAL}")).unwrap();
        Place(dir)
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    /// A graph that extends the tiny one.
    fn graph(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(&format!("{name}.toml"));
        fs::write(&path, format!("extends = \"tiny.toml\"\nname = \"{name}\"\n{text}")).unwrap();
        path
    }
    fn run(&self, graph: &Path, out: &str) -> Call {
        let call = Call::new("run", graph).path("--data", &self.path("data")).path("--out", &self.path(out));
        call.args(["--threads", "1", "--compute-threads", "2"])
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

fn log(run: &Path) -> Vec<Value> {
    fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn longs(t: &Tensor) -> Vec<i64> {
    Vec::try_from(t.to_kind(Kind::Int64).flatten(0, -1)).unwrap()
}

/// The pretraining that two points share runs once, and each point's folder holds all of it.
#[test]
fn stages_that_are_the_same_in_two_points_run_once() {
    let place = Place::new();
    let graph = place.graph(
        "swept",
        "[sweep]\nseed = [0, 1]\n\"stages.query.nodes.clip.position\" = [\"first\", \"last\"]\n[stages.learn]\nepochs = 1\n",
    );
    let said = place.run(&graph, "sweep").run().done();
    let ran = |stage: &str| said.err.lines().filter(|l| *l == format!("stage {stage}")).count();
    assert_eq!((ran("learn"), ran("gallery"), ran("query"), ran("retrieval")), (2, 2, 4, 4), "{}", said.err);
    let sweep = json(&place.path("sweep/sweep.json"));
    assert_eq!(sweep["axes"], serde_json::json!({"seed": ["0", "1"], "position": ["first", "last"]}));
    let names: Vec<&String> = sweep["points"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["seed=0,position=first", "seed=0,position=last", "seed=1,position=first", "seed=1,position=last"]);
    let learn = |point: usize| &sweep["points"][names[point].as_str()]["stages"]["learn"];
    assert_eq!(learn(1)["point"], "seed=0,position=first");
    assert_eq!(learn(0)["metrics"], learn(1)["metrics"]);
    assert_ne!(learn(0)["metrics"]["loss.loss"], learn(2)["metrics"]["loss.loss"]);
    for name in &names {
        for file in ["checkpoints/learn/00001/models.safetensors", "graph.toml", "files/gallery/table.rows.safetensors"] {
            assert!(place.path("sweep").join(name).join(file).is_file(), "{name}/{file}");
        }
    }
    assert_eq!(said.out.lines().filter(|l| l.starts_with("   ") || l.starts_with("seed")).count(), 5, "{}", said.out);
    assert_eq!(fs::read_to_string(place.path("sweep/table.txt")).unwrap().trim_end().lines().count(), 5);

    // one point alone gives what it gave among the others
    let alone = place.run(&graph, "alone").args(["--point", "seed=1,position=last"]);
    alone.run().done();
    let result = json(&place.path("alone/seed=1,position=last/result.json"));
    assert_eq!(result["stages"]["retrieval"]["metrics"], sweep["points"]["seed=1,position=last"]["stages"]["retrieval"]["metrics"]);
    place
        .run(&graph, "none")
        .args(["--point", "seed=2,position=last"])
        .run()
        .refused(&["no point `seed=2,position=last`", "seed=1,position=last"]);
    assert!(!place.path("none").exists());
    // the run's folder is there: nothing is overwritten
    place.run(&graph, "sweep").run().refused(&["exists", "--out"]);
}

#[test]
fn features_ranks_and_neighbours_are_left_as_files() {
    let place = Place::new();
    place.run(&place.path("tiny.toml"), "run").set(["stages.learn.epochs=1"]).run().done();
    let file = |name: &str| read(&place.path("run/files").join(name));
    let (gallery, query) = (file("gallery/table.rows.safetensors"), file("query/table.rows.safetensors"));
    let names = |t: &Tensor| String::from_utf8(Vec::<u8>::try_from(t).unwrap()).unwrap().split('\0').map(String::from).collect::<Vec<_>>();
    for table in [&gallery, &query] {
        assert_eq!((table["rows"].size(), table["label"].size()), (vec![8, 32], vec![8]));
        assert_eq!((names(&table["samples"]).len(), names(&table["groups"])), (8, names(&table["samples"])));
    }
    // samples are named by the videos' paths
    assert!(names(&gallery["samples"]).iter().all(|path| path.ends_with(".avi") || path.contains('/')));
    assert!(names(&gallery["samples"]).iter().all(|path| !names(&query["samples"]).contains(path)));
    let (ranks, neighbours) = (file("retrieval/score.ranks.safetensors"), file("retrieval/score.neighbours.safetensors"));
    assert_eq!(names(&ranks["samples"]), names(&query["samples"]));
    assert_eq!(names(&neighbours["of"]), names(&gallery["samples"]));

    // the numbers of the table follow from the files
    let unit = |t: &Tensor| {
        let centred = t - t.mean_dim([0i64].as_slice(), true, Kind::Float);
        &centred / centred.norm_scalaropt_dim(2.0, [1i64].as_slice(), true)
    };
    let order = unit(&query["rows"]).matmul(&unit(&gallery["rows"]).transpose(0, 1)).argsort(1, true);
    let kept = neighbours["rows"].size()[1] as usize;
    let wanted: Vec<i64> = longs(&order).chunks(8).flat_map(|row| row[..kept].to_vec()).collect();
    assert_eq!(longs(&neighbours["rows"]), wanted);
    let (labels, own) = (longs(&gallery["label"]), longs(&query["label"]));
    let order = longs(&order);
    let first = |q: usize| order[q * 8..q * 8 + 8].iter().position(|g| labels[*g as usize] == own[q]);
    let ranked = longs(&ranks["rows"]);
    let hits = (0..8).filter(|q| first(*q) == Some(0)).count() as f64 / 8.0;
    for (q, ranked) in ranked.iter().enumerate() {
        if let Some(rank) = first(q) {
            assert_eq!(*ranked, rank as i64, "query {q}");
        }
    }
    assert_eq!(json(&place.path("run/result.json"))["stages"]["retrieval"]["metrics"]["score.top1"], hits);
    // the header says which set the rows are of
    let bytes = fs::read(place.path("run/files/query/table.rows.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    assert_eq!(header["__metadata__"]["set"], "tiny");
    assert_eq!(header["__metadata__"]["fingerprint"], json(&place.path("run/result.json"))["data"]["tiny"]);
}

/// A stage that runs during another steers it: the best checkpoint is the epoch with the best number, the rate falls without a better one.
#[test]
fn metrics_of_a_stage_during_another_steer_it() {
    let place = Place::new();
    let watch = "[stages.learn]\nepochs = 6\nschedule = { kind = \"plateau\", on = \"retrieval/score.top1\", factor = 0.5, patience = 0 }\n\
                 keep = { last = 1, best = \"retrieval/score.top1\", goal = \"highest\" }\n\
                 [stages.gallery]\nduring = { stage = \"learn\", every = 1 }\n[stages.query]\nduring = { stage = \"learn\", every = 1 }\n\
                 [stages.best]\nextends = \"query\"\nremove = [\"during\"]\nweights = { \"*\" = { stage = \"learn\", keep = \"best\" } }\n\
                 [stages.best_gallery]\nextends = \"gallery\"\nremove = [\"during\"]\nweights = { \"*\" = { stage = \"learn\", keep = \"best\" } }\n\
                 [stages.test.nodes]\nscore = { kind = \"evaluate/retrieval\", in = { gallery = \"best_gallery/table.rows\", query = \"best/table.rows\" }, \
                 centre = \"each\", k = [1, 5] }\n";
    let graph = place.graph("steered", watch);
    place.run(&graph, "run").run().done();
    let lines = log(&place.path("run"));
    let of = |stage: &str, key: &str| -> Vec<f64> {
        lines.iter().filter(|l| l["stage"] == stage).filter_map(|l| l["metrics"][key].as_f64().or_else(|| l[key].as_f64())).collect()
    };
    let (scores, rates) = (of("retrieval", "score.top1"), of("learn", "lr").iter().map(|lr| lr / 0.1).collect::<Vec<f64>>());
    assert_eq!((scores.len(), rates.len()), (6, 6), "{lines:?}");
    // patience 0: half the rate after each epoch without a better number
    let (mut best, mut rate) = (f64::NEG_INFINITY, 1.0);
    for epoch in 0..6 {
        assert!((rates[epoch] - rate).abs() < 1e-9, "epoch {}: {rates:?} for {scores:?}", epoch + 1);
        match scores[epoch] > best {
            true => best = scores[epoch],
            false => rate *= 0.5,
        }
    }
    let result = json(&place.path("run/result.json"));
    assert_eq!(result["stages"]["test"]["metrics"]["score.top1"], best);
    assert_eq!(result["stages"]["retrieval"]["metrics"]["score.top1"], scores[5]);
}

/// Random clips of a stage that runs during another are new in each of its epochs; those of one that runs alone are the same in each run.
#[test]
fn draws_of_a_validation_follow_the_epoch_that_it_runs_in() {
    let place = Place::new();
    // nothing moves but the draws
    let still = |clip: &str| {
        format!(
            "[stages.learn]\nepochs = 3\nfrozen = [\"encoder\"]\noptimiser = {{ lr = 1e-30, momentum = 0.0 }}\n\
             [stages.validation]\nbatch = 4\nprecision = \"fp32\"\nweights = \"learn\"\nmetrics = [\"loss.loss\"]\n\
             during = {{ stage = \"learn\", every = 1 }}\n[stages.validation.nodes]\n\
             video = {{ kind = \"source/shards\", set = \"tiny\", split = \"test01\", hold_out = 0, height = 32, width = 32 }}\n\
             clip = {{ {clip}, in = \"video.frames\", length = 8, stride = 1 }}\n\
             normal = {{ kind = \"view/normalize\", in = \"clip.clips\", mean = [0.5, 0.5, 0.5], deviation = [0.2, 0.2, 0.2] }}\n\
             seen = {{ apply = \"encoder\", in = \"normal.clips\" }}\npool = {{ kind = \"head/global_pool\", in = \"seen.map\" }}\n\
             logits = {{ apply = \"head\", in = \"pool.features\" }}\n\
             loss = {{ kind = \"loss/cross_entropy\", in = {{ logits = \"logits.logits\", label = \"video.label\" }} }}\n"
        )
    };
    let losses = |name: &str, clip: &str| -> Vec<f64> {
        let graph = place.graph(name, &format!("remove = [\"stages.gallery\", \"stages.query\", \"stages.retrieval\"]\n{}", still(clip)));
        place.run(&graph, name).run().done();
        let of = |l: &Value| l["metrics"]["loss.loss"].as_f64().filter(|_| l["stage"] == "validation");
        log(&place.path(name)).iter().filter_map(of).collect()
    };
    let fixed = losses("fixed", "kind = \"clip/at\", position = \"first\"");
    assert!(fixed.len() == 3 && fixed.iter().all(|l| *l == fixed[0]), "{fixed:?}");
    let drawn = losses("drawn", "kind = \"clip/random\"");
    assert!(drawn.len() == 3 && drawn[0] != drawn[1] && drawn[1] != drawn[2] && drawn[0] != drawn[2], "{drawn:?}");
}

/// Five of eight rows are left to train on, in batches of four: the last row is dropped and listed, or is a batch of its own. The withheld rows are
/// those that numpy draws.
#[test]
fn withheld_rows_and_the_last_batch() {
    let place = Place::new();
    let part = |part: &str| format!("hold_out = 3\nhold_out_seed = 666\npart = \"{part}\"\n");
    for (name, drop_last, steps) in [("whole", "", 1), ("dropped", "drop_last = true\n", 1), ("kept", "drop_last = false\n", 2)] {
        let text = format!(
            "[stages.learn]\nepochs = 1\n{drop_last}[stages.learn.nodes.video]\n{}[stages.gallery.nodes.video]\n{}\
             [stages.query.nodes.video]\nsplit = \"train01\"\npart = \"rest\"\n[stages.retrieval.nodes.score]\nk = [1]\n",
            part("rest"),
            part("withheld")
        );
        place.run(&place.graph(name, &text), name).run().done();
        let lines = log(&place.path(name));
        let step = lines.iter().find(|l| l["stage"] == "learn" && l["epoch"] == 1 && l.get("step").is_some()).unwrap();
        assert_eq!(step["step"], steps, "{name}");
        let dropped: Vec<usize> = lines.iter().filter_map(|l| Some(l["dropped"].as_array()?.len())).collect();
        assert_eq!(dropped, if steps == 1 { vec![1] } else { vec![] }, "{name}");
        let paths = |stage: &str| {
            let file = read(&place.path(name).join(format!("files/{stage}/table.rows.safetensors")));
            let text = String::from_utf8(Vec::<u8>::try_from(&file["samples"]).unwrap()).unwrap();
            text.split('\0').map(String::from).collect::<Vec<_>>()
        };
        let (withheld, rest) = (paths("gallery"), paths("query"));
        assert_eq!((withheld.len(), rest.len()), (3, 5));
        assert!(withheld.iter().all(|path| !rest.contains(path)));
        // RandomState(666).permutation(8)[:3], in the list's order
        let mut all = [withheld.clone(), rest].concat();
        all.sort();
        let mut drawn = dv_datasets::held_out(8, 3, 666);
        drawn.sort_unstable();
        assert_eq!(drawn.iter().map(|row| all[*row].clone()).collect::<Vec<_>>(), withheld);
    }
}

fn numbers(shape: &[i64], seed: i64) -> Tensor {
    let n: i64 = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|i| ((i * 7919 + seed * 104_729) % 10_007) as f32 / 10_007.0).collect();
    Tensor::from_slice(&values).reshape(shape)
}

#[track_caller]
fn near(a: &Tensor, b: &Tensor) {
    assert_eq!(a.size(), b.size());
    let error = (a - b).abs().max().double_value(&[]) / b.abs().max().double_value(&[]).max(1e-6);
    assert!(error < 1e-4, "relative error {error}");
}

/// `per_rank`: each part of the batch has its own statistics, and the running ones are part 0's. `synced`: all have the batch's.
#[test]
fn batch_norm_of_parts_and_of_the_whole() {
    let place = Place::new();
    let clips = numbers(&[4, 3, 8, 32, 32], 1) * Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0]).reshape([4, 1, 1, 1, 1]);
    let seen = |world: usize, batch_norm: &str, rows: &Tensor| {
        let sets = [format!("stages.learn.world={world}"), format!("stages.learn.batch_norm={batch_norm}")];
        let probe = Probe::new(place.path("tiny.toml"), "learn").set(sets.iter().map(String::as_str)).with(|c| c.args(["--mode", "train"]));
        probe.feed("normal.clips", rows).fetch(["seen.map", "after.encoder/bn1.running_mean"]).values()
    };
    let synced = seen(2, "synced", &clips);
    let whole = seen(1, "synced", &clips);
    let parts = seen(2, "per_rank", &clips);
    let halves = [seen(1, "synced", &clips.narrow(0, 0, 2)), seen(1, "synced", &clips.narrow(0, 2, 2))];
    let mean = "after.encoder/bn1.running_mean";
    near(&synced["seen.map"], &whole["seen.map"]);
    near(&synced[mean], &whole[mean]);
    near(&parts["seen.map"], &Tensor::cat(&[&halves[0]["seen.map"], &halves[1]["seen.map"]], 0));
    near(&parts[mean], &halves[0][mean]);
    assert!((&parts["seen.map"] - &whole["seen.map"]).abs().max().double_value(&[]) > 1e-2);
}

/// One pass an item is as many applications in order; one pass for all is another thing in training.
#[test]
fn passes_an_item_are_passes_in_order() {
    let place = Place::new();
    let nodes = |seen: &str| {
        format!(
            "remove = [\"stages.learn.nodes.seen\", \"stages.learn.nodes.pool\"]\n[stages.learn.nodes]\n\
             late  = {{ kind = \"clip/at\", in = \"video.frames\", position = \"last\", length = 8, stride = 1 }}\n\
             later = {{ kind = \"view/normalize\", in = \"late.clips\", mean = [0.5, 0.5, 0.5], deviation = [0.2, 0.2, 0.2] }}\n{seen}"
        )
    };
    let stack = |passes: &str| {
        nodes(&format!(
            "both = {{ kind = \"batch/stack\", axis = \"view\", in = [\"later.clips\", \"normal.clips\"] }}\n\
             seen = {{ apply = \"encoder\", in = \"both.clips\"{passes} }}\n\
             pool = {{ kind = \"head/global_pool\", in = \"seen.map[0]\" }}\n"
        ))
    };
    let apart = nodes(
        "seen  = { apply = \"encoder\", in = \"later.clips\" }\n\
         first = { apply = \"encoder\", in = \"normal.clips\", after = \"seen\" }\n\
         maps  = { kind = \"batch/stack\", axis = \"view\", in = [\"seen.map\", \"first.map\"] }\n\
         pool  = { kind = \"head/global_pool\", in = \"maps.clips[0]\" }\n",
    );
    let (a, b) = (numbers(&[4, 3, 8, 32, 32], 2), numbers(&[4, 3, 8, 32, 32], 3) * 2.0);
    let seen = |name: &str, text: &str, maps: &[&str]| {
        let probe = Probe::new(place.graph(name, text), "learn").with(|c| c.args(["--mode", "train"]));
        let fetch = maps.iter().copied().chain(["after.encoder/bn1.running_var"]);
        probe.feed("later.clips", &a).feed("normal.clips", &b).fetch(fetch).values()
    };
    let each = seen("each", &stack(", passes = \"view\""), &["seen.map"]);
    let all = seen("all", &stack(""), &["seen.map"]);
    let two = seen("two", &apart, &["seen.map", "first.map"]);
    let variance = "after.encoder/bn1.running_var";
    near(&each["seen.map"], &Tensor::stack(&[&two["seen.map"], &two["first.map"]], 1));
    near(&each[variance], &two[variance]);
    assert!((&each["seen.map"] - &all["seen.map"]).abs().max().double_value(&[]) > 1e-2);
    assert!((&each[variance] - &all[variance]).abs().max().double_value(&[]) > 1e-3);
}

/// A node that is added somewhere else changes no clip, no draw and no weight of the others.
#[test]
fn what_is_added_changes_nothing_of_the_rest() {
    let place = Place::new();
    let random = "[stages.learn.nodes]\nclip = { kind = \"clip/random\", in = \"video.frames\", length = 8, stride = 2 }\n\
                  crop = { kind = \"view/random_crop\", in = \"clip.clips\", size = 24 }\n\
                  normal = { in = \"crop.clips\" }\n";
    let more = "[models.another]\nkind = \"head/linear\"\nclasses = 12\n[stages.learn.nodes]\n\
                a_clip  = { kind = \"clip/random\", in = \"video.frames\", length = 8, stride = 1 }\n\
                a_crop  = { kind = \"view/random_crop\", in = \"a_clip.clips\", size = 24 }\n\
                a_norm  = { kind = \"view/normalize\", in = \"a_crop.clips\", mean = [0.5, 0.5, 0.5], deviation = [0.2, 0.2, 0.2] }\n\
                another = { apply = \"another\", in = \"pool.features\" }\n\
                second  = { kind = \"loss/cross_entropy\", in = { logits = \"another.logits\", label = \"video.label\" } }\n\
                a_seen  = { apply = \"encoder\", in = \"a_norm.clips\", after = \"seen\" }\n\
                a_pool  = { kind = \"head/global_pool\", in = \"a_seen.map\" }\n\
                a_guess = { apply = \"head\", in = \"a_pool.features\" }\n\
                third   = { kind = \"loss/cross_entropy\", in = { logits = \"a_guess.logits\", label = \"video.label\" } }\n\
                total   = { kind = \"loss/sum\", in = { a = \"loss.loss\", b = \"second.loss\", c = \"third.loss\" }, weights = { a = 1.0, b = 1.0, c = 1.0 } }\n\
                [stages.learn]\nminimise = \"total.loss\"\n[stages.before]\nextends = \"gallery\"\nweights = \"initial\"\n";
    let one = place.graph("one", random);
    let both = place.path("two.toml");
    fs::write(&both, format!("extends = \"one.toml\"\nname = \"another_name\"\n{more}")).unwrap();
    let names = ["video.index", "clip.clips", "crop.offset", "normal.clips", "seen.map", "logits.logits", "loss.loss", "after.head/weight"];
    let values = |graph: &Path| {
        let probe = Probe::new(graph, "learn").with(|c| c.path("--data", &place.path("data")).args(["--mode", "train"]));
        probe.fetch(names).values()
    };
    let (a, b) = (values(&one), values(&both));
    for name in names {
        assert!(a[name] == b[name], "{name} differs");
    }
    let offsets = longs(&a["crop.offset"]);
    assert!(offsets.iter().any(|o| *o != offsets[0]), "no draw at all: {offsets:?}");
    // and so does the seed
    let other =
        Probe::new(&one, "learn").set(["seed=1"]).with(|c| c.path("--data", &place.path("data"))).fetch(["after.head/weight"]).values();
    assert!(other["after.head/weight"] != a["after.head/weight"]);
}
