//! Weights from a file with other names: what dv says of them, and that the `names` it gives are the right ones.

use dv_tests::{packed_set, read, write, Call, TINY};
use std::fs;

#[test]
fn a_checkpoint_whose_names_have_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    packed_set(&at("data"), "tiny", (32, 32), 8);
    fs::create_dir_all(at("graphs")).unwrap();
    fs::write(at("graphs/tiny.toml"), TINY).unwrap();
    let run = |graph: &str, out: &str| {
        let call = Call::new("run", at(graph)).path("--data", &at("data")).path("--out", &at(out));
        call.args(["--threads", "1", "--compute-threads", "1", "--set", "stages.learn.epochs=1"]).run()
    };
    run("graphs/tiny.toml", "first").done();
    // as torch.nn.DataParallel names them
    let trained = read(&at("first/checkpoints/learn/00001/models.safetensors"));
    let renamed: Vec<(String, _)> = trained.iter().map(|(n, t)| (format!("module.{}", n.replace('/', ".")), t)).collect();
    write(&at("module.safetensors"), renamed.iter().map(|(n, t)| (n.as_str(), *t)));

    let graph = |name: &str, weights: &str| {
        let text = format!("extends = \"tiny.toml\"\nname = \"tiny\"\n[stages.learn]\nweights = {weights}\n");
        fs::write(at(&format!("graphs/{name}.toml")), text).unwrap();
    };
    // the path starts at the graph's folder, not at the working directory
    graph("plain", "{ file = \"../module.safetensors\" }");
    run("graphs/plain.toml", "second").refused(&[
        "error[wrong-weights]: the weights `module.safetensors` are not for `encoder`: missing in the file (",
        "encoder/conv1.temporal_spatial_conv.weight",
        "every name in the file begins with `module.`",
        "help: the file has `encoder` under other names; give them in the model or in the stage's weights: names = [\"module.encoder\"]",
    ]);
    let of = |model: &str| format!("{{ file = \"../module.safetensors\", names = [\"module.{model}\"] }}");
    graph("named", &format!("{{ encoder = {}, head = {} }}", of("encoder"), of("head")));
    run("graphs/named.toml", "third").done();
    // the graph in the run's folder means the same file
    run("third/graph.toml", "fourth").done();
    let [third, fourth] = ["third", "fourth"].map(|run| read(&at(&format!("{run}/checkpoints/learn/00001/models.safetensors"))));
    assert!(third.iter().all(|(name, value)| fourth[name] == *value) && third.len() == fourth.len());
}
