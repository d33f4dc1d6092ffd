//! The order of keys in a resolved graph. Keys whose order means nothing are sorted, so that equal graphs give equal
//! texts; the others stay as the files have them: first those of the file that is extended, then new ones.

use crate::kind::Library;
use crate::tree::{Item, Table, Value};

/// Sorts all keys but those of `stages`, which run in their order where none needs another, and of the `in` of a kind that
/// draws one of its inputs, which numbers them in it.
pub(crate) fn settle(tree: &mut Table, library: &Library) {
    for (key, entry) in tree.0.iter_mut() {
        match (key.as_str(), &mut entry.item.value) {
            (family @ ("stages" | "groups"), Value::Table(tables)) => {
                for table in tables.0.values_mut().filter_map(|e| table(&mut e.item)) {
                    sort_but(table, "nodes", |nodes| {
                        nodes.0.values_mut().filter_map(|e| self::table(&mut e.item)).for_each(|node| settle_node(node, library));
                        nodes.0.sort_unstable_keys();
                    });
                }
                if family == "groups" {
                    tables.0.sort_unstable_keys();
                }
            }
            (_, Value::Table(t)) => t.sort(),
            _ => {}
        }
    }
    tree.0.sort_unstable_keys();
}

fn settle_node(node: &mut Table, library: &Library) {
    let kind = node.get("kind").and_then(Item::as_str).and_then(|name| library.get(name));
    match kind.is_some_and(|kind| kind.chooses) {
        true => sort_but(node, "in", |_| ()),
        false => node.sort(),
    }
}

/// Sorts a table and all below it but the table at one of its keys, which is left to `settle`.
fn sort_but(whole: &mut Table, key: &str, settle: impl FnOnce(&mut Table)) {
    let mut kept = whole.take(key);
    whole.sort();
    if let Some(mut entry) = kept.take() {
        if let Some(part) = table(&mut entry.item) {
            settle(part);
        }
        whole.insert(key, entry);
        whole.0.sort_unstable_keys();
    }
}

fn table(item: &mut Item) -> Option<&mut Table> {
    match &mut item.value {
        Value::Table(t) => Some(t),
        _ => None,
    }
}
