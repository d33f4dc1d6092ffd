//! Networks, described once and read several ways.
//!
//! A model's network is one generic function from its inputs and draws to its outputs, `ModelKind::network` of `dv-train`. [`Sketch`] reads from it
//! parameters, shapes and cost, and `Forward` of `dv-train` computes. Shapes and axes are those of one row: axis 0 is the first behind
//! the rows, of a map its channels. A network of the same settings and input shape takes the same way for every reader.

use crate::ports::Plane;

mod layer;
mod sketch;
#[cfg(test)]
mod tests;

pub use layer::{BatchNorm, Conv3d, Linear, MaxPool3d};
pub use sketch::{Cost, Lengths, Shape, Sketch};

/// A reader of networks, and the layers that it knows. A layer has PyTorch's name within its scope; an empty name is the scope itself.
pub trait Net {
    type Value;
    /// Where the ports of a model hold such values.
    type Plane: Plane<Float = Self::Value, Index = Self::Value>;

    /// The shape of one row.
    fn shape(&self, x: &Self::Value) -> Vec<usize>;
    /// Opens a scope: layers are named below it. [`Net::within`] is the usual way.
    fn enter(&mut self, scope: &str);
    /// Closes the scope that was opened last.
    fn leave(&mut self);
    /// The order in which PyTorch registers the layers and scopes of this scope, where they run in another one.
    fn order(&mut self, names: &[&str]);
    /// The fewest frames, height and width of clips that the network takes.
    fn at_least(&mut self, clips: &Self::Value, size: [usize; 3]);
    /// Clips with the channels last in memory, where they are computed fastest.
    fn channels_last(&mut self, clips: &Self::Value) -> Self::Value;
    /// The same value once more, in the same memory.
    fn share(&mut self, x: &Self::Value) -> Self::Value;

    /// `[C, T, H, W]` to `[out, T', H', W']`.
    fn conv3d(&mut self, name: &str, x: &Self::Value, layer: &Conv3d) -> Self::Value;
    /// `[..., C]` to `[..., out]`.
    fn linear(&mut self, name: &str, x: &Self::Value, layer: &Linear) -> Self::Value;
    /// Batch normalisation over channels, `[C, ...]`.
    fn batch_norm_with(&mut self, name: &str, x: &Self::Value, layer: &BatchNorm) -> Self::Value;
    /// In place: nothing else may need the old value.
    fn relu(&mut self, x: Self::Value) -> Self::Value;
    fn sigmoid(&mut self, x: &Self::Value) -> Self::Value;
    /// `[C, T, H, W]` to `[C, T', H', W']`.
    fn max_pool3d(&mut self, x: &Self::Value, layer: &MaxPool3d) -> Self::Value;
    /// The mean over some axes, which are gone afterwards.
    fn mean(&mut self, x: &Self::Value, axes: &[usize]) -> Self::Value;
    /// The sum of two values of one shape, in the memory of the first.
    fn add(&mut self, x: Self::Value, other: &Self::Value) -> Self::Value;
    /// Channels `[C, ...]` times their weights `[C]`.
    fn gate(&mut self, x: &Self::Value, gate: &Self::Value) -> Self::Value;
    fn concatenate(&mut self, parts: &[Self::Value], axis: usize) -> Self::Value;
    fn reshape(&mut self, x: &Self::Value, shape: &[usize]) -> Self::Value;
    /// Divides by the L2 norm along the last axis.
    fn unit_norm(&mut self, x: &Self::Value) -> Self::Value;
    /// In single precision, whatever the layers before gave.
    fn full(&mut self, x: &Self::Value) -> Self::Value;

    /// Batch normalisation as PyTorch has it by default.
    fn batch_norm(&mut self, name: &str, x: &Self::Value) -> Self::Value {
        self.batch_norm_with(name, x, &BatchNorm::USUAL)
    }
    /// What `body` does, in a scope: its layers are named below `scope`.
    fn within<T>(&mut self, scope: &str, body: impl FnOnce(&mut Self) -> T) -> T
    where
        Self: Sized,
    {
        self.enter(scope);
        let out = body(self);
        self.leave();
        out
    }
    /// All axes in one.
    fn flatten(&mut self, x: &Self::Value) -> Self::Value {
        let all = self.shape(x).into_iter().fold(1, usize::saturating_mul);
        self.reshape(x, &[all])
    }
}

/// A name below a scope.
pub fn join(scope: &str, name: &str) -> String {
    match (scope, name) {
        ("", name) => name.to_string(),
        (scope, "") => scope.to_string(),
        (scope, name) => format!("{scope}.{name}"),
    }
}
