//! A graph's text: `dv check`. Every fault has a place, and rendering them does not fail.
#![no_main]

use std::sync::OnceLock;

use dv_graph::kind::Library;
use libfuzzer_sys::fuzz_target;

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(dv_nodes::library)
}

fuzz_target!(|text: &[u8]| {
    dv_fuzz::file("graph.toml", text, |path| {
        let checked = dv_graph::sweep::check(path, &[], library());
        let said = checked.faults.render(&checked.sources);
        assert!(checked.faults.iter().all(|fault| fault.code != "kind-defect"), "{said}");
        // of more only the first are printed
        for fault in checked.faults.iter().take(if checked.faults.len() > 100 { 0 } else { 100 }) {
            assert!(said.contains(fault.code), "{said}");
        }
    });
});
