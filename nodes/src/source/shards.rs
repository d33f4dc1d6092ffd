use crate::limits;
use anyhow::Result;
use dv_graph::host::{Array, SampleIo, SampleKind, Value};
use dv_graph::kind::{In, Inputs, Kind, Out, PortFault, Source};
use dv_graph::port::{Dim, Port};
use dv_graph::settings::SettingFaults;
use schemars::JsonSchema;
use serde::Deserialize;

/// The videos of one split of a packed set, each as frames that can be asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shards {
    /// Name of the packed set: the folder of that name below the data folder.
    set: String,
    /// Name of the split: `train01`, `test01`.
    split: String,
    /// Rows of a training split withheld for validation; 0 reads all.
    #[schemars(range(min = 0, max = limits::ROWS))]
    hold_out: usize,
    /// Height in pixels at which the set was packed.
    #[schemars(range(min = 1, max = limits::PACKED_PIXELS))]
    height: usize,
    /// Width in pixels at which the set was packed.
    #[schemars(range(min = 1, max = limits::PACKED_PIXELS))]
    width: usize,
}

impl Kind for Shards {
    const NAME: &'static str = "source/shards";
    const INPUTS: &'static [In] = &[];
    const OUTPUTS: &'static [Out] = &[
        Out::new("frames", "3 frames H W", "the video: 8-bit RGB, as many frames as it has"),
        Out::new("label", "", "class, in 0..classes; sets without classes have none"),
        Out::new("index", "", "position among the rows that the source reads"),
    ];

    fn check(&self, faults: &mut SettingFaults) {
        faults.require(!self.set.is_empty(), "set", "must name a set");
        faults.require(!self.split.is_empty(), "split", "must name a split");
    }
    fn ports(&self, _: &Inputs) -> Result<Vec<Port>, PortFault> {
        let symbol = |name: &str| Dim::Symbol(name.into());
        Ok(vec![
            Port::video([3.into(), symbol("frames"), self.height.into(), self.width.into()]),
            Port::index([]).with_range(symbol("classes")),
            Port::index([]).with_range(symbol("videos")),
        ])
    }
    fn source(&self) -> Option<Source> {
        Some(Source {
            set: self.set.clone(),
            split: self.split.clone(),
            hold_out: self.hold_out,
            height: self.height,
            width: self.width,
            streams: vec!["rgb".to_string()],
        })
    }
}

impl SampleKind for Shards {
    fn run(&self, io: &mut SampleIo) -> Result<()> {
        let source = io.source()?;
        let scalar = |n: i64| Value::Index(Array::new(vec![], vec![n]));
        io.put("frames", Value::Video(source.video.clone()));
        io.put("index", scalar(source.position as i64));
        if let Some(label) = source.label {
            io.put("label", scalar(i64::from(label)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_port_is_the_packed_size_with_symbols_for_what_the_data_knows() {
        let kind: Shards = testing::kind("set = 'u'\nsplit = 'train01'\nhold_out = 3\nheight = 171\nwidth = 128");
        let ports = kind.ports(&Inputs::new(vec![])).unwrap();
        assert_eq!(ports[0].to_string(), "video [B, 3, frames, 171, 128]");
        assert_eq!(ports[1].range, Some(Dim::Symbol("classes".into())));
        let source = kind.source().unwrap();
        assert_eq!((source.set.as_str(), source.split.as_str(), source.hold_out), ("u", "train01", 3));
    }
}
