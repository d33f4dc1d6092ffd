//! Where samples come from.

family! {
    source shards::Shards,
}
