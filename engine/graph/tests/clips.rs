//! Transforms of clips that nothing has painted yet: the pixels are those of painting after each.

use dv_datasets::{PackedSet, SetOptions, SetWriter, VideoMeta};
use dv_graph::draw::{Key, Rng};
use dv_graph::host::{Array, Clip, Clips, Paint, Region, Transform, Video};
use std::sync::Arc;

const SIZE: [usize; 2] = [24, 20];
const LENGTH: usize = 6;

fn noise(rng: &mut Rng, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|_| rng.u64() as u8).collect()
}

/// One video of noise, read from a packed set.
fn video(rng: &mut Rng) -> Video {
    let dir = tempfile::tempdir().unwrap();
    let [height, width] = SIZE;
    let mut options = SetOptions::new("noise", height as u32, width as u32);
    options.fsync = false;
    let mut writer = SetWriter::create(&dir.path().join("noise"), options).unwrap();
    let frames: Vec<Vec<u8>> = (0..9).map(|_| noise(rng, height * width * 3)).collect();
    writer.add_video(VideoMeta { path: "a.avi".into(), splits: vec!["all".into()], ..VideoMeta::default() }, frames).unwrap();
    writer.finish().unwrap();
    Video::new(Arc::new(PackedSet::open(&dir.path().join("noise")).unwrap()), 0).unwrap()
}

struct Brush(Vec<u8>);
impl Paint for Brush {
    fn paint(&self, out: &mut [u8]) -> anyhow::Result<()> {
        out.copy_from_slice(&self.0[..out.len()]);
        Ok(())
    }
}

/// A clip of each source: frames of a video in any order, pixels, and what a node paints.
fn clips(rng: &mut Rng) -> Vec<Clip> {
    let [height, width] = SIZE;
    let positions: Vec<usize> = (0..LENGTH).map(|_| rng.below(9)).collect();
    let bytes = LENGTH * height * width * 3;
    let pixels = Array::new(vec![LENGTH, height, width, 3], noise(rng, bytes));
    let brush = Arc::new(Brush(noise(rng, bytes)));
    vec![video(rng).clip(&positions).unwrap(), Clip::of_pixels(pixels).unwrap(), Clip::painted([LENGTH, height, width], brush)]
}

/// The forms of a transform.
#[derive(Clone, Copy, Debug)]
enum Form {
    Frames,
    Crop,
    Mirror,
    Resize,
    CropAndResize,
    All,
}
const FORMS: [Form; 6] = [Form::Frames, Form::Crop, Form::Mirror, Form::Resize, Form::CropAndResize, Form::All];

/// A transform of that form, of a clip of that size.
fn transform(rng: &mut Rng, form: Form, [time, height, width]: [usize; 3]) -> Transform {
    let mut part = || {
        let (rows, columns) = (1 + rng.below(height), 1 + rng.below(width));
        Region { top: rng.below(height - rows + 1), left: rng.below(width - columns + 1), height: rows, width: columns }
    };
    let region = part();
    let size = [1 + rng.below(30), 1 + rng.below(30)];
    let frames: Vec<usize> = (0..1 + rng.below(8)).map(|_| rng.below(time)).collect();
    match form {
        Form::Frames => Transform::frames(frames),
        Form::Crop => Transform::crop(region),
        Form::Mirror => Transform::mirror(true),
        Form::Resize => Transform::default().resized(size),
        Form::CropAndResize => Transform::crop(region).resized(size),
        Form::All => Transform { frames: Some(frames), region: Some(region), size: Some(size), mirrored: true },
    }
}

/// The clip, painted.
fn painted(clip: &Clip) -> Clip {
    Clip::of_pixels(clip.pixels().unwrap()).unwrap()
}

/// Applies transforms of these forms without painting, and with painting after each.
fn compare(rng: &mut Rng, clip: &Clip, forms: &[Form]) {
    let (mut lazy, mut eager) = (clip.clone(), painted(clip));
    let mut applied = Vec::new();
    for form in forms {
        let transform = transform(rng, *form, lazy.size());
        lazy = lazy.transformed(&transform).unwrap();
        eager = painted(&eager.transformed(&transform).unwrap());
        applied.push(transform);
        assert_eq!(lazy.size(), eager.size(), "{applied:?}");
    }
    assert!(lazy.pixels().unwrap() == eager.pixels().unwrap(), "{applied:?} of {:?}", clip.size());
}

#[test]
fn transforms_without_painting_between_them_give_the_same_pixels() {
    let mut rng = Key::initial(0, "clips").rng();
    for clip in clips(&mut rng) {
        for a in FORMS {
            for b in FORMS {
                (0..8).for_each(|_| compare(&mut rng, &clip, &[a, b]));
            }
        }
        for _ in 0..300 {
            let forms: Vec<Form> = (0..3 + rng.below(3)).map(|_| FORMS[rng.below(FORMS.len())]).collect();
            compare(&mut rng, &clip, &forms);
        }
    }
}

/// A transform that moves whole pixels, pixel by pixel.
fn moved(pixels: &Array<u8>, transform: &Transform) -> Array<u8> {
    let [time, height, width, _] = pixels.shape[..] else { panic!("{:?}", pixels.shape) };
    let frames = transform.frames.clone().unwrap_or_else(|| (0..time).collect());
    let region = transform.region.unwrap_or(Region { top: 0, left: 0, height, width });
    let mut data = Vec::new();
    for frame in &frames {
        for y in 0..region.height {
            for x in 0..region.width {
                let x = if transform.mirrored { region.width - 1 - x } else { x };
                let at = ((frame * height + region.top + y) * width + region.left + x) * 3;
                data.extend_from_slice(&pixels.data[at..at + 3]);
            }
        }
    }
    Array::new(vec![frames.len(), region.height, region.width, 3], data)
}

#[test]
fn whole_pixels_are_moved_to_where_the_transforms_say() {
    let mut rng = Key::initial(1, "clips").rng();
    for clip in clips(&mut rng) {
        for _ in 0..300 {
            let (mut lazy, mut wanted) = (clip.clone(), clip.pixels().unwrap());
            for _ in 0..1 + rng.below(4) {
                let form = FORMS[rng.below(FORMS.len())];
                let transform = Transform { size: None, ..transform(&mut rng, form, lazy.size()) };
                wanted = moved(&wanted, &transform);
                lazy = lazy.transformed(&transform).unwrap();
            }
            assert!(lazy.pixels().unwrap() == wanted);
        }
    }
}

#[test]
fn clips_on_an_axis_are_painted_in_their_order() {
    let mut rng = Key::initial(2, "clips").rng();
    let video = video(&mut rng);
    let positions: Vec<usize> = (0..12).map(|_| rng.below(9)).collect();
    let clips = video.clips(&positions, 4).unwrap();
    assert_eq!((clips.shape(), clips.size()), (vec![3, 4, 24, 20, 3], [4, 24, 20]));
    // the frames that two clips share are decoded for both
    let one_by_one: Vec<u8> = positions.iter().flat_map(|p| video.clip(&[*p]).unwrap().pixels().unwrap().data.to_vec()).collect();
    assert!(*clips.pixels().unwrap().data == one_by_one);
    assert!(clips.single().unwrap_err().to_string().contains("[3]"));
    // of different sources
    let mixed = Clips::on_axis(vec![video.clip(&[1]).unwrap(), painted(&video.clip(&[2]).unwrap())]);
    assert!(*mixed.pixels().unwrap().data == video.clip(&[1, 2]).unwrap().pixels().unwrap().data.to_vec());
    // a part of a video counts from its own beginning
    let part = video.part(3, 4).unwrap();
    assert_eq!(part.frames(), 4);
    assert!(part.clip(&[0, 3]).unwrap() == video.clip(&[3, 6]).unwrap());
    assert!(part.clip(&[4]).is_err() && video.part(6, 4).is_err() && video.part(0, 0).is_err());
}

#[test]
fn what_a_clip_does_not_have_is_an_error() {
    let mut rng = Key::initial(3, "clips").rng();
    let [height, width] = SIZE;
    for clip in clips(&mut rng) {
        let told = |transform: Transform| clip.clone().transformed(&transform).unwrap_err().to_string();
        let region = |top, left, height, width| Transform::crop(Region { top, left, height, width });
        assert_eq!(told(Transform::frames(vec![0, LENGTH])), "frame 6 of a clip of 6 frames");
        for outside in [region(1, 0, height, 1), region(0, 1, 1, width), region(0, 0, 0, 1), region(0, 0, 1, 0)] {
            assert!(told(outside).ends_with("leaves the frame of 24x20"));
        }
    }
    assert_eq!(video(&mut rng).clip(&[9]).unwrap_err().to_string(), "frame 9 of a video of 9 frames");
    assert!(Clip::of_pixels(Array::new(vec![1, 1, 2, 2], vec![0; 4])).is_err());
    assert_eq!(Region::square(4, 0, 20, SIZE).unwrap(), Region { top: 4, left: 0, height: 20, width: 20 });
    for (top, left, side) in [(5, 0, 20), (0, 1, 20), (-1, 0, 4), (0, -1, 4), (0, 0, 0), (i64::MAX, 0, 4)] {
        assert!(Region::square(top, left, side, SIZE).is_err(), "{top} {left} {side}");
    }
}
