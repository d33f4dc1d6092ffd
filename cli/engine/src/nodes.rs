//! `dv nodes`.

use crate::kinds::Kinds;
use anyhow::Result;
use dv_cli::args::{Nodes, NodesFormat};
use dv_cli::exit::Exit;
use dv_cli::out;
use dv_graph::{docs, editor, fault};

pub fn verb(args: &Nodes, kinds: &Kinds) -> Result<()> {
    let library = kinds.library();
    let entries: Vec<_> = match &args.kind {
        None => library.entries().collect(),
        Some(name) => match library.get(name) {
            Some(entry) => vec![entry],
            None => {
                let names: Vec<&str> = library.entries().map(|e| e.name).collect();
                let near = fault::nearest(name, &names).map_or("`dv nodes` lists all".to_string(), |n| format!("did you mean `{n}`?"));
                out::note(format_args!("error: there is no kind `{name}`; {near}"));
                return Err(Exit::INPUT.into());
            }
        },
    };
    match (args.format, &args.kind) {
        (NodesFormat::Json, _) => out::line(serde_json::to_string_pretty(&docs::json(&entries))?),
        (NodesFormat::Schema, _) => out::line(serde_json::to_string_pretty(&editor::schema(&library)?)?),
        (NodesFormat::Text, Some(_)) => out::line(docs::kind(entries[0]).trim_end()),
        (NodesFormat::Text, None) => out::line(docs::library(&library).trim_end()),
    }
}
