//! The shape rule that follows from the declared shapes.

use super::{slots, struct_of, Field, Holds, Ports, Presence, Shapes, Slot};
use crate::given::PortFault;
use crate::kind::Declaration;
use crate::port::{Dim, Port};
use std::collections::BTreeMap;

/// The lengths that inputs bind to the names in their declared shapes. Of several a number, where one is known.
pub fn lengths(fields: &[Field], inputs: &[Slot<Port>]) -> BTreeMap<&'static str, Dim> {
    let mut bound: BTreeMap<&'static str, Dim> = BTreeMap::new();
    for (field, slot) in fields.iter().zip(inputs) {
        let Slot::One(port) = slot else { continue };
        let words: Vec<&'static str> = field.shape.split_whitespace().collect();
        let named = words.iter().filter(|w| **w != "...").count();
        let skipped = if words.first() == Some(&"...") { port.shape.len().saturating_sub(named) } else { 0 };
        for (word, dim) in words.iter().filter(|w| **w != "...").zip(port.shape.iter().skip(skipped)) {
            let known = bound.get(word).is_some_and(|dim| dim.known().is_some());
            if !known {
                bound.insert(word, dim.clone());
            }
        }
    }
    bound
}

/// The ports of a struct of outputs or draws: its types, and its shapes with the inputs' lengths and the settings for their names. What
/// neither knows stays a name. An output of any type has that of the first such input; one of the shape `...` has that input's shape.
pub fn derived<K: Declaration, S: Ports<Shapes>>(kind: &K, inputs: K::In<Shapes>) -> Result<S, PortFault> {
    let fields = <K::In<Shapes> as Ports<Shapes>>::FIELDS;
    let inputs = slots(inputs);
    let bound = lengths(fields, &inputs);
    let dim = |word: &str| match word.parse::<usize>() {
        Ok(n) => Dim::Known(n),
        Err(_) => bound.get(word).cloned().or_else(|| kind.length(word).map(Dim::Known)).unwrap_or_else(|| Dim::Symbol(word.into())),
    };
    let first = |like: &dyn Fn(&Field) -> bool| {
        let found = fields.iter().zip(&inputs).find(|(field, _)| like(field));
        match found {
            Some((_, Slot::One(port))) => Some(port.clone()),
            Some((_, Slot::Many(list))) => list.first().map(|(_, port)| port.clone()),
            _ => None,
        }
    };
    let one = |field: &Field| {
        let shape: Vec<Dim> = field.shape.split_whitespace().filter(|w| *w != "...").map(dim).collect();
        let open = if field.shape == "..." { first(&|f| f.shape == "...").map(|p| p.shape) } else { None };
        let shape = open.unwrap_or(shape);
        let port = match field.holds {
            Holds::Video => Port::video(shape),
            Holds::Bytes => Port::bytes(shape),
            Holds::Pixels | Holds::Any => {
                let ty = first(&|f| f.holds == field.holds).map_or(Port::bytes([]).ty, |p| p.ty);
                Port { ty, ..Port::bytes(shape) }
            }
            Holds::Float => Port::float(shape),
            Holds::Index => Port::index(shape),
            Holds::Scalar => Port::scalar(),
            Holds::Whole => Port::whole(crate::port::Type::Float, shape),
            Holds::Table => Port::table(shape),
        };
        match field.range {
            Some(word) => port.with_range(dim(word)),
            None => port,
        }
    };
    let given = S::FIELDS.iter().map(|field| if field.presence == Presence::Many { Slot::Empty } else { Slot::One(one(field)) });
    struct_of(given.collect()).map_err(|e| PortFault::node(e.to_string()))
}
