//! The example does what CONTRIBUTING says of it.

use dv_tests::{graph, Program};
use std::path::Path;

fn own() -> Program {
    Program::at(Path::new(env!("CARGO_BIN_EXE_own-dv")))
}

#[test]
fn a_kind_of_ones_own_is_known_checked_and_run() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/own.toml");
    assert!(own().call(["nodes", "own/solarize"]).done().out.contains("threshold"));
    own().call(["check", file]).done();
    own().call(["check", file, "--set", "groups.base.nodes.solar.threshold=2"]).refused(&["`threshold`", "from 0 to 1"]);
    own().call(["run", file, "--smoke", "--stage", "pretrain", "--compute-threads", "2"]).done();
    // the graphs of the house mean the same
    own().call(["check", graph("ucf_r3d.toml").to_str().unwrap()]).done();
    // and dv itself says what it does not know
    dv_tests::dv(["check", file]).refused(&["no kind `own/solarize`"]);
}
