//! Types, shapes, rates and item axes along the edges.

use crate::edges::{Edge, Target};
use crate::experiment::NodeDecl;
use crate::fault::Faults;
use crate::kind::{Axes, In, Inputs, Place};
use crate::port::{Axis, Dim, Port, Rate};
use std::collections::BTreeMap;

/// What inference finds for one node.
pub struct Inferred {
    pub outputs: Vec<Port>,
    pub fold: Vec<Axis>,
    pub rate: Rate,
    /// Inputs as the kind sees them: items chosen, axes folded away.
    pub inputs: Inputs,
    /// For each edge, the axis and position of the chosen item.
    pub items: Vec<Option<(usize, usize)>>,
}

/// Infers a node's outputs from its inputs' ports. `None` where a fault was told, here or upstream.
pub fn infer(node: &NodeDecl, edges: &[Edge], port: impl Fn(&Target) -> Option<Port>, faults: &mut Faults) -> Option<Inferred> {
    let before = faults.told();
    let mut seen: Vec<(&Edge, Port, Option<(usize, usize)>)> = Vec::new();
    let mut whole = true;
    for edge in edges {
        let Some(mut p) = port(&edge.target) else {
            whole = false;
            continue;
        };
        if matches!(edge.target, Target::Stage { .. }) && p.rate != Rate::Stage {
            faults
                .add(
                    "wrong-rate",
                    edge.at,
                    format!("from another stage only what comes once a stage can be read; this is {p}, once a {}", p.rate),
                )
                .help("gather it there first, with a kind of the family `collect`");
            continue;
        }
        let item = match &edge.item {
            None => None,
            Some(item) => {
                let found: Vec<(usize, usize)> =
                    p.axes.iter().enumerate().filter_map(|(a, axis)| Some((a, axis.items.iter().position(|i| i == item)?))).collect();
                if found.len() > 1 {
                    let axes: Vec<&str> = found.iter().map(|(a, _)| p.axes[*a].name.as_str()).collect();
                    faults.add("unknown-item", edge.at, format!("several item axes have an item `{item}`: {}", axes.join(", ")));
                    continue;
                }
                let Some(&(a, i)) = found.first() else {
                    let items: Vec<&str> = p.axes.iter().flat_map(|a| a.items.iter().map(String::as_str)).collect();
                    let message =
                        if items.is_empty() { "the port has no item axis".to_string() } else { format!("the port has no item `{item}`") };
                    faults.add("unknown-item", edge.at, message).nearest(item, items);
                    continue;
                };
                p.axes.remove(a);
                Some((a, i))
            }
        };
        seen.push((edge, p, item));
    }
    // types and item axes
    let mut fold: Vec<Axis> = Vec::new();
    for (edge, p, _) in &seen {
        if let Some(input) = declared(node, &edge.input) {
            if !input.types.contains(&p.ty) {
                let want: Vec<String> = input.types.iter().map(|t| t.to_string()).collect();
                faults
                    .add("wrong-port-type", edge.at, format!("`{}` takes {}; this is {p}", edge.input, want.join(" or ")))
                    .help(format!("{}: {}", edge.input, input.doc));
            }
        }
        if p.rows && node.entry.sample.is_some() && !node.entry.batch && p.rate > Rate::Sample {
            faults.add("wrong-rate", edge.at, format!("`{}` works on single samples; this comes once a {}", node.entry.name, p.rate));
        }
        if p.axes.is_empty() {
            continue;
        }
        match node.entry.axes {
            Axes::Keep => {}
            Axes::None => {
                let axis = &p.axes[0];
                faults
                    .add("item-axis", edge.at, format!("`{}` takes no item axis; this has the axis `{}`", node.entry.name, axis.name))
                    .help(format!(
                        "choose an item, for instance {}",
                        axis.items.first().map_or(String::new(), |i| format!("\"node.port[{i}]\""))
                    ));
            }
            Axes::Fold if fold.is_empty() => fold = p.axes.clone(),
            Axes::Fold if fold == p.axes => {}
            Axes::Fold => {
                faults.add("item-axis", edge.at, format!("this has other item axes ({}) than the node's other inputs", axes_text(&p.axes)));
            }
        }
    }
    let stages: Vec<Rate> = seen.iter().filter(|(e, _, _)| matches!(e.target, Target::Node { .. })).map(|(_, p, _)| p.rate).collect();
    if stages.contains(&Rate::Stage) && stages.iter().any(|r| *r < Rate::Stage) {
        faults
            .add("wrong-rate", node.at, format!("`{}` reads what comes once this stage beside what comes with each batch of it", node.path))
            .help("what comes once a stage is there after its last batch");
    }
    if faults.told() > before || !whole {
        return None;
    }
    // shapes
    let mut dims: BTreeMap<&'static str, Dim> = BTreeMap::new();
    for (edge, p, _) in &seen {
        if let Some(input) = declared(node, &edge.input) {
            unify(input, &p.shape, &mut dims, edge, faults);
        }
    }
    if faults.told() > before {
        return None;
    }
    let items = seen.iter().map(|(_, _, item)| *item).collect();
    let rate = seen.iter().map(|(_, p, _)| p.rate).max().unwrap_or(Rate::Sample).max(node.entry.rate);
    let folded = node.entry.axes == Axes::Fold;
    let ports = seen
        .into_iter()
        .map(|(e, mut p, _)| {
            if folded {
                p.axes.clear();
            }
            (e.input.clone(), p)
        })
        .collect();
    let inputs = Inputs { ports, dims };
    match node.kind.ports(&inputs) {
        Ok(mut outputs) => {
            given_draws(node, edges, &inputs, &outputs, faults);
            assert_eq!(
                outputs.len(),
                node.entry.outputs.len(),
                "{}: the shape rule gives another number of outputs than it declares",
                node.entry.name
            );
            for p in &mut outputs {
                p.rate = rate;
                if folded && p.rows {
                    p.axes = fold.iter().cloned().chain(p.axes.drain(..)).collect();
                }
                if let Some(twice) = p.axes.iter().enumerate().find(|(i, a)| p.axes[..*i].iter().any(|b| b.name == a.name)) {
                    let message = format!("`{}` makes an item axis `{}` of what has one", node.path, twice.1.name);
                    faults.add("item-axis", node.at, message).help("choose an item of the other first");
                }
            }
            if faults.told() > before {
                return None;
            }
            Some(Inferred { outputs, fold, rate, inputs, items })
        }
        Err(fault) => {
            let at = match &fault.place {
                Place::Node => node.at,
                Place::Input(name) => edges.iter().find(|e| e.input == *name).map_or(node.at, |e| e.at),
                Place::Setting(name) => node.table.get(name).map_or(node.at, |i| i.at),
            };
            faults.add("shape", at, format!("`{}` ({}): {}", node.path, node.entry.name, fault.message));
            None
        }
    }
}

/// An edge that brings a draw must bring one like that which the node would draw.
fn given_draws(node: &NodeDecl, edges: &[Edge], inputs: &Inputs, outputs: &[Port], faults: &mut Faults) {
    for (declared, own) in node.entry.outputs.iter().zip(outputs).filter(|(o, _)| o.draw) {
        let (Some(given), Some(edge)) = (inputs.get(declared.name), edges.iter().find(|e| e.input == declared.name)) else { continue };
        let same = |a: &Dim, b: &Dim| a.known().is_none() || b.known().is_none() || a == b;
        let alike = given.shape.len() == own.shape.len() && given.shape.iter().zip(&own.shape).all(|(a, b)| same(a, b));
        if given.ty != own.ty || !alike || given.axes != own.axes {
            let code = if given.ty == own.ty { "shape" } else { "wrong-port-type" };
            faults.add(code, edge.at, format!("`{}` draws {own}; this is {given}", declared.name));
        }
    }
}

pub(crate) fn axes_text(axes: &[Axis]) -> String {
    axes.iter().map(|a| format!("{} {}", a.name, a.len())).collect::<Vec<_>>().join(", ")
}

fn declared<'a>(node: &'a NodeDecl, input: &str) -> Option<&'a In> {
    node.entry.inputs.iter().find(|i| i.name == input).or_else(|| {
        let draw = node.entry.outputs.iter().any(|o| o.draw && o.name == input);
        node.entry.inputs.iter().find(|i| i.many && !draw)
    })
}

/// Matches a port's shape with the declared lengths.
fn unify(input: &In, shape: &[Dim], dims: &mut BTreeMap<&'static str, Dim>, edge: &Edge, faults: &mut Faults) {
    let words: Vec<&'static str> = input.shape.split_whitespace().collect();
    let open = words.last() == Some(&"...");
    let fixed = if open { words.len() - 1 } else { words.len() };
    let text = |shape: &[Dim]| format!("[{}]", shape.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "));
    if shape.len() < fixed || (!open && shape.len() > fixed) {
        faults.add("shape", edge.at, format!("`{}` takes the shape [{}]; this is {}", edge.input, words.join(", "), text(shape)));
        return;
    }
    for (word, dim) in words[..fixed].iter().zip(shape) {
        let bound = match word.parse::<usize>() {
            Ok(n) => Some(Dim::Known(n)),
            Err(_) => dims.get(word).cloned(),
        };
        match bound {
            None => {
                dims.insert(word, dim.clone());
            }
            // symbols are known with the data only
            Some(Dim::Known(a)) if dim.known().is_some_and(|b| a != b) => {
                faults.add("shape", edge.at, format!("`{}`: the length {word} is {a} here, and {dim} in {}", edge.input, text(shape)));
            }
            // a number is worth more than a name
            Some(Dim::Symbol(_)) if dim.known().is_some() => {
                dims.insert(word, dim.clone());
            }
            Some(_) => {}
        }
    }
}
