//! What stays from step to step, and when stages run: registers, averaged models, passes an item, modes, stages during others.

mod common;

use common::*;
use dv_graph::plan::{NodePlan, Plan, StagePlan};
use dv_graph::port::Rate;
use dv_graph::stage::{Checkpoint, Momentum, Origin};

/// [`GOOD`] with a key encoder and a queue of its features.
fn queued() -> String {
    edited(
        GOOD,
        &[
            ("[groups.base]\n", "[models.key]\nema_of = \"encoder\"\nmomentum = 0.99\nnames = \"encoder_k.0\"\n[groups.base]\n"),
            (
                "total    =",
                "keys    = { apply = \"key\", in = \"view_1.clips\" }\n\
                 ring    = { kind = \"memory/ring\", rows = 32, names = \"queue\", write = { rows = \"keys.map\" } }\n\
                 against = { kind = \"loss/against\", in = { a = \"seen.map[v0]\", negatives = \"ring.rows\" } }\n\
                 total    =",
            ),
            ("d = \"coherent.loss\" }", "d = \"coherent.loss\", q = \"against.loss\" }"),
            ("d = 0.5 }", "d = 0.5, q = 1.0 }"),
        ],
    )
}

fn bad(changes: &[(&str, &str)], wanted: &[(&str, &str)]) {
    let text = edited(&queued(), changes);
    let wanted: Vec<String> = wanted.iter().map(|(code, marker)| format!("{} {code}", place(&text, marker))).collect();
    let checked = checked(&[("g.toml", &text)], &[]);
    assert_eq!(faults(&checked), wanted, "\n{}", rendered(&checked));
}

fn good(changes: &[(&str, &str)]) -> Plan {
    let checked = checked(&[("g.toml", &edited(&queued(), changes))], &[]);
    assert_eq!(faults(&checked), Vec::<String>::new(), "\n{}", rendered(&checked));
    checked.plan.unwrap()
}

fn stage<'a>(plan: &'a Plan, name: &str) -> &'a StagePlan {
    plan.stages.iter().find(|s| s.name == name).unwrap()
}

fn node<'a>(stage: &'a StagePlan, path: &str) -> &'a NodePlan {
    &stage.nodes[stage.node(path).unwrap_or_else(|| panic!("no {path}"))]
}

#[test]
fn a_register_shows_what_was_before_and_takes_its_shape_from_what_is_written() {
    let plan = good(&[]);
    let pretrain = stage(&plan, "pretrain");
    let ring = node(pretrain, "ring");
    assert_eq!((ring.rate, ring.outputs[0].to_string()), (Rate::State, "float [32, 8]".to_string()));
    let register = ring.register.as_ref().unwrap();
    assert_eq!(register.state[0].shape, [32.into(), 8.into()]);
    assert_eq!(register.reference_name("rows").unwrap().0, "queue");
    assert_eq!(register.writes[0].name, "rows");
    // the written row is made after the register is read: a write is no cycle
    let place = |path: &str| pretrain.node(path).unwrap();
    assert!(place("ring") < place("against"));
    let own = [
        ("write = { rows = \"keys.map\" }", "write = { rows = \"back.rows\" }"),
        ("against = {", "back = { kind = \"flow/stop\", in = \"ring.rows\" }\nagainst = {"),
    ];
    bad(&own, &[("shape", "ring    =")]);
    // an edge that reads is one
    let read = [("a = \"seen.map[v0]\", negatives", "a = \"against.loss\", negatives")];
    bad(&read, &[("cycle", "against =")]);
}

#[test]
fn writes_are_of_registers_and_of_training() {
    bad(&[("write = { rows = \"keys.map\" }", "write = { row = \"keys.map\" }")], &[("unknown-input", "row = ")]);
    bad(&[(", write = { rows = \"keys.map\" }", "")], &[("missing-input", "ring    =")]);
    // what is whole for the batch has no rows
    bad(&[("write = { rows = \"keys.map\" }", "write = { rows = \"contrast.top1\" }")], &[("shape", "\"contrast.top1\" } }")]);
    // only registers have it
    bad(
        &[("names = \"queue\", write", "names = \"queue\", initial = { rows = \"keys.map\" }, write")],
        &[("unknown-setting", "initial =")],
    );
    bad(
        &[("in = \"view_1.clips\" }\nring", "in = \"view_1.clips\", write = { rows = \"seen.map\" } }\nring")],
        &[("unknown-setting", "write = { rows = \"seen")],
    );
}

#[test]
fn an_initial_edge_counts_as_an_input_and_takes_no_gradient() {
    let with = |initial: &str| {
        let found = format!("found = {{ kind = \"memory/found\", initial = {{ value = \"{initial}\" }} }}\nagainst = {{");
        let old = "negatives = \"ring.rows\" }";
        let text = edited(&queued(), &[("against = {", &found), (old, "negatives = \"ring.rows\", scale = \"found.value\" }")]);
        checked(&[("g.toml", &text)], &[])
    };
    let checked = with("contrast.top1");
    assert_eq!(faults(&checked), Vec::<String>::new(), "\n{}", rendered(&checked));
    let plan = checked.plan.unwrap();
    let pretrain = stage(&plan, "pretrain");
    let place = |path: &str| pretrain.node(path).unwrap();
    assert!(place("contrast") < place("found") && place("found") < place("against"));
    assert!(!node(pretrain, "found").gradient && node(pretrain, "against").gradient);
    // read before the output: what needs the output cannot give it
    let told = faults(&with("against.mean"));
    assert!(told.len() == 1 && told[0].ends_with("cycle"), "{told:?}");
}

#[test]
fn what_reaches_the_loss_through_a_write_alone_has_no_gradient() {
    let plan = good(&[]);
    let pretrain = stage(&plan, "pretrain");
    assert!(!node(pretrain, "keys").gradient && !node(pretrain, "ring").gradient && node(pretrain, "seen").gradient);
    // what is cut on purpose
    let cut = [
        ("a = \"seen.map[v0]\", negatives", "a = \"still.rows\", negatives"),
        ("against = {", "still = { kind = \"flow/stop\", in = \"seen.map[v0]\" }\nagainst = {"),
    ];
    let plan = good(&cut);
    assert!(!node(stage(&plan, "pretrain"), "against").gradient && node(stage(&plan, "pretrain"), "total").gradient);
}

#[test]
fn an_averaged_model_copies_its_source_and_is_not_trained() {
    let plan = good(&[]);
    let ema = plan.models["key"].ema.as_ref().unwrap();
    assert_eq!((ema.of.as_str(), &ema.momentum), ("encoder", &Momentum::Constant(0.99)));
    assert_eq!(plan.models["key"].parameters.len(), plan.models["encoder"].parameters.len());
    assert!(stage(&plan, "pretrain").models.contains(&("key".to_string(), false)));
    assert!(stage(&plan, "pretrain").drive.origin("key").is_none());
    bad(&[("ema_of = \"encoder\"", "ema_of = \"encodre\"")], &[("unknown-model", "\"encodre\"")]);
    bad(&[("momentum = 0.99", "momentum = 1.5")], &[("out-of-range", "1.5")]);
}

#[test]
fn an_item_is_a_pass_of_its_own_where_the_graph_says_so() {
    let plan = good(&[("in = \"views.clips\" }", "in = \"views.clips\", passes = \"view\" }")]);
    let seen = node(stage(&plan, "pretrain"), "seen");
    assert_eq!((seen.passes, seen.outputs[0].to_string()), (Some(0), "float [B, view 2, 8]".to_string()));
    bad(&[("in = \"views.clips\" }", "in = \"views.clips\", passes = \"veiw\" }")], &[("item-axis", "\"veiw\"")]);
    bad(&[("in = \"mixed.clips\", after", "in = \"mixed.clips\", passes = \"view\", after")], &[("item-axis", "\"view\", after")]);
}

#[test]
fn a_mode_overrides_what_training_would_be() {
    let training = |changes: &[(&str, &str)], path: &str| node(stage(&good(changes), "pretrain"), path).training;
    assert!(training(&[], "seen"));
    assert!(!training(&[("in = \"views.clips\" }", "in = \"views.clips\", mode = \"eval\" }"), (", after = \"seen\"", "")], "seen"));
    let frozen = ("keep       =", "frozen = [\"key\"]\nkeep       =");
    assert!(!training(&[frozen], "keys"));
    assert!(training(&[frozen, ("in = \"view_1.clips\" }\nring", "in = \"view_1.clips\", mode = \"train\" }\nring")], "keys"));
}

#[test]
fn a_drawn_value_may_be_given() {
    // the crop of one view at the place of another
    let plan = good(&[(
        "small    = { kind = \"view/crop\", in = \"pair.first\",",
        "small    = { kind = \"view/crop\", in = { clips = \"pair.first\", offset = \"view_0/crop.offset\" },",
    )]);
    let small = node(stage(&plan, "pretrain"), "small");
    assert_eq!(small.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["clips", "offset"]);
    // another draw's form does not fit
    bad(
        &[(
            "small    = { kind = \"view/crop\", in = \"pair.first\",",
            "small    = { kind = \"view/crop\", in = { clips = \"pair.first\", offset = \"order.order\" },",
        )],
        &[("shape", "\"order.order\" }, size")],
    );
}

const WATCH: &str =
    "[stages.watch]\nduring = { stage = \"pretrain\", every = 2 }\nweights = \"pretrain\"\nbatch = 3\nprecision = \"fp32\"\n\
     [stages.watch.nodes]\n\
     video = { kind = \"source/set\", set = \"tiny\", split = \"test\", height = 24, width = 20 }\n\
     clips = { kind = \"clip/several\", in = \"video.frames\", clips = 3, length = \"$length\" }\n\
     crop  = { apply = \"base\", in = \"clips.clips\" }\n\
     seen  = { apply = \"encoder\", in = \"crop.clips\" }\n\
     table = { kind = \"collect/mean\", in = { rows = \"seen.map\" }, over = [\"clip\"] }\n\
     [stages.known.nodes]\n\
     score = { kind = \"evaluate/score\", in = { gallery = \"watch/table.rows\", query = \"watch/table.rows\" }, k = 1 }\n\
     [stages.gallery]\n";

#[test]
fn a_stage_runs_during_another_and_so_does_what_reads_it() {
    let plan = good(&[("[stages.gallery]\n", WATCH)]);
    let during = |name: &str| stage(&plan, name).during.as_ref().map(|d| (d.stage.clone(), d.every));
    assert_eq!(during("watch"), Some(("pretrain".to_string(), 2)));
    assert_eq!(during("known"), Some(("pretrain".to_string(), 2)));
    assert_eq!((during("pretrain"), during("gallery"), during("retrieval")), (None, None, None));
    // its metrics steer the stage
    let steered = [
        ("[stages.gallery]\n", WATCH),
        ("{ kind = \"constant\" }", "{ kind = \"plateau\", on = \"known/score.top1\", factor = 0.1, patience = 1 }"),
        ("{ last = 1 }", "{ last = 1, best = \"known/score.top1\", goal = \"highest\" }"),
    ];
    good(&steered);
    let wrong = [
        steered[0],
        steered[2],
        ("{ kind = \"constant\" }", "{ kind = \"plateau\", on = \"retrieval/score.top1\", factor = 0.1, patience = 1 }"),
    ];
    bad(&wrong, &[("unknown-metric", "\"retrieval/score.top1\"")]);
    // one that waits for the stage's end does not run during it
    let late = WATCH.replace("query = \"watch/table.rows\"", "query = \"gallery/table.rows\"");
    let plan = good(&[("[stages.gallery]\n", &late)]);
    assert!(stage(&plan, "known").during.is_none() && stage(&plan, "watch").during.is_some());
}

#[test]
fn parameters_have_groups_by_path_and_role() {
    let with = |groups: &str| format!("{groups}\nkeep       =");
    let plan = good(&[(
        "keep       =",
        &with("parameters.head = { match = [\"proj/*\"], lr = 0.01 }\nparameters.norm = { match = [\":norm\"], weight_decay = 0.0 }"),
    )]);
    assert_eq!(stage(&plan, "pretrain").drive.parameters.len(), 2);
    bad(&[("keep       =", &with("parameters.head = { match = [\"prj/*\"], lr = 0.01 }"))], &[("empty-group", "head = {")]);
    bad(
        &[("keep       =", &with("parameters.a = { match = [\"proj/*\"], lr = 0.01 }\nparameters.b = { match = [\":bias\"], lr = 0.01 }"))],
        &[("groups-overlap", "b = { match")],
    );
}

#[test]
fn origins_are_stages_epochs_files_or_the_seed() {
    let origin = |text: &str| {
        let weights = format!("weights   = {text}\nbatch     = 3");
        let plan = good(&[
            ("keep       = { last = 1 }", "keep = { last = 1, best = \"contrast.top1\" }"),
            ("weights   = \"pretrain\"\nbatch     = 3", &weights),
        ]);
        stage(&plan, "gallery").drive.origin("encoder").cloned()
    };
    let from = |at| Some(Origin::Stage { stage: "pretrain".into(), at });
    assert_eq!(origin("\"pretrain\""), from(Checkpoint::Last));
    assert_eq!(origin("{ encoder = { stage = \"pretrain\", epoch = 2 } }"), from(Checkpoint::Epoch(2)));
    assert_eq!(origin("{ \"*\" = { stage = \"pretrain\", keep = \"best\" } }"), from(Checkpoint::Best));
    assert_eq!(origin("\"initial\""), Some(Origin::Initial));
    assert!(matches!(origin("{ encoder = { file = \"w.safetensors\" } }"), Some(Origin::File { .. })));
    // registers have one too
    let plan = good(&[("batch      = 4", "batch      = 4\nweights = { ring = { file = \"w.safetensors\" } }")]);
    assert!(matches!(stage(&plan, "pretrain").drive.origin("ring"), Some(Origin::File { .. })));
}

#[test]
fn parts_of_the_world_are_equal() {
    good(&[("\"synced\"", "\"per_rank\"")]);
    bad(&[("batch      = 4", "batch      = 5")], &[("out-of-range", "2\nbatch_norm")]);
    bad(&[("\"synced\"", "\"per_gpu\"")], &[("unknown-choice", "\"per_gpu\"")]);
}
