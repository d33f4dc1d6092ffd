use super::stack;
use crate::prelude::*;

/// One feature for each segment of a clip, from the clip's pooled feature: mean over time and space, two 1x1x1
/// convolutions with bias (the hidden one as wide as the input), ReLU between, then L2 normalisation of each segment's
/// feature. DualVar: 512-512-(segments * 64).
#[kind("head/series", inputs = Maps, outputs = Out, source = "DualVar (Zhang et al. 2021), section 3.2, and its code")]
pub struct Series {
    /// Segments of a clip.
    #[schemars(range(min = 1, max = limits::ITEMS))]
    segments: usize,
    /// Length of a segment's feature.
    #[schemars(range(min = 1, max = limits::CHANNELS))]
    dim: usize,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// `N D` a feature of unit length for each segment
    series: P::Float,
}

impl Kind for Series {}

impl ModelKind for Series {
    fn network<N: Custom>(&self, net: &mut N, inputs: Maps<N::Plane>, _: Nothing<N::Plane>) -> Out<N::Plane> {
        let channels = net.shape(&inputs.map)[0];
        let x = stack(net, &inputs.map, &[channels, self.segments * self.dim]);
        let x = net.reshape(&x, &[self.segments, self.dim]);
        Out { series: net.unit_norm(&x) }
    }
}
