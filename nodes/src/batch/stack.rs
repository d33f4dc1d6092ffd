use crate::prelude::*;

/// Inputs of one shape as the items of a new item axis, outside the axes that they have. Items are sorted by the inputs'
/// names, or stand as in the array if `in` is one; models fold them into one pass.
#[kind("batch/stack", inputs = Items, outputs = Stacked, axes = Keep, source = "standard")]
pub struct Stack {
    /// Name of the new item axis: `view`.
    axis: String,
}

#[derive(Ports)]
pub struct Items<P: Plane> {
    /// `...` the items, each under its name; equal in type, shape and item axes
    clips: Many<P::Any>,
}

#[derive(Ports)]
pub struct Stacked<P: Plane> {
    /// `axis.. ...` the items, on the new axis
    clips: P::Any,
}

impl Kind for Stack {
    fn check(&self, faults: &mut SettingFaults) {
        let named = !self.axis.is_empty() && self.axis.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        faults.require(named, "axis", "must be a name of a-z, 0-9 and _");
    }
    fn ports(&self, inputs: Items<Shapes>) -> Result<Stacked<Shapes>, PortFault> {
        let mut clips = alike(&inputs.clips, "there is nothing to stack")?;
        if clips.axes.iter().any(|a| a.name == self.axis) {
            return Err(PortFault::setting("axis", format!("the inputs have an item axis `{}` already", self.axis)));
        }
        clips.axes.insert(0, Axis::named(&self.axis, inputs.clips.into_iter().map(|(name, _)| name).collect()));
        Ok(Stacked { clips })
    }
}

impl BatchKind for Stack {
    fn run(&self, inputs: Items<Batch>, _: &Cx<Self>) -> Result<Stacked<Batch>> {
        let tensors: Vec<Tensor> = inputs.clips.into_iter().map(|(_, t)| t).collect();
        ensure!(!tensors.is_empty(), "there is nothing to stack");
        if !tensors.iter().all(|t| t.dim() == 5 && t.stride()[1] == 1) {
            return Ok(Stacked { clips: Tensor::stack(&tensors, 1) });
        }
        // channels last in memory stay so: copied as whole clips
        let last: Vec<Tensor> = tensors.iter().map(|t| t.permute([0, 2, 3, 4, 1])).collect();
        Ok(Stacked { clips: Tensor::stack(&last, 1).permute([0, 1, 5, 2, 3, 4]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tch::kind::FLOAT_CPU;

    /// The same tensor with the channels last in memory.
    fn channels_last(x: &Tensor) -> Tensor {
        x.permute([0, 2, 3, 4, 1]).contiguous().permute([0, 4, 1, 2, 3])
    }

    #[test]
    fn items_stand_as_the_inputs_are_given() {
        let kind: Stack = testing::kind("axis = 'view'");
        // an array of more than ten: "10" comes after "9"
        let names: Vec<String> = (0..12).map(|i| i.to_string()).collect();
        let rows: Vec<Tensor> = (0..12).map(|i| Tensor::full([2, 3], i, FLOAT_CPU)).collect();
        let inputs = names.iter().zip(&rows).map(|(name, t)| (name.as_str(), t.shallow_clone())).collect();
        assert_eq!(*testing::run(&kind, 2, inputs).tensor("clips"), Tensor::stack(&rows, 1));
        let inputs = names.iter().map(|name| (name.as_str(), Port::float([3.into()]))).collect();
        assert_eq!(testing::shapes(&kind, inputs).unwrap()[0].axes[0].items().collect::<Vec<_>>(), names);
        let port = Port::float([3.into()]).with_axis(Axis::counted("clip", 10));
        let inputs = vec![("v1", port.clone()), ("v0", port)];
        assert_eq!(testing::shapes(&kind, inputs).unwrap()[0].to_string(), "float [B, view 2, clip 10, 3]");
    }

    #[test]
    fn channels_stay_last_in_memory() {
        let kind: Stack = testing::kind("axis = 'view'");
        let clips = [0, 1].map(|_| Tensor::rand([2, 3, 4, 5, 6], FLOAT_CPU));
        let inputs = vec![("a", channels_last(&clips[0])), ("b", channels_last(&clips[1]))];
        let stacked = testing::run(&kind, 2, inputs).take("clips");
        assert_eq!(stacked, Tensor::stack(&clips, 1));
        let folded = stacked.reshape([4, 3, 4, 5, 6]);
        assert_eq!(folded.stride(), channels_last(&folded).stride());
    }

    #[test]
    fn unlike_shapes_are_a_fault() {
        let kind: Stack = testing::kind("axis = 'view'");
        let inputs = vec![("a", Port::float([3.into()])), ("b", Port::float([4.into()]))];
        assert!(testing::shapes(&kind, inputs).is_err());
    }
}
