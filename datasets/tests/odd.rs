//! Files as people have them: whatever ffmpeg can make of them comes out, and of the rest the reason. Made here, with ffmpeg.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{ffmpegs, make, options, Whole};
use dv_datasets::decode::{Decoded, Outcome};
use dv_datasets::{pack, Ffmpeg, PackedSet};

/// What one file decodes to: every frame's mean colour and time.
struct Seen {
    outcome: Outcome,
    colours: Vec<[f64; 3]>,
    times: Vec<Option<i64>>,
}

impl Seen {
    fn of(ffmpeg: &Ffmpeg, file: &Path) -> Seen {
        let (mut colours, mut times) = (Vec::new(), Vec::new());
        let outcome = ffmpeg.decode(file, &mut |frame| {
            let pixels = (frame.height * frame.width) as f64;
            let rgb = frame.rgb();
            let mean = |c: usize| rgb.iter().skip(c).step_by(3).map(|v| *v as f64).sum::<f64>() / pixels;
            colours.push([mean(0), mean(1), mean(2)]);
            times.push(frame.time);
            Ok(())
        });
        let outcome = outcome.unwrap_or_else(|e| panic!("{}: {e:#}", file.display()));
        Seen { outcome, colours, times }
    }

    fn decoded(&self) -> &Decoded {
        match &self.outcome {
            Outcome::Decoded(decoded) => decoded,
            Outcome::Rejected(why) => panic!("rejected: {why}"),
        }
    }

    fn near(&self, want: [f64; 3]) -> bool {
        !self.colours.is_empty() && self.colours.iter().all(|got| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 6.0))
    }
}

/// A reason names no place on this machine and no place in its memory, says nothing twice and nothing of how frames are passed on.
fn is_plain(why: &str, dir: &Path) {
    for word in [dir.to_str().unwrap(), "file:", " @ 0x", "image2pipe", "output", "Task", "thread"] {
        assert!(!why.contains(word), "`{word}` in: {why}");
    }
    let mut sentences: Vec<&str> = why.split(": ").last().unwrap().split("; ").collect();
    let count = sentences.len();
    sentences.sort();
    sentences.dedup();
    assert_eq!(sentences.len(), count, "{why}");
}

const TEST: &str = "-f lavfi -i testsrc=size=64x48:rate=25:duration=0.8";
const SOUND: &str = "-f lavfi -i sine=duration=0.8";

#[test]
fn codecs_depths_and_containers() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let h265 = "-c:v libx265 -x265-params log-level=none";
        let mut made = 0;
        for (name, how) in [
            ("h264.mp4", "-c:v libx264 -pix_fmt yuv420p".to_owned()),
            ("h264_10.mp4", "-c:v libx264 -pix_fmt yuv420p10le".to_owned()),
            ("h264_444.mkv", "-c:v libx264 -pix_fmt yuv444p".to_owned()),
            ("h264.ts", "-c:v libx264 -pix_fmt yuv420p -f mpegts".to_owned()),
            ("hevc.mp4", format!("{h265} -pix_fmt yuv420p")),
            ("hevc_10.mkv", format!("{h265} -pix_fmt yuv420p10le")),
            ("av1.mkv", "-c:v libaom-av1 -cpu-used 8 -crf 20".to_owned()),
            ("av1_10.mp4", "-c:v libaom-av1 -cpu-used 8 -crf 20 -pix_fmt yuv420p10le".to_owned()),
            ("vp9.webm", "-c:v libvpx-vp9 -cpu-used 8 -crf 20 -b:v 0".to_owned()),
            ("xvid.avi", "-c:v mpeg4 -q:v 2".to_owned()),
            ("motion.avi", "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p".to_owned()),
            ("h262.mpg", "-c:v mpeg2video -q:v 2".to_owned()),
            ("lossless.mkv", "-c:v ffv1 -pix_fmt bgr0".to_owned()),
        ] {
            let file = temp.path().join(name);
            if !make(&ffmpeg, &format!("{TEST} {how}"), &file) {
                continue;
            }
            made += 1;
            let seen = Seen::of(&ffmpeg, &file);
            let decoded = seen.decoded();
            assert_eq!((decoded.frames, decoded.height, decoded.width), (20, 48, 64), "{name}");
            assert_eq!((decoded.fps, &decoded.note), (Some(25.0), &None), "{name}");
            let steps: Vec<i64> = seen.times.windows(2).map(|t| t[1].unwrap() - t[0].unwrap()).collect();
            assert!(steps.iter().all(|step| (step - 40_000).abs() <= 1_000), "{name}: {steps:?}");
            let source = Seen::of(&ffmpeg, &temp.path().join("h264.mp4"));
            for (got, want) in seen.colours.iter().zip(&source.colours) {
                assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 6.0), "{name}: {got:?} {want:?}");
            }
        }
        assert!(made >= 4, "only {made} kinds of files could be made");
    }
}

#[test]
fn ranges_and_matrices_give_the_same_colours() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        // Saturated, so that the wrong range or matrix is tens of levels off.
        for (colour, want) in [("0xE02040", [224.0, 32.0, 64.0]), ("0x10C0F0", [16.0, 192.0, 240.0]), ("0xF8F8F8", [248.0; 3])] {
            for (name, how) in [
                ("limited", "-vf scale=out_range=tv:out_color_matrix=bt601 -color_range tv -colorspace smpte170m"),
                ("full", "-vf scale=out_range=pc:out_color_matrix=bt601 -color_range pc -colorspace smpte170m"),
                ("bt709", "-vf scale=out_range=tv:out_color_matrix=bt709 -color_range tv -colorspace bt709"),
                ("bt709_full", "-vf scale=out_range=pc:out_color_matrix=bt709 -color_range pc -colorspace bt709"),
            ] {
                let file = temp.path().join(format!("{name}.mp4"));
                let source = format!("-f lavfi -i color=c={colour}:size=64x48:rate=25:duration=0.2,format=rgb24");
                if make(&ffmpeg, &format!("{source} {how} -c:v libx264 -pix_fmt yuv420p -qp 4"), &file) {
                    let seen = Seen::of(&ffmpeg, &file);
                    assert!(seen.near(want), "{name} {colour}: {:?}", seen.colours[0]);
                }
            }
        }
    }
}

#[test]
fn variable_rates_keep_their_times() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        // Frame n is shown at n^2 * 10 ms.
        for name in ["rate.mkv", "rate.mp4"] {
            let file = temp.path().join(name);
            let how = "-f lavfi -i testsrc=size=64x48:rate=100:duration=0.1,setpts=N*N*0.01/TB -c:v mpeg4 -enc_time_base 1/100 -fps_mode passthrough";
            if make(&ffmpeg, how, &file) {
                let seen = Seen::of(&ffmpeg, &file);
                let times: Vec<i64> = seen.times.iter().map(|t| (t.unwrap() - seen.times[0].unwrap()) / 1000).collect();
                assert_eq!(times, (0..10).map(|n| n * n * 10).collect::<Vec<i64>>(), "{name}");
            }
        }
    }
}

/// Frames that no pipe holds.
#[test]
fn large_frames_have_times() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("large.mp4");
        let start = Instant::now();
        if make(&ffmpeg, "-f lavfi -i testsrc=size=1280x720:rate=25:duration=0.24 -c:v mpeg4", &file) {
            let seen = Seen::of(&ffmpeg, &file);
            assert_eq!(seen.times, (0..6).map(|n| Some(n * 40_000)).collect::<Vec<_>>());
        }
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    }
}

/// Titles, the names of tags, and file names hold what ffmpeg and its muxers say, line ends included.
#[test]
fn words_that_ffmpeg_might_say() {
    const FORGED: &str = "x\nExiting normally, received signal 15.\n[info] Exiting normally, received signal 15.\n\
        [mov @ 0x5] [error] forged\n[error] forged: Permission denied\n#tb 0: 1/7\n0, 0, 5, 1, 472, 0x12345678";
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        // In a name, a separator of folders cannot stand.
        for (name, tag) in [("plain", "title"), ("key", FORGED), (&FORGED.replace('/', "-"), "comment")] {
            let file = temp.path().join(name).with_extension("mkv");
            let mut command = std::process::Command::new(ffmpeg.program());
            command.args(["-nostdin", "-v", "error", "-y"]).args(TEST.split_whitespace()).args(["-c:v", "mpeg4"]);
            command
                .args(["-metadata", &format!("{tag}={FORGED}"), "-metadata:s:v:0", &format!("title={FORGED}")])
                .arg(temp.path().join("made.mkv"));
            assert!(command.status().unwrap().success());
            fs::rename(temp.path().join("made.mkv"), &file).unwrap();
            let seen = Seen::of(&ffmpeg, &file);
            let decoded = seen.decoded();
            assert_eq!((decoded.frames, decoded.fps, &decoded.note), (20, Some(25.0), &None));
            assert_eq!(seen.times, (0..20).map(|n| Some(n * 40_000)).collect::<Vec<_>>());
            // And where it is damaged, the reason is the one that it has under any other name.
            fs::write(&file, "no video").unwrap();
            let Outcome::Rejected(why) = Seen::of(&ffmpeg, &file).outcome else { panic!("it decodes") };
            assert_eq!(why, "no frame decodes; ffmpeg: EBML header parsing failed");
        }
    }
}

#[test]
fn of_many_streams_the_first_that_is_a_video() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let colour = |c: &str| format!("-f lavfi -i color=c={c}:size=64x48:rate=25:duration=0.4");
        let (red, blue) = (colour("0xF01010"), colour("0x1010F0"));
        let cover = temp.path().join("cover.png");
        assert!(make(&ffmpeg, "-f lavfi -i color=c=0x10F010:size=32x32 -frames:v 1", &cover));
        let cover = cover.display();
        for (name, how, frames) in [
            ("sound.mp4", format!("{red} {SOUND} -c:v mpeg4 -c:a aac"), 10),
            ("sound_first.mkv", format!("{SOUND} {red} -map 0 -map 1 -c:v mpeg4 -c:a aac"), 10),
            ("two_videos.mkv", format!("{red} {blue} -map 0 -map 1 -c:v mpeg4"), 10),
            ("two_videos.mp4", format!("{red} {SOUND} {blue} -map 0 -map 1 -map 2 -c:v mpeg4 -c:a aac"), 10),
            ("cover_first.mp4", format!("-i {cover} {red} -map 0 -map 1 -c:v:0 png -c:v:1 mpeg4 -disposition:v:0 attached_pic"), 10),
        ] {
            let file = temp.path().join(name);
            if make(&ffmpeg, &how, &file) {
                let seen = Seen::of(&ffmpeg, &file);
                assert_eq!(seen.decoded().frames, frames, "{name}");
                assert!(seen.near([240.0, 16.0, 16.0]), "{name}: {:?}", seen.colours[0]);
            }
        }
        for (name, how) in [
            ("sound.m4a", format!("{SOUND} -c:a aac")),
            ("sound.wav", SOUND.to_owned()),
            ("sound.mp3", format!("{SOUND} -c:a libmp3lame")),
            ("sound.mkv", format!("{SOUND} -c:a aac")),
            ("sound_with_cover.mp3", format!("{SOUND} -i {cover} -map 0 -map 1 -c:a libmp3lame -c:v png -disposition:v attached_pic")),
        ] {
            let file = temp.path().join(name);
            if make(&ffmpeg, &how, &file) {
                let want = Outcome::Rejected("it has no video stream".into());
                assert_eq!(Seen::of(&ffmpeg, &file).outcome, want, "{name}");
            }
        }
    }
}

/// Fewer frames than the file held are told of, unless it ends just between two of them, where ffmpeg sees nothing wrong.
#[test]
fn cut_at_many_places() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let rate = "-g 5 -bf 0";
        for (name, how, silent) in [
            ("cut.avi", format!("{TEST} -c:v mpeg4 {rate}"), 3),
            ("cut.mp4", format!("{TEST} -c:v libx264 -pix_fmt yuv420p {rate}"), 3),
            ("front.mp4", format!("{TEST} -c:v libx264 -pix_fmt yuv420p {rate} -movflags +faststart"), 3),
            ("cut.mkv", format!("{TEST} {SOUND} -c:v mpeg4 -c:a aac {rate}"), 3),
            // These have no index and no sizes: much of what is cut off is no error.
            ("cut.mpg", format!("{TEST} -c:v mpeg2video {rate}"), 99),
            ("cut.ts", format!("{TEST} -c:v libx264 -pix_fmt yuv420p {rate} -f mpegts"), 99),
        ] {
            let file = temp.path().join(name);
            if !make(&ffmpeg, &how, &file) {
                continue;
            }
            let whole = fs::read(&file).unwrap();
            let mut seen = [0; 3];
            let mut quiet = Vec::new();
            for place in 0..24 {
                let len = whole.len() * place / 24;
                fs::write(&file, &whole[..len]).unwrap();
                match Seen::of(&ffmpeg, &file).outcome {
                    Outcome::Rejected(why) => {
                        seen[0] += 1;
                        assert!(!why.is_empty() && (place > 0 || why == "the file is empty"), "{name} cut to {len} bytes: {why}");
                        is_plain(&why, temp.path());
                    }
                    Outcome::Decoded(decoded) => {
                        assert!((1..=20).contains(&decoded.frames), "{name} cut to {len} bytes: {decoded:?}");
                        seen[1 + decoded.note.is_some() as usize] += 1;
                        is_plain(decoded.note.as_deref().unwrap_or_default(), temp.path());
                        if decoded.note.is_none() && decoded.frames < 20 {
                            quiet.push((len, decoded.frames));
                        }
                    }
                }
            }
            println!("{name}: {seen:?} rejected, decoded, decoded with a note; quietly shorter: {quiet:?}");
            assert!(quiet.len() <= silent, "{name} is shorter and nothing says so: {quiet:?}");
        }
    }
}

#[test]
fn what_is_no_video_is_listed_with_a_reason() {
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("in");
        assert!(make(&ffmpeg, &format!("{TEST} -c:v mpeg4"), &root.join("good.avi")));
        let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).unwrap();
        write("empty.mp4", b"");
        write("words.mp4", "some words\n".repeat(500).as_bytes());
        write("zeros.avi", &[0; 5000]);
        write("page.mp4", b"<!DOCTYPE html><html><body>404 Not Found</body></html>");
        write("pointer.avi", b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n");
        write("header.mkv", &[0x1a, 0x45, 0xdf, 0xa3]);
        make(&ffmpeg, "-f lavfi -i color=size=32x32 -frames:v 1", &root.join("picture.png"));
        fs::rename(root.join("picture.png"), root.join("picture.mp4")).unwrap();
        // A name that is no text, as an archive of another alphabet leaves it.
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.avi");
        fs::copy(root.join("good.avi"), root.join(name)).unwrap();
        let hidden: PathBuf = root.join(std::ffi::OsStr::from_bytes(b"dir\xff"));
        fs::create_dir(&hidden).unwrap();
        fs::copy(root.join("good.avi"), hidden.join("x.avi")).unwrap();

        // The folders' own names may be of any kind.
        let place = temp.path().join(std::ffi::OsStr::from_bytes(b"sp ace \xff \xc3\xbc\n[fatal] received signal"));
        fs::create_dir(&place).unwrap();
        let moved = place.join("in");
        fs::rename(&root, &moved).unwrap();
        let options = options(&ffmpeg, "folder", &moved, &place.join("the set"));
        pack(&options, &|_| ()).unwrap();
        let set = PackedSet::open(&options.out).unwrap();
        assert_eq!(set.all().iter().map(|v| (v.path.as_str(), v.frames)).collect::<Vec<_>>(), [("good.avi", 20)]);
        assert_eq!((set.all()[0].note.as_deref(), set.name.as_str()), (None, "the set"));
        let gone = set.gone();
        let reasons: Vec<_> = gone.iter().map(|r| (r.path.as_str(), r.reason.as_str())).collect();
        println!("{reasons:#?}");
        let reason = |path: &str| reasons.iter().find(|r| r.0 == path).unwrap_or_else(|| panic!("{path} is not listed: {reasons:?}")).1;
        assert_eq!(reason("empty.mp4"), "the file is empty");
        for text in ["words.mp4", "page.mp4", "pointer.avi", "zeros.avi", "header.mkv", "picture.mp4"] {
            assert!(reason(text).len() > 10, "{text}");
            is_plain(reason(text), temp.path());
        }
        for text in ["words.mp4", "page.mp4"] {
            assert_eq!(reason(text), "no frame decodes; ffmpeg: moov atom not found");
        }
        assert_eq!(reason("picture.mp4"), "it is a still picture (PNG), not a video");
        assert_eq!(reason("caf\u{fffd}.avi"), "its name is not UTF-8: rename it");
        assert_eq!(reason("dir\u{fffd}"), "its name is not UTF-8: rename it");
        assert_eq!(reasons.len(), 9);
    }
}
