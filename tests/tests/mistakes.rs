//! What people do wrong, and what dv says: status 1, the place, what was expected, the nearest name.

use dv_tests::{graph, packed_set, Call, Probe, Said};
use std::fs;
use tch::{Kind, Tensor};

/// A graph without fault, small enough to read.
const GOOD: &str = r#"schema = 1
name   = "good"
about  = "clip contrast on a small network"
seed   = 0

[values]
length = 8
stride = 2
size   = 32

[models.encoder]
kind  = "backbone/r3d"
width = 16
[models.clip_head]
kind   = "head/projection"
widths = [32, 16]

[groups.plain]
in  = ["clips"]
out = { clips = "normal.clips" }
[groups.plain.nodes]
crop   = { kind = "view/random_crop", in = "in.clips", size = "$size" }
normal = { kind = "view/normalize", in = "crop.clips", mean = [0.5, 0.5, 0.5], deviation = [0.2, 0.2, 0.2] }

[stages.pretrain]
epochs     = 1
batch      = 4
world      = 1
batch_norm = "synced"
precision  = "fp32"
minimise   = "contrast.loss"
metrics    = ["contrast.top1"]
optimiser  = { kind = "sgd", lr = 0.01, momentum = 0.9, weight_decay = 1e-4 }
schedule   = { kind = "constant" }
keep       = { last = 1 }
[stages.pretrain.nodes]
video    = { kind = "source/shards", set = "tiny", split = "train01", hold_out = 0, height = 48, width = 40 }
pair     = { kind = "clip/stage_prototype", in = "video.frames", length = "$length", stride = "$stride", time_flip = 0.5 }
view_0   = { apply = "plain", in = "pair.first" }
view_1   = { apply = "plain", in = "pair.second" }
views    = { kind = "batch/stack", axis = "view", in = { v0 = "view_0.clips", v1 = "view_1.clips" } }
seen     = { apply = "encoder", in = "views.clips" }
clip     = { apply = "clip_head", in = "seen.map" }
contrast = { kind = "loss/nt_xent", in = { a = "clip.features[v0]", b = "clip.features[v1]" }, temperature = 0.07, gradient = "exact" }
"#;

/// The text with one part replaced, which must be there once.
fn edited(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(GOOD.to_string(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "`{from}`");
        text.replace(from, to)
    })
}

/// `dv check` of a text, as the file graph.toml.
fn check(text: &str) -> Said {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("graph.toml");
    fs::write(&path, text).unwrap();
    Call::new("check", path).run()
}

/// Where the first `marker` of a text stands, as a fault tells it.
fn place(text: &str, marker: &str) -> String {
    let at = text.find(marker).unwrap_or_else(|| panic!("no `{marker}`"));
    let line = text[..at].matches('\n').count() + 1;
    let column = at - text[..at].rfind('\n').map_or(0, |n| n + 1) + 1;
    format!("graph.toml:{line}:{column}: error")
}

/// One change: the fault stands at the marker, is the only one, and says the words.
#[track_caller]
fn fault(from: &str, to: &str, marker: &str, words: &[&str]) {
    let text = edited(&[(from, to)]);
    let said = check(&text).refused(&[&place(&text, marker)]).refused(words);
    assert_eq!(said.err.matches(": error[").count(), 1, "{}", said.err);
    assert!(said.err.contains("graph.toml: 1 error") && said.err.contains("^"), "{}", said.err);
}

#[test]
fn the_graph_itself_is_good() {
    check(GOOD).done().never_says(&["error["]);
}

#[test]
fn misspelt_names() {
    fault("loss/nt_xent", "loss/nt_xnet", "\"loss/nt_xnet", &["no kind `loss/nt_xnet`", "did you mean `loss/nt_xent`?"]);
    fault("backbone/r3d", "backbone/r3", "\"backbone/r3\"", &["no model kind", "did you mean `backbone/r3d`?"]);
    fault("temperature", "temprature = 0.1, temperature", "temprature", &["no setting `temprature`", "did you mean `temperature`?"]);
    fault("clip.features[v0]", "clip.feature[v0]", "\"clip.feature[", &["no output `feature`", "did you mean `features`?"]);
    fault("\"seen.map\"", "\"sen.map\"", "\"sen.map", &["no node `sen`", "did you mean `seen`?"]);
    fault("clip.features[v1]", "clip.features[v2]", "\"clip.features[v2]", &["no item `v2`", "did you mean"]);
    // that nothing reads the value that was meant is not told as well
    let text = edited(&[("\"$stride\"", "\"$strid\"")]);
    let said = check(&text).refused(&[&place(&text, "\"$strid\""), "no value `strid`", "did you mean `stride`?"]);
    assert!(said.err.contains("graph.toml: 1 error\n"), "{}", said.err);
    fault("apply = \"clip_head\"", "apply = \"clip_haed\"", "\"clip_haed", &["no model or group `clip_haed`", "`clip_head`"]);
    fault("minimise   = \"contrast.loss\"", "minimise   = \"contrast.los\"", "\"contrast.los\"", &["did you mean `loss`?"]);
    let text = edited(&[("{ a = \"clip", "{ aa = \"clip")]);
    check(&text).refused(&[&place(&text, "aa ="), "no input `aa`", "did you mean `a`?"]).never_says(&["needs the input"]);
    fault("kind = \"constant\"", "kind = \"constnat\"", "\"constnat", &["no schedule `constnat`", "did you mean `constant`?"]);
    fault("batch      = 4", "bacth      = 4\nbatch = 4", "bacth", &["no setting `bacth`", "did you mean `batch`?"]);
}

#[test]
fn wrong_values() {
    fault("temperature = 0.07", "temperature = \"warm\"", "\"warm\"", &["`temperature`", "warm"]);
    fault("temperature = 0.07", "temperature = 0.0", "0.0, grad", &["`temperature`", "above 0"]);
    fault("widths = [32, 16]", "widths = 32", "32\n\n[groups", &["`widths`"]);
    fault("gradient = \"exact\"", "gradient = \"exakt\"", "\"exakt\"", &["exact", "published"]);
    fault("seed   = 0", "seed   = \"zero\"", "\"zero\"", &["`seed`", "integer"]);
    fault("world      = 1", "world      = 3", "3\nbatch_norm", &["must divide the batch"]);
    fault("lr = 0.01", "lr = -0.01", "-0.01", &["`lr`", "above 0"]);
    fault("name   = \"good\"", "name   = \"Very Good\"", "\"Very Good\"", &["a-z, 0-9 and _"]);
}

#[test]
fn what_is_missing() {
    fault(", b = \"clip.features[v1]\"", "", "contrast = {", &["needs the input `b`"]);
    fault(", temperature = 0.07", "", "contrast = {", &["needs `temperature`", "temperature:"]);
    fault("batch_norm = \"synced\"\n", "", "pretrain]", &["needs `batch_norm`"]);
    fault("precision  = \"fp32\"\n", "", "pretrain]", &["needs `precision`"]);
    fault("seed   = 0", "seed   = 0\nsed = 1", "sed = 1", &["no `sed`", "did you mean `seed`?"]);
}

/// A fault of one node is no fault of those that it reads, or that read it, in whichever stage.
#[test]
fn one_fault_is_told_as_one() {
    for (from, to) in [
        ("kind = \"evaluate/retrieval\"", "kind = \"evaluate/retreival\""),
        ("centre = \"each\"", "centre = \"eech\""),
        ("kind = \"collect/mean\"", "kind = \"collect/meen\""),
        ("over = [\"clip\"]", "ower = [\"clip\"], over = [\"clip\"]"),
        ("\"gallery/table.rows\"", "\"gallery/table.row\""),
        ("\"gallery/table.rows\"", "\"gallery/tabel.rows\""),
        ("widths = [512, 128]", "width = [512, 128]\nwidths = [512, 128]"),
        ("kind    = \"loss/sum\"", "kind    = \"loss/some\""),
        ("kind = \"view/choose\"", "kind = \"view/chose\""),
        ("stage_prototype\", in", "stage_prototype\", fps = 3, in"),
        ("odds = { plain = 0.2, base = 0.8 }", "odds = { plain = -0.2, base = 0.1 }"),
        ("odds = { plain = 0.2, base = 0.8 }", "odds = { plain = 0.2, bse = 0.8 }"),
        ("odds = { plain = 0.2, base = 0.8 }", "odds = { plain = 0.0, base = 0.0 }"),
        ("name   = \"ucf_r3d\"", "name   = \"ucf_r3d"),
    ] {
        let text = fs::read_to_string(graph("ucf_r3d.toml")).unwrap();
        assert_eq!(text.matches(from).count(), 1, "`{from}` in ucf_r3d.toml");
        let said = check(&text.replace(from, to)).refused(&[]);
        assert_eq!(said.err.matches(": error[").count(), 1, "{to}:\n{}", said.err);
    }
}

#[test]
fn edges_that_lead_wrong() {
    // bytes of a video where features are wanted
    fault("in = \"seen.map\"", "in = \"video.frames\"", "\"video.frames\" }\ncontrast", &["takes float", "video"]);
    fault("a = \"clip.features[v0]\"", "a = \"clip.features\"", "\"clip.features\"", &["no item axis", "`view`", "[v0]"]);
    fault("in = \"views.clips\"", "in = \"clip.features\"", "clip     = {", &["cycle", "`seen`", "`clip`"]);
    fault("metrics    = [\"contrast.top1\"]", "metrics    = [\"contrast.logits\"]", "[\"contrast.logits", &["takes a scalar"]);
    fault(
        "contrast = {",
        "alone    = { kind = \"view/center_crop\", in = \"pair.first\", size = 16 }\ncontrast = {",
        "alone ",
        &["`alone` reaches no loss, metric or table", "remove it"],
    );
    fault(
        "[groups.plain]",
        "[models.spare]\nkind = \"head/linear\"\nclasses = 3\n\n[groups.plain]",
        "spare]",
        &["no node applies the model `spare`"],
    );
}

/// Two passes of one encoder, each of which moves the running statistics.
#[test]
fn two_passes_need_an_order() {
    let two = [
        ("seen     = { apply = \"encoder\", in = \"views.clips\" }", "seen = { apply = \"encoder\", in = \"view_0.clips\" }"),
        ("views    = { kind = \"batch/stack\", axis = \"view\", in = { v0 = \"view_0.clips\", v1 = \"view_1.clips\" } }", ""),
        ("clip     =", "cut = { apply = \"encoder\", in = \"view_1.clips\" }\nother = { apply = \"clip_head\", in = \"cut.map\" }\nclip ="),
        ("clip.features[v0]", "clip.features"),
        ("clip.features[v1]", "other.features"),
    ];
    let text = edited(&two);
    check(&text).refused(&[&place(&text, "cut = "), "error[needs-after]", "`seen` and `cut`", "`encoder`", "after = \"seen\""]);
    check(&text.replace("in = \"view_1.clips\" }\nother", "in = \"view_1.clips\", after = \"seen\" }\nother")).done();
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let text = edited(&[
        ("loss/nt_xent", "loss/nt_xnet"),
        ("width = 16", "widht = 16"),
        ("time_flip = 0.5", "time_flip = 1.5"),
        ("hold_out = 0", "hold_out = \"none\""),
        ("epochs     = 1", "epochs     = 0"),
        ("kind = \"constant\"", "kind = \"constnat\""),
    ]);
    let places = ["\"loss/nt_xnet", "widht", "1.5", "\"none\"", "0\nbatch", "\"constnat"].map(|marker| place(&text, marker));
    let said = check(&text).refused(&places.each_ref().map(String::as_str));
    // in the order of the file
    let lines: Vec<usize> = said
        .err
        .lines()
        .filter(|l| l.contains(": error["))
        .map(|l| l.split("graph.toml:").nth(1).unwrap().split(':').next().unwrap().parse().unwrap())
        .collect();
    assert!(lines.len() >= 6 && lines.is_sorted(), "{}", said.err);
}

#[test]
fn syntax_and_files() {
    let text = edited(&[("batch      = 4", "batch      = = 4"), ("width = 16", "width = ")]);
    check(&text).refused(&["graph.toml:13:9", "graph.toml:27:14", "error[syntax]"]).never_says(&["`batch`", "`width`"]);
    let dir = tempfile::tempdir().unwrap();
    let said = Call::new("check", dir.path()).run().refused(&["it is a folder"]);
    assert!(said.err.contains(dir.path().to_str().unwrap()));
    Call::new("check", dir.path().join("none.toml")).run().refused(&["none.toml", "cannot read"]);
    let path = dir.path().join("graph.toml");
    fs::write(&path, "extends = \"base.toml\"\nname = \"g\"\n").unwrap();
    Call::new("check", &path).run().refused(&["graph.toml:1:11: error[no-file]", "base.toml"]);
    // a fault of the upper file stands there
    fs::write(dir.path().join("base.toml"), edited(&[("loss/nt_xent", "loss/nt_xnet")])).unwrap();
    let said = Call::new("check", &path).run().refused(&["base.toml:", "did you mean `loss/nt_xent`?"]);
    assert_eq!(said.err.matches(": error[").count(), 1, "{}", said.err);
    fs::write(&path, "extends = \"graph.toml\"\nname = \"g\"\n").unwrap();
    Call::new("check", &path).run().refused(&["graph.toml:1:11", "extends itself"]);
    fs::write(&path, "extends = \"base.toml\"\nremove = [\"models.clip_haed\"]\nname = \"g\"\n").unwrap();
    Call::new("check", &path).run().refused(&["graph.toml:2:11", "did you mean `clip_head`?"]);
    fs::write(&path, b"name = \"\xff\"\n").unwrap();
    Call::new("check", &path).run().refused(&["graph.toml"]);
    // several graphs: each is told of
    fs::write(dir.path().join("good.toml"), GOOD).unwrap();
    let both = Call::new("check", dir.path().join("good.toml")).arg(path.to_str().unwrap()).run().refused(&[]);
    assert!(both.out.contains("good.toml: ok"), "{}", both.out);
}

/// Sets that are not what the graph reads, with the place that asks for them.
#[test]
fn sets_that_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    packed_set(&dir.path().join("data"), "tiny", (48, 40), 4);
    let with = |changes: &[(&str, &str)], words: &[&str]| {
        let text = edited(changes);
        let path = dir.path().join("graph.toml");
        fs::write(&path, &text).unwrap();
        let call = |verb: &str| Call::new(verb, &path).path("--data", &dir.path().join("data"));
        if words.is_empty() {
            call("check").run().done();
            return;
        }
        let place = place(&text, "video    =");
        let words: Vec<&str> = words.iter().copied().chain([place.as_str()]).collect();
        call("check").run().refused(&words);
        call("run").path("--out", &dir.path().join("run")).run().refused(&words);
    };
    with(&[], &[]);
    with(&[("height = 48, width = 40", "height = 40, width = 48")], &["48 high and 40 wide", "40 high and 48 wide"]);
    with(&[("\"train01\"", "\"train02\"")], &["no split `train02`", "train01", "test01"]);
    with(&[("\"tiny\"", "\"tinny\"")], &["no packed set `tinny`", "dv pack"]);
    with(&[("hold_out = 0", "hold_out = 4, hold_out_seed = 666, part = \"rest\"")], &["leaves nothing"]);
    // held-out rows of no known draw
    let text = edited(&[("hold_out = 0", "hold_out = 4")]);
    check(&text).refused(&["`hold_out_seed`", "`part`", &place(&text, "4, height = 48")]);
    // a crop that is larger than the frames
    let text = edited(&[("size   = 32", "size   = 64")]);
    check(&text).refused(&["`view_0/crop`", "64"]);
}

#[test]
fn probes_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("graph.toml");
    fs::write(&path, GOOD).unwrap();
    let clips = Tensor::zeros([2, 3, 8, 32, 32], (Kind::Float, tch::Device::Cpu));
    let probe = || Probe::new(&path, "pretrain");
    probe().said().refused(&["--fetch", "--grad"]);
    probe().feed("view_0.clips", &clips).fetch(["seen.mapp"]).said().refused(&["`seen.mapp`", "did you mean `seen.map`?"]);
    probe().fetch(["after.encoder/conv1.wieght"]).said().refused(&["no parameter or buffer `encoder/conv1.wieght`"]);
    Probe::new(&path, "pretrian").fetch(["seen.map"]).said().refused(&["no stage `pretrian`", "pretrain"]);
    let small = Tensor::zeros([2, 3, 8, 32, 16], (Kind::Float, tch::Device::Cpu));
    probe().feed("view_0.clips", &small).fetch(["seen.map"]).said().refused(&["--feed view_0.clips", "[2, 3, 8, 32, 16]"]);
    let other = Tensor::zeros([3, 3, 8, 32, 32], (Kind::Float, tch::Device::Cpu));
    let both = probe().feed("view_0.clips", &clips).feed("view_1.clips", &other);
    both.fetch(["seen.map"]).said().refused(&["--feed view_1.clips", "3 rows"]);
    // half of what is needed is fed, and there are no videos for the rest
    probe().feed("view_0.clips", &clips).fetch(["seen.map"]).said().refused(&["no packed set `tiny`"]);
    let weights =
        [("encoder/conv1.temporal_spatial_conv.weight".to_string(), clips.shallow_clone()), ("odd".to_string(), clips.shallow_clone())];
    probe().weights(&weights[1..].iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect()).fetch(["seen.map"]).said().refused(&[
        "do not match the graph",
        "encoder/bn1.weight",
        "odd",
    ]);
    Call::new("probe", graph("none.toml")).args(["--stage", "pretrain", "--fetch", "a.b", "--out", "x"]).run().refused(&["none.toml"]);
}
