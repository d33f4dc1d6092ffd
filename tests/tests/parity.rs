//! Numbers of the published code through `dv probe`: DualVar's graph, its losses, its backbone.

use dv_tests::parity::{sample, Case};
use dv_tests::{graph, root, Probe};
use std::collections::HashMap;
use std::path::PathBuf;
use tch::{Kind, Tensor};

fn dualvar() -> PathBuf {
    root().join("tests/parity/dualvar.toml")
}

fn permutations(value: &serde_json::Value) -> Tensor {
    let rows: Vec<Vec<i64>> = serde_json::from_value(value.clone()).unwrap();
    Tensor::from_slice(&rows.concat()).reshape([rows.len() as i64, -1])
}

/// Targets of the reference: the positive stands in column 0 here as there.
fn labels(case: &Case, outcome: &mut HashMap<String, Tensor>) {
    for name in case.names("expected", "").into_iter().filter(|n| n.ends_with("_labels")) {
        let rows = outcome[&name.replace("_labels", "_logits")].size()[0];
        outcome.insert(name, Tensor::zeros([rows], (Kind::Int64, tch::Device::Cpu)));
    }
}

/// Two iterations of the published training loop, clips fed before the normalisation.
#[test]
fn two_training_steps() {
    let case = Case::open("c_dualvar_train_step_simclr");
    let clips = Tensor::stack(&[case.input("seq1"), case.input("seq2")], 0);
    let orders: Vec<Tensor> = case.json["params"]["permutations"].as_array().unwrap().iter().map(permutations).collect();
    let terms = ["contrast", "coherence", "rank_plain", "rank_again"];
    let kept = case.names("expected", "after.");
    // views lie one after the other along time
    let view = |v: i64| clips.narrow(3, 16 * v, 16);
    let found = Probe::new(dualvar(), "pretrain")
        .with(|call| call.args(["--mode", "train", "--steps", "2"]))
        .weights(&case.weights())
        .feed("view_0/crop.clips", &view(0))
        .feed("view_1/crop.clips", &view(1))
        .feed("view_2/crop.clips", &view(2))
        .feed("order.order", &Tensor::stack(&orders, 0))
        .fetch(terms.iter().flat_map(|t| [format!("{t}.loss"), format!("{t}.top1")]))
        .fetch(kept.iter().map(|name| format!("after.{name}")))
        .values();
    let mut outcome = HashMap::new();
    for (term, loss, accuracy, factor) in [
        ("contrast", "VLoss", "Vacc@1", 1.0),
        ("coherence", "tc_loss", "tc_acc", 1.0),
        ("rank_plain", "aug_ranking_margin_loss", "aug_ranking_margin_acc", 0.5),
        ("rank_again", "unaug_ranking_margin_loss", "unaug_ranking_margin_acc", 0.5),
    ] {
        for step in 0..2 {
            outcome.insert(format!("{loss}.iter{}", step + 1), found[&format!("{term}.loss")].get(step) * factor);
            outcome.insert(format!("{accuracy}.iter{}", step + 1), found[&format!("{term}.top1")].get(step));
        }
    }
    for name in kept {
        let name = format!("after.{name}");
        let whole = case.json["expected"][&name]["meaning"] == "after two iterations";
        let value = if whole { found[&name].shallow_clone() } else { sample(&found[&name]) };
        outcome.insert(name, value);
    }
    case.judge(&outcome, &[]);
}

/// The whole model: losses, logits, gradients by the reference's names, running statistics.
fn whole_model(name: &str, segments: i64) {
    let case = Case::open(name);
    let x = case.input("x");
    let parameters = case.names("scalars", "grad_norm:");
    let kept = case.names("expected", "after.");
    let found = Probe::new(dualvar(), "pretrain")
        .set([format!("values.segments={segments}").as_str()])
        .with(|call| call.args(["--mode", "train"]))
        .weights(&case.weights())
        .feed("view_0.clips", &x.select(1, 0))
        .feed("view_1.clips", &x.select(1, 1))
        .feed("view_2.clips", &x.select(1, 2))
        .feed("order.order", &permutations(&case.json["params"]["permutations"]))
        .fetch(["total.loss"])
        .fetch(["contrast", "coherence", "rank_plain", "rank_again"].iter().flat_map(|t| [format!("{t}.loss"), format!("{t}.logits")]))
        .fetch(kept.iter().map(|name| format!("after.{name}")))
        .gradients(&parameters)
        .values();
    let mut outcome = HashMap::from([("total_loss".to_string(), found["total.loss"].shallow_clone())]);
    for (term, logits, loss, factor) in [
        ("contrast", "clip_logits", "clip_contrast_loss", 1.0),
        ("coherence", "tc_logits", "tc_contrast_loss", 1.0),
        ("rank_plain", "aug_ranking_margin_logits", "aug_ranking_margin_contrast_loss", 0.5),
        ("rank_again", "unaug_ranking_margin_logits", "unaug_ranking_margin_contrast_loss", 0.5),
    ] {
        outcome.insert(logits.into(), found[&format!("{term}.logits")].shallow_clone());
        outcome.insert(loss.into(), &found[&format!("{term}.loss")] * factor);
    }
    for name in parameters {
        let gradient = &found[&format!("grad.{name}")];
        outcome.insert(format!("grad_norm:{name}"), gradient.to_kind(Kind::Double).norm());
        outcome.insert(format!("grad_sample:{name}"), sample(gradient));
    }
    for name in kept {
        outcome.insert(format!("after.{name}"), found[&format!("after.{name}")].shallow_clone());
    }
    labels(&case, &mut outcome);
    case.judge(&outcome, &[]);
}

#[test]
fn dualvar_with_two_segments() {
    whole_model("c_simclr_v4_r3d_clip-sr-tc_s2", 2);
}

#[test]
fn dualvar_with_four_segments() {
    whole_model("c_simclr_v4_r3d_clip-sr-tc_s4", 4);
}

/// A backbone's passes: two clips of one video, with and without batch statistics. Parameters by `model/path`.
fn backbone(name: &str, training: bool) {
    let case = Case::open(name);
    let kept = if training { case.names("expected", "after.") } else { Vec::new() };
    let weights = case.weights().into_iter().map(|(n, t)| (format!("encoder/{n}"), t)).collect();
    let mut probe = Probe::new(graph("ucf_r3d.toml"), "gallery").set(["stages.gallery.nodes.clips.clips=2"]);
    if training {
        probe = probe.set(["stages.gallery.nodes.seen.mode=train"]).with(|call| call.args(["--mode", "train"]));
    }
    let found = probe
        .weights(&weights)
        .feed("crop.clips", &case.input("x").unsqueeze(0))
        .fetch(["seen.map", "pool.features"])
        .fetch(kept.iter().map(|name| format!("after.encoder/{name}")))
        .values();
    let map = found["seen.map"].squeeze_dim(0);
    let shape: Vec<i64> = serde_json::from_value(case.json["params"]["output_shape"].clone()).unwrap();
    assert_eq!(map.size(), shape);
    let mut outcome = HashMap::from([
        ("pooled".to_string(), found["pool.features"].squeeze_dim(0)),
        ("sample".to_string(), case.strided(&map)),
        ("loss".to_string(), map.to_kind(Kind::Double).square().mean(Kind::Double)),
    ]);
    for name in kept {
        outcome.insert(format!("after.{name}"), found[&format!("after.encoder/{name}")].shallow_clone());
    }
    // no node computes the case's loss, so its gradients stand in the test of the node
    case.judge(&outcome, &["grad_"]);
}

#[test]
fn backbone_in_evaluation() {
    backbone("a_backbone_dualvar_r3d_eval", false);
}

#[test]
fn backbone_with_batch_statistics() {
    backbone("a_backbone_dualvar_r3d_train", true);
}

const TERMS: [&str; 4] = ["contrast", "coherence", "rank_plain", "rank_again"];

/// One loss alone: the others are taken away as an ablation does it.
fn alone(term: &str) -> Probe {
    let weight = |other: &str| format!("stages.pretrain.nodes.total.weights.{other}=false");
    let off: Vec<String> = TERMS.iter().filter(|t| **t != term).map(|t| weight(t)).collect();
    let metrics = format!("stages.pretrain.metrics=[\"{term}.loss\"]");
    let sets = off.iter().chain([&metrics]).map(String::as_str);
    Probe::new(dualvar(), "pretrain").set(sets).with(|call| call.args(["--mode", "train"]))
}

/// Features `[B, 2, ...]` as those of three views, of which the last is not read.
fn three_views(features: &Tensor) -> Tensor {
    Tensor::cat(&[features, &features.narrow(1, 0, 1)], 1)
}

fn views(gradient: &Tensor) -> Tensor {
    gradient.narrow(1, 0, 2)
}

/// What a loss of two views gives for features, with the gradient of them.
fn two_views(term: &str, edge: &str, features: &Tensor, change: impl FnOnce(Probe) -> Probe) -> HashMap<String, Tensor> {
    let mut found = change(alone(term))
        .feed(edge, &three_views(features))
        .fetch([format!("{term}.loss"), format!("{term}.logits")])
        .gradients([edge])
        .values();
    let gradient = found.remove(&format!("grad.{edge}")).unwrap();
    assert_eq!(gradient.narrow(1, 2, 1).abs().max().double_value(&[]), 0.0);
    found.insert("gradient".into(), views(&gradient));
    found
}

#[test]
fn clip_contrast() {
    let case = Case::open("b_simclr_clip_loss");
    let mut found = two_views("contrast", "clip.features", &case.given("features"), |p| p);
    let mut outcome: HashMap<String, Tensor> =
        [("contrast.loss", "clip_contrast_loss"), ("contrast.logits", "clip_logits"), ("gradient", "grad.features")]
            .map(|(from, to)| (to.to_string(), found.remove(from).unwrap()))
            .into();
    labels(&case, &mut outcome);
    case.judge(&outcome, &[]);
}

#[test]
fn temporal_coherence() {
    let case = Case::open("b_simclr_tc_loss_s2");
    let mut found = two_views("coherence", "series.series", &case.given("features"), |p| p);
    let mut outcome: HashMap<String, Tensor> =
        [("coherence.loss", "tc_contrast_loss"), ("coherence.logits", "tc_logits"), ("gradient", "grad.features")]
            .map(|(from, to)| (to.to_string(), found.remove(from).unwrap()))
            .into();
    labels(&case, &mut outcome);
    case.judge(&outcome, &[]);
}

fn ranking(name: &str, segments: usize, theta: f64) {
    let case = Case::open(name);
    // [B, segment, original or shuffled, D]
    let features = case.given("features");
    let original = features.select(2, 0);
    let found = alone("rank_plain")
        .set([format!("values.segments={segments}").as_str(), format!("stages.pretrain.nodes.rank_plain.theta={theta}").as_str()])
        .feed("series.series", &Tensor::stack(&[&original, &original, &original], 1))
        .feed("restored.items", &features.select(2, 1))
        .fetch(["total.loss", "rank_plain.logits"])
        .gradients(["series.series", "restored.items"])
        .values();
    let gradient = Tensor::stack(&[found["grad.series.series"].select(1, 0), found["grad.restored.items"].shallow_clone()], 2);
    let mut outcome = HashMap::from([
        ("aug_ranking_margin_contrast_loss".to_string(), found["total.loss"].shallow_clone()),
        ("aug_ranking_margin_logits".to_string(), found["rank_plain.logits"].shallow_clone()),
        ("grad.features".to_string(), gradient),
    ]);
    labels(&case, &mut outcome);
    case.judge(&outcome, &[]);
}

#[test]
fn ranking_of_two_segments() {
    ranking("b_simclr_ranking_loss_s2_theta0.05", 2, 0.05);
}

#[test]
fn ranking_of_four_segments() {
    ranking("b_simclr_ranking_loss_s4_theta0.5", 4, 0.5);
}

/// Gathered losses: two processes as published, against one with the whole batch.
#[test]
fn two_processes() {
    let case = Case::open("b_simclr_two_process");
    let mut outcome = HashMap::new();
    for (term, edge, short) in [("contrast", "clip.features", "clip"), ("coherence", "series.series", "tc")] {
        let features = case.given(&format!("{short}_features"));
        for gradient in ["exact", "published"] {
            let setting = format!("stages.pretrain.nodes.{term}.gradient={gradient}");
            let sets = ["stages.pretrain.batch=6", "stages.pretrain.world=2", &setting];
            let more: &[&str] = if short == "tc" { &["coherence.part_losses"] } else { &[] };
            let found = two_views(term, edge, &features, |probe| probe.set(sets).fetch(more));
            let (loss, logits) = (&found[&format!("{term}.loss")], &found[&format!("{term}.logits")]);
            if gradient == "exact" {
                outcome.insert(format!("{short}_loss.single"), loss.shallow_clone());
                outcome.insert(format!("{short}_grad.single"), found["gradient"].shallow_clone());
                continue;
            }
            // of the average over processes, which is what trains
            outcome.insert(format!("{short}_grad.ranks"), &found["gradient"] * 2.0);
            for rank in 0..2 {
                let own = |all: &Tensor| if short == "tc" { all.narrow(0, rank * 6, 6) } else { all.shallow_clone() };
                outcome.insert(format!("{short}_logits.rank{rank}"), own(logits));
                let loss = if short == "tc" { found["coherence.part_losses"].get(rank) } else { loss.shallow_clone() };
                outcome.insert(format!("{short}_loss.rank{rank}"), loss);
            }
        }
    }
    case.judge(&outcome, &[]);
}
