//! `docs`: the documents that are made from the code.

use crate::{quickstart, setup, sh, Result};

/// Writes `docs/nodes.md` and `schema/graph.json`; tests of the node library compare them.
pub fn run() -> Result<()> {
    setup::run(None)?;
    quickstart::build()?;
    write("docs/nodes.md", &["nodes"])?;
    write("schema/graph.json", &["nodes", "--format", "schema"])
}

fn write(name: &str, args: &[&str]) -> Result<()> {
    let dv = sh::target().join("release/dv");
    let text = sh::capture(&dv, args).ok_or_else(|| format!("`dv {}` failed", args.join(" ")))?;
    let path = sh::root().join(name);
    std::fs::write(&path, text).map_err(|fault| format!("{}: {fault}", path.display()))?;
    eprintln!("wrote {name}");
    Ok(())
}
