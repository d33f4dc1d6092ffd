use crate::limits;
use anyhow::{ensure, Result};
use dv_graph::draw::Rng;
use dv_graph::kind::{Axes, In, Inputs, Kind, Out, PortFault};
use dv_graph::port::{Port, Type};
use dv_graph::settings::SettingFaults;
use dv_train::exec::batch::{BatchIo, BatchKind};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use tch::Tensor;

/// Each sample takes one of several branches, drawn by their odds. Only the drawn branch is computed for it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choose {
    /// How likely each branch is, by its input's name; the sum need not be 1. A draw equal to a cumulative weight takes
    /// the next branch, in the order in which `in` names them.
    #[schemars(extend("additionalProperties" = { "type": "number", "minimum": 0.0, "maximum": limits::WEIGHT }))]
    odds: BTreeMap<String, f64>,
}

impl Kind for Choose {
    const NAME: &'static str = "view/choose";
    const INPUTS: &'static [In] =
        &[In::new("clips", &[Type::Bytes, Type::Float], "...", "the branches, each under its name; equal in type and shape").many()];
    const OUTPUTS: &'static [Out] = &[
        Out::new("clips", "...", "each sample's clip from its branch"),
        Out::draw("choice", "", "the branch taken: 0 is the first that `in` names"),
    ];
    const AXES: Axes = Axes::None;
    const CHOOSES: bool = true;

    fn check(&self, faults: &mut SettingFaults) {
        faults.require(self.odds.values().sum::<f64>() > 0.0, "odds", "must have a sum above 0");
    }
    fn ports(&self, inputs: &Inputs) -> Result<Vec<Port>, PortFault> {
        let branches: Vec<(&str, &Port)> = inputs.all().filter(|(name, _)| *name != "choice").collect();
        let Some(&(first_name, first)) = branches.first() else { return Err(PortFault::node("there is nothing to choose from")) };
        for (name, port) in &branches {
            if !self.odds.contains_key(*name) {
                let spare = self.odds.keys().find(|odd| inputs.get(odd).is_none());
                let other = spare.map(|odd| format!(", but odds for `{odd}`, which is no input")).unwrap_or_default();
                return Err(PortFault::setting("odds", format!("there are no odds for the input `{name}`{other}")));
            }
            if (port.ty, &port.shape) != (first.ty, &first.shape) {
                return Err(PortFault::input(name, format!("`{name}` is {port}, but `{first_name}` is {first}")));
            }
        }
        if let Some(name) = self.odds.keys().find(|name| inputs.get(name).is_none()) {
            return Err(PortFault::setting("odds", format!("there are odds for `{name}`, which is no input")));
        }
        Ok(vec![first.clone(), Port::index([]).with_range(branches.len().into())])
    }
    fn pick(&self, rng: &mut Rng, branches: &[&str]) -> Option<usize> {
        let weights: Vec<f64> = branches.iter().map(|name| self.odds.get(*name).copied().unwrap_or(0.0)).collect();
        Some(rng.weighted(&weights))
    }
}

impl BatchKind for Choose {
    /// Each branch brings the rows that took it, in their order; a branch that none took is not there.
    fn run(&self, io: &mut BatchIo) -> Result<()> {
        let choice = io.tensor("choice")?;
        let branches = io.tensors().into_iter().filter(|(name, _)| name != "choice").map(|(_, t)| t);
        // channels last in memory stay so
        let clips = |t: &Tensor| t.dim() == 5;
        let branches: Vec<Tensor> = branches.map(|t| if clips(&t) { t.permute([0, 2, 3, 4, 1]) } else { t }).collect();
        ensure!(!branches.is_empty(), "no branch came");
        let all = Tensor::cat(&branches, 0);
        ensure!(all.size()[0] == choice.numel() as i64, "{} rows chose, but the branches brought {}", choice.numel(), all.size()[0]);
        // branches one after the other are the rows sorted by choice: where each row stands there
        let from = choice.flatten(0, -1).argsort_stable(true, 0, false).argsort(0, false);
        let chosen = all.index_select(0, &from);
        io.put("clips", if clips(&chosen) { chosen.permute([0, 4, 1, 2, 3]) } else { chosen });
        io.put("choice", choice);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parity::Case, testing};
    use dv_graph::draw::{place, Key};

    #[test]
    fn rows_come_from_their_branches() {
        let kind: Choose = testing::kind("odds = { a = 1, b = 1, c = 1 }");
        let rows = |values: &[f32]| Tensor::from_slice(values).reshape([-1, 1, 1, 1, 1]).expand([-1, 3, 2, 1, 1], false);
        let inputs = vec![("c", rows(&[10., 11.])), ("a", rows(&[20., 21., 22.])), ("choice", Tensor::from_slice(&[2i64, 0, 2, 2, 0]))];
        let out = testing::run(&kind, 5, inputs).take("clips");
        assert_eq!(out.size(), [5, 3, 2, 1, 1]);
        assert_eq!(Vec::<f32>::try_from(out.select(1, 0).select(1, 1).flatten(0, -1)).unwrap(), [20., 10., 21., 22., 11.]);
    }

    #[test]
    fn the_odds_are_kept_and_a_branch_without_any_is_never_taken() {
        let kind: Choose = testing::kind("odds = { plain = 0.2, base = 0.8, never = 0 }");
        let mut rng = Key::initial(3, "odds").rng();
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[kind.pick(&mut rng, &["never", "plain", "base"]).unwrap()] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!((1850..2150).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn a_draw_takes_the_branch_that_the_published_table_says() {
        let case = Case::open("g_transform_choice");
        let weights: Vec<Vec<f64>> = serde_json::from_value(case.json["params"]["weights"].clone()).unwrap();
        for row in case.json["params"]["table"].as_array().unwrap() {
            for (clip, weights) in weights.iter().enumerate() {
                let branch = place(row["draws"][clip].as_f64().unwrap(), weights);
                assert_eq!(["null", "base", "same_series"][branch], row["clips"][clip].as_str().unwrap());
            }
        }
    }
}
