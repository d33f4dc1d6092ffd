//! `clean`: back to a fresh checkout, or to one that is set up and built.

use crate::{sh, Result};

/// Removes what quickstart made, with `all` also what was fetched and built.
pub fn run(all: bool) -> Result<()> {
    let root = sh::root();
    let mut paths = vec![root.join("data/motion"), root.join("videos/motion")];
    if let Ok(runs) = std::fs::read_dir(root.join("runs")) {
        paths.extend(runs.flatten().map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("quickstart"))
        }));
    }
    if all {
        paths.extend([root.join(".deps"), sh::target()]);
    }
    for path in paths {
        if path.symlink_metadata().is_ok() {
            sh::remove(&path)?;
            eprintln!("removed {}", path.strip_prefix(&root).unwrap_or(&path).display());
        }
    }
    for parent in ["data", "videos", "runs"] {
        // Fails where something else is in it, which is then kept.
        let _ = std::fs::remove_dir(root.join(parent));
    }
    Ok(())
}
