//! From tables to numbers.

mod nearest;

family! {
    batch retrieval::Retrieval,
    batch accuracy::Accuracy,
    batch difference::Difference,
}
