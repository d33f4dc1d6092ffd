//! What the fuzz targets share. dv reads files, so the input of a target becomes one.

use std::cell::OnceCell;
use std::path::Path;

use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// A folder of this thread's own, in memory where the system has such a place. What one input leaves, the next replaces.
pub fn folder<T>(work: impl FnOnce(&Path) -> T) -> T {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| {
            let memory = Path::new("/dev/shm");
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a temporary folder")
        });
        work(folder.path())
    })
}

/// Writes the input under that name and hands over the file's path.
pub fn file<T>(name: &str, content: &[u8], work: impl FnOnce(&Path) -> T) -> T {
    folder(|folder| {
        let path = folder.join(name);
        std::fs::write(&path, content).expect("the temporary folder takes a file");
        work(&path)
    })
}

/// What every reader of lists relies on: a class that is there, a path that stays below the folder of videos.
pub fn check_lists(lists: anyhow::Result<dv_datasets::splits::Lists>) {
    let lists = match lists {
        Ok(lists) => lists,
        Err(fault) => return assert!(!format!("{fault:#}").is_empty()),
    };
    for entry in lists.splits.iter().flat_map(|split| &split.entries) {
        assert!(entry.class.is_none_or(|class| (class as usize) < lists.classes.len()), "{entry:?}");
        let path = Path::new(&entry.path);
        assert!(path.is_relative() && path.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{entry:?}");
    }
}
