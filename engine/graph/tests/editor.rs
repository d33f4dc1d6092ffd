//! The graphs of the house as an editor sees them: TOML 1.0, and in accord with `schema/graph.json`.

use serde_json::{json, Value};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn graphs() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join("graphs"), root().join("tests/parity")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "toml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let graph = text.lines().any(|l| l.starts_with("[stages.") || l.starts_with("extends"));
                found.extend(graph.then_some(path));
            }
        }
    }
    assert!(found.len() > 5, "{found:?}");
    found
}

/// As much of draft 7 as the schema uses: the first thing in which a value is not what it says, and where.
fn wrong(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if schema == &Value::Bool(false) {
        return Some(format!("{at}: nothing may stand here"));
    }
    let map = schema.as_object()?;
    let all = |list: &Value| list.as_array().cloned().unwrap_or_default();
    for (keyword, rule) in map {
        let fits = |s: &Value| wrong(root, s, value, at).is_none();
        let number = |of: &Value| of.as_f64().unwrap_or(f64::NAN);
        let bad = match keyword.as_str() {
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#'));
                if let Some(told) = wrong(root, target.unwrap_or_else(|| panic!("{rule} leads nowhere")), value, at) {
                    return Some(told);
                }
                false
            }
            "type" => {
                let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                !types.iter().any(|t| match t.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("the type {other}"),
                })
            }
            "const" => value != rule,
            "enum" => !all(rule).contains(value),
            "minimum" => number(value) < number(rule),
            "maximum" => number(value) > number(rule),
            "exclusiveMinimum" => number(value) <= number(rule),
            "exclusiveMaximum" => number(value) >= number(rule),
            "minItems" => value.as_array().is_some_and(|v| (v.len() as u64) < rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_some_and(|v| (v.len() as u64) > rule.as_u64().unwrap()),
            // the two patterns that there are
            "pattern" => match rule.as_str().unwrap() {
                "^\\$" => value.as_str().is_some_and(|v| !v.starts_with('$')),
                "^[a-z0-9_]+$" => value.as_str().is_some_and(|v| !dv_graph::experiment::is_name(v)),
                other => panic!("the pattern {other}"),
            },
            "propertyNames" => {
                let names = value.as_object().into_iter().flatten();
                names.into_iter().any(|(k, _)| wrong(root, rule, &json!(k), at).is_some())
            }
            "required" => value.is_object() && all(rule).iter().any(|k| value.get(k.as_str().unwrap()).is_none()),
            "not" => fits(rule),
            "allOf" => !all(rule).iter().all(fits),
            "anyOf" => !all(rule).iter().any(fits),
            "oneOf" => {
                let fitting = all(rule).iter().filter(|s| fits(s)).count();
                // the branch that was meant says what is wrong
                let kind = value.get("kind");
                let meant = all(rule).into_iter().find(|s| kind.is_some() && s.pointer("/properties/kind/const") == kind);
                if let (0, Some(meant)) = (fitting, meant) {
                    return wrong(root, &meant, value, at);
                }
                fitting != 1
            }
            "properties" | "additionalProperties" => {
                let named = map.get("properties").and_then(Value::as_object);
                for (key, inner) in value.as_object().into_iter().flatten() {
                    let rule = named.and_then(|n| n.get(key)).or(map.get("additionalProperties"));
                    if let Some(told) = rule.and_then(|r| wrong(root, r, inner, &format!("{at}/{key}"))) {
                        return Some(told);
                    }
                }
                false
            }
            "items" => {
                for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
                    let rule = if rule.is_array() { rule.get(i).unwrap_or(&Value::Null) } else { rule };
                    if let Some(told) = wrong(root, rule, inner, &format!("{at}/{i}")) {
                        return Some(told);
                    }
                }
                false
            }
            "$schema" | "title" | "description" | "definitions" | "default" | "x-infinity" | "x-smoke" => false,
            other => panic!("the schema has the keyword {other}, and this test does not know it"),
        };
        if bad {
            return Some(format!("{at}: {keyword} {rule}: {value}").chars().take(300).collect());
        }
    }
    None
}

fn schema() -> Value {
    let text = std::fs::read_to_string(root().join("schema/graph.json")).expect("write it with `cargo xtask docs`");
    serde_json::from_str(&text).unwrap()
}

/// JSON knows no infinity; TOML does.
fn finite(value: &mut toml::Value) {
    match value {
        toml::Value::Float(f) if !f.is_finite() => *f = f64::MAX,
        toml::Value::Array(list) => list.iter_mut().for_each(finite),
        toml::Value::Table(t) => t.iter_mut().for_each(|(_, v)| finite(v)),
        _ => {}
    }
}

fn told(schema: &Value, text: &str) -> Option<String> {
    let mut value = toml::Value::Table(text.parse().unwrap());
    finite(&mut value);
    wrong(schema, schema, &serde_json::to_value(value).unwrap(), "")
}

#[test]
fn every_graph_accords_with_the_schema() {
    let schema = schema();
    for path in graphs() {
        let text = std::fs::read_to_string(&path).unwrap();
        if let Some(told) = told(&schema, &text) {
            panic!("{}: {told}", path.display());
        }
    }
}

#[test]
fn the_schema_refuses_what_is_misspelt() {
    let schema = schema();
    let text = std::fs::read_to_string(root().join("graphs/ucf_r3d.toml")).unwrap();
    for (from, to, marker) in [
        ("temperature = \"$temperature\", gradient = \"published\" }\ncoh", "temprature = 1.0 }\ncoh", "temprature"),
        ("loss/nt_xent", "loss/nt_xnet", "nodes/contrast"),
        ("gradient = \"published\" }\ncoh", "gradient = \"publisht\" }\ncoh", "gradient"),
        ("{ a = \"clip.features[v0]\"", "{ aa = \"clip.features[v0]\"", "nodes/contrast"),
        ("kind = \"sgd\"", "kind = \"sdg\"", "optimiser"),
        ("batch      = 64", "bacth      = 64", "bacth"),
        (
            "size = \"$size\" }\nnormal = { kind = \"view/normalize\",   in = \"crop.clips\", mean",
            "size = \"large\" }\nnormal = { kind = \"view/normalize\",   in = \"crop.clips\", mean",
            "size",
        ),
        ("seed   = 0", "seed   = -1", "seed"),
        ("lr = 0.003", "lr = 0", "optimiser"),
        ("epochs     = 200", "epochs     = 2000000", "epochs"),
        ("[values]", "[valeus]", "valeus"),
    ] {
        assert!(text.contains(from), "{from}");
        let said = told(&schema, &text.replace(from, to)).unwrap_or_else(|| panic!("{to} passes"));
        assert!(said.contains(marker), "{to}: {said}");
    }
}

#[test]
fn every_graph_is_toml_1_0() {
    let old = |text: &str| text.parse::<toml_1_0::Table>().map_err(|e| e.to_string());
    for path in graphs() {
        let text = std::fs::read_to_string(&path).unwrap();
        old(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    // what later versions allow, and dv reads
    for newer in ["a = {\n  b = 1\n}", "a = { b = 1, }", "a = \"\\e\"", "a = \"\\x41\""] {
        assert!(newer.parse::<toml::Table>().is_ok(), "{newer}");
        assert!(old(newer).is_err(), "{newer} is no TOML 1.0, and was read");
    }
}
