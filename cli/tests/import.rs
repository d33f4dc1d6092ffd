//! `dv import`: every form of checkpoint, what is said of it, and files that are odd or hostile.

mod common;
#[path = "common/torch.rs"]
mod torch;

use std::fs;
use std::path::Path;
use std::time::Instant;

use common::*;
use torch::*;

/// Imports a file, which must work; gives what was printed.
fn import(file: &Path, options: &[&str], out: &Path) -> String {
    let args = [&["import", file.to_str().unwrap()][..], options, &["--out", out.to_str().unwrap()]].concat();
    let output = dv(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Imports bytes, which must fail with exit status 1 and leave no file; gives the error.
fn refused(dir: &Path, content: &[u8], options: &[&str]) -> String {
    let (file, out) = (dir.join("c.pth"), dir.join("refused.safetensors"));
    fs::write(&file, content).unwrap();
    let args = [&["import", file.to_str().unwrap()][..], options, &["--out", out.to_str().unwrap()]].concat();
    let start = Instant::now();
    let output = dv(&args);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(!out.exists() && start.elapsed().as_secs() < 20, "{told}");
    assert!(told.contains("c.pth"), "the file is not named: {told}");
    told
}

#[test]
fn dualvar_in_both_forms() {
    let dir = folder("import_dualvar");
    let (new, old, kept) = (dir.join("n.safetensors"), dir.join("o.safetensors"), dir.join("k.safetensors"));
    let told = import(&fixture("dualvar.pth.tar"), &["--from", "dualvar"], &new);
    for part in [
        "torch zip, the state dict under `state_dict`",
        "7 tensors (6 float32, 1 int64)",
        "encoder_q ",
        "`module.` was taken off",
        "epoch (190)",
        "optimizer (a dictionary of 2)",
        "args (an object of argparse.Namespace)",
        "argparse.Namespace",
        "numpy",
        "names = \"encoder_q.0\"",
    ] {
        assert!(told.contains(part), "no `{part}` in\n{told}");
    }
    assert!(import(&fixture("dualvar_legacy.pth.tar"), &["--from", "dualvar"], &old).contains("torch legacy"));
    assert_eq!(tensors(&new), tensors(&old));
    let names: Vec<String> = tensors(&new).into_keys().collect();
    let below = ["bn1.bias", "bn1.num_batches_tracked", "bn1.running_mean", "bn1.running_var", "bn1.weight", "conv1.bias", "conv1.weight"];
    assert_eq!(names, below.map(|n| format!("encoder_q.0.{n}")));
    // without --from names are as they are
    let told = import(&fixture("dualvar.pth.tar"), &[], &kept);
    assert!(told.contains("every name begins with `module.`") && told.contains("names = \"module.encoder_q.0\""), "{told}");
    assert!(tensors(&kept).keys().all(|n| n.starts_with("module.encoder_q.0.")));
}

#[test]
fn a_counter_that_old_torch_lacks_is_zero() {
    let dir = folder("import_iic");
    let out = dir.join("w.safetensors");
    let told = import(&fixture("iic.pth"), &["--from", "iic"], &out);
    assert!(told.contains("filled in    1") || told.contains("filled in   1 num_batches_tracked"), "{told}");
    assert!(told.contains("contrast (a dictionary of 1)") && told.contains("names = \"\""), "{told}");
    assert_eq!(tensors(&out)["bn1.num_batches_tracked"], ("I64".into(), "[]".into(), vec![0; 8]));
    // another entry, by its key
    import(&fixture("iic.pth"), &["--key", "contrast"], &out);
    assert_eq!(tensors(&out).into_keys().collect::<Vec<_>>(), ["memory_l"]);
}

#[test]
fn types_and_views() {
    let dir = folder("import_kinds");
    let (new, old) = (dir.join("n.safetensors"), dir.join("o.safetensors"));
    import(&fixture("kinds.pt"), &[], &new);
    import(&fixture("kinds_legacy.pt"), &["--from", "torchvision"], &old);
    let all = tensors(&new);
    assert_eq!(all, tensors(&old));
    let counted = |name: &str| (all[name].0.as_str(), all[name].2.len());
    let types = ["f32", "f64", "f16", "bf16", "i64", "i32", "u8", "bool"].map(counted);
    assert_eq!(types, [("F32", 16), ("F64", 32), ("F16", 8), ("BF16", 8), ("I64", 32), ("I32", 16), ("U8", 4), ("BOOL", 4)]);
    assert_eq!(all["bf16"].2, [0, 0, 0x80, 0x3f, 0, 0x40, 0x40, 0x40]);
    let values = |name: &str| (all[name].1.as_str(), floats(&all[name].2));
    assert_eq!(values("view"), ("[2,3]", vec![6., 7., 8., 9., 10., 11.]));
    assert_eq!(values("turned").0, "[6,4]");
    assert_eq!(values("turned").1[..5], [0., 6., 12., 18., 1.]);
    assert_eq!(values("step"), ("[5]", vec![1., 6., 11., 16., 21.]));
    assert_eq!(values("spread"), ("[3,2]", vec![0.; 6]));
    assert_eq!(values("empty"), ("[0,3]", vec![]));
    assert_eq!(values("parameter"), ("[2]", vec![3., 4.]));
    assert_eq!(all["scalar"], ("I64".into(), "[]".into(), 7i64.to_le_bytes().to_vec()));
}

#[test]
fn the_tar_form() {
    let dir = folder("import_tar");
    let out = dir.join("w.safetensors");
    assert!(import(&fixture("old.pth"), &[], &out).contains("torch tar"));
    let all = tensors(&out);
    assert_eq!((all["weight"].1.as_str(), floats(&all["weight"].2)), ("[3,2]", vec![0., 3., 1., 4., 2., 5.]));
    assert_eq!(floats(&all["part"].2), [3., 4.]);
}

/// What a pickle would call is named and never called; what is wrong with entries that nobody wants is no error.
#[test]
fn nothing_is_executed() {
    let dir = folder("import_inert");
    let (file, out, made) = (dir.join("c.pth"), dir.join("w.safetensors"), dir.join("made"));
    let call = |class: &str| [format!("c{class}\n").into_bytes(), word(&format!("touch {}", made.display())), b"\x85R".to_vec()].concat();
    let beside = tensor("FloatStorage", 2, 0, &[1], &[1]);
    let sparse = b"ctorch._utils\n_rebuild_sparse_tensor\n)R".to_vec();
    let wanted = dict(&[("w", tensor("FloatStorage", 2, 0, &[2], &[1])), ("run", call("os\nsystem"))]);
    let whole =
        dict(&[("state_dict", wanted), ("evil", call("builtins\nexec")), ("a", call("posix\nsystem")), ("sparse", sparse), ("t", beside)]);
    fs::write(&file, pth(&pickle(&whole), &[0; 8])).unwrap();
    let told = import(&file, &[], &out);
    for part in ["os.system", "builtins.exec", "posix.system", "run (an object of os.system)", "sparse ("] {
        assert!(told.contains(part), "no `{part}` in\n{told}");
    }
    assert!(!made.exists());
    assert_eq!(tensors(&out).into_keys().collect::<Vec<_>>(), ["w"]);
}

#[test]
fn cycles_and_depth() {
    let dir = folder("import_cycles");
    let w = tensor("FloatStorage", 2, 0, &[2], &[1]);
    // a dictionary that holds itself
    let cycle = [b"}q\0(", &word("w")[..], &w, &word("self"), b"h\0u"].concat();
    let (file, out) = (dir.join("c.pth"), dir.join("w.safetensors"));
    fs::write(&file, pth(&pickle(&cycle), &[0; 8])).unwrap();
    assert!(import(&file, &[], &out).contains("self (a dictionary that holds itself)"));
    let only = [b"}q\0(", &word("state_dict")[..], b"h\0u"].concat();
    assert!(refused(&dir, &pth(&pickle(&only), &[]), &[]).contains("no state dict within 8 dictionaries"));
    let deep = (0..100_000).fold(Vec::new(), |mut all: Vec<u8>, _| {
        all.extend(b"}(");
        all.extend(word("model"));
        all
    });
    let deep = [deep, w.clone(), b"u".repeat(100_000)].concat();
    assert!(refused(&dir, &pth(&pickle(&deep), &[0; 8]), &[]).contains("no state dict within 8"));
    let lists = [vec![b']'; 1_000_000], vec![b'a'; 999_999]].concat();
    assert!(refused(&dir, &pth(&pickle(&lists), &[]), &[]).contains("a list of 1, not a state dict"));
}

#[test]
fn views_stay_in_their_storage() {
    let dir = folder("import_views");
    let of = |t: Vec<u8>, bytes: usize| pth(&pickle(&dict(&[("w", t)])), &vec![0; bytes]);
    let leaves = "leaves its storage of";
    let huge = 1 << 62;
    for (t, bytes, what) in [
        (tensor("FloatStorage", 4, 0, &[5], &[1]), 16, leaves),
        (tensor("FloatStorage", 4, 1, &[4], &[1]), 16, leaves),
        (tensor("FloatStorage", 4, 0, &[2, 2], &[3, 1]), 16, leaves),
        (tensor("FloatStorage", 4, huge, &[1], &[1]), 16, leaves),
        (tensor("FloatStorage", 4, 0, &[huge, huge], &[0, 0]), 16, leaves),
        (tensor("FloatStorage", 4, 0, &[2], &[huge]), 16, leaves),
        (tensor("FloatStorage", 400, 0, &[400], &[1]), 16, leaves),
        (tensor("FloatStorage", huge, 0, &[4], &[1]), 16, "its storage is too large"),
        (tensor("FloatStorage", 4, 0, &[1 << 40], &[0]), 16, "times the file's"),
        (tensor("FloatStorage", 4, -1, &[1], &[1]), 16, "its offset is not a whole number"),
        (tensor("FloatStorage", 4, 0, &[2], &[-1]), 16, "its stride has -1"),
        (tensor("FloatStorage", 4, 0, &[2, 2], &[1]), 16, "2 axes and 1 strides"),
        (tensor("ShortStorage", 4, 0, &[4], &[1]), 8, "its type is torch.ShortStorage; float32"),
    ] {
        let told = refused(&dir, &of(t, bytes), &[]);
        assert!(told.contains(what) && told.contains(if what.contains("times") { "" } else { "`w`" }), "no `{what}` in {told}");
    }
}

#[test]
fn pickles_that_nobody_should_write() {
    let dir = folder("import_pickles");
    let long = |code: u8, length: &[u8]| [&[code], length].concat();
    let cases: [(Vec<u8>, &str); 16] = [
        (vec![], "truncated"),
        (b"}".to_vec(), "truncated"),
        (pickle(b""), "the stack is empty"),
        (pickle(b"h\x05"), "memo 5 is empty"),
        (pickle(b"\xff"), "opcode 0xff at byte 2"),
        (pickle(b"\x82\x01"), "it is unknown"),
        (pickle(b"u"), "it needs a mark"),
        (pickle(b"}(Nu"), "a key without a value"),
        (pickle(b"(R"), "the stack is empty"),
        (pickle(&long(b'X', &[0xff; 4])), "4294967295 bytes are needed"),
        (pickle(&long(0x8d, &[0xff; 8])), "18446744073709551615 bytes are needed"),
        (pickle(&long(0x8e, &[0xff; 8])), "bytes are needed"),
        (pickle(&long(0x8b, &[0xff; 4])), "bytes are needed"),
        (pickle(&[b"N".repeat(2_000_001)].concat()), "more than 2000000 values"),
        (b"\x80\x09N.".to_vec(), "protocol 9"),
        (pickle(b"I1x\n"), "not an integer"),
    ];
    for (bytes, what) in cases {
        let told = refused(&dir, &pth(&bytes, &[]), &[]);
        assert!(told.contains(what), "no `{what}` in {told}");
    }
    // one text of a thousand bytes, recalled for class after class
    let word = word(&"x".repeat(900));
    let many = [&word[..], b"q\0", &b"h\0h\0\x93".repeat(100_000)].concat();
    assert!(refused(&dir, &pth(&pickle(&many), &[]), &[]).contains("longer than 1000 bytes"));
}

#[test]
fn archives_that_nobody_should_write() {
    let dir = folder("import_zips");
    let good = pickle(&dict(&[("w", tensor("FloatStorage", 2, 0, &[2], &[1]))]));
    let whole = pth(&good, &[0; 8]);
    for length in (5..whole.len()).step_by(13) {
        refused(&dir, &whole[..length], &[]);
    }
    let twice = zip(&[("a/data.pkl", &good), ("a/data/0", &[0; 8]), ("a/data/0", &[1; 8])]);
    assert!(refused(&dir, &twice, &[]).contains("two entries `a/data/0`"));
    assert!(refused(&dir, &zip(&[("x", b"y")]), &[]).contains("without `data.pkl`"));
    assert!(refused(&dir, &zip(&[("a/data.pkl", &good)]), &[]).contains("no storage `0`"));
    let big = zip(&[("a/data.pkl", &good), ("a/byteorder", b"big"), ("a/data/0", &[0; 8])]);
    assert!(refused(&dir, &big, &[]).contains("big-endian"));
    let script = zip(&[("a/data.pkl", &good), ("a/constants.pkl", b"")]);
    assert!(refused(&dir, &script, &[]).contains("TorchScript"));
    // a storage that was changed
    let mut changed = whole.clone();
    let at = changed.windows(8).position(|w| w == b"a/data/0").unwrap() + 8;
    changed[at] ^= 1;
    assert!(refused(&dir, &changed, &[]).contains("fails its checksum"));
    // the second entry's bytes are said to be those of the first
    let mut shared = whole.clone();
    let central = shared.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    shared[central + 42..central + 46].fill(0);
    assert!(!refused(&dir, &shared, &[]).is_empty());
    let mut packed = whole;
    let central = packed.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    packed[central + 10] = 8;
    assert!(refused(&dir, &packed, &[]).contains("is compressed"));
}

#[test]
fn other_files_are_named() {
    let dir = folder("import_others");
    let safetensors = [&16u64.to_le_bytes()[..], b"{              }", b"xx"].concat();
    for (content, what) in [
        (&b""[..], "it is empty"),
        (b"\x1f\x8b\x08\0", "gunzip"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (&safetensors, "a safetensors file already"),
        (b"text", "no checkpoint of PyTorch"),
        (b"\x80\x02}.", "no checkpoint of PyTorch"),
    ] {
        let told = refused(&dir, content, &[]);
        assert!(told.contains(what), "no `{what}` in {told}");
    }
    let several = dict(&[
        ("a", dict(&[("w", tensor("FloatStorage", 2, 0, &[2], &[1]))])),
        ("b", dict(&[("w", tensor("FloatStorage", 2, 0, &[2], &[1]))])),
    ]);
    let told = refused(&dir, &pth(&pickle(&several), &[0; 8]), &[]);
    assert!(told.contains("several entries of the checkpoint hold tensors: a, b; choose one with --key"), "{told}");
    let told = refused(&dir, &pth(&pickle(&several), &[0; 8]), &["--key", "c"]);
    assert!(told.contains("there is no `c` in the checkpoint; its keys: a, b"), "{told}");
}

/// The published models: names and shapes as the papers' own code gave them, out of a checkpoint as it writes them.
#[test]
fn names_and_shapes_of_the_published_models() {
    let dir = folder("import_published");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/parity/cases");
    for (case, from, key, prefix) in [
        ("c_simclr_v4_r3d_clip-sr-tc_s2", "dualvar", "state_dict", "module."),
        ("c_linear_classifier_r3d_plain_train", "dualvar", "state_dict", "module."),
        ("a_backbone_iic_r21d_pool_eval", "iic", "model", ""),
        ("a_backbone_dualvar_s3d_eval", "torchvision", "", ""),
    ] {
        let case: serde_json::Value = serde_json::from_slice(&fs::read(cases.join(format!("{case}.json"))).unwrap()).unwrap();
        let shapes: Vec<(String, Vec<i64>)> = case["weights"]["names"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, shape)| (name.clone(), shape.as_array().unwrap().iter().map(|d| d.as_i64().unwrap()).collect()))
            .collect();
        // one storage of which all are views; counters are left to dv
        let kept: Vec<_> = shapes.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).collect();
        let elements = kept.iter().map(|(_, shape)| shape.iter().product::<i64>());
        let most = elements.clone().max().unwrap().max(elements.sum::<i64>() / 2);
        let entries: Vec<(String, Vec<u8>)> = kept
            .iter()
            .map(|(name, shape)| {
                let stride: Vec<i64> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
                (format!("{prefix}{name}"), tensor("FloatStorage", most, 0, shape, &stride))
            })
            .collect();
        let state = dict(&entries.iter().map(|(name, t)| (name.as_str(), t.clone())).collect::<Vec<_>>());
        let whole = if key.is_empty() { state } else { dict(&[("epoch", b"K\x01".to_vec()), (key, state)]) };
        let (file, out) = (dir.join("c.pth"), dir.join("w.safetensors"));
        fs::write(&file, pth(&pickle(&whole), &vec![0; most as usize * 4])).unwrap();
        import(&file, &["--from", from], &out);
        let got: Vec<(String, String)> = tensors(&out).into_iter().map(|(name, (_, shape, _))| (name, shape)).collect();
        let mut expected: Vec<(String, String)> =
            shapes.into_iter().map(|(name, shape)| (name, serde_json::json!(shape).to_string())).collect();
        expected.sort();
        assert_eq!(got, expected);
    }
}
