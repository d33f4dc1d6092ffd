//! The node library's documentation, from its own definitions.

use crate::kind::{Entry, Library};
use std::fmt::Write;

fn description(value: &serde_json::Value) -> String {
    value.get("description").and_then(|d| d.as_str()).unwrap_or("").to_string()
}

/// What a setting takes, as a message says it: "integer from 1 to 4096".
fn type_text(schema: &serde_json::Value, root: &serde_json::Value) -> String {
    let words = crate::schema::words(root, schema);
    words.strip_prefix("an ").or(words.strip_prefix("a ")).unwrap_or(&words).to_string()
}

/// One kind as Markdown.
pub fn kind(entry: &Entry) -> String {
    let schema = serde_json::to_value((entry.schema)()).unwrap_or_default();
    let mut out = String::new();
    let place = match (entry.sketch.is_some(), entry.sample.is_some(), entry.batch) {
        (true, _, _) => "model",
        _ if entry.state.is_some() => "register",
        (_, true, true) => "host or device",
        (_, true, false) => "host",
        _ => "device",
    };
    let rate = if entry.state.is_some() { crate::port::Rate::State } else { entry.rate };
    let _ = writeln!(out, "## {}\n\n{}\n\n{place}, rate {rate}. From: {}", entry.name, description(&schema), entry.source);
    let empty = serde_json::Map::new();
    let properties = schema.get("properties").and_then(|p| p.as_object()).unwrap_or(&empty);
    let required: Vec<&str> =
        schema.get("required").and_then(|r| r.as_array()).map(|r| r.iter().filter_map(|v| v.as_str()).collect()).unwrap_or_default();
    if !properties.is_empty() {
        let _ = writeln!(out, "\n| setting | type | |\n|---|---|---|");
        for (name, value) in properties {
            let mark = if required.contains(&name.as_str()) { "" } else { " (optional)" };
            let _ = writeln!(
                out,
                "| `{name}`{mark} | {} | {} |",
                type_text(value, &schema).replace('|', "\\|"),
                description(value).replace('\n', " ").replace('|', "\\|")
            );
        }
    }
    if !entry.inputs.is_empty() || entry.outputs.iter().any(|o| o.draw) {
        let _ = writeln!(out, "\n| input | carries | |\n|---|---|---|");
        for i in entry.inputs {
            let types: Vec<String> = i.types().iter().map(|t| t.to_string()).collect();
            let name =
                if i.many() { "(any names)".to_string() } else { format!("`{}`{}", i.name, if i.optional() { " (optional)" } else { "" }) };
            let _ = writeln!(out, "| {name} | {} [{}] | {} |", types.join(" or "), i.shape, i.doc);
        }
        for o in entry.outputs.iter().filter(|o| o.draw) {
            let _ = writeln!(out, "| `{}` (optional) | [{}] | reuses a draw |", o.name, o.shape);
        }
    }
    for (key, edges, when) in [("write", entry.writes, "after a training step"), ("initial", entry.initial, "in the first step")] {
        if !edges.is_empty() {
            let _ = writeln!(out, "\n| `{key}` | carries | {when} |\n|---|---|---|");
        }
        for i in edges {
            let types: Vec<String> = i.types().iter().map(|t| t.to_string()).collect();
            let _ = writeln!(out, "| `{}` | {} [{}] | {} |", i.name, types.join(" or "), i.shape, i.doc);
        }
    }
    let _ = writeln!(out, "\n| output | shape | |\n|---|---|---|");
    for o in entry.outputs {
        let _ = writeln!(out, "| `{}` | {} | {}{} |", o.name, o.shape, if o.draw { "draw: " } else { "" }, o.doc);
    }
    out
}

/// The kinds as a list, grouped by family: a line each, with its name and the first sentence about it.
pub fn list(entries: &[&Entry]) -> String {
    let mut families: indexmap::IndexMap<&str, Vec<&Entry>> = indexmap::IndexMap::new();
    for entry in entries {
        families.entry(entry.family()).or_default().push(entry);
    }
    let width = entries.iter().map(|e| e.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (family, kinds) in families {
        let _ = writeln!(out, "{}{family}", if out.is_empty() { "" } else { "\n" });
        for entry in kinds {
            let schema = serde_json::to_value((entry.schema)()).unwrap_or_default();
            let _ = writeln!(out, "  {:width$}  {}", entry.name, first_sentence(&description(&schema)));
        }
    }
    out
}

/// Up to the first full stop that ends a sentence, on one line.
fn first_sentence(text: &str) -> String {
    let line = text.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let ends = |(i, _): &(usize, &str)| {
        let (before, after) = (&line[..*i], &line[i + 2..]);
        // "et al." and "eq." stand inside of sentences
        !["al", "eq", "fig", "sec", "vs", "i.e", "e.g"].iter().any(|short| before.ends_with(short))
            && after.starts_with(|c: char| !c.is_lowercase())
    };
    let end = line.match_indices(". ").find(ends).map_or(line.len(), |(i, _)| i + 1);
    line[..end].to_string()
}

/// The whole library as Markdown: `docs/nodes.md`.
pub fn library(library: &Library) -> String {
    let mut out = String::from("# Nodes\n\nGenerated from the node library by `cargo xtask docs`; a test compares it. `dv nodes` prints the list, `dv nodes KIND` one of these sections.\n");
    for entry in library.entries() {
        let _ = write!(out, "\n{}", kind(entry));
    }
    out
}

/// The library as one JSON document.
pub fn json(entries: &[&Entry]) -> serde_json::Value {
    let edges = |list: &[crate::ports::Field]| -> Vec<serde_json::Value> {
        let types = |i: &crate::ports::Field| i.types().iter().map(|t| t.to_string()).collect::<Vec<_>>();
        let one = |i: &crate::ports::Field| serde_json::json!({"name": i.name, "types": types(i), "shape": i.shape, "optional": i.optional(), "many": i.many(), "doc": i.doc});
        list.iter().map(one).collect()
    };
    entries
        .iter()
        .map(|e| {
            serde_json::json!({
                "kind": e.name,
                "source": e.source,
                "model": e.sketch.is_some(),
                "register": e.state.is_some(),
                "rate": e.rate.to_string(),
                "inputs": edges(e.inputs),
                "write": edges(e.writes),
                "initial": edges(e.initial),
                "outputs": e.outputs.iter().map(|o| serde_json::json!({"name": o.name, "shape": o.shape, "draw": o.draw, "doc": o.doc})).collect::<Vec<_>>(),
                "settings": serde_json::to_value((e.schema)()).unwrap_or_default(),
            })
        })
        .collect()
}

/// Every code of a fault as Markdown: `docs/faults.md`. `example` gives a graph that shows it, and what is said of that;
/// `base` is the graph that the examples extend.
pub fn faults<'a>(example: &dyn Fn(&str) -> Option<(&'a str, &'a str)>, base: &str) -> String {
    let mut out = String::from(
        "# Errors and notes of `dv check`\n\nSorted by code. Generated from the list of codes and from the bad graphs in `engine/graph/tests/faults`; a test compares it.\n\
         The graphs here extend one good graph, `base.toml`, which is printed at the end of this page; its kinds are small ones made for tests.\n",
    );
    for code in crate::codes::CODES {
        let _ = writeln!(out, "\n## {}\n\n{} {}", code.name, code.what, code.why);
        if let Some((graph, said)) = example(code.name) {
            let _ = writeln!(out, "\n```toml\n{}\n```\n```text\n{}\n```", graph.trim_end(), said.trim_end());
        }
        let _ = writeln!(out, "\n{}", code.mend);
    }
    let _ = writeln!(out, "\n## base.toml\n\n```toml\n{}\n```", base.trim_end());
    out
}

#[cfg(test)]
mod tests {
    use super::first_sentence;

    #[test]
    fn a_sentence_ends_with_its_full_stop() {
        for (text, first) in [
            ("One clip\nat a place. Of a video", "One clip at a place."),
            ("InfoNCE (He et al. 2020, eq. 1): the loss. More", "InfoNCE (He et al. 2020, eq. 1): the loss."),
            ("Without a stop", "Without a stop"),
            ("A head\n\nwith more. Text.", "A head"),
            ("Scaled by 0.5 or so. Then", "Scaled by 0.5 or so."),
        ] {
            assert_eq!(first_sentence(text), first);
        }
    }
}
