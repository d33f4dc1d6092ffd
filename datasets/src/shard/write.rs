//! Writing one shard: encoding blocks, and the file around them.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use crate::full::Written;

use super::format::{Header, Segment, END_MAGIC, MAGIC, VERSION};

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

/// Turns frames into blocks. One per thread: it keeps working memory.
pub struct Encoder {
    header: Header,
    zstd: zstd::bulk::Compressor<'static>,
    planes: Vec<u8>,
    residual: Vec<u8>,
    times: Vec<i64>,
    hashes: Vec<[u8; 32]>,
}

impl Encoder {
    pub fn new(header: &Header) -> Result<Encoder> {
        header.check()?;
        Ok(Encoder {
            header: header.clone(),
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
        let (h, w) = (header.height as usize, header.width as usize);
        ensure!(rgb.len() == header.rgb_len(), "a frame has {} bytes, not {h} x {w} x 3", rgb.len());
        let content = header.codec.content(rgb, h, w, &mut self.planes);
        self.hashes.push(*blake3::hash(content).as_bytes());
        self.times.push(time);
        let at = self.residual.len();
        self.residual.resize(at + header.frame_bytes(), 0);
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

/// One shard being written.
pub struct ShardWriter {
    path: PathBuf,
    file: BufWriter<File>,
    at: u64,
    segments: Vec<Segment>,
    entries: Vec<(u64, u32, u32)>,
    times: Vec<i64>,
}

/// How much of a shard is written: what [`ShardWriter::rewind`] goes back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    at: u64,
    segments: usize,
    blocks: usize,
    times: usize,
}

impl ShardWriter {
    /// Creates the file; an error if it exists.
    pub fn create(path: &Path, header: &Header) -> Result<ShardWriter> {
        header.check()?;
        let file = File::create_new(path).written(path)?;
        let json = serde_json::to_vec(header)?;
        let mut head = MAGIC.to_vec();
        head.extend(VERSION.to_le_bytes());
        head.extend((json.len() as u32).to_le_bytes());
        head.extend(&json);
        head.extend(crc32fast::hash(&head).to_le_bytes());
        let mut writer = ShardWriter {
            path: path.to_owned(),
            file: BufWriter::with_capacity(1 << 20, file),
            at: 0,
            segments: Vec::new(),
            entries: Vec::new(),
            times: Vec::new(),
        };
        writer.put(&head)?;
        Ok(writer)
    }

    /// Bytes written so far, the index not counted.
    pub fn len(&self) -> u64 {
        self.at
    }

    /// Whether no block was written yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends a block that starts at `first_frame` of `video`; a segment grows or a new one begins.
    pub fn push(&mut self, video: u32, first_frame: u32, block: &Block) -> Result<()> {
        let follows = |s: &&mut Segment| s.video == video && s.first_frame + s.frames == first_frame;
        match self.segments.last_mut().filter(follows) {
            Some(segment) => segment.frames += block.frames,
            None => self.segments.push(Segment {
                video,
                first_frame,
                frames: block.frames,
                first_block: self.entries.len() as u32,
                first_time: self.times.len() as u32,
            }),
        }
        let entry = (self.at, block.bytes.len() as u32, crc32fast::hash(&block.bytes));
        self.entries.push(entry);
        self.times.extend(&block.times);
        self.put(&block.bytes)
    }

    /// Where it is, which must not be within a segment that will grow.
    pub fn mark(&self) -> Mark {
        Mark { at: self.at, segments: self.segments.len(), blocks: self.entries.len(), times: self.times.len() }
    }

    /// Takes back all that came after the mark, index and footer too.
    pub fn rewind(&mut self, mark: Mark) -> Result<()> {
        self.file.flush().written(&self.path)?;
        self.file.get_ref().set_len(mark.at).written(&self.path)?;
        self.file.seek(SeekFrom::Start(mark.at)).written(&self.path)?;
        self.at = mark.at;
        self.segments.truncate(mark.segments);
        self.entries.truncate(mark.blocks);
        self.times.truncate(mark.times);
        Ok(())
    }

    /// Writes index and footer; with `fsync` returns only once the bytes are on disk. The file's length.
    pub fn finish(&mut self, fsync: bool) -> Result<u64> {
        let counts = [self.segments.len(), self.entries.len(), self.times.len(), 0];
        let mut index: Vec<u8> = counts.iter().flat_map(|n| (*n as u32).to_le_bytes()).collect();
        for s in &self.segments {
            let fields = [s.video, s.first_frame, s.frames, s.first_block, s.first_time, 0];
            index.extend(fields.iter().flat_map(|n| n.to_le_bytes()));
        }
        for (offset, len, crc) in &self.entries {
            index.extend(offset.to_le_bytes());
            index.extend(len.to_le_bytes());
            index.extend(crc.to_le_bytes());
        }
        index.extend(self.times.iter().flat_map(|t| t.to_le_bytes()));
        let mut footer = self.at.to_le_bytes().to_vec();
        footer.extend((index.len() as u64).to_le_bytes());
        footer.extend(crc32fast::hash(&index).to_le_bytes());
        footer.extend(crc32fast::hash(&footer).to_le_bytes());
        footer.extend(END_MAGIC);
        self.put(&index)?;
        self.put(&footer)?;
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
