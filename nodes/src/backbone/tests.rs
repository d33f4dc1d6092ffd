//! What every backbone is held to.

use crate::parity::Case;
use crate::testing;
use dv_graph::port::Port;
use dv_train::exec::batch::ModelKind;
use std::collections::HashMap;
use tch::{kind::FLOAT_CPU, Kind as Dtype, Tensor};

pub fn clips([time, height, width]: [usize; 3]) -> Vec<(&'static str, Port)> {
    vec![("clips", Port::float([3, time, height, width].map(Into::into)))]
}

/// Shape of the map of clips of that size.
pub fn map_shape<K: ModelKind>(kind: &K, size: [usize; 3]) -> Vec<i64> {
    let ports = testing::model_shapes(kind, clips(size)).unwrap();
    ports[0].shape.iter().map(|d| d.known().unwrap() as i64).collect()
}

/// Parameters as they start, which depend on no size.
pub fn initial<K: ModelKind>(kind: &K) -> HashMap<String, Tensor> {
    testing::initial(kind, clips([16, 112, 112]))
}

fn map<K: ModelKind>(settings: &str, case: &Case) -> Tensor {
    let kind: K = testing::kind(settings);
    let declared: Vec<(String, Vec<usize>)> =
        testing::parameters(&kind, clips([16, 112, 112])).into_iter().map(|p| (p.name, p.shape)).collect();
    assert_eq!(declared, case.weight_shapes(), "names, shapes and order of the parameters");
    let map = testing::forward(&kind, &case.weights(), false, vec![("clips", case.input("x"))]).take("map");
    assert_eq!(map.size()[1..], map_shape(&kind, [16, 112, 112]));
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
    assert_eq!(map.size()[1..], map_shape(kind, size));
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
