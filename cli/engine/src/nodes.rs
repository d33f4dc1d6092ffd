//! `dv nodes`.

use crate::kinds::Kinds;
use anyhow::Result;
use dv_cli::args::{Nodes, NodesFormat};
use dv_cli::exit::Exit;
use dv_cli::out;
use dv_graph::kind::{Entry, Library};
use dv_graph::{docs, editor, fault};

pub fn verb(args: &Nodes, kinds: &Kinds) -> Result<()> {
    let library = kinds.library();
    let entries = match &args.kind {
        None => library.entries().collect(),
        Some(name) => named(&library, name)?,
    };
    let one = args.kind.as_ref().is_some_and(|name| library.get(name).is_some());
    match args.format {
        NodesFormat::Json => out::line(serde_json::to_string_pretty(&docs::json(&entries))?),
        NodesFormat::Schema => out::line(serde_json::to_string_pretty(&editor::schema(&library)?)?),
        NodesFormat::Markdown if args.kind.is_none() => out::line(docs::library(&library).trim_end()),
        NodesFormat::Text if !one => out::line(docs::list(&entries).trim_end()),
        NodesFormat::Text | NodesFormat::Markdown => {
            let whole: Vec<String> = entries.iter().map(|entry| docs::kind(entry)).collect();
            out::line(whole.join("\n").trim_end())
        }
    }
}

/// The kind of a name, or the kinds of a family.
fn named(library: &Library, name: &str) -> Result<Vec<&'static Entry>> {
    if let Some(entry) = library.get(name) {
        return Ok(vec![entry]);
    }
    let family: Vec<&Entry> = library.entries().filter(|e| e.family() == name).collect();
    if !family.is_empty() {
        return Ok(family);
    }
    let names: Vec<&str> = library.entries().flat_map(|e| [e.name, e.family()]).collect();
    let near = fault::nearest(name, &names).map_or("`dv nodes` lists them".to_string(), |n| format!("did you mean `{n}`?"));
    out::note(format_args!("error: there is no kind or family `{name}`; {near}"));
    Err(Exit::INPUT.into())
}
