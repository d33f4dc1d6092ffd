//! A pack that goes on where an earlier call of the same command ended, and one that updates a set.
//!
//! The order of files decides where their videos lie, so what is kept is the longest beginning of that order of which every file is as it
//! was: the rest is packed again, and the set is the one that an undisturbed pack makes, byte for byte.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use super::*;
use crate::shard::Shard;
use crate::PackedSet;

/// The term that names the set which is updated, by its fingerprint.
pub(crate) const UPDATE_OF: &str = "update of";

impl SetWriter {
    /// Starts a set of these files, each with what `metas` knows of it, or goes on with what an earlier call with the same `terms` left. With a
    /// `base`, the set that is at `out`, it is to replace that one and has its shards already. Errors: those of [`SetWriter::create`], and
    /// where another pack was begun there.
    pub(crate) fn resume(
        out: &Path,
        options: SetOptions,
        terms: &Terms,
        files: &[(String, PathBuf)],
        metas: &[VideoMeta],
        base: Option<&PackedSet>,
    ) -> Result<SetWriter> {
        if base.is_none() {
            check_absent(out)?;
        }
        let mut writer = SetWriter::open(out, options)?;
        let before = if writer.partial.goes_on() { journal::read(&writer.partial.journal())? } else { None };
        let mut kept = match before.filter(|(terms, _)| !writer.has_replaced(terms)) {
            Some((before, done)) => {
                writer.same_terms(&before, terms)?;
                done
            }
            None => {
                writer.partial.clear()?;
                Vec::new()
            }
        };
        writer.partial.keep = true;
        if let Some(base) = base {
            writer.take_shards(base)?;
        }
        let same = |(done, (path, at)): (&Done, &(String, PathBuf))| done.path == *path && done.stamp == Stamp::of(at);
        let count = kept.iter().zip(files).take_while(|pair| same((pair.0, pair.1))).count();
        kept.truncate(count);
        writer.keep(&mut kept)?;
        writer.journal = Some(Journal::begin(&writer.partial.journal(), terms, &kept)?);
        for (done, meta) in kept.iter().zip(metas) {
            let Outcome::Packed(entry) = &done.outcome else { continue };
            let mut entry = Entry::clone(entry);
            // What the lists say may be other than it was, and is not in the shards.
            (entry.video.class, entry.video.group) = (meta.class, group(meta));
            writer.check(&entry.video)?;
            writer.push(entry, &[]);
        }
        writer.kept = kept;
        Ok(writer)
    }

    /// Whether an update with these terms has ended: the set that lies here is then the one that was replaced.
    fn has_replaced(&self, terms: &Terms) -> bool {
        let former = Head::load(&self.partial.set()).map(|head| head.fingerprint);
        former.is_ok_and(|former| terms.iter().any(|(name, value)| name == UPDATE_OF && *value == former))
    }

    fn same_terms(&self, before: &Terms, now: &Terms) -> Result<()> {
        let differing = now.iter().filter_map(|(name, value)| {
            let there = before.iter().find(|(other, _)| other == name).map_or("none", |(_, value)| value.as_str());
            (there != value).then(|| format!("{name} {there}, now {value}"))
        });
        let differing: Vec<String> = differing.collect();
        ensure!(
            differing.is_empty(),
            "{} holds a pack that was begun otherwise ({}): go on with that, or remove it to begin anew",
            self.partial.root().display(),
            differing.join("; ")
        );
        Ok(())
    }

    /// Gives the shards of the base names in this set too; where the file system has one name a file, copies.
    fn take_shards(&mut self, base: &PackedSet) -> Result<()> {
        let stream = base.catalogue().head.stream();
        for (number, bytes) in stream.shards.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
            let [from, to] = [base.dir(), &self.partial.set()].map(|dir| shard_file(dir, &stream.name, number as u32));
            if fs::metadata(&to).is_ok_and(|meta| meta.len() == *bytes) {
                continue;
            }
            let _ = fs::remove_file(&to);
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to).written(&to)?;
            }
        }
        self.shards = stream.shards.clone();
        self.base = self.shards.len();
        Ok(())
    }

    /// Checks the shards of what is kept and goes on behind the last of it; what cannot be relied on is no longer kept.
    fn keep(&mut self, kept: &mut Vec<Done>) -> Result<()> {
        loop {
            let mut shards: Vec<(u32, u64)> = Vec::new();
            let place = |done: &Done| match &done.outcome {
                Outcome::Packed(entry) if entry.place.shard as usize >= self.base => Some(entry.place),
                _ => None,
            };
            for place in kept.iter().filter_map(place) {
                match shards.last_mut() {
                    Some((shard, end)) if *shard == place.shard => *end = place.end(),
                    _ => shards.push((place.shard, place.end())),
                }
            }
            let bad = shards.iter().enumerate().find(|(i, (shard, end))| {
                let path = self.shard_path(*shard);
                let length = fs::metadata(path).map_or(0, |meta| meta.len());
                let last = i + 1 == shards.len();
                *shard as usize != self.base + i || length < *end || (!last && length != *end)
            });
            let bad = match bad {
                Some((_, (shard, _))) => kept.iter().position(|done| place(done).is_some_and(|place| place.shard == *shard)),
                // Of all shards only the last one may have been under way when the machine, and not dv alone, came to its end.
                None => shards.last().and_then(|(shard, _)| {
                    let open = Shard::open(&self.shard_path(*shard)).ok().filter(|shard| *shard.header() == self.header);
                    let whole = |place| open.as_ref().is_some_and(|shard| is_whole(shard, place));
                    kept.iter().position(|done| place(done).is_some_and(|place| place.shard == *shard && !whole(place)))
                }),
            };
            match bad {
                Some(count) => kept.truncate(count),
                None => return self.go_on(&shards),
            }
        }
    }

    fn go_on(&mut self, shards: &[(u32, u64)]) -> Result<()> {
        self.shards.extend(shards.iter().map(|(_, end)| *end));
        if let Some(end) = self.shards[self.base..].last().copied().filter(|end| *end < self.options.shard_bytes) {
            self.shards.pop();
            self.shard = Some(ShardWriter::append(&self.shard_path(self.shards.len() as u32), &self.header, end)?);
        }
        let known: HashSet<PathBuf> = (0..=self.shards.len() as u32)
            .filter(|number| (*number as usize) < self.shards.len() || self.shard.is_some())
            .map(|number| self.shard_path(number))
            .collect();
        // Beside the shards lies what the end of a pack writes, whole or under a temporary name.
        let set = self.partial.set();
        for dir in [&set, &set.join("shards")] {
            for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?.flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_file()) && !known.contains(&entry.path()) {
                    fs::remove_file(entry.path()).written(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    fn shard_path(&self, number: u32) -> PathBuf {
        shard_file(&self.partial.set(), &self.header.stream, number)
    }

    /// How many files an earlier call has done: the first ones.
    pub(crate) fn continued(&self) -> usize {
        self.kept.len()
    }

    /// Path and reason of each file that an earlier call has rejected.
    pub(crate) fn rejected_before(&self) -> Vec<(String, String)> {
        let rejected = self.kept.iter().filter_map(|done| match &done.outcome {
            Outcome::Rejected(reason) => Some((done.path.clone(), reason.clone())),
            Outcome::Packed(_) => None,
        });
        rejected.collect()
    }

    /// Takes a video of the base, as `meta` now describes it.
    pub(crate) fn reuse(&mut self, mut entry: Entry, meta: &VideoMeta) -> Result<()> {
        ensure!((entry.place.shard as usize) < self.base, "video {}: no set gives its frames", entry.video.path);
        (entry.video.class, entry.video.group) = (meta.class, group(meta));
        self.check(&entry.video)?;
        self.push(entry, &[]);
        Ok(())
    }

    /// Videos of the base so far.
    pub(crate) fn reused(&self) -> usize {
        self.entries.iter().filter(|entry| (entry.place.shard as usize) < self.base).count()
    }

    /// Notes what became of a file, so that the next call need not do it again. `reason`: why it is rejected; otherwise it is the
    /// video that was added last.
    pub(crate) fn note_file(&mut self, path: &str, stamp: Stamp, reason: Option<&str>) -> Result<()> {
        let outcome = match reason {
            Some(reason) => Outcome::Rejected(reason.to_owned()),
            None => match self.entries.last() {
                Some(entry) if entry.video.path == path => Outcome::Packed(Box::new(entry.clone())),
                _ => bail!("{path} was not packed"),
            },
        };
        match &mut self.journal {
            Some(journal) => journal.add(&Done { path: path.to_owned(), stamp, outcome }),
            None => Ok(()),
        }
    }

    /// Whether a later call has something to go on with; otherwise the folder goes with this.
    pub(crate) fn is_kept(&mut self) -> bool {
        self.partial.keep = !self.entries.is_empty();
        self.partial.keep
    }
}

/// Whether index and blocks of a video are there and have their checksums.
fn is_whole(shard: &Shard, place: crate::shard::Place) -> bool {
    let Ok(index) = shard.index(place, false) else { return false };
    (0..index.frames.div_ceil(shard.header().block_frames)).all(|block| shard.block(&index, block).is_ok())
}
