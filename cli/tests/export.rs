//! `dv export`: names, wrappers and bytes of both formats; what it refuses; and, where there is a torch, that torch loads it.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::*;
use serde_json::json;

const GRAPH: &str = "[models.encoder]\nnames = \"encoder_q.0\"\n[models.head]\nnames = [\"encoder_q.2\", \"encoder_q.4\"]\n[models.free]\n";
/// Name, type, shape, bytes.
type Row = (&'static str, &'static str, &'static str, usize);
const ROWS: [Row; 6] = [
    ("encoder/bn1.num_batches_tracked", "I64", "[]", 8),
    ("encoder/conv1.weight", "F32", "[2,1,3]", 24),
    ("free/w", "BF16", "[3]", 6),
    ("head/0.weight", "F32", "[2,2]", 16),
    ("head/10.bias", "F32", "[2]", 8),
    ("head/10.weight", "F64", "[1,2]", 16),
];

fn safetensors() -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (i, (name, dtype, shape, bytes)) in ROWS.iter().enumerate() {
        let at = data.len();
        data.extend((0..*bytes).map(|b| (b * 7 + i) as u8));
        let shape: serde_json::Value = serde_json::from_str(shape).unwrap();
        header.insert(name.to_string(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [at, data.len()] }));
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// A run's folder as far as weights are concerned.
fn run(name: &str) -> PathBuf {
    let dir = folder(name).join("run");
    let file = "checkpoints/pretrain/00007/models.safetensors";
    fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
    fs::write(dir.join(file), safetensors()).unwrap();
    fs::write(dir.join("graph.toml"), GRAPH).unwrap();
    let stage = |checkpoint: Option<&str>| {
        let files = checkpoint.map(|_| (file, blake3::hash(&safetensors()).to_hex().to_string())).into_iter();
        json!({ "finished": true, "epoch": 7, "checkpoint": checkpoint, "files": files.collect::<std::collections::BTreeMap<_, _>>() })
    };
    let record = json!({ "format": "dv-run", "version": 1, "graph": blake3::hash(GRAPH.as_bytes()).to_hex().to_string(),
        "stages": { "pretrain": stage(Some("00007")), "gallery": stage(None) } });
    fs::write(dir.join("run.json"), dv_datasets::sealed::seal(&record).unwrap()).unwrap();
    dir
}

fn export(run: &Path, options: &[&str], out: &Path) -> String {
    let args = [&["export", run.to_str().unwrap(), "--stage", "pretrain"][..], options, &["--out", out.to_str().unwrap()]].concat();
    let output = dv(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Exports to both formats, imports the one for torch, and compares; gives the names.
fn there_and_back(run: &Path, options: &[&str]) -> Vec<String> {
    let (pth, own, back) = (run.join("w.pth"), run.join("w.safetensors"), run.join("back.safetensors"));
    export(run, options, &pth);
    export(run, options, &own);
    let output = dv(&["import", pth.to_str().unwrap(), "--out", back.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(tensors(&own), tensors(&back));
    tensors(&own).into_keys().collect()
}

#[test]
fn names_of_each_reader() {
    let run = run("export_names");
    let all = [
        "encoder_q.0.bn1.num_batches_tracked",
        "encoder_q.0.conv1.weight",
        "encoder_q.2.weight",
        "encoder_q.4.bias",
        "encoder_q.4.weight",
        "free.w",
    ];
    assert_eq!(there_and_back(&run, &[]), all);
    assert_eq!(there_and_back(&run, &["--like", "iic"])[..3], ["bn1.num_batches_tracked", "conv1.weight", "encoder_q.2.weight"]);
    assert_eq!(there_and_back(&run, &["--like", "dualvar"]), all.map(|n| format!("module.{n}")));
    assert_eq!(there_and_back(&run, &["--model", "encoder"]), ["bn1.num_batches_tracked", "conv1.weight"]);
    assert_eq!(there_and_back(&run, &["--model", "head"]), ["0.weight", "10.bias", "10.weight"]);
    assert_eq!(there_and_back(&run, &["--model", "free", "--like", "iic"]), ["w"]);
    assert_eq!(there_and_back(&run, &["--model", "free", "--like", "dualvar"]), ["module.encoder_q.0.w"]);
    // bytes, not only names
    let rows = tensors(&run.join("w.safetensors"));
    assert_eq!(rows["module.encoder_q.0.w"], ("BF16".into(), "[3]".into(), (0..6).map(|b| b * 7 + 2).collect()));
    // the same content gives the same file
    let (a, b) = (run.join("a.pth"), run.join("b.pth"));
    export(&run, &[], &a);
    export(&run, &[], &b);
    assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
}

#[test]
fn what_a_reader_of_code_looks_for() {
    let run = run("export_like");
    let (out, back) = (run.join("w.pth"), run.join("back.safetensors"));
    for (like, key, names) in [("dualvar", "`state_dict`", "\"encoder_q.0\""), ("iic", "`model`", "\"\"")] {
        export(&run, &["--like", like], &out);
        let output = dv(&["import", out.to_str().unwrap(), "--from", like, "--out", back.to_str().unwrap()]);
        let told = text(&output.stdout);
        assert!(told.contains(key) && told.contains("epoch (7)") && told.contains(&format!("names = {names}")), "{told}");
    }
}

#[test]
fn what_cannot_be_exported() {
    let refused = |run: &Path, options: &[&str], what: &str| {
        let output = dv(&[&["export", run.to_str().unwrap()][..], options].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(what), "no `{what}` in {told}");
    };
    let dir = run("export_refused");
    let out = dir.join("x.pth");
    let to = |stage: &'static str| ["--stage", stage, "--out", out.to_str().unwrap()];
    refused(&dir, &to("train"), "no stage `train`; stages with a checkpoint: pretrain");
    refused(&dir, &to("gallery"), "the stage `gallery` has no checkpoint");
    refused(&dir, &["--stage", "pretrain", "--out", "x.bin"], "give it the end .pth or .safetensors");
    refused(&dir, &[&to("pretrain")[..], &["--model", "none"]].concat(), "no model `none`; its models: encoder, free, head");
    refused(dir.parent().unwrap(), &to("pretrain"), "it has no run.json");
    let models = dir.join("checkpoints/pretrain/00007/models.safetensors");
    let mut content = fs::read(&models).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&models, content).unwrap();
    refused(&dir, &to("pretrain"), "it was changed or damaged");
    fs::write(dir.join("graph.toml"), "other").unwrap();
    refused(&dir, &to("pretrain"), "is not the graph of the run");
    fs::write(dir.join("run.json"), "{}").unwrap();
    refused(&dir, &to("pretrain"), "run.json");
    assert!(!out.exists());
}

/// Needs a Python with torch: DV_TORCH_PYTHON, else python3.
#[test]
fn torch_loads_it_without_executing_anything() {
    let python = std::env::var("DV_TORCH_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import torch"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: {python} has no torch; DV_TORCH_PYTHON names a Python that has");
        return;
    }
    let run = run("export_torch");
    let out = run.join("w.pth");
    export(&run, &["--like", "dualvar"], &out);
    let code = "import sys, torch\n\
        d = torch.load(sys.argv[1], weights_only=True)\n\
        print(d['epoch'], [(k, str(v.dtype), list(v.shape), v.view(-1).view(torch.uint8).tolist()[:2]) for k, v in d['state_dict'].items()])\n\
        torch.load(sys.argv[1], weights_only=True, mmap=True)";
    let output = Command::new(&python).args(["-c", code]).arg(&out).output().unwrap();
    let told = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for part in [
        "7 [",
        "('module.encoder_q.0.bn1.num_batches_tracked', 'torch.int64', [], [0, 7])",
        "('module.encoder_q.0.conv1.weight', 'torch.float32', [2, 1, 3], [1, 8])",
        "('module.free.w', 'torch.bfloat16', [3], [2, 9])",
        "('module.encoder_q.4.weight', 'torch.float64', [1, 2], [5, 12])",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
}
