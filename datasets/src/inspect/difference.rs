//! What differs between two sets, besides their names, codecs' blocks and files: `dv inspect A B`.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use serde_json::{json, Value};

use super::SHOWN;
use crate::{PackedSet, Video};

/// What differs; nothing where both have the same content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What, and every place where it does.
    parts: Vec<(String, Vec<String>)>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn push(&mut self, what: impl Into<String>, items: Vec<String>) {
        if !items.is_empty() {
            self.parts.push((what.into(), items));
        }
    }

    /// For people, the longer lists cut.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for (what, items) in &self.parts {
            lines.push(format!("{} ({})", crate::text::line(what), items.len()));
            lines.extend(items.iter().take(SHOWN).map(|item| format!("  {}", crate::text::line(item))));
            if items.len() > SHOWN {
                lines.push(format!("  and {} more (--json lists all)", items.len() - SHOWN));
            }
        }
        lines.join("\n")
    }

    pub fn json(&self) -> Value {
        let parts = self.parts.iter().map(|(what, items)| json!({ "what": what, "items": items }));
        json!({ "equal": self.is_empty(), "differences": parts.collect::<Vec<_>>() })
    }
}

/// Compares the content of two sets: all that goes into their fingerprints.
pub fn difference(a: &PackedSet, b: &PackedSet) -> Result<Difference> {
    let mut out = Difference::default();
    let filter = |set: &PackedSet| set.filter.map_or("none", |f| f.name());
    let format = [
        ("height", a.height.to_string(), b.height.to_string()),
        ("width", a.width.to_string(), b.width.to_string()),
        ("codec", a.codec.name().to_owned(), b.codec.name().to_owned()),
        ("filter", filter(a).to_owned(), filter(b).to_owned()),
        ("streams", a.streams.join(" "), b.streams.join(" ")),
    ];
    let differing: Vec<String> = format.iter().filter(|(_, a, b)| a != b).map(|(what, a, b)| format!("{what}: {a}, then {b}")).collect();
    // Other frames are then no news.
    let same_format = differing.is_empty();
    out.push("frames are stored otherwise", differing);
    names(&mut out, "classes", &a.classes, &b.classes);
    videos(&mut out, a, b, same_format)?;
    let (a_names, b_names) = (owned(&a.split_names()), owned(&b.split_names()));
    names(&mut out, "splits", &a_names, &b_names);
    for name in a_names.iter().filter(|name| b_names.contains(name)) {
        let (a_rows, b_rows) = (rows(a, name)?, rows(b, name)?);
        let (a_keys, b_keys) = (
            owned(&a_rows.iter().map(|r| r.0.as_str()).collect::<Vec<_>>()),
            owned(&b_rows.iter().map(|r| r.0.as_str()).collect::<Vec<_>>()),
        );
        names(&mut out, &format!("rows of the split {name}"), &a_keys, &b_keys);
        if a_keys == b_keys {
            let other = a_rows.iter().zip(&b_rows).filter(|(a, b)| a.1 != b.1);
            let say = |missing: bool| if missing { "missing" } else { "in the set" };
            let other = other.map(|(a, b)| format!("{}: {}, then {}", a.0, say(a.1), say(b.1)));
            out.push(format!("rows of the split {name} that only one set has"), other.collect());
        }
    }
    Ok(out)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// The rows of a split: each one's path and whether it is missing.
fn rows(set: &PackedSet, split: &str) -> Result<Vec<(String, bool)>> {
    let Some(split) = set.split_rows(split)? else { return Ok(Vec::new()) };
    let present = split.videos.iter().map(|(row, video)| Ok((*row, set.path(*video)?.to_owned(), false)));
    let mut rows: Vec<(usize, String, bool)> = present.collect::<Result<_>>()?;
    rows.extend(split.missing.into_iter().map(|(row, path)| (row, path, true)));
    rows.sort();
    Ok(rows.into_iter().map(|(_, path, missing)| (path, missing)).collect())
}

/// Compares two lists of names: those of one alone, how often, and the order.
fn names(out: &mut Difference, what: &str, a: &[String], b: &[String]) {
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        let mut left: HashMap<&str, usize> = HashMap::new();
        b.iter().for_each(|name| *left.entry(name).or_default() += 1);
        let gone = |name: &&String| match left.get_mut(name.as_str()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        a.iter().filter(gone).cloned().collect()
    };
    let (only_a, only_b) = (only(a, b), only(b, a));
    let moved = only_a.is_empty() && only_b.is_empty() && a != b;
    out.push(format!("{what} of the first set only"), only_a);
    out.push(format!("{what} of the second set only"), only_b);
    if moved {
        let first = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(0);
        out.push(format!("{what} in another order"), vec![format!("{first} from the start: {}, then {}", a[first], b[first])]);
    }
}

fn videos(out: &mut Difference, a: &PackedSet, b: &PackedSet, frames: bool) -> Result<()> {
    let class = |set: &PackedSet, video: &Video| video.class.map_or("none".to_owned(), |class| set.classes[class as usize].clone());
    let others = b.places()?;
    let own: HashSet<&str> = (0..a.len()).map(|video| a.path(video)).collect::<Result<_>>()?;
    let (mut only, mut labels, mut groups, mut rates, mut counts, mut contents) = (vec![], vec![], vec![], vec![], vec![], vec![]);
    for video in a.videos() {
        let video = &video?;
        let path = &video.path;
        let Some(other) = others.get(path.as_str()) else {
            only.push(path.clone());
            continue;
        };
        let other = &b.video(*other)?;
        let compare = |list: &mut Vec<String>, a: String, b: String| {
            if a != b {
                list.push(format!("{path}: {a}, then {b}"));
            }
        };
        compare(&mut labels, class(a, video), class(b, other));
        compare(&mut groups, video.group.clone(), other.group.clone());
        let rate = |fps: Option<f64>| fps.map_or("unknown".to_owned(), |fps| fps.to_string());
        compare(&mut rates, rate(video.fps), rate(other.fps));
        compare(&mut counts, video.frames.to_string(), other.frames.to_string());
        if frames && video.frames == other.frames && video.content != other.content {
            contents.push(path.clone());
        }
    }
    let paths = |set: &PackedSet| (0..set.len()).map(|video| Ok(set.path(video)?.to_owned())).collect::<Result<Vec<String>>>();
    let only_b: Vec<String> = paths(b)?.into_iter().filter(|path| !own.contains(path.as_str())).collect();
    let moved = only.is_empty() && only_b.is_empty();
    out.push("videos of the first set only", only);
    out.push("videos of the second set only", only_b);
    out.push("other labels", labels);
    out.push("other groups", groups);
    out.push("other rates", rates);
    out.push("other numbers of frames", counts);
    out.push("other frames or times", contents);
    if moved {
        names(out, "videos", &paths(a)?, &paths(b)?);
    }
    Ok(())
}
