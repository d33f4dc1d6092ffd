//! What a large set costs to open: `cargo bench -p dv-datasets --bench open [-- VIDEOS]`, 1,000,000 videos unless told otherwise.
//!
//! The set is made here, with a frame of one pixel a video and all else as UCF101 has it, so that its catalogue is as large as a real one's.
//! Each measurement is a process of its own, whose peak of memory is what the system says of it (`VmHWM`, mapped pages included).

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use dv_datasets::{PackedSet, SetOptions, SetWriter, VideoMeta};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [what, set] = &args[..] {
        return measure(what, Path::new(set));
    }
    // `cargo test` starts benchmarks too.
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("nothing measured: cargo bench -p dv-datasets --bench open");
        return Ok(());
    }
    let videos: usize = args.first().map_or(Ok(1_000_000), |n| n.parse()).context("VIDEOS is a number")?;
    let temp = tempfile::tempdir()?;
    let set = temp.path().join("large");
    let start = Instant::now();
    write(&set, videos)?;
    let size = |name: &str| std::fs::metadata(set.join(name)).map_or(0.0, |meta| meta.len() as f64 / 1e6);
    println!(
        "{videos} videos written in {:.1} s: catalogue.dvc {:.0} MB, set.json {:.3} MB",
        start.elapsed().as_secs_f64(),
        size("catalogue.dvc"),
        size("set.json")
    );
    for what in ["open", "thousand", "rows", "everything"] {
        let status = Command::new(std::env::current_exe()?).arg(what).arg(&set).status()?;
        ensure!(status.success(), "{what}: {status}");
    }
    Ok(())
}

fn write(out: &Path, videos: usize) -> Result<()> {
    let mut options = SetOptions::new("large", 1, 1);
    options.classes = (0..400).map(|class| format!("Class{class:03}")).collect();
    options.fsync = false;
    let mut writer = SetWriter::create(out, options)?;
    for video in 0..videos {
        let (class, group) = (video * 400 / videos, video / 5);
        let meta = VideoMeta {
            path: format!("Class{class:03}/v_Class{class:03}_g{group:06}_c{:02}.avi", video % 5),
            class: Some(class as u32),
            group: Some(format!("v_Class{class:03}_g{group:06}")),
            splits: vec![if video % 10 < 8 { "train" } else { "test" }.to_owned()],
            fps: Some(25.0),
            source_height: 240,
            source_width: 320,
            source_bytes: 500_000,
            source_sha256: Some(format!("{video:064x}")),
            note: None,
        };
        writer.add_video(meta, [[0u8; 3]])?;
    }
    writer.finish().map(|_| ())
}

fn measure(what: &str, dir: &Path) -> Result<()> {
    let start = Instant::now();
    let set = PackedSet::open(dir)?;
    let mut frame = vec![0; set.frame_len()];
    match what {
        "open" => {}
        "thousand" => {
            for i in 0..1000 {
                let video = i * 7919 % set.len();
                ensure!(!set.path(video)?.is_empty() && set.frames(video)? == 1);
                set.read_frames(video, &[0], &mut frame)?;
            }
        }
        "rows" => {
            let rows = set.split_rows("train")?.context("a split")?;
            ensure!(rows.videos.len() == rows.rows);
        }
        _ => {
            for video in set.videos() {
                ensure!(video?.frames == 1);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").context("memory is read from /proc")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    let what = match what {
        "open" => "opened",
        "thousand" => "opened, and a frame of 1000 videos read",
        "rows" => "opened, and the rows of its training split read",
        _ => "opened, and every record read",
    };
    println!("{what}: {seconds:.3} s, {:.0} MB at most", peak.unwrap_or(f64::NAN) / 1e3);
    Ok(())
}
