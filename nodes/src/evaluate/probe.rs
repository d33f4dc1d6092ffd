use super::centre::{copied, unit};
use super::nearest::{labels, note_overlap, rank_of};
use crate::prelude::*;
use std::collections::VecDeque;

/// A linear probe without a training stage: multinomial logistic regression on the rows of one table, tried on those of another. It minimises
/// the mean cross-entropy plus `penalty / 2` times the squared weights (not the biases) from zero by L-BFGS, in 64 bits.
#[kind("evaluate/probe", inputs = In, outputs = Out, rate = Stage, axes = None, source = "standard; L-BFGS: Nocedal and Wright 2006, algorithm 7.4")]
pub struct Probe {
    /// Weight of the squared weights. With scikit-learn's C and N rows it is 1 / (C N).
    #[schemars(range(min = 0.0, max = limits::WEIGHT))]
    penalty: f64,
    /// Most iterations.
    #[schemars(range(min = 1, max = 100_000))]
    iterations: usize,
    /// It ends where no entry of the gradient is above this.
    #[schemars(range(min = 1e-12, max = 1.0))]
    tolerance: f64,
    /// Whether rows are brought to unit length first.
    unit_length: bool,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `D` rows with labels that are learned from
    train: P::Table,
    /// `D` rows with labels to classify
    test: P::Table,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// fraction of test rows whose class has the largest logit
    top1: P::Scalar,
    /// fraction of test rows whose class is among the five largest
    top5: P::Scalar,
    /// top1 on the rows that were learned from
    train_top1: P::Scalar,
    /// the minimised value
    loss: P::Scalar,
    /// iterations that were made
    iterations: P::Scalar,
    /// `1` of each test row, how many classes have a larger logit than its own
    ranks: P::Table,
}

impl Kind for Probe {
    fn apart(&self) -> Option<[&'static str; 2]> {
        Some(["train", "test"])
    }
}

/// The objective and its gradient at `[D + 1, classes]`, of which the last row are the biases.
fn objective(x: &Tensor, label: &Tensor, weights: &Tensor, penalty: f64) -> Result<(f64, Tensor)> {
    let (n, dim) = (x.size()[0], x.size()[1]);
    let logits = x.matmul(&weights.narrow(0, 0, dim)) + weights.get(dim);
    let log = logits.log_softmax(1, Dtype::Double);
    let square = weights.narrow(0, 0, dim).square().sum(Dtype::Double) * (penalty / 2.0);
    let loss = -log.gather(1, &label.unsqueeze(1), false).mean(Dtype::Double) + square;
    let error = (log.exp() - label.one_hot(weights.size()[1])) / n as f64;
    let of_weights = x.transpose(0, 1).matmul(&error) + weights.narrow(0, 0, dim) * penalty;
    let of_biases = error.sum_dim_intlist([0i64].as_slice(), true, Dtype::Double);
    Ok((f64::try_from(loss)?, Tensor::cat(&[of_weights, of_biases], 0)))
}

/// Pairs of steps and changes of the gradient that L-BFGS remembers.
const MEMORY: usize = 10;

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    Ok(f64::try_from((a * b).sum(Dtype::Double))?)
}

/// Minus the inverse Hessian's estimate times the gradient (the two-loop recursion).
fn direction(gradient: &Tensor, pairs: &VecDeque<(Tensor, Tensor, f64)>) -> Result<Tensor> {
    let mut q = gradient.copy();
    let mut factors = Vec::with_capacity(pairs.len());
    for (step, change, rho) in pairs.iter().rev() {
        let factor = rho * dot(step, &q)?;
        q -= change * factor;
        factors.push(factor);
    }
    if let Some((_, change, rho)) = pairs.back() {
        q *= 1.0 / (rho * dot(change, change)?);
    }
    for ((step, change, rho), factor) in pairs.iter().zip(factors.into_iter().rev()) {
        let back = rho * dot(change, &q)?;
        q += step * (factor - back);
    }
    Ok(-q)
}

impl Probe {
    /// Weights and biases, the objective there, and the iterations that were made.
    fn fit(&self, x: &Tensor, label: &Tensor, classes: i64) -> Result<(Tensor, f64, usize)> {
        let mut weights = Tensor::zeros([x.size()[1] + 1, classes], (Dtype::Double, x.device()));
        let (mut loss, mut gradient) = objective(x, label, &weights, self.penalty)?;
        let mut pairs = VecDeque::new();
        for done in 0..self.iterations {
            if f64::try_from(gradient.abs().max())? <= self.tolerance {
                return Ok((weights, loss, done));
            }
            let along = direction(&gradient, &pairs)?;
            let slope = dot(&along, &gradient)?;
            // halved until it falls by a share of what the slope says (Armijo)
            let mut length = if pairs.is_empty() { 1.0 / dot(&gradient, &gradient)?.sqrt().max(1.0) } else { 1.0 };
            let next = loop {
                let tried = &weights + &along * length;
                let (value, slopes) = objective(x, label, &tried, self.penalty)?;
                if value <= loss + 1e-4 * length * slope {
                    break Some((tried, value, slopes));
                }
                length /= 2.0;
                if length < 1e-12 {
                    break None;
                }
            };
            // as far as 64 bits go
            let Some((tried, value, slopes)) = next else { return Ok((weights, loss, done)) };
            let (step, change) = (&tried - &weights, &slopes - &gradient);
            let curvature = dot(&step, &change)?;
            if curvature > 0.0 {
                pairs.push_back((step, change, 1.0 / curvature));
                if pairs.len() > MEMORY {
                    pairs.pop_front();
                }
            }
            (weights, loss, gradient) = (tried, value, slopes);
        }
        Ok((weights, loss, self.iterations))
    }
}

impl BatchKind for Probe {
    fn run(&self, In { train, test }: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let (train_label, test_label) = (labels(&train, "train")?, labels(&test, "test")?);
        note_overlap("probe", &train, &test);
        let rows = |table: &Table| if self.unit_length { unit(copied(table)) } else { copied(table) };
        let (x, tried) = (rows(&train), rows(&test));
        for (name, rows) in [("train", &x), ("test", &tried)] {
            ensure!(f64::try_from(rows.sum(Dtype::Double))?.is_finite(), "`{name}` holds features that are not finite");
        }
        let classes = 1 + train_label.max().maximum(&test_label.max()).int64_value(&[]);
        let (weights, loss, iterations) = self.fit(&x, &train_label, classes)?;
        let dim = x.size()[1];
        let ranks = |x: &Tensor, label: &Tensor| rank_of(&(x.matmul(&weights.narrow(0, 0, dim)) + weights.get(dim)), label);
        let top = |ranks: &Tensor, k: i64| ranks.lt(k).to_kind(Dtype::Double).mean(Dtype::Double);
        let (own, found) = (ranks(&x, &train_label), ranks(&tried, &test_label));
        Ok(Out {
            top1: top(&found, 1),
            top5: top(&found, 5),
            train_top1: top(&own, 1),
            loss: Tensor::from(loss),
            iterations: Tensor::from(iterations as f64),
            ranks: Table::new(test.samples, found.unsqueeze(1), test.label),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_train::exec::batch::Value;

    #[test]
    fn the_gradient_is_that_of_the_objective() {
        tch::manual_seed(3);
        let x = Tensor::randn([9, 4], (Dtype::Double, Device::Cpu));
        let label = Tensor::from_slice(&[0i64, 1, 2, 0, 1, 2, 0, 1, 1]);
        let weights = Tensor::randn([5, 3], (Dtype::Double, Device::Cpu));
        let (_, gradient) = objective(&x, &label, &weights, 0.3).unwrap();
        for (i, j) in [(0, 0), (3, 2), (4, 1)] {
            let at = |h: f64| {
                let w = weights.copy();
                let _ = w.get(i).get(j).g_add_scalar_(h);
                objective(&x, &label, &w, 0.3).unwrap().0
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - gradient.double_value(&[i, j])).abs() < 1e-8);
        }
    }

    #[test]
    fn it_ends_at_the_minimum() {
        tch::manual_seed(4);
        let x = Tensor::randn([60, 6], (Dtype::Double, Device::Cpu));
        let label = x.narrow(1, 0, 3).argmax(1, false);
        let kind: Probe = testing::kind("penalty = 0.01\niterations = 1000\ntolerance = 1e-9\nunit_length = false");
        let (weights, loss, iterations) = kind.fit(&x, &label, 3).unwrap();
        let (_, gradient) = objective(&x, &label, &weights, 0.01).unwrap();
        assert!(gradient.abs().max().double_value(&[]) <= 1e-9 && iterations < 200, "{iterations} iterations");
        // it is convex: no neighbour is lower
        for _ in 0..20 {
            let near = &weights + Tensor::randn_like(&weights) * 0.01;
            assert!(objective(&x, &label, &near, 0.01).unwrap().0 > loss);
        }
    }

    #[test]
    fn what_can_be_told_apart_is() {
        tch::manual_seed(5);
        let rows = |n: i64| Tensor::randn([n, 8], tch::kind::FLOAT_CPU);
        let table = |x: Tensor| {
            let label = x.narrow(1, 0, 4).argmax(1, false);
            Table::new(Sample::numbered(x.size()[0] as usize), x, Some(label))
        };
        let kind: Probe = testing::kind("penalty = 1e-4\niterations = 500\ntolerance = 1e-6\nunit_length = true");
        let inputs = vec![("train", Value::Table(table(rows(400)))), ("test", Value::Table(table(rows(200))))];
        let out = testing::run_values(&kind, 0, 1, inputs).unwrap();
        assert!(out.tensor("top1").double_value(&[]) > 0.85 && out.tensor("train_top1").double_value(&[]) > 0.9);
    }
}
