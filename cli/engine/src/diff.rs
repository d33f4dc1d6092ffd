//! `dv diff`.

use crate::check;
use crate::kinds::Kinds;
use anyhow::Result;
use dv_cli::args::{Diff, DocumentFormat};
use dv_cli::exit::Exit;
use dv_cli::out;
use dv_datasets::text;
use dv_graph::diff;

pub fn verb(args: &Diff, kinds: &Kinds) -> Result<()> {
    // the faults of both are told before either ends it
    let sides = [(&args.a, args.point_a.as_deref()), (&args.b, args.point_b.as_deref())];
    let read = sides.map(|(graph, point)| (graph, point, check::read(graph, point, &args.with, kinds)));
    let mut plans = Vec::new();
    for (graph, point, checked) in read {
        check::point(graph, point, &checked)?;
        // notes, as of a set that is missing, are no difference
        if !checked.faults.is_empty() {
            check::tell(graph, &checked.sources, &checked.faults);
        }
        plans.extend(checked.plan.filter(|_| checked.faults.is_empty()));
    }
    let [a, b] = plans.as_slice() else { return Err(Exit::INPUT.into()) };
    let found = diff::diff(a, b);
    match args.format {
        DocumentFormat::Json => out::line(serde_json::to_string_pretty(&diff::json(&found))?),
        DocumentFormat::Text => out::line(diff::text(&found, &text::path(&args.a), &text::path(&args.b)).trim_end()),
    }
}
