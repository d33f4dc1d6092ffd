//! `dv bench step`.

use dv_tests::{packed_set, Call, TINY};
use serde_json::Value;

#[test]
fn steps_are_measured_on_resident_data_and_with_the_loader() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tiny.toml");
    std::fs::write(&file, TINY).unwrap();
    packed_set(dir.path(), "tiny", (32, 32), 12);
    let call = || Call::new("bench", "step").path("--data", dir.path()).args(["--seconds", "1"]).arg(file.to_str().unwrap());
    let told = call().arg("--json").run().done();
    let json: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&json["trains"], &json["batch"]), (&true.into(), &4.into()));
    for kind in ["resident", "loaded"] {
        let steps = &json[kind];
        assert!(steps["steps"].as_u64().unwrap() > 0, "{steps}");
        for key in ["seconds_per_step", "clips_per_second"] {
            assert!(steps[key].as_f64().unwrap() > 0.0, "{key}: {steps}");
        }
    }
    assert!(json["memory_peak_bytes"].as_u64().unwrap() > 10_000_000 && json["machine"]["cpu_capability"].is_string());
    let told = call().run().done();
    for part in ["resident data", "with the loader", "peak memory"] {
        assert!(told.out.contains(part), "{}", told.out);
    }
    call().args(["--stage", "none"]).run().refused(&["no stage `none` that reads videos", "learn"]);
}
