//! `docs/papers`: a page for each paper whose systems are graphs, made from the graphs themselves.
//!
//! `DV_WRITE=1 cargo test --release -p dv-graph --test papers` writes the pages anew.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

struct Paper {
    /// Its folder in `graphs/`, and its page in `docs/papers/`.
    name: &'static str,
    title: &'static str,
    protocol: &'static [&'static str],
    /// What the graphs compute, and the families of `tests/parity/map.toml` whose cases cover it.
    parity: &'static [(&'static str, &'static [&'static str])],
    left_out: &'static [&'static str],
}

const PAPERS: [Paper; 2] = [
    Paper {
        name: "dualvar",
        title: "DualVar: Zhang, She, Shen, Wang: Inter-intra Variant Dual Representations for Self-supervised Video Recognition (BMVC 2021)",
        protocol: &[
            "Pretraining: 200 epochs in 8 parts of 8 clips; 16 frames at stride 4, 112 pixels; rate 0.003, a tenth from epochs 120 and 160.",
            "Fine-tuning: the encoder after 190 epochs of pretraining; 100 epochs (150 after Kinetics-400) in 4 parts of 4 clips at stride 2, rate 0.05; 800 rows withheld (`RandomState(666)`). The last epoch is tested, as in the published scripts; the best on the withheld rows is kept as well.",
            "Test: ten clips over the video, centre crop, mean of probabilities.",
            "Retrieval: ten clips at stride 4, mean feature, each table centred by its own mean, cosine.",
            "`clip.toml`, `clip_rank.toml` and `clip_rank_coherence.toml` are the ablation on R3D-10 with retrieval alone, on `graphs/ucf_r3d.toml`.",
        ],
        parity: &[
            ("networks", &["a_backbone_dualvar_{net}_{mode}"]),
            ("losses of SimCLR, one process and several", &["b_simclr_clip_loss", "b_simclr_tc_loss_s{n}", "b_simclr_ranking_loss_s{n}_theta{theta}", "b_simclr_two_process"]),
            ("losses of MoCo", &["b_moco_clip_loss", "b_moco_tc_loss_s{n}", "b_moco_ranking_loss_s{n}"]),
            ("a whole step of SimCLR, with both modes, and two views", &["c_simclr_v4_{net}_{mode}_s{n}", "c_simclr_naked_{net}", "c_dualvar_train_step_simclr"]),
            ("a whole step of MoCo, with both modes, and two views", &["c_moco_v4_{net}_{mode}_s{n}", "c_moco_naked_{net}", "c_dualvar_train_step_moco"]),
            ("the classifier, plain and with norms (probe)", &["c_linear_classifier_{net}_plain_{mode}", "c_linear_classifier_{net}_norm_bn_{mode}"]),
            ("clips of pretraining, fine-tuning and tests; withheld rows", &["f_sampler_dualvar_stage_prototype", "f_sampler_dualvar_train", "f_sampler_dualvar_10clip", "f_split_dualvar"]),
            ("pixels", &["g_transform_choice", "g_color_jitter_clip", "g_gaussian_blur", "g_crops", "g_scale"]),
            ("rates", &["h_lr_dualvar"]),
            ("ten-clip test and retrieval", &["e_tenclip_dualvar", "e_retrieval_dualvar"]),
        ],
        left_out: &[
            "Centre, five and ten crops (`--center_crop`, `--five_crop`, `--ten_crop`): no published script asks for them; they average over as many windows as a video has, and `clip/windows` gives the same number of each video.",
            "The ablation tables 1 to 3 of the paper: their numbers are not in the repository, so graphs of their modes have none.",
        ],
    },
    Paper {
        name: "iic",
        title: "IIC: Tao, Wang, Yamasaki: Self-supervised Video Representation Learning Using Inter-intra Contrastive Framework (ACM MM 2020)",
        protocol: &[
            "Pretraining: 240 epochs of 16 clips of 16 frames at stride 1, 112 pixels; rate 0.01, a fifth after epochs 45, 90, 125 and 160; banks with share 0.5, 1024 negatives.",
            "Retrieval: ten clips, centre crop, maxima over 1x2x2 windows (9216 values), cosine without centring; with RGB, with residual clips, and joint (both in one row, 18432 values).",
            "Fine-tuning: 150 epochs of 16 clips, residual clips without rescaling; the rate 0.001 falls to a tenth after 50 epochs without a lower loss on the withheld rows (800 on UCF101, 400 on HMDB51), down to 0.00001; the last partial batch is kept.",
            "Test: the epoch with the lowest loss on the withheld rows, ten clips, centre crop, mean of logits.",
            "The graphs of C3D and R(2+1)D-10 are sweeps over the three splits. Of the README's retrieval for them, and of its rows CMC and R3D (random), it is not stated which clips were used: the graphs have these numbers in their first lines and not in the table below.",
        ],
        parity: &[
            ("networks, their retrieval feature, their classifier", &["a_backbone_iic_{net}_{head}_{mode}", "a_backbone_iic_{net}_cls_{mode}"]),
            ("residual clips and intra-negatives", &["d_diff", "d_gen_neg"]),
            ("banks and losses, with and without intra-negatives, softmax and NCE", &["d_nceaverage_softmax", "d_nceaverage_ori_softmax", "d_nceaverage_nce", "d_nceaverage_ori_nce", "d_nce_criteria"]),
            ("a whole step of pretraining and of fine-tuning", &["d_iic_train_step_repeat", "d_iic_train_step_shuffle", "d_iic_finetune_step"]),
            ("clips", &["f_sampler_iic_train", "f_sampler_iic_test"]),
            ("pixels", &["g_iic_transforms", "g_crops"]),
            ("rates", &["h_lr_iic"]),
            ("ten-clip test and retrieval", &["e_tenclip_iic", "e_retrieval_iic"]),
        ],
        left_out: &[
            "Rows with optical flow (repeat + u, shuffle + v, CMC with three views): a packed set holds RGB alone.",
            "NCE with a constant Z (`--softmax=False`), for which the README has no numbers: features are not normalised, and the loss overflows in the second step of a smoke run.",
            "Rows of Res18-3D: dv has no 3D ResNet-18, and its source is not in the published repository.",
        ],
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    list.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    list.sort();
    list
}

fn string<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Value::as_str)
}

/// What a graph is: its `about`, else its name.
fn about(table: &Table) -> &str {
    string(table, "about").or(string(table, "name")).unwrap()
}

fn row(out: &mut String, path: &Path, paper: &str) {
    let text = fs::read_to_string(path).unwrap();
    let file = path.file_name().unwrap().to_str().unwrap();
    let table: Table = text.parse().unwrap_or_else(|e| panic!("{file}: {e}"));
    assert!(text.starts_with("# "), "{file} has no comment that says what it is");
    let link = format!("[{file}](../../graphs/{paper}/{file})");
    let Some(published) = table.get("published").and_then(Value::as_table) else {
        writeln!(out, "| {link} | {} | | | | |", about(&table)).unwrap();
        return;
    };
    for (i, (metric, fact)) in published.iter().enumerate() {
        let fact = fact.as_table().unwrap();
        let value = fact["value"].as_float().unwrap_or_else(|| panic!("{file}: {metric}: the value is a float"));
        assert_eq!(string(fact, "unit"), Some("percent"), "{file}: {metric}");
        let place = string(fact, "where").unwrap();
        let (link, about) = if i == 0 { (link.as_str(), about(&table)) } else { ("", "") };
        writeln!(out, "| {link} | {about} | `{metric}` | {value:.1} | none yet | {place} |").unwrap();
    }
}

fn page(paper: &Paper) -> String {
    let mut out = format!("# {}\n\n", paper.title);
    out += "Made from the graphs by a test (`engine/graph/tests/papers.rs`). Published numbers are percentages and stand with the graph to whose configuration they belong;\n";
    out += "dv has measured none of them yet. The comment at the head of each graph says from which command it comes, how to run it, and what differs.\n\n";
    out += "| graph | what | metric | published | dv's | where |\n|---|---|---|---|---|---|\n";
    for path in files(&root().join("graphs").join(paper.name)) {
        row(&mut out, &path, paper.name);
    }
    out += "\n## Protocol\n\n";
    paper.protocol.iter().for_each(|line| writeln!(out, "* {line}").unwrap());
    out += "\n## Numbers of the published code\n\nFamilies of cases (`tests/parity/map.toml`) that compute the parts of these graphs from the published code's own numbers:\n\n";
    out += "| part | families |\n|---|---|\n";
    for (part, families) in paper.parity {
        let families: Vec<String> = families.iter().map(|f| format!("`{f}`")).collect();
        writeln!(out, "| {part} | {} |", families.join(", ")).unwrap();
    }
    out += "\n## Left out\n\n";
    paper.left_out.iter().for_each(|line| writeln!(out, "* {line}").unwrap());
    out
}

#[test]
fn pages_are_those_of_the_graphs() {
    for paper in &PAPERS {
        let (path, now) = (root().join("docs/papers").join(paper.name).with_extension("md"), page(paper));
        if std::env::var_os("DV_WRITE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &now).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        let name = paper.name;
        assert!(
            written == now,
            "docs/papers/{name}.md is out of date: write it with DV_WRITE=1 cargo test --release -p dv-graph --test papers"
        );
    }
}

#[test]
fn the_families_are_there() {
    let map: Table = fs::read_to_string(root().join("tests/parity/map.toml")).unwrap().parse().unwrap();
    let there: Vec<&str> =
        map["family"].as_array().unwrap().iter().flat_map(|f| f["cases"].as_array().unwrap()).filter_map(Value::as_str).collect();
    for family in PAPERS.iter().flat_map(|p| p.parity).flat_map(|(_, families)| *families) {
        assert!(there.contains(family), "tests/parity/map.toml has no family `{family}`");
    }
}
