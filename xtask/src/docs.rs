//! `docs`: the documents that are made from the code.

use crate::{quickstart, setup, sh, Result};

/// Writes `docs/nodes.md`; a test of the node library compares it.
pub fn run() -> Result<()> {
    setup::run(None)?;
    quickstart::build()?;
    let dv = sh::target().join("release/dv");
    let text = sh::capture(&dv, &["nodes"]).ok_or("`dv nodes` failed")?;
    let path = sh::root().join("docs/nodes.md");
    std::fs::write(&path, text).map_err(|fault| format!("{}: {fault}", path.display()))?;
    eprintln!("wrote docs/nodes.md");
    Ok(())
}
