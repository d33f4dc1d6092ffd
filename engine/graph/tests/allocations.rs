//! What the loader allocates: once its memory is there, nothing of the size of a frame.

mod common;

use common::*;
use dv_datasets::{SetOptions, SetWriter, VideoMeta};
use dv_graph::draw::Pass;
use dv_graph::sample::epoch::Rows;
use dv_graph::sample::loader::{Column, Loader};
use dv_graph::sample::runner::HostPlan;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// More than that is large.
const LARGE: usize = 4096;

/// Counts allocations of any thread.
struct Counting;

static ALL: AtomicUsize = AtomicUsize::new(0);
static MANY: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    ALL.fetch_add(1, Ordering::Relaxed);
    MANY.fetch_add(usize::from(bytes > LARGE), Ordering::Relaxed);
    LARGEST.fetch_max(bytes, Ordering::Relaxed);
}

/// What was counted since the last call: all, the large ones, bytes of the largest.
fn counted() -> [usize; 3] {
    [&ALL, &MANY, &LARGEST].map(|counter| counter.swap(0, Ordering::Relaxed))
}

// SAFETY: every call goes to the system's allocator as it came; the counters are atomic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIZE: [usize; 2] = [96, 128];
const BATCH: usize = 12;
const BATCHES: u64 = 40;

fn packed(dir: &Path) {
    let [height, width] = SIZE;
    let mut options = SetOptions::new("tiny", height as u32, width as u32);
    options.fsync = false;
    options.classes = vec!["a".into(), "b".into()];
    let mut writer = SetWriter::create(&dir.join("tiny"), options).unwrap();
    for video in 0..BATCH {
        let frame = |f: usize| (0..height * width * 3).map(|p| (p * 7 + f * 31 + video * 101) as u8).collect::<Vec<u8>>();
        let path = format!("{}/v{video:02}.avi", ["a", "b"][video % 2]);
        let meta = VideoMeta { path, class: Some((video % 2) as u32), splits: vec!["train".into()], ..VideoMeta::default() };
        writer.add_video(meta, (0..14 + video % 5).map(frame)).unwrap();
    }
    writer.finish().unwrap();
}

/// A source, clips, views of which samples choose, draws, labels.
fn loader(dir: &Path, stage: &str, threads: usize) -> Loader {
    let text = GOOD.replace("height = 24, width = 20", "height = 96, width = 128").replace("size   = 16", "size   = 64");
    let checked = checked(&[("g.toml", &text)], &[]);
    let said = rendered(&checked);
    let mut plan = checked.plan.unwrap_or_else(|| panic!("{said}"));
    let place = plan.stages.iter().position(|s| s.name == stage).unwrap();
    let pass = Pass { seed: 1, stage: stage.into(), epoch: 0 };
    let stage = Arc::new(plan.stages.remove(place));
    let places = stage.nodes.iter().map(|n| n.place).collect();
    let host = HostPlan::new(stage, places, &[]).unwrap();
    let rows = Arc::new(Rows::open(dir, &host.stage.source().unwrap(), "video").unwrap());
    let order = Arc::clone(&rows);
    let batches = (0..BATCHES).flat_map(move |epoch| order.training(&Pass { epoch, ..pass.clone() }, BATCH, true).0);
    Loader::start(host, rows, Box::new(batches), threads, 4)
}

#[test]
fn after_the_second_batch_nothing_large_is_allocated() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path());
    // each thread has scratch of its own, which it allocates with its first sample; of several some may come late
    for (stage, threads, first) in [("pretrain", 1, 2), ("gallery", 1, 2), ("pretrain", 3, BATCHES / 2), ("gallery", 3, BATCHES / 2)] {
        counted();
        let mut loader = loader(dir.path(), stage, threads);
        let mut bytes: Vec<usize> = Vec::new();
        for _ in 0..first {
            let batch = loader.next_batch().unwrap().unwrap();
            bytes = batch.columns.iter().map(|c| if let Column::Bytes { data, .. } = c { data.len() } else { 0 }).collect();
        }
        let [all, large, largest] = counted();
        println!(
            "{stage}, {threads} threads, {first} batches: {all} allocations, {large} of more than {LARGE} bytes, the largest of {largest}"
        );
        assert!(bytes.iter().all(|bytes| largest >= *bytes), "the counter counts");
        let mut samples = 0;
        while let Some(batch) = loader.next_batch().unwrap() {
            samples += batch.samples.len();
        }
        let [all, large, largest] = counted();
        println!(
            "    then {samples} samples, {} bytes of pixels each: {:.1} allocations a sample, {large} of more than {LARGE} bytes, the largest of {largest}",
            bytes.iter().sum::<usize>() / BATCH,
            all as f64 / samples as f64
        );
        assert_eq!((samples, large), ((BATCHES - first) as usize * BATCH, 0), "the largest: {largest} bytes");
    }
}
