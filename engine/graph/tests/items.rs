//! Items of a stack of which nothing comes are noted, and stay.

mod common;

use common::*;
use dv_graph::check::Checked;

/// Three views: the third is read by the second loss alone.
fn graph(changes: &[(&str, &str)]) -> Checked {
    let third = [
        ("v1 = \"view_2.clips\" }", "v1 = \"view_2.clips\", v2 = \"plain.clips\" }"),
        ("a = \"clip.features[v0]\", b = \"other.features\"", "a = \"clip.features[v2]\", b = \"other.features\""),
    ];
    checked(&[("g.toml", &edited(&edited(GOOD, &third), changes))], &[])
}

fn notes(checked: &Checked) -> Vec<String> {
    assert!(checked.plan.is_some(), "{}", rendered(checked));
    checked.faults.iter().map(|f| format!("{} {}", f.code, f.message)).collect()
}

#[test]
fn an_item_that_reaches_nothing_is_noted_and_kept() {
    assert_eq!(notes(&graph(&[])), Vec::<String>::new());
    let off = graph(&[("d = 0.5", "d = false")]);
    let said = "stack-item-unused item `v2` of `views` reaches no loss, metric or table; it still takes part in the batch-norm batch of `encoder` (3B rows); to drop it remove it from the stack's `in`";
    assert_eq!(notes(&off), [said]);
    let fault = off.faults.iter().next().unwrap();
    assert!(fault.note && fault.help.as_ref().unwrap().contains("remove = [\"stages.pretrain.nodes.views.in.v2\"]"), "{fault:?}");
    assert_eq!(off.sources.excerpt(fault.at).0.split("v2").count(), 2);
    let plan = off.plan.unwrap();
    let stage = &plan.stages[0];
    assert_eq!(stage.nodes[stage.node("views").unwrap()].outputs[0].axes[0].items().collect::<Vec<_>>(), ["v0", "v1", "v2"]);
    // removed, it is gone
    let removed = "extends = 'good.toml'\nname = 'g'\nremove = ['stages.pretrain.nodes.views.in.v1', 'stages.pretrain.nodes.contrast.in']\n[stages.pretrain.nodes.contrast]\nin = { a = 'clip.features[v0]', b = 'clip.features[v0]' }\n[stages.pretrain.nodes]\n";
    let told = checked(&[("g.toml", removed), ("good.toml", GOOD)], &[]);
    assert!(!told.faults.iter().any(|f| f.code == "stack-item-unused"), "{}", rendered(&told));
}

#[test]
fn what_reads_an_axis_as_a_whole_reads_every_item() {
    // a table over the axis, in a stage that evaluates
    let stacked = "two = { kind = \"batch/stack\", axis = \"twice\", in = { a = \"seen.map\", b = \"seen.map\" } }\ntable = { kind = \"collect/mean\", in = { rows = \"two.clips\", label = \"video.label\" }, over = [\"clip\", \"twice\"] }";
    let table = "table = { kind = \"collect/mean\", in = { rows = \"seen.map\", label = \"video.label\" }, over = [\"clip\"] }";
    assert_eq!(notes(&graph(&[(table, stacked)])), Vec::<String>::new());
    // stacked again: the inner items that nothing takes are noted, those of the outer stack are read
    let outer = "pairs = { kind = \"batch/stack\", axis = \"pair\", in = { l = \"clip.features\", r = \"clip.features\" } }\ncontrast = { kind = \"loss/contrast\", in = { a = \"one.rows\", b = \"two.rows\" }, temperature = 0.1 }\none = { kind = \"flow/stop\", in = \"half.rows[v0]\" }\nhalf = { kind = \"flow/stop\", in = \"pairs.clips[l]\" }\ntwo = { kind = \"flow/stop\", in = \"whole.rows[r]\" }\nwhole = { kind = \"flow/stop\", in = \"pairs.clips[v0]\" }";
    let contrast =
        "contrast = { kind = \"loss/contrast\", in = { a = \"clip.features[v0]\", b = \"clip.features[v1]\" }, temperature = 0.1 }";
    let found = notes(&graph(&[(contrast, outer)]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("item `v1` of `views`"), "{found:?}");
}

#[test]
fn without_batch_norm_the_item_is_computed_for_nothing() {
    let frozen = graph(&[("d = 0.5", "d = false"), ("keep       = { last = 1 }", "frozen = [\"encoder\"]"), (", after = \"seen\"", "")]);
    let found = notes(&frozen);
    assert!(found.len() == 1 && found[0].contains("reaches no loss, metric or table; it is computed all the same;"), "{found:?}");
}
