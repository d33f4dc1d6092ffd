//! The layout that R3D-10 and R(2+1)D-10 share: a 3x7x7 stem and four residual blocks of two 3x3x3 convolutions, each with
//! batch norm. What a convolution is, each says itself.

use crate::prelude::*;

/// The blocks, and their channels over the width. The map is halved where there are more than 1.
const BLOCKS: [(&str, usize); 4] = [("conv2.block1", 1), ("conv3.block1", 2), ("conv4.block1", 4), ("conv5.block1", 8)];

/// The map of clips `[3, T, H, W]`.
pub fn network<N: Net>(
    net: &mut N,
    clips: &N::Value,
    width: usize,
    conv: impl Fn(&mut N, &str, &N::Value, &Conv3d) -> N::Value,
) -> N::Value {
    let normed = |net: &mut N, [name, norm]: [&str; 2], x: &N::Value, layer: Conv3d| {
        let x = conv(net, name, x, &layer);
        net.batch_norm(norm, &x)
    };
    let x = normed(net, ["conv1", "bn1"], clips, Conv3d::new(width, [3, 7, 7]).stride([1, 2, 2]));
    let mut x = net.relu(x);
    for (name, times) in BLOCKS {
        let (out, stride) = (times * width, if times > 1 { [2; 3] } else { [1; 3] });
        x = net.within(name, |net| {
            let downsample = ["downsampleconv", "downsamplebn"];
            let short = (times > 1).then(|| normed(net, downsample, &x, Conv3d::new(out, [1; 3]).stride(stride)));
            let y = normed(net, ["conv1", "bn1"], &x, Conv3d::new(out, [3; 3]).stride(stride));
            let y = net.relu(y);
            let y = normed(net, ["conv2", "bn2"], &y, Conv3d::new(out, [3; 3]));
            let y = net.add(y, short.as_ref().unwrap_or(&x));
            net.relu(y)
        });
    }
    x
}
