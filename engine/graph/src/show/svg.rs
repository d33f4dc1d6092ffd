//! A plan as a figure: stages as boxes, nodes in layers, groups as frames; place, rate, gradient and shapes to be seen.

use super::figure::{Figure, NAME, ROW, SMALL};
use super::paint::{smooth, width, Svg};
use super::tree::AT_HEAD;
use super::{average, origins, passes, place, purpose, thousands, weights, what};
use crate::plan::{Place, Plan, StagePlan};
use crate::port::Rate;

/// Around the whole, and between stages.
const MARGIN: f64 = 28.0;
const GUTTER: f64 = 44.0;
/// Inside of a stage's frame, and for its name.
const PAD: f64 = 18.0;
const HEAD: f64 = 52.0;

/// Of a stage's frame.
const GROUND: &str = "#fafbfc";
const INK: &str = "fill=\"#1d2733\"";
const GREY: &str = "fill=\"#5b6875\"";

fn fill(place: Place) -> (&'static str, &'static str) {
    match place {
        Place::Host => ("#dfebf9", "#4a7fb8"),
        Place::Device => ("#fdeccf", "#c08528"),
        Place::End => ("#e9e1f6", "#7b5ab0"),
    }
}

fn rate(rate: Rate) -> &'static str {
    match rate {
        Rate::Sample => "#b5dccf",
        Rate::Batch => "#45a387",
        Rate::State => "#a3487f",
        Rate::Stage => "#0f4f40",
    }
}

/// A stage with its place on the sheet.
struct Panel<'a> {
    stage: &'a StagePlan,
    figure: Figure,
    at: (f64, f64),
    size: (f64, f64),
    column: usize,
}

pub fn svg(plan: &Plan) -> String {
    let mut svg = Svg::default();
    let mut y = MARGIN + 16.0;
    svg.text((MARGIN, y), 20.0, &format!("font-weight=\"bold\" {INK}"), &plan.name);
    y += 22.0;
    svg.text((MARGIN, y), NAME, GREY, &format!("{} · seed {}", plan.about, plan.seed));
    for (name, model) in &plan.models {
        y += 18.0;
        let ema = model.ema.as_ref().map_or(String::new(), |e| format!(", {}", average(e)));
        let line = format!("{name}: {}, {} parameters{ema}", model.entry.name, thousands(model.count()));
        svg.text((MARGIN, y), SMALL, INK, &line);
    }
    let mut panels = panels(plan);
    // arrows between stages run above the panels
    let arrows = arrows(&panels);
    let top = y + 24.0 + 9.0 * arrows.len() as f64;
    for panel in &mut panels {
        panel.at.1 += top;
    }
    let bottom = panels.iter().map(|p| p.at.1 + p.size.1).fold(top, f64::max);
    let right = panels.iter().map(|p| p.at.0 + p.size.0).fold(0.0, f64::max);
    for panel in &panels {
        draw(&mut svg, panel);
    }
    draw_arrows(&mut svg, &panels, &arrows, top);
    let (legend_width, legend_height) = legend(&mut svg, (MARGIN, bottom + 26.0));
    let title =
        [(plan.name.as_str(), 20.0), (plan.about.as_str(), NAME + 2.0)].map(|(t, size)| width(t, size)).into_iter().fold(0.0, f64::max);
    let whole = right.max(MARGIN + legend_width).max(MARGIN + title) + MARGIN + 14.0;
    let head = format!("{}<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n", markers());
    svg.finish(whole, bottom + 26.0 + legend_height + MARGIN, &plan.name, &head)
}

fn markers() -> String {
    let marker = |id: &str, colour: &str, size: u32| {
        format!(
            "<marker id=\"{id}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"{size}\" markerHeight=\"{size}\" \
             markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 1 L10 5 L0 9 z\" fill=\"{colour}\"/></marker>\n"
        )
    };
    format!("<defs>\n{}{}{}</defs>\n", marker("thick", "#1d2733", 10), marker("thin", "#94a0ac", 8), marker("between", "#7b5ab0", 9))
}

/// Stages in columns, left to right in their order; one goes below another where that makes the sheet no taller.
fn panels(plan: &Plan) -> Vec<Panel<'_>> {
    let mut panels: Vec<Panel> = Vec::new();
    for stage in &plan.stages {
        let figure = Figure::new(stage, &passes(plan, stage));
        let heading = width(&stage.name, 16.0).max(width(&subtitle(stage), SMALL));
        let size = (figure.size.0.max(heading) + 2.0 * PAD, figure.size.1 + HEAD + PAD);
        panels.push(Panel { stage, figure, at: (0.0, 0.0), size, column: 0 });
    }
    let tallest = panels.iter().map(|p| p.size.1).fold(0.0, f64::max);
    let (mut x, mut y, mut column, mut wide) = (MARGIN, 0.0, 0, 0.0f64);
    for panel in &mut panels {
        if y > 0.0 && y + panel.size.1 > tallest + 1.0 {
            (x, y, column, wide) = (x + wide + GUTTER, 0.0, column + 1, 0.0);
        }
        (panel.at, panel.column) = ((x, y), column);
        wide = wide.max(panel.size.0);
        y += panel.size.1 + GUTTER;
    }
    for column in 0..=column {
        let wide = panels.iter().filter(|p| p.column == column).map(|p| p.size.0).fold(0.0, f64::max);
        panels.iter_mut().filter(|p| p.column == column).for_each(|p| p.size.0 = wide);
    }
    panels
}

fn subtitle(stage: &StagePlan) -> String {
    let sort = if stage.trains() { "trains" } else { "evaluates" };
    let origins = origins(stage);
    let weights = (!origins.is_empty()).then(|| format!("weights: {}", origins.join("; ")));
    let parts = [Some(sort.to_string()), Some(purpose(stage)).filter(|p| !p.is_empty()), weights];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn draw(svg: &mut Svg, panel: &Panel) {
    let Panel { stage, figure, at, size, .. } = panel;
    svg.rect(*at, *size, 10.0, &format!("fill=\"{GROUND}\" stroke=\"#aab4bf\""));
    svg.text((at.0 + PAD, at.1 + 24.0), 16.0, &format!("font-weight=\"bold\" {INK}"), &stage.name);
    svg.text((at.0 + PAD, at.1 + 41.0), SMALL, GREY, &subtitle(stage));
    // the figure in the middle of its panel
    let move_by = (at.0 + (size.0 - figure.size.0) / 2.0, at.1 + HEAD);
    let moved = |(x, y): (f64, f64)| (x + move_by.0, y + move_by.1);
    for frame in &figure.frames {
        let at = moved(frame.at);
        svg.rect(at, frame.size, 8.0, "fill=\"#eef1f5\" stroke=\"#c3ccd6\" stroke-dasharray=\"4 3\"");
    }
    for (link, line) in figure.links.iter().zip(&figure.lines) {
        let points: Vec<(f64, f64)> = line.iter().map(|p| moved(*p)).collect();
        let style = match link.gradient {
            true => "fill=\"none\" stroke=\"#1d2733\" stroke-width=\"2.2\" marker-end=\"url(#thick)\"",
            false => "fill=\"none\" stroke=\"#94a0ac\" stroke-width=\"1.3\" marker-end=\"url(#thin)\"",
        };
        svg.path(&smooth(&points), style);
    }
    for frame in &figure.frames {
        // above the lines that lead in
        let (x, y) = moved(frame.at);
        svg.label((x + 10.0 + width(&frame.title, SMALL) / 2.0, y + 14.0), SMALL, GREY, "#eef1f5", &frame.title);
    }
    for (i, cell) in figure.cells.iter().enumerate() {
        let at = moved((cell.left(), cell.at.1));
        let size = (cell.box_width, cell.box_height);
        match stage.nodes.get(i) {
            Some(node) => {
                let outputs: Vec<String> = node.entry.outputs.iter().zip(&node.outputs).map(|(o, p)| format!("{}: {p}", o.name)).collect();
                svg.open(format_args!("{} ({})\n{}", node.path, what(node), outputs.join("\n")));
                let (inside, edge) = fill(node.place);
                let radius = if node.model.is_some() { 13.0 } else { 4.0 };
                let (edge, thick) = if node.gradient { ("#1d2733", 2.2) } else { (edge, 1.0) };
                svg.rect(at, size, radius, &format!("fill=\"{inside}\" stroke=\"{edge}\" stroke-width=\"{thick}\""));
                let inset = if node.model.is_some() { 13.0 } else { 5.0 };
                svg.rect((at.0 + 4.0, at.1 + inset), (5.0, size.1 - 2.0 * inset), 2.0, &format!("fill=\"{}\"", rate(node.rate)));
            }
            None => {
                svg.open(format_args!("{}, a table of the stage {}", cell.rows[0], figure.tables[i - stage.nodes.len()].stage));
                svg.rect(at, size, 4.0, "fill=\"#ffffff\" stroke=\"#7b5ab0\" stroke-dasharray=\"5 3\"");
            }
        }
        let middle = at.0 + size.0 / 2.0 + if i < stage.nodes.len() { 3.0 } else { 0.0 };
        for (row, text) in cell.rows.iter().enumerate() {
            let y = at.1 + 5.0 + ROW * row as f64 + 11.0;
            match row {
                0 => svg.centred((middle, y), NAME, &format!("font-weight=\"bold\" {INK}"), text),
                1 => svg.centred((middle, y), SMALL, "fill=\"#33475b\"", text),
                _ => svg.centred((middle, y), SMALL, GREY, text),
            }
        }
        svg.close();
        for exit in &cell.exits {
            let (x, y) = moved((cell.at.0 + exit.x, cell.at.1 + cell.box_height));
            svg.label((x, y + 16.0), SMALL, INK, GROUND, &exit.text);
        }
    }
    for (link, line) in figure.links.iter().zip(&figure.lines).filter(|(l, _)| !l.inputs.is_empty()) {
        if let Some(end) = line.last() {
            let (x, y) = moved(*end);
            svg.label((x, y - 12.0), AT_HEAD, "fill=\"#8a4b08\" font-style=\"italic\"", GROUND, &link.head());
        }
    }
}

/// From one stage to another: by their numbers, and whether weights go along (or only tables).
fn arrows(panels: &[Panel]) -> Vec<(usize, usize, bool)> {
    let mut out = Vec::new();
    for (to, panel) in panels.iter().enumerate() {
        for (from, other) in panels.iter().enumerate() {
            let weighed = weights(panel.stage).any(|(_, s)| s == other.stage.name);
            if weighed || panel.figure.tables.iter().any(|t| t.stage == other.stage.name) {
                out.push((from, to, weighed));
            }
        }
    }
    out
}

/// Arrows between stages, in the gutters between the columns and above them.
fn draw_arrows(svg: &mut Svg, panels: &[Panel], arrows: &[(usize, usize, bool)], top: f64) {
    for (n, (from, to, weighed)) in arrows.iter().enumerate() {
        let (a, b) = (&panels[*from], &panels[*to]);
        let spread = 6.0 * (n % 5) as f64;
        let start = (a.at.0 + a.size.0, a.at.1 + 20.0 + spread);
        let out = start.0 + 9.0 + spread;
        let d = if a.column == b.column {
            // on the right, and back in
            let end = (b.at.0 + b.size.0 + 2.0, b.at.1 + 20.0);
            format!("M{:.1} {:.1} H{out:.1} V{:.1} H{:.1}", start.0, start.1, end.1, end.0)
        } else {
            let end = (b.at.0 - 2.0, b.at.1 + 20.0 + spread);
            let down = end.0 - 7.0 - spread;
            if b.column == a.column + 1 {
                format!("M{:.1} {:.1} H{down:.1} V{:.1} H{:.1}", start.0, start.1, end.1, end.0)
            } else {
                let lane = top - 8.0 - 9.0 * n as f64;
                format!("M{:.1} {:.1} H{out:.1} V{lane:.1} H{down:.1} V{:.1} H{:.1}", start.0, start.1, end.1, end.0)
            }
        };
        let dash = if *weighed { "" } else { " stroke-dasharray=\"5 3\"" };
        svg.open(format_args!("{} needs {} of {}", b.stage.name, if *weighed { "the weights" } else { "a table" }, a.stage.name));
        svg.path(&d, &format!("fill=\"none\" stroke=\"#7b5ab0\" stroke-width=\"1.6\"{dash} marker-end=\"url(#between)\""));
        svg.close();
    }
}

/// What the colours and lines mean; gives its size.
fn legend(svg: &mut Svg, (left, top): (f64, f64)) -> (f64, f64) {
    let mut x = left;
    let mut entry = |svg: &mut Svg, text: &str, draw: &dyn Fn(&mut Svg, f64)| {
        draw(svg, x);
        svg.text((x + 32.0, top + 12.0), SMALL, INK, text);
        x += 32.0 + width(text, SMALL) + 16.0;
    };
    for p in [Place::Host, Place::Device, Place::End] {
        let (inside, edge) = fill(p);
        let text = match p {
            Place::Host => "host: loader threads, sample by sample",
            Place::Device => "device: batch by batch",
            Place::End => "end: once, after the last batch",
        };
        debug_assert!(text.starts_with(place(p)));
        entry(svg, text, &|svg, x| svg.rect((x, top), (26.0, 16.0), 3.0, &format!("fill=\"{inside}\" stroke=\"{edge}\"")));
    }
    for (r, text) in [(Rate::Sample, "a value a sample"), (Rate::Batch, "a batch"), (Rate::State, "a register"), (Rate::Stage, "a stage")] {
        entry(svg, text, &|svg, x| svg.rect((x + 12.0, top), (6.0, 16.0), 2.0, &format!("fill=\"{}\"", rate(r))));
    }
    let mut width = x;
    let mut x = left;
    let top = top + 26.0;
    let mut entry = |svg: &mut Svg, text: &str, draw: &dyn Fn(&mut Svg, f64)| {
        draw(svg, x);
        svg.text((x + 32.0, top + 12.0), SMALL, INK, text);
        x += 32.0 + self::width(text, SMALL) + 16.0;
    };
    entry(svg, "applies a model", &|svg, x| svg.rect((x, top), (26.0, 16.0), 8.0, "fill=\"#fdeccf\" stroke=\"#c08528\""));
    let line = |style: &str| {
        let style = style.to_string();
        move |svg: &mut Svg, x: f64| svg.path(&format!("M{x:.1} {:.1} H{:.1}", top + 8.0, x + 26.0), &style)
    };
    entry(svg, "gradients flow (box and line)", &line("stroke=\"#1d2733\" stroke-width=\"2.2\" marker-end=\"url(#thick)\""));
    entry(svg, "without gradient", &line("stroke=\"#94a0ac\" stroke-width=\"1.3\" marker-end=\"url(#thin)\""));
    entry(svg, "weights of a stage", &line("stroke=\"#7b5ab0\" stroke-width=\"1.6\" marker-end=\"url(#between)\""));
    let dashed = "stroke=\"#7b5ab0\" stroke-width=\"1.6\" stroke-dasharray=\"5 3\" marker-end=\"url(#between)\"";
    entry(svg, "tables of a stage", &line(dashed));
    svg.text((x, top + 12.0), SMALL, GREY, "B is the stage's batch");
    width = width.max(x + self::width("B is the stage's batch", SMALL));
    (width - left, 42.0)
}
