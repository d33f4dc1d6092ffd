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
            "splits": v.splits,
            "frames": v.frames,
            "height": v.source_height,
            "width": v.source_width,
            "fps": v.fps,
            "sha256": v.source_sha256,
            "note": v.note,
        })
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
    line(format!("videos       {} in {} classes", set.videos.len(), set.classes.len()));
    for name in set.split_names() {
        let videos = set.split(name).unwrap_or_default();
        line(format!("split        {name}: {} videos", videos.len()));
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
