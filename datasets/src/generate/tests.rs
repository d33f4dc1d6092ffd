use super::math::{turn, Draw};
use super::motion::{Step, Window};
use super::*;

use crate::ffmpegs;

/// The state of one frame of many videos of a class: were a class to move the window in a way that depends on where
/// it is, one of these means would show it.
#[test]
fn every_frame_of_every_class_has_the_same_distribution() {
    const COUNT: usize = 3000;
    for class in CLASSES {
        let mut windows: Vec<Window> = Vec::new();
        let mut courses = Vec::new();
        for i in 0..COUNT {
            let mut draw = Draw::new(1, &format!("{class:?}/{i}"));
            windows.push(Window::draw(&mut draw));
            courses.push(class.draw(&mut draw));
        }
        for frame in 0..FRAMES {
            if [0, 1, 7, 31, 63].contains(&frame) {
                // Uniform phases, alone and together, have means of about 1 / sqrt(COUNT) = 0.018.
                for k in 1i32..1 << 8 {
                    let factor = |place: i32| f64::from(((k >> (2 * place)) & 3) - 1);
                    let phase = |w: &Window| factor(0) * w.place[0] + factor(1) * w.place[1] + factor(2) * w.angle + factor(3) * w.zoom;
                    if (0..4).all(|place| factor(place) == 0.0) {
                        continue;
                    }
                    let sum = windows.iter().map(|w| turn(phase(w))).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
                    let mean = (sum.0 * sum.0 + sum.1 * sum.1).sqrt() / COUNT as f64;
                    assert!(mean < 0.08, "{class:?}, frame {frame}, moment {k:08b}: {mean}");
                }
            }
            for (window, course) in windows.iter_mut().zip(&courses) {
                window.step(course.at(frame));
            }
        }
    }
}

fn still(window: &Window) -> Vec<u8> {
    let mut frame = Vec::new();
    Field::new().render(window, SIDE, SIDE, &mut frame);
    frame
}

/// Greatest difference between `before` at (x, y) and `after` at where `to` sends it.
fn difference(before: &[u8], after: &[u8], to: impl Fn(usize, usize) -> Option<(usize, usize)>) -> u8 {
    let pixels = (0..SIDE * SIDE).filter_map(|i| Some((i, to(i % SIDE, i / SIDE)?)));
    let pairs = pixels.flat_map(|(i, (x, y))| (0..3).map(move |c| (3 * i + c, 3 * (y * SIDE + x) + c)));
    pairs.map(|(a, b)| before[a].abs_diff(after[b])).max().unwrap()
}

#[test]
fn content_moves_as_the_step_says() {
    let start = Window::draw(&mut Draw::new(3, "start"));
    let before = still(&start);
    let after = |step| {
        let mut window = start;
        window.step(step);
        still(&window)
    };
    let pixel = 1.0 / SIDE as f64;
    let right = after(Step { shift: [pixel, 0.0], ..Step::default() });
    assert!(difference(&before, &right, |x, y| (x + 1 < SIDE).then_some((x + 1, y))) <= 1);
    let up = after(Step { shift: [0.0, -pixel], ..Step::default() });
    assert!(difference(&before, &up, |x, y| y.checked_sub(1).map(|y| (x, y))) <= 1);
    let clockwise = after(Step { turn: 0.25, ..Step::default() });
    assert!(difference(&before, &clockwise, |x, y| Some((SIDE - 1 - y, x))) <= 1);
    // Zooming in, content moves away from the middle.
    let nearer = after(Step { zoom: 0.1, ..Step::default() });
    let mean = |octaves: f64| {
        let to = |x: usize| ((x as f64 - 31.5) * octaves.exp2() + 31.5).round() as usize;
        let pixels = (8..SIDE - 8).flat_map(|y| (8..SIDE - 8).map(move |x| (x, y)));
        let pairs = pixels.map(|(x, y)| (3 * (y * SIDE + x), 3 * (to(y) * SIDE + to(x))));
        pairs.map(|(a, b)| f64::from(before[a].abs_diff(nearer[b]))).sum::<f64>()
    };
    assert!(mean(0.1) < 0.5 * mean(-0.1), "{} {}", mean(0.1), mean(-0.1));
}

#[test]
fn frames_depend_on_seed_and_path_alone() {
    let field = Field::new();
    let videos = Video::all();
    assert_eq!(videos.len(), CLASSES.len() * 40);
    let one = videos[1].frames(&field, 7);
    assert_eq!(one.len(), FRAMES * SIDE * SIDE * 3);
    assert_eq!(one, videos[1].frames(&Field::new(), 7));
    assert_ne!(one, videos[1].frames(&field, 8));
    assert_ne!(one, videos[2].frames(&field, 7));
    // Pinned: the same on every machine.
    assert_eq!(blake3::hash(&one).to_hex().as_str(), PINNED);
}

const PINNED: &str = "aaa6a06cceb69e534a220ee2e456cf3029e3afcc965f43f39c52b03eea398a85";

#[test]
fn texture_has_the_contrast_it_should() {
    let field = Field::new();
    let mut sum = [0.0; 2];
    let mut frames = Vec::new();
    for i in 0..50 {
        field.render(&Window::draw(&mut Draw::new(5, &i.to_string())), SIDE, SIDE, &mut frames);
    }
    for &value in &frames {
        let value = f64::from(value) - 128.0;
        sum = [sum[0] + value, sum[1] + value * value];
    }
    let count = frames.len() as f64;
    assert!((sum[0] / count).abs() < 3.0, "mean {}", sum[0] / count);
    let deviation = (sum[1] / count).sqrt();
    assert!((44.0..56.0).contains(&deviation), "deviation {deviation}");
}

#[test]
fn smoke_sets_are_what_was_asked_for() {
    let spec =
        SmokeSpec { height: 60, width: 56, splits: vec!["train01".into(), "test01".into()], classes: 101, videos_per_split: 4, frames: 9 };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("ucf101");
    smoke_set(&out, &spec).unwrap();
    let set = crate::PackedSet::open(&out).unwrap();
    assert_eq!((set.height, set.width, set.classes.len(), set.len()), (60, 56, 101, 8));
    assert_eq!(set.split("test01").unwrap(), Some(vec![4, 5, 6, 7]));
    assert!(set.videos().all(|video| video.unwrap().frames == 9));
    assert!(smoke_set(&out, &spec).is_err());
}

#[test]
fn files_hold_the_very_frames() {
    for ffmpeg in ffmpegs::ffmpegs() {
        let dir = tempfile::tempdir().unwrap();
        let form = encode::Form { side: SIDE, frames: FRAMES, fps: FPS };
        let field = Field::new();
        for count in [1, 3] {
            let frames: Vec<Vec<u8>> = Video::all()[..count].iter().map(|video| video.frames(&field, 0)).collect();
            let mut encoder = encode::Encoder::start(&ffmpeg, dir.path(), form, count).unwrap();
            frames.iter().for_each(|frames| encoder.push(frames).unwrap());
            let files = encoder.finish().unwrap();
            assert_eq!(files.len(), count);
            for (file, frames) in files.iter().zip(frames) {
                let mut decoded = Vec::new();
                ffmpeg
                    .decode(file, &mut |frame| {
                        decoded.extend_from_slice(&frame.rgb());
                        Ok(())
                    })
                    .unwrap();
                assert!(decoded == frames, "{}", file.display());
            }
        }
        assert!(encode::Encoder::start(&ffmpeg, &dir.path().join("no"), form, 1).is_err());
    }
}
