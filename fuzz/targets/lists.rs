//! A folder of split lists: `classInd.txt`, the lists, `groups.txt`. The input is their texts, each after a NUL byte.
#![no_main]

use dv_datasets::splits::Lists;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["classInd.txt", "trainlist01.txt", "testlist01.txt", "groups.txt"];

fuzz_target!(|input: &[u8]| {
    dv_fuzz::folder(|folder| {
        let lists = folder.join("lists");
        // of the input before
        let _ = std::fs::remove_dir_all(&lists);
        std::fs::create_dir(&lists).expect("the temporary folder takes a folder");
        for (name, text) in NAMES.iter().zip(input.split(|byte| *byte == 0)) {
            std::fs::write(lists.join(name), text).expect("the temporary folder takes a file");
        }
        dv_fuzz::check_lists(Lists::read(&lists));
    });
});
