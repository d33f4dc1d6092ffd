//! A port is read that the kind does not declare.

use dv_graph::prelude::*;

#[derive(Ports)]
struct Pair<P: Plane> {
    /// `D` features of one view
    a: P::Float,
    /// `D` features of the other
    b: P::Float,
}

#[derive(Ports)]
struct Chosen<P: Plane> {
    /// `D` the features of one of them
    rows: P::Float,
}

#[kind("own/first", inputs = Pair, outputs = Chosen, source = "standard")]
struct First {}
impl Kind for First {}
impl SampleKind for First {
    fn run(&self, inputs: Pair<Host>, _: Nothing<Row>) -> Result<Chosen<Host>> {
        Ok(Chosen { rows: inputs.first })
    }
}

fn main() {}
