use crate::limits;
use anyhow::{anyhow, Result};
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Rate, Type};
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::{json_schema, JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserializer, Visitor};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use tch::{Kind as Dtype, Tensor};

/// A weighted sum of losses.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    /// A weight for each input, by its name. 0 only multiplies; `false` drops the term and every node that only fed it.
    weights: BTreeMap<String, Weight>,
}

/// A number, or none where the graph says `false`.
struct Weight(Option<f64>);

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Weight, D::Error> {
        struct NumberOrFalse;
        impl Visitor<'_> for NumberOrFalse {
            type Value = Weight;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number or false")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Weight, E> {
                match value {
                    false => Ok(Weight(None)),
                    true => Err(E::invalid_value(de::Unexpected::Bool(true), &self)),
                }
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Weight, E> {
                Ok(Weight(Some(value as f64)))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Weight, E> {
                Ok(Weight(Some(value)))
            }
        }
        deserializer.deserialize_any(NumberOrFalse)
    }
}

impl JsonSchema for Weight {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Weight".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = json_schema!({ "type": "number", "minimum": -limits::WEIGHT, "maximum": limits::WEIGHT });
        json_schema!({ "anyOf": [number, { "const": false }] })
    }
}

impl Kind for Sum {
    const NAME: &'static str = "loss/sum";
    const INPUTS: &'static [In] = &[In::new("losses", &[Type::Float], "", "the terms, each under its name").many()];
    const OUTPUTS: &'static [Out] = &[Out::new("loss", "", "the sum of weight times term")];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;

    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        for (name, port) in inputs.all() {
            if !self.weights.contains_key(name) {
                return Err(PortFault::setting("weights", format!("there is no weight for the input `{name}`")));
            }
            if !port.is_scalar() {
                return Err(PortFault::input(name, format!("`{name}` is {port}; a single float of the batch was expected")));
            }
        }
        for (name, weight) in &self.weights {
            if weight.0.is_some() && inputs.get(name).is_none() {
                return Err(PortFault::setting("weights", format!("there is no input `{name}`")));
            }
        }
        Ok(vec![Port::scalar()])
    }
    fn dropped(&self) -> Vec<String> {
        self.weights.iter().filter(|(_, w)| w.0.is_none()).map(|(name, _)| name.clone()).collect()
    }
}

impl BatchKind for Sum {
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let mut sum = Tensor::zeros([], (Dtype::Float, io.device()));
        for (name, term) in io.tensors() {
            let weight = self.weights.get(&name).ok_or_else(|| anyhow!("there is no weight for `{name}`"))?;
            if let Some(weight) = weight.0 {
                sum += term * weight;
            }
        }
        io.put("loss", sum);
        Ok(())
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
        let ports = vec![("a".to_string(), Port::scalar()), ("b".to_string(), Port::scalar())];
        assert!(kind.ports(&Inputs::new(ports.clone())).is_ok());
        assert!(kind.ports(&Inputs::new(ports[..1].to_vec())).is_err());
        let out = testing::run(&kind, 2, vec![("a", Tensor::from(3f32)), ("b", Tensor::from(8f32))]);
        assert_eq!(out.tensor("loss").double_value(&[]), 10.0);
    }

    #[test]
    fn true_is_no_weight() {
        assert_eq!(testing::faults::<Sum>("weights = { a = true }").len(), 1);
    }
}
