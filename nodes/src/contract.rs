//! What holds for every kind of the library.

use crate::testing;
use std::collections::HashSet;

#[test]
fn every_kind_does_what_it_declares() {
    testing::check(crate::entries());
    for family in crate::NODES {
        assert_eq!(family.iter().map(|e| e.graph.family()).collect::<HashSet<_>>().len(), 1);
    }
}

#[test]
fn host_and_device_compute_the_same() {
    let compared = testing::compare(crate::entries());
    assert!(compared >= 10, "{compared} kinds");
}

#[test]
fn models_compute_what_they_declare() {
    let models = testing::check_models(crate::entries());
    assert!(models >= 10, "{models} models");
}

#[test]
fn the_document_is_what_the_library_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/nodes.md");
    let written = std::fs::read_to_string(path).expect("docs/nodes.md: write it with `cargo xtask docs`");
    let now = dv_graph::docs::library(&crate::library());
    assert!(written.trim_end() == now.trim_end(), "docs/nodes.md is out of date: write it with `cargo xtask docs`");
}

#[test]
fn the_schema_is_what_the_library_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/graph.json");
    let written = std::fs::read_to_string(path).expect("schema/graph.json: write it with `cargo xtask docs`");
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    let now = dv_graph::editor::schema(&crate::library()).unwrap();
    assert!(written == now, "schema/graph.json is out of date: write it with `cargo xtask docs`");
}
