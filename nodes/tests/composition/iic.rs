//! IIC: intra-negatives by repeated frames, the residual clip as the second view.

use dv_nodes::backbone::r3d::R3d;
use dv_nodes::head::global_pool::GlobalPool;
use dv_nodes::loss::nce_softmax::NceSoftmax;
use dv_nodes::memory::bank::Bank;
use dv_nodes::testing::{forward, kind, read, run, write};
use dv_nodes::view::repeat_frame::RepeatFrame;
use dv_nodes::view::residual::Residual;
use dv_tests::parity::{sample, Case};
use std::collections::HashMap;
use tch::{no_grad, Kind, Tensor};

#[test]
fn one_step_equals_the_reference() {
    let case = Case::open("d_iic_train_step_repeat");
    let (weights, special) = (case.weights(), case.special());
    let bank: Bank = kind("momentum = 0.5");
    let banks: HashMap<&str, HashMap<String, Tensor>> =
        ["l", "ab", "neg"].map(|name| (name, HashMap::from([("rows".to_string(), special[&format!("memory_{name}")].copy())]))).into();

    let clips = case.input("inputs");
    let residual = run(&kind::<Residual>("rescale = true"), 3, vec![("clips", clips.shallow_clone())]).take("clips");
    let draws: Vec<[i64; 3]> = serde_json::from_value(case.json["params"]["randint_draws"].clone()).unwrap();
    let frames: Vec<i64> = draws.iter().map(|[_, _, frame]| *frame).collect();
    let frame = Tensor::from_slice(&frames).reshape([-1, 1]);
    let negative = run(&kind::<RepeatFrame>(""), 3, vec![("clips", clips.shallow_clone()), ("frame", frame)]).take("clips");

    // three passes, in this order
    let r3d: R3d = kind("width = 64");
    let encode = |clips: Tensor| {
        let map = forward(&r3d, &weights, true, vec![("clips", clips)]).take("map");
        run(&kind::<GlobalPool>(""), 3, vec![("map", map)]).take("features")
    };
    let features = [encode(clips), encode(residual), encode(negative).detach()];

    let (index, drawn) = (case.given("index"), case.given("drawn"));
    let score = |features: &Tensor, other: &str| {
        let rows = |name: &str| read(&bank, &banks[name]).take("rows").copy();
        let inputs = vec![
            ("features", features.shallow_clone()),
            ("index", index.shallow_clone()),
            ("positives", rows(other)),
            ("negatives", rows("neg")),
            // the raw draw's first column gives way to the own row
            ("drawn", drawn.narrow(1, 1, 8)),
        ];
        run(&kind::<NceSoftmax>("temperature = 0.07"), 3, inputs)
    };
    let views = [score(&features[0], "ab"), score(&features[1], "l")];
    (views[0].tensor("loss") + views[1].tensor("loss")).backward();
    for (name, rows) in ["l", "ab", "neg"].into_iter().zip(&features) {
        write(&bank, &banks[name], vec![("index", index.shallow_clone()), ("rows", rows.detach())]).unwrap();
    }

    let mut outcome: HashMap<String, Tensor> = HashMap::new();
    for (i, out) in views.iter().enumerate() {
        outcome.insert(format!("view{}_loss", i + 1), out.tensor("loss").shallow_clone());
        outcome.insert(format!("view{}_prob", i + 1), out.tensor("positive").shallow_clone());
    }
    for name in ["l", "ab", "neg"] {
        outcome.insert(format!("after.contrast.memory_{name}"), banks[name]["rows"].index_select(0, &index));
    }
    for (name, t) in &weights {
        if t.grad().defined() {
            outcome.insert(format!("grad_norm:{name}"), t.grad().to_kind(Kind::Double).norm());
            // the first step of SGD
            no_grad(|| t.shallow_clone().copy_(&(t - (t.grad() + t * 1e-4) * 0.01)));
        }
        let after = if t.numel() <= 512 { t.detach() } else { sample(&t.detach()) };
        outcome.insert(format!("after.{name}"), after);
    }
    case.judge(&outcome, &[]);
}
