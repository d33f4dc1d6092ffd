use crate::limits;
use crate::pixels::length;
use anyhow::Result;
use dv_graph::kind::{In, Inputs, Kind, ModelDeclaration, Out, Parameter, PortFault};
use dv_graph::layer;
use dv_graph::port::{Port, Type};
use dv_train::exec::batch::{BatchIo, ModelKind};
use dv_train::state::weights::Weights;
use schemars::JsonSchema;
use serde::Deserialize;

/// A linear classifier: one logit for each class, with bias.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Classes, and so logits.
    #[schemars(range(min = 1, max = limits::CLASSES))]
    classes: usize,
}

impl Kind for Linear {
    const NAME: &'static str = "head/linear";
    const INPUTS: &'static [In] = &[In::new("features", &[Type::Float], "C", "features")];
    const OUTPUTS: &'static [Out] = &[Out::new("logits", "classes", "one logit for each class")];

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        length(inputs, "features", 0)?;
        Ok(vec![Port::float([self.classes.into()])])
    }
}

impl ModelDeclaration for Linear {
    fn parameters(&self, inputs: &Inputs) -> Vec<Parameter> {
        let mut list = layer::linear("", length(inputs, "features", 0).unwrap_or(0), self.classes);
        for parameter in &mut list {
            parameter.name = parameter.name.trim_start_matches('.').to_string();
        }
        list
    }
}

impl ModelKind for Linear {
    fn forward(&self, weights: &Weights, io: &mut BatchIo) -> Result<()> {
        let logits = io.tensor("features")?.linear(weights.get("weight"), Some(weights.get("bias")));
        io.put("logits", Weights::full(&logits));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::r3d::R3d;
    use crate::head::global_pool::GlobalPool;
    use crate::loss::cross_entropy::CrossEntropy;
    use crate::{parity::Case, testing};

    #[test]
    fn the_published_classifier_in_training() {
        let case = Case::open("c_linear_classifier_r3d_plain_train");
        let all = case.weights();
        let backbone = testing::below("backbone", &all);
        let fc = testing::below("final_fc.0", &all);
        let map = testing::forward(&testing::kind::<R3d>("width = 64"), &backbone, true, vec![("clips", case.input("x"))]).take("map");
        let features = testing::run(&testing::kind::<GlobalPool>(""), 3, vec![("map", map)]).take("features");
        case.tensor("feat3d", &features);
        let logits = testing::forward(&testing::kind::<Linear>("classes = 101"), &fc, true, vec![("features", features)]).take("logits");
        case.tensor("logit", &logits);
        let inputs = vec![("logits", logits), ("label", case.given("target"))];
        let loss = testing::run(&testing::kind::<CrossEntropy>(""), 3, inputs).take("loss");
        case.scalar("cross_entropy", &loss);
        loss.backward();
        case.gradients(&all);
    }
}
