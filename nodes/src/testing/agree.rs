//! Kinds that run on the host and on the device: both give the same.

use super::{call, call_host, clip_tensor, examples, host_pixels, Example, With};
use dv_graph::draw::{Key, Rng};
use dv_graph::fault::Faults;
use dv_graph::host::{Array, Clip, Value as HostValue};
use dv_graph::kind::Entry;
use dv_graph::port::{Dim, Port, Type};
use dv_graph::source::{At, Sources};
use dv_graph::tree;
use dv_train::exec::batch::{NodeEntry, Run, Value};
use std::collections::HashMap;
use tch::{Kind, Tensor};

/// How many samples each kind is tried on.
const SAMPLES: u64 = 8;
/// Pixels differ by at most one step of a byte.
const STEP: f64 = 1.0;

/// Runs every kind of a list that runs on both planes on random clips and numbers, with the settings of its examples. The device draws for
/// itself, then is given the host's draws; both times it gives what the host does. How many kinds there were.
///
/// # Panics
/// With the kind, the output and the largest difference.
pub fn compare(entries: impl IntoIterator<Item = &'static NodeEntry>) -> usize {
    let both = entries.into_iter().filter(|e| e.graph.sample.is_some() && e.graph.batch && matches!(e.run, Run::Batch(_)));
    both.map(compare_one).count()
}

fn compare_one(entry: &'static NodeEntry) {
    let examples = examples(&entry.graph);
    assert!(!examples.is_empty(), "{}: no example follows from its declaration", entry.graph.name);
    examples.iter().for_each(|example| compare_with(entry, example));
}

fn compare_with(entry: &'static NodeEntry, example: &Example) {
    let graph: &'static Entry = &entry.graph;
    let what = || format!("{} with {:?}", graph.name, example.settings);
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let table = tree::parse("example", &example.settings, &mut sources, &mut faults);
    let kind = (graph.build)(&table, At::default(), &mut faults).unwrap_or_else(|| panic!("{}", faults.render(&sources)));
    let one = |sample: u64| -> (Vec<Tensor>, HashMap<&'static str, HostValue>) {
        let mut rng = Key::initial(sample, graph.name).rng();
        let inputs: Vec<(&str, HostValue)> = example.inputs.all().map(|(name, port)| (name, random(port, &mut rng))).collect();
        let host = call_host(graph, kind.as_any(), sample, &inputs).unwrap_or_else(|e| panic!("{}: {e:#}", what()));
        assert_eq!(host.len(), graph.outputs.len(), "{}: outputs of the host", what());
        (inputs.iter().map(|(_, value)| row(value)).collect(), host)
    };
    let (inputs, host): (Vec<_>, Vec<_>) = (0..SAMPLES).map(one).unzip();
    // all samples as the rows of one batch
    let column = |i: usize| Tensor::cat(&inputs.iter().map(|row| &row[i]).collect::<Vec<_>>(), 0);
    let rows = |name: &str| Tensor::cat(&host.iter().map(|outputs| row(&outputs[name])).collect::<Vec<_>>(), 0);
    let expected: Vec<(&str, Tensor)> = graph.outputs.iter().map(|o| (o.name, rows(o.name))).collect();
    for given in [false, true] {
        let inputs = example.inputs.all().enumerate().map(|(i, (name, _))| (name, Value::Tensor(column(i))));
        let draws = graph.outputs.iter().zip(&expected).filter(|(o, _)| given && o.draw);
        let draws = draws.map(|(_, (name, drawn))| (*name, Value::Tensor(drawn.shallow_clone())));
        let device = call(entry, kind.as_any(), None, SAMPLES as usize, &With::default(), inputs.chain(draws).collect());
        let device = device.unwrap_or_else(|e| panic!("{}: {e:#}", what()));
        for (name, host) in &expected {
            agree(&format!("{}.{name}", what()), host, device.tensor(name));
        }
    }
}

fn agree(what: &str, host: &Tensor, device: &Tensor) {
    assert_eq!((host.size(), host.kind()), (device.size(), device.kind()), "{what}");
    let difference = (host.to_kind(Kind::Double) - device.to_kind(Kind::Double)).abs().max();
    let most = if host.kind() == Kind::Uint8 { STEP } else { 0.0 };
    let found = difference.double_value(&[]);
    assert!(found <= most, "{what}: host and device differ by {found}");
}

/// A value of the host as one row of the device.
fn row(value: &HostValue) -> Tensor {
    let shaped = |t: Tensor, shape: &[usize]| t.reshape(shape.iter().map(|n| *n as i64).collect::<Vec<_>>()).unsqueeze(0);
    match value {
        HostValue::Clips(_) => clip_tensor(&host_pixels(value)),
        HostValue::Float(a) => shaped(Tensor::from_slice(&a.data), &a.shape),
        HostValue::Index(a) => shaped(Tensor::from_slice(&a.data), &a.shape),
        HostValue::Video(_) => panic!("a video is on the host alone"),
    }
}

fn random(port: &Port, rng: &mut Rng) -> HostValue {
    let shape: Vec<usize> = port.shape.iter().map(|dim| dim.known().unwrap_or(8)).collect();
    let count: usize = shape.iter().product();
    match port.ty {
        Type::Bytes => {
            let [_, time, height, width] = <[usize; 4]>::try_from(&shape[..]).unwrap_or_else(|_| panic!("a clip of {shape:?}"));
            let pixels = (0..count).map(|_| rng.below(256) as u8).collect();
            let clip = Clip::of_pixels(Array::new(vec![time, height, width, 3], pixels));
            HostValue::Clips(clip.unwrap_or_else(|e| panic!("{e:#}")).into())
        }
        // of one axis: a permutation, which is an index too
        Type::Index if shape.len() == 1 => {
            HostValue::Index(Array::new(shape, rng.permutation(count).into_iter().map(|i| i as i64).collect()))
        }
        Type::Index => {
            let range = port.range.as_ref().and_then(Dim::known).unwrap_or(1);
            HostValue::Index(Array::new(shape, (0..count).map(|_| rng.below(range) as i64).collect()))
        }
        _ => HostValue::Float(Array::new(shape, (0..count).map(|_| rng.unit() as f32).collect())),
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[derive(Ports)]
    struct Numbers<P: Plane> {
        /// `3` numbers
        values: P::Float,
    }

    /// Gives what came in on the host, and something else on the device.
    #[kind("own/odd", inputs = Numbers, outputs = Numbers, source = "standard")]
    struct Odd {}

    impl Kind for Odd {}

    impl SampleKind for Odd {
        fn run(&self, inputs: Numbers<Host>, _: Nothing<Row>) -> Result<Numbers<Host>> {
            Ok(inputs)
        }
    }

    impl BatchKind for Odd {
        fn run(&self, inputs: Numbers<Batch>, _: &Cx<Self>) -> Result<Numbers<Batch>> {
            Ok(Numbers { values: inputs.values + 0.5 })
        }
    }

    #[test]
    #[should_panic(expected = "own/odd with \"\".values: host and device differ by 0.5")]
    fn a_kind_that_differs_is_told() {
        static ENTRY: NodeEntry = NodeEntry::both::<Odd>();
        super::compare([&ENTRY]);
    }
}
