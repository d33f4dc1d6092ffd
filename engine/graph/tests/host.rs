//! What kinds of the host may do: outputs that exist by their settings, pixels that a node paints itself, sizes that only the data knows.

mod common;

use common::*;
use dv_datasets::{PackedSet, SetOptions, SetWriter, VideoMeta};
use dv_graph::check::Checked;
use dv_graph::draw::Pass;
use dv_graph::kind::{Entry, Library};
use dv_graph::ports::derived;
use dv_graph::prelude::*;
use dv_graph::sample::epoch::Rows;
use dv_graph::sample::loader::{Column, Loader};
use dv_graph::sample::runner::HostPlan;
use std::path::Path;
use std::sync::Arc;

/// Whether there is a second output.
#[choice]
enum Again {
    No,
    Yes,
    /// It is declared, and not given.
    Forgotten,
}

#[derive(Ports)]
struct Twice<P: Plane> {
    /// `3 frames H W` the video, of whatever size
    frames: P::Video,
    /// `3 frames H W` the video once more
    again: Option<P::Video>,
    /// its position
    #[range("videos")]
    index: P::Index,
}
#[kind("source/open", outputs = Twice, source = "standard")]
struct Open {
    again: Again,
}
impl Kind for Open {
    fn ports(&self, inputs: Nothing<Shapes>) -> Result<Twice<Shapes>, PortFault> {
        let all: Twice<Shapes> = derived(self, inputs)?;
        Ok(Twice { again: all.again.filter(|_| self.again != Again::No), ..all })
    }
    fn source(&self) -> Option<Source> {
        Some(Source { set: "tiny".into(), split: "train".into(), held: None, height: 24, width: 20, streams: vec!["rgb".into()] })
    }
}
impl SourceKind for Open {
    fn read(&self, sample: &SourceSample) -> Result<Twice<Host>> {
        let again = (self.again == Again::Yes).then(|| sample.video.clone());
        Ok(Twice { frames: sample.video.clone(), again, index: Array::scalar(sample.position as i64) })
    }
}

#[derive(Ports)]
struct Number<P: Plane> {
    /// a number
    index: P::Index,
}
#[derive(Ports)]
struct Picture<P: Plane> {
    /// `3 2 5 7` a clip in shades of the number
    clips: P::Bytes,
}
#[kind("own/brush", inputs = Number, outputs = Picture, source = "standard")]
struct Brush {
    /// A number that is not painted.
    never: i64,
}
impl Kind for Brush {}
impl SampleKind for Brush {
    fn run(&self, Number { index }: Number<Host>, _: Nothing<Row>) -> Result<Picture<Host>> {
        let shades = Shades { number: index.data[0], never: self.never };
        Ok(Picture { clips: Clip::painted([2, 5, 7], Arc::new(shades)).into() })
    }
}

struct Shades {
    number: i64,
    never: i64,
}
impl Shades {
    fn at(number: i64, place: usize) -> u8 {
        (number as usize * 31 + place * 7) as u8
    }
}
impl dv_graph::host::Paint for Shades {
    fn paint(&self, out: &mut [u8]) -> Result<()> {
        ensure!(self.number != self.never, "no colour for {}", self.number);
        out.iter_mut().enumerate().for_each(|(place, byte)| *byte = Shades::at(self.number, place));
        Ok(())
    }
}

/// How a kind makes its draws.
#[choice]
enum Making {
    Right,
    TooMany,
    Panic,
}

#[derive(Ports)]
struct Numbers<P: Plane> {
    /// `2` integers
    whole: P::Index,
    /// `count` floats
    real: P::Float,
}
#[kind("own/draws", inputs = Number, draws = Numbers, source = "standard")]
struct Draws {
    count: usize,
    making: Making,
}
impl Kind for Draws {
    fn draw(&self, mut dice: Numbers<Dice>, seen: &Seen<Self>) -> Result<Numbers<Row>> {
        assert!(self.making != Making::Panic, "no dice");
        ensure!(!seen.training && seen.inputs.index.shape.is_empty(), "{:?}", seen.inputs.index);
        let count = self.count + usize::from(self.making == Making::TooMany);
        let real = (0..count).map(|_| dice.real.unit() as f32).collect();
        Ok(Numbers { whole: vec![dice.whole.below(100) as i64, dice.whole.below(100) as i64], real })
    }
}
impl SampleKind for Draws {
    fn run(&self, _: Number<Host>, _: Numbers<Row>) -> Result<Nothing<Host>> {
        Ok(Nothing::default())
    }
}

#[kind("own/no_draws", inputs = Number, draws = Numbers, source = "standard")]
struct NoDraws {
    count: usize,
}
impl Kind for NoDraws {}
impl SampleKind for NoDraws {
    fn run(&self, _: Number<Host>, draws: Numbers<Row>) -> Result<Nothing<Host>> {
        ensure!(draws.real.len() == self.count, "{:?}", draws.real);
        Ok(Nothing::default())
    }
}

static OWN: &[Entry] = &[Entry::source::<Open>(), Entry::sample::<Brush>(), Entry::both::<Draws>(), Entry::both::<NoDraws>()];

/// A stage that reads the source and has these nodes beside it.
fn graph(again: &str, nodes: &str) -> String {
    format!(
        r#"schema = 1
name   = "host"
about  = "kinds of the host"
seed   = 0
[stages.read]
batch     = 3
precision = "fp32"
[stages.read.nodes]
video = {{ kind = "source/open", again = "{again}" }}
{nodes}
[stages.score.nodes]
low = {{ kind = "evaluate/resample", in = "read/table.rows" }}
"#
    )
}

fn check(text: &str) -> Checked {
    checked_by(&Library::new(ENTRIES.iter().chain(OWN)), &[("g.toml", text)], &[])
}

const VIDEOS: usize = 7;

fn packed(dir: &Path) -> PackedSet {
    let mut options = SetOptions::new("tiny", 24, 20);
    options.fsync = false;
    let mut writer = SetWriter::create(&dir.join("tiny"), options).unwrap();
    for i in 0..VIDEOS {
        let frames = (0..4 + i).map(|f| (0..24 * 20 * 3).map(|p| (p * 7 + f * 31 + i * 101) as u8).collect::<Vec<u8>>());
        let meta = VideoMeta { path: format!("a/v{i}.avi"), splits: vec!["train".into()], ..VideoMeta::default() };
        writer.add_video(meta, frames).unwrap();
    }
    writer.finish().unwrap();
    PackedSet::open(&dir.join("tiny")).unwrap()
}

/// The columns of these outputs, of all batches in turn.
fn loaded(dir: &Path, text: &str, outputs: &[&str]) -> Result<Vec<Vec<Column>>> {
    let found = check(text);
    let said = rendered(&found);
    let mut plan = found.plan.ok_or_else(|| anyhow!("{said}"))?;
    let stage = Arc::new(plan.stages.remove(0));
    let places = stage.nodes.iter().map(|n| n.place).collect();
    let asked: Vec<(usize, usize)> = outputs.iter().map(|o| stage.output(o).unwrap()).collect();
    let host = HostPlan::new(stage, places, &asked)?;
    let columns: Vec<usize> = asked.iter().map(|a| host.outputs.iter().position(|o| o == a).unwrap()).collect();
    let rows = Arc::new(Rows::open(dir, &host.stage.source().unwrap(), "video")?);
    let batches = rows.evaluation(&Pass { seed: 5, stage: "read".into(), epoch: 0 }, 3);
    let mut loader = Loader::start(host, rows, Box::new(batches.into_iter()), 2, 2);
    let mut all = Vec::new();
    while let Some(batch) = loader.next_batch()? {
        let mut own: Vec<Option<Column>> = batch.columns.into_iter().map(Some).collect();
        all.push(columns.iter().map(|c| own[*c].take().unwrap()).collect());
    }
    Ok(all)
}

const TAIL: &str =
    "floats = { kind = \"view/normal\", in = \"crop.clips\" }\ntable = { kind = \"collect/mean\", in = \"floats.clips\", over = [] }";

#[test]
fn an_output_that_the_settings_leave_out_cannot_be_read() {
    let nodes = format!(
        "pair = {{ kind = \"clip/pair\", in = \"video.again\", length = 2 }}\ncrop = {{ kind = \"view/crop\", in = \"pair.first\", size = 16 }}\n{TAIL}"
    );
    let text = graph("no", &nodes);
    let found = check(&text);
    assert_eq!(faults(&found), [format!("{} unknown-port", place(&text, "\"video.again\""))], "{}", rendered(&found));
    assert!(rendered(&found).contains("the node has no such output with its settings"));
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path());
    // the same where it is there
    let batches = loaded(dir.path(), &graph("yes", &nodes), &["crop.clips"]).unwrap();
    assert_eq!(batches.len(), 3);
    // and one that was promised
    let error = format!("{:#}", loaded(dir.path(), &graph("forgotten", &nodes), &["crop.clips"]).unwrap_err());
    assert!(error.contains("`pair`") && error.contains("no value at `frames`") && error.contains(".avi"), "{error}");
}

#[test]
fn a_size_that_only_the_data_knows_goes_as_far_as_a_crop() {
    let nodes = |size: usize| {
        format!(
            "pair = {{ kind = \"clip/pair\", in = \"video.frames\", length = 3 }}\ncrop = {{ kind = \"view/crop\", in = \"pair.first\", size = {size} }}\n{TAIL}"
        )
    };
    let text = graph("no", &nodes(16));
    let found = check(&text);
    let plan = found.plan.as_ref().unwrap_or_else(|| panic!("{}", rendered(&found)));
    let port = |name: &str| {
        let (node, port) = plan.stages[0].output(name).unwrap();
        plan.stages[0].nodes[node].outputs[port].to_string()
    };
    assert_eq!(port("video.frames"), "video [B, 3, frames, H, W]");
    assert_eq!(port("pair.first"), "bytes [B, 3, 3, H, W]");
    assert_eq!((port("crop.clips"), port("crop.offset")), ("bytes [B, 3, 3, 16, 16]".into(), "index [B, 2]".into()));
    assert_eq!(port("floats.clips"), "float [B, 3, 3, 16, 16]");
    let dir = tempfile::tempdir().unwrap();
    let set = packed(dir.path());
    let mut video = 0;
    for columns in loaded(dir.path(), &text, &["crop.clips", "crop.offset", "pair.starts"]).unwrap() {
        let [Column::Bytes { shape, data }, Column::Index { data: offset, .. }, Column::Index { data: starts, .. }] = &columns[..] else {
            panic!("{columns:?}")
        };
        assert_eq!(shape[1..], [3, 16, 16, 3]);
        for (row, clip) in data.chunks(3 * 16 * 16 * 3).enumerate() {
            let last = set.frames(video).unwrap() - 1;
            let positions: Vec<u32> = (0..3).map(|f| (starts[2 * row] as u32 + f).min(last)).collect();
            let mut frames = vec![0; 3 * 24 * 20 * 3];
            set.read_frames(video, &positions, &mut frames).unwrap();
            let (top, left) = (offset[2 * row] as usize, offset[2 * row + 1] as usize);
            let mut wanted = Vec::new();
            for frame in frames.chunks(24 * 20 * 3) {
                for y in top..top + 16 {
                    wanted.extend_from_slice(&frame[(y * 20 + left) * 3..][..16 * 3]);
                }
            }
            assert!(clip == wanted, "video {video}");
            video += 1;
        }
    }
    assert_eq!(video, VIDEOS);
    // what does not fit is told with the first video
    let error = format!("{:#}", loaded(dir.path(), &graph("no", &nodes(21)), &["crop.clips"]).unwrap_err());
    assert!(error.contains("`crop`") && error.contains("21 pixels do not fit 24x20"), "{error}");
}

#[test]
fn what_cannot_lie_in_a_batch_is_told_before_anything_is_read() {
    let nodes = format!(
        "pair = {{ kind = \"clip/pair\", in = \"video.frames\", length = 3 }}\ncrop = {{ kind = \"view/crop\", in = \"pair.first\", size = 16 }}\n{TAIL}"
    );
    let error = |output: &str| format!("{:#}", loaded(Path::new("nowhere"), &graph("no", &nodes), &[output]).unwrap_err());
    let wanted =
        "`pair.first`: its length `H` is known with the data only, and rows of a batch have one length: crop or resize the clips first";
    assert_eq!(error("pair.first"), wanted);
    assert_eq!(error("video.frames"), "`video.frames`: a video cannot cross to the device: sample clips of it first");
}

#[test]
fn a_node_paints_its_pixels_where_they_lie_in_the_batch() {
    let nodes = |never: i64| {
        format!(
            "brush = {{ kind = \"own/brush\", in = \"video.index\", never = {never} }}\ncrop = {{ kind = \"view/crop\", in = \"brush.clips\", size = 4 }}\n{TAIL}"
        )
    };
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path());
    let batches = loaded(dir.path(), &graph("no", &nodes(-1)), &["brush.clips", "crop.clips", "crop.offset"]).unwrap();
    let mut number = 0;
    for columns in batches {
        let [Column::Bytes { shape, data: whole }, Column::Bytes { data: part, .. }, Column::Index { data: offset, .. }] = &columns[..]
        else {
            panic!("{columns:?}")
        };
        assert_eq!(shape[1..], [2, 5, 7, 3]);
        for row in 0..shape[0] {
            let wanted: Vec<u8> = (0..2 * 5 * 7 * 3).map(|place| Shades::at(number, place)).collect();
            assert!(whole[row * wanted.len()..][..wanted.len()] == wanted, "video {number}");
            let (top, left) = (offset[2 * row] as usize, offset[2 * row + 1] as usize);
            let lines = (0..2).flat_map(|frame| (top..top + 4).map(move |y| ((frame * 5 + y) * 7 + left) * 3));
            let cropped: Vec<u8> = lines.flat_map(|at| wanted[at..at + 4 * 3].to_vec()).collect();
            assert!(part[row * cropped.len()..][..cropped.len()] == cropped, "video {number}");
            number += 1;
        }
    }
    assert_eq!(number, VIDEOS as i64);
    // where painting fails, the video is named
    let error = format!("{:#}", loaded(dir.path(), &graph("no", &nodes(4)), &["brush.clips"]).unwrap_err());
    assert!(error.contains("a/v4.avi") && error.contains("no colour for 4"), "{error}");
}

#[test]
fn draws_are_shown_as_they_are_declared_or_told() {
    let dir = tempfile::tempdir().unwrap();
    packed(dir.path());
    let gathered = |node: &str| format!("table = {{ kind = \"collect/mean\", in = \"{node}.real\", over = [] }}");
    let read =
        |nodes: &str, output: &str| loaded(dir.path(), &graph("no", nodes), &[output, "draws.real"]).map(|mut all| all.swap_remove(0));
    let nodes = |making: &str| {
        format!("draws = {{ kind = \"own/draws\", in = \"video.index\", count = 3, making = \"{making}\" }}\n{}", gathered("draws"))
    };
    let columns = read(&nodes("right"), "draws.whole").unwrap();
    let [Column::Index { shape: whole, .. }, Column::Float { shape: real, data }] = &columns[..] else { panic!("{columns:?}") };
    assert_eq!((&whole[..], &real[..]), (&[3, 2][..], &[3, 3][..]));
    assert!(data.iter().all(|n| (0.0..1.0).contains(n)) && data[0] != data[3]);
    let error = |nodes: &str| format!("{:#}", read(nodes, "draws.whole").unwrap_err());
    let told = error(&nodes("too_many"));
    assert!(told.contains("`draws`") && told.contains("the draw `real` has 4 numbers, and its shape is [3]"), "{told}");
    let told = error(&nodes("panic"));
    assert!(told.contains(".avi") && told.contains("no dice"), "{told}");
    let told = error(&format!("draws = {{ kind = \"own/no_draws\", in = \"video.index\", count = 3 }}\n{}", gathered("draws")));
    assert!(told.contains("the kind `own/no_draws` declares draws, and does not make them"), "{told}");
    // none are made where edges bring them
    let given = format!(
        "{}\nreuse = {{ kind = \"own/no_draws\", in = {{ index = \"video.index\", whole = \"draws.whole\", real = \"draws.real\" }}, count = 3 }}",
        nodes("right").replace(&gathered("draws"), &gathered("reuse"))
    );
    let reused = read(&given, "reuse.real").unwrap();
    assert_eq!(reused[0], reused[1]);
}
