//! The geometry of one stage: how large each box is, where it stands, how the lines run.

use super::layout::{layered, Line};
use super::paint::width;
use super::tree::{links, ordered, tree, Branch, Link, Table};
use super::{guards, register, shape, Norm, Pass};
use crate::plan::StagePlan;

pub(super) const NAME: f64 = 13.0;
pub(super) const SMALL: f64 = 11.0;
/// Height of a line of text in a box.
pub(super) const ROW: f64 = 15.0;
/// Room below a box for what its outputs carry.
const LABEL: f64 = 20.0;
/// Around the contents of a group's frame, and for its name.
const PAD: f64 = 12.0;
const HEAD: f64 = 22.0;

/// An output that is read: where its line leaves the cell, and what it carries.
pub(super) struct Exit {
    pub port: usize,
    pub x: f64,
    pub text: String,
}

/// A box with what its outputs carry below it.
pub(super) struct Cell {
    /// First the name, then what else it says.
    pub rows: Vec<String>,
    pub exits: Vec<Exit>,
    pub width: f64,
    pub box_width: f64,
    pub box_height: f64,
    /// Left and top, once it was placed.
    pub at: (f64, f64),
}

impl Cell {
    /// `heads`: how much room the lines that reach it need.
    fn new(rows: Vec<String>, outputs: Vec<(usize, String)>, heads: f64) -> Cell {
        // names are bold
        let sizes = rows.iter().enumerate().map(|(i, row)| width(row, if i == 0 { 1.1 * NAME } else { SMALL }));
        let mut box_width = sizes.fold(70.0, f64::max).max(heads) + 24.0;
        let labels: Vec<f64> = outputs.iter().map(|(_, text)| width(text, SMALL) + 14.0).collect();
        let all: f64 = labels.iter().sum();
        if labels.len() > 1 {
            // every line begins below its box
            box_width = box_width.max(all);
        }
        let whole = box_width.max(all);
        let spare = (whole - all) / labels.len().max(1) as f64;
        let mut left = 0.0;
        let exits = outputs.into_iter().zip(&labels).map(|((port, text), label)| {
            let x = left + (label + spare) / 2.0;
            left += label + spare;
            Exit { port, x, text }
        });
        let exits: Vec<Exit> = exits.collect();
        let box_height = ROW * rows.len() as f64 + 11.0;
        Cell { rows, exits, width: whole, box_width, box_height, at: (0.0, 0.0) }
    }
    fn height(&self) -> f64 {
        self.box_height + if self.exits.is_empty() { 0.0 } else { LABEL }
    }
    /// Left side of the box.
    pub fn left(&self) -> f64 {
        self.at.0 + (self.width - self.box_width) / 2.0
    }
    fn exit(&self, port: usize) -> f64 {
        self.exits.iter().find(|e| e.port == port).map_or(self.width / 2.0, |e| e.x)
    }
}

/// Around the nodes of a group.
pub(super) struct Frame {
    /// One of them.
    first: usize,
    pub title: String,
    pub at: (f64, f64),
    pub size: (f64, f64),
}

/// One stage, drawn at the origin.
pub(super) struct Figure {
    /// Nodes, then tables of other stages.
    pub cells: Vec<Cell>,
    pub tables: Vec<Table>,
    pub frames: Vec<Frame>,
    pub links: Vec<Link>,
    /// For each link the points of its line, ends included.
    pub lines: Vec<Vec<(f64, f64)>>,
    pub size: (f64, f64),
}

/// What a box says: its name, its kind or model, and what is worth knowing about it.
fn rows(stage: &StagePlan, i: usize, passes: &[Pass]) -> Vec<String> {
    let node = &stage.nodes[i];
    let name = node.path.rsplit('/').next().unwrap_or(&node.path).to_string();
    let kind = node.model.as_ref().map_or_else(|| node.entry.name.to_string(), |m| format!("{m} ({})", node.entry.name));
    let mut rows = vec![name, kind];
    let own: Vec<&Pass> = passes.iter().filter(|p| Some(p.model) == node.model.as_deref()).collect();
    if let Some(n) = own.iter().position(|p| p.node.path == node.path) {
        let pass = own[n];
        let number = if own.len() > 1 { format!("pass {} of {}: ", n + 1, own.len()) } else { String::new() };
        let fixed = if stage.trains() && !pass.trained { ", not trained" } else { "" };
        rows.push(format!("{number}{}{fixed}", pass.count()));
        rows.extend(match pass.norm {
            Norm::None => None,
            Norm::Running => Some("running statistics".to_string()),
            Norm::Batch(rows) if rows == pass.rows => Some(format!("batch norm over {}", pass.per())),
            Norm::Batch(rows) => Some(format!("batch norm over {} rows", rows.unwrap_or(0))),
        });
    }
    let loss = stage.minimise.is_some_and(|(n, _)| n == i);
    let reported: Vec<&str> = stage.metrics.iter().filter(|m| m.node == i && m.reported).map(|m| node.entry.outputs[m.port].name).collect();
    if loss {
        rows.push("minimised".to_string());
    } else if !reported.is_empty() {
        // long lists are cut: the figure is no table
        let more = if reported.len() > 3 { ", …" } else { "" };
        rows.push(format!("reports {}{more}", reported[..reported.len().min(3)].join(", ")));
    }
    rows.extend(register(stage, node));
    if !node.path.contains('/') {
        rows.extend(guards(stage, node));
    }
    rows
}

impl Figure {
    pub fn new(stage: &StagePlan, passes: &[Pass]) -> Figure {
        let (links, tables) = links(stage);
        let outputs = |i: usize| -> Vec<(usize, String)> {
            let node = &stage.nodes[i];
            let read: Vec<usize> = (0..node.outputs.len()).filter(|p| links.iter().any(|l| (l.from, l.port) == (i, *p))).collect();
            let named = read.len() > 1;
            let text = |p: usize| match (node.outputs[p].ty, named) {
                (_, true) => format!("{} {}", node.entry.outputs[p].name, shape(&node.outputs[p])),
                _ => shape(&node.outputs[p]),
            };
            read.into_iter().map(|p| (p, text(p))).collect()
        };
        let heads = |i: usize| links.iter().filter(|l| l.to == i).map(Link::room).sum::<f64>();
        let cell = |i: usize| Cell::new(rows(stage, i, passes), outputs(i), heads(i));
        let mut cells: Vec<Cell> = (0..stage.nodes.len()).map(cell).collect();
        for t in &tables {
            let rows = vec![format!("{}/{}", t.stage, t.node), "of an earlier stage".into()];
            cells.push(Cell::new(rows, vec![(0, t.port.clone())], 0.0));
        }
        let mut paths: Vec<&str> = stage.nodes.iter().map(|n| n.path.as_str()).collect();
        // the tables stand beside the nodes, whatever their names
        paths.extend(tables.iter().map(|_| ""));
        let mut figure = Figure { lines: vec![Vec::new(); links.len()], cells, tables, frames: Vec::new(), links, size: (0.0, 0.0) };
        figure.size = figure.place(stage, tree(&paths), (0.0, 0.0), true);
        figure.join();
        figure
    }

    /// Places these branches, their upper left at `origin`, and gives the room that they take up.
    fn place(&mut self, stage: &StagePlan, branches: Vec<Branch>, origin: (f64, f64), outermost: bool) -> (f64, f64) {
        let pairs: Vec<(usize, usize)> = self.links.iter().map(|l| (l.from, l.to)).collect();
        let branches = ordered(branches, &pairs);
        // groups first, at the origin: their size is known then
        let sizes: Vec<(f64, f64)> = branches
            .iter()
            .map(|branch| match branch {
                Branch::Node(i) => (self.cells[*i].width, self.cells[*i].height()),
                Branch::Group { inside, .. } => {
                    let (w, h) = self.place(stage, inside.clone(), (PAD, HEAD), false);
                    let whole = w.max(width(&self.title(stage, branch), SMALL));
                    // its contents in the middle, also where its name is wider
                    self.shift(branch, ((whole - w) / 2.0, 0.0));
                    (whole + 2.0 * PAD, h + HEAD + PAD)
                }
            })
            .collect();
        let home = |node: usize| branches.iter().position(|b| b.holds(node));
        let mut own = Vec::new();
        let mut lines = Vec::new();
        for (i, link) in self.links.iter().enumerate() {
            let (Some(from), Some(to)) = (home(link.from), home(link.to)) else { continue };
            if from == to {
                continue;
            }
            let inner = |branch: &Branch, cell: &Cell| if matches!(branch, Branch::Node(_)) { 0.0 } else { cell.at.0 };
            let (source, target) = (&self.cells[link.from], &self.cells[link.to]);
            own.push(i);
            lines.push(Line {
                from,
                from_x: inner(&branches[from], source) + source.exit(link.port),
                to,
                to_x: inner(&branches[to], target) + target.width / 2.0,
            });
        }
        let layout = layered(&sizes, &lines);
        for (i, route) in own.into_iter().zip(layout.routes) {
            self.lines[i] = route.into_iter().map(|(x, y)| (x + origin.0, y + origin.1)).collect();
        }
        for ((branch, at), size) in branches.iter().zip(&layout.at).zip(&sizes) {
            let at = (at.0 + origin.0, at.1 + origin.1);
            match branch {
                Branch::Node(i) => self.cells[*i].at = at,
                Branch::Group { .. } => {
                    self.shift(branch, at);
                    let (first, title) = (branch.nodes()[0], self.title(stage, branch));
                    self.frames.push(Frame { first, title, at, size: *size });
                }
            }
        }
        if outermost {
            // outer frames below inner ones
            self.frames.sort_by(|a, b| (b.size.0 * b.size.1).total_cmp(&(a.size.0 * a.size.1)));
        }
        (layout.width, layout.height)
    }

    /// The name of a group's application, and which rows reach all of it.
    fn title(&self, stage: &StagePlan, branch: &Branch) -> String {
        let Branch::Group { path, .. } = branch else { return String::new() };
        let all: Vec<Vec<String>> = branch.nodes().iter().map(|n| guards(stage, &stage.nodes[*n])).collect();
        let name = path.rsplit('/').next().unwrap_or(path);
        match all.first() {
            Some(first) if !first.is_empty() && all.iter().all(|g| g == first) => format!("{name}: {}", first.join(", ")),
            _ => name.to_string(),
        }
    }

    /// Moves what was placed inside of a group.
    fn shift(&mut self, branch: &Branch, by: (f64, f64)) {
        let moved = |p: (f64, f64)| (p.0 + by.0, p.1 + by.1);
        for node in branch.nodes() {
            self.cells[node].at = moved(self.cells[node].at);
        }
        for (link, line) in self.links.iter().zip(&mut self.lines) {
            if branch.holds(link.from) && branch.holds(link.to) {
                line.iter_mut().for_each(|p| *p = moved(*p));
            }
        }
        for frame in self.frames.iter_mut().filter(|f| branch.holds(f.first)) {
            frame.at = moved(frame.at);
        }
    }

    /// Gives each line its ends: below its output, and beside the other lines that reach the same box.
    fn join(&mut self) {
        for to in 0..self.cells.len() {
            let mut reach: Vec<usize> = (0..self.links.len()).filter(|i| self.links[*i].to == to).collect();
            let came = |i: &usize| {
                let line = &self.lines[*i];
                line.len().checked_sub(2).map_or(0.0, |n| line[n].0)
            };
            reach.sort_by(|a, b| came(a).total_cmp(&came(b)));
            let cell = &self.cells[to];
            // as much room for each as what is written at its head needs
            let rooms: Vec<f64> = reach.iter().map(|i| self.links[*i].room()).collect();
            let spare = (cell.box_width - rooms.iter().sum::<f64>()) / (reach.len() + 1) as f64;
            let mut x = cell.left();
            let ends: Vec<(f64, f64)> = rooms
                .iter()
                .map(|room| {
                    x += spare + room;
                    (x - room / 2.0, cell.at.1)
                })
                .collect();
            for (i, end) in reach.into_iter().zip(ends) {
                let link = &self.links[i];
                let from = &self.cells[link.from];
                let start = (from.at.0 + from.exit(link.port), from.at.1 + from.box_height);
                let line = &mut self.lines[i];
                // the way ends above the box itself, not above the middle of its cell
                if let Some(last) = line.last_mut() {
                    last.0 = end.0;
                }
                line.insert(0, start);
                line.push(end);
            }
        }
    }
}
