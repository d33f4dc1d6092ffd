//! `dv inspect`: what a packed set holds.

use crate::args::Inspect;
use crate::out;
use anyhow::Result;
use dv_datasets::{inspect_json, inspect_text, PackedSet};

pub fn run(args: &Inspect) -> Result<()> {
    let set = PackedSet::open(&args.dir)?;
    if args.json {
        return out::line(serde_json::to_string_pretty(&inspect_json(&set))?);
    }
    out::line(inspect_text(&set).trim_end())
}
