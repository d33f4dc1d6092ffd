//! A layered drawing of an acyclic graph, top to bottom (Sugiyama's steps: layers, order, positions).
//!
//! Edges that cross a layer go through a slim place of their own there, so that no line runs through a box. Sizes and
//! places are in pixels.

/// Between two things of a layer, and between two layers.
const GAP: f64 = 26.0;
const RISE: f64 = 38.0;
/// What a passing line takes up in a layer.
const LINE: f64 = 10.0;

/// A line from the lower side of one thing to the upper side of another, at so many pixels from their left sides.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub from: usize,
    pub from_x: f64,
    pub to: usize,
    pub to_x: f64,
}

/// Where everything is.
#[derive(Debug, Default)]
pub struct Layout {
    /// Left and top of each thing.
    pub at: Vec<(f64, f64)>,
    /// For each line the points that it goes through, its ends left out.
    pub routes: Vec<Vec<(f64, f64)>>,
    pub width: f64,
    pub height: f64,
}

/// A thing, or the place of a passing line, in its layer.
#[derive(Clone, Copy)]
struct Spot {
    layer: usize,
    width: f64,
    left: f64,
    slim: bool,
}

/// A piece of a line between two layers that follow on each other.
#[derive(Clone, Copy)]
struct Piece {
    up: usize,
    up_x: f64,
    down: usize,
    down_x: f64,
}

/// Lays out things of these widths and heights. No line may lead back: `from` comes before `to` in the list.
pub fn layered(sizes: &[(f64, f64)], lines: &[Line]) -> Layout {
    let layers = layers(sizes.len(), lines);
    let mut spots: Vec<Spot> =
        sizes.iter().zip(&layers).map(|((w, _), layer)| Spot { layer: *layer, width: *w, left: 0.0, slim: false }).collect();
    let mut pieces = Vec::new();
    let mut ways: Vec<Vec<usize>> = Vec::new();
    for line in lines {
        let (mut up, mut up_x) = (line.from, line.from_x);
        let mut way = Vec::new();
        for layer in layers[line.from] + 1..layers[line.to] {
            spots.push(Spot { layer, width: LINE, left: 0.0, slim: true });
            let down = spots.len() - 1;
            pieces.push(Piece { up, up_x, down, down_x: LINE / 2.0 });
            (up, up_x) = (down, LINE / 2.0);
            way.push(down);
        }
        pieces.push(Piece { up, up_x, down: line.to, down_x: line.to_x });
        ways.push(way);
    }
    let count = spots.iter().map(|s| s.layer + 1).max().unwrap_or(0);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (i, spot) in spots.iter().enumerate() {
        order[spot.layer].push(i);
    }
    untangle(&mut order, &spots, &pieces);
    settle(&order, &mut spots, &pieces);
    finish(sizes, lines, &ways, &order, &spots)
}

/// The layer of each thing: below all that it reads, and what reads nothing close above its readers.
fn layers(count: usize, lines: &[Line]) -> Vec<usize> {
    let mut layers = vec![0usize; count];
    for i in 0..count {
        layers[i] = lines.iter().filter(|l| l.to == i).map(|l| layers[l.from] + 1).max().unwrap_or(0);
    }
    for i in (0..count).rev() {
        let reads = lines.iter().any(|l| l.to == i);
        if let (false, Some(first)) = (reads, lines.iter().filter(|l| l.from == i).map(|l| layers[l.to]).min()) {
            layers[i] = first.saturating_sub(1);
        }
    }
    layers
}

/// Orders each layer so that few lines cross: means of the neighbours' places, down and up in turn.
fn untangle(order: &mut Vec<Vec<usize>>, spots: &[Spot], pieces: &[Piece]) {
    let mut place = vec![0.0; spots.len()];
    let number = |order: &[Vec<usize>], place: &mut Vec<f64>| {
        for layer in order {
            for (i, spot) in layer.iter().enumerate() {
                place[*spot] = i as f64;
            }
        }
    };
    // an end of a line is where it leaves the thing, not its middle
    let end = |place: &[f64], spot: usize, x: f64| place[spot] + x / spots[spot].width.max(1.0) - 0.5;
    number(order, &mut place);
    let mut best = (crossings(order, &place, spots, pieces), order.clone());
    for round in 0..24 {
        let down = round % 2 == 0;
        let range: Vec<usize> = if down { (1..order.len()).collect() } else { (0..order.len().saturating_sub(1)).rev().collect() };
        for l in range {
            let mean = |spot: usize, place: &[f64]| {
                let ends: Vec<f64> = pieces
                    .iter()
                    .filter(|p| if down { p.down == spot } else { p.up == spot })
                    .map(|p| if down { end(place, p.up, p.up_x) } else { end(place, p.down, p.down_x) })
                    .collect();
                if ends.is_empty() {
                    place[spot]
                } else {
                    ends.iter().sum::<f64>() / ends.len() as f64
                }
            };
            let mut keyed: Vec<(f64, usize)> = order[l].iter().map(|s| (mean(*s, &place), *s)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            order[l] = keyed.into_iter().map(|(_, s)| s).collect();
            number(order, &mut place);
        }
        let now = crossings(order, &place, spots, pieces);
        if now < best.0 {
            best = (now, order.clone());
        }
    }
    *order = best.1;
}

fn crossings(order: &[Vec<usize>], place: &[f64], spots: &[Spot], pieces: &[Piece]) -> usize {
    let mut count = 0;
    for layer in 0..order.len() {
        let here: Vec<&Piece> = pieces.iter().filter(|p| spots[p.up].layer == layer).collect();
        for (i, a) in here.iter().enumerate() {
            for b in &here[i + 1..] {
                let up = (place[a.up], a.up_x).partial_cmp(&(place[b.up], b.up_x));
                let down = (place[a.down], a.down_x).partial_cmp(&(place[b.down], b.down_x));
                if let (Some(up), Some(down)) = (up, down) {
                    count += usize::from(up.is_ne() && down.is_ne() && up != down);
                }
            }
        }
    }
    count
}

/// Gives each spot its left side: near those that it is joined to, in the order of its layer, none over another.
fn settle(order: &[Vec<usize>], spots: &mut [Spot], pieces: &[Piece]) {
    for layer in order {
        let mut x = 0.0;
        for s in layer {
            spots[*s].left = x;
            x += spots[*s].width + GAP;
        }
    }
    for round in 0..40 {
        let layers: Vec<&Vec<usize>> = if round % 2 == 0 { order.iter().collect() } else { order.iter().rev().collect() };
        for layer in layers {
            let wishes: Vec<(f64, f64)> = layer
                .iter()
                .map(|s| {
                    // long lines are to be straight
                    let weight = |other: usize| if spots[*s].slim && spots[other].slim { 8.0 } else { 1.0 };
                    let (mut sum, mut all) = (0.0, 0.0);
                    for p in pieces {
                        let (other, wish) = match *s {
                            s if s == p.down => (p.up, spots[p.up].left + p.up_x - p.down_x),
                            s if s == p.up => (p.down, spots[p.down].left + p.down_x - p.up_x),
                            _ => continue,
                        };
                        sum += weight(other) * wish;
                        all += weight(other);
                    }
                    if all > 0.0 {
                        (sum / all, all)
                    } else {
                        (spots[*s].left, 0.1)
                    }
                })
                .collect();
            for (s, left) in layer.iter().zip(apart(layer, spots, &wishes)) {
                spots[*s].left = left;
            }
        }
    }
}

/// The places nearest to the wishes (least squares) that keep the order and the gaps: neighbours that would overlap move as one.
fn apart(layer: &[usize], spots: &[Spot], wishes: &[(f64, f64)]) -> Vec<f64> {
    let mut offsets = Vec::new();
    let mut x = 0.0;
    for s in layer {
        offsets.push(x);
        x += spots[*s].width + if spots[*s].slim { GAP / 2.0 } else { GAP };
    }
    // blocks of (place without the gaps, weight, members)
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for ((wish, weight), offset) in wishes.iter().zip(&offsets) {
        let mut block = (wish - offset, *weight, 1);
        while let Some(last) = blocks.last().copied().filter(|last| last.0 > block.0) {
            blocks.pop();
            let weight = last.1 + block.1;
            block = ((last.0 * last.1 + block.0 * block.1) / weight, weight, last.2 + block.2);
        }
        blocks.push(block);
    }
    let places = blocks.iter().flat_map(|(at, _, members)| std::iter::repeat_n(*at, *members));
    places.zip(&offsets).map(|(at, offset)| at + offset).collect()
}

/// Heights, and the points that each line goes through.
fn finish(sizes: &[(f64, f64)], lines: &[Line], ways: &[Vec<usize>], order: &[Vec<usize>], spots: &[Spot]) -> Layout {
    let least = spots.iter().map(|s| s.left).fold(f64::INFINITY, f64::min);
    let left = |s: usize| spots[s].left - if least.is_finite() { least } else { 0.0 };
    let mut bands: Vec<(f64, f64)> = Vec::new();
    let mut y = 0.0;
    for layer in order {
        let height = layer.iter().filter_map(|s| sizes.get(*s)).map(|(_, h)| *h).fold(0.0, f64::max);
        bands.push((y, y + height));
        y += height + RISE;
    }
    let reads = |i: usize| lines.iter().any(|l| l.to == i);
    let at: Vec<(f64, f64)> = sizes
        .iter()
        .enumerate()
        .map(|(i, (_, height))| {
            let (top, bottom) = bands[spots[i].layer];
            // what reads nothing stands near its readers
            (left(i), if reads(i) { top } else { bottom - height })
        })
        .collect();
    let routes = lines
        .iter()
        .zip(ways)
        .map(|(line, way)| {
            let mut route = vec![(left(line.from) + line.from_x, bands[spots[line.from].layer].1)];
            for spot in way {
                let x = left(*spot) + LINE / 2.0;
                let (top, bottom) = bands[spots[*spot].layer];
                route.extend([(x, top), (x, bottom)]);
            }
            route.push((left(line.to) + line.to_x, bands[spots[line.to].layer].0));
            route
        })
        .collect();
    let width = spots.iter().enumerate().map(|(i, s)| left(i) + s.width).fold(0.0, f64::max);
    Layout { at, routes, width, height: bands.last().map_or(0.0, |b| b.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(from: usize, to: usize) -> Line {
        Line { from, from_x: 50.0, to, to_x: 50.0 }
    }

    #[test]
    fn nothing_overlaps_and_all_lines_lead_down() {
        let sizes: Vec<(f64, f64)> = (0..12).map(|i| (100.0, 40.0 + 10.0 * (i % 3) as f64)).collect();
        let lines: Vec<Line> =
            [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 5), (4, 6), (5, 6), (0, 6), (7, 6), (6, 8), (6, 9), (1, 9), (9, 11), (10, 11)]
                .map(|(a, b)| line(a, b))
                .to_vec();
        let layout = layered(&sizes, &lines);
        for a in 0..sizes.len() {
            for b in 0..a {
                let ((ax, ay), (bx, by)) = (layout.at[a], layout.at[b]);
                let apart = ax >= bx + 100.0 || bx >= ax + 100.0 || ay >= by + sizes[b].1 || by >= ay + sizes[a].1;
                assert!(apart, "{a} and {b}: {:?} {:?}", layout.at[a], layout.at[b]);
            }
            let (x, y) = layout.at[a];
            assert!(x >= -1e-6 && y >= 0.0 && x + 100.0 <= layout.width + 1e-6 && y + sizes[a].1 <= layout.height);
        }
        for (line, route) in lines.iter().zip(&layout.routes) {
            assert!(layout.at[line.from].1 < layout.at[line.to].1);
            assert!(route.windows(2).all(|w| w[0].1 <= w[1].1), "{route:?}");
        }
    }

    #[test]
    fn crossed_pairs_are_untangled() {
        // 0 -> 3 and 1 -> 2: the lower pair changes places
        let layout = layered(&[(100.0, 40.0); 4], &[line(0, 3), line(1, 2)]);
        assert_eq!(layout.at[0].0 < layout.at[1].0, layout.at[3].0 < layout.at[2].0);
        // and a chain is one straight line
        let chain = layered(&[(100.0, 40.0); 3], &[line(0, 1), line(1, 2)]);
        assert!(chain.at.iter().all(|(x, _)| x.abs() < 1e-6), "{:?}", chain.at);
        assert_eq!(layered(&[], &[]).height, 0.0);
    }
}
