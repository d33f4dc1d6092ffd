use crate::prelude::*;

/// A map's maxima over windows side by side, in one row: what is left over at the far edges is dropped. With
/// `window = [1, 2, 2]` the retrieval feature of IIC and of VCOP: 512 x 2 x 7 x 7 gives 9216 values.
#[kind("head/max_pool", inputs = Maps, outputs = Pooled, source = "VCOP (Xu et al. 2019), section 4.3; IIC's code")]
pub struct MaxPool {
    /// Extent of a window in time, height and width, in cells of the map.
    #[schemars(inner(range(min = 1, max = limits::PIXELS)))]
    window: [usize; 3],
}

#[derive(Ports)]
pub struct Pooled<P: Plane> {
    /// `C*T'*H'*W'` the maxima, channel by channel, then time, height, width
    features: P::Float,
}

impl Kind for MaxPool {
    fn ports(&self, inputs: Maps<Shapes>) -> Result<Pooled<Shapes>, PortFault> {
        let mut values = length(&inputs.map, "map", 0)?;
        for (axis, window) in self.window.iter().enumerate() {
            values *= length(&inputs.map, "map", axis + 1)? / window;
        }
        if values == 0 {
            return Err(PortFault::setting("window", format!("is larger than the map, {}", inputs.map)));
        }
        Ok(Pooled { features: Port::float([values.into()]) })
    }
}

impl BatchKind for MaxPool {
    fn run(&self, inputs: Maps<Batch>, _: &Cx<Self>) -> Result<Pooled<Batch>> {
        let window = self.window.map(|n| n as i64);
        let pooled = full(&inputs.map).max_pool3d(window, window, [0; 3], [1; 3], false);
        // the order of the row is that of [C, T, H, W], whatever lies last in memory
        Ok(Pooled { features: pooled.contiguous().flatten(1, -1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::r3d::R3d;
    use crate::{parity::Case, testing};

    #[test]
    fn the_retrieval_feature_of_iic() {
        let case = Case::open("a_backbone_iic_r3d_conv_eval");
        let map =
            testing::forward(&testing::kind::<R3d>("width = 64"), &case.weights(), false, vec![("clips", case.input("x"))]).take("map");
        let out = testing::run(&testing::kind::<MaxPool>("window = [1, 2, 2]"), 2, vec![("map", map)]);
        case.tensor("out", out.tensor("features"));
    }

    #[test]
    fn the_port_counts_whole_windows() {
        let ports = |window: &str| {
            let map = Port::float([512, 2, 7, 7].map(Into::into));
            testing::shapes(&testing::kind::<MaxPool>(&format!("window = {window}")), vec![("map", map)])
        };
        assert_eq!(ports("[1, 2, 2]").unwrap()[0].to_string(), "float [B, 9216]");
        assert!(ports("[3, 1, 1]").is_err());
        assert_eq!(testing::faults::<MaxPool>("window = [1, 0, 2]").len(), 1);
    }
}
