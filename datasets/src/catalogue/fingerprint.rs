//! A set's fingerprint: what reaches an experiment, and nothing that depends on where, in which order or with how many threads it was packed.

use super::head::Head;
use super::Video;
use crate::{Codec, Filter};

/// blake3 over sizes, codecs, filter and classes, then over a hash of each video and of each split, in the order of the hashes. FORMAT.md
/// describes the strings.
pub(crate) struct Fingerprint {
    hash: Strings,
    stream: String,
    videos: Vec<[u8; 32]>,
    splits: Vec<[u8; 32]>,
}

/// A hash over strings, each preceded by its length.
struct Strings(blake3::Hasher);

impl Strings {
    fn new() -> Strings {
        Strings(blake3::Hasher::new())
    }

    fn add(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }
}

/// The hash of a split under way.
pub(crate) struct Rows(Strings);

impl Rows {
    /// The next row: whether its video is in the set, and its path.
    pub fn row(&mut self, there: bool, path: &str) {
        self.0.add(if there { "video" } else { "missing" });
        self.0.add(path);
    }
}

impl Fingerprint {
    pub fn new(head: &Head) -> Fingerprint {
        let mut hash = Strings::new();
        hash.add("dv-set 3");
        hash.add(head.filter.map_or("none", Filter::name));
        hash.add(&format!("{} {}", head.streams.len(), head.classes.len()));
        for stream in &head.streams {
            hash.add(&format!("{} {}", stream.name, Codec::name(stream.codec)));
        }
        head.classes.iter().for_each(|class| hash.add(class));
        Fingerprint { hash, stream: head.stream().name.clone(), videos: Vec::new(), splits: Vec::new() }
    }

    pub fn video(&mut self, video: &Video) {
        let or_none = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |n| n.to_string());
        let mut hash = Strings::new();
        hash.add(&video.path);
        hash.add(&video.group);
        hash.add(&format!("{} {}", or_none(video.class.map(u64::from)), or_none(video.fps.map(f64::to_bits))));
        hash.add(&format!("{} {} {}x{} {}", self.stream, video.frames, video.height, video.width, video.content));
        self.videos.push(*hash.0.finalize().as_bytes());
    }

    /// Begins a split of so many rows.
    pub fn split(&self, name: &str, rows: u64) -> Rows {
        let mut hash = Strings::new();
        hash.add(name);
        hash.add(&rows.to_string());
        Rows(hash)
    }

    pub fn end(&mut self, rows: Rows) {
        self.splits.push(*rows.0 .0.finalize().as_bytes());
    }

    /// In hex.
    pub fn finish(mut self) -> String {
        self.videos.sort_unstable();
        self.splits.sort_unstable();
        self.hash.add(&format!("{} {}", self.videos.len(), self.splits.len()));
        for part in self.videos.iter().chain(&self.splits) {
            self.hash.0.update(part);
        }
        self.hash.0.finalize().to_hex().to_string()
    }
}
