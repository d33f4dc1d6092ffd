//! Packs that go on, and packs that update a set: what must be as it was.

use anyhow::{ensure, Context, Result};

use super::PackOptions;
use crate::writer::{Terms, UPDATE_OF};
use crate::{text, Filter, PackedSet, SetOptions, SetWriter};

/// What decides the bytes of a set's shards. Lists do not: they may be corrected before a pack goes on.
pub(super) fn terms(set: &SetOptions, base: Option<&PackedSet>) -> Terms {
    let term = |name: &str, value: String| (name.to_owned(), value);
    vec![
        term("size", format!("{}x{}", set.height, set.width)),
        term("filter", set.filter.map_or("none", Filter::name).to_owned()),
        term("codec", set.codec.name().to_owned()),
        term("frames a block", set.block_frames.to_string()),
        term("bytes a shard", set.shard_bytes.to_string()),
        term("made by", set.made_by.clone()),
        term(UPDATE_OF, base.map_or("none", |base| &base.fingerprint).to_owned()),
    ]
}

/// Opens the set that is to be updated. An error where there is none, or where the options would not make one like it.
pub(super) fn base(options: &PackOptions) -> Result<PackedSet> {
    let base = PackedSet::open(&options.out).context("--update changes a set that is there; without it a new one is packed")?;
    let there = [
        ("size", format!("{}x{}", base.height, base.width), format!("{}x{}", options.size.0, options.size.1)),
        ("filter", base.filter.map_or("none", Filter::name).to_owned(), options.filter.name().to_owned()),
        ("codec", base.codec.name().to_owned(), options.codec.name().to_owned()),
        ("frames a block", base.block_frames.to_string(), options.block_frames.to_string()),
    ];
    let differing: Vec<String> =
        there.iter().filter(|(_, a, b)| a != b).map(|(name, a, b)| format!("its {name} is {a}, not {b}")).collect();
    ensure!(
        differing.is_empty(),
        "{} cannot be updated: {}: give what it was packed with, or pack into another --out",
        options.out.display(),
        differing.join("; ")
    );
    Ok(base)
}

/// Says that the new videos of an updated set are decoded by another program than the others.
pub(super) fn other_maker(base: &PackedSet, set: &SetOptions) -> Option<String> {
    (base.made_by != set.made_by).then(|| {
        format!("the set was packed by {}, and what is new in it is by {}: frames may differ in places", base.made_by, set.made_by)
    })
}

/// What a pack that ends early leaves, and how to go on.
pub(super) fn what_is_left(options: &PackOptions, writer: &mut SetWriter) -> String {
    let out = text::path(&options.out);
    let done = writer.videos().len();
    let verb = if options.update { "updated" } else { "made" };
    if writer.is_kept() {
        let videos = if done == 1 { "1 video is".to_owned() } else { format!("{done} videos are") };
        format!("{out} is not {verb}; {videos} in {}: the same command goes on with them", text::path(writer.unfinished()))
    } else {
        format!("{out} is not {verb}")
    }
}
