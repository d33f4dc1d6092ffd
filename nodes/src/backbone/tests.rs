//! What every backbone is held to.

use crate::parity::Case;
use crate::testing;
use dv_graph::kind::Inputs;
use dv_graph::port::Port;
use dv_train::exec::batch::ModelKind;
use std::collections::HashMap;
use tch::{kind::FLOAT_CPU, Kind as Dtype, Tensor};

pub fn clips(size: [usize; 3]) -> Inputs {
    let [time, height, width] = size;
    Inputs::new(vec![("clips".into(), Port::float([3, time, height, width].map(Into::into)))])
}

/// Parameters as they start, which depend on no size.
pub fn initial<K: ModelKind>(kind: &K) -> HashMap<String, Tensor> {
    let port = Port::float([3, 16, 112, 112].map(Into::into));
    testing::initial(kind, vec![("clips", port)])
}

fn map<K: ModelKind>(settings: &str, case: &Case) -> Tensor {
    let kind: K = testing::kind(settings);
    let declared: Vec<(String, Vec<usize>)> = kind.parameters(&clips([16, 112, 112])).into_iter().map(|p| (p.name, p.shape)).collect();
    assert_eq!(declared, case.weight_shapes(), "names, shapes and order of the parameters");
    let map = testing::forward(&kind, &case.weights(), false, vec![("clips", case.input("x"))]).take("map");
    let shape: Vec<i64> = kind.ports(&clips([16, 112, 112])).unwrap()[0].shape.iter().map(|d| d.known().unwrap() as i64).collect();
    assert_eq!(map.size()[1..], shape);
    map
}

fn pooled(map: &Tensor) -> Tensor {
    map.mean_dim([2i64, 3, 4].as_slice(), false, None)
}

/// DualVar's cases: the map itself, in evaluation.
pub fn equals_the_reference<K: ModelKind>(settings: &str, name: &str) {
    let case = Case::open(name);
    let map = map::<K>(settings, &case);
    case.tensor("pooled", &pooled(&map));
    case.tensor("sample", &case.strided(&map));
}

/// IIC's cases: the pooled map.
pub fn pools_to_the_reference<K: ModelKind>(settings: &str, name: &str) {
    let case = Case::open(name);
    case.tensor("out", &pooled(&map::<K>(settings, &case)));
}

/// A step of training: the map is as large as the port says, every parameter has a gradient, every buffer moves.
pub fn trains<K: ModelKind>(kind: &K, size: [usize; 3]) {
    let weights = initial(kind);
    let before: Vec<(String, Tensor)> = weights.iter().map(|(name, t)| (name.clone(), t.copy())).collect();
    let [time, height, width] = size.map(|n| n as i64);
    let clips_in = Tensor::rand([2, 3, time, height, width], FLOAT_CPU);
    let map = testing::forward(kind, &weights, true, vec![("clips", clips_in)]).take("map");
    let shape: Vec<i64> = kind.ports(&clips(size)).unwrap()[0].shape.iter().map(|d| d.known().unwrap() as i64).collect();
    assert_eq!(map.size()[1..], shape);
    (&map * Tensor::rand_like(&map)).square().mean(Dtype::Float).backward();
    for (name, old) in before {
        let now = &weights[&name];
        if now.requires_grad() {
            let grad = now.grad();
            // batch norm takes a bias before it away again
            let taken_away = name.starts_with("conv") && name.ends_with(".bias");
            assert!(grad.defined() && (taken_away || grad.abs().sum(Dtype::Double).double_value(&[]) > 0.0), "{name} has no gradient");
        } else {
            assert_ne!(*now, old, "{name} stays");
        }
    }
}
