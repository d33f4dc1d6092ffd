//! Files that others made: only regular ones are read, whole ones only up to a limit; and names that become paths.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{bail, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::full::Written;
use crate::text;

/// How large a sort of file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub bytes: u64,
    /// What such a file is, for errors: `a graph file`.
    pub of: &'static str,
}

impl Limit {
    pub const fn new(bytes: u64, of: &'static str) -> Limit {
        Limit { bytes, of }
    }
}

/// A file that cannot be read. Its text names the file and says why.
#[derive(Debug)]
pub struct Unreadable {
    pub path: PathBuf,
    pub why: Why,
}

/// Why a file cannot be read.
#[derive(Debug)]
pub enum Why {
    /// It is another thing: `a FIFO`.
    Sort(&'static str),
    TooLarge(Limit),
    /// Not UTF-8 from this line on.
    NotText {
        line: usize,
    },
    Io(io::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", text::path(&self.path), self.why)
    }
}

impl std::error::Error for Unreadable {}

impl std::error::Error for Why {}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Sort(sort) => write!(f, "it is {sort}, not a regular file"),
            Why::TooLarge(limit) => write!(f, "it is larger than {}, the limit of {}", size(limit.bytes), limit.of),
            Why::NotText { line } => write!(f, "line {line} is not UTF-8 text"),
            Why::Io(error) if error.kind() == io::ErrorKind::NotFound => f.write_str("there is no such file"),
            Why::Io(error) if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) => {
                write!(f, "{error}: raise the limit on open files (`ulimit -n`)")
            }
            Why::Io(error) => error.fmt(f),
        }
    }
}

/// `1 MB`
fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

/// Opens a regular file for reading. A FIFO, a device, a socket or a folder is an error and never waited for.
pub fn open(path: &Path) -> Result<File, Unreadable> {
    let open = || -> Result<File, Why> {
        regular(&fs::metadata(path)?)?;
        // what took the file's place meanwhile is not waited for either
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
        regular(&file.metadata()?)?;
        Ok(file)
    };
    open().map_err(|why| Unreadable { path: path.to_owned(), why })
}

/// Reads a regular file whole. One that is larger than the limit, or grows beyond it, is an error before more is read.
pub fn read(path: &Path, limit: Limit) -> Result<Vec<u8>, Unreadable> {
    let unreadable = |why| Unreadable { path: path.to_owned(), why };
    let file = open(path)?;
    let whole = || -> Result<Vec<u8>, Why> {
        let length = file.metadata()?.len();
        if length > limit.bytes {
            return Err(Why::TooLarge(limit));
        }
        let mut content = Vec::new();
        content.try_reserve_exact(length as usize).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        (&file).take(limit.bytes + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit.bytes {
            return Err(Why::TooLarge(limit));
        }
        Ok(content)
    };
    whole().map_err(unreadable)
}

/// Reads a regular file of UTF-8 text whole.
pub fn read_text(path: &Path, limit: Limit) -> Result<String, Unreadable> {
    String::from_utf8(read(path, limit)?).map_err(|e| {
        let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        Unreadable { path: path.to_owned(), why: Why::NotText { line } }
    })
}

/// What the name of a file that is being written begins with.
pub const TEMPORARY: &str = ".dv-temporary-";

/// Writes a file whole, or leaves what was there: under a name of its own beside it, which then becomes `path`. With `fsync` it returns once
/// file and folder are on disk.
pub fn write(path: &Path, content: &[u8], fsync: bool) -> Result<()> {
    write_parts(path, fsync, |put| put(0, content))
}

/// The same for a file that is never whole in memory: `fill` puts bytes at places of it.
pub fn write_parts(path: &Path, fsync: bool, fill: impl FnOnce(&dyn Fn(u64, &[u8]) -> Result<()>) -> Result<()>) -> Result<()> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    if path.is_dir() {
        bail!("cannot write {}: it is a folder, not a file", path.display());
    }
    // a bare name has the empty path above it
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = || folder.join(format!("{TEMPORARY}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    let mut temporary = name();
    let mut create = || loop {
        match File::create_new(&temporary) {
            // Left by a killed process that had the same number, as the only one of a container often has.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => temporary = name(),
            other => return other,
        }
    };
    let created = create();
    let finish = |file: &File| -> io::Result<()> {
        if fsync {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)?;
        if fsync {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    let run = || -> Result<()> {
        let file = created.written(path)?;
        fill(&|at, bytes| file.write_all_at(bytes, at).written(path))?;
        finish(&file).written(path)
    };
    run().inspect_err(|_| {
        // on a full disk what was written of it takes the room that is missing
        let _ = fs::remove_file(&temporary);
    })
}

/// Whether a file begins as checkpoints of PyTorch do: a zip archive, or a pickle of torch's mark.
pub fn is_torch(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"\x80\x02\x8a\x0a")
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Why {
        Why::Io(error)
    }
}

fn regular(meta: &fs::Metadata) -> Result<(), Why> {
    let sort = meta.file_type();
    let sorts = [
        (sort.is_file(), ""),
        (sort.is_dir(), "a folder"),
        (sort.is_fifo(), "a FIFO"),
        (sort.is_socket(), "a socket"),
        (sort.is_char_device() || sort.is_block_device(), "a device"),
    ];
    match sorts.into_iter().find(|(is, _)| *is) {
        Some((_, "")) => Ok(()),
        other => Err(Why::Sort(other.map_or("a special file", |(_, name)| name))),
    }
}

/// What a file system takes for one name.
const NAME_BYTES: usize = 255;

/// Why a name cannot be that of a file or folder right below another folder; nothing where it can.
pub fn not_plain(name: &str) -> Option<&'static str> {
    let reasons = [
        (name.is_empty(), "it is empty"),
        (name.contains(['/', '\\']), "it holds a separator of folders"),
        (name.starts_with('.'), "it begins with a dot"),
        (text::line(name) != name || name.contains('\t'), "it holds a control character"),
        (name.len() > NAME_BYTES, "it is longer than 255 bytes"),
    ];
    reasons.into_iter().find(|(is, _)| *is).map(|(_, reason)| reason)
}

/// The file or folder of that name right below `folder`: nowhere else, whatever the name holds.
pub fn below(folder: &Path, name: &str) -> Result<PathBuf> {
    if let Some(reason) = not_plain(name) {
        bail!("`{}` cannot be the name of a file or folder: {reason}", text::line(name));
    }
    Ok(folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const SMALL: Limit = Limit::new(1000, "a test's file");

    #[test]
    fn a_whole_file_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, [b'x'; 1000]).unwrap();
        assert_eq!(read(&path, SMALL).unwrap().len(), 1000);
        fs::write(&path, [b'x'; 1001]).unwrap();
        assert_eq!(
            read(&path, SMALL).unwrap_err().to_string(),
            format!("cannot read {}: it is larger than 1 kB, the limit of a test's file", path.display())
        );
        fs::write(&path, b"a\nb\xff").unwrap();
        assert!(read_text(&path, SMALL).unwrap_err().to_string().ends_with("line 2 is not UTF-8 text"));
        assert!(read(&dir.path().join("none"), SMALL).unwrap_err().to_string().ends_with("there is no such file"));
    }

    /// A sparse file of any size costs nothing, and a file whose length says nothing stops at the limit.
    #[test]
    fn a_length_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 43).unwrap();
        assert!(matches!(read(&path, SMALL).unwrap_err().why, Why::TooLarge(_)));
        // its length is told as 0, and it has more than 10 bytes
        let status = read(Path::new("/proc/self/status"), Limit::new(10, "a test's file"));
        assert!(matches!(status.unwrap_err().why, Why::TooLarge(_)));
    }

    #[test]
    fn what_is_no_regular_file_is_named_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let socket = dir.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for (path, sort) in [
            (fifo.as_path(), "it is a FIFO, not a regular file"),
            (&link, "it is a FIFO, not a regular file"),
            (&socket, "it is a socket, not a regular file"),
            (Path::new("/dev/zero"), "it is a device, not a regular file"),
            (dir.path(), "it is a folder, not a regular file"),
        ] {
            let told = read(path, SMALL).unwrap_err().to_string();
            assert!(told.contains(path.to_str().unwrap()) && told.ends_with(sort), "{told}");
            assert!(matches!(open(path).unwrap_err().why, Why::Sort(_)));
        }
    }

    #[test]
    fn names_that_become_paths() {
        let folder = Path::new("data");
        for good in ["ucf101", "my set", "a-b_c.d", "日本", &"x".repeat(255)] {
            assert_eq!(below(folder, good).unwrap(), folder.join(good));
        }
        for bad in
            ["", ".", "..", ".hidden", "/etc", "a/b", "../x", "a\\b", "a\nb", "a\tb", "a\u{1b}[0m", "\u{202e}x", "a\0", &"x".repeat(256)]
        {
            assert!(below(folder, bad).is_err(), "{bad:?}");
        }
    }
}
