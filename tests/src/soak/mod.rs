//! Long tests: the real program against input that nobody wrote, one sort of input a file. `cargo xtask soak SUBJECT` runs them for as
//! long as it is told to; a few seconds of each are among the ordinary tests.

pub mod child;
pub mod graphs;
pub mod mutate;
pub mod pack;
pub mod random;
pub mod runs;
#[allow(dead_code)]
#[path = "../../../datasets/tests/common/seal.rs"]
mod seal;
pub mod sets;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a soak runs, and from which seed on. Each case has a seed of its own: the first one's, and one more for each that follows.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Ends after so many cases, or after this time.
    pub cases: u64,
    pub time: Duration,
    /// Cases at once.
    pub jobs: usize,
}

/// One sort of input.
pub trait Subject: Sync {
    /// What one worker needs: a folder of its own.
    type Worker;
    fn worker(&self) -> Self::Worker;
    /// Makes the case of a seed and tries it.
    fn try_case(&self, worker: &mut Self::Worker, seed: u64) -> Result<Passed, Failure>;
}

/// A case that went as it should.
pub struct Passed {
    /// What came of it, to be counted.
    pub outcomes: Vec<String>,
    pub cpu: f64,
    pub memory: u64,
}

/// A case that did not.
#[derive(Debug)]
pub struct Failure {
    pub what: String,
    /// The input, kept.
    pub kept: PathBuf,
}

/// What all cases came to.
#[derive(Default)]
pub struct Tally {
    pub cases: u64,
    outcomes: BTreeMap<String, u64>,
    cpu: (f64, u64),
    memory: (u64, u64),
    /// By their seeds.
    pub failures: Vec<(u64, Failure)>,
}

impl Tally {
    fn add(&mut self, seed: u64, result: Result<Passed, Failure>) {
        self.cases += 1;
        match result {
            Ok(passed) => {
                passed.outcomes.into_iter().for_each(|o| *self.outcomes.entry(o).or_default() += 1);
                if passed.cpu > self.cpu.0 {
                    self.cpu = (passed.cpu, seed);
                }
                if passed.memory > self.memory.0 {
                    self.memory = (passed.memory, seed);
                }
            }
            Err(failure) => self.failures.push((seed, failure)),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cases, {} of them failed", self.cases, self.failures.len())?;
        writeln!(f, "most CPU time   {:6.2} s   (seed {})", self.cpu.0, self.cpu.1)?;
        writeln!(f, "most memory     {:6.0} MB  (seed {})", self.memory.0 as f64 / 1e6, self.memory.1)?;
        let mut outcomes: Vec<(&String, &u64)> = self.outcomes.iter().collect();
        outcomes.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
        outcomes.iter().try_for_each(|(name, count)| writeln!(f, "{count:8}  {name}"))
    }
}

/// More failures say nothing new.
const MOST_FAILURES: usize = 10;

/// Tries cases until the plan is done, or until there are enough failures. `progress` is called now and then.
pub fn run<S: Subject>(subject: &S, plan: Plan, progress: &(dyn Fn(&Tally) + Sync)) -> Tally {
    let (next, start) = (AtomicU64::new(0), Instant::now());
    let tally = Mutex::new((Tally::default(), start));
    let work = || {
        let mut worker = subject.worker();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= plan.cases || start.elapsed() > plan.time {
                return;
            }
            let seed = plan.seed.wrapping_add(number);
            let result = subject.try_case(&mut worker, seed);
            let mut tally = tally.lock().unwrap_or_else(|e| e.into_inner());
            tally.0.add(seed, result);
            if tally.1.elapsed() > Duration::from_secs(30) {
                tally.1 = Instant::now();
                progress(&tally.0);
            }
            if tally.0.failures.len() >= MOST_FAILURES {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(work);
        }
    });
    tally.into_inner().unwrap_or_else(|e| e.into_inner()).0
}
