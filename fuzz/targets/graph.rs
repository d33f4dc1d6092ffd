//! A graph's text: `dv check`. Every fault has a place, and rendering them does not fail.
#![no_main]

use std::sync::OnceLock;

use dv_graph::library::Library;
use libfuzzer_sys::fuzz_target;

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(dv_nodes::library)
}

fuzz_target!(|text: &[u8]| {
    dv_fuzz::file("graph.toml", text, |path| {
        let checked = dv_graph::sweep::check(path, &[], library());
        let said = checked.faults.render(&checked.sources);
        assert!(!said.contains("kind-defect"), "{said}");
        for fault in checked.faults.iter() {
            assert!(said.contains(fault.code), "{said}");
        }
    });
});
