//! DualVar on MoCo.

use super::{head, permutations};
use dv_nodes::backbone::r3d::R3d;
use dv_nodes::head::projection::Projection;
use dv_nodes::head::series::Series;
use dv_nodes::loss::info_nce::InfoNce;
use dv_nodes::loss::rank::Rank;
use dv_nodes::loss::sum::Sum;
use dv_nodes::loss::temporal_coherence_queue::TemporalCoherenceQueue;
use dv_nodes::memory::queue::Queue;
use dv_nodes::order::permute_segments::PermuteSegments;
use dv_nodes::order::restore::Restore;
use dv_nodes::testing::{below, forward, kind, read, run, write};
use dv_tests::parity::{sample, Case};
use std::collections::HashMap;
use tch::{no_grad, Device, Kind, Tensor};

const SEGMENTS: i64 = 4;
const DIM: i64 = 64;

/// A queue as it is kept here, from the reference's: a key a column, and the pointer beside it.
fn queue(columns: &Tensor, pointer: &Tensor, row: &[i64]) -> HashMap<String, Tensor> {
    let rows = columns.transpose(0, 1).contiguous().reshape([&[-1], row].concat());
    let filled = Tensor::zeros([], (Kind::Int64, Device::Cpu));
    HashMap::from([("rows".to_string(), rows), ("pointer".to_string(), pointer.copy()), ("filled".to_string(), filled)])
}

#[test]
fn one_step_equals_the_reference() {
    let case = Case::open("c_moco_v4_r3d_clip-sr-tc_s4");
    let (all, special) = (case.weights(), case.special());
    let r3d: R3d = kind("width = 64");
    let clip: Projection = kind("widths = [512, 128]");
    let series: Series = kind("segments = 4\ndim = 64");
    let queues: Queue = kind("rows = 12");
    let backbone = below("encoder_q.0", &all);
    let (clip_head, series_head) = (head("encoder_q", 2, &all), head("series_proj_head_q", 0, &all));
    let clips = queue(&special["queue"], &special["queue_ptr"], &[128]);
    let sequences = queue(&special["series_queue"], &special["queue_ptr"], &[SEGMENTS, DIM]);

    let x = case.input("x");
    let view = |i: i64| x.select(1, i);
    let order = permutations(&case);
    let map = forward(&r3d, &backbone, true, vec![("clips", view(0))]).take("map");
    let query = forward(&clip, &clip_head, true, vec![("map", map.shallow_clone())]).take("features");
    let query_series = forward(&series, &series_head, true, vec![("map", map)]).take("series");

    // the key encoder moves before it is used, its buffers do not
    let momentum = case.json["params"]["m"].as_f64().unwrap();
    let parameters = || all.iter().filter(|(_, t)| t.requires_grad());
    no_grad(|| {
        for (name, source) in parameters().filter(|(name, _)| name.contains("_q.")) {
            let mut key = all[&name.replace("_q.", "_k.")].shallow_clone();
            key.copy_(&(&key * momentum + source * (1.0 - momentum)));
        }
    });
    let (key, key_series) = no_grad(|| {
        let map = forward(&r3d, &below("encoder_k.0", &all), true, vec![("clips", view(1))]).take("map");
        let key = forward(&clip, &head("encoder_k", 2, &all), true, vec![("map", map.shallow_clone())]).take("features");
        (key, forward(&series, &head("series_proj_head_k", 0, &all), true, vec![("map", map)]).take("series"))
    });

    let contrast = |state: &HashMap<String, Tensor>, query: &Tensor, key: &Tensor| {
        let negatives = read(&queues, state).take("rows").copy();
        vec![("query", query.shallow_clone()), ("key", key.shallow_clone()), ("negatives", negatives)]
    };
    let clip_loss = run(&kind::<InfoNce>("temperature = 0.07"), 3, contrast(&clips, &query, &key));
    let coherence = run(&kind::<TemporalCoherenceQueue>("temperature = 0.07"), 3, contrast(&sequences, &query_series, &key_series));

    let broken = run(&kind::<PermuteSegments>(""), 3, vec![("clips", view(2)), ("order", order.shallow_clone())]).take("clips");
    // view 2 and its broken twin are one batch
    let map = forward(&r3d, &backbone, true, vec![("clips", Tensor::cat(&[view(2), broken], 0))]).take("map");
    let again = forward(&series, &series_head, true, vec![("map", map)]).take("series");
    let restored = run(&kind::<Restore>(""), 3, vec![("items", again.narrow(0, 3, 3)), ("order", order)]).take("items");
    let rank = |series: Tensor| {
        run(&kind::<Rank>("theta = 0.05\nclamp = inf"), 3, vec![("series", series), ("shuffled", restored.shallow_clone())])
    };
    let (plain, augmented) = (rank(query_series.shallow_clone()), rank(again.narrow(0, 0, 3)));

    let losses = [("clip", &clip_loss), ("tc", &coherence), ("plain", &plain), ("augmented", &augmented)];
    let terms = losses.map(|(name, out)| (name, out.tensor("loss").shallow_clone())).into_iter().collect();
    let total = run(&kind::<Sum>("weights = { clip = 1, tc = 1, plain = 0.5, augmented = 0.5 }"), 3, terms).take("loss");
    total.backward();
    for (state, rows) in [(&clips, &key), (&sequences, &key_series)] {
        write(&queues, state, vec![("rows", rows.shallow_clone())]).unwrap();
    }

    let mut outcome: HashMap<String, Tensor> = HashMap::new();
    let mut put = |name: &str, value: Tensor| outcome.insert(name.to_string(), value);
    for (prefix, out, weight) in [("unaug_ranking_margin", &plain, 0.5), ("aug_ranking_margin", &augmented, 0.5)] {
        put(&format!("{prefix}_logits"), out.tensor("logits").shallow_clone());
        put(&format!("{prefix}_contrast_loss"), out.tensor("loss") * weight);
    }
    for (prefix, out) in [("clip", &clip_loss), ("tc", &coherence)] {
        put(&format!("{prefix}_logits"), out.tensor("logits").shallow_clone());
        put(&format!("{prefix}_labels"), out.tensor("labels").shallow_clone());
        put(&format!("{prefix}_contrast_loss"), out.tensor("loss").shallow_clone());
    }
    put("total_loss", total);
    put("after.queue", clips["rows"].transpose(0, 1));
    put("after.series_queue", sequences["rows"].flatten(1, -1).transpose(0, 1));
    put("after.queue_ptr", clips["pointer"].shallow_clone());
    for name in case.names("expected", "after.").iter().filter(|n| all.contains_key(*n)) {
        // the case keeps large parameters in part
        let whole = all[name].numel() <= 512;
        put(&format!("after.{name}"), if whole { all[name].detach() } else { sample(&all[name].detach()) });
    }
    for (name, parameter) in parameters().filter(|(_, t)| t.grad().defined()) {
        put(&format!("grad_sample:{name}"), sample(&parameter.grad()));
        put(&format!("grad_norm:{name}"), parameter.grad().to_kind(Kind::Double).norm());
    }
    case.judge(&outcome, &["aug_ranking_margin_labels", "unaug_ranking_margin_labels"]);
}
