//! The entries of a zip archive as torch writes it: stored, without compression, in one file.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{bail, ensure, Context, Result};

/// Where an entry's bytes lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub at: u64,
    pub length: u64,
    crc: u32,
}

/// The end of an archive with its comment is looked for in so many bytes.
const TAIL: u64 = 22 + 0xffff;
/// The largest directory that is read.
const DIRECTORY: u64 = 64_000_000;

const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;

fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<u64> {
    let part = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).context("the zip directory is truncated")?;
    let mut whole = [0; 8];
    whole[..N].copy_from_slice(part);
    Ok(u64::from_le_bytes(whole))
}

/// Bytes of a file, once it is known to have them.
pub fn bytes(file: &File, length: u64, at: u64, count: u64) -> Result<Vec<u8>> {
    let end = at.checked_add(count).filter(|end| *end <= length);
    ensure!(end.is_some(), "the file is truncated: {count} bytes are needed at byte {at}, and it has {length}");
    let mut content = Vec::new();
    content.try_reserve_exact(count as usize).context("no memory")?;
    content.resize(count as usize, 0);
    file.read_exact_at(&mut content, at).context("cannot read the file")?;
    Ok(content)
}

/// Entries by name.
pub fn entries(file: &File, length: u64) -> Result<HashMap<String, Entry>> {
    let tail_at = length.saturating_sub(TAIL);
    let tail = bytes(file, length, tail_at, length - tail_at)?;
    let end = tail.windows(4).rposition(|w| w == END.to_le_bytes()).context("the zip archive is truncated: it has no directory")?;
    let comment = number::<2>(&tail, end + 20)?;
    ensure!(end as u64 + 22 + comment <= tail.len() as u64, "the zip archive is truncated at its end");
    let [mut count, mut size, mut at] = [number::<2>(&tail, end + 10)?, number::<4>(&tail, end + 12)?, number::<4>(&tail, end + 16)?];
    let mut limit = tail_at + end as u64;
    if let Some(locator) = end.checked_sub(20).filter(|at| number::<4>(&tail, *at).is_ok_and(|n| n == u64::from(LOCATOR64))) {
        limit = number::<8>(&tail, locator + 8)?;
        let end64 = bytes(file, length, limit, 56)?;
        ensure!(number::<4>(&end64, 0)? == u64::from(END64), "the zip directory is damaged");
        [count, size, at] = [number::<8>(&end64, 32)?, number::<8>(&end64, 40)?, number::<8>(&end64, 48)?];
    }
    ensure!(at.checked_add(size).is_some_and(|end| end <= limit), "the zip directory is damaged: it lies beyond its end");
    ensure!(size <= DIRECTORY, "the zip directory has {size} bytes, more than {DIRECTORY}");
    let directory = bytes(file, length, at, size)?;
    let mut found = HashMap::new();
    let mut next = 0;
    for _ in 0..count {
        let (name, entry, after) = entry(file, length, &directory, next)?;
        next = after;
        if found.insert(name.clone(), entry).is_some() {
            bail!("the zip archive has two entries `{name}`");
        }
    }
    ensure!(next as u64 == size, "the zip directory is damaged: it has {size} bytes, of which its entries account for {next}");
    apart(&found, at)?;
    Ok(found)
}

/// No two entries share bytes, and none lies in the directory: an archive that is small and holds much is refused here.
fn apart(entries: &HashMap<String, Entry>, directory: u64) -> Result<()> {
    let mut sorted: Vec<(&String, &Entry)> = entries.iter().filter(|(_, e)| e.length > 0).collect();
    sorted.sort_by_key(|(_, e)| e.at);
    for (i, (name, e)) in sorted.iter().enumerate() {
        let limit = sorted.get(i + 1).map_or(directory, |(_, next)| next.at);
        ensure!(e.at + e.length <= limit, "the zip entry `{name}` overlaps what lies behind it");
    }
    Ok(())
}

fn entry(file: &File, length: u64, directory: &[u8], at: usize) -> Result<(String, Entry, usize)> {
    ensure!(number::<4>(directory, at)? == u64::from(CENTRAL), "the zip directory is damaged at byte {at} of it");
    let (flags, method) = (number::<2>(directory, at + 8)?, number::<2>(directory, at + 10)?);
    let crc = number::<4>(directory, at + 16)? as u32;
    let [mut packed, mut size] = [number::<4>(directory, at + 20)?, number::<4>(directory, at + 24)?];
    let [name_length, extra_length, comment] =
        [number::<2>(directory, at + 28)? as usize, number::<2>(directory, at + 30)? as usize, number::<2>(directory, at + 32)? as usize];
    let mut local = number::<4>(directory, at + 42)?;
    let name = directory.get(at + 46..at + 46 + name_length).context("the zip directory is truncated")?;
    let name = std::str::from_utf8(name).context("a zip entry's name is not UTF-8")?.to_string();
    let extra = directory.get(at + 46 + name_length..at + 46 + name_length + extra_length).context("the zip directory is truncated")?;
    // sizes beyond 32 bits, in this order, each only where the short one is full
    let mut wide = zip64(extra).unwrap_or_default();
    for value in [&mut size, &mut packed, &mut local] {
        if *value == u64::from(u32::MAX) {
            *value = number::<8>(wide, 0).with_context(|| format!("the zip entry `{name}` lacks its size"))?;
            wide = &wide[8..];
        }
    }
    ensure!(flags & 1 == 0, "the zip entry `{name}` is encrypted");
    if method != 0 {
        bail!("the zip entry `{name}` is compressed, as torch never writes it: unpack the archive and pack it with `zip -0 -r`");
    }
    ensure!(packed == size, "the zip entry `{name}` has two sizes: {packed} and {size}");
    let head = bytes(file, length, local, 30).with_context(|| format!("the zip entry `{name}`"))?;
    ensure!(number::<4>(&head, 0)? == u64::from(LOCAL), "the zip entry `{name}` does not begin where the directory says");
    let start = local + 30 + number::<2>(&head, 26)? + number::<2>(&head, 28)?;
    let end = start.checked_add(size).filter(|end| *end <= length);
    ensure!(end.is_some(), "the file is truncated: the zip entry `{name}` of {size} bytes begins at byte {start} of {length}");
    Ok((name, Entry { at: start, length: size, crc }, at + 46 + name_length + extra_length + comment))
}

/// The extra field of sizes beyond 32 bits.
fn zip64(mut extra: &[u8]) -> Option<&[u8]> {
    loop {
        let (id, size) = (number::<2>(extra, 0).ok()?, number::<2>(extra, 2).ok()? as usize);
        let content = extra.get(4..4 + size)?;
        if id == 1 {
            return Some(content);
        }
        extra = &extra[4 + size..];
    }
}

impl Entry {
    /// The entry's bytes, compared with its checksum. Torch leaves the checksum 0 where it is told to compute none.
    pub fn read(&self, file: &File, length: u64, name: &str) -> Result<Vec<u8>> {
        let content = bytes(file, length, self.at, self.length)?;
        self.check(crc32fast::hash(&content), name)?;
        Ok(content)
    }
    pub fn check(&self, crc: u32, name: &str) -> Result<()> {
        ensure!(self.crc == 0 || crc == self.crc, "the zip entry `{name}` fails its checksum: the file is damaged, fetch it again");
        Ok(())
    }
}
