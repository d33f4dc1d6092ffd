//! Mistakes in a kind of one's own are reported at the node that uses it.

mod common;

use common::*;
use dv_graph::kind::{Entry, In, Inputs, Kind, Library, Out, PortFault};
use dv_graph::port::{Port, Type};
use schemars::JsonSchema;
use serde::Deserialize;

/// Declares two outputs and gives one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Short {}

impl Kind for Short {
    const NAME: &'static str = "own/short";
    const INPUTS: &'static [In] = &[In::new("clips", &[Type::Float], "...", "anything")];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "...", "the same"), Out::draw("drawn", "", "a number")];
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        Ok(vec![inputs.port("clips").clone()])
    }
}

static SHORT: [Entry; 1] = [Entry::batch::<Short>()];

#[test]
fn a_shape_rule_that_forgets_an_output_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("g.toml");
    let text = edited(
        GOOD,
        &[(
            "plain    = { kind = \"view/normal\", in = \"small.clips\" }",
            "cast = { kind = \"view/normal\", in = \"small.clips\" }\nplain = { kind = \"own/short\", in = \"cast.clips\" }",
        )],
    );
    std::fs::write(&path, &text).unwrap();
    let library = Library::new(library().entries().chain(&SHORT));
    let checked = dv_graph::check::check(&path, &[], &library, None);
    assert_eq!(faults(&checked), [format!("{} shape", place(&text, "plain = {"))], "{}", rendered(&checked));
    assert!(rendered(&checked).contains("the kind `own/short` declares 2 outputs, and its shape rule gives 1"));
}
