//! A safetensors file of weights, tables or feeds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    dv_fuzz::file("weights.safetensors", content, |path| {
        if let Ok(tensors) = dv_train::state::tensors::read(path) {
            // what was read can be written, and reads as the same
            let back = path.with_file_name("back.safetensors");
            dv_train::state::tensors::write(&back, &tensors).expect("what was read can be written");
            let again = dv_train::state::tensors::read(&back).expect("what was written can be read");
            for (name, tensor) in &tensors {
                assert_eq!((tensor.size(), tensor.kind()), (again[name].size(), again[name].kind()), "{name}");
            }
        }
    });
});
