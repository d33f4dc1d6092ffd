//! An ffmpeg that misbehaves: what is the file's fault, and what is not. A script stands in for it.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{options, pretend, Whole};
use dv_datasets::decode::{Decoded, Limits, Outcome};
use dv_datasets::{pack, verify, Ffmpeg, PackOptions, PackedSet};

/// A frame of one pixel.
const FRAME: &str = "printf 'P6\\n1 1\\n255\\nabc'";

/// What a script that stands in for ffmpeg makes of a file that nothing reads, and how many frames came.
fn decode(body: &str) -> (anyhow::Result<Outcome>, u32) {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("x.avi");
    fs::write(&file, "x").unwrap();
    let ffmpeg = pretend(temp.path(), body);
    let start = Instant::now();
    let mut frames = 0;
    let limits = Limits { patience: Duration::from_millis(400), frames: 5 };
    let outcome = ffmpeg.decode_within(&file, limits, &mut |_| {
        frames += 1;
        Ok(())
    });
    assert!(start.elapsed() < Duration::from_secs(5), "{body}: {:?}", start.elapsed());
    (outcome, frames)
}

fn rejected(body: &str) -> String {
    match decode(body).0 {
        Ok(Outcome::Rejected(why)) => why,
        other => panic!("{body}: {other:?}"),
    }
}

fn decoded(body: &str) -> Decoded {
    match decode(body) {
        (Ok(Outcome::Decoded(decoded)), frames) if frames == decoded.frames => decoded,
        other => panic!("{body}: {other:?}"),
    }
}

fn error(body: &str) -> String {
    match decode(body).0 {
        Err(e) => format!("{e:#}"),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn what_is_no_frame() {
    assert!(rejected("exec yes").contains("no frame"));
    assert!(rejected("printf 'P6\\n99999 99999\\n255\\n'").contains("too large"));
    assert!(rejected("printf 'P6\\n4 4\\n255\\nabc'").contains("cut off"));
    let cut = decoded(&format!("{FRAME}; printf 'P6\\n1 2\\n255\\nabcabc'; sleep 60"));
    assert_eq!((cut.frames, cut.note.as_deref()), (1, Some("ffmpeg: after frame 1 the size changes")));
    let fine = decoded(FRAME);
    assert_eq!((fine.frames, fine.note), (1, None));
    assert_eq!(decoded(&format!("{FRAME}; exit 3")).note.as_deref(), Some("ffmpeg: it gave up without a reason (exit status 3)"));
}

#[test]
fn frames_without_end() {
    assert!(rejected(&format!("while :; do {FRAME}; done")).contains("more than 5 frames"));
    assert_eq!(decoded(&format!("for i in 1 2 3 4 5; do {FRAME}; done")).frames, 5);
}

/// A file is tried again once, and gives its frames once.
#[test]
fn silence() {
    for body in ["exec sleep 60", "exec sleep 60 >&-", "exec sleep 60 2>&-", &format!("{FRAME}; {FRAME}; exec sleep 60")] {
        assert_eq!(rejected(body), "ffmpeg delivered nothing for 0.4 s, twice", "{body}");
    }
    let again = format!("{FRAME}; [ -e again ] || {{ touch again; exec sleep 60; }}; {FRAME}");
    let whole = decoded(&again);
    assert_eq!((whole.frames, whole.note), (2, None));
    let less = format!("{FRAME}; [ -e again ] && exit; touch again; {FRAME}; exec sleep 60");
    assert!(rejected(&less).contains("2 frames of it the first time and 1 the second"), "{}", rejected(&less));
}

/// A child that keeps the pipes is not waited for, and does not live on.
#[test]
fn a_child_that_keeps_the_pipes() {
    let temp = tempfile::tempdir().unwrap();
    let pid = temp.path().join("pid");
    let body = format!("{FRAME}; sleep 60 & echo $! > {}", pid.display());
    assert_eq!(decoded(&body).frames, 1);
    let pid = fs::read_to_string(pid).unwrap();
    let start = Instant::now();
    // A zombie is no process, where nobody reaps it.
    while fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(start.elapsed() < Duration::from_secs(5), "{pid} lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
    // One that has left the group too is not waited for.
    assert_eq!(decoded(&format!("{FRAME}; setsid sleep 3 &")).frames, 1);
}

#[test]
fn a_crash_is_the_files_fault() {
    for signal in ["SEGV", "ABRT", "FPE", "ILL", "BUS"] {
        let why = rejected(&format!("{FRAME}; kill -{signal} $$"));
        assert!(why.contains("ffmpeg crashed with signal") && why.contains(&format!("(SIG{signal})")), "{why}");
    }
    assert!(rejected("sh -c 'kill -SEGV $$'").contains("crashed with signal 11"));
}

#[test]
fn a_kill_is_not() {
    for signal in ["KILL", "TERM", "HUP"] {
        let why = error(&format!("{FRAME}; kill -{signal} $$"));
        assert!(why.contains(&format!("(SIG{signal}), which says nothing of the file")), "{why}");
    }
    assert!(error(&format!("{FRAME}; printf 'P6\\n'; kill -KILL $$")).contains("SIGKILL"));
    assert!(error("sh -c 'kill -KILL $$'; exit $?").contains("signal 9"));
    // So real ones end after SIGTERM.
    assert!(error(&format!("{FRAME}; exit 255")).contains("stopped by a signal"));
    // They end so too where a demuxer says that it failed with the number of EPERM.
    let why = rejected("echo '[in#0 @ 0x5] [error] Error opening input: Operation not permitted' >&2; exit 255");
    assert!(why.contains("Operation not permitted"), "{why}");
}

#[test]
fn what_the_machine_lacks_is_not() {
    for lack in ["Too many open files", "No space left on device", "Permission denied", "Disk quota exceeded"] {
        assert!(error(&format!("echo '[in#0 @ 0x5] [error] Error opening input: {lack}' >&2; exit 1")).contains(lack));
        assert!(error(&format!("echo '[error] file:x.avi: {lack}' >&2; exit 1")).contains(lack));
        // A decoder's words are the file's.
        assert!(rejected(&format!("echo '[mov @ 0x5] [error] {lack}' >&2; exit 1")).contains(lack));
    }
    assert!(error("echo '[fc#0 @ 0x5] [error] pthread_create() failed: Resource temporarily unavailable' >&2; exit 245")
        .contains("Resource temporarily unavailable"));
    // The file, and its folder, go while it is decoded.
    for go in ["rm x.avi", "rm -r ../$(basename $(pwd))"] {
        let why = error(&format!("{go}; exit 1"));
        assert!(why.contains("could be read before, and now: there is no such file"), "{why}");
    }
}

#[test]
fn words_and_titles_are_no_signals() {
    for said in ["Exiting normally, received signal 15.", "[info] Exiting normally, received signal 15.", "[info] title : [error] x"] {
        let fine = decoded(&format!("echo '{said}' >&2; {FRAME}"));
        assert_eq!((fine.frames, fine.note), (1, None), "{said}");
    }
}

/// What the taker of frames says is wrong is its own error, and ends the process.
#[test]
fn the_takers_error() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("x.avi"), "x").unwrap();
    let ffmpeg = pretend(temp.path(), &format!("{FRAME}; exec sleep 60"));
    let error = ffmpeg.decode(&temp.path().join("x.avi"), &mut |_| anyhow::bail!("disk full")).unwrap_err();
    assert_eq!(error.to_string(), "disk full");
}

/// Frames of 64x64; `$1` counts from 1 at the file's own turn.
fn packed(dir: &Path, body: &str, shard_bytes: u64) -> (anyhow::Result<PackedSet>, PackOptions) {
    let videos = dir.join("videos");
    fs::create_dir_all(&videos).unwrap();
    for name in ["a.avi", "b.avi", "c.avi", "d.avi"] {
        fs::write(videos.join(name), name).unwrap();
    }
    let frame = "frame() { printf 'P6\\n64 64\\n255\\n'; head -c 12288 /dev/urandom; }";
    let name = "for name; do case $name in file:*) file=${name#file:} ;; esac; done";
    let ffmpeg: Ffmpeg = pretend(dir, &format!("{frame}\n{name}\n{body}"));
    let mut options = options(&ffmpeg, "folder", &videos, &dir.join("set"));
    options.size = (64, 64);
    options.shard_bytes = shard_bytes;
    let done = pack(&options, &|_| ()).and_then(|_| PackedSet::open(&options.out));
    (done, options)
}

/// A video that is rejected after frames of it were written leaves nothing in the set, wherever shards end.
#[test]
fn frames_of_a_rejected_video_are_taken_back() {
    for shard_bytes in [1 << 20, 30_000, 1] {
        let temp = tempfile::tempdir().unwrap();
        let body = "for i in 1 2 3 4 5; do frame; done; case $file in a.avi | c.avi) kill -SEGV $$ ;; esac";
        let (set, options) = packed(temp.path(), body, shard_bytes);
        let set = set.unwrap();
        assert_eq!(set.all().iter().map(|v| (v.path.as_str(), v.frames)).collect::<Vec<_>>(), [("b.avi", 5), ("d.avi", 5)]);
        assert_eq!(set.gone().iter().map(|r| r.path.as_str()).collect::<Vec<_>>(), ["a.avi", "c.avi"]);
        assert!(set.gone()[0].reason.contains("SIGSEGV"), "{}", set.gone()[0].reason);
        assert_eq!(verify(&options.out, &|_, _| ()), []);
        let frames = set.shard_bytes() / 10;
        assert!((12_000..13_500).contains(&frames), "{frames} bytes a frame: blocks of rejected videos are left");
        let mut frame = vec![0; set.frame_len()];
        set.read_frames(1, &[4], &mut frame).unwrap();
    }
    // The last one, alone in its shard.
    let temp = tempfile::tempdir().unwrap();
    let (set, options) = packed(temp.path(), "frame; frame; case $file in d.avi) kill -SEGV $$ ;; esac", 1);
    assert_eq!(set.unwrap().len(), 3);
    assert_eq!(fs::read_dir(options.out.join("shards")).unwrap().count(), 3);
}

#[test]
fn a_kill_ends_the_pack_with_the_reason() {
    let temp = tempfile::tempdir().unwrap();
    let (set, _) = packed(temp.path(), "frame; case $file in c.avi) kill -KILL $$ ;; esac", 1 << 20);
    let why = format!("{:#}", set.unwrap_err());
    assert!(why.contains("c.avi") && why.contains("SIGKILL"), "{why}");
}
