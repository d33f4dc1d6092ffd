//! What packing costs beside plain decoding: `cargo bench -p dv-datasets --bench pack -- DIR [ROUNDS]`.
//!
//! Of videos, and of folders of their first 100 frames as JPEG.
//!
//! CPU time of all processes for the videos below DIR, in one run: `ffmpeg -f null -` of each file, then packing with each codec, again
//! and again; the least of each counts. Ratios are what to compare: the times depend on the machine and on what else it does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use dv_datasets::{pack, Codec, Ffmpeg, PackOptions, PackedSet};

/// Ticks a second, in which Linux gives CPU times to programs.
const TICKS: f64 = 100.0;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    // `cargo test` builds and starts benchmarks too.
    let Some(dir) = args.first() else {
        println!("give a folder of videos: cargo bench -p dv-datasets --bench pack -- DIR [ROUNDS]");
        return Ok(());
    };
    let rounds = args.get(1).map_or(Ok(3), |n| n.parse::<usize>()).context("ROUNDS is a number")?.max(1);
    // Cargo starts it in the package's folder.
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(dir);
    let ffmpeg = Ffmpeg::find()?;
    let temp = tempfile::tempdir()?;
    let mut options = PackOptions::preset("ucf101", &dir, &temp.path().join("set"), None, None)?;
    (options.ffmpeg, options.fsync) = (Some(ffmpeg.clone()), false);

    // Also the files and how many frames they have, so that both ways do the same.
    pack(&options, &|_| ())?;
    let set = PackedSet::open(&options.out)?;
    let files: Vec<PathBuf> = (0..set.len()).map(|video| Ok(dir.join(set.path(video)?))).collect::<Result<_>>()?;
    let frames: f64 = (0..set.len()).map(|video| Ok(f64::from(set.frames(video)?))).sum::<Result<f64>>()?;
    println!("{} videos, {frames} frames; ffmpeg {}; {rounds} rounds", files.len(), ffmpeg.version());

    let mut plain = f64::INFINITY;
    let mut packing = [(f64::INFINITY, 0.0); 2];
    for _ in 0..rounds {
        let start = Used::now()?;
        for file in &files {
            let mut command = Command::new(ffmpeg.program());
            command.args(["-nostdin", "-v", "quiet", "-threads", "1", "-i"]).arg(file).args(["-map", "0:V:0", "-f", "null", "-"]);
            ensure!(command.stdin(Stdio::null()).status()?.success(), "ffmpeg -f null: {}", file.display());
        }
        plain = plain.min(start.since()?.children);
        for (codec, best) in Codec::ALL.into_iter().zip(&mut packing) {
            std::fs::remove_dir_all(&options.out)?;
            options.codec = codec;
            let start = Used::now()?;
            pack(&options, &|_| ())?;
            let used = start.since()?;
            if used.own + used.children < best.0 {
                *best = (used.own + used.children, used.own);
            }
        }
    }
    let a_frame = |seconds: f64| seconds / frames * 1e3;
    println!("CPU time a frame, 171x128, bicubic:");
    println!("ffmpeg -f null    {:.3} ms", a_frame(plain));
    for (codec, (all, own)) in Codec::ALL.into_iter().zip(packing) {
        let name = format!("dv, {}", codec.name());
        let (all, own) = (a_frame(all), a_frame(own));
        println!("{name:17} {all:.3} ms  {:.2} times; {own:.3} ms in dv, {:.3} ms in ffmpeg", all / a_frame(plain), all - own);
    }
    frames_as_pictures(&mut options, &ffmpeg, &files, &temp.path().join("pictures"), rounds)
}

/// CPU time of packing folders of JPEG pictures, which ffmpeg makes of the videos.
fn frames_as_pictures(options: &mut PackOptions, ffmpeg: &Ffmpeg, files: &[PathBuf], dir: &Path, rounds: usize) -> Result<()> {
    for (i, file) in files.iter().enumerate() {
        let folder = dir.join("all").join(i.to_string());
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new(ffmpeg.program());
        command.args(["-nostdin", "-v", "quiet", "-i"]).arg(file).args(["-map", "0:V:0", "-frames:v", "100", "-q:v", "3"]);
        ensure!(command.arg(folder.join("image_%05d.jpg")).stdin(Stdio::null()).status()?.success(), "pictures of {}", file.display());
    }
    options.videos = dir.to_owned();
    println!("folders of JPEG, decoded in dv:");
    for codec in Codec::ALL {
        options.codec = codec;
        let (mut best, mut frames) = (f64::INFINITY, 0);
        for _ in 0..rounds {
            std::fs::remove_dir_all(&options.out)?;
            let start = Used::now()?;
            frames = pack(options, &|_| ())?.frames;
            best = best.min(start.since()?.own);
        }
        println!(
            "dv, {:13} {:.3} ms a frame, {:.0} frames a second a core",
            codec.name(),
            best / frames as f64 * 1e3,
            frames as f64 / best
        );
    }
    Ok(())
}

/// CPU seconds of this process and of its children that have ended.
#[derive(Clone, Copy)]
struct Used {
    own: f64,
    children: f64,
}

impl Used {
    fn now() -> Result<Used> {
        let stat = std::fs::read_to_string("/proc/self/stat").context("CPU times are read from /proc")?;
        // After the program's name, which is in brackets: fields 14 to 17 of all are user and system time, own and the children's.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: Vec<f64> = fields.skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
        ensure!(ticks.len() == 4, "/proc/self/stat has no CPU times");
        Ok(Used { own: (ticks[0] + ticks[1]) / TICKS, children: (ticks[2] + ticks[3]) / TICKS })
    }

    fn since(self) -> Result<Used> {
        let now = Used::now()?;
        Ok(Used { own: now.own - self.own, children: now.children - self.children })
    }
}
