//! A disk that is full, told so that one knows what to do.

use std::io;
use std::path::Path;

use anyhow::{Error, Result};

/// The error of a write to `path`.
pub(crate) trait Written<T> {
    fn written(self, path: &Path) -> Result<T>;
}

impl<T> Written<T> for io::Result<T> {
    fn written(self, path: &Path) -> Result<T> {
        self.map_err(|e| {
            let why = match e.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::WriteZero => {
                    ": the disk is full: make room on it, or give an --out on another disk"
                }
                io::ErrorKind::QuotaExceeded => ": your quota is used up: make room, or give an --out on another disk",
                io::ErrorKind::FileTooLarge => ": files may not grow so large here (`ulimit -f`): raise that limit",
                _ => "",
            };
            Error::new(e).context(format!("cannot write {}{why}", path.display()))
        })
    }
}
