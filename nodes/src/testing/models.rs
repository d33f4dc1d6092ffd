//! Models compute what their description says.

use super::{call, drawn, example, With};
use dv_graph::fault::Faults;
use dv_graph::port::{Axis, Port};
use dv_graph::source::{At, Sources};
use dv_graph::tree;
use dv_train::exec::batch::{NodeEntry, Run, Value};
use dv_train::state::weights::Weights;
use tch::kind::FLOAT_CPU;
use tch::{Kind, Tensor};

const ROWS: usize = 2;

fn size(port: &Port) -> Vec<i64> {
    let own = port.axes.iter().map(Axis::len).chain(port.shape.iter().map(|dim| dim.known().unwrap_or(1)));
    std::iter::once(ROWS).chain(own).map(|n| n as i64).collect()
}

/// Runs every model of a list in training: it takes exactly the parameters that it declares, gives what its ports say, and each trained
/// parameter gets a gradient. How many there were.
///
/// # Panics
/// With the model and what differs.
pub fn check_models(entries: impl IntoIterator<Item = &'static NodeEntry>) -> usize {
    entries.into_iter().filter(|entry| matches!(entry.run, Run::Model(_))).map(check_model).count()
}

fn check_model(entry: &'static NodeEntry) {
    let name = entry.graph.name;
    let example = example(&entry.graph).unwrap_or_else(|| panic!("{name}: no example follows from its declaration"));
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let table = tree::parse("example", &example.settings, &mut sources, &mut faults);
    let kind = (entry.graph.build)(&table, At::default(), &mut faults).unwrap_or_else(|| panic!("{}", faults.render(&sources)));
    let sketch = entry.graph.sketch.unwrap_or_else(|| panic!("{name} has no network"));
    let sketched = sketch(kind.as_any(), &example.inputs).unwrap_or_else(|f| panic!("{name}: {}", f.message));
    let values = example.inputs.all().map(|(input, port)| (input, Value::Tensor(Tensor::rand(size(port), FLOAT_CPU)))).collect();
    let weights = drawn(sketched.parameters);
    let with = With { training: true, ..With::default() };
    let outputs = call(entry, kind.as_any(), Some(&Weights::new("model", &weights, true)), ROWS, &with, values);
    let outputs = outputs.unwrap_or_else(|e| panic!("{name}: {e:#}"));
    let mut sum = Tensor::zeros([], FLOAT_CPU);
    for (field, port) in entry.graph.outputs.iter().zip(sketched.outputs).filter_map(|(field, port)| Some((field, port?))) {
        let value = outputs.tensor(field.name);
        assert_eq!(value.size(), size(&port), "{name}.{}", field.name);
        if value.is_floating_point() {
            sum += value.square().sum(Kind::Float);
        }
    }
    sum.backward();
    for (parameter, t) in weights.iter().filter(|(_, t)| t.requires_grad()) {
        assert!(t.grad().defined(), "{name} does not use `{parameter}`");
    }
    assert!(sketched.cost.multiply_adds > 0 && sketched.cost.kept > 0, "{name}: {:?}", sketched.cost);
}
