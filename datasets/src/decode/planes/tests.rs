use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;

use super::super::{Ffmpeg, Outcome};

use crate::ffmpegs::{self, ffmpegs};

/// Every frame of a file, and what became of it.
fn decode(ffmpeg: &Ffmpeg, file: &Path) -> (Vec<(usize, usize, Option<i64>, Vec<u8>)>, Outcome) {
    let mut frames = Vec::new();
    let outcome = ffmpeg.decode(file, &mut |frame| {
        frames.push((frame.height, frame.width, frame.time, frame.rgb().into_owned()));
        Ok(())
    });
    (frames, outcome.unwrap())
}

/// Makes a file with ffmpeg; `false`: this one cannot.
fn make(ffmpeg: &Ffmpeg, arguments: &str, file: &Path) -> bool {
    let mut command = Command::new(ffmpeg.program());
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments.split(' ')).arg(file);
    let output = command.output().unwrap();
    if !output.status.success() {
        ffmpegs::skip(format_args!("ffmpeg {arguments}: {}", String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()));
    }
    output.status.success()
}

/// Whether dv converted the frames, in which case both ways gave the same. A copy of `ffmpeg` converts all itself.
fn same(ffmpeg: &Ffmpeg, file: &Path, what: &str) -> bool {
    let mut by_ffmpeg = ffmpeg.clone();
    by_ffmpeg.planes = false;
    ffmpeg.skip.store(0, Relaxed);
    let (got, outcome) = decode(ffmpeg, file);
    let (want, wanted) = decode(&by_ffmpeg, file);
    assert_eq!(outcome, wanted, "{what}");
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert_eq!((got.0, got.1, got.2), (want.0, want.1, want.2), "{what}, frame {i}");
        let off = got.3.iter().zip(&want.3).filter(|(a, b)| a != b).count();
        assert_eq!(off, 0, "{what}, frame {i}: bytes of {} that differ", got.3.len());
    }
    matches!(outcome, Outcome::Decoded(_)) && ffmpeg.skip.load(Relaxed) == 0
}

const SOURCES: [&str; 3] = [
    "testsrc2=s=SIZE:r=25:d=0.12",
    "mandelbrot=s=SIZE:r=25",
    "nullsrc=s=SIZE:r=25:d=0.12,geq=random(1)*255:128+random(2)*127:random(3)*255",
];

#[test]
fn as_ffmpeg_converts() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("x.nut");
        let make = |source: &str, size: &str, params: &str, format: &str| {
            let source = source.replace("SIZE", size);
            make(&ffmpeg, &format!("-f lavfi -i {source} -frames:v 3 -vf format={format},setparams={params} -c:v rawvideo"), &file)
        };
        // Sizes, of which some are for ffmpeg.
        for size in [
            "320x240", "176x144", "178x145", "16x16", "16x17", "18x31", "64x240", "322x243", "36x1081", "1920x16", "321x241", "2x2", "1x1",
            "8x40",
        ] {
            for source in SOURCES {
                if make(source, size, "colorspace=bt709", "yuv420p") {
                    let here = same(&ffmpeg, &file, &format!("{source} {size}"));
                    // Some sources round their size.
                    let (height, width, ..) = decode(&ffmpeg, &file).0[0];
                    assert_eq!(here, super::Kind::Yuv420.can_be(height, width), "{source} {size}");
                }
            }
        }
        // Containers that say what matrix and range it is.
        let file = temp.path().join("x.mkv");
        for matrix in ["bt709", "smpte170m", "bt470bg", "fcc", "smpte240m", "bt2020nc", "unknown"] {
            for range in ["tv", "pc", "unknown"] {
                for format in ["yuv420p", "gray"] {
                    let source = SOURCES[2].replace("SIZE", "48x40");
                    let how = format!(
                        "format={format},setparams=colorspace={matrix}:range={range} -c:v ffv1 -colorspace {matrix} -color_range {range}"
                    );
                    if self::make(&ffmpeg, &format!("-f lavfi -i {source} -vf {how}"), &file) {
                        let here = same(&ffmpeg, &file, &format!("{format} {matrix} {range}"));
                        println!("{format} {matrix} {range}: {}", if here { "here" } else { "by ffmpeg" });
                        assert!(here || range == "pc" || format == "gray", "{format} {matrix} {range}");
                    }
                }
            }
        }
        for format in ["yuv444p", "yuv422p", "yuv420p10le", "bgr0", "gray10le"] {
            let source = SOURCES[0].replace("SIZE", "64x48");
            if self::make(&ffmpeg, &format!("-f lavfi -i {source} -vf format={format} -c:v ffv1"), &file) {
                assert!(!same(&ffmpeg, &file, format), "{format}");
            }
        }
    }
}

/// Encoded as people have them.
#[test]
fn as_ffmpeg_converts_files() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        for (name, how) in [
            ("x.avi", "-c:v mpeg4 -q:v 5"),
            ("x.mp4", "-c:v libx264 -pix_fmt yuv420p"),
            ("pc.mp4", "-vf scale=out_range=pc -c:v libx264 -pix_fmt yuv420p -color_range pc"),
            ("interlaced.mpg", "-c:v mpeg2video -flags +ildct+ilme -pix_fmt yuv420p"),
            ("mjpeg.avi", "-c:v mjpeg -pix_fmt yuvj420p"),
            ("vp9.webm", "-c:v libvpx-vp9 -pix_fmt yuv420p"),
            ("x.gif", "-f gif"),
        ] {
            let file = temp.path().join(name);
            let source = SOURCES[0].replace("SIZE", "160x120");
            if make(&ffmpeg, &format!("-f lavfi -i {source} {how}"), &file) {
                println!("{name}: {}", if same(&ffmpeg, &file, name) { "here" } else { "by ffmpeg" });
            }
        }
        // Turned by what the container says.
        let file = temp.path().join("turned.mp4");
        let from = temp.path().join("x.mp4").to_str().unwrap().to_owned();
        let turn = if ffmpeg.version().starts_with('5') {
            format!("-i {from} -c copy -metadata:s:v rotate=90")
        } else {
            format!("-display_rotation 90 -i {from} -c copy")
        };
        if make(&ffmpeg, &turn, &file) {
            assert!(same(&ffmpeg, &file, "turned"));
            assert_eq!(decode(&ffmpeg, &file).0[0].0, 160);
        }
    }
}

/// What changes midway is as if ffmpeg had converted all.
#[test]
fn what_changes_midway() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let part = |name: &str, how: &str| {
            let file = temp.path().join(name);
            let made = make(&ffmpeg, &format!("-f lavfi -i testsrc2=r=25:d=0.4:s={how}"), &file);
            made.then(|| std::fs::read(file).unwrap())
        };
        let coded = |size: &str, matrix: &str| {
            format!("{size} -vf format=yuv420p,setparams=colorspace={matrix}:range=tv -c:v libx264 -colorspace {matrix}")
        };
        let h264 = |name: &str, size: &str, matrix: &str| part(name, &coded(size, matrix));
        let parts = [
            (part("a.m2v", "96x64 -c:v mpeg2video"), part("b.m2v", "64x96 -c:v mpeg2video"), "size.m2v"),
            (part("a.m2v", "96x64 -c:v mpeg2video"), part("b.m2v", "96x64 -pix_fmt yuv422p -c:v mpeg2video"), "format.m2v"),
            (h264("a.h264", "96x64", "smpte170m"), h264("b.h264", "96x64", "bt709"), "matrix.h264"),
            (h264("a.h264", "96x64", "smpte170m"), h264("b.h264", "96x64", "smpte170m"), "none.h264"),
        ];
        for (first, second, name) in parts {
            // Older versions do not say that the matrix changes.
            let old = ["4", "5", "6"].iter().any(|old| ffmpeg.version().starts_with(old));
            let (Some(first), Some(second)) = (first, second) else { continue };
            let file = temp.path().join(name);
            std::fs::write(&file, [first, second].concat()).unwrap();
            if !(old && name == "matrix.h264") {
                same(&ffmpeg, &file, name);
            }
            assert_eq!(ffmpeg.skip.load(Relaxed), 0, "{name}: the first frames come in planes");
        }
    }
}

/// Camera-recorded files, where there are some: a few of each sort.
#[test]
fn as_ffmpeg_converts_real_files() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/videos");
    if !dir.is_dir() {
        return ffmpegs::skip(format_args!("no real videos at {}", dir.display()));
    }
    for ffmpeg in ffmpegs() {
        for sort in ["ucf101/UCF-101/YoYo", "ucf101/UCF-101/ApplyEyeMakeup", "ut_interaction", "asl/book", "lips/Clips/word_07", "odd"] {
            let found = crate::walk::walk(&dir.join(sort)).unwrap();
            let videos =
                found.files.iter().filter(|(path, _)| [".avi", ".mkv", ".mp4", ".webm", ".mov"].iter().any(|end| path.ends_with(end)));
            for (path, at) in videos.take(if sort == "odd" { 10 } else { 2 }) {
                println!("{sort}/{path}: {}", if same(&ffmpeg, at, path) { "here" } else { "by ffmpeg" });
            }
        }
    }
}
