use crate::prelude::*;
use std::collections::BTreeMap;

/// Each sample takes one of several branches, drawn by their odds. Only the drawn branch is computed for it.
#[kind("view/choose", inputs = Branches, outputs = Chosen, draws = Choice, axes = None, chooses = true, source = "standard")]
pub struct Choose {
    /// How likely each branch is, by its input's name; the sum need not be 1. A draw equal to a cumulative weight takes
    /// the next branch, in the order in which `in` names them.
    #[schemars(extend("additionalProperties" = { "type": "number", "minimum": 0.0, "maximum": limits::WEIGHT }))]
    odds: BTreeMap<String, f64>,
}

#[derive(Ports)]
pub struct Branches<P: Plane> {
    /// `...` the branches, each under its name; equal in type and shape
    clips: Many<P::Pixels>,
}

#[derive(Ports)]
pub struct Chosen<P: Plane> {
    /// `...` each sample's clip from its branch
    clips: P::Pixels,
}

#[derive(Ports)]
pub struct Choice<P: Plane> {
    /// the branch taken: 0 is the first that `in` names
    choice: P::Index,
}

impl Kind for Choose {
    fn check(&self, faults: &mut SettingFaults) {
        faults.require(self.odds.values().sum::<f64>() > 0.0, "odds", "must have a sum above 0");
    }
    fn ports(&self, inputs: Branches<Shapes>) -> Result<Chosen<Shapes>, PortFault> {
        let branches = inputs.clips;
        let is_input = |odd: &String| branches.iter().any(|(name, _)| name == odd);
        let spare = self.odds.keys().find(|odd| !is_input(odd));
        if let Some((name, _)) = branches.iter().find(|(name, _)| !self.odds.contains_key(name)) {
            let other = spare.map(|odd| format!(", but odds for `{odd}`, which is no input")).unwrap_or_default();
            return Err(PortFault::setting("odds", format!("there are no odds for the input `{name}`{other}")));
        }
        let clips = alike(&branches, "there is nothing to choose from")?;
        if let Some(name) = spare {
            return Err(PortFault::setting("odds", format!("there are odds for `{name}`, which is no input")));
        }
        Ok(Chosen { clips })
    }
    fn drawn(&self, inputs: Branches<Shapes>) -> Result<Choice<Shapes>, PortFault> {
        Ok(Choice { choice: Port::index([]).with_range(inputs.clips.len().into()) })
    }
    fn pick(&self, rng: &mut Rng, branches: &[&str]) -> Option<usize> {
        let weights: Vec<f64> = branches.iter().map(|name| self.odds.get(*name).copied().unwrap_or(0.0)).collect();
        Some(rng.weighted(&weights))
    }
}

impl BatchKind for Choose {
    /// Each branch brings the rows that took it, in their order; a branch that none took is not there.
    fn run(&self, inputs: Branches<Batch>, cx: &Cx<Self>) -> Result<Chosen<Batch>> {
        let choice = cx.draws.choice.tensor();
        // channels last in memory stay so
        let clips = |t: &Tensor| t.dim() == 5;
        let branches = inputs.clips.into_iter().map(|(_, t)| if clips(&t) { t.permute([0, 2, 3, 4, 1]) } else { t });
        let branches: Vec<Tensor> = branches.collect();
        ensure!(!branches.is_empty(), "no branch came");
        let all = Tensor::cat(&branches, 0);
        ensure!(all.size()[0] == choice.numel() as i64, "{} rows chose, but the branches brought {}", choice.numel(), all.size()[0]);
        // branches one after the other are the rows sorted by choice: where each row stands there
        let from = choice.flatten(0, -1).argsort_stable(true, 0, false).argsort(0, false);
        let chosen = all.index_select(0, &from);
        Ok(Chosen { clips: if clips(&chosen) { chosen.permute([0, 4, 1, 2, 3]) } else { chosen } })
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
