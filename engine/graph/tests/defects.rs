//! Kinds whose own code is wrong: the check reports the kind, where the graph uses it, and looks at all the rest.

mod common;

use common::*;

/// A node between `view_0` and its reader, and one that no fault of the first may hide.
fn graph(node: &str, models: &str) -> String {
    edited(
        GOOD,
        &[
            ("[models.encoder]", &format!("{models}\n[models.encoder]")),
            ("view_1   =", &format!("between = {node}\nview_1   =")),
            ("base = \"view_0.clips\"", "base = \"between.clips\""),
            ("temperature = 0.1 }\ncoherent", "temperature = 0 }\ncoherent"),
        ],
    )
}

#[track_caller]
fn told(text: &str, kind: &str, what: &str) {
    let found = checked_by(&wrong_library(), &[("g.toml", text)], &[]);
    let said = rendered(&found);
    let defect = format!("error[kind-defect]: the kind `{kind}` has a defect: {what}");
    assert!(said.contains(&defect), "no `{defect}`:\n{said}");
    assert!(found.plan.is_none());
    assert!(faults(&found).iter().any(|f| f.ends_with("out-of-range")), "the other fault is reported as well:\n{said}");
}

#[test]
fn whatever_a_kind_does_wrong_is_a_fault_that_names_it() {
    for (how, what) in [
        ("check", "the check of its settings failed: deliberately wrong"),
        ("outputs", "its shape rule gives 0 outputs, and it declares 1"),
        ("rule", "its shape rule failed: deliberately wrong"),
        ("overflow", "its shape rule failed: attempt to add with overflow"),
        ("dropped", "its list of inputs that are off failed: deliberately wrong"),
    ] {
        let node = format!("{{ kind = \"own/wrong\", in = \"view_0.clips\", how = \"{how}\" }}");
        told(&graph(&node, ""), "own/wrong", what);
    }
}

/// What is asked only of a stage without other faults.
#[test]
fn also_what_is_asked_last() {
    let right = |text: String| edited(&text, &[("temperature = 0 }", "temperature = 0.1 }")]);
    let own = "[models.own]\nkind = \"own/wrong_model\"\nhow = \"parameters\"";
    for (node, models, kind, what) in [
        ("kind = \"own/wrong\", how = \"source\"", "", "own/wrong", "its source failed"),
        ("kind = \"own/wrong\", how = \"batch\"", "", "own/wrong", "its largest batch failed"),
        ("kind = \"own/wrong_register\", how = \"state\"", "", "own/wrong_register", "its list of tensors failed"),
        ("apply = \"own\"", own, "own/wrong_model", "its network failed"),
    ] {
        let text = right(graph(&format!("{{ {node}, in = \"view_0.clips\" }}"), models));
        let found = checked_by(&wrong_library(), &[("g.toml", &text)], &[]);
        let said = rendered(&found);
        assert!(
            said.contains(&format!("error[kind-defect]: the kind `{kind}` has a defect: {what}: deliberately wrong")),
            "{node}:\n{said}"
        );
        assert!(found.plan.is_none() && said.contains(" = help: report it to the author"), "{said}");
    }
}
