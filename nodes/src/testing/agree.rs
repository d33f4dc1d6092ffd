//! Kinds that run on the host and on the device: both give the same.

use super::{call, call_host, clip_tensor, example, host_pixels, With};
use dv_graph::draw::{Key, Rng};
use dv_graph::fault::Faults;
use dv_graph::host::{Array, Clip, Value as HostValue};
use dv_graph::kind::Entry;
use dv_graph::port::{Port, Type};
use dv_graph::source::{At, Sources};
use dv_graph::tree;
use dv_train::exec::batch::{NodeEntry, Run, Value};
use std::collections::HashMap;
use tch::{Kind, Tensor};

/// How many samples each kind is tried on.
const SAMPLES: u64 = 8;
/// Pixels differ by at most one step of a byte.
const STEP: f64 = 1.0;

/// Runs every kind of a list that runs on both planes on random input, the host's draws given to the device. How many there were.
///
/// # Panics
/// With the kind, the output and the largest difference.
pub fn compare(entries: impl IntoIterator<Item = &'static NodeEntry>) -> usize {
    let both = entries.into_iter().filter(|e| e.graph.sample.is_some() && e.graph.batch && matches!(e.run, Run::Batch(_)));
    both.map(compare_one).count()
}

fn compare_one(entry: &'static NodeEntry) {
    let graph: &'static Entry = &entry.graph;
    let example = example(graph).unwrap_or_else(|| panic!("{}: no example follows from its declaration", graph.name));
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let table = tree::parse("example", &example.settings, &mut sources, &mut faults);
    let kind = (graph.build)(&table, At::default(), &mut faults).unwrap_or_else(|| panic!("{}", faults.render(&sources)));
    for sample in 0..SAMPLES {
        let mut rng = Key::initial(sample, graph.name).rng();
        let inputs: Vec<(&str, HostValue)> = example.inputs.all().map(|(name, port)| (name, random(port, &mut rng))).collect();
        let host = call_host(graph, kind.as_any(), sample, &inputs).unwrap_or_else(|e| panic!("{}: {e:#}", graph.name));
        let given = inputs.iter().map(|(name, value)| (*name, Value::Tensor(row(value))));
        let draws = graph.outputs.iter().filter(|o| o.draw).map(|o| (o.name, Value::Tensor(row(&host[o.name]))));
        let device = call(entry, kind.as_any(), None, 1, &With::default(), given.chain(draws).collect());
        let device = device.unwrap_or_else(|e| panic!("{}: {e:#}", graph.name));
        agree(graph, &host, &device);
    }
}

fn agree(graph: &Entry, host: &HashMap<&'static str, HostValue>, device: &super::Outputs) {
    assert_eq!(host.len(), graph.outputs.len(), "{}: outputs of the host", graph.name);
    for output in graph.outputs {
        let (host, device) = (row(&host[output.name]), device.tensor(output.name));
        assert_eq!((host.size(), host.kind()), (device.size(), device.kind()), "{}.{}", graph.name, output.name);
        let difference = (host.to_kind(Kind::Double) - device.to_kind(Kind::Double)).abs().max();
        let most = if host.kind() == Kind::Uint8 { STEP } else { 0.0 };
        let found = difference.double_value(&[]);
        assert!(found <= most, "{}.{}: host and device differ by {found}", graph.name, output.name);
    }
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
        Type::Index => {
            // of one axis: a permutation, which is an index too
            let numbers = rng.permutation(count.max(1)).into_iter().map(|i| i as i64);
            HostValue::Index(Array::new(shape, numbers.take(count.max(1)).collect()))
        }
        _ => HostValue::Float(Array::new(shape, (0..count).map(|_| rng.unit() as f32).collect())),
    }
}
