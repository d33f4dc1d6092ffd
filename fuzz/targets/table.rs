//! A CSV table of videos, classes, splits and groups.
#![no_main]

use dv_datasets::splits::Lists;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| dv_fuzz::file("table.csv", text, |path| dv_fuzz::check_lists(Lists::read(path))));
