use crate::prelude::*;

/// Features side by side in one row: the inputs one after the other along the last axis. Inputs stand sorted by their names, or as
/// in the array if `in` is one. IIC, the joint retrieval by RGB and residual clips.
#[kind("batch/concatenate", inputs = Parts, outputs = Joined, axes = Keep, source = "IIC (Tao et al. 2020), its code")]
pub struct Concatenate {}

#[derive(Ports)]
pub struct Parts<P: Plane> {
    /// `... D` the parts, each under its name; equal in all but their last length
    parts: Many<P::Float>,
}

#[derive(Ports)]
pub struct Joined<P: Plane> {
    /// `... columns` the parts in one row: the last length is the sum of theirs
    features: P::Float,
}

impl Kind for Concatenate {
    fn ports(&self, inputs: Parts<Shapes>) -> Result<Joined<Shapes>, PortFault> {
        let Some((first_name, first)) = inputs.parts.first() else { return Err(PortFault::node("there is nothing to concatenate")) };
        let mut columns = 0usize;
        for (name, port) in &inputs.parts {
            let Some(last) = port.shape.len().checked_sub(1) else {
                return Err(PortFault::port(name, format!("`{name}` is {port}: a number has no axis to concatenate along")));
            };
            if (port.rows, &port.axes) != (first.rows, &first.axes)
                || first.shape.len() != last + 1
                || port.shape[..last] != first.shape[..last]
            {
                return Err(PortFault::port(name, format!("`{name}` is {port}, but `{first_name}` is {first}")));
            }
            columns = columns.saturating_add(length(port, name, last)?);
        }
        let mut features = first.clone();
        if let Some(last) = features.shape.last_mut() {
            *last = columns.into();
        }
        Ok(Joined { features })
    }
}

impl BatchKind for Concatenate {
    fn run(&self, inputs: Parts<Batch>, _: &Cx<Self>) -> Result<Joined<Batch>> {
        let parts: Vec<Tensor> = inputs.parts.into_iter().map(|(_, t)| t).collect();
        ensure!(!parts.is_empty(), "there is nothing to concatenate");
        Ok(Joined { features: Tensor::cat(&parts, -1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::kind::FLOAT_CPU;

    #[test]
    fn rows_stand_side_by_side() {
        let (rgb, residual) = (Tensor::rand([2, 10, 3], FLOAT_CPU), Tensor::rand([2, 10, 4], FLOAT_CPU));
        let inputs = vec![("rgb", rgb.shallow_clone()), ("residual", residual.shallow_clone())];
        let joined = testing::run(&testing::kind::<Concatenate>(""), 2, inputs).take("features");
        assert_eq!(joined.narrow(2, 0, 3), rgb);
        assert_eq!(joined.narrow(2, 3, 4), residual);
    }

    #[test]
    fn gradients_reach_each_part() {
        let parts = [3, 4].map(|n| Tensor::rand([2, n], FLOAT_CPU).set_requires_grad(true));
        let inputs = vec![("a", parts[0].shallow_clone()), ("b", parts[1].shallow_clone())];
        let joined = testing::run(&testing::kind::<Concatenate>(""), 2, inputs).take("features");
        (joined * Tensor::arange(7, FLOAT_CPU)).sum(Dtype::Float).backward();
        assert_eq!(Vec::<f32>::try_from(parts[0].grad().get(0)).unwrap(), [0.0, 1.0, 2.0]);
        assert_eq!(Vec::<f32>::try_from(parts[1].grad().get(1)).unwrap(), [3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn the_last_lengths_add_up_and_others_agree() {
        let kind: Concatenate = testing::kind("");
        let clips =
            |shape: &[usize]| Port::float(shape.iter().map(|n| Dim::from(*n)).collect::<Vec<_>>()).with_axis(Axis::counted("clip", 10));
        let both = testing::shapes(&kind, vec![("rgb", clips(&[9216])), ("residual", clips(&[9216]))]).unwrap();
        assert_eq!(both[0].to_string(), "float [B, clip 10, 18432]");
        assert!(testing::shapes(&kind, vec![("a", clips(&[2, 3])), ("b", clips(&[4, 3]))]).is_err());
        assert!(testing::shapes(&kind, vec![("a", clips(&[3])), ("b", clips(&[2, 3]))]).is_err());
        assert!(testing::shapes(&kind, vec![("a", clips(&[3])), ("b", Port::float([3.into()]))]).is_err());
    }
}
