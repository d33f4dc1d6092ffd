//! FORMAT.md holds: a reader in another language, written from it, gets the very frames that dv reads.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{ffmpegs, options, skip, videos, Whole};
use dv_datasets::{pack, Codec, Mt19937, PackedSet, SetOptions, SetWriter, VideoMeta};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Python, which finds what `cargo xtask test` has put into `.deps/python`.
fn python(arguments: &[&std::ffi::OsStr]) -> std::io::Result<Output> {
    let mut path = root().join(".deps/python").into_os_string();
    if let Some(old) = std::env::var_os("PYTHONPATH") {
        path.push(":");
        path.push(old);
    }
    Command::new("python3").args(arguments).env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1").output()
}

/// Whether the reader can run; says loudly why not.
fn ready() -> bool {
    match python(&["-c".as_ref(), "import numpy, zstandard".as_ref()]) {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            skip(format_args!("python: {} (`cargo xtask test` provides it)", why.lines().last().unwrap_or_default()));
            false
        }
        Err(e) => {
            skip(format_args!("python3 does not start: {e}"));
            false
        }
    }
}

fn read(set: &Path, out: &Path) -> Output {
    let script = root().join("examples/read_shards.py");
    python(&[script.as_os_str(), set.as_os_str(), out.as_os_str()]).unwrap()
}

/// Compares every frame of a set.
fn compare(dir: &Path) {
    let file = dir.with_extension("rgb");
    let output = read(dir, &file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let set = PackedSet::open(dir).unwrap();
    let got = fs::read(&file).unwrap();
    let mut at = 0;
    let mut want = vec![0; set.frame_len()];
    for (number, video) in set.all().iter().enumerate() {
        for frame in 0..video.frames {
            set.read_frames(number, &[frame], &mut want).unwrap();
            assert!(got.get(at..at + want.len()) == Some(&want[..]), "{}: {} frame {frame} differs", dir.display(), video.path);
            at += want.len();
        }
    }
    assert_eq!(at, got.len());
    let listed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(listed.lines().count(), set.all().len());
    assert!(listed.starts_with(&format!("{} ", set.all()[0].path)), "{listed}");
}

#[test]
fn every_codec_and_block_length() {
    if !ready() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let mut rng = Mt19937::new(3);
    for codec in Codec::ALL {
        for (h, w) in [(1, 1), (2, 3), (9, 14), (31, 17)] {
            // All in one shard, many shards, a shard for each block.
            for (block_frames, shard_bytes) in [(1, 1 << 20), (4, 2000), (64, 1)] {
                let out = temp.path().join(format!("{}-{h}x{w}-{block_frames}", codec.name()));
                let mut set = SetOptions::new("set", h, w);
                set.classes = vec!["Übung".into()];
                (set.codec, set.block_frames, set.shard_bytes, set.fsync) = (codec, block_frames, shard_bytes, false);
                let mut writer = SetWriter::create(&out, set).unwrap();
                for (i, count) in [5, 1, 12].into_iter().enumerate() {
                    // Every colour, so that every clipping occurs.
                    let frames: Vec<Vec<u8>> = (0..count).map(|_| (0..h * w * 3).map(|_| rng.next_u32() as u8).collect()).collect();
                    let class = (i != 1).then_some(0);
                    writer.add_video(VideoMeta { path: format!("{i}/ä b.avi"), class, ..VideoMeta::default() }, frames).unwrap();
                }
                writer.finish().unwrap();
                compare(&out);
            }
        }
    }
    // What is damaged is told, not returned.
    let out = temp.path().join("rgb-9x14-4");
    let file = out.join("shards/rgb-00000.dvs");
    let mut bytes = fs::read(&file).unwrap();
    bytes[200] ^= 1;
    fs::write(&file, bytes).unwrap();
    let output = read(&out, &temp.path().join("x"));
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("checksum"));
}

#[test]
fn real_clips() {
    let Some(dir) = videos() else { return };
    if !ready() {
        return;
    }
    for ffmpeg in ffmpegs() {
        let temp = tempfile::tempdir().unwrap();
        for codec in Codec::ALL {
            let mut options = options(&ffmpeg, "folder", &dir.join("ucf101/UCF-101/Punch"), &temp.path().join(codec.name()));
            (options.codec, options.block_frames, options.shard_bytes) = (codec, 1, 3_000_000);
            pack(&options, &|_| ()).unwrap();
            compare(&options.out);
        }
    }
}
