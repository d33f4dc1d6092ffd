//! An output is declared and not given.

use dv_graph::prelude::*;

#[derive(Ports)]
struct Features<P: Plane> {
    /// `D` features
    rows: P::Float,
}

#[derive(Ports)]
struct Parts<P: Plane> {
    /// `D` the features
    rows: P::Float,
    /// how long they are
    length: P::Index,
}

#[kind("own/parts", inputs = Features, outputs = Parts, source = "standard")]
struct Split {}
impl Kind for Split {}
impl SampleKind for Split {
    fn run(&self, inputs: Features<Host>, _: Nothing<Row>) -> Result<Parts<Host>> {
        Ok(Parts { rows: inputs.rows })
    }
}

fn main() {}
