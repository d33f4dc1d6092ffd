//! The kinds of the small library.

use dv_graph::draw::Rng;
use dv_graph::kind::*;
use dv_graph::net::{Conv3d, Linear, Net};
use dv_graph::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Ports)]
pub struct Labelled<P: Plane> {
    /// `3 frames height width` the video
    frames: P::Video,
    /// its class
    #[range("classes")]
    label: Option<P::Index>,
    /// its position
    #[range("videos")]
    index: P::Index,
}
#[kind("source/set", outputs = Labelled, source = "standard")]
pub struct Source_ {
    set: String,
    split: String,
    #[schemars(range(min = 1, max = 8192))]
    height: usize,
    #[schemars(range(min = 1, max = 8192))]
    width: usize,
}
impl Kind for Source_ {
    fn source(&self) -> Option<Source> {
        let (set, split) = (self.set.clone(), self.split.clone());
        Some(Source { set, split, held: None, height: self.height, width: self.width, streams: vec!["rgb".into()] })
    }
}
impl SourceKind for Source_ {
    fn read(&self, sample: &SourceSample) -> Result<Labelled<Host>> {
        Ok(Labelled {
            frames: sample.video.clone(),
            label: sample.label.map(|label| Array::scalar(i64::from(label))),
            index: Array::scalar(sample.position as i64),
        })
    }
}

#[derive(Ports)]
pub struct Frames<P: Plane> {
    /// `3 frames H W` the video
    frames: P::Video,
}
#[derive(Ports)]
pub struct Two<P: Plane> {
    /// `3 length H W` a clip
    first: P::Bytes,
    /// `3 length H W` a clip
    second: P::Bytes,
}
#[derive(Ports)]
pub struct Starts<P: Plane> {
    /// `2` where they start
    starts: P::Index,
}
#[kind("clip/pair", inputs = Frames, outputs = Two, draws = Starts, source = "standard")]
pub struct Pair {
    #[schemars(range(min = 1, max = 4096))]
    length: usize,
}
impl Kind for Pair {
    fn draw(&self, mut dice: Starts<Dice>, seen: &Seen<Self>) -> Result<Starts<Row>> {
        let free = seen.inputs.frames.shape[1].saturating_sub(self.length) + 1;
        Ok(Starts { starts: vec![dice.starts.below(free) as i64, dice.starts.below(free) as i64] })
    }
}
impl SampleKind for Pair {
    fn run(&self, Frames { frames }: Frames<Host>, draws: Starts<Row>) -> Result<Two<Host>> {
        let clip = |start: i64| {
            let positions: Vec<usize> = (0..self.length).map(|i| (start as usize + i).min(frames.frames() - 1)).collect();
            frames.clip(&positions).map(Clips::from)
        };
        Ok(Two { first: clip(draws.starts[0])?, second: clip(draws.starts[1])? })
    }
}

#[derive(Ports)]
pub struct OnAxis<P: Plane> {
    /// `clip.. 3 T H W` clips on an axis `clip`
    clips: P::Bytes,
}
#[kind("clip/several", inputs = Frames, outputs = OnAxis, source = "standard")]
pub struct Several {
    #[schemars(range(min = 1, max = 1024))]
    clips: usize,
    #[schemars(range(min = 1, max = 4096))]
    length: usize,
}
impl Kind for Several {
    fn ports(&self, Frames { frames }: Frames<Shapes>) -> Result<OnAxis<Shapes>, PortFault> {
        let [_, _, height, width] = &frames.shape[..] else { unreachable!("a video has four lengths") };
        let clip = Port::bytes([3.into(), self.length.into(), height.clone(), width.clone()]);
        Ok(OnAxis { clips: clip.with_axis(Axis::counted("clip", self.clips)) })
    }
    fn clip_span(&self) -> Option<usize> {
        Some(self.length)
    }
}
impl SampleKind for Several {
    fn run(&self, Frames { frames }: Frames<Host>, _: Nothing<Row>) -> Result<OnAxis<Host>> {
        let positions: Vec<usize> = (0..self.clips * self.length).map(|i| i % frames.frames()).collect();
        Ok(OnAxis { clips: frames.clips(&positions, self.length)? })
    }
}

#[derive(Ports)]
pub struct Views<P: Plane> {
    /// `3 T H W` the clips
    clips: P::Pixels,
}
#[derive(Ports)]
pub struct Squares<P: Plane> {
    /// `3 T size size` a square
    clips: P::Pixels,
}
#[derive(Ports)]
pub struct Offset<P: Plane> {
    /// `2` top and left
    offset: P::Index,
}
#[kind("view/crop", inputs = Views, outputs = Squares, draws = Offset, source = "standard")]
pub struct Crop {
    #[schemars(range(min = 1, max = 4096))]
    size: usize,
}
impl Kind for Crop {
    fn ports(&self, Views { clips }: Views<Shapes>) -> Result<Squares<Shapes>, PortFault> {
        let [channels, time, height, width] = &clips.shape[..] else { unreachable!("a clip has four lengths") };
        // what only the data knows is told when it is cropped
        if [height, width].into_iter().filter_map(Dim::known).any(|n| n < self.size) {
            return Err(PortFault::setting("size", format!("{} pixels do not fit {clips}", self.size)));
        }
        let shape = vec![channels.clone(), time.clone(), self.size.into(), self.size.into()];
        Ok(Squares { clips: Port { shape, ..clips } })
    }
    fn draw(&self, mut dice: Offset<Dice>, seen: &Seen<Self>) -> Result<Offset<Row>> {
        let [_, _, height, width] = seen.inputs.clips.shape[..] else { bail!("no clip") };
        ensure!(self.size <= height && self.size <= width, "{} pixels do not fit {height}x{width}", self.size);
        let mut start = |length: usize| dice.offset.below(length - self.size + 1) as i64;
        Ok(Offset { offset: vec![start(height), start(width)] })
    }
}
impl ViewKind for Crop {
    fn transform(&self, draws: Offset<Row>, [_, height, width]: [usize; 3]) -> Result<Transform> {
        let region = Region::square(draws.offset[0], draws.offset[1], self.size as i64, [height, width])?;
        Ok(Transform::crop(region))
    }
}

#[derive(Ports)]
pub struct Position<P: Plane> {
    /// position
    index: P::Index,
}
#[derive(Ports)]
pub struct Same<P: Plane> {
    /// the same
    index: P::Index,
}
#[kind("view/fail", inputs = Position, outputs = Same, source = "standard")]
pub struct Fail {
    at: String,
    panic: bool,
}
impl Kind for Fail {}
impl SampleKind for Fail {
    fn run(&self, Position { index }: Position<Host>, _: Nothing<Row>) -> Result<Same<Host>> {
        if self.at.split(' ').any(|n| n.parse() == Ok(index.data[0])) {
            assert!(!self.panic, "a node that panics");
            bail!("a node that fails");
        }
        Ok(Same { index })
    }
}

#[derive(Ports)]
pub struct Permutation<P: Plane> {
    /// `items` a permutation
    order: P::Index,
}
#[kind("order/draw", draws = Permutation, source = "standard")]
pub struct Order {
    #[schemars(range(min = 1, max = 1024))]
    items: usize,
}
impl Kind for Order {
    fn draw(&self, mut dice: Permutation<Dice>, _: &Seen<Self>) -> Result<Permutation<Row>> {
        Ok(Permutation { order: dice.order.permutation(self.items).into_iter().map(|i| i as i64).collect() })
    }
}
impl SampleKind for Order {
    fn run(&self, _: Nothing<Host>, _: Permutation<Row>) -> Result<Nothing<Host>> {
        Ok(Nothing::default())
    }
}

#[derive(Ports)]
pub struct Unordered<P: Plane> {
    /// `3 N H W` clips of N frames
    clips: P::Float,
    /// `N` a place for each
    order: P::Index,
}
#[derive(Ports)]
pub struct Ordered<P: Plane> {
    /// `3 N H W` the clips
    clips: P::Float,
}
#[kind("order/shuffle", inputs = Unordered, outputs = Ordered, source = "standard")]
pub struct Shuffle {}
impl Kind for Shuffle {}

#[derive(Ports)]
pub struct Places<P: Plane> {
    /// `N` a permutation
    order: P::Index,
}
#[derive(Ports)]
pub struct SharesOf<P: Plane> {
    /// `N` places as shares of the length
    shares: P::Float,
}
#[kind("order/shares", inputs = Places, outputs = SharesOf, source = "standard")]
pub struct Shares {}
impl Kind for Shares {}

#[derive(Ports)]
pub struct Floats<P: Plane> {
    /// `3 T H W` as floats
    clips: P::Float,
}
#[kind("view/normal", inputs = Views, outputs = Floats, source = "standard")]
pub struct Normal {}
impl Kind for Normal {}

#[derive(Ports)]
pub struct Branches<P: Plane> {
    /// `...` the branches
    clips: Many<P::Pixels>,
}
#[derive(Ports)]
pub struct Branch<P: Plane> {
    /// `...` of the branch
    clips: P::Pixels,
}
#[derive(Ports)]
pub struct Choice<P: Plane> {
    /// which
    choice: P::Index,
}
#[kind("view/choose", inputs = Branches, outputs = Branch, draws = Choice, axes = None, chooses = true, source = "standard")]
pub struct Choose {
    #[schemars(extend("additionalProperties" = { "type": "number", "minimum": 0.0, "maximum": 1e6 }))]
    odds: BTreeMap<String, f64>,
}
impl Kind for Choose {
    fn ports(&self, Branches { mut clips }: Branches<Shapes>) -> Result<Branch<Shapes>, PortFault> {
        let odd = clips.iter().map(|(n, _)| n).find(|n| !self.odds.contains_key(*n));
        match (odd, self.odds.keys().find(|odds| !clips.iter().any(|(n, _)| n == *odds))) {
            (Some(name), _) => Err(PortFault::setting("odds", format!("there are no odds for `{name}`"))),
            (_, Some(name)) => Err(PortFault::setting("odds", format!("there is no branch `{name}`"))),
            _ => Ok(Branch { clips: clips.swap_remove(0).1 }),
        }
    }
    fn pick(&self, rng: &mut Rng, branches: &[&str]) -> Option<usize> {
        Some(rng.weighted(&branches.iter().map(|b| self.odds.get(*b).copied().unwrap_or(0.0)).collect::<Vec<_>>()))
    }
}

#[derive(Ports)]
pub struct Items<P: Plane> {
    /// `...` the items
    clips: Many<P::Pixels>,
}
#[derive(Ports)]
pub struct Stacked<P: Plane> {
    /// `axis.. ...` all of them
    clips: P::Pixels,
}
#[kind("batch/stack", inputs = Items, outputs = Stacked, axes = Keep, source = "standard")]
pub struct Stack {
    axis: String,
}
impl Kind for Stack {
    fn ports(&self, Items { clips }: Items<Shapes>) -> Result<Stacked<Shapes>, PortFault> {
        let items = clips.iter().map(|(n, _)| n.clone()).collect();
        let mut port = clips[0].1.clone();
        port.axes.insert(0, Axis::named(&self.axis, items));
        Ok(Stacked { clips: port })
    }
}

#[derive(Ports)]
pub struct Seen_<P: Plane> {
    /// `3 T H W` the clips
    clips: P::Float,
}
#[derive(Ports)]
pub struct Map<P: Plane> {
    /// `width` features
    map: P::Float,
}
#[kind("backbone/tiny", inputs = Seen_, outputs = Map, source = "standard")]
pub struct Backbone {
    #[schemars(range(min = 1, max = 1024))]
    width: usize,
}
impl Kind for Backbone {}
impl Backbone {
    pub fn sketch(kind: &dyn std::any::Any, inputs: &Inputs) -> Result<Sketched, PortFault> {
        let kind = kind.downcast_ref::<Backbone>().unwrap();
        sketched(kind, inputs, |net, inputs, _| {
            let x = net.conv3d("conv", &inputs.clips, &Conv3d::new(kind.width, [1; 3]));
            let x = net.batch_norm("bn", &x);
            Map { map: net.mean(&x, &[1, 2, 3]) }
        })
    }
}

#[derive(Ports)]
pub struct Pooled<P: Plane> {
    /// `C` features
    map: P::Float,
}
#[derive(Ports)]
pub struct Features<P: Plane> {
    /// `D` features
    features: P::Float,
}
#[kind("head/linear", inputs = Pooled, outputs = Features, source = "standard")]
pub struct Head {
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 65_536)))]
    widths: Vec<usize>,
}
impl Kind for Head {}
impl Head {
    pub fn sketch(kind: &dyn std::any::Any, inputs: &Inputs) -> Result<Sketched, PortFault> {
        let kind = kind.downcast_ref::<Head>().unwrap();
        sketched(kind, inputs, |net, inputs, _| {
            let mut x = inputs.map;
            for (i, width) in kind.widths.iter().enumerate() {
                x = net.linear(&(2 * i).to_string(), &x, &Linear::new(*width));
            }
            Features { features: x }
        })
    }
}

#[derive(Ports)]
pub struct Series<P: Plane> {
    /// `D` one view
    a: P::Float,
    /// `D` the other view
    b: P::Float,
}
#[derive(Ports)]
pub struct Contrasted<P: Plane> {
    /// the loss
    loss: P::Scalar,
    /// accuracy
    top1: P::Scalar,
    /// `N N` similarities
    logits: P::Whole,
}
#[kind("loss/contrast", inputs = Series, outputs = Contrasted, rate = Batch, axes = None, source = "standard")]
pub struct Contrast {
    /// How soft.
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
    hard: Option<bool>,
}
impl Kind for Contrast {
    fn check(&self, faults: &mut SettingFaults) {
        faults.require(self.hard != Some(true) || self.temperature <= 1.0, "temperature", "must be at most 1 where `hard` is true");
    }
}

/// A number, or `false`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Weight {
    Number(#[schemars(range(min = -1e6, max = 1e6))] f64),
    Off(bool),
}

#[derive(Ports)]
pub struct Differing<P: Plane> {
    /// `D` one view
    a: P::Float,
    /// `K D` rows to differ from
    negatives: P::Whole,
    /// what the loss is divided by
    scale: Option<P::Scalar>,
}
#[derive(Ports)]
pub struct AgainstRows<P: Plane> {
    /// the loss
    loss: P::Scalar,
    /// of the products
    mean: P::Scalar,
}
#[kind("loss/against", inputs = Differing, outputs = AgainstRows, rate = Batch, axes = None, source = "standard")]
pub struct Against {}
impl Kind for Against {}

#[derive(Ports)]
pub struct Written<P: Plane> {
    /// `...` a row of each sample
    rows: P::Float,
}
#[derive(Ports)]
pub struct Newest<P: Plane> {
    /// `K ...` the newest rows
    rows: P::Whole,
    /// how many were written
    filled: P::Scalar,
}
#[derive(Ports)]
pub struct Kept<P: Plane> {
    /// `K ...` the newest rows
    rows: P::Whole,
}
#[kind("memory/ring", outputs = Newest, writes = Written, source = "standard")]
pub struct Ring {
    #[schemars(range(min = 1, max = 16_777_216))]
    rows: usize,
}
impl Ring {
    fn shape(&self, written: &Written<Late>) -> Result<Vec<Dim>, PortFault> {
        let row = written.rows.clone()?.shape;
        Ok(std::iter::once(self.rows.into()).chain(row).collect())
    }
}
impl Kind for Ring {
    fn batch_at_most(&self) -> Option<(&'static str, usize)> {
        Some(("rows", self.rows))
    }
}
impl RegisterDeclaration for Ring {
    type Kept<P: Plane> = Kept<P>;
    fn state(&self, written: &Written<Late>) -> Result<Kept<States>, PortFault> {
        Ok(Kept { rows: State::new(self.shape(written)?, Init::UnitLength).reference(Reference::FirstAxisLast) })
    }
    fn outputs(&self, written: &Written<Late>) -> Result<Newest<Shapes>, PortFault> {
        Ok(Newest { rows: Port::whole(Type::Float, self.shape(written)?), filled: Port::scalar() })
    }
}

#[derive(Ports)]
pub struct First<P: Plane> {
    /// the first step's
    value: P::Scalar,
}
#[derive(Ports)]
pub struct FoundValue<P: Plane> {
    /// what the first step found
    value: P::Scalar,
}
#[kind("memory/found", outputs = FoundValue, initial = First, source = "standard")]
pub struct Found {}
impl Kind for Found {}
impl RegisterDeclaration for Found {
    type Kept<P: Plane> = FoundValue<P>;
    fn state(&self, _: &Nothing<Late>) -> Result<FoundValue<States>, PortFault> {
        Ok(FoundValue { value: State::new([], Init::Constant(0.0)) })
    }
    fn outputs(&self, _: &Nothing<Late>) -> Result<FoundValue<Shapes>, PortFault> {
        Ok(FoundValue { value: Port::scalar() })
    }
}

#[derive(Ports)]
pub struct Flowing<P: Plane> {
    /// `...` anything
    rows: P::Float,
}
#[derive(Ports)]
pub struct Stopped<P: Plane> {
    /// `...` the same, without gradient
    rows: P::Float,
}
#[kind("flow/stop", inputs = Flowing, outputs = Stopped, gradient = false, source = "standard")]
pub struct Stop {}
impl Kind for Stop {
    fn ports(&self, Flowing { rows }: Flowing<Shapes>) -> Result<Stopped<Shapes>, PortFault> {
        Ok(Stopped { rows })
    }
}

#[derive(Ports)]
pub struct Terms<P: Plane> {
    /// the terms
    losses: Many<P::Scalar>,
}
#[derive(Ports)]
pub struct Total<P: Plane> {
    /// the sum
    loss: P::Scalar,
}
#[kind("loss/sum", inputs = Terms, outputs = Total, rate = Batch, axes = None, source = "standard")]
pub struct Sum {
    weights: BTreeMap<String, Weight>,
}
impl Kind for Sum {
    fn ports(&self, Terms { losses }: Terms<Shapes>) -> Result<Total<Shapes>, PortFault> {
        match losses.iter().find(|(n, _)| !self.weights.contains_key(n)) {
            Some((name, _)) => Err(PortFault::port(name, format!("no weight for `{name}`"))),
            None => Ok(Total { loss: Port::scalar() }),
        }
    }
    fn dropped(&self) -> Vec<String> {
        self.weights.iter().filter(|(_, w)| matches!(w, Weight::Off(false))).map(|(n, _)| n.clone()).collect()
    }
}

#[derive(Ports)]
pub struct Answers<P: Plane> {
    /// `... classes` one for each class
    logits: P::Float,
    /// the class
    #[counts("classes")]
    label: P::Index,
}
#[derive(Ports)]
pub struct Wrongness<P: Plane> {
    /// how wrong they are
    loss: P::Scalar,
}
#[kind("loss/right", inputs = Answers, outputs = Wrongness, rate = Batch, axes = None, source = "standard")]
pub struct Right {}
impl Kind for Right {}

#[derive(Ports)]
pub struct Gathered<P: Plane> {
    /// `...` the rows
    rows: P::Float,
    /// classes
    label: Option<P::Index>,
}
#[derive(Ports)]
pub struct Means<P: Plane> {
    /// `...` a table
    rows: P::Table,
}
#[kind("collect/mean", inputs = Gathered, outputs = Means, rate = Stage, axes = Keep, source = "standard")]
pub struct Mean {
    over: Vec<String>,
}
impl Kind for Mean {
    fn ports(&self, Gathered { rows, .. }: Gathered<Shapes>) -> Result<Means<Shapes>, PortFault> {
        match rows.axes.iter().find(|a| !self.over.contains(&a.name)) {
            Some(axis) => Err(PortFault::setting("over", format!("`{}` is left", axis.name))),
            None => Ok(Means { rows: Port::table(rows.shape) }),
        }
    }
}

#[derive(Ports)]
pub struct Searched<P: Plane> {
    /// `D` searched
    gallery: P::Table,
    /// `D` searched for
    query: P::Table,
}
#[derive(Ports)]
pub struct Ranks<P: Plane> {
    /// share
    top1: P::Scalar,
    /// of each
    ranks: P::Table,
}
#[kind("evaluate/score", inputs = Searched, outputs = Ranks, rate = Stage, axes = None, source = "standard")]
pub struct Score {
    #[schemars(range(min = 1, max = 1_000_000))]
    k: usize,
}
impl Kind for Score {
    fn rows_needed(&self) -> Option<RowsNeeded> {
        Some(RowsNeeded { input: "gallery", setting: "k", rows: self.k })
    }
    fn apart(&self) -> Option<[&'static str; 2]> {
        Some(["gallery", "query"])
    }
}

#[derive(Ports)]
pub struct Compared<P: Plane> {
    /// `D` a table
    table: P::Table,
    /// `D` rows
    rows: P::Float,
}
#[derive(Ports)]
pub struct Near<P: Plane> {
    /// share
    near: P::Scalar,
}
#[kind("evaluate/compare", inputs = Compared, outputs = Near, rate = Stage, source = "standard")]
pub struct Compare {}
impl Kind for Compare {}

#[derive(Ports)]
pub struct Sampled<P: Plane> {
    /// `...` a table
    ranks: P::Table,
}
#[derive(Ports)]
pub struct Low<P: Plane> {
    /// end of an interval
    low: P::Scalar,
}
#[kind("evaluate/resample", inputs = Sampled, outputs = Low, rate = Stage, seeded = true, source = "standard")]
pub struct Resample {}
impl Kind for Resample {}
