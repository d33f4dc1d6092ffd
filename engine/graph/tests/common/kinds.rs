//! The kinds of the small library.

use anyhow::{bail, Result};
use dv_graph::draw::Rng;
use dv_graph::host::{Array, SampleIo, SampleKind, Value};
use dv_graph::kind::*;
use dv_graph::layer;
use dv_graph::port::{Axis, Dim, Port, Rate, Type};
use dv_graph::settings::SettingFaults;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

type Ports = Result<Vec<Port>, PortFault>;
const CLIP: &[Type] = &[Type::Bytes, Type::Float];

macro_rules! settings {
    ($name:ident { $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)? }) => {
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$doc])* $field: $ty),* }
    };
}

settings!(Source_ {
    set: String,
    split: String,
    #[schemars(range(min = 1, max = 8192))]
    height: usize,
    #[schemars(range(min = 1, max = 8192))]
    width: usize,
});
impl Kind for Source_ {
    const NAME: &'static str = "source/set";
    const INPUTS: &'static [In] = &[];
    const OUTPUTS: &'static [Out] =
        &[Out::new("frames", "3 frames H W", "the video"), Out::new("label", "", "its class"), Out::new("index", "", "its position")];
    fn ports(&self, _: &Inputs) -> Ports {
        let symbol = |name: &str| Dim::Symbol(name.into());
        Ok(vec![
            Port::video([3.into(), symbol("frames"), self.height.into(), self.width.into()]),
            Port::index([]).with_range(symbol("classes")),
            Port::index([]).with_range(symbol("videos")),
        ])
    }
    fn source(&self) -> Option<Source> {
        let (set, split) = (self.set.clone(), self.split.clone());
        Some(Source { set, split, held: None, height: self.height, width: self.width, streams: vec!["rgb".into()] })
    }
}
impl SampleKind for Source_ {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let source = io.source()?;
        io.put("frames", Value::Video(source.video.clone()));
        io.put("index", Value::Index(Array::new(vec![], vec![source.position as i64])));
        if let Some(label) = source.label {
            io.put("label", Value::Index(Array::new(vec![], vec![i64::from(label)])));
        }
        Ok(())
    }
}

fn clip(inputs: &Inputs, length: usize) -> Port {
    let shape = &inputs.port("frames").shape;
    Port::bytes([3.into(), length.into(), shape[2].clone(), shape[3].clone()])
}
const FRAMES: In = In::new("frames", &[Type::Video], "3 frames H W", "the video");

settings!(Pair {
    #[schemars(range(min = 1, max = 4096))]
    length: usize,
});
impl Kind for Pair {
    const NAME: &'static str = "clip/pair";
    const INPUTS: &'static [In] = &[FRAMES];
    const OUTPUTS: &'static [Out] =
        &[Out::new("first", "3 T H W", "a clip"), Out::new("second", "3 T H W", "a clip"), Out::draw("starts", "2", "where they start")];
    fn ports(&self, inputs: &Inputs) -> Ports {
        Ok(vec![clip(inputs, self.length), clip(inputs, self.length), Port::index([2.into()])])
    }
}
impl SampleKind for Pair {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let video = io.video("frames")?;
        let free = video.frames().saturating_sub(self.length) + 1;
        let starts = io.draw_index("starts", &[2], |rng| vec![rng.below(free) as i64, rng.below(free) as i64])?;
        for (name, start) in ["first", "second"].into_iter().zip(starts) {
            let frames: Vec<usize> = (0..self.length).map(|i| (start as usize + i).min(video.frames() - 1)).collect();
            io.put(name, Value::Bytes(video.clip(&frames)?));
        }
        Ok(())
    }
}

settings!(Several {
    #[schemars(range(min = 1, max = 1024))]
    clips: usize,
    #[schemars(range(min = 1, max = 4096))]
    length: usize,
});
impl Kind for Several {
    const NAME: &'static str = "clip/several";
    const INPUTS: &'static [In] = &[FRAMES];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "clip.. 3 T H W", "clips on an axis `clip`")];
    fn ports(&self, inputs: &Inputs) -> Ports {
        Ok(vec![clip(inputs, self.length).with_axis(Axis::counted("clip", self.clips))])
    }
    fn clip_span(&self) -> Option<usize> {
        Some(self.length)
    }
}
impl SampleKind for Several {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let video = io.video("frames")?;
        let frames: Vec<usize> = (0..self.clips * self.length).map(|i| i % video.frames()).collect();
        let all = video.clip(&frames)?;
        let shape = [&[self.clips, self.length], &all.shape[1..]].concat();
        io.put("clips", Value::Bytes(Array { shape, data: all.data }));
        Ok(())
    }
}

settings!(Crop {
    #[schemars(range(min = 1, max = 4096))]
    size: usize,
});
impl Kind for Crop {
    const NAME: &'static str = "view/crop";
    const INPUTS: &'static [In] = &[In::new("clips", CLIP, "3 T H W", "the clips")];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "3 T S S", "a square"), Out::draw("offset", "2", "top and left")];
    fn ports(&self, inputs: &Inputs) -> Ports {
        let port = inputs.port("clips");
        if [inputs.known("H")?, inputs.known("W")?].iter().any(|n| *n < self.size) {
            return Err(PortFault::setting("size", format!("{} pixels do not fit {port}", self.size)));
        }
        let shape = vec![3.into(), port.shape[1].clone(), self.size.into(), self.size.into()];
        Ok(vec![Port { shape, ..port.clone() }, Port::index([2.into()])])
    }
}
impl SampleKind for Crop {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let a = io.bytes("clips")?;
        let [t, h, w] = [a.shape[0], a.shape[1], a.shape[2]];
        let s = self.size;
        let offset = io.draw_index("offset", &[2], |rng| vec![rng.below(h - s + 1) as i64, rng.below(w - s + 1) as i64])?;
        let (top, left) = (offset[0] as usize, offset[1] as usize);
        let mut data = Vec::new();
        for f in 0..t {
            for y in top..top + s {
                let row = ((f * h + y) * w + left) * 3;
                data.extend_from_slice(&a.data[row..row + s * 3]);
            }
        }
        io.put("clips", Value::Bytes(Array::new(vec![t, s, s, 3], data)));
        Ok(())
    }
}

settings!(Fail { at: String, panic: bool });
impl Kind for Fail {
    const NAME: &'static str = "view/fail";
    const INPUTS: &'static [In] = &[In::new("index", &[Type::Index], "", "position")];
    const OUTPUTS: &'static [Out] = &[Out::new("index", "", "the same")];
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::index([])])
    }
}
impl SampleKind for Fail {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let Value::Index(a) = io.input("index")? else { bail!("no index") };
        if self.at.split(' ').any(|n| n.parse() == Ok(a.data[0])) {
            assert!(!self.panic, "a node that panics");
            bail!("a node that fails");
        }
        io.put("index", Value::Index(a.clone()));
        Ok(())
    }
}

settings!(Order {
    #[schemars(range(min = 1, max = 1024))]
    items: usize,
});
impl Kind for Order {
    const NAME: &'static str = "order/draw";
    const INPUTS: &'static [In] = &[];
    const OUTPUTS: &'static [Out] = &[Out::draw("order", "N", "a permutation")];
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::index([self.items.into()])])
    }
}
impl SampleKind for Order {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        io.draw_index("order", &[self.items], |rng| rng.permutation(self.items).into_iter().map(|i| i as i64).collect()).map(drop)
    }
}

settings!(Shuffle {});
impl Kind for Shuffle {
    const NAME: &'static str = "order/shuffle";
    const INPUTS: &'static [In] =
        &[In::new("clips", &[Type::Float], "3 N H W", "clips of N frames"), In::new("order", &[Type::Index], "N", "a place for each")];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "3 N H W", "the clips")];
    fn ports(&self, inputs: &Inputs) -> Ports {
        Ok(vec![Port { axes: vec![], ..inputs.port("clips").clone() }])
    }
}

settings!(Shares {});
impl Kind for Shares {
    const NAME: &'static str = "order/shares";
    const INPUTS: &'static [In] = &[In::new("order", &[Type::Index], "N", "a permutation")];
    const OUTPUTS: &'static [Out] = &[Out::new("shares", "N", "places as shares of the length")];
    fn ports(&self, inputs: &Inputs) -> Ports {
        Ok(vec![Port::float([inputs.dim("N")])])
    }
}

settings!(Normal {});
impl Kind for Normal {
    const NAME: &'static str = "view/normal";
    const INPUTS: &'static [In] = &[In::new("clips", CLIP, "3 T H W", "the clips")];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "3 T H W", "as floats")];
    fn ports(&self, inputs: &Inputs) -> Ports {
        Ok(vec![Port::float(inputs.port("clips").shape.clone())])
    }
}

settings!(Choose {
    #[schemars(extend("additionalProperties" = { "type": "number", "minimum": 0.0, "maximum": 1e6 }))]
    odds: BTreeMap<String, f64>,
});
impl Kind for Choose {
    const NAME: &'static str = "view/choose";
    const INPUTS: &'static [In] = &[In::new("clips", CLIP, "...", "the branches").many()];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "...", "of the branch"), Out::draw("choice", "", "which")];
    const AXES: Axes = Axes::None;
    const CHOOSES: bool = true;
    fn ports(&self, inputs: &Inputs) -> Ports {
        let branches: Vec<&Port> = inputs.all().filter(|(n, _)| *n != "choice").map(|(_, p)| p).collect();
        let odd = inputs.all().map(|(n, _)| n).find(|n| *n != "choice" && !self.odds.contains_key(*n));
        match (odd, self.odds.keys().find(|n| inputs.get(n).is_none())) {
            (Some(name), _) => Err(PortFault::setting("odds", format!("there are no odds for `{name}`"))),
            (_, Some(name)) => Err(PortFault::setting("odds", format!("there is no branch `{name}`"))),
            _ => Ok(vec![branches[0].clone(), Port::index([])]),
        }
    }
    fn pick(&self, rng: &mut Rng, branches: &[&str]) -> Option<usize> {
        Some(rng.weighted(&branches.iter().map(|b| self.odds.get(*b).copied().unwrap_or(0.0)).collect::<Vec<_>>()))
    }
}

settings!(Stack { axis: String });
impl Kind for Stack {
    const NAME: &'static str = "batch/stack";
    const INPUTS: &'static [In] = &[In::new("clips", CLIP, "...", "the items").many()];
    const OUTPUTS: &'static [Out] = &[Out::new("clips", "axis.. ...", "all of them")];
    const AXES: Axes = Axes::Keep;
    fn ports(&self, inputs: &Inputs) -> Ports {
        let items = inputs.all().map(|(n, _)| n.to_string()).collect();
        let mut port = inputs.all().next().unwrap().1.clone();
        port.axes.insert(0, Axis::named(&self.axis, items));
        Ok(vec![port])
    }
}

settings!(Backbone {
    #[schemars(range(min = 1, max = 1024))]
    width: usize,
});
impl Kind for Backbone {
    const NAME: &'static str = "backbone/tiny";
    const INPUTS: &'static [In] = &[In::new("clips", &[Type::Float], "3 T H W", "the clips")];
    const OUTPUTS: &'static [Out] = &[Out::new("map", "C", "features")];
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::float([self.width.into()])])
    }
}
impl ModelDeclaration for Backbone {
    fn parameters(&self, _: &Inputs) -> Vec<Parameter> {
        let mut list = layer::convolution("conv", 3, self.width, &[1, 1, 1], false);
        list.extend(layer::batch_norm("bn", self.width));
        list
    }
}

settings!(Head {
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 65_536)))]
    widths: Vec<usize>,
});
impl Kind for Head {
    const NAME: &'static str = "head/linear";
    const INPUTS: &'static [In] = &[In::new("map", &[Type::Float], "C", "features")];
    const OUTPUTS: &'static [Out] = &[Out::new("features", "D", "features")];
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::float([self.widths[self.widths.len() - 1].into()])])
    }
}
impl ModelDeclaration for Head {
    fn parameters(&self, inputs: &Inputs) -> Vec<Parameter> {
        let mut from = inputs.known("C").unwrap_or(1);
        let mut list = Vec::new();
        for (i, width) in self.widths.iter().enumerate() {
            list.extend(layer::linear(&(2 * i).to_string(), from, *width));
            from = *width;
        }
        list
    }
}

settings!(Contrast {
    /// How soft.
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
    hard: Option<bool>,
});
impl Kind for Contrast {
    const NAME: &'static str = "loss/contrast";
    const INPUTS: &'static [In] = &[In::new("a", &[Type::Float], "D", "one view"), In::new("b", &[Type::Float], "D", "the other view")];
    const OUTPUTS: &'static [Out] =
        &[Out::new("loss", "", "the loss"), Out::new("top1", "", "accuracy"), Out::new("logits", "N N", "similarities")];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;
    fn check(&self, faults: &mut SettingFaults) {
        faults.require(self.hard != Some(true) || self.temperature <= 1.0, "temperature", "must be at most 1 where `hard` is true");
    }
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::scalar(), Port::scalar(), Port::whole(Type::Float, [Dim::Symbol("N".into()), Dim::Symbol("N".into())])])
    }
}

/// A number, or `false`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Weight {
    Number(#[schemars(range(min = -1e6, max = 1e6))] f64),
    Off(bool),
}

settings!(Against {});
impl Kind for Against {
    const NAME: &'static str = "loss/against";
    const INPUTS: &'static [In] = &[
        In::new("a", &[Type::Float], "D", "one view"),
        In::new("negatives", &[Type::Float], "K D", "rows to differ from"),
        In::new("scale", &[Type::Float], "", "what the loss is divided by").optional(),
    ];
    const OUTPUTS: &'static [Out] = &[Out::new("loss", "", "the loss"), Out::new("mean", "", "of the products")];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::scalar(), Port::scalar()])
    }
}

settings!(Ring {
    #[schemars(range(min = 1, max = 16_777_216))]
    rows: usize,
});
impl Kind for Ring {
    const NAME: &'static str = "memory/ring";
    const INPUTS: &'static [In] = &[];
    const WRITES: &'static [In] = &[In::new("rows", &[Type::Float], "...", "a row of each sample")];
    const OUTPUTS: &'static [Out] = &[Out::new("rows", "K ...", "the newest rows"), Out::new("filled", "", "how many were written")];
    fn batch_at_most(&self) -> Option<(&'static str, usize)> {
        Some(("rows", self.rows))
    }
    fn ports(&self, inputs: &Inputs) -> Ports {
        let written = inputs.written("rows")?;
        let shape = std::iter::once(self.rows.into()).chain(written.shape.iter().cloned());
        Ok(vec![Port::whole(Type::Float, shape), Port::scalar()])
    }
}
impl RegisterDeclaration for Ring {
    fn state(&self, inputs: &Inputs) -> Vec<State> {
        let written = inputs.written("rows").map(|p| p.shape.clone()).unwrap_or_default();
        let shape = std::iter::once(self.rows.into()).chain(written).collect();
        vec![State { name: "rows", shape, ty: Type::Float, init: Init::UnitLength, reference: Reference::FirstAxisLast }]
    }
}

settings!(Found {});
impl Kind for Found {
    const NAME: &'static str = "memory/found";
    const INPUTS: &'static [In] = &[];
    const INITIAL: &'static [In] = &[In::new("value", &[Type::Float], "", "the first step's")];
    const OUTPUTS: &'static [Out] = &[Out::new("value", "", "what the first step found")];
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::scalar()])
    }
}
impl RegisterDeclaration for Found {
    fn state(&self, _: &Inputs) -> Vec<State> {
        vec![State { name: "value", shape: vec![], ty: Type::Float, init: Init::Constant(0.0), reference: Reference::Same }]
    }
}

settings!(Stop {});
impl Kind for Stop {
    const NAME: &'static str = "flow/stop";
    const INPUTS: &'static [In] = &[In::new("rows", &[Type::Float], "...", "anything")];
    const OUTPUTS: &'static [Out] = &[Out::new("rows", "...", "the same, without gradient")];
    const GRADIENT: bool = false;
    fn ports(&self, inputs: &Inputs) -> Ports {
        Ok(vec![inputs.port("rows").clone()])
    }
}

settings!(Sum { weights: BTreeMap<String, Weight> });
impl Kind for Sum {
    const NAME: &'static str = "loss/sum";
    const INPUTS: &'static [In] = &[In::new("losses", &[Type::Float], "", "the terms").many()];
    const OUTPUTS: &'static [Out] = &[Out::new("loss", "", "the sum")];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;
    fn ports(&self, inputs: &Inputs) -> Ports {
        match inputs.all().find(|(n, _)| !self.weights.contains_key(*n)) {
            Some((name, _)) => Err(PortFault::input(name, format!("no weight for `{name}`"))),
            None => Ok(vec![Port::scalar()]),
        }
    }
    fn dropped(&self) -> Vec<String> {
        self.weights.iter().filter(|(_, w)| matches!(w, Weight::Off(false))).map(|(n, _)| n.clone()).collect()
    }
}

settings!(Right {});
impl Kind for Right {
    const NAME: &'static str = "loss/right";
    const INPUTS: &'static [In] = &[
        In::new("logits", &[Type::Float], "... classes", "one for each class"),
        In::new("label", &[Type::Index], "", "the class").counts("classes"),
    ];
    const OUTPUTS: &'static [Out] = &[Out::new("loss", "", "how wrong they are")];
    const RATE: Rate = Rate::Batch;
    const AXES: Axes = Axes::None;
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::scalar()])
    }
}

settings!(Mean { over: Vec<String> });
impl Kind for Mean {
    const NAME: &'static str = "collect/mean";
    const INPUTS: &'static [In] =
        &[In::new("rows", &[Type::Float], "...", "the rows"), In::new("label", &[Type::Index], "", "classes").optional()];
    const OUTPUTS: &'static [Out] = &[Out::new("rows", "...", "a table")];
    const RATE: Rate = Rate::Stage;
    const AXES: Axes = Axes::Keep;
    fn ports(&self, inputs: &Inputs) -> Ports {
        let rows = inputs.port("rows");
        match rows.axes.iter().find(|a| !self.over.contains(&a.name)) {
            Some(axis) => Err(PortFault::setting("over", format!("`{}` is left", axis.name))),
            None => Ok(vec![Port::table(rows.shape.clone())]),
        }
    }
}

settings!(Score {
    #[schemars(range(min = 1, max = 1_000_000))]
    k: usize,
});
impl Kind for Score {
    const NAME: &'static str = "evaluate/score";
    const INPUTS: &'static [In] =
        &[In::new("gallery", &[Type::Table], "D", "searched"), In::new("query", &[Type::Table], "D", "searched for")];
    const OUTPUTS: &'static [Out] = &[Out::new("top1", "", "share"), Out::new("ranks", "", "of each")];
    const RATE: Rate = Rate::Stage;
    const AXES: Axes = Axes::None;
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::scalar(), Port::table([])])
    }
    fn rows_needed(&self) -> Option<RowsNeeded> {
        Some(RowsNeeded { input: "gallery", setting: "k", rows: self.k })
    }
    fn apart(&self) -> Option<[&'static str; 2]> {
        Some(["gallery", "query"])
    }
}

settings!(Compare {});
impl Kind for Compare {
    const NAME: &'static str = "evaluate/compare";
    const INPUTS: &'static [In] = &[In::new("table", &[Type::Table], "D", "a table"), In::new("rows", &[Type::Float], "D", "rows")];
    const OUTPUTS: &'static [Out] = &[Out::new("near", "", "share")];
    const RATE: Rate = Rate::Stage;
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::scalar()])
    }
}

settings!(Resample {});
impl Kind for Resample {
    const NAME: &'static str = "evaluate/resample";
    const INPUTS: &'static [In] = &[In::new("ranks", &[Type::Table], "...", "a table")];
    const OUTPUTS: &'static [Out] = &[Out::new("low", "", "end of an interval")];
    const RATE: Rate = Rate::Stage;
    const SEEDED: bool = true;
    fn ports(&self, _: &Inputs) -> Ports {
        Ok(vec![Port::scalar()])
    }
}
