//! From batches to tables of a whole stage.

family! {
    batch mean::Mean,
}
