//! `dv inspect`: what a packed set holds, and what differs between two.

use crate::args::Inspect;
use crate::exit::Exit;
use crate::out;
use anyhow::Result;
use dv_datasets::{difference, inspect_json, inspect_text, text, PackedSet};

pub fn run(args: &Inspect) -> Result<()> {
    let set = PackedSet::open(&args.dir)?;
    match &args.other {
        Some(other) => compare(args, &set, &PackedSet::open(other)?),
        None if args.json => out::line(serde_json::to_string_pretty(&inspect_json(&set)?)?),
        None => out::line(inspect_text(&set)?.trim_end()),
    }
}

/// Prints what differs; the exit status says whether anything does.
fn compare(args: &Inspect, set: &PackedSet, other: &PackedSet) -> Result<()> {
    let difference = difference(set, other)?;
    let [first, second] = [set, other].map(|set| text::path(set.dir()));
    if args.json {
        out::line(serde_json::to_string_pretty(&difference.json())?)?;
    } else if difference.is_empty() {
        out::line(format_args!("{first} and {second} have the same content: fingerprint {}", set.fingerprint))?;
    } else {
        out::line(format_args!("{first}, the first set, and {second}, the second, differ:\n{}", difference.text()))?;
    }
    if difference.is_empty() {
        return Ok(());
    }
    Err(Exit::INPUT.into())
}
