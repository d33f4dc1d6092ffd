//! The records of a set, under good checksums; and its head, where the input begins with `{`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    dv_fuzz::folder(|folder| {
        let set = dv_fuzz::small_set(folder);
        let (head, catalogue) = (set.join("set.json"), set.join("catalogue.dvc"));
        if input.starts_with(b"{") {
            std::fs::write(&head, input).expect("the temporary folder takes a file");
        } else {
            let text = std::fs::read_to_string(&head).expect("the head");
            let mut json: serde_json::Value = serde_json::from_str(&text).expect("the head");
            json["catalogue"]["bytes"] = input.len().into();
            std::fs::write(&head, json.to_string()).expect("the temporary folder takes a file");
            std::fs::write(&catalogue, input).expect("the temporary folder takes a file");
        }
        dv_fuzz::seal::seal(&set);
        let _ = dv_fuzz::read(&set);
        let _ = dv_datasets::verify(&set, &|_, _| ());
    });
});
