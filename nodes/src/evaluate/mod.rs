//! From tables to numbers.

mod centre;
mod nearest;

family! {
    batch retrieval::Retrieval,
    batch knn::Knn,
    batch accuracy::Accuracy,
    batch confusion::Confusion,
    batch probe::Probe,
    batch spread::Spread,
    batch difference::Difference,
}
