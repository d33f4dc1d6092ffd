//! What a step costs besides its mathematics: a stage of forty nodes, of which each hands on what it gets.
//! `cargo bench -p dv-train --bench program`

use dv_graph::check::check;
use dv_graph::draw::{Pass, Sample};
use dv_graph::kind::Library;
use dv_graph::plan::Place;
use dv_graph::prelude::*;
use dv_train::exec::executor::{Executor, Registry, Step};
use dv_train::prelude::*;
use dv_train::state::store::Store;
use std::sync::Arc;
use std::time::Instant;

/// Where samples come from.
#[kind("bench/source", outputs = Index, source = "standard")]
pub struct Videos {
    #[schemars(range(min = 1, max = 8192))]
    height: usize,
}

#[derive(Ports)]
pub struct Index<P: Plane> {
    /// the position
    #[range("videos")]
    index: P::Index,
}

impl Kind for Videos {
    fn source(&self) -> Option<Source> {
        let (set, split) = ("set".to_owned(), "split".to_owned());
        Some(Source { set, split, held: None, height: self.height, width: self.height, streams: vec!["rgb".to_owned()] })
    }
}

impl SourceKind for Videos {
    fn read(&self, sample: &SourceSample) -> Result<Index<Host>> {
        Ok(Index { index: Array::scalar(sample.position as i64) })
    }
}

#[derive(Ports)]
pub struct Any<P: Plane> {
    /// `...` anything
    value: P::Any,
}

/// Hands on what it gets.
#[kind("bench/pass", inputs = Any, outputs = Any, source = "standard")]
pub struct Pass_ {}

impl Kind for Pass_ {}

impl BatchKind for Pass_ {
    fn run(&self, inputs: Any<Batch>, _: &Cx<Self>) -> Result<Any<Batch>> {
        Ok(inputs)
    }
}

#[derive(Ports)]
pub struct Number<P: Plane> {
    /// the same number each time
    value: P::Scalar,
}

/// The end of the chain.
#[kind("bench/last", inputs = Any, outputs = Number, rate = Batch, source = "standard")]
pub struct Last {}

impl Kind for Last {}

impl BatchKind for Last {
    fn run(&self, inputs: Any<Batch>, _: &Cx<Self>) -> Result<Number<Batch>> {
        Ok(Number { value: inputs.value })
    }
}

static ENTRIES: [NodeEntry; 3] = [NodeEntry::source::<Videos>(), NodeEntry::batch::<Pass_>(), NodeEntry::batch::<Last>()];
/// Besides the source: 38 that hand on, and the last.
const NODES: usize = 38;
const STEPS: usize = 5000;

fn main() -> Result<()> {
    let mut graph = String::from("schema = 1\nname = \"bench\"\nabout = \"forty nodes\"\nseed = 0\n[stages.only]\nbatch = 32\nmetrics = [\"last.value\"]\n[stages.only.nodes]\n");
    graph += "source = { kind = \"bench/source\", height = 8 }\n";
    for i in 0..NODES {
        let from = if i == 0 { "source.index".to_owned() } else { format!("n{}.value", i - 1) };
        graph += &format!("n{i} = {{ kind = \"bench/pass\", in = \"{from}\" }}\n");
    }
    graph += &format!("last = {{ kind = \"bench/last\", in = \"n{}.value\" }}\n", NODES - 1);
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("bench.toml");
    std::fs::write(&path, graph)?;
    let checked = check(&path, &[], &Library::new(ENTRIES.iter().map(|e| &e.graph)), None);
    let plan = checked.plan.ok_or_else(|| anyhow!("{}", checked.faults.render(&checked.sources)))?;
    let stage = Arc::new(plan.stages.into_iter().next().ok_or_else(|| anyhow!("no stage"))?);
    let registry = Registry::new(&ENTRIES);
    let executor = Executor::new(Arc::clone(&stage), &registry, Device::Cpu);
    let count = stage.nodes.iter().filter(|n| n.place == Place::Device).count();
    let (samples, pass) = (Sample::numbered(32), Pass { seed: 0, stage: "only".into(), epoch: 0 });
    let column = Tensor::arange(32, (Dtype::Int64, Device::Cpu));
    let (store, place) = (Store::default(), stage.source.unwrap_or(0));
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        for step in 0..STEPS {
            let step = Step { pass: &pass, step: step as u64, samples: &samples };
            executor.run(&store, &step, Some(vec![((place, 0), column.shallow_clone())]))?;
        }
        best = best.min(start.elapsed().as_secs_f64() / STEPS as f64);
    }
    println!("{count} nodes on the device: {:.1} us a step, {:.2} us a node", best * 1e6, best * 1e6 / count as f64);
    Ok(())
}
