//! Batches from a pool of threads, in one order for any number of them.
//!
//! Work is dealt sample by sample. A bounded number of batches is under way. The memory of a batch is there when it is dealt, and each thread
//! writes its sample's rows where they are to lie; the one that ends the last sample hands the batch over; the consumer takes them in order.
//! Memory that the consumer drops serves a later batch.

use super::clip::{paint, Clip};
use super::epoch::{Batch, Rows};
use super::host::Value;
use super::memory::{Buffer, Memory, Number, Parts};
use super::runner::{HostPlan, RowOf};
use crate::draw::Sample;
use crate::port::Type;
use anyhow::{anyhow, bail, ensure, Context, Result};
use crossbeam::channel::{bounded, Receiver, Sender};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One output for all samples of a batch, `[B, items..., ...]`. Rows of samples that took another branch are zero.
#[derive(Debug, PartialEq)]
pub enum Column {
    Bytes {
        shape: Vec<usize>,
        data: Buffer<u8>,
    },
    Float {
        shape: Vec<usize>,
        data: Buffer<f32>,
    },
    Index {
        shape: Vec<usize>,
        data: Buffer<i64>,
    },
    /// No sample of the batch took the branch.
    Absent,
}

/// What the device gets.
#[derive(Debug)]
pub struct HostBatch {
    pub batch: Batch,
    pub samples: Vec<Sample>,
    /// In the order of [`HostPlan::outputs`].
    pub columns: Vec<Column>,
}

/// A batch under way.
struct Work {
    number: usize,
    batch: Batch,
    columns: Vec<Filling>,
    /// Samples that are there.
    done: AtomicUsize,
}

/// A column under way.
struct Filling {
    rows: Parted,
    /// Whether a sample has a value.
    some: AtomicBool,
}

enum Parted {
    Bytes(Parts<u8>),
    Float(Parts<f32>),
    Index(Parts<i64>),
}

/// The memory of a column.
enum Home {
    Bytes(Arc<Memory<u8>>),
    Float(Arc<Memory<f32>>),
    Index(Arc<Memory<i64>>),
}

impl Home {
    fn of(row: &RowOf) -> Home {
        match row.ty {
            Type::Bytes => Home::Bytes(Memory::new()),
            Type::Float => Home::Float(Memory::new()),
            _ => Home::Index(Memory::new()),
        }
    }
}

type Batches = Box<dyn Iterator<Item = Batch> + Send>;

struct Feed {
    batches: Batches,
    current: Option<(Arc<Work>, usize)>,
    next_number: usize,
    under_way: usize,
    /// All batches were taken.
    through: bool,
    /// Why there are no more before that.
    failed: Option<String>,
    stop: bool,
}

struct Shared {
    plan: HostPlan,
    /// By column.
    memory: Vec<Home>,
    rows: Arc<Rows>,
    feed: Mutex<Feed>,
    room: Condvar,
    depth: usize,
}

/// The running pool. Dropping it stops the threads.
pub struct Loader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    results: Receiver<(usize, Result<HostBatch>)>,
    early: BTreeMap<usize, Result<HostBatch>>,
    next: usize,
    waited: Duration,
}

fn lock(feed: &Mutex<Feed>) -> MutexGuard<'_, Feed> {
    // a panic of a worker is reported as that batch's error; the feed itself stays whole
    feed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Loader {
    /// Starts `threads` threads that keep up to `depth` batches under way.
    pub fn start(plan: HostPlan, rows: Arc<Rows>, batches: Batches, threads: usize, depth: usize) -> Loader {
        let feed = Feed { batches, current: None, next_number: 0, under_way: 0, through: false, failed: None, stop: false };
        let memory = plan.rows.iter().map(Home::of).collect();
        let (threads, depth) = (threads.max(1), depth.max(1));
        let shared = Arc::new(Shared { plan, memory, rows, feed: Mutex::new(feed), room: Condvar::new(), depth });
        // nobody waits to send: there are as many batches as are under way, and of each thread at most one error
        let (sender, results) = bounded(depth + threads);
        let threads = (0..threads)
            .map(|_| {
                let (shared, sender) = (Arc::clone(&shared), sender.clone());
                std::thread::spawn(move || work(&shared, &sender))
            })
            .collect();
        Loader { shared, threads, results, early: BTreeMap::new(), next: 0, waited: Duration::ZERO }
    }

    /// The next batch in order; `None` after the last.
    pub fn next_batch(&mut self) -> Result<Option<HostBatch>> {
        let start = Instant::now();
        let result = loop {
            if let Some(result) = self.early.remove(&self.next) {
                break result;
            }
            match self.results.recv() {
                // of several errors of one batch the first
                Ok((number, result)) => {
                    self.early.entry(number).or_insert(result);
                }
                Err(_) => {
                    let feed = lock(&self.shared.feed);
                    if feed.through && feed.failed.is_none() && self.next == feed.next_number {
                        return Ok(None);
                    }
                    bail!("{}", feed.failed.as_deref().unwrap_or("the loader ended before its last batch"));
                }
            }
        };
        self.waited += start.elapsed();
        self.next += 1;
        lock(&self.shared.feed).under_way -= 1;
        self.shared.room.notify_all();
        result.map(Some)
    }

    /// How long the consumer has waited for data so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }
    pub fn rows(&self) -> &Rows {
        &self.shared.rows
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        lock(&self.shared.feed).stop = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // a worker's panic was told as its batch's error
            let _ = thread.join();
        }
    }
}

impl Feed {
    /// There are no more batches, for this reason.
    fn fail(&mut self, shared: &Shared, why: String) {
        self.failed.get_or_insert(why);
        self.stop = true;
        shared.room.notify_all();
    }
}

/// The memory of a batch, of which nothing is there.
fn laid_out(shared: &Shared, number: usize, batch: Batch) -> Result<Work> {
    let count = batch.positions.len();
    let column = |(row, home): (&RowOf, &Home)| {
        fn parts<T: Number>(memory: &Arc<Memory<T>>, length: Option<usize>, count: usize, ready: usize) -> Option<Parts<T>> {
            let length = length?.checked_mul(count)?;
            let first = memory.take(length)?;
            memory.reserve(length, ready);
            Some(Parts::of(first, count))
        }
        // the consumer has one batch while the others are under way
        let ready = if number == 0 { shared.depth } else { 0 };
        let rows = match home {
            Home::Bytes(memory) => parts(memory, row.length(), count, ready).map(Parted::Bytes),
            Home::Float(memory) => parts(memory, row.length(), count, ready).map(Parted::Float),
            Home::Index(memory) => parts(memory, row.length(), count, ready).map(Parted::Index),
        };
        let none = || anyhow!("no memory for a batch of {count} values of {:?} numbers: make `batch` smaller", row.shape);
        Ok(Filling { rows: rows.ok_or_else(none)?, some: AtomicBool::new(false) })
    };
    let columns = shared.plan.rows.iter().zip(&shared.memory).map(column).collect::<Result<_>>()?;
    Ok(Work { number, batch, columns, done: AtomicUsize::new(0) })
}

/// Runs the host's nodes for one sample and writes its rows.
fn fill(shared: &Shared, work: &Work, slot: usize) -> Result<()> {
    let values = shared.plan.run(&shared.rows, &work.batch.pass, work.batch.positions[slot])?;
    let mut clips: Vec<(&Clip, &mut [u8])> = Vec::new();
    for (place, (value, column)) in values.iter().zip(&work.columns).enumerate() {
        let shape = &shared.plan.rows[place].shape;
        let misfit = |found: &[usize]| anyhow!("`{}` is {found:?}, and was planned as {shape:?}", shared.plan.name(place));
        fn own<T: Number>(parts: &Parts<T>, slot: usize) -> Result<&mut [T]> {
            parts.part(slot).ok_or_else(|| anyhow!("a sample of the batch was dealt twice"))
        }
        if value.is_some() {
            column.some.store(true, Ordering::Relaxed);
        }
        match (value, &column.rows) {
            (None, Parted::Bytes(parts)) => own(parts, slot)?.fill(0),
            (None, Parted::Float(parts)) => own(parts, slot)?.fill(0.0),
            (None, Parted::Index(parts)) => own(parts, slot)?.fill(0),
            (Some(Value::Clips(value)), Parted::Bytes(parts)) => {
                let found = value.shape();
                ensure!(found == *shape, misfit(&found));
                clips.extend(value.places(own(parts, slot)?));
            }
            (Some(Value::Float(value)), Parted::Float(parts)) => {
                ensure!(value.shape == *shape, misfit(&value.shape));
                own(parts, slot)?.copy_from_slice(&value.data);
            }
            (Some(Value::Index(value)), Parted::Index(parts)) => {
                ensure!(value.shape == *shape, misfit(&value.shape));
                own(parts, slot)?.copy_from_slice(&value.data);
            }
            (Some(_), _) => bail!("`{}` is not of the type that it was planned as", shared.plan.name(place)),
        }
    }
    paint(&mut clips)
}

fn take(shared: &Shared) -> Option<(Arc<Work>, usize)> {
    let mut feed = lock(&shared.feed);
    loop {
        if feed.stop {
            return None;
        }
        if let Some((work, slot)) = feed.current.take() {
            if slot + 1 < work.batch.positions.len() {
                feed.current = Some((Arc::clone(&work), slot + 1));
            }
            return Some((work, slot));
        }
        if feed.under_way < shared.depth {
            let batch = match caught(|| Ok(feed.batches.next())) {
                Ok(Some(batch)) => batch,
                Ok(None) => {
                    feed.through = true;
                    return None;
                }
                Err(e) => {
                    feed.fail(shared, format!("{e:#}"));
                    return None;
                }
            };
            let work = match laid_out(shared, feed.next_number, batch) {
                Ok(work) => work,
                Err(e) => {
                    feed.fail(shared, format!("{e:#}"));
                    return None;
                }
            };
            feed.next_number += 1;
            feed.under_way += 1;
            feed.current = Some((Arc::new(work), 0));
        } else {
            feed = shared.room.wait(feed).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(shared: &Shared, sender: &Sender<(usize, Result<HostBatch>)>) {
    while let Some((work, slot)) = take(shared) {
        match caught(|| fill(shared, &work, slot)).with_context(|| named(shared, &work, slot)) {
            Ok(()) => drop(work.done.fetch_add(1, Ordering::Relaxed)),
            Err(e) => {
                // also of the last batch: another thread may have seen the end already
                lock(&shared.feed).fail(shared, "the loader ended at a sample that failed".into());
                let _ = sender.send((work.number, Err(e)));
                return;
            }
        }
        // of the threads that are through with the batch one is the last to hold it, and sees what the others wrote
        if let Some(mut work) = Arc::into_inner(work) {
            if *work.done.get_mut() == work.batch.positions.len() {
                let _ = sender.send((work.number, caught(|| Ok(join(shared, work)))));
            }
        }
    }
}

/// A panic as an error.
fn caught<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    let run = std::panic::AssertUnwindSafe(run);
    std::panic::catch_unwind(run).unwrap_or_else(|p| Err(anyhow!("a defect of dv in the sample plane: {}", panic_text(&p))))
}

/// Which sample, for its errors.
fn named(shared: &Shared, work: &Work, slot: usize) -> String {
    let rows = &shared.rows;
    match work.batch.positions.get(slot).and_then(|p| rows.samples.get(*p)) {
        Some(sample) => format!("the video {} of the set `{}`", sample.path, rows.set.name),
        None => format!("a sample of the set `{}`", rows.set.name),
    }
}

pub fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()))
        .unwrap_or_else(|| "a panic".into())
}

/// A batch of which all samples are there.
fn join(shared: &Shared, work: Work) -> HostBatch {
    let samples = work.batch.positions.iter().map(|p| shared.rows.sample(*p).clone()).collect();
    let rows = work.batch.positions.len();
    let column = |(filling, row): (Filling, &RowOf)| {
        let shape = || std::iter::once(rows).chain(row.shape.iter().copied()).collect();
        match filling.rows {
            _ if !filling.some.into_inner() => Column::Absent,
            Parted::Bytes(parts) => Column::Bytes { shape: shape(), data: parts.whole() },
            Parted::Float(parts) => Column::Float { shape: shape(), data: parts.whole() },
            Parted::Index(parts) => Column::Index { shape: shape(), data: parts.whole() },
        }
    };
    HostBatch { columns: work.columns.into_iter().zip(&shared.plan.rows).map(column).collect(), batch: work.batch, samples }
}
