//! The graph language over a small library of kinds: what is told of bad graphs, and what good ones become.

mod common;

use common::*;
use dv_graph::plan::{Place, Plan, StagePlan};
use dv_graph::port::Rate;

/// Faults of one text, `line:column code`.
fn told(text: &str) -> Vec<String> {
    faults(&checked(&[("g.toml", text)], &[]))
}

/// The good graph with changes has exactly these faults, each a code and the text that it stands at.
#[track_caller]
fn bad(changes: &[(&str, &str)], wanted: &[(&str, &str)]) {
    let text = edited(GOOD, changes);
    let checked = checked(&[("g.toml", &text)], &[]);
    let mut wanted: Vec<String> = wanted.iter().map(|(code, at)| format!("{} {code}", place(&text, at))).collect();
    let mut found = faults(&checked);
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted, "\n{}", rendered(&checked));
    assert!(checked.plan.is_none());
}

/// The good graph with changes has none.
#[track_caller]
fn good(changes: &[(&str, &str)]) -> Plan {
    let text = edited(GOOD, changes);
    let checked = checked(&[("g.toml", &text)], &[]);
    assert_eq!(faults(&checked), Vec::<String>::new(), "\n{}", rendered(&checked));
    checked.plan.unwrap()
}

fn stage<'a>(plan: &'a Plan, name: &str) -> &'a StagePlan {
    plan.stages.iter().find(|s| s.name == name).unwrap()
}

#[test]
fn shapes_and_axes_follow_the_edges() {
    let plan = good(&[]);
    let names: Vec<&str> = plan.stages.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["pretrain", "gallery", "query", "retrieval"]);
    let pretrain = stage(&plan, "pretrain");
    let port = |s: &StagePlan, text: &str| {
        let (node, port) = s.output(text).unwrap_or_else(|| panic!("{text}"));
        s.nodes[node].outputs[port].to_string()
    };
    assert_eq!(port(pretrain, "pair.first"), "bytes [B, 3, 4, 24, 20]");
    assert_eq!(port(pretrain, "view_0/crop.clips"), "bytes [B, 3, 4, 16, 16]");
    assert_eq!(port(pretrain, "view_1.clips"), "float [B, 3, 4, 16, 16]");
    assert_eq!(port(pretrain, "view_1/view.clips"), "float [B, 3, 4, 16, 16]");
    assert_eq!(port(pretrain, "views.clips"), "float [B, view 2, 3, 4, 16, 16]");
    assert_eq!(port(pretrain, "clip.features"), "float [B, view 2, 6]");
    assert_eq!(port(pretrain, "contrast.logits"), "float [N, N]");
    let gallery = stage(&plan, "gallery");
    assert_eq!(port(gallery, "clips.clips"), "bytes [B, clip 3, 3, 4, 24, 20]");
    assert_eq!(port(gallery, "seen.map"), "float [B, clip 3, 8]");
    assert_eq!(port(gallery, "table.rows"), "table [8]");
    let seen = &pretrain.nodes[pretrain.node("seen").unwrap()];
    assert_eq!((seen.fold.len(), seen.fold[0].items().collect::<Vec<_>>().join(" ")), (1, "v0 v1".to_string()));
    // an item is chosen before folding
    let contrast = &pretrain.nodes[pretrain.node("contrast").unwrap()];
    assert_eq!(contrast.inputs.iter().map(|i| i.item).collect::<Vec<_>>(), [Some((0, 0)), Some((0, 1))]);
    assert_eq!(contrast.rate, Rate::Batch);
    assert_eq!((plan.seed, stage(&plan, "retrieval").needs.join(" ")), (0, "gallery query".to_string()));
    let metrics: Vec<(&str, bool)> = pretrain.metrics.iter().map(|m| (m.name.as_str(), m.reported)).collect();
    assert_eq!(&metrics[..2], [("total.loss", true), ("contrast.top1", true)]);
    assert!(metrics.contains(&("coherent.top1", false)) && metrics.len() == 5, "{metrics:?}");
}

#[test]
fn places_guards_gradients_and_modes() {
    let plan = good(&[]);
    let s = stage(&plan, "pretrain");
    let node = |path: &str| &s.nodes[s.node(path).unwrap()];
    for (path, place) in [
        ("video", Place::Host),
        ("pair", Place::Host),
        ("view_0/crop", Place::Host),
        ("view_0/normal", Place::Device),
        ("order", Place::Host),
        ("mixed", Place::Device),
        ("total", Place::Device),
    ] {
        assert_eq!(node(path).place, place, "{path}");
    }
    let retrieval = stage(&plan, "retrieval");
    assert_eq!(retrieval.nodes[0].place, Place::End);
    assert_eq!(stage(&plan, "gallery").nodes.last().unwrap().place, Place::Device);
    // what only one branch needs is computed for its rows only
    let choose = s.node("view_2").unwrap();
    assert_eq!(s.branches(choose), ["base", "plain"]);
    let guard = |path: &str| node(path).guards.iter().map(|g| (g.choose == choose, g.branch)).collect::<Vec<_>>();
    assert_eq!(guard("view_0/crop"), [(true, 0)]);
    assert_eq!(guard("view_0/normal"), [(true, 0)]);
    assert_eq!(guard("plain"), [(true, 1)]);
    assert_eq!(guard("small"), [(true, 1)]);
    assert_eq!((guard("pair"), guard("view_2"), guard("view_1/view/crop")), (vec![], vec![], vec![]));
    // gradients flow from the first trained model to the loss
    for (path, gradient) in [("views", false), ("seen", true), ("cut", true), ("clip", true), ("total", true), ("order", false)] {
        assert_eq!(node(path).gradient, gradient, "{path}");
    }
    assert!(node("seen").training && !stage(&plan, "gallery").nodes.iter().any(|n| n.training || n.gradient));
    // a frozen model takes none, and runs with what it has
    let plan = good(&[("keep       = { last = 1 }", "frozen = [\"encoder\"]"), (", after = \"seen\"", "")]);
    let s = stage(&plan, "pretrain");
    let node = |path: &str| &s.nodes[s.node(path).unwrap()];
    assert!(!node("seen").gradient && !node("seen").training && node("clip").gradient);
    assert_eq!(s.models.iter().map(|(m, t)| (m.as_str(), *t)).collect::<Vec<_>>(), [("encoder", false), ("proj", true)]);
}

#[test]
fn models_have_the_references_names() {
    let plan = good(&[]);
    let name = |model: &str, parameter: &str| plan.models[model].reference_name(parameter);
    assert_eq!(name("encoder", "conv.weight").as_deref(), Some("encoder_q.0.conv.weight"));
    assert_eq!(name("encoder", "bn.running_mean").as_deref(), Some("encoder_q.0.bn.running_mean"));
    assert_eq!(name("proj", "0.weight").as_deref(), Some("encoder_q.2.weight"));
    assert_eq!(name("proj", "2.bias").as_deref(), Some("encoder_q.4.bias"));
    assert_eq!(name("proj", "4.bias"), None);
    assert_eq!((plan.models["encoder"].count(), plan.models["encoder"].has_buffers()), (8 * 3 + 16, true));
    assert!(!plan.models["proj"].has_buffers());
    let none = good(&[("names = \"encoder_q.0\"\n", "")]);
    assert_eq!(none.models["encoder"].reference_name("conv.weight"), None);
    bad(&[("[\"encoder_q.2\", \"encoder_q.4\"]", "[\"a\", \"b\", \"c\"]")], &[("bad-names", "proj]")]);
}

#[test]
fn false_takes_a_term_away_and_what_reaches_nothing_then() {
    let plan = good(&[("d = 0.5", "d = false")]);
    let s = stage(&plan, "pretrain");
    for gone in ["coherent", "other", "cut", "mixed", "order"] {
        assert_eq!(s.node(gone), None, "{gone}");
    }
    assert!(s.node("view_1/view/crop").is_some());
    assert_eq!(s.nodes[s.node("total").unwrap()].inputs.len(), 1);
    // a weight of 0 only multiplies
    assert!(stage(&good(&[("d = 0.5", "d = 0")]), "pretrain").node("coherent").is_some());
    // what reached nothing before is a fault still
    bad(&[("d = 0.5", "d = false"), ("order    =", "spare = { kind = \"order/draw\", items = 3 }\norder    =")], &[("unused", "spare =")]);
    // a misspelt one would take nothing away
    bad(&[("d = 0.5", "d = 0.5, dd = false")], &[("unknown-input", "dd =")]);
    // a model goes with its nodes
    let other = "[models.extra]\nkind = \"head/linear\"\nwidths = [6]\n[groups.base]";
    let plan = good(&[
        ("[groups.base]\n", &format!("{other}\n")),
        ("\"proj\", in = \"cut.map\"", "\"extra\", in = \"cut.map\""),
        ("d = 0.5", "d = false"),
    ]);
    assert_eq!(plan.models.keys().collect::<Vec<_>>(), ["encoder", "proj"]);
    bad(&[("[groups.base]\n", &format!("{other}\n"))], &[("unused", "extra]")]);
    // nothing left to train
    bad(&[("{ c = 1.0, d = 0.5 }", "{ c = false, d = false }")], &[("untrained", "seen     ="), ("untrained", "clip     =")]);
}

#[test]
fn edges_that_lead_nowhere() {
    bad(&[("in = \"seen.map\" }", "in = \"sen.map\" }")], &[("unknown-node", "\"sen.map\"")]);
    bad(&[("in = \"seen.map\" }", "in = \"seen.mop\" }")], &[("unknown-port", "\"seen.mop\"")]);
    bad(&[("in = \"seen.map\" }", "in = \"seen\" }")], &[("bad-edge", "\"seen\" }\nother")]);
    bad(&[("in = \"seen.map\" }", "in = \"\" }")], &[("bad-edge", "\"\" }")]);
    bad(&[("in = \"seen.map\" }", "in = 3 }")], &[("wrong-type", "3 }\nother")]);
    bad(&[("in = \"seen.map\" }", "in = [\"seen.map\"] }")], &[("wrong-type", "[\"seen.map\"]")]);
    bad(&[("in = \"seen.map\" }", "in = { mapp = \"seen.map\" } }")], &[("unknown-input", "mapp =")]);
    bad(
        &[("in = \"seen.map\" }", "in = { map = \"seen.map\", 'ß' = \"gone.map\" } }")],
        &[("unknown-input", "'ß'"), ("unknown-node", "\"gone.map")],
    );
    bad(&[(", in = \"seen.map\" }", " }")], &[("missing-input", "clip     =")]);
    for edge in ["clip.features[", "clip.features[]", "clip.features[v0][v1]", "clip.features]v0["] {
        bad(
            &[("{ a = \"clip.features[v0]\", b = \"clip.features[v1]\" }", &format!("{{ a = \"{edge}\", b = \"clip.features[v1]\" }}"))],
            &[("bad-edge", &format!("\"{edge}\""))],
        );
    }
    bad(&[("b = \"clip.features[v1]\"", "b = \"clip.features[v2]\"")], &[("unknown-item", "\"clip.features[v2]\"")]);
    bad(&[("b = \"clip.features[v1]\"", "b = \"other.features[v1]\"")], &[("unknown-item", "\"other.features[v1]\"")]);
    bad(&[("b = \"clip.features[v1]\"", "b = \"clip.features\"")], &[("item-axis", "\"clip.features\" }, temp")]);
    // into groups: the application has outputs, and its nodes can be named
    bad(&[("base = \"view_0.clips\"", "base = \"view_0.frames\"")], &[("unknown-port", "\"view_0.frames\"")]);
    bad(&[("base = \"view_0.clips\"", "base = \"view_0/nrmal.clips\"")], &[("unknown-node", "\"view_0/nrmal.clips\"")]);
    bad(&[("base = \"view_0.clips\"", "base = \"pair/first.clips\"")], &[("unknown-node", "\"pair/first.clips\"")]);
    good(&[("base = \"view_0.clips\"", "base = \"view_0/normal.clips\"")]);
    bad(&[("clips = \"normal.clips\"", "clips = \"nrmal.clips\"")], &[("unknown-node", "\"nrmal.clips\"")]);
    bad(&[("apply = \"base\", in = \"pair.first\"", "apply = \"base\", in = \"pair.frst\"")], &[("unknown-port", "\"pair.frst\"")]);
    // between stages
    bad(&[("\"gallery/table.rows\"", "\"galery/table.rows\"")], &[("unknown-stage", "\"galery/table.rows\"")]);
    bad(&[("\"gallery/table.rows\"", "\"gallery/tabel.rows\"")], &[("unknown-node", "\"gallery/tabel.rows\"")]);
    bad(&[("\"gallery/table.rows\"", "\"gallery/table.row\"")], &[("unknown-port", "\"gallery/table.row\"")]);
    bad(&[("query = \"query/table.rows\"", "query = \"query/seen.map\"")], &[("unused", "table ="), ("wrong-rate", "\"query/seen.map\"")]);
    bad(&[("\"gallery/table.rows\"", "\"retrieval/score.ranks\"")], &[("cycle", "\"retrieval/score.ranks\""), ("unused", "table =")]);
    bad(
        &[("metrics    = [\"contrast.top1\"]", "metrics = [\"contrast.top1\", \"gallery/table.rows\"]")],
        &[("bad-edge", "\"gallery/table.rows\"]")],
    );
    bad(&[("minimise   = \"total.loss\"", "minimise = \"clip.features\"")], &[("not-a-scalar", "\"clip.features\"")]);
    bad(&[("minimise   = \"total.loss\"", "minimise = \"total\"")], &[("bad-edge", "\"total\"")]);
    bad(&[("minimise   = \"total.loss\"", "minimise = \"contrast.loss[v0]\"")], &[("bad-edge", "\"contrast.loss[v0]\"")]);
    good(&[("metrics    = [\"contrast.top1\"]", "metrics = [\"contrast.top1\", \"contrast.top1\"]")]);
}

#[test]
fn ports_that_do_not_fit() {
    bad(
        &[("in = { clips = \"view_1.clips\", order", "in = { clips = \"pair.second\", order")],
        &[("wrong-port-type", "\"pair.second\", order")],
    );
    bad(&[("items = 4", "items = 5")], &[("shape", "\"order.order\"")]);
    bad(&[("size   = 16", "size   = 22")], &[("shape", "\"$size\" }\nnormal"), ("shape", "\"$size\" }\nview_2")]);
    bad(&[("rows = \"seen.map\", label", "rows = \"seen.map\", label = \"video.label\", more")], &[("unknown-input", "more =")]);
    bad(&[("over = [\"clip\"]", "over = []")], &[("shape", "[] }")]);
    // a draw is an optional input of its own name
    good(&[("in = \"pair.first\", size", "in = { clips = \"pair.first\", offset = \"pair.starts\" }, size")]);
    bad(
        &[("in = \"pair.first\", size", "in = { clips = \"pair.first\", offset = \"order.order\" }, size")],
        &[("shape", "\"order.order\" }, size")],
    );
    bad(
        &[("in = \"pair.first\", size", "in = { clips = \"pair.first\", offset = \"view_1.clips\" }, size")],
        &[("wrong-port-type", "\"view_1.clips\" }, size")],
    );
    // a stage's table is there after its last batch only
    let near = "near = { kind = \"evaluate/compare\", in = { table = \"table.rows\", rows = \"seen.map\" } }\n\n[stages.query]";
    bad(&[("\n[stages.query]", near)], &[("wrong-rate", "near =")]);
    let twice = "more  = { kind = \"batch/stack\", axis = \"clip\", in = { a = \"seen.map\" } }\ntable = { kind = \"collect/mean\", in = { rows = \"more.clips\"";
    bad(&[("table = { kind = \"collect/mean\", in = { rows = \"seen.map\"", twice)], &[("item-axis", "more  =")]);
}

#[test]
fn cycles_are_told_and_end() {
    bad(&[("in = \"views.clips\"", "in = \"clip.features\"")], &[("cycle", "clip     =")]);
    bad(&[("after = \"seen\"", "after = \"cut\"")], &[("cycle", "cut      =")]);
    bad(&[("view/normal\", in = \"crop.clips\"", "view/normal\", in = \"normal.clips\"")], &[("cycle", "normal =")]);
    // groups that hand their inputs on
    let pass = ("[stages.pretrain]\n", "[groups.pass]\nin = [\"clips\"]\nout = { clips = \"in.clips\" }\n[stages.pretrain]\n");
    let plan = good(&[
        pass,
        ("in = \"pair.second\"", "in = \"through.clips\""),
        ("pair     =", "through = { apply = \"pass\", in = \"pair.second\" }\npair     ="),
    ]);
    let s = stage(&plan, "pretrain");
    assert_eq!(s.output("through.clips"), s.output("pair.second"));
    let circle = "a = { apply = \"pass\", in = \"b.clips\" }\nb = { apply = \"pass\", in = \"a.clips\" }\npair     =";
    let text = edited(GOOD, &[pass, ("pair     =", circle)]);
    assert!(told(&text).iter().all(|f| f.ends_with("cycle")) && !told(&text).is_empty(), "{:?}", told(&text));
    let text = edited(&text, &[("in = \"pair.second\"", "in = \"a.clips\"")]);
    assert!(told(&text).iter().any(|f| f.ends_with("cycle")), "{:?}", told(&text));
    let own = edited(GOOD, &[pass, ("pair     =", "a = { apply = \"pass\", in = \"a.clips\" }\npair     =")]);
    assert_eq!(told(&own), [format!("{} cycle", place(&own, "\"a.clips\""))]);
    // an item is handed on with its edge
    let plan = good(&[
        pass,
        ("a = \"clip.features[v0]\", b = \"clip", "a = \"one.clips\", b = \"clip"),
        ("pair     =", "one = { apply = \"pass\", in = \"clip.features[v0]\" }\npair     ="),
    ]);
    let s = stage(&plan, "pretrain");
    assert_eq!(s.nodes[s.node("contrast").unwrap()].inputs[0].item, Some((0, 0)));
    // groups, stages, tables
    bad(&[("view = { apply = \"base\"", "view = { apply = \"twice\"")], &[("group-cycle", "\"twice\", in = \"in.clips\"")]);
    bad(&[("weights   = \"pretrain\"", "weights = \"query\"")], &[("cycle", "\"query\"\nbatch"), ("no-origin", "\"query\"\nbatch")]);
    bad(&[("extends = \"gallery\"", "extends = \"query\"")], &[("extends-cycle", "\"query\"\n[stages")]);
    bad(
        &[("length = 4", "length = \"$size\"\nother = \"$other\""), ("size   = 16", "size = [\"$other\"]")],
        &[("value-cycle", "\"$other\"\n")],
    );
}

#[test]
fn what_is_used_and_what_is_not() {
    bad(&[("small    =", "spare = { apply = \"base\", in = \"pair.first\" }\nsmall    =")], &[("unused", "normal =")]);
    bad(&[("[groups.twice]\n", "[groups.spare]\nout = { x = \"video.frames\" }\n[groups.twice]\n")], &[("unused", "spare]")]);
    bad(&[("size   = 16", "size   = 16\nsiez = 3")], &[("unused-value", "siez")]);
    bad(&[("[models.proj]\n", "[models.spare]\nkind = \"head/linear\"\nwidths = [3]\n[models.proj]\n")], &[("unused", "spare]")]);
    // also beside other faults
    bad(
        &[("[models.proj]\n", "[models.spare]\nkind = \"head/linear\"\nwidths = [3]\n[models.proj]\n"), ("seed   = 0", "seed = -1")],
        &[("unused", "spare]"), ("out-of-range", "-1")],
    );
    bad(
        &[
            ("frames\", clips = 3", "frames\", clips = 3, clisp = 3"),
            ("[models.proj]\n", "[models.spare]\nkind = \"head/linear\"\nwidths = [3]\n[models.proj]\n"),
        ],
        &[("unused", "spare]"), ("unknown-setting", "clisp")],
    );
    // a model that `minimise` never reaches, and one that only its positions reach
    bad(
        &[("keep       = { last = 1 }", "frozen = [\"encoder\", \"proj\"]"), (", after = \"seen\"", "")],
        &[("untrained", "\"total.loss\"")],
    );
}

#[test]
fn passes_that_update_the_same_buffers_need_an_order() {
    bad(&[(", after = \"seen\"", "")], &[("needs-after", "seen     =")]);
    good(&[(", after = \"seen\"", ", mode = \"eval\"")]);
    bad(&[("after = \"seen\"", "after = \"sen\"")], &[("unknown-node", "\"sen\"")]);
    bad(&[("after = \"seen\"", "after = 3")], &[("wrong-type", "3 }\nclip")]);
    // of a group all nodes come after; a group stands for all of its nodes
    let group = ("[stages.pretrain]\n", "[groups.pass]\nin = [\"clips\"]\nout = { map = \"run.map\" }\nnodes.run = { apply = \"encoder\", in = \"in.clips\" }\n[stages.pretrain]\n");
    let applied = |name: &'static str| ("cut      = { apply = \"encoder\", in = \"mixed.clips\", after = \"seen\" }", name);
    good(&[group, applied("cut = { apply = \"pass\", in = \"mixed.clips\", after = \"seen\" }")]);
    bad(&[group, applied("cut = { apply = \"pass\", in = \"mixed.clips\" }")], &[("needs-after", "seen     =")]);
    good(&[
        group,
        applied("cut = { apply = \"pass\", in = \"mixed.clips\" }"),
        ("in = \"views.clips\" }", "in = \"views.clips\", after = \"cut\" }"),
    ]);
    bad(
        &[group, applied("cut = { apply = \"pass\", in = \"mixed.clips\", after = \"seen\", mode = \"eval\" }")],
        &[("unknown-setting", "mode =")],
    );
}

#[test]
fn weights_have_an_origin() {
    bad(&[("weights   = \"pretrain\"\n", "")], &[("no-origin", "gallery]"), ("no-origin", "query]")]);
    good(&[("weights   = \"pretrain\"", "weights = \"initial\"")]);
    good(&[("weights   = \"pretrain\"", "weights = { encoder = { stage = \"pretrain\", epoch = 2 } }")]);
    bad(&[("weights   = \"pretrain\"", "weights = { encoder = { stage = \"pretrain\", epoch = 3 } }")], &[("no-origin", "{ stage")]);
    bad(&[("weights   = \"pretrain\"", "weights = { encoder = { stage = \"pretrain\", epoch = -3 } }")], &[("out-of-range", "-3")]);
    bad(&[("weights   = \"pretrain\"", "weights = { encodr = \"pretrain\" }")], &[("unknown-model", "encodr")]);
    bad(&[("weights   = \"pretrain\"", "weights = \"pretrian\"")], &[("unknown-stage", "\"pretrian\"")]);
    bad(&[("weights   = \"pretrain\"", "weights = 3")], &[("wrong-type", "3\nbatch     = 3")]);
    bad(&[("extends = \"gallery\"\n", "extends = \"gallery\"\nweights = \"gallery\"\n")], &[("no-origin", "\"gallery\"\n[")]);
    // a checkpoint holds the frozen models of its stage too
    good(&[("keep       = { last = 1 }", "frozen = [\"encoder\"]"), (", after = \"seen\"", "")]);
    bad(&[("keep       = { last = 1 }", "frozen = [\"encodr\"]")], &[("unknown-model", "[\"encodr\"]")]);
    let file = "weights = { encoder = { file = \"w.safetensors\" } }";
    good(&[("weights   = \"pretrain\"", file)]);
}

#[test]
fn settings_of_stages() {
    for key in
        ["epochs     = 2\n", "batch      = 4\n", "world      = 2\n", "batch_norm = \"synced\"\n", "schedule   = { kind = \"constant\" }\n"]
    {
        bad(&[(key, "")], &[("missing-setting", "pretrain]")]);
    }
    bad(&[("batch      = 4", "batch      = 5")], &[("out-of-range", "2\nbatch_norm")]);
    bad(&[("batch      = 4", "batch      = \"4\"")], &[("wrong-type", "\"4\"")]);
    bad(&[("batch      = 4", "batch      = -4")], &[("out-of-range", "-4")]);
    bad(&[("batch      = 4", "batch      = 99999999999999999999")], &[("wrong-type", "99999999999999999999")]);
    bad(&[("batch      = 4", "batch      = 2026-01-01")], &[("wrong-type", "2026-01-01")]);
    bad(&[("world      = 2", "world      = 0")], &[("out-of-range", "0\nbatch_norm")]);
    bad(&[("\"synced\"", "\"sinced\"")], &[("unknown-choice", "\"sinced\"")]);
    bad(&[("lr = 0.1", "lr = nan")], &[("out-of-range", "nan")]);
    bad(&[("lr = 0.1", "lr = 1e999")], &[("wrong-type", "1e999")]);
    bad(&[("kind = \"sgd\"", "kind = 3")], &[("wrong-type", "3, lr")]);
    bad(&[("kind = \"sgd\", ", "")], &[("missing-setting", "{ lr")]);
    bad(&[("optimiser  = {", "optimiser = 3 # {")], &[("wrong-type", "3 #")]);
    bad(&[("metrics    = [\"contrast.top1\"]", "metrics = \"contrast.top1\"")], &[("wrong-type", "\"contrast.top1\"")]);
    // without `minimise` a stage trains nothing, and its driving is of no use
    bad(&[("minimise   = \"total.loss\"", "minimise = 3")], &[("wrong-type", "3\nmetrics")]);
    bad(&[("weights   = \"pretrain\"", "weights = \"pretrain\"\nepochs = 3")], &[("unused-setting", "epochs = 3")]);
    bad(
        &[("precision = \"fp32\"\n[stages.gallery.nodes]", "[stages.gallery.nodes]")],
        &[("missing-setting", "gallery]"), ("missing-setting", "query]")],
    );
    bad(&[("batch     = 3\n", "")], &[("missing-setting", "gallery]"), ("missing-setting", "query]")]);
}

#[test]
fn odd_forms() {
    let top = |text: &str, wanted: &[&str]| {
        let found: Vec<String> = told(text).into_iter().map(|f| f.rsplit(' ').next().unwrap().to_string()).collect();
        assert_eq!(found, wanted, "{text}");
    };
    top("", &["missing-setting", "missing-setting", "missing-setting"]);
    let head = "name = 'a'\nseed = 0\n";
    top(&format!("{head}stages = 3"), &["wrong-type"]);
    top(&format!("{head}[stages]"), &["missing-setting"]);
    top(&format!("{head}[stages]\nx = 3"), &["wrong-type"]);
    top(&format!("{head}[stages.x]\nnodes = 3"), &["wrong-type"]);
    top(&format!("{head}[stages.x]\nnodes = []"), &["wrong-type"]);
    top(&format!("{head}[[stages.x.nodes]]\nkind = 'a/b'"), &["wrong-type"]);
    top(&format!("{head}[stages.x.nodes]"), &["missing-setting"]);
    top(&format!("{head}[stages.x.nodes]\na = 3"), &["wrong-type"]);
    top(&format!("{head}[stages.x.nodes]\na = {{ }}"), &["missing-setting"]);
    top(&format!("{head}[stages.x.nodes]\na = {{ kind = 3 }}"), &["wrong-type"]);
    top(&format!("{head}[stages.x.nodes]\na = {{ apply = ['b'] }}"), &["wrong-type"]);
    top(&format!("{head}[stages.x.nodes]\na = {{ kind = 'view/normal', apply = 'b' }}"), &["kind-and-apply"]);
    top(&format!("{head}[stages.x.nodes]\nin = {{ kind = 'order/draw', items = 2 }}"), &["bad-name", "unused"]);
    top(&format!("{head}[stages.x.nodes]\n\"\" = {{ kind = 'order/draw', items = 2 }}"), &["bad-name", "unused"]);
    top(&format!("{head}[stages.x.nodes]\n\"a.b[\" = {{ kind = 'order/draw', items = 2 }}"), &["bad-name", "unused"]);
    top(&format!("{head}[stages.'größe'.nodes]\na = {{ kind = 'order/draw', items = 2 }}"), &["bad-name", "unused"]);
    top(
        &format!("{head}values = 3\nmodels = []\ngroups = 'x'\n[stages.x.nodes]\na = {{ kind = 'order/draw', items = 2 }}"),
        // without these what is used cannot be said
        &["wrong-type", "wrong-type", "wrong-type"],
    );
    top(
        "name = ''\nseed = 1.5\nabout = 3\nschema = 0\nnmae = 1\n[stages.x.nodes]\na = 1",
        &["bad-name", "wrong-type", "wrong-type", "wrong-type", "unknown-key", "wrong-type"],
    );
    top("name = 3\nseed = 0\n[stages.x.nodes]\na = 1", &["wrong-type", "wrong-type"]);
    // models and groups
    let with = |text: &str, wanted: &[(&str, &str)]| bad(&[("[models.proj]\n", &format!("{text}\n[models.proj]\n"))], wanted);
    with("[models.m]", &[("missing-setting", "m]\n")]);
    with("[models.m]\nkind = 3", &[("wrong-type", "3\n[models.proj")]);
    with("[models.m]\nkind = 'view/normal'", &[("not-a-model", "'view/normal'")]);
    with("[models.m]\nkind = 'head/liner'", &[("unknown-kind", "'head/liner'")]);
    with("[models.base]\nkind = 'head/linear'\nwidths = [3]", &[("bad-name", "base]\nin")]);
    bad(
        &[("in  = [\"clips\"]\nout = { clips = \"normal.clips\" }", "in  = 3\nout = 4")],
        &[("wrong-type", "3\nout"), ("wrong-type", "4\n[groups")],
    );
    bad(&[("\"in.clips\", size", "\"in.frames\", size")], &[("unknown-input", "\"in.frames\"")]);
    bad(&[("view_0   = { apply = \"base\", in = \"pair.first\" }", "view_0 = { apply = \"base\" }")], &[("missing-input", "view_0 =")]);
    bad(
        &[("view_0   = { apply = \"base\", in = \"pair.first\" }", "view_0 = { apply = \"base\", in = {} }")],
        &[("missing-input", "view_0 =")],
    );
    bad(
        &[("apply = \"base\", in = \"pair.first\"", "apply = \"base\", in = { clip = \"pair.first\" }")],
        &[("unknown-input", "clip = \"pair.first")],
    );
    bad(
        &[("view_0   = { apply = \"base\",", "view_0   = { apply = \"base\", size = 3, odd = 4,")],
        &[("unknown-setting", "size = 3"), ("unknown-setting", "odd = 4")],
    );
    bad(&[("apply = \"encoder\", in = \"views", "apply = \"encodr\", in = \"views")], &[("unknown-model", "\"encodr\"")]);
    bad(&[("kind = \"view/choose\"", "kind = \"base\"")], &[("unknown-kind", "\"base\", in = {")]);
}

#[test]
fn all_faults_of_a_node_and_of_a_file_are_told() {
    let node = "small    = { kind = \"view/crop\", in = \"par.first\", sise = 3, size = \"big\", after = \"nothing\", mode = \"eval\" }";
    bad(
        &[("small    = { kind = \"view/crop\", in = \"pair.first\", size = \"$size\" }", node)],
        &[
            ("unknown-node", "\"par.first\""),
            ("unknown-setting", "sise"),
            ("wrong-type", "\"big\""),
            ("unknown-node", "\"nothing\""),
            ("unknown-setting", "mode = \"eval"),
        ],
    );
    bad(
        &[
            ("schema = 1\n", "schema = 1\nshcema = 1\n"),
            ("width = 8", "width = 0.5"),
            ("kind = \"view/normal\", in = \"crop.clips\"", "kind = \"view/nrmal\", in = \"crp.clips\""),
            ("lr = 0.1", "lr = 0.0"),
            ("items = 4", "items = 4, item = 3"),
            (", k = 1", ""),
        ],
        &[
            ("unknown-key", "shcema"),
            ("wrong-type", "0.5"),
            ("unknown-kind", "\"view/nrmal\""),
            ("unknown-node", "\"crp.clips\""),
            ("out-of-range", "0.0, mom"),
            ("unknown-setting", "item = 3"),
            ("missing-setting", "score ="),
        ],
    );
}

#[test]
fn a_syntax_fault_is_not_told_again_as_what_it_swallowed() {
    let text = edited(GOOD, &[("width = 8", "width = "), ("size   = 16", "size   = = 16"), ("seed   = 0", "seed   = -1")]);
    let found = told(&text);
    assert!(found.iter().all(|f| f.ends_with("syntax") || f.ends_with("out-of-range")), "{found:?}");
    assert!(found.iter().any(|f| f.ends_with("syntax")) && found.contains(&format!("{} out-of-range", place(&text, "-1"))), "{found:?}");
    let text = edited(GOOD, &[("[stages.query]\n", "[stages.query\n")]);
    assert!(told(&text).iter().all(|f| f.ends_with("syntax")), "{:?}", told(&text));
}

#[test]
fn files_settings_and_values() {
    let run = |text: &str, sets: &[&str]| {
        let checked = checked(&[("g.toml", text), ("good.toml", GOOD), ("mid.toml", "extends = 'good.toml'\nwhat = 1\n")], sets);
        faults(&checked).into_iter().map(|f| f.rsplit(' ').next().unwrap().to_string()).collect::<Vec<_>>()
    };
    let on = "extends = 'good.toml'\nname = 'g'\n";
    let none: [&str; 0] = [];
    assert_eq!(run(on, &[]), none);
    assert_eq!(run("extends = 'good.toml'\n", &[]), ["missing-setting"]);
    assert_eq!(run(&format!("{on}remove = ['seed']\n"), &[]), ["missing-setting"]);
    assert_eq!(
        run(&format!("{on}remove = ['sed', 'stages.pretrain.nodes.videos', 'seed.x', '', 'a = 1 #']\n"), &[]),
        ["remove-missing", "remove-missing", "remove-missing", "bad-path", "bad-path"]
    );
    // what two files share is told once
    assert_eq!(run("extends = ['mid.toml', 'mid.toml', 'good.toml']\nname = 'g'\n", &[]), ["unknown-key"]);
    // into tables, quoted keys, what a table extends, lists, texts with `=`
    for set in [
        "values.size=8",
        "values.\"size\" = 8",
        "stages.query.nodes.clips.clips=5",
        "stages.query.nodes.video.split=train",
        "stages.pretrain.metrics=[\"total.loss\"]",
        "models.encoder.names=\"a=b\"",
        "about=a = b # c",
        "about=",
        "stages.pretrain.optimiser={ kind = \"sgd\", lr = 1, momentum = 0, weight_decay = 0 }",
        "stages.pretrain.nodes.total.weights.d=false",
    ] {
        assert_eq!(run(on, &[set]), none, "{set}");
    }
    for (set, wanted) in [
        ("value.length=2", "set-missing"),
        ("stages.query.nodes.clip.clips=5", "set-missing"),
        ("stages.pretrain.metrics.0=\"total.loss\"", "set-missing"),
        ("values.lenght=2", "unused-value"),
        ("stages.pretrain.nodes.pair.lenght=2", "unknown-setting"),
        ("a b=2", "bad-path"),
        ("[values]\nlength=2", "bad-path"),
        ("values.length=ü", "wrong-type"),
        ("stages.pretrain.nodes.video=3", "wrong-type"),
    ] {
        let found = run(on, &[set]);
        assert!(!found.is_empty() && found.iter().all(|f| f == wanted), "{set}: {found:?}");
    }
    // a value may name another; a line in a value is no second setting
    assert_eq!(run(&format!("{on}values.size = '$side'\nvalues.side = 8\n"), &[]), none);
    assert_eq!(run(&format!("{on}values.size = '$sied'\n"), &[]), ["unknown-value"]);
    assert_eq!(run(on, &["seed=1\nseeds = 2"]), ["wrong-type"]);
    let size = |sets: &[&str]| {
        let plan = checked(&[("g.toml", on), ("good.toml", GOOD)], sets).plan.unwrap();
        plan.resolved.parse::<toml::Table>().unwrap()["groups"]["base"]["nodes"]["crop"]["size"].clone()
    };
    assert_eq!((size(&[]), size(&["values.size=8"])), (16.into(), 8.into()));
}

/// Where a thing is written changes nothing: the resolved text is the same, and reads as itself.
#[test]
fn the_resolved_graph_is_the_graph() {
    let plan = good(&[]);
    let split = edited(
        GOOD,
        &[
            ("seed   = 0\n", ""),
            (
                "view_2   = { kind = \"view/choose\", in = { base = \"view_0.clips\", plain = \"plain.clips\" }",
                "view_2   = { kind = \"view/choose\", in = { base = \"view_0.clips\" }",
            ),
        ],
    );
    let upper = "extends = 'base.toml'\nname = 'good'\nabout = 'two views, one head'\nseed = 0\n[stages.pretrain.nodes.view_2.in]\nplain = 'plain.clips'\n";
    let merged = checked(&[("g.toml", upper), ("base.toml", &split)], &[]).plan.unwrap();
    assert_eq!(merged.resolved, plan.resolved);
    let paths = |p: &Plan| p.stages.iter().flat_map(|s| s.nodes.iter().map(|n| n.path.clone())).collect::<Vec<_>>();
    let again = checked(&[("g.toml", &plan.resolved)], &[]);
    assert_eq!(paths(again.plan.as_ref().unwrap()), paths(&plan));
    assert_eq!(paths(&merged), paths(&plan));
    assert_eq!(stage(&merged, "pretrain").branches(stage(&merged, "pretrain").node("view_2").unwrap()), ["base", "plain"]);
}

#[test]
fn a_fault_points_at_its_text() {
    let text = "name = 'g'\nseed = 0\n[stages.x.nodes]\n\t'ä' = { knid = 1 }\n\ta = { kind = 'view/crp', note = 'größe → x', in = 'a.b' }\r\nb = { kind = 'view/normal', in = [\n  'a.clips',\n] }\n";
    let said = rendered(&checked(&[("g.toml", text)], &[]));
    let lines: Vec<&str> = said.lines().collect();
    let at = |needle: &str| lines.iter().position(|l| l.contains(needle)).unwrap_or_else(|| panic!("no {needle} in\n{said}"));
    let i = at("error[unknown-kind]");
    assert!(lines[i].contains("g.toml:5:15: error[unknown-kind]: there is no kind `view/crp`"), "{}", lines[i]);
    assert_eq!(lines[i + 1], " 5 | \ta = { kind = 'view/crp', note = 'größe → x', in = 'a.b' }");
    assert_eq!(lines[i + 2], "   | \t             ^^^^^^^^^^");
    assert_eq!(lines[i + 3], "   = help: did you mean `view/crop`?");
    let i = at("error[bad-name]");
    assert_eq!(lines[i + 2], "   | \t^^^");
    // a place of several lines is marked to the end of the first
    let i = at("g.toml:6:34");
    assert_eq!(lines[i + 2], format!("   | {}^", " ".repeat(33)));
    assert!(lines[i].contains("`in` takes an edge"), "{}", lines[i]);
    // what stands behind letters of several bytes
    let text = "name = 'g' # größe\nseed = 0\nabout = 'ö'\n[stages.x.nodes]\n'ö' = { kind = 'ö/→', x = 1 }\n";
    let said = rendered(&checked(&[("g.toml", text)], &[]));
    assert!(said.contains("g.toml:5:16: error[unknown-kind]"), "{said}");
    assert!(said.contains("\n   |                ^^^^^\n"), "{said}");
    // an open end of the file
    for text in ["a = ", "a = '", "[", "a = \"ö", "\u{feff}a = 1", "a\r\n= 1\r\n", "ö = 1"] {
        rendered(&checked(&[("g.toml", text)], &[]));
    }
}

#[test]
fn what_is_inherited_and_unused_is_a_note() {
    let run = |rest: &str| {
        let text = format!("extends = 'good.toml'\nname = 'g'\n{rest}");
        let checked = checked(&[("g.toml", &text), ("good.toml", GOOD)], &[]);
        let told = |note: bool| {
            checked
                .faults
                .iter()
                .filter(|f| f.note == note)
                .map(|f| format!("{} {}", f.code, f.help.clone().unwrap_or_default()))
                .collect::<Vec<_>>()
        };
        assert_eq!(checked.plan.is_some(), told(false).is_empty());
        (told(true), told(false))
    };
    let drop = |what: &str| format!("to drop it, write beside `extends`: remove = [\"{what}\"]");
    let none = Vec::<String>::new();
    // a value, a group and a model that the graph of another file has and this one no longer uses
    let lengths = "[stages.pretrain.nodes.pair]\nlength = 4\n[stages.gallery.nodes.clips]\nlength = 4\n";
    assert_eq!(run(lengths), (vec![format!("unused-value {}", drop("values.length"))], none.clone()));
    assert_eq!(run(&format!("remove = ['values.length']\n{lengths}")), (none.clone(), none.clone()));
    let base = "[stages.pretrain.nodes.view_1]\napply = 'base'\nin = 'pair.second'\n";
    assert_eq!(run(base), (vec![format!("unused {}", drop("groups.twice"))], none.clone()));
    assert_eq!(run(&format!("remove = ['groups.twice']\n{base}")), (none.clone(), none.clone()));
    let heads = "[models.other]\nkind = 'head/linear'\nwidths = [6]\n[stages.pretrain.nodes]\nclip = { apply = 'other', in = 'seen.map' }\nother = { apply = 'other', in = 'cut.map' }\n";
    assert_eq!(run(heads), (vec![format!("unused {}", drop("models.proj"))], none.clone()));
    // the graph's own are faults, as is what the command line sets
    assert_eq!(run("[values]\nspare = 1\n").1.len(), 1);
    assert_eq!(run("[groups.spare]\nout = { x = 'video.frames' }\n").1.len(), 1);
    assert_eq!(run("[models.spare]\nkind = 'head/linear'\nwidths = [3]\n").1.len(), 1);
    let set = checked(&[("g.toml", "extends = 'good.toml'\nname = 'g'\n"), ("good.toml", GOOD)], &["values.spare=1"]);
    assert_eq!(faults(&set), ["1:8 unused-value"]);
}

#[test]
fn the_seed_has_the_range_that_toml_has() {
    let told = |sets: &[&str]| {
        faults(&checked(&[("g.toml", GOOD)], sets)).iter().map(|f| f.rsplit(' ').next().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(&["seed=9223372036854775807"]), Vec::<String>::new());
    assert_eq!(told(&["seed=-1"]), ["out-of-range"]);
    for (set, said) in [
        ("seed=18446744073709551615", "integers go from -9223372036854775808 to 9223372036854775807"),
        ("seed=word", "`seed` takes an integer from 0 to 9223372036854775807"),
    ] {
        let text = rendered(&checked(&[("g.toml", GOOD)], &[set]));
        assert!(text.contains(said) && text.matches("error[").count() == 1, "{text}");
    }
}

#[test]
fn a_key_that_a_stage_does_not_have_is_told_beside_all_that_it_has() {
    let said =
        |key: &str| rendered(&checked(&[("g.toml", &edited(GOOD, &[("epochs     = 2\n", &format!("epochs = 2\n{key} = 3\n"))]))], &[]));
    let near = |key: &str, meant: &str| assert!(said(key).contains(&format!("did you mean `{meant}`?")), "{}", said(key));
    near("batchsize", "batch");
    near("batch-norm", "batch_norm");
    near("Precision", "precision");
    near("optimizer", "optimiser");
    near("weights_file", "weights");
    let list = said("zzz");
    for key in ["optimiser", "schedule", "keep", "weights", "during", "parameters", "drop_last", "batch"] {
        assert!(list.contains(&format!("`{key}`")), "{list}");
    }
}
