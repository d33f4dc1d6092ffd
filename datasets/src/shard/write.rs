//! Writing one shard: encoding blocks, and the file around them.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use crate::full::Written;

use super::format::{Header, Place, Size, INDEX_MAGIC, MAGIC, TAIL, VERSION};

/// A compressed block, ready to be written.
pub struct Block {
    /// Frames in it, at least 1.
    pub frames: u32,
    /// One zstd frame.
    pub bytes: Vec<u8>,
    /// Microseconds, one a frame.
    pub times: Vec<i64>,
    /// blake3 of each frame's content.
    pub hashes: Vec<[u8; 32]>,
}

/// Turns frames of one size into blocks. One per thread: it keeps working memory.
pub struct Encoder {
    header: Header,
    size: Size,
    zstd: zstd::bulk::Compressor<'static>,
    planes: Vec<u8>,
    residual: Vec<u8>,
    times: Vec<i64>,
    hashes: Vec<[u8; 32]>,
}

impl Encoder {
    pub fn new(header: &Header, size: Size) -> Result<Encoder> {
        header.check_size(size)?;
        Ok(Encoder {
            header: header.clone(),
            size,
            // Levels above 1 buy under 2 % on residuals of real frames.
            zstd: zstd::bulk::Compressor::new(1).context("zstd")?,
            planes: Vec::new(),
            residual: Vec::new(),
            times: Vec::new(),
            hashes: Vec::new(),
        })
    }

    /// Adds an RGB24 frame; the block, once it is full.
    pub fn push(&mut self, rgb: &[u8], time: i64) -> Result<Option<Block>> {
        let header = &self.header;
        let (h, w) = (self.size.height as usize, self.size.width as usize);
        ensure!(rgb.len() == self.size.rgb_len(), "a frame has {} bytes, not {h} x {w} x 3", rgb.len());
        let content = header.codec.content(rgb, h, w, &mut self.planes);
        self.hashes.push(*blake3::hash(content).as_bytes());
        self.times.push(time);
        let at = self.residual.len();
        self.residual.resize(at + header.frame_bytes(self.size), 0);
        header.codec.predict(content, h, w, &mut self.residual[at..]);
        if self.hashes.len() == header.block_frames as usize {
            return self.flush();
        }
        Ok(None)
    }

    /// Forgets the frames of a block that is not full.
    pub fn clear(&mut self) {
        self.residual.clear();
        self.times.clear();
        self.hashes.clear();
    }

    /// The last block of a video, if frames are left.
    pub fn flush(&mut self) -> Result<Option<Block>> {
        if self.hashes.is_empty() {
            return Ok(None);
        }
        let bytes = self.zstd.compress(&self.residual).context("zstd")?;
        self.residual.clear();
        Ok(Some(Block {
            frames: self.hashes.len() as u32,
            bytes,
            times: std::mem::take(&mut self.times),
            hashes: std::mem::take(&mut self.hashes),
        }))
    }
}

/// One shard being written, one video after the other.
pub struct ShardWriter {
    path: PathBuf,
    file: BufWriter<File>,
    at: u64,
    /// Where the header ends.
    first: u64,
    /// Where the current video begins.
    start: u64,
    frames: u32,
    entries: Vec<(u64, u32, u32)>,
    times: Vec<i64>,
}

impl ShardWriter {
    /// Creates the file; an error if it exists.
    pub fn create(path: &Path, header: &Header) -> Result<ShardWriter> {
        let file = File::create_new(path).written(path)?;
        let head = head(header)?;
        let mut writer = ShardWriter::of(path, file, head.len() as u64, 0);
        writer.put(&head)?;
        writer.start = writer.at;
        Ok(writer)
    }

    /// Goes on behind the videos that end at `end`; what is behind it is cut off.
    pub fn append(path: &Path, header: &Header, end: u64) -> Result<ShardWriter> {
        let file = OpenOptions::new().write(true).open(path).written(path)?;
        let mut writer = ShardWriter::of(path, file, head(header)?.len() as u64, end);
        writer.rewind()?;
        Ok(writer)
    }

    fn of(path: &Path, file: File, first: u64, at: u64) -> ShardWriter {
        let file = BufWriter::with_capacity(1 << 20, file);
        ShardWriter { path: path.to_owned(), file, at, first, start: at, frames: 0, entries: Vec::new(), times: Vec::new() }
    }

    /// Bytes written so far, the current video's index not counted.
    pub fn len(&self) -> u64 {
        self.at
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.at <= self.first
    }

    /// Frames of the current video.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Appends a block of the current video.
    pub fn push(&mut self, block: &Block) -> Result<()> {
        self.frames = self.frames.checked_add(block.frames).context("a video has over 2^32 frames")?;
        self.entries.push((self.at, block.bytes.len() as u32, crc32fast::hash(&block.bytes)));
        self.times.extend(&block.times);
        self.put(&block.bytes)
    }

    /// Ends the current video. Where it is, in a shard of that number.
    pub fn end_video(&mut self, shard: u32, size: Size) -> Result<Place> {
        let counts = [self.frames, size.height, size.width, self.entries.len() as u32];
        let mut index: Vec<u8> = counts.iter().flat_map(|n| n.to_le_bytes()).collect();
        for (offset, length, crc) in &self.entries {
            index.extend(offset.to_le_bytes());
            index.extend(length.to_le_bytes());
            index.extend(crc.to_le_bytes());
        }
        index.extend(self.times.iter().flat_map(|t| t.to_le_bytes()));
        let length = u32::try_from(index.len() + TAIL).context("a video's index exceeds 4 GB")?;
        index.extend(length.to_le_bytes());
        index.extend(INDEX_MAGIC);
        let place = Place { shard, crc: crc32fast::hash(&index), start: self.start, index: self.at, length };
        self.put(&index)?;
        // What the journal names afterwards is with the system, and so survives this process.
        self.file.flush().written(&self.path)?;
        self.next();
        Ok(place)
    }

    /// Takes back the current video, as if it had not begun. How many frames it had.
    pub fn drop_video(&mut self) -> Result<u32> {
        let frames = self.frames;
        self.rewind()?;
        Ok(frames)
    }

    fn rewind(&mut self) -> Result<()> {
        self.file.flush().written(&self.path)?;
        self.file.get_ref().set_len(self.start).written(&self.path)?;
        self.file.seek(SeekFrom::Start(self.start)).written(&self.path)?;
        self.at = self.start;
        self.next();
        Ok(())
    }

    fn next(&mut self) {
        self.start = self.at;
        self.frames = 0;
        self.entries.clear();
        self.times.clear();
    }

    /// Closes the file; with `fsync` returns only once the bytes are on disk. The file's length.
    pub fn finish(mut self, fsync: bool) -> Result<u64> {
        self.file.flush().written(&self.path)?;
        if fsync {
            self.file.get_ref().sync_all().written(&self.path)?;
        }
        Ok(self.at)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).written(&self.path)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

fn head(header: &Header) -> Result<Vec<u8>> {
    header.check()?;
    let json = serde_json::to_vec(header)?;
    let mut head = MAGIC.to_vec();
    head.extend(VERSION.to_le_bytes());
    head.extend((json.len() as u32).to_le_bytes());
    head.extend(&json);
    head.extend(crc32fast::hash(&head).to_le_bytes());
    Ok(head)
}
