//! Types, shapes, rates and item axes along the edges.

use crate::budget::{bytes, gib, product, EDGE_BYTES, ITEMS};
use crate::defect;
use crate::edges::{Edge, Role, Target};
use crate::experiment::NodeDecl;
use crate::fault::Faults;
use crate::kind::{Axes, Inputs, Place};
use crate::port::{Axis, Dim, Port, Rate, Type};
use crate::ports::Field;
use crate::show::thousands;
use crate::source::At;
use crate::tree::Value;
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
    /// Of the folded axes, the one of which each item is a pass of its own.
    pub passes: Option<usize>,
    /// Whether something is written to the register that depends on its own output: it is looked at afterwards.
    pub late: bool,
}

/// What is known of the port behind an edge.
pub enum Known {
    Port(Port),
    /// Not yet: it depends on the node that asks.
    Later,
    /// A fault was told there.
    Never,
}

/// Infers a node's outputs from its inputs' ports. `None` where a fault was told, here or upstream. `batch`: the stage's samples.
pub fn infer(node: &NodeDecl, edges: &[Edge], batch: usize, port: impl Fn(&Target) -> Known, faults: &mut Faults) -> Option<Inferred> {
    let before = faults.told();
    let mut seen: Vec<(&Edge, Port)> = Vec::new();
    let (mut whole, mut late) = (true, false);
    let mut items: Vec<Option<(usize, usize)>> = vec![None; edges.len()];
    for (e, edge) in edges.iter().enumerate() {
        let mut p = match port(&edge.target) {
            Known::Port(p) => p,
            Known::Later => {
                if edge.item.is_some() {
                    faults.add("item-axis", edge.at, "a value that depends on the register's own output is written whole, without an item");
                }
                late = true;
                continue;
            }
            Known::Never => {
                whole = false;
                continue;
            }
        };
        if matches!(edge.target, Target::Stage { .. }) && p.rate != Rate::Stage {
            faults
                .add(
                    "wrong-rate",
                    edge.at,
                    format!("only values of a whole stage can be read from another stage; this is {p}, once a {}", p.rate),
                )
                .help("gather it there first with a kind of the family `collect`");
            continue;
        }
        if p.ty == Type::Absent {
            faults.add("unknown-port", edge.at, "the node has no such output with its settings".to_owned());
            continue;
        }
        if let Some(item) = &edge.item {
            let found: Vec<(usize, usize)> = p.axes.iter().enumerate().filter_map(|(a, axis)| Some((a, axis.position(item)?))).collect();
            if found.len() > 1 {
                let axes: Vec<&str> = found.iter().map(|(a, _)| p.axes[*a].name.as_str()).collect();
                faults.add("unknown-item", edge.at, format!("several item axes have an item `{item}`: {}", axes.join(", ")));
                continue;
            }
            let Some(&(a, i)) = found.first() else {
                let message = match p.axes.is_empty() {
                    true => format!("this has no item axis, so no item `{item}`"),
                    false => format!("this has no item `{item}`"),
                };
                let fault = faults.add("unknown-item", edge.at, message);
                if fault.is_reported() {
                    let items: Vec<_> = p.axes.iter().flat_map(Axis::items).collect();
                    fault.nearest(item, items.iter().map(|i| &**i));
                }
                continue;
            };
            p.axes.remove(a);
            items[e] = Some((a, i));
        }
        seen.push((edge, p));
    }
    // types and item axes
    let mut fold: Vec<Axis> = Vec::new();
    for (edge, p) in &seen {
        check_type(node, edge, p, faults);
        if p.rows && node.entry.sample.is_some() && !node.entry.batch && p.rate > Rate::Sample {
            faults.add(
                "wrong-rate",
                edge.at,
                format!("`{}` processes single samples; this is a value of each {}", node.entry.name, p.rate),
            );
        }
        if edge.role == Role::Write && !p.rows {
            let message = format!("`write` takes one row for each sample; this is {p}, one value for the whole batch");
            faults.add("shape", edge.at, message);
        }
        if p.axes.is_empty() {
            continue;
        }
        match node.entry.axes {
            Axes::Keep if edge.role == Role::Read => {}
            Axes::Fold if edge.role != Role::Read => takes_no_axis(node, edge, p, faults),
            Axes::Keep | Axes::None => takes_no_axis(node, edge, p, faults),
            Axes::Fold if fold.is_empty() => fold = p.axes.clone(),
            Axes::Fold if fold == p.axes => {}
            Axes::Fold => {
                faults.add(
                    "item-axis",
                    edge.at,
                    format!("the item axes of this ({}) differ from those of the node's other inputs", axes_text(&p.axes)),
                );
            }
        }
    }
    let passes = node.passes.as_ref().and_then(|(axis, at)| {
        let found = fold.iter().position(|a| a.name == *axis);
        if found.is_none() && whole && faults.told() == before {
            let names = fold.iter().map(|a| a.name.as_str());
            let message = format!("`passes`: what `{}` reads has no item axis `{axis}`", node.path);
            let fault = faults.add("item-axis", *at, message);
            if !fold.is_empty() {
                fault.nearest(axis, names);
            }
        }
        found
    });
    let reads = || seen.iter().filter(|(e, _)| e.role == Role::Read);
    let stages: Vec<Rate> = reads().filter(|(e, _)| matches!(e.target, Target::Node { .. })).map(|(_, p)| p.rate).collect();
    if stages.contains(&Rate::Stage) && stages.iter().any(|r| *r < Rate::Stage) {
        faults
            .add("wrong-rate", node.at, format!("`{}` reads a value of the whole stage together with a value of each batch", node.path))
            .help("a value of the whole stage is available after the last batch only");
    }
    if faults.told() > before || !whole {
        return None;
    }
    // shapes
    let mut dims: BTreeMap<&'static str, Dim> = BTreeMap::new();
    for (edge, p) in &seen {
        if let Some(input) = declared(node, edge) {
            unify(input, &p.shape, &mut dims, edge, faults);
        }
    }
    for (edge, p) in &seen {
        count(node, edge, p, &dims, faults);
    }
    if faults.told() > before {
        return None;
    }
    let rate = match node.entry.state {
        Some(_) => Rate::State,
        None if stages.is_empty() => reads().map(|(_, p)| p.rate).max().unwrap_or(Rate::Sample).max(node.entry.rate),
        // of registers alone: as they are
        None if stages.iter().all(|r| *r == Rate::State) && node.entry.rate == Rate::Sample => Rate::State,
        None => reads().map(|(_, p)| p.rate).max().unwrap_or(Rate::Sample).max(node.entry.rate),
    };
    let folded = node.entry.axes == Axes::Fold;
    let mut inputs = Inputs { dims, ..Inputs::default() };
    for (e, mut p) in seen {
        let list = match e.role {
            Role::Read => &mut inputs.ports,
            Role::Initial => &mut inputs.initial,
            Role::Write => &mut inputs.written,
        };
        if folded {
            p.axes.clear();
        }
        list.push((e.input.clone(), p));
    }
    let what = if node.entry.sketch.is_some() { "its network" } else { "its shape rule" };
    match defect::ask(node.entry.name, what, node.at, faults, || node.entry.ports(node.kind.as_any(), &inputs))? {
        Ok(outputs) if outputs.len() != node.entry.outputs.len() => {
            let (given, declared) = (outputs.len(), node.entry.outputs.len());
            defect::report(node.entry.name, &format!("its shape rule gives {given} outputs, and it declares {declared}"), node.at, faults);
            None
        }
        Ok(outputs) => {
            let mut outputs: Vec<Port> = outputs.into_iter().map(|port| port.unwrap_or_else(Port::absent)).collect();
            given_draws(node, edges, &inputs, &outputs, faults);
            for p in &mut outputs {
                p.rate = rate;
                if folded && p.rows {
                    p.axes = fold.iter().cloned().chain(p.axes.drain(..)).collect();
                }
                if let Some(twice) = p.axes.iter().enumerate().find(|(i, a)| p.axes[..*i].iter().any(|b| b.name == a.name)) {
                    let message =
                        format!("`{}` makes an item axis `{}`, and its input already has one of that name", node.path, twice.1.name);
                    faults.add("item-axis", node.at, message).help("choose an item of that axis first");
                }
            }
            for (declared, port) in node.entry.outputs.iter().zip(&outputs) {
                check_size(node, declared.name, port, batch, faults);
            }
            if faults.told() > before {
                return None;
            }
            Some(Inferred { outputs, fold, rate, inputs, items, passes, late })
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

/// An output that nothing could hold is a fault here, and not when it is allocated.
fn check_size(node: &NodeDecl, name: &str, port: &Port, batch: usize, faults: &mut Faults) {
    let items = product(port.axes.iter().map(Axis::len));
    let size = bytes(port, batch);
    // without the axes' names, which may be many
    let what = format!("`{}` ({}): the output `{name}`", node.path, node.entry.name);
    if items > ITEMS as u128 {
        let longest = port.axes.iter().map(Axis::len).max().unwrap_or(0);
        let message = format!("{what} has {} items for each sample; at most {} are allowed", thousands(items), thousands(ITEMS));
        faults.add("too-large", setting_of(node, longest), message);
    } else if size > EDGE_BYTES {
        let longest = port.shape.iter().filter_map(Dim::known).max().unwrap_or(0);
        let message = format!("{what}, {port}, would take {}{}; the limit is {}", gib(size), per(port, batch), gib(EDGE_BYTES));
        faults.add("too-large", setting_of(node, longest), message);
    }
}

fn per(port: &Port, batch: usize) -> String {
    if port.rows {
        format!(" for a batch of {}", thousands(batch))
    } else {
        String::new()
    }
}

/// The one setting that has this number, or else the node.
fn setting_of(node: &NodeDecl, number: usize) -> At {
    let is = |value: &Value| matches!(value, Value::Integer(n) if usize::try_from(*n) == Ok(number));
    let mut found = node.table.iter().filter(|(_, e)| is(&e.item.value)).map(|(_, e)| e.item.at);
    match (found.next(), found.next()) {
        (Some(at), None) => at,
        _ => node.at,
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

fn check_type(node: &NodeDecl, edge: &Edge, p: &Port, faults: &mut Faults) {
    if let Some(input) = declared(node, edge) {
        if !input.types().contains(&p.ty) {
            let want: Vec<String> = input.types().iter().map(|t| t.to_string()).collect();
            faults
                .add("wrong-port-type", edge.at, format!("`{}` takes {}; this is {p}", edge.input, want.join(" or ")))
                .help(format!("{}: {}", edge.input, input.doc));
        }
        if edge.role != Role::Read && p.rate == Rate::Stage {
            faults.add(
                "wrong-rate",
                edge.at,
                format!("`{}` of a register takes values of a step; this is a value of the whole stage", edge.input),
            );
        }
    }
}

fn takes_no_axis(node: &NodeDecl, edge: &Edge, p: &Port, faults: &mut Faults) {
    let axis = &p.axes[0];
    faults
        .add("item-axis", edge.at, format!("`{}` accepts no item axis; this has the axis `{}`", node.entry.name, axis.name))
        .help(format!("choose an item, for example {}", axis.item(0).map_or(String::new(), |i| format!("\"node.port[{i}]\""))));
}

/// Matches what is written to a register and depends on its own output, once that is known.
pub fn infer_late(node: &NodeDecl, edges: &[(Edge, Port)], found: &mut Inferred, faults: &mut Faults) {
    let mut dims = found.inputs.dims.clone();
    for (edge, port) in edges.iter().filter(|(e, _)| !found.inputs.written.iter().any(|(n, _)| *n == e.input)) {
        check_type(node, edge, port, faults);
        if !port.axes.is_empty() {
            takes_no_axis(node, edge, port, faults);
        } else if let Some(input) = declared(node, edge) {
            unify(input, &port.shape, &mut dims, edge, faults);
        }
    }
    found.inputs.written.extend(edges.iter().map(|(e, p)| (e.input.clone(), p.clone())));
}

fn declared<'a>(node: &'a NodeDecl, edge: &Edge) -> Option<&'a Field> {
    let input = edge.input.as_str();
    match edge.role {
        Role::Write => return node.entry.writes.iter().find(|i| i.name == input),
        Role::Initial => return node.entry.initial.iter().find(|i| i.name == input),
        Role::Read => {}
    }
    node.entry.inputs.iter().find(|i| i.name == input).or_else(|| {
        let draw = node.entry.outputs.iter().any(|o| o.draw && o.name == input);
        node.entry.inputs.iter().find(|i| i.many() && !draw)
    })
}

/// Matches a port's shape with the declared lengths.
fn unify(input: &Field, shape: &[Dim], dims: &mut BTreeMap<&'static str, Dim>, edge: &Edge, faults: &mut Faults) {
    let words: Vec<&'static str> = input.shape.split_whitespace().collect();
    let (open_start, open_end) = (words.first() == Some(&"..."), words.last() == Some(&"..."));
    let named: Vec<&'static str> = words.iter().copied().filter(|w| *w != "...").collect();
    let text = |shape: &[Dim]| format!("[{}]", shape.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "));
    if shape.len() < named.len() || (!open_start && !open_end && shape.len() > named.len()) {
        faults.add("shape", edge.at, format!("`{}` takes the shape [{}]; this is {}", edge.input, words.join(", "), text(shape)));
        return;
    }
    let skipped = if open_start { shape.len() - named.len() } else { 0 };
    for (word, dim) in named.iter().zip(&shape[skipped..]) {
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
                faults.add(
                    "shape",
                    edge.at,
                    format!(
                        "`{}` takes the shape [{}], and the other inputs say {word} = {a}; this is {}",
                        edge.input,
                        words.join(", "),
                        text(shape)
                    ),
                );
            }
            // a number is worth more than a name
            Some(Dim::Symbol(_)) if dim.known().is_some() => {
                dims.insert(word, dim.clone());
            }
            Some(_) => {}
        }
    }
}

/// An index that counts along a length must have as many values as that is long. What only the data knows is compared with the data.
fn count(node: &NodeDecl, edge: &Edge, port: &Port, dims: &BTreeMap<&'static str, Dim>, faults: &mut Faults) {
    let Some(length) = declared(node, edge).and_then(|input| input.counts) else { return };
    let known = |dim: Option<&Dim>| dim.and_then(Dim::known);
    if let (Some(range), Some(entries)) = (known(port.range.as_ref()), known(dims.get(length))) {
        if range != entries {
            let message = format!("`{}` has values in 0..{range}, but there are {entries} {length}", edge.input);
            faults.add("class-count", edge.at, message);
        }
    }
}
