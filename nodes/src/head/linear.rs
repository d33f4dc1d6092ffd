use crate::prelude::*;

/// A linear classifier: one logit for each class, with bias.
#[kind("head/linear", inputs = Features, outputs = Logits, source = "standard")]
pub struct Linear {
    /// Classes, and so logits.
    #[schemars(range(min = 1, max = limits::CLASSES))]
    classes: usize,
}

impl Kind for Linear {}

impl ModelKind for Linear {
    fn network<N: Custom>(&self, net: &mut N, inputs: Features<N::Plane>, _: Nothing<N::Plane>) -> Logits<N::Plane> {
        let x = net.linear("", &inputs.features, &layer::Linear::new(self.classes));
        Logits { logits: net.full(&x) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::r3d::R3d;
    use crate::head::global_pool::GlobalPool;
    use crate::loss::cross_entropy::CrossEntropy;
    use crate::{parity::Case, testing};

    #[test]
    fn the_published_classifier_in_training() {
        let case = Case::open("c_linear_classifier_r3d_plain_train");
        let all = case.weights();
        let backbone = testing::below("backbone", &all);
        let fc = testing::below("final_fc.0", &all);
        let map = testing::forward(&testing::kind::<R3d>("width = 64"), &backbone, true, vec![("clips", case.input("x"))]).take("map");
        let features = testing::run(&testing::kind::<GlobalPool>(""), 3, vec![("map", map)]).take("features");
        case.tensor("feat3d", &features);
        let logits = testing::forward(&testing::kind::<Linear>("classes = 101"), &fc, true, vec![("features", features)]).take("logits");
        case.tensor("logit", &logits);
        let inputs = vec![("logits", logits), ("label", case.given("target"))];
        let loss = testing::run(&testing::kind::<CrossEntropy>(""), 3, inputs).take("loss");
        case.scalar("cross_entropy", &loss);
        loss.backward();
        case.gradients(&all);
    }
}
