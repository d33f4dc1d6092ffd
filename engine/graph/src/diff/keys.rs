//! The keys of two resolved graphs side by side.

use super::Change;
use toml::{Table, Value};

/// A table that only one graph has is told whole up to this length, else by what is in it.
const LINE: usize = 160;

pub(super) fn parsed(resolved: &str) -> Table {
    resolved.parse().expect("a resolved graph is TOML")
}

/// Every key that differs, with its path from the top.
pub(super) fn diff(a: &Table, b: &Table) -> Vec<(String, Change<String>)> {
    let mut out = Vec::new();
    below(a, b, "", &mut out);
    out
}

fn below(a: &Table, b: &Table, path: &str, out: &mut Vec<(String, Change<String>)>) {
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let here = if path.is_empty() { bare(key) } else { format!("{path}.{}", bare(key)) };
        match (a.get(key), b.get(key)) {
            (Some(Value::Table(x)), Some(Value::Table(y))) => below(x, y, &here, out),
            (Some(x), Some(y)) if x != y => out.push((here, Change::Changed(inline(x), inline(y)))),
            (Some(x), None) => alone(x, here, &|v| Change::Removed(v), out),
            (None, Some(y)) => alone(y, here, &|v| Change::Added(v), out),
            _ => {}
        }
    }
}

fn alone(value: &Value, path: String, change: &dyn Fn(String) -> Change<String>, out: &mut Vec<(String, Change<String>)>) {
    let text = inline(value);
    match value {
        Value::Table(t) if text.len() > LINE => t.iter().for_each(|(k, v)| alone(v, format!("{path}.{}", bare(k)), change, out)),
        _ => out.push((path, change(text))),
    }
}

fn bare(key: &str) -> String {
    let simple = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if simple {
        key.to_string()
    } else {
        Value::String(key.to_string()).to_string()
    }
}

/// A value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Table(t) if t.is_empty() => "{}".to_string(),
        Value::Table(t) => {
            format!("{{ {} }}", t.iter().map(|(k, v)| format!("{} = {}", bare(k), inline(v))).collect::<Vec<_>>().join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        // one line also where TOML would take three quotes
        Value::String(s) if s.contains('\n') => format!("{s:?}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_added_removed_and_changed() {
        let a = parsed("x = 1\nsame = [1, 2]\n[t]\nlist = [1]\ngone = 'old'\n[t.\"*\"]\ny = 0.5\n");
        let b = parsed("x = 2\nsame = [1, 2]\n[t]\nlist = [1, 2]\nnew = { a = 1 }\n[t.\"*\"]\ny = 0.25\n");
        let changed = |a: &str, b: &str| Change::Changed(a.to_string(), b.to_string());
        assert_eq!(
            diff(&a, &b),
            [
                ("t.\"*\".y".to_string(), changed("0.5", "0.25")),
                ("t.gone".to_string(), Change::Removed("\"old\"".to_string())),
                ("t.list".to_string(), changed("[1]", "[1, 2]")),
                ("t.new".to_string(), Change::Added("{ a = 1 }".to_string())),
                ("x".to_string(), changed("1", "2")),
            ]
        );
        assert_eq!(diff(&a, &a), []);
    }

    #[test]
    fn long_tables_are_told_by_their_keys() {
        let long = format!("[t]\na = '{}'\nb = 'x\ny'\n", "x".repeat(LINE)).replace("'x\ny'", "\"x\\ny\"");
        let paths: Vec<String> = diff(&Table::new(), &parsed(&long)).into_iter().map(|(p, _)| p).collect();
        assert_eq!(paths, ["t.a", "t.b"]);
    }
}
