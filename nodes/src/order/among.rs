//! The permutations that have a class.

use crate::limits;
use schemars::{json_schema, JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// All of so many items, or listed ones.
pub enum Among {
    All,
    Listed(Vec<Vec<i64>>),
}

/// More items have more permutations than there could be classes.
const MOST: usize = 10;
/// Permutations in a list: each is compared with all before it.
const LISTED: usize = 10_000;

impl<'de> Deserialize<'de> for Among {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Among, D::Error> {
        struct AllOrList;
        impl<'de> Visitor<'de> for AllOrList {
            type Value = Among;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("\"all\" or a list of permutations")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Among, E> {
                match text {
                    "all" => Ok(Among::All),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Among, A::Error> {
                Deserialize::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Among::Listed)
            }
        }
        deserializer.deserialize_any(AllOrList)
    }
}

impl JsonSchema for Among {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Among".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let item = json_schema!({ "type": "integer", "minimum": 0, "maximum": limits::ITEMS - 1 });
        let order = json_schema!({ "type": "array", "items": item, "minItems": 1, "maxItems": limits::ITEMS });
        json_schema!({ "anyOf": [{ "const": "all" }, { "type": "array", "items": order, "minItems": 1, "maxItems": LISTED }] })
    }
}

fn reversed(order: &[i64]) -> Vec<i64> {
    order.iter().rev().copied().collect()
}

fn is_permutation(order: &[i64]) -> bool {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..order.len() as i64)
}

fn factorial(n: usize) -> usize {
    (1..=n).product()
}

impl Among {
    /// What is wrong with the list.
    pub fn check(&self, undirected: bool) -> Result<(), String> {
        let Among::Listed(list) = self else { return Ok(()) };
        let Some(first) = list.first() else { return Err("must hold at least one permutation".into()) };
        for (i, order) in list.iter().enumerate() {
            if !is_permutation(order) || order.is_empty() {
                return Err(format!("{order:?} is no permutation: it must hold each of 0..{} once", order.len()));
            }
            if order.len() != first.len() {
                return Err(format!("{order:?} has not as many items as {first:?}"));
            }
            if list[..i].iter().any(|o| o == order || undirected && *o == reversed(order)) {
                return Err(format!("{order:?} stands there twice"));
            }
        }
        Ok(())
    }
    /// How many classes permutations of so many items have.
    pub fn classes(&self, items: usize, undirected: bool) -> Result<usize, String> {
        match self {
            Among::All if items > MOST => Err(format!("{items} items have too many permutations: {MOST} items are the most, or list them")),
            Among::All => Ok(factorial(items) / if undirected && items > 1 { 2 } else { 1 }),
            Among::Listed(list) => match list.first().map_or(0, Vec::len) {
                n if n == items => Ok(list.len()),
                n => Err(format!("permutations of {items} items, but those of `among` have {n}")),
            },
        }
    }
    pub fn class(&self, order: &[i64], undirected: bool) -> Option<usize> {
        match self {
            Among::All if !is_permutation(order) || order.len() > MOST => None,
            Among::All if undirected && order.first() > order.last() => Some(rank(&reversed(order), true)),
            Among::All => Some(rank(order, undirected)),
            Among::Listed(list) => list.iter().position(|o| o == order || undirected && *o == reversed(order)),
        }
    }
}

/// How many permutations come before in lexicographic order; with `undirected` only those are counted whose first item is
/// below their last.
fn rank(order: &[i64], undirected: bool) -> usize {
    let mut rest: Vec<i64> = (0..order.len() as i64).collect();
    let mut before = 0;
    for (place, &item) in order.iter().enumerate() {
        for &smaller in rest.iter().filter(|r| **r < item) {
            let first = if place == 0 { smaller } else { order[0] };
            let left: Vec<i64> = rest.iter().copied().filter(|r| *r != smaller).collect();
            before += match left.len() {
                n if !undirected => factorial(n),
                0 => usize::from(smaller > first),
                n => left.iter().filter(|l| **l > first).count() * factorial(n - 1),
            };
        }
        rest.retain(|r| *r != item);
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All permutations in lexicographic order.
    fn all(n: i64) -> Vec<Vec<i64>> {
        let mut list = vec![vec![]];
        for _ in 0..n {
            let longer = |o: Vec<i64>| (0..n).filter(|i| !o.contains(i)).map(|i| [&o[..], &[i]].concat()).collect::<Vec<_>>();
            list = list.into_iter().flat_map(longer).collect();
        }
        list
    }

    #[test]
    fn classes_count_in_lexicographic_order() {
        for n in 1..=5 {
            let orders = all(n);
            assert_eq!(Among::All.classes(n as usize, false), Ok(orders.len()));
            for (class, order) in orders.iter().enumerate() {
                assert_eq!(Among::All.class(order, false), Some(class));
            }
            let kept: Vec<&Vec<i64>> = orders.iter().filter(|o| n == 1 || o[0] < o[n as usize - 1]).collect();
            assert_eq!(Among::All.classes(n as usize, true), Ok(kept.len()));
            for (class, order) in kept.into_iter().enumerate() {
                assert_eq!(Among::All.class(order, true), Some(class), "{order:?}");
                assert_eq!(Among::All.class(&reversed(order), true), Some(class));
            }
        }
    }

    #[test]
    fn a_list_gives_its_own_classes() {
        let list = Among::Listed(vec![vec![0, 2, 1], vec![0, 1, 2]]);
        assert_eq!(list.class(&[0, 1, 2], false), Some(1));
        assert_eq!(list.class(&[1, 2, 0], false), None);
        assert_eq!(list.class(&[1, 2, 0], true), Some(0));
        assert_eq!(Among::All.class(&[0, 0, 1], false), None);
    }
}
