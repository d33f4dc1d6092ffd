//! `dv show`.

use crate::check;
use crate::kinds::Kinds;
use anyhow::Result;
use dv_cli::args::{Show, ShowFormat};
use dv_cli::out;
use dv_graph::show;

pub fn verb(args: &Show, kinds: &Kinds) -> Result<()> {
    let plan = check::one(&args.graph, kinds)?;
    let text = match args.format {
        ShowFormat::Text => show::text(&plan),
        ShowFormat::Dot => show::dot(&plan),
        ShowFormat::Svg => show::svg(&plan),
        ShowFormat::Json => serde_json::to_string_pretty(&show::json(&plan))?,
    };
    out::line(text.trim_end())
}
