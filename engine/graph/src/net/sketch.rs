//! Reads a network without computing it: parameters, shapes, cost, and the first layer that does not fit.

use super::{join, layer, BatchNorm, Conv3d, Linear, MaxPool3d, Net};
use crate::budget::product;
use crate::kind::Parameter;
use std::collections::HashSet;

/// A value's shape.
#[derive(Clone, Debug)]
pub struct Shape {
    lengths: Vec<usize>,
    /// Which memory holds it, and how many numbers that has for each row.
    memory: usize,
    numbers: u128,
}

impl Shape {
    /// The shape of one row.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }
}

/// What a network costs for each row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of convolutions and linear layers, forward.
    pub multiply_adds: u128,
    /// Numbers that layers keep for the backward pass, each counted once however many layers keep it.
    pub kept: u128,
    /// Positions, of 8 bytes, that max pooling keeps.
    pub positions: u128,
}

/// Layers and scopes between an `enter` and its `leave`.
#[derive(Debug, Default)]
struct Scope {
    /// How long the name of the scope around it is.
    outer: usize,
    /// The first of its parameters.
    first: usize,
    order: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Sketch {
    /// In PyTorch's order.
    pub parameters: Vec<Parameter>,
    pub cost: Cost,
    declared: HashSet<String>,
    name: String,
    scopes: Vec<Scope>,
    own: Scope,
    memories: usize,
    kept: HashSet<usize>,
    fault: Option<String>,
}

impl Sketch {
    /// Reads a network: what it is, and what comes out. Else why a layer does not fit.
    pub fn of<T>(network: impl FnOnce(&mut Sketch) -> T) -> Result<(Sketch, T), String> {
        let mut sketch = Sketch::default();
        let out = network(&mut sketch);
        sketch.sort();
        match sketch.fault.take() {
            Some(fault) => Err(fault),
            None => Ok((sketch, out)),
        }
    }
    /// A value in memory of its own.
    pub fn value(&mut self, lengths: Vec<usize>) -> Shape {
        self.memories += 1;
        Shape { numbers: product(lengths.iter().copied()), lengths, memory: self.memories }
    }
    /// Another shape of the same memory.
    fn view(x: &Shape, lengths: Vec<usize>) -> Shape {
        Shape { lengths, ..*x }
    }
    /// Parameters of the current scope, below a layer's name. A layer that runs twice has them once.
    pub fn declare(&mut self, parameters: Vec<Parameter>) {
        for p in parameters {
            let name = join(&self.name, &p.name);
            if self.declared.insert(name.clone()) {
                self.parameters.push(Parameter { name, ..p });
            }
        }
    }
    /// Counts multiply-adds of each row.
    pub fn multiply(&mut self, factors: impl IntoIterator<Item = usize>) {
        self.cost.multiply_adds = self.cost.multiply_adds.saturating_add(product(factors));
    }
    /// Counts a value as kept for the backward pass.
    pub fn keep(&mut self, x: &Shape) {
        if self.kept.insert(x.memory) {
            self.cost.kept = self.cost.kept.saturating_add(x.numbers);
        }
    }
    /// Says why a layer does not fit; the first that is said counts.
    fn fault(&mut self, message: impl FnOnce() -> String) {
        self.fault.get_or_insert_with(message);
    }
    /// The same of a layer of one's own, with what stands for its value.
    pub fn misfit(&mut self, message: String) -> Shape {
        self.fault(|| message);
        self.value(Vec::new())
    }
    /// Time, height and width behind windows that go over a map.
    fn windows(&mut self, what: &str, x: &Shape, window: [usize; 3], stride: [usize; 3], padding: [usize; 3]) -> [usize; 3] {
        let Ok([_, size @ ..]) = <[usize; 4]>::try_from(&x.lengths[..]) else {
            self.fault(|| format!("{what} takes maps [C, T, H, W]; these have {} lengths", x.lengths.len()));
            return [1; 3];
        };
        let along = |i: usize| Some((size[i].saturating_add(2 * padding[i])).checked_sub(window[i])? / stride[i] + 1);
        match [along(0), along(1), along(2)] {
            [Some(time), Some(height), Some(width)] => [time, height, width],
            _ => {
                let text = |n: [usize; 3]| format!("{}x{}x{}", n[0], n[1], n[2]);
                self.fault(|| format!("{what} of {} does not fit into maps of {}", text(window), text(size)));
                [1; 3]
            }
        }
    }
    fn same(&mut self, what: &str, a: &[usize], b: &[usize]) {
        if a != b {
            self.fault(|| format!("{what} of {a:?} and {b:?}"));
        }
    }
    /// Brings the parameters of the current scope into the order that it stated.
    fn sort(&mut self) {
        let Scope { first, order, .. } = &self.own;
        let start = if self.name.is_empty() { 0 } else { self.name.len() + 1 };
        let below = |path: &str, name: &str| path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let place = |p: &Parameter| order.iter().position(|name| below(&p.name[start..], name)).unwrap_or(order.len());
        self.parameters[*first..].sort_by_key(place);
    }
}

/// The shapes of a model's ports.
pub enum Lengths {}
crate::ports::plane!(Lengths, Shape);

impl Net for Sketch {
    type Value = Shape;
    type Plane = Lengths;

    fn shape(&self, x: &Shape) -> Vec<usize> {
        x.lengths.clone()
    }
    fn enter(&mut self, scope: &str) {
        let inner = Scope { outer: self.name.len(), first: self.parameters.len(), order: Vec::new() };
        self.scopes.push(std::mem::replace(&mut self.own, inner));
        self.name = join(&self.name, scope);
    }
    fn leave(&mut self) {
        self.sort();
        self.name.truncate(self.own.outer);
        self.own = self.scopes.pop().expect("a scope that was entered");
    }
    fn order(&mut self, names: &[&str]) {
        self.own.order = names.iter().map(|n| n.to_string()).collect();
    }
    fn at_least(&mut self, clips: &Shape, [frames, height, width]: [usize; 3]) {
        if let [_, t, h, w] = clips.lengths[..] {
            if t < frames || h < height || w < width {
                self.fault(|| format!("{t} frames of {h}x{w} are too few: at least {frames} of {height}x{width} are needed"));
            }
        }
    }
    fn channels_last(&mut self, clips: &Shape) -> Shape {
        clips.clone()
    }
    fn share(&mut self, x: &Shape) -> Shape {
        x.clone()
    }
    fn conv3d(&mut self, name: &str, x: &Shape, layer: &Conv3d) -> Shape {
        let inputs = x.lengths.first().copied().unwrap_or(0);
        self.declare(layer.parameters(name, inputs));
        let size = self.windows(&format!("the convolution `{name}`"), x, layer.kernel, layer.stride, layer.padding);
        self.multiply([layer.out, inputs].into_iter().chain(layer.kernel).chain(size));
        self.keep(x);
        self.value([&[layer.out], &size[..]].concat())
    }
    fn linear(&mut self, name: &str, x: &Shape, layer: &Linear) -> Shape {
        let (inputs, before) = match x.lengths.split_last() {
            Some((inputs, before)) => (*inputs, before),
            None => {
                self.fault(|| format!("the linear layer `{name}` takes values with a length"));
                (0, &[][..])
            }
        };
        self.declare(layer.parameters(name, inputs));
        self.multiply(x.lengths.iter().copied().chain([layer.out]));
        self.keep(x);
        self.value([before, &[layer.out]].concat())
    }
    fn batch_norm_with(&mut self, name: &str, x: &Shape, _: &BatchNorm) -> Shape {
        self.declare(layer::batch_norm(name, x.lengths.first().copied().unwrap_or(0)));
        self.keep(x);
        self.value(x.lengths.clone())
    }
    fn relu(&mut self, x: Shape) -> Shape {
        self.keep(&x);
        x
    }
    fn sigmoid(&mut self, x: &Shape) -> Shape {
        let out = self.value(x.lengths.clone());
        self.keep(&out);
        out
    }
    fn max_pool3d(&mut self, x: &Shape, layer: &MaxPool3d) -> Shape {
        let size = self.windows("max pooling", x, layer.window, layer.stride, layer.padding);
        let out = self.value([&x.lengths[..1.min(x.lengths.len())], &size[..]].concat());
        self.keep(x);
        self.cost.positions = self.cost.positions.saturating_add(out.numbers);
        out
    }
    fn mean(&mut self, x: &Shape, axes: &[usize]) -> Shape {
        if let Some(axis) = axes.iter().find(|a| **a >= x.lengths.len()) {
            self.fault(|| format!("the mean over axis {axis} of {:?}", x.lengths));
        }
        let left = x.lengths.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, n)| *n);
        self.value(left.collect())
    }
    fn add(&mut self, x: Shape, other: &Shape) -> Shape {
        self.same("the sum", &x.lengths, &other.lengths);
        x
    }
    fn gate(&mut self, x: &Shape, gate: &Shape) -> Shape {
        self.same("channels and their weights", &x.lengths[..1.min(x.lengths.len())], &gate.lengths);
        self.keep(x);
        self.keep(gate);
        self.value(x.lengths.clone())
    }
    fn concatenate(&mut self, parts: &[Shape], axis: usize) -> Shape {
        let mut lengths = parts.first().map(|p| p.lengths.clone()).unwrap_or_default();
        if parts.is_empty() || axis >= lengths.len() {
            self.fault(|| format!("{} values were to be concatenated along axis {axis} of {lengths:?}", parts.len()));
            return self.value(lengths);
        }
        for part in &parts[1..] {
            let other = |p: &[usize]| p.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, n)| *n).collect::<Vec<_>>();
            self.same("parts", &other(&lengths), &other(&part.lengths));
            lengths[axis] = lengths[axis].saturating_add(part.lengths.get(axis).copied().unwrap_or(0));
        }
        self.value(lengths)
    }
    fn reshape(&mut self, x: &Shape, shape: &[usize]) -> Shape {
        if product(shape.iter().copied()) != product(x.lengths.iter().copied()) {
            self.fault(|| format!("{:?} cannot become {shape:?}", x.lengths));
        }
        Sketch::view(x, shape.to_vec())
    }
    fn unit_norm(&mut self, x: &Shape) -> Shape {
        let norms = self.value(x.lengths.split_last().map(|(_, before)| before.to_vec()).unwrap_or_default());
        self.keep(x);
        self.keep(&norms);
        self.value(x.lengths.clone())
    }
    fn full(&mut self, x: &Shape) -> Shape {
        x.clone()
    }
}
