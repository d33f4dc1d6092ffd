//! What the order of keys means: of the branches of a draw and of the stages, and of nothing else.

mod common;

use common::*;
use dv_graph::check::Checked;
use dv_graph::identity::identities;
use dv_graph::plan::Plan;
use dv_graph::show;

fn plan_of(checked: Checked) -> Plan {
    assert_eq!(faults(&checked), Vec::<String>::new(), "\n{}", rendered(&checked));
    checked.plan.unwrap()
}

fn plan(text: &str) -> Plan {
    plan_of(checked(&[("g.toml", text)], &[]))
}

/// The good graph with these lines laid over it.
fn over(rest: &str) -> Plan {
    plan_of(checked(
        &[("g.toml", &format!("extends = 'good.toml'\nname = 'good'\nabout = 'two views, one head'\n{rest}")), ("good.toml", GOOD)],
        &[],
    ))
}

fn branches(plan: &Plan) -> Vec<&str> {
    let stage = plan.stages.iter().find(|s| s.name == "pretrain").unwrap();
    stage.branches(stage.node("view_2").unwrap())
}

fn stages(plan: &Plan) -> String {
    plan.stages.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(" ")
}

const IN: &str = "in = { base = \"view_0.clips\", plain = \"plain.clips\" }";
const TURNED: &str = "in = { plain = \"plain.clips\", base = \"view_0.clips\" }";

#[test]
fn branches_are_numbered_as_the_file_names_them() {
    let turned = plan(&edited(GOOD, &[(IN, TURNED)]));
    assert_eq!((branches(&plan(GOOD)), branches(&turned)), (vec!["base", "plain"], vec!["plain", "base"]));
    let stage = &turned.stages[0];
    let choose = stage.node("view_2").unwrap();
    let guard = |path: &str| stage.nodes[stage.node(path).unwrap()].guards.iter().map(|g| (g.choose, g.branch)).collect::<Vec<_>>();
    assert_eq!((guard("plain"), guard("view_0/normal")), (vec![(choose, 0)], vec![(choose, 1)]));
    let text = show::text(&turned);
    assert!(text.contains("choice 0 = plain, 1 = base"), "{text}");
    let json = show::json(&turned);
    let node = json["stages"][0]["nodes"].as_array().unwrap().iter().find(|n| n["path"] == "view_2").unwrap();
    assert_eq!(node["choices"], serde_json::json!(["plain", "base"]));
    let differ = dv_graph::diff::text(&dv_graph::diff::diff(&plan(GOOD), &turned), "a", "b");
    assert!(differ.contains("choices: 0 = base, 1 = plain -> 0 = plain, 1 = base"), "{differ}");
    // the order of the odds is none
    assert_eq!(
        branches(&plan(&edited(GOOD, &[("odds = { base = 0.8, plain = 0.2 }", "odds = { plain = 0.2, base = 0.8 }")]))),
        ["base", "plain"]
    );
    // the file's that is extended first, then new ones
    let more = "[stages.pretrain.nodes.view_2]\nin = { a_third = 'plain.clips', plain = 'plain.clips' }\nodds = { a_third = 1 }\n";
    assert_eq!(branches(&over(more)), ["base", "plain", "a_third"]);
    let anew = format!("remove = ['stages.pretrain.nodes.view_2.in']\n[stages.pretrain.nodes.view_2]\n{TURNED}\n");
    assert_eq!(branches(&over(&anew)), ["plain", "base"]);
    // in a group, and as an array
    let group = "[groups.pick]\nin = ['a', 'b']\nout = { clips = 'one.clips' }\nnodes.one = { kind = 'view/choose', in = { z = 'in.a', a = 'in.b' }, odds = { a = 1, z = 1 } }\n";
    let picked = over(&format!(
        "remove = ['stages.pretrain.nodes.view_2']\n{group}[stages.pretrain.nodes.view_2]\napply = 'pick'\nin = {{ a = 'view_0.clips', b = 'plain.clips' }}\n"
    ));
    assert_eq!(picked.stages[0].branches(picked.stages[0].node("view_2/one").unwrap()), ["z", "a"]);
    let array = plan(&edited(
        GOOD,
        &[(IN, "in = [\"plain.clips\", \"view_0.clips\"]"), ("odds = { base = 0.8, plain = 0.2 }", "odds = { 0 = 1, 1 = 1 }")],
    ));
    let inputs = |plan: &Plan| {
        show::json(plan)["stages"][0]["nodes"].as_array().unwrap().iter().find(|n| n["path"] == "view_2").unwrap()["inputs"][0]["from"]
            .clone()
    };
    assert_eq!(inputs(&array), "plain.clips");
}

#[test]
fn stages_of_equal_standing_run_in_the_files_order() {
    assert_eq!(stages(&plan(GOOD)), "pretrain gallery query retrieval");
    let at = |name: &str| GOOD.find(&format!("[stages.{name}]")).unwrap();
    let (gallery, query) = (&GOOD[at("gallery")..at("query")], &GOOD[at("query")..GOOD.find("[stages.retrieval").unwrap()]);
    let turned = GOOD.replace(gallery, "").replace(query, &format!("{query}{gallery}"));
    assert_eq!(stages(&plan(&turned)), "pretrain query gallery retrieval");
    assert!(show::text(&plan(&turned)).contains("stages run in the order pretrain, query, gallery, retrieval\n"));
    // what one needs still comes first
    let first = GOOD.replace(query, "").replace("[stages.pretrain]\n", &format!("{query}[stages.pretrain]\n"));
    assert_eq!(stages(&plan(&first)), "pretrain query gallery retrieval");
    // those that another file adds come behind
    let more = "[stages.a_first.nodes]\nscore = { kind = 'evaluate/score', in = { gallery = 'gallery/table.rows', query = 'query/table.rows' }, k = 2 }\n";
    assert_eq!(stages(&over(more)), "pretrain gallery query retrieval a_first");
    // run in another order, they are the same stages
    assert_eq!(identities(&plan(GOOD), &|_| None), identities(&plan(&turned), &|_| None));
}

#[test]
fn a_node_means_the_same_wherever_it_stands() {
    let nodes = &GOOD[GOOD.find("video    =").unwrap()..GOOD.find("\n[stages.gallery]").unwrap()];
    let turned: String = nodes.lines().rev().map(|l| format!("{l}\n")).collect();
    let settings = "epochs     = 2\nbatch      = 4\n";
    let text = edited(
        GOOD,
        &[
            (nodes, &turned),
            (settings, "batch      = 4\nepochs     = 2\n"),
            (
                "in = { c = \"contrast.loss\", d = \"coherent.loss\" }, weights = { c = 1.0, d = 0.5 }",
                "weights = { d = 0.5, c = 1.0 }, in = { d = \"coherent.loss\", c = \"contrast.loss\" }",
            ),
            ("in = { v0 = \"view_1.clips\", v1 = \"view_2.clips\" }", "in = { v1 = \"view_2.clips\", v0 = \"view_1.clips\" }"),
        ],
    );
    let (a, b) = (plan(GOOD), plan(&text));
    assert_eq!(a.resolved, b.resolved);
    assert_eq!(show::text(&a), show::text(&b));
    assert_eq!(identities(&a, &|_| None), identities(&b, &|_| None));
    // also where files share it out
    let (lower, upper) = GOOD.split_at(GOOD.find("[stages.gallery]").unwrap());
    let upper = format!("extends = 'lower.toml'\nname = 'good'\nabout = 'two views, one head'\n{upper}");
    assert_eq!(plan_of(checked(&[("upper.toml", &upper), ("lower.toml", lower)], &[])).resolved, a.resolved);
    // the branches of a draw are another experiment in another order
    let other = plan(&edited(GOOD, &[(IN, TURNED)]));
    let same: Vec<String> =
        identities(&a, &|_| None).into_iter().filter(|(s, id)| identities(&other, &|_| None)[s] == *id).map(|(s, _)| s).collect();
    assert_eq!(same, Vec::<String>::new());
}

#[test]
fn the_resolved_graph_keeps_the_order() {
    let at = GOOD.find("[stages.gallery]").unwrap();
    let end = GOOD.find("[stages.query]").unwrap();
    let text = GOOD.replace(&GOOD[at..end], "").replace("[stages.retrieval.nodes]", &format!("{}[stages.retrieval.nodes]", &GOOD[at..end]));
    let first = plan(&edited(&text, &[(IN, TURNED)]));
    let again = plan(&first.resolved);
    assert_eq!((branches(&again), stages(&again)), (vec!["plain", "base"], "pretrain query gallery retrieval".to_string()));
    assert_eq!(again.resolved, first.resolved);
    assert_eq!(identities(&again, &|_| None), identities(&first, &|_| None));
}

#[test]
fn items_of_an_array_stand_as_it_has_them() {
    let twelve: Vec<String> = (0..12).map(|i| format!("\"{}.clips\"", if i == 0 { "view_2" } else { "view_1" })).collect();
    let text = edited(
        GOOD,
        &[
            ("in = { v0 = \"view_1.clips\", v1 = \"view_2.clips\" }", &format!("in = [{}]", twelve.join(", "))),
            ("a = \"clip.features[v0]\", b = \"clip.features[v1]\"", "a = \"clip.features[0]\", b = \"clip.features[11]\""),
            ("a = \"clip.features[v0]\", b = \"other.features\"", "a = \"clip.features[10]\", b = \"other.features\""),
        ],
    );
    let plan = plan(&text);
    let stage = &plan.stages[0];
    let axis = &stage.nodes[stage.node("views").unwrap()].outputs[0].axes[0];
    assert_eq!(axis.items().collect::<Vec<_>>().join(" "), "0 1 2 3 4 5 6 7 8 9 10 11");
}
