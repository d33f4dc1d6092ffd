//! DualVar on SimCLR.

use super::{head, permutations};
use dv_nodes::backbone::r3d::R3d;
use dv_nodes::batch::stack::Stack;
use dv_nodes::head::projection::Projection;
use dv_nodes::head::series::Series;
use dv_nodes::loss::nt_xent::NtXent;
use dv_nodes::loss::rank::Rank;
use dv_nodes::loss::sum::Sum;
use dv_nodes::loss::temporal_coherence::TemporalCoherence;
use dv_nodes::order::permute_segments::PermuteSegments;
use dv_nodes::order::restore::Restore;
use dv_nodes::testing::{below, forward, kind, run};
use dv_tests::parity::Case;

fn one_step(name: &str, segments: usize) {
    let case = Case::open(name);
    let all = case.weights();
    let (backbone, clip_head, series_head) = (below("encoder_q.0", &all), head("encoder_q", 2, &all), head("series_proj_head", 0, &all));
    let r3d: R3d = kind("width = 64");
    let clip: Projection = kind("widths = [512, 128]");
    let series: Series = kind(&format!("segments = {segments}\ndim = 64"));

    let x = case.input("x");
    let rows = x.size()[0] as usize;
    let view = |i: i64| x.select(1, i);
    let order = permutations(&case);

    let views = run(&kind::<Stack>("axis = 'view'"), rows, vec![("v0", view(0)), ("v1", view(1)), ("v2", view(2))]).take("clips");
    let seen = forward(&r3d, &backbone, true, vec![("clips", views.flatten(0, 1))]).take("map");
    let broken = run(&kind::<PermuteSegments>(""), rows, vec![("clips", view(2)), ("order", order.shallow_clone())]).take("clips");
    let cut = forward(&r3d, &backbone, true, vec![("clips", broken)]).take("map");

    let features = forward(&clip, &clip_head, true, vec![("map", seen.shallow_clone())]).take("features").reshape([-1, 3, 128]);
    let parts = forward(&series, &series_head, true, vec![("map", seen)]).take("series").reshape([-1, 3, segments as i64, 64]);
    let mixed = forward(&series, &series_head, true, vec![("map", cut)]).take("series");
    let restored = run(&kind::<Restore>(""), rows, vec![("items", mixed), ("order", order)]).take("items");

    let scale = "temperature = 0.07\ngradient = 'published'";
    let contrast = run(&kind::<NtXent>(scale), rows, vec![("a", features.select(1, 0)), ("b", features.select(1, 1))]);
    let coherence = run(&kind::<TemporalCoherence>(scale), rows, vec![("a", parts.select(1, 0)), ("b", parts.select(1, 1))]);
    let rank = |view: i64| {
        let inputs = vec![("series", parts.select(1, view)), ("shuffled", restored.shallow_clone())];
        run(&kind::<Rank>("theta = 0.05\nclamp = 5.0"), rows, inputs)
    };
    let (plain, again) = (rank(0), rank(2));

    case.tensor("clip_logits", contrast.tensor("logits"));
    case.tensor("tc_logits", coherence.tensor("logits"));
    case.scalar("clip_contrast_loss", contrast.tensor("loss"));
    case.scalar("tc_contrast_loss", coherence.tensor("loss"));
    case.tensor("aug_ranking_margin_logits", plain.tensor("logits"));
    case.tensor("unaug_ranking_margin_logits", again.tensor("logits"));
    case.scalar("aug_ranking_margin_contrast_loss", &(plain.tensor("loss") * 0.5));
    case.scalar("unaug_ranking_margin_contrast_loss", &(again.tensor("loss") * 0.5));

    let terms = vec![
        ("contrast", contrast.tensor("loss").shallow_clone()),
        ("coherence", coherence.tensor("loss").shallow_clone()),
        ("rank_plain", plain.tensor("loss").shallow_clone()),
        ("rank_again", again.tensor("loss").shallow_clone()),
    ];
    let sum: Sum = kind("weights = { contrast = 1, coherence = 1, rank_plain = 0.5, rank_again = 0.5 }");
    let total = run(&sum, rows, terms).take("loss");
    case.scalar("total_loss", &total);
    total.backward();
    case.gradients(&all);
    case.buffers(&all);
}

#[test]
fn dualvar_with_four_segments() {
    one_step("c_simclr_v4_r3d_clip-sr-tc_s4", 4);
}

#[test]
fn dualvar_with_two_segments() {
    one_step("c_simclr_v4_r3d_clip-sr-tc_s2", 2);
}
