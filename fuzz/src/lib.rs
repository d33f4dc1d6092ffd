//! What the fuzz targets share. dv reads files, so the input of a target becomes one.

use std::cell::OnceCell;
use std::path::Path;

use dv_datasets::{PackedSet, SetOptions, SetWriter, VideoMeta};
use tempfile::TempDir;

#[path = "../../datasets/tests/common/seal.rs"]
pub mod seal;

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

/// The first bytes of a shard of codec `rgb`, with so many frames a block.
pub fn shard_head(block_frames: u32) -> Vec<u8> {
    let json = format!(r#"{{"stream":"rgb","codec":"rgb","filter":null,"block_frames":{block_frames}}}"#);
    let mut head = b"DVSHARD\0".to_vec();
    head.extend(dv_datasets::shard::VERSION.to_le_bytes());
    head.extend((json.len() as u32).to_le_bytes());
    head.extend(json.as_bytes());
    head.extend(crc32fast::hash(&head).to_le_bytes());
    head
}

/// A set of two videos in the folder, made anew.
pub fn small_set(folder: &Path) -> std::path::PathBuf {
    let set = folder.join("set");
    // of the input before
    let _ = std::fs::remove_dir_all(&set);
    let options = SetOptions { classes: vec!["a".into()], fsync: false, ..SetOptions::new("set", 4, 4) };
    let mut writer = SetWriter::create(&set, options).expect("the temporary folder takes a set");
    for (path, class) in [("a/1.avi", Some(0)), ("2.avi", None)] {
        let meta = VideoMeta { path: path.into(), class, splits: vec!["all".into()], ..VideoMeta::default() };
        writer.add_video(meta, [[7u8; 48]; 3]).expect("a video");
    }
    writer.reject("3.txt", "no video");
    writer.finish().expect("a set");
    set
}

/// Reads all of a set: an error, or all of it.
pub fn read(set: &Path) -> anyhow::Result<()> {
    let set = PackedSet::open(set)?;
    dv_datasets::inspect_json(&set)?;
    let mut frame = vec![0; set.frame_len()];
    for video in 0..set.len().min(100) {
        set.timestamps(video)?;
        for number in 0..set.frames(video)?.min(100) {
            set.read_frames(video, &[number], &mut frame)?;
        }
    }
    Ok(())
}
