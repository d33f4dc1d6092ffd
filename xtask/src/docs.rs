//! `docs`: the documents that are made from the code.

use crate::{quickstart, setup, sh, Result};

/// Writes `docs/nodes.md`, `schema/graph.json`, README's figure, `docs/faults.md` and `docs/papers`; tests of the crates compare them.
pub fn run() -> Result<()> {
    setup::run(None)?;
    quickstart::build()?;
    write("docs/nodes.md", &["nodes", "--format", "markdown"])?;
    write("schema/graph.json", &["nodes", "--format", "schema"])?;
    let graph = sh::root().join("graphs/ucf_r3d.toml").display().to_string();
    write("docs/figures/ucf_r3d.svg", &["show", &graph, "--format", "svg"])?;
    // the page of faults, what is told of each bad graph, and the pages of papers are written by the tests that else compare them
    for (test, written) in [("faults", "docs/faults.md"), ("papers", "docs/papers")] {
        let done = sh::cargo(&["test", "--release", "--workspace", "--test", test]).env("DV_WRITE", "1").status();
        if !done.is_ok_and(|s| s.success()) {
            return Err(format!("{written} could not be written: the test `{test}` of dv-graph failed"));
        }
        eprintln!("wrote {written}");
    }
    Ok(())
}

fn write(name: &str, args: &[&str]) -> Result<()> {
    let dv = sh::target().join("release/dv");
    let text = sh::capture(&dv, args).ok_or_else(|| format!("`dv {}` failed", args.join(" ")))?;
    let path = sh::root().join(name);
    std::fs::write(&path, text).map_err(|fault| format!("{}: {fault}", path.display()))?;
    eprintln!("wrote {name}");
    Ok(())
}
