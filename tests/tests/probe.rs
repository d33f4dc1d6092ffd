//! `dv probe` as who ports a method uses it: any edge fed, any edge asked for.

use dv_tests::{graph, read, write, Call, Probe};
use tch::{Kind, Tensor};

/// Small sizes for the paper's graph.
const SMALL: [&str; 4] =
    ["values={length=8,stride=2,size=32}", "models.encoder.width=16", "stages.pretrain.batch=4", "stages.pretrain.world=1"];

fn pretrain() -> Probe {
    Probe::new(graph("ucf_r3d.toml"), "pretrain").set(SMALL)
}

/// Numbers without a pattern, the same at every call.
fn numbers(shape: &[i64], seed: i64) -> Tensor {
    let n: i64 = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|i| (((i * 7919 + seed * 104_729) % 10_007) as f32 / 10_007.0).fract()).collect();
    Tensor::from_slice(&values).reshape(shape)
}

fn clips(seed: i64) -> Tensor {
    numbers(&[3, 3, 8, 32, 32], seed)
}

#[track_caller]
fn near(a: &Tensor, b: &Tensor) {
    assert_eq!(a.size(), b.size());
    let scale = b.abs().max().double_value(&[]).max(1e-6);
    let error = (a - b).abs().max().double_value(&[]) / scale;
    assert!(error < 1e-4, "relative error {error}");
}

/// An output is fed for all its readers, an input for one node; with item axes either has them.
#[test]
fn outputs_and_inputs_are_fed() {
    let views = Tensor::stack(&[clips(0), clips(1), clips(2)], 1);
    let by_output = pretrain().feed("views.clips", &views).fetch(["seen.map", "clip.features"]).values();
    assert_eq!(by_output["seen.map"].size()[..3], [3, 3, 128]);
    let by_input = pretrain().feed("seen.clips", &views).fetch(["seen.map", "clip.features"]).values();
    for name in ["seen.map", "clip.features"] {
        assert!(by_output[name] == by_input[name], "{name}");
    }
    let parts = pretrain()
        .feed("view_0.clips", &clips(0))
        .feed("view_1.clips", &clips(1))
        .feed("view_2.clips", &clips(2))
        .fetch(["views.clips", "seen.map"])
        .values();
    assert!(parts["views.clips"] == views && parts["seen.map"] == by_output["seen.map"]);
}

/// A draw is fed like any output; where rows take branches, each row keeps its own.
#[test]
fn draws_are_fed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("graph.toml");
    let upper = graph("ucf_r3d.toml");
    let text = format!(
        "extends = \"{}\"\nremove = [\"groups.base.nodes.jitter\", \"groups.base.nodes.blur\"]\nname = \"draws\"\n\
         [groups.base.nodes.normal]\nin = \"crop.clips\"\n[stages.pretrain.nodes.video]\nheight = 48\nwidth = 40\n",
        upper.display()
    );
    std::fs::write(&path, text).unwrap();
    let frames = (numbers(&[4, 3, 8, 48, 40], 3) * 255).to_kind(Kind::Uint8);
    let offsets = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5, 6, 7]).reshape([4, 2]);
    let found = Probe::new(&path, "pretrain")
        .set(SMALL)
        .feed("pair.first", &frames)
        .feed("plain_0/crop.offset", &offsets)
        .feed("base_0/crop.offset", &offsets)
        .feed("view_0.choice", &Tensor::from_slice(&[1i64, 0, 1, 0]))
        .fetch(["view_0.clips"])
        .values();
    let mean = Tensor::from_slice(&[0.485f32, 0.456, 0.406]).reshape([3, 1, 1, 1]);
    let deviation = Tensor::from_slice(&[0.229f32, 0.224, 0.225]).reshape([3, 1, 1, 1]);
    for row in 0..4 {
        let (top, left) = (2 * row, 2 * row + 1);
        let crop = frames.get(row).narrow(2, top, 32).narrow(3, left, 32).to_kind(Kind::Float) / 255;
        near(&found["view_0.clips"].get(row), &((crop - &mean) / &deviation));
    }
}

/// The gradient of an edge that is fed, against differences of the loss.
#[test]
fn gradients() {
    let features = numbers(&[4, 3, 128], 9) - 0.5;
    let series = numbers(&[4, 3, 2, 64], 8) - 0.5;
    let items = numbers(&[4, 2, 64], 7) - 0.5;
    let probe = |features: &Tensor| {
        let probe = pretrain().with(|c| c.args(["--mode", "train"]));
        probe.feed("clip.features", features).feed("series.series", &series).feed("restored.items", &items).fetch(["total.loss"])
    };
    let found = probe(&features).gradients(["clip.features", "restored.items"]).values();
    let gradient = &found["grad.clip.features"];
    let step = 1e-2;
    let at = [1i64, 0, 5];
    let moved = |by: f64| {
        let other = features.copy();
        let mut one = other.get(at[0]).get(at[1]).narrow(0, at[2], 1);
        one += by;
        probe(&other).values()["total.loss"].double_value(&[])
    };
    let slope = (moved(step) - moved(-step)) / (2.0 * step);
    let exact = gradient.double_value(&at);
    assert!((slope - exact).abs() < 2e-2 * exact.abs().max(0.05), "{slope} {exact}");
}

/// Nothing is computed that is not asked for, and each fetched value stands under its text.
#[test]
fn only_what_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in.safetensors");
    let map = numbers(&[2, 3, 128, 1, 2, 2], 1);
    write(&file, [("map", &map)].into_iter());
    let out = dir.path().join("out.safetensors");
    let feed = format!("seen.map={}#map", file.display());
    let call = Call::new("probe", graph("ucf_r3d.toml")).set(SMALL).args(["--stage", "pretrain", "--feed", &feed]);
    call.args(["--fetch", "clip.features", "series.series"]).path("--out", &out).run().done();
    let found = read(&out);
    let mut names: Vec<&str> = found.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["clip.features", "series.series"]);
    assert_eq!(found["clip.features"].size(), [2, 3, 128]);
    assert_eq!(found["series.series"].size(), [2, 3, 2, 64]);
}
