//! What a packed set holds, for people and for programs: `dv inspect`, and the summary of `dv pack`.

mod difference;
mod facts;

use std::fmt::Write;

use anyhow::Result;
use serde_json::{json, Value};

use crate::{overlap, text, PackedSet};
pub use difference::{difference, Difference};
pub(crate) use facts::NO_FILE;
use facts::{Facts, Spread};

/// How many elements of a list people are shown.
const SHOWN: usize = 12;

/// The document of `dv inspect --json`: everything, however long.
pub fn inspect_json(set: &PackedSet) -> Result<Value> {
    let facts = Facts::of(set)?;
    let class = |c: u32| set.classes[c as usize].as_str();
    let mut splits_of = set.splits_of_videos()?;
    let mut videos = Vec::new();
    for (place, v) in set.videos().enumerate() {
        let v = v?;
        videos.push(json!({
            "path": v.path,
            "class": v.class.map(class),
            "group": v.group,
            "splits": splits_of.remove(&place).unwrap_or_default(),
            "frames": v.frames,
            "height": v.source_height,
            "width": v.source_width,
            "fps": v.fps,
            "sha256": v.source_sha256,
            "note": v.note,
        }));
    }
    let mut splits = Vec::new();
    for split in &facts.splits {
        let mut missing = Vec::new();
        for (row, path) in &split.missing {
            let list = set.listed(split.name, *row)?.map(|(file, line)| format!("{file}:{line}"));
            missing.push(json!({ "row": row, "path": path, "list": list }));
        }
        splits.push(json!({ "name": split.name, "videos": split.videos, "rows": split.rows, "missing": missing }));
    }
    let spread = |s: &Spread| json!({ "minimum": s.minimum, "median": s.median, "maximum": s.maximum });
    let overlaps = facts.overlaps.iter().map(|(train, test, shared)| {
        json!({ "train": train, "test": test, "paths": shared.paths, "files": shared.files, "groups": shared.groups })
    });
    Ok(json!({
        "fingerprint": set.fingerprint,
        "name": set.name,
        "height": set.height,
        "width": set.width,
        "streams": set.streams,
        "codec": set.codec,
        "filter": set.filter,
        "block_frames": set.block_frames,
        "bytes": set.shard_bytes(),
        "classes": set.classes,
        "class_videos": facts.classes.iter().map(|(_, videos)| videos).collect::<Vec<_>>(),
        "unlabelled": facts.unlabelled,
        "lengths": spread(&facts.lengths),
        "rates": facts.rates.as_ref().map(spread),
        "unrated": facts.unrated,
        "splits": splits,
        "overlaps": overlaps.collect::<Vec<_>>(),
        "two_classes": facts.two_classes,
        "videos": videos,
        "rejected": set.rejected()?,
    }))
}

/// The same for people: a few lines, the longer lists cut.
pub fn inspect_text(set: &PackedSet) -> Result<String> {
    let facts = Facts::of(set)?;
    let frames = facts.frames;
    let bytes = set.shard_bytes();
    let groups = match set.groups()? {
        groups if groups < set.len() => format!(", {groups} groups"),
        _ => String::new(),
    };
    let mut lines = vec![
        ("set", format!("{} ({})", set.name, set.dir().display())),
        ("fingerprint", set.fingerprint.clone()),
        (
            "frames",
            format!(
                "{frames} of {} high, {} wide, {} ({}), codec {}, {} a block",
                set.height,
                set.width,
                set.streams.join(", "),
                set.filter.map_or("made at this size", |f| f.name()),
                set.codec.name(),
                set.block_frames,
            ),
        ),
        ("size", format!("{:.1} MB, {} bytes a frame", bytes as f64 / 1e6, bytes / frames.max(1))),
        ("videos", format!("{} in {} classes{groups}", set.len(), set.classes.len())),
    ];
    lines.extend(summarise(set, &facts));
    let mut out = String::new();
    for (label, line) in lines {
        writeln!(out, "{label:<12} {}", text::line(&line))?;
    }
    Ok(out)
}

/// Classes, splits, lengths, rates, and what a user should look at: lines with a label each, the longer lists cut.
pub fn summary(set: &PackedSet) -> Result<Vec<(&'static str, String)>> {
    Ok(summarise(set, &Facts::of(set)?))
}

fn summarise(set: &PackedSet, facts: &Facts) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    cut(&mut lines, "class", facts.classes.iter().map(|(class, videos)| format!("{class}: {videos}")));
    if !facts.unlabelled.is_empty() {
        let (count, names) = (facts.unlabelled.len(), names(&facts.unlabelled));
        lines.push(("unlabelled", format!("{count} of {} videos have no class: {names}", set.len())));
    }
    for split in &facts.splits {
        let missing = match split.missing.len() {
            0 => String::new(),
            missing => format!(", {missing} of its {} rows missing", split.rows),
        };
        lines.push(("split", format!("{}: {} videos{missing}", split.name, split.videos)));
    }
    let Spread { minimum, median, maximum } = facts.lengths;
    lines.push(("lengths", format!("{minimum} to {maximum} frames, median {median}")));
    let unrated = match facts.unrated {
        0 => String::new(),
        count => format!("; unknown for {count} videos"),
    };
    lines.push(match &facts.rates {
        Some(s) => ("rates", format!("{} to {} frames/s, median {}{unrated}", rate(s.minimum), rate(s.maximum), rate(s.median))),
        None => ("rates", "unknown".to_owned()),
    });
    for split in facts.splits.iter().filter(|split| !split.no_file.is_empty()) {
        let (count, names) = (split.no_file.len(), names(&split.no_file));
        lines.push(("missing", format!("{}: {count} of {} rows have no file: {names}", split.name, split.rows)));
    }
    cut(&mut lines, "note", facts.notes.iter().map(|(path, note)| format!("{path}: {note}")));
    cut(&mut lines, "rejected", facts.rejected.iter().map(|r| format!("{}: {}", r.path, r.reason)));
    lines.extend(facts.overlaps.iter().flat_map(|(train, test, shared)| shared.lines(train, test)).map(|line| ("overlap", line)));
    lines.extend(overlap::two_classes_line(&facts.two_classes).map(|line| ("overlap", line)));
    lines
}

/// A line for each element, and how many more there are.
fn cut(lines: &mut Vec<(&'static str, String)>, label: &'static str, list: impl ExactSizeIterator<Item = String>) {
    let more = list.len().saturating_sub(SHOWN);
    lines.extend(list.take(SHOWN).map(|line| (label, line)));
    if more > 0 {
        lines.push((label, format!("and {more} more (dv inspect --json lists all)")));
    }
}

/// The first of a list, in one line.
pub(crate) fn names<S: AsRef<str>>(list: &[S]) -> String {
    const NAMES: usize = 3;
    let first: Vec<&str> = list.iter().take(NAMES).map(AsRef::as_ref).collect();
    match list.len().saturating_sub(NAMES) {
        0 => first.join(", "),
        more => format!("{}, and {more} more", first.join(", ")),
    }
}

/// Frames a second with three digits at most behind the point.
fn rate(fps: f64) -> f64 {
    (fps * 1e3).round() / 1e3
}
