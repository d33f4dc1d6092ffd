//! What became of each file of a pack under way, a line each, so that the same command can go on.
//!
//! A line is the CRC-32 of its JSON in eight hex digits, a space, and the JSON. The first line says what the set is to be; a line that is
//! not whole, as a killed pack may leave it, ends the journal.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::catalogue::Entry;
use crate::file::{self, Limit};
use crate::full::Written;

/// A million videos take half of it.
const LIMIT: Limit = Limit::new(2_000_000_000, "the journal of a pack");

/// What decides the bytes of a set's shards: name and value of each.
pub(crate) type Terms = Vec<(String, String)>;

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub path: String,
    pub stamp: Stamp,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Packed(Box<Entry>),
    Rejected(String),
}

/// By what a file that has changed is known without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Files of a folder.
    files: u64,
}

impl Stamp {
    /// Of a file; of a folder over the files in it. Of what is not there it is that of nothing.
    pub fn of(path: &Path) -> Stamp {
        let mut stamp = Stamp::default();
        let mut add = |meta: &fs::Metadata| {
            stamp.bytes = stamp.bytes.wrapping_add(meta.len());
            stamp.modified = stamp.modified.max((meta.mtime(), meta.mtime_nsec()));
            stamp.files += 1;
        };
        if let Ok(meta) = fs::metadata(path) {
            add(&meta);
            let files = if meta.is_dir() { fs::read_dir(path).ok() } else { None };
            files.into_iter().flatten().flatten().filter_map(|entry| fs::metadata(entry.path()).ok()).for_each(|meta| add(&meta));
        }
        stamp
    }
}

/// A journal that is being written.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins a journal with what is kept of a former one, which it replaces.
    pub fn begin(path: &Path, terms: &Terms, kept: &[Done]) -> Result<Journal> {
        let mut text = line(terms)?;
        for done in kept {
            text += &line(done)?;
        }
        file::write(path, text.as_bytes(), false)?;
        let file = OpenOptions::new().append(true).open(path).written(path)?;
        Ok(Journal { path: path.to_owned(), file })
    }

    /// Writes a line.
    pub fn add(&mut self, done: &Done) -> Result<()> {
        self.file.write_all(line(done)?.as_bytes()).written(&self.path)
    }

    /// Returns once all lines are on disk.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().written(&self.path)
    }
}

/// What a journal says; `None` where there is none that says what the set is to be.
pub(crate) fn read(path: &Path) -> Result<Option<(Terms, Vec<Done>)>> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    let text = file::read(path, LIMIT)?;
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let Some(terms) = lines.next().and_then(parse) else { return Ok(None) };
    Ok(Some((terms, lines.map_while(parse).collect())))
}

fn line(of: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(of)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())))
}

fn parse<T: for<'a> Deserialize<'a>>(line: &[u8]) -> Option<T> {
    let json = line.strip_suffix(b"\n")?.get(9..).filter(|_| line[8] == b' ')?;
    let sum = std::str::from_utf8(&line[..8]).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok())?;
    (sum == crc32fast::hash(json)).then(|| serde_json::from_slice(json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        assert_eq!(read(&path).unwrap(), None);
        let terms: Terms = vec![("size".into(), "2x2".into())];
        let done = |path: &str| Done {
            path: path.into(),
            stamp: Stamp { bytes: 3, ..Stamp::default() },
            outcome: Outcome::Rejected("é\n".into()),
        };
        let mut journal = Journal::begin(&path, &terms, &[done("a")]).unwrap();
        journal.add(&done("b")).unwrap();
        assert_eq!(read(&path).unwrap(), Some((terms.clone(), vec![done("a"), done("b")])));
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            match read(&path).unwrap() {
                None => assert!(length < whole.iter().position(|b| *b == b'\n').unwrap() + 1),
                Some((found, all)) => assert!(found == terms && all.len() < 2 && all.iter().all(|one| *one == done("a"))),
            }
        }
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_ne!(read(&path).unwrap(), Some((terms.clone(), vec![done("a"), done("b")])), "byte {at}");
        }
    }
}
