//! A small library of kinds without libtorch, a graph over it, and a way to check texts.
#![allow(dead_code)]

mod kinds;
mod wrong;

use dv_graph::check::{check, Checked};
use dv_graph::kind::{Entry, Library};
use dv_graph::merge::Setting;
use kinds::*;
use wrong::*;

pub static ENTRIES: &[Entry] = &[
    Entry::source::<Source_>(),
    Entry::sample::<Pair>(),
    Entry::sample::<Several>(),
    Entry::sample::<Fail>(),
    Entry::both::<Crop>(),
    Entry::both::<Order>(),
    Entry::batch::<Shuffle>(),
    Entry::batch::<Shares>(),
    Entry::batch::<Normal>(),
    Entry::batch::<Choose>(),
    Entry::batch::<Stack>(),
    Entry::model::<Backbone>(Backbone::sketch),
    Entry::model::<Head>(Head::sketch),
    Entry::batch::<Contrast>(),
    Entry::batch::<Against>(),
    Entry::register::<Ring>(),
    Entry::register::<Found>(),
    Entry::batch::<Stop>(),
    Entry::batch::<Sum>(),
    Entry::batch::<Right>(),
    Entry::batch::<Mean>(),
    Entry::batch::<Score>(),
    Entry::batch::<Compare>(),
    Entry::batch::<Resample>(),
    Entry::batch::<WrongNode>(),
];

static WRONG: &[Entry] = &[Entry::model::<WrongModel>(WrongModel::sketch), Entry::register::<WrongRegister>()];

pub fn library() -> Library {
    Library::new(ENTRIES)
}

/// The same with a model and a register that are wrong in themselves.
pub fn wrong_library() -> Library {
    Library::new(ENTRIES.iter().chain(WRONG))
}

/// Checks `files`, of which the first is the graph, with `--set` texts.
pub fn checked(files: &[(&str, &str)], sets: &[&str]) -> Checked {
    checked_by(&library(), files, sets)
}

pub fn checked_by(library: &Library, files: &[(&str, &str)], sets: &[&str]) -> Checked {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap_or_else(|| panic!("{s}"))).collect();
    check(&dir.path().join(files[0].0), &sets, library, None)
}

/// The faults as `line:column code`, in the order of the text; notes left out.
pub fn faults(checked: &Checked) -> Vec<String> {
    let mut list: Vec<_> = checked.faults.iter().filter(|f| !f.note).map(|f| (f.at, f.code)).collect();
    list.sort();
    list.into_iter()
        .map(|(at, code)| {
            let (line, column) = checked.sources.line_column(at);
            format!("{line}:{column} {code}")
        })
        .collect()
}

pub fn rendered(checked: &Checked) -> String {
    checked.faults.render(&checked.sources)
}

/// Every part replaced, each of which must be there once.
pub fn edited(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_string(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "`{from}` in\n{text}");
        text.replace(from, to)
    })
}

/// `line:column` of the first `marker`.
pub fn place(text: &str, marker: &str) -> String {
    let at = text.find(marker).unwrap_or_else(|| panic!("no `{marker}` in\n{text}"));
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    format!("{}:{}", before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

/// A graph of four stages without fault.
pub const GOOD: &str = r#"schema = 1
name   = "good"
about  = "two views, one head"
seed   = 0

[values]
length = 4
size   = 16

[models.encoder]
kind  = "backbone/tiny"
width = 8
names = "encoder_q.0"
[models.proj]
kind   = "head/linear"
widths = [8, 6]
names  = ["encoder_q.2", "encoder_q.4"]

[groups.base]
in  = ["clips"]
out = { clips = "normal.clips" }
[groups.base.nodes]
crop   = { kind = "view/crop", in = "in.clips", size = "$size" }
normal = { kind = "view/normal", in = "crop.clips" }
[groups.twice]
in  = ["clips"]
out = { clips = "view.clips" }
[groups.twice.nodes]
view = { apply = "base", in = "in.clips" }

[stages.pretrain]
epochs     = 2
batch      = 4
world      = 2
batch_norm = "synced"
precision  = "fp32"
minimise   = "total.loss"
metrics    = ["contrast.top1"]
optimiser  = { kind = "sgd", lr = 0.1, momentum = 0.9, weight_decay = 0.0 }
schedule   = { kind = "constant" }
keep       = { last = 1 }
[stages.pretrain.nodes]
video    = { kind = "source/set", set = "tiny", split = "train", height = 24, width = 20 }
pair     = { kind = "clip/pair", in = "video.frames", length = "$length" }
view_0   = { apply = "base", in = "pair.first" }
view_1   = { apply = "twice", in = "pair.second" }
plain    = { kind = "view/normal", in = "small.clips" }
small    = { kind = "view/crop", in = "pair.first", size = "$size" }
view_2   = { kind = "view/choose", in = { base = "view_0.clips", plain = "plain.clips" }, odds = { base = 0.8, plain = 0.2 } }
order    = { kind = "order/draw", items = 4 }
mixed    = { kind = "order/shuffle", in = { clips = "view_1.clips", order = "order.order" } }
views    = { kind = "batch/stack", axis = "view", in = { v0 = "view_1.clips", v1 = "view_2.clips" } }
seen     = { apply = "encoder", in = "views.clips" }
cut      = { apply = "encoder", in = "mixed.clips", after = "seen" }
clip     = { apply = "proj", in = "seen.map" }
other    = { apply = "proj", in = "cut.map" }
contrast = { kind = "loss/contrast", in = { a = "clip.features[v0]", b = "clip.features[v1]" }, temperature = 0.1 }
coherent = { kind = "loss/contrast", in = { a = "clip.features[v0]", b = "other.features" }, temperature = 0.1 }
total    = { kind = "loss/sum", in = { c = "contrast.loss", d = "coherent.loss" }, weights = { c = 1.0, d = 0.5 } }

[stages.gallery]
weights   = "pretrain"
batch     = 3
precision = "fp32"
[stages.gallery.nodes]
video = { kind = "source/set", set = "tiny", split = "train", height = 24, width = 20 }
clips = { kind = "clip/several", in = "video.frames", clips = 3, length = "$length" }
crop  = { apply = "base", in = "clips.clips" }
seen  = { apply = "encoder", in = "crop.clips" }
table = { kind = "collect/mean", in = { rows = "seen.map", label = "video.label" }, over = ["clip"] }

[stages.query]
extends = "gallery"
[stages.query.nodes.video]
split = "test"

[stages.retrieval.nodes]
score = { kind = "evaluate/score", in = { gallery = "gallery/table.rows", query = "query/table.rows" }, k = 1 }
"#;
