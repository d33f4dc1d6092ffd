use crate::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A weighted sum of losses.
#[kind("loss/sum", inputs = In, outputs = Out, rate = Batch, axes = None, source = "standard")]
pub struct Sum {
    /// A weight for each input, by its name. 0 only multiplies; `false` drops the term and every node that only fed it.
    #[schemars(extend("additionalProperties" = { "anyOf": [{ "type": "number", "minimum": -limits::WEIGHT, "maximum": limits::WEIGHT }, { "const": false }] }))]
    weights: BTreeMap<String, Weight>,
}

/// A number, or `false` for a term that is dropped.
#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a number or false")]
#[schemars(inline)]
enum Weight {
    Number(f64),
    Dropped(bool),
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// the terms, each under its name
    losses: Many<P::Scalar>,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// the sum of weight times term
    loss: P::Scalar,
}

impl Kind for Sum {
    fn ports(&self, inputs: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        for (name, port) in &inputs.losses {
            if !self.weights.contains_key(name) {
                return Err(PortFault::setting("weights", format!("there is no weight for the input `{name}`")));
            }
            if !port.is_scalar() {
                return Err(PortFault::port(name, format!("`{name}` is {port}; a single float of the batch was expected")));
            }
        }
        for (name, weight) in &self.weights {
            if matches!(weight, Weight::Number(_)) && !inputs.losses.iter().any(|(input, _)| input == name) {
                return Err(PortFault::setting("weights", format!("there is no input `{name}`")));
            }
        }
        Ok(Out { loss: Port::scalar() })
    }
    fn dropped(&self) -> Vec<String> {
        self.weights.iter().filter(|(_, w)| matches!(w, Weight::Dropped(_))).map(|(name, _)| name.clone()).collect()
    }
}

impl BatchKind for Sum {
    fn run(&self, inputs: In<Batch>, cx: &Cx<Self>) -> Result<Out<Batch>> {
        let mut loss = Tensor::zeros([], (Dtype::Float, cx.device()));
        for (name, term) in inputs.losses {
            match self.weights.get(&name).ok_or_else(|| anyhow!("there is no weight for `{name}`"))? {
                Weight::Number(weight) => loss += term * *weight,
                Weight::Dropped(_) => {}
            }
        }
        Ok(Out { loss })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn terms_are_weighted_and_false_takes_one_away() {
        let kind: Sum = testing::kind("weights = { a = 2, b = 0.5, c = false }");
        assert_eq!(kind.dropped(), ["c"]);
        let ports = vec![("a", Port::scalar()), ("b", Port::scalar())];
        assert!(testing::shapes(&kind, ports.clone()).is_ok());
        assert!(testing::shapes(&kind, ports[..1].to_vec()).is_err());
        let out = testing::run(&kind, 2, vec![("a", Tensor::from(3f32)), ("b", Tensor::from(8f32))]);
        assert_eq!(out.tensor("loss").double_value(&[]), 10.0);
    }

    #[test]
    fn true_is_no_weight() {
        assert_eq!(testing::faults::<Sum>("weights = { a = true }").len(), 1);
    }
}
