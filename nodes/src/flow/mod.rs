//! What becomes of gradients on their way.

family! {
    batch stop_gradient::StopGradient,
}
