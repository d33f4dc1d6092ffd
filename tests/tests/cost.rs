//! `dv show --cost`.

use dv_tests::{graph, packed_set, Call, TINY};
use serde_json::Value;

#[test]
fn the_data_says_how_long_an_epoch_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tiny.toml");
    std::fs::write(&file, TINY).unwrap();
    packed_set(dir.path(), "tiny", (32, 32), 12);
    let call = || Call::new("show", &file).arg("--cost");
    let known = |call: Call| call.path("--data", dir.path());
    let told = known(call()).run().done();
    assert!(told.out.contains("an epoch: 3 steps, 12 videos, 12 clips, packed frames 295 kB"), "{}", told.out);
    let told = known(call()).args(["--format", "json"]).run().done();
    let json: Value = serde_json::from_str(&told.out).unwrap();
    let learn = &json["stages"][0];
    assert_eq!((&learn["step"]["clips"], &learn["epoch"]["packed_bytes"]), (&4.into(), &(12 * 8 * 32 * 32 * 3).into()));
    let head = &learn["passes"][1];
    assert_eq!((&head["model"], &head["forward_flops"], &head["backward_flops"]), (&"head".into(), &3072.into(), &6144.into()));
    call().path("--data", &dir.path().join("none")).run().refused(&["no packed set `tiny`"]);
}

#[test]
fn one_stage_is_told_alone() {
    let call = || Call::new("show", graph("ucf_r3d.toml")).arg("--cost");
    let pretrain = call().args(["--stage", "pretrain"]).run().done();
    assert!(pretrain.out.contains("stage pretrain (trains)") && !pretrain.out.contains("stage gallery"), "{}", pretrain.out);
    assert!(pretrain.out.contains("39.8 GFLOP forward a row"), "{}", pretrain.out);
    call().args(["--stage", "none"]).run().refused(&["no stage `none`", "pretrain, gallery, query, retrieval"]);
    assert_eq!(call().args(["--format", "svg"]).run().status, Some(2));
}
