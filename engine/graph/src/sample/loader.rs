//! Batches from a pool of threads, in one order for any number of them.
//!
//! Work is dealt sample by sample. A bounded number of batches is under way; the thread that ends a batch's last
//! sample joins it and hands it over; the consumer takes them in order.

use super::epoch::{Batch, Rows};
use super::host::{Array, Value};
use super::runner::HostPlan;
use crate::draw::Sample;
use anyhow::{anyhow, bail, Context, Result};
use crossbeam::channel::{unbounded, Receiver, Sender};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One output for all samples of a batch, `[B, items..., ...]`. Rows of samples that took another branch are zero.
#[derive(Debug, PartialEq)]
pub enum Column {
    Bytes {
        shape: Vec<usize>,
        data: Vec<u8>,
    },
    Float {
        shape: Vec<usize>,
        data: Vec<f32>,
    },
    Index {
        shape: Vec<usize>,
        data: Vec<i64>,
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

struct Work {
    number: usize,
    batch: Batch,
    slots: Vec<Mutex<Option<Vec<Option<Painted>>>>>,
    left: AtomicUsize,
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
        let shared = Arc::new(Shared { plan, rows, feed: Mutex::new(feed), room: Condvar::new(), depth: depth.max(1) });
        let (sender, results) = unbounded();
        let threads = (0..threads.max(1))
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
                    feed.failed = Some(format!("{e:#}"));
                    feed.stop = true;
                    shared.room.notify_all();
                    return None;
                }
            };
            let n = batch.positions.len();
            let work =
                Work { number: feed.next_number, batch, slots: (0..n).map(|_| Mutex::new(None)).collect(), left: AtomicUsize::new(n) };
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
        let result = caught(|| {
            let values = shared.plan.run(&shared.rows, &work.batch.pass, work.batch.positions[slot])?;
            values.into_iter().map(|value| value.map(Painted::of).transpose()).collect()
        });
        match result.with_context(|| named(shared, &work, slot)) {
            Ok(values) => *work.slots[slot].lock().unwrap_or_else(PoisonError::into_inner) = Some(values),
            Err(e) => {
                let mut feed = lock(&shared.feed);
                feed.stop = true;
                // also of the last batch: another thread may have seen the end already
                feed.failed.get_or_insert_with(|| "the loader ended at a sample that failed".into());
                drop(feed);
                shared.room.notify_all();
                let _ = sender.send((work.number, Err(e)));
                return;
            }
        }
        // the release of each slot's lock comes before its count
        if work.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _ = sender.send((work.number, caught(|| join(shared, &work))));
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

fn join(shared: &Shared, work: &Work) -> Result<HostBatch> {
    let mut rows: Vec<Vec<Option<Painted>>> = Vec::with_capacity(work.slots.len());
    for slot in &work.slots {
        rows.push(slot.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(|| anyhow!("a sample of the batch was lost"))?);
    }
    let columns = (0..shared.plan.outputs.len()).map(|c| column(&rows, c)).collect::<Result<_>>()?;
    let samples = work.batch.positions.iter().map(|p| shared.rows.sample(*p).clone()).collect();
    Ok(HostBatch { batch: work.batch.clone(), samples, columns })
}

fn column(rows: &[Vec<Option<Painted>>], c: usize) -> Result<Column> {
    let Some(first) = rows.iter().find_map(|r| r[c].as_ref()) else { return Ok(Column::Absent) };
    macro_rules! joined {
        ($variant:ident, $first:expr) => {{
            let inner: usize = $first.shape.iter().product();
            let mut data = Vec::new();
            if data.try_reserve_exact(rows.len().saturating_mul(inner)).is_err() {
                bail!("no memory for a batch of {} values of {inner} numbers: make `batch` smaller", rows.len());
            }
            for row in rows {
                match &row[c] {
                    Some(Painted::$variant(a)) if a.shape == $first.shape => data.extend_from_slice(&a.data),
                    Some(_) => bail!("samples of one batch differ in shape"),
                    None => data.resize(data.len() + inner, Default::default()),
                }
            }
            let shape = std::iter::once(rows.len()).chain($first.shape.iter().copied()).collect();
            Column::$variant { shape, data }
        }};
    }
    Ok(match first {
        Painted::Bytes(a) => joined!(Bytes, a),
        Painted::Float(a) => joined!(Float, a),
        Painted::Index(a) => joined!(Index, a),
    })
}

/// A value that crosses to the device.
enum Painted {
    Bytes(Array<u8>),
    Float(Array<f32>),
    Index(Array<i64>),
}

impl Painted {
    fn of(value: Value) -> Result<Painted> {
        Ok(match value {
            Value::Clips(clips) => Painted::Bytes(clips.pixels()?),
            Value::Float(a) => Painted::Float(a),
            Value::Index(a) => Painted::Index(a),
            Value::Video(_) => bail!("a video cannot cross to the device: sample clips of it first"),
        })
    }
}
