//! Decoding many files at once while writing them in order.
//!
//! Each file has a bounded channel of compressed blocks. Threads take files in order; the writer empties the channels in
//! the same order. A thread may run ahead of the writer by a window of files only, so memory is bounded by
//! window x channel whatever the files are, and the set's bytes do not depend on the number of threads.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use crossbeam::channel::{bounded, unbounded, Receiver, RecvTimeoutError, Sender};
use sha2::{Digest, Sha256};

use super::{Interrupted, PackOptions, Progress};
use crate::decode::{Ffmpeg, Frame, Outcome};
use crate::file;
use crate::pictures;
use crate::shard::{Block, Encoder, NO_TIMESTAMP};
use crate::still;
use crate::writer::{Stamp, VideoMeta};
use crate::{PackedSet, SetWriter};

/// Bytes of compressed blocks in all channels together.
const BUFFERED: usize = 1 << 30;

enum Message {
    Block(Block),
    /// The last of a file: its description, or its place in the set that is updated, or why it is not packed.
    Done(Box<VideoMeta>),
    Same(usize),
    Rejected(String),
    /// Something wrong that is not the file's fault: ends the pack.
    Failed(anyhow::Error),
}

/// Of one file, with the stamp that it had before it was read.
type Blocks = (Stamp, Receiver<Message>);

/// Set when it is dropped: what works for a pack then ends, however the pack does.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How often a waiting pack looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

/// The next of what is sent; an error of [`Interrupted`] where the pack is to end.
fn next_of<T>(from: &Receiver<T>, stop: &AtomicBool) -> Result<T> {
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        match from.recv_timeout(TICK) {
            Ok(next) => return Ok(next),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("a decoding thread ended early"),
        }
    }
}

/// Packs the files in their order, each with what `metas` knows of it, from the first on that the writer has not yet. Those of which the
/// `base` has the video, from a file with the same SHA-256, are not decoded. Path and reason of each that is rejected.
pub(super) fn pack_files(
    options: &PackOptions,
    ffmpeg: &Ffmpeg,
    files: &[(String, PathBuf)],
    metas: &[VideoMeta],
    base: Option<&PackedSet>,
    writer: &mut SetWriter,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<(String, String)>> {
    let threads = options.threads.clamp(1, 512).min(files.len().max(1));
    let window = threads * 4;
    let raw = options.size.0 as usize * options.size.1 as usize * 3 * options.block_frames as usize;
    let capacity = (BUFFERED / window / raw.max(1)).clamp(2, 1024);
    let first = writer.continued();
    let next = AtomicUsize::new(first);
    let places = base.map(PackedSet::places).transpose()?.unwrap_or_default();
    let stop = Stop(Arc::default());
    let ffmpeg = &ffmpeg.stopped_by(&stop.0);
    let (start, started) = unbounded::<(usize, Blocks)>();
    let (permit, permits) = unbounded::<()>();
    (0..window).for_each(|_| permit.send(()).unwrap_or_default());

    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (start, permits, next, places) = (start.clone(), permits.clone(), &next, &places);
            let mut encoder = writer.encoder()?;
            scope.spawn(move || {
                // No permit: the writer is gone, or no file is left that would need one.
                while permits.recv().is_ok() {
                    let file = next.fetch_add(1, Ordering::Relaxed);
                    let Some(((_, at), meta)) = files.get(file).zip(metas.get(file)) else { break };
                    let (send, blocks) = bounded(capacity);
                    // What changes from here on is seen by the call that goes on.
                    if start.send((file, (Stamp::of(at), blocks))).is_err() {
                        break;
                    }
                    let before = base.zip(places.get(meta.path.as_str()).copied());
                    let last = match pack_file(options, ffmpeg, at, meta.clone(), before, &mut encoder, &send) {
                        Ok(last) => last,
                        Err(e) => Message::Failed(e.context(format!("packing {}", at.display()))),
                    };
                    // Whoever stopped listening has its own error to tell.
                    let _ = send.send(last);
                }
            });
        }
        drop((start, permits));
        // Moved in, so that an error below drops permits and channels and every thread ends.
        let (permit, started, _stop) = (permit, started, stop);
        let mut waiting: HashMap<usize, Blocks> = HashMap::new();
        let mut rejected = writer.rejected_before();
        let mut frames = 0;
        let total = files.len();
        for (file, (path, _)) in files.iter().enumerate().skip(first) {
            let (stamp, blocks) = loop {
                if let Some(blocks) = waiting.remove(&file) {
                    break blocks;
                }
                let (number, blocks) = next_of(&started, &options.stop)?;
                waiting.insert(number, blocks);
            };
            loop {
                match next_of(&blocks, &options.stop)? {
                    Message::Block(block) => {
                        frames += block.frames as u64;
                        writer.push_block(&block)?;
                        progress(Progress { done: file, total, frames, bytes: writer.bytes(), path });
                    }
                    Message::Done(meta) => {
                        writer.end_video(*meta)?;
                        writer.note_file(path, stamp, None)?;
                        break;
                    }
                    Message::Same(place) => {
                        let base = base.context("no set is updated")?;
                        writer.reuse(base.entry(place)?, &metas[file])?;
                        writer.note_file(path, stamp, None)?;
                        break;
                    }
                    Message::Rejected(reason) => {
                        frames -= writer.drop_video()?;
                        writer.note_file(path, stamp, Some(&reason))?;
                        rejected.push((path.clone(), reason));
                        break;
                    }
                    Message::Failed(e) => return Err(e),
                }
            }
            progress(Progress { done: file + 1, total, frames, bytes: writer.bytes(), path });
            let _ = permit.send(());
        }
        Ok(rejected)
    })
}

/// Decodes, resizes and compresses one file. Errors are not the file's fault.
fn pack_file(
    options: &PackOptions,
    ffmpeg: &Ffmpeg,
    file: &Path,
    mut meta: VideoMeta,
    before: Option<(&PackedSet, usize)>,
    encoder: &mut Encoder,
    send: &Sender<Message>,
) -> Result<Message> {
    let is_folder = file.is_dir();
    if let Some(sort) = still::sort(file) {
        return Ok(Message::Rejected(format!("it is a still picture ({sort}), not a video")));
    }
    let same = |sha256: &[u8; 32]| match before {
        Some((base, place)) => Ok::<_, anyhow::Error>((base.sha256(place)? == Some(&sha256[..])).then_some(place)),
        None => Ok(None),
    };
    match hash(file) {
        _ if is_folder => {
            if let (Some(_), Some(sha256)) = (before, pictures::sha256(file)) {
                if let Some(place) = same(&sha256)? {
                    return Ok(Message::Same(place));
                }
            }
        }
        Ok((bytes, sha256)) => {
            if let Some(place) = same(&sha256)? {
                return Ok(Message::Same(place));
            }
            meta.source_bytes = bytes;
            meta.source_sha256 = Some(sha256.iter().map(|b| format!("{b:02x}")).collect());
        }
        Err(why @ file::Why::Io(_)) => bail!("the file cannot be read: {why}"),
        Err(why) => return Ok(Message::Rejected(format!("it cannot be read: {why}"))),
    }
    let size = (options.size.0 as usize, options.size.1 as usize);
    let mut small = vec![0; size.0 * size.1 * 3];
    let mut each = |frame: Frame| {
        frame.resize(&mut small, size, options.filter)?;
        match encoder.push(&small, frame.time.unwrap_or(NO_TIMESTAMP))? {
            Some(block) => send.send(Message::Block(block)).context("packing was stopped"),
            None => Ok(()),
        }
    };
    let outcome = if is_folder {
        let source = pictures::decode(file, &mut each)?;
        meta.source_bytes = source.bytes;
        meta.source_sha256 = Some(source.sha256);
        source.outcome
    } else {
        ffmpeg.decode(file, &mut each)?
    };
    match outcome {
        Outcome::Rejected(reason) => {
            encoder.clear();
            Ok(Message::Rejected(reason))
        }
        Outcome::Decoded(decoded) => {
            if let Some(block) = encoder.flush()? {
                send.send(Message::Block(block)).context("packing was stopped")?;
            }
            meta.source_height = decoded.height as u32;
            meta.source_width = decoded.width as u32;
            meta.fps = decoded.fps;
            meta.note = decoded.note;
            Ok(Message::Done(Box::new(meta)))
        }
    }
}

/// Length and SHA-256 of a file.
fn hash(file: &Path) -> std::result::Result<(u64, [u8; 32]), file::Why> {
    let mut file = file::open(file).map_err(|e| e.why)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&buffer[..n]);
                bytes += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok((bytes, hasher.finalize().into()))
}
