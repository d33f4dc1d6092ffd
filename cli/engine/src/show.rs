//! `dv show`.

use crate::check;
use anyhow::{bail, Result};
use dv_cli::args::{Show, ShowFormat};
use dv_cli::out;

pub fn verb(args: &Show) -> Result<()> {
    if args.format != ShowFormat::Text {
        bail!("--format {:?}: not yet; `text` is there", args.format);
    }
    let checked = dv_graph::check::check(&args.graph.graph, &check::settings(&args.graph.with), &dv_nodes::library());
    let plan = check::plan(checked)?;
    out::line(dv_graph::show::text(&plan).trim_end())
}
