//! A plan as text, figure and document, and what differs between two.

mod common;

use common::{checked, edited, rendered, GOOD};
use dv_graph::diff::{self, diff};
use dv_graph::plan::Plan;
use dv_graph::show;
use serde_json::Value;
use std::collections::BTreeSet;

fn plan(text: &str) -> Plan {
    let checked = checked(&[("graph.toml", text)], &[]);
    let told = rendered(&checked);
    checked.plan.unwrap_or_else(|| panic!("{told}"))
}

/// Opening and closing tags of a well-formed document, nested as they should be; gives all text between them.
fn texts(xml: &str) -> Vec<String> {
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        texts.push(rest[..at].to_string());
        let end = rest[at..].find('>').expect("a tag ends") + at;
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().unwrap().to_string()),
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    texts.retain(|t| !t.trim().is_empty());
    texts
}

#[test]
fn text_names_passes_rows_and_what_has_no_gradient() {
    let text = show::text(&plan(GOOD));
    for part in [
        "a step: 4 videos, 8 clips, encoder 12 rows, proj 12 rows",
        "encoder  trained  seen   2B = 8 rows  batch norm over 2B = 8 rows",
        "no gradient",
        "rows of view_2 = plain",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let line = |path: &str| text.lines().find(|l| l.contains(path)).unwrap();
    assert!(!line(" seen ").contains("no gradient") && line(" views ").contains("no gradient"));
}

#[test]
fn the_figure_holds_every_node_and_escapes_what_it_is_given() {
    let plan = plan(&edited(GOOD, &[("two views, one head", "<script>&\\\"'</svg> — 頭")]));
    let svg = show::svg(&plan);
    let texts = texts(&svg);
    for stage in &plan.stages {
        assert!(texts.contains(&stage.name), "{}", stage.name);
        for node in &stage.nodes {
            let name = node.path.rsplit('/').next().unwrap();
            assert!(texts.iter().any(|t| t == name), "{}", node.path);
        }
    }
    for part in ["pass 1 of 2: 2B = 8 rows", "batch norm over 2B", "minimised", "running statistics", "[B, view 2, 8]"] {
        assert!(texts.iter().any(|t| t.contains(part)), "no `{part}`");
    }
    assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;&amp;&quot;&#39;&lt;/svg&gt; — 頭"));
}

#[test]
fn dot_has_clusters_nodes_and_edges() {
    let plan = plan(&edited(GOOD, &[("two views, one head", "a \\\"quoted\\\" back\\\\slash")]));
    let dot = show::dot(&plan);
    assert!(dot.contains("a \\\"quoted\\\" back\\\\slash"), "{dot}");
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    for part in
        ["subgraph \"cluster_pretrain/view_1/view\"", "\"pretrain/seen\" -> \"pretrain/clip\"", "\"gallery/table\" -> \"retrieval/score\""]
    {
        assert!(dot.contains(part), "no `{part}` in\n{dot}");
    }
    let nodes: usize = plan.stages.iter().map(|s| s.nodes.len()).sum();
    assert_eq!(dot.matches("fillcolor=").count(), nodes);
}

fn keys(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| {
            names.insert(k.clone());
            keys(v, names);
        }),
        Value::Array(list) => list.iter().for_each(|v| keys(v, names)),
        _ => {}
    }
}

#[test]
fn the_documents_fields_are_documented() {
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/show.md")).unwrap();
    let plan = plan(GOOD);
    let mut json = show::json(&plan);
    let seen = &json["stages"][0]["passes"][0];
    assert_eq!((&seen["node"], &seen["rows"], &seen["batch_norm"]), (&"seen".into(), &8.into(), &"batch".into()));
    let step =
        serde_json::json!({ "videos": 4, "clips": 8, "model_rows": [{ "model": "encoder", "rows": 12 }, { "model": "proj", "rows": 12 }] });
    assert_eq!((&json["stages"][0]["step"], &json["stages"][3]["step"]), (&step, &Value::Null));
    // names that the graph chose are no fields
    for stage in json["stages"].as_array_mut().unwrap() {
        stage["weights"] = stage["weights"].as_object().unwrap().values().cloned().collect();
    }
    json["models"] = json["models"].as_object().unwrap().values().cloned().collect();
    let other = self::plan(&edited(GOOD, &[("width = 8", "width = 4")]));
    let mut differ = diff::json(&diff(&plan, &other));
    differ["consequences"] = differ["consequences"].as_object().unwrap().values().map(|list| list[0]["change"].clone()).collect();
    let mut names = BTreeSet::new();
    keys(&json, &mut names);
    keys(&differ, &mut names);
    keys(&show::cost_json(&plan, None, &|_| Some(10)), &mut names);
    for name in names {
        assert!(documented.contains(&format!("`{name}`")), "docs/show.md says nothing of `{name}`");
    }
}

#[test]
fn the_cost_counts_every_pass_of_the_models() {
    let plan = plan(GOOD);
    let json = show::cost_json(&plan, Some("pretrain"), &|_| Some(10));
    let stage = &json["stages"][0];
    assert_eq!((json["stages"].as_array().unwrap().len(), &stage["name"]), (1, &"pretrain".into()));
    // for each row the encoder has a 1x1x1 convolution from 3 to 8 channels over 4x16x16 cells, and the head 8-8-6
    let (encoder, head): (u64, u64) = (3 * 8 * 4 * 16 * 16, 8 * 8 + 8 * 6);
    let seen = &stage["passes"][0];
    assert_eq!((&seen["node"], &seen["rows"], &seen["multiply_adds_per_row"]), (&"seen".into(), &8.into(), &encoder.into()));
    assert_eq!((&seen["forward_flops"], &seen["backward_flops"]), (&(8 * 2 * encoder).into(), &(8 * 4 * encoder).into()));
    // what its convolution and its batch norm read
    assert_eq!(seen["activation_bytes"], 8 * 4 * (3 + 8) * 1024);
    let step = &stage["step"];
    assert_eq!(step["flops"], 12 * 6 * (encoder + head));
    assert_eq!(step["activation_bytes"], 12 * 4 * ((3 + 8) * 1024 + 8 + 8));
    // two clips of 4 frames of 24x20 for each of 4 videos; the epoch drops what is less than a batch
    assert_eq!((&step["clips"], &step["packed_bytes"]), (&8.into(), &(4 * 2 * 4 * 3 * 24 * 20).into()));
    let epoch = &stage["epoch"];
    assert_eq!((&epoch["steps"], &epoch["videos"], &epoch["clips"]), (&2.into(), &8.into(), &16.into()));
    assert_eq!(stage["trained_parameters"], 24 + 16 + 72 + 54);
    // nothing is trained, nothing kept, and no video left out
    let gallery = &show::cost_json(&plan, Some("gallery"), &|_| Some(10))["stages"][0];
    let seen = &gallery["passes"][0];
    assert_eq!((&seen["backward_flops"], &seen["activation_bytes"], &gallery["epoch"]["videos"]), (&0.into(), &0.into(), &10.into()));
    let text = show::cost_text(&plan, None, &|_| None);
    assert!(text.contains("trained parameters: 166") && !text.contains("an epoch"), "{text}");
}

#[test]
fn frozen_models_and_half_precision_cost_less() {
    let cost = |changes: &[(&str, &str)]| show::cost_json(&plan(&edited(GOOD, changes)), Some("pretrain"), &|_| None)["stages"][0].clone();
    let pass = |stage: &Value, node: &str| stage["passes"].as_array().unwrap().iter().find(|p| p["node"] == node).unwrap().clone();
    let flops = |pass: &Value| ["forward_flops", "backward_flops"].map(|name| pass[name].as_u64().unwrap());
    let frozen = |model: &str| cost(&[("minimise   =", &format!("frozen = [\"{model}\"]\nminimise   ="))]);
    // gradients pass through the frozen head, and none reach the frozen encoder
    let [forward, backward] = flops(&pass(&frozen("proj"), "clip"));
    assert!(forward > 0 && backward == forward, "{backward} {forward}");
    assert_eq!(flops(&pass(&frozen("encoder"), "seen"))[1], 0);
    let (full, half) = (cost(&[]), cost(&[("precision  = \"fp32\"", "precision  = \"bf16\"")]));
    let kept = |stage: &Value| stage["step"]["activation_bytes"].as_u64().unwrap();
    assert_eq!(kept(&full), 2 * kept(&half));
}

#[test]
fn equal_graphs_say_so() {
    let comment = format!("# another comment\n{GOOD}");
    let found = diff(&plan(GOOD), &plan(&comment));
    assert!(found.is_empty());
    assert_eq!(diff::text(&found, "a.toml", "b.toml"), "a.toml and b.toml are the same after resolving\n");
}

#[test]
fn differences_and_what_they_change() {
    let told = |changes: &[(&str, &str)]| diff::text(&diff(&plan(GOOD), &plan(&edited(GOOD, changes))), "a", "b");
    let holds = |text: &str, parts: &[&str]| parts.iter().for_each(|p| assert!(text.contains(p), "no `{p}` in\n{text}"));
    // a setting that changes nothing but itself
    holds(&told(&[("lr = 0.1,", "lr = 0.2,")]), &["~ stages.pretrain.optimiser.lr: 0.1 -> 0.2", "nothing else changes"]);
    // a term that is taken away, with the passes that it alone needed
    let text = told(&[("d = 0.5 }", "d = false }")]);
    holds(&text, &["total.weights.d: 0.5 -> false", "- pretrain/cut", "- pretrain/other", "batch norm: 4 rows"]);
    // other shapes, other parameters
    let text = told(&[("width = 8", "width = 4")]);
    holds(&text, &["~ models.encoder.width: 8 -> 4", "~ encoder", "~ all models", "[B, view 2, 8] -> float [B, view 2, 4]"]);
    // batches and sets
    let text = told(&[("batch      = 4", "batch      = 8"), ("split = \"test\"", "split = \"val\"")]);
    holds(&text, &["~ pretrain/seen", "8 rows -> ", "16 rows", "tiny test -> tiny val", "~ pretrain  drive: 2 epochs, batch 4"]);
    let text = told(&[("metrics    = [\"contrast.top1\"]", "metrics    = [\"coherent.top1\"]")]);
    holds(&text, &["+ pretrain/coherent.top1", "- pretrain/contrast.top1"]);
}
