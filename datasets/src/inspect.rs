//! What a packed set holds, for people and for programs: `dv inspect`.

use std::fmt::Write;

use serde_json::{json, Value};

use crate::PackedSet;

/// The document of `dv inspect --json`.
pub fn inspect_json(set: &PackedSet) -> Value {
    let class = |c: u32| set.classes[c as usize].as_str();
    let videos = set.videos.iter().map(|v| {
        json!({
            "path": v.path,
            "class": v.class.map(class),
            "group": v.group,
            "splits": v.splits,
            "frames": v.frames,
            "height": v.source_height,
            "width": v.source_width,
            "fps": v.fps,
            "sha256": v.source_sha256,
            "note": v.note,
        })
    });
    let splits = set.split_names().into_iter().filter_map(|name| {
        let rows = set.split_rows(name)?;
        let missing = rows.missing.iter().map(|(row, path)| json!({ "row": row, "path": path }));
        Some(json!({ "name": name, "rows": rows.rows, "missing": missing.collect::<Vec<_>>() }))
    });
    json!({
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
        "splits": splits.collect::<Vec<_>>(),
        "videos": videos.collect::<Vec<_>>(),
        "rejected": set.rejected,
    })
}

/// The same for people: a few lines, then what was rejected or noted.
pub fn inspect_text(set: &PackedSet) -> String {
    let frames: u64 = set.videos.iter().map(|v| v.frames as u64).sum();
    let mut text = String::new();
    let mut line = |s: String| writeln!(text, "{}", crate::text::line(&s)).expect("writing to a String cannot fail");
    line(format!("set          {} ({})", set.name, set.dir().display()));
    line(format!("fingerprint  {}", set.fingerprint));
    line(format!(
        "frames       {frames} of {} high, {} wide, {} ({}), codec {}, {} a block",
        set.height,
        set.width,
        set.streams.join(", "),
        set.filter.map_or("made at this size", |f| f.name()),
        set.codec.name(),
        set.block_frames,
    ));
    let bytes = set.shard_bytes();
    line(format!("size         {:.1} MB, {} bytes a frame", bytes as f64 / 1e6, bytes / frames.max(1)));
    let groups = match set.groups() {
        groups if groups < set.videos.len() => format!(", {groups} groups"),
        _ => String::new(),
    };
    line(format!("videos       {} in {} classes{groups}", set.videos.len(), set.classes.len()));
    for name in set.split_names() {
        let Some(rows) = set.split_rows(name) else { continue };
        let missing = match rows.missing.len() {
            0 => String::new(),
            missing => format!(", {missing} of its {} rows missing", rows.rows),
        };
        line(format!("split        {name}: {} videos{missing}", rows.videos.len()));
    }
    for video in &set.videos {
        if let Some(note) = &video.note {
            line(format!("note         {}: {note}", video.path));
        }
    }
    for rejected in &set.rejected {
        line(format!("rejected     {}: {}", rejected.path, rejected.reason));
    }
    text
}
