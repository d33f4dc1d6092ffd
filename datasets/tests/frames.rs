//! Folders of numbered pictures, packed as videos. The pictures are made with ffmpeg, and decoded without.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{ffmpegs, make, options, Whole};
use dv_datasets::{pack, verify, Ffmpeg, PackedSet};

/// A folder of videos, and a pack of it.
struct Place {
    temp: tempfile::TempDir,
    ffmpeg: Ffmpeg,
}

impl Place {
    /// With the first ffmpeg there is.
    fn new() -> Option<Place> {
        let ffmpeg = ffmpegs().next()?;
        Some(Place { temp: tempfile::tempdir().unwrap(), ffmpeg })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.temp.path().join(path)
    }

    /// Ten frames of a moving picture as files of that pattern.
    fn pictures(&self, pattern: &str, size: &str, more: &str) {
        let file = self.path("in").join(pattern);
        let source = format!("-f lavfi -i testsrc2=size={size}:rate=10:duration=1");
        assert!(make(&self.ffmpeg, &format!("{source} {more} -f image2"), &file));
    }

    fn write(&self, path: &str, content: &[u8]) {
        let file = self.path("in").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn pack(&self, lists: Option<&str>) -> anyhow::Result<PackedSet> {
        let out = self.path("set");
        let _ = fs::remove_dir_all(&out);
        let mut options = options(&self.ffmpeg, "folder", &self.path("in"), &out);
        options.size = (60, 80);
        options.splits = lists.map(|lists| self.path(lists));
        pack(&options, &|_| ())?;
        assert_eq!(verify(&out, &|_, _| ()), []);
        PackedSet::open(&out)
    }

    fn rejected(&self, path: &str) -> String {
        let set = self.pack(None).unwrap();
        let reason = set.gone().iter().find(|r| r.path == path).map(|r| r.reason.clone());
        reason.unwrap_or_else(|| panic!("{path} is in the set"))
    }
}

fn frames(set: &PackedSet, path: &str) -> Vec<Vec<u8>> {
    let place = set.all().iter().position(|video| video.path == path).unwrap_or_else(|| panic!("{path} is not in the set"));
    let read = |frame: u32| {
        let mut out = vec![0; set.frame_len()];
        set.read_frames(place, &[frame], &mut out).unwrap();
        out
    };
    (0..set.all()[place].frames).map(read).collect()
}

fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b) as f64).sum::<f64>() / a.len() as f64
}

#[test]
fn a_folder_is_a_video() {
    let Some(place) = Place::new() else { return };
    place.pictures("jump/v_png/%d.png", "160x120", "-pix_fmt rgb24");
    place.pictures("jump/v_jpg/image_%05d.jpg", "160x120", "-q:v 2");
    place.pictures("run/deep/v_rgba/frame%06d.png", "160x120", "-pix_fmt rgba");
    place.pictures("run/v_grey/frame_%02d.jpeg", "160x120", "-vf format=gray");
    place.pictures("run/v_grey16/%d.png", "160x120", "-pix_fmt gray16be");
    place.write("jump/v_jpg/n_frames", b"10\n");
    // Beside a folder of frames, not in it, there may be a video.
    let clip = place.path("in/jump/clip.avi");
    assert!(make(&place.ffmpeg, "-f lavfi -i testsrc2=size=160x120:rate=10:duration=1 -c:v ffv1 -pix_fmt bgr0", &clip));
    let set = place.pack(None).unwrap();
    let all_videos = set.all();
    let paths: Vec<(&str, u32, u32, u32)> =
        all_videos.iter().map(|v| (v.path.as_str(), v.frames, v.source_height, v.source_width)).collect();
    let all = ["jump/v_jpg", "jump/v_png", "run/deep/v_rgba", "run/v_grey", "run/v_grey16"];
    for path in all {
        assert!(paths.contains(&(path, 10, 120, 160)), "{paths:?}");
    }
    assert_eq!(set.classes, ["jump", "run"]);
    for video in set.all().iter().filter(|video| all.contains(&video.path.as_str())) {
        assert_eq!((video.fps, &video.note), (None, &None));
    }
    // The order is that of the numbers, 10 after 9.
    let (png, jpg, rgba) = (frames(&set, "jump/v_png"), frames(&set, "jump/v_jpg"), frames(&set, "run/deep/v_rgba"));
    assert_eq!(png, rgba);
    // Lossless pictures are what the video has.
    for (png, clip) in png.iter().zip(&frames(&set, "jump/clip.avi")) {
        assert!(mean_difference(png, clip) < 1.0, "{}", mean_difference(png, clip));
    }
    for i in 0..10 {
        let nearest = (0..10).min_by(|a, b| mean_difference(&png[*a], &jpg[i]).total_cmp(&mean_difference(&png[*b], &jpg[i])));
        assert_eq!(nearest, Some(i));
        assert!(mean_difference(&png[i], &jpg[i]) < 6.0, "{}", mean_difference(&png[i], &jpg[i]));
    }
    for frame in frames(&set, "run/v_grey").iter().chain(&frames(&set, "run/v_grey16")) {
        assert!(frame.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]));
    }
}

/// The sum over names and contents is what docs/videos.md says.
#[test]
fn the_source_is_all_pictures() {
    use sha2::{Digest, Sha256};
    let Some(place) = Place::new() else { return };
    place.pictures("A/v/%d.jpg", "64x48", "");
    let set = place.pack(None).unwrap();
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    for i in 1..=10 {
        let content = fs::read(place.path(&format!("in/A/v/{i}.jpg"))).unwrap();
        hasher.update(format!("{i}.jpg\0"));
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(&content);
        bytes += content.len() as u64;
    }
    let sum: String = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!((set.all()[0].source_bytes, set.all()[0].source_sha256.as_deref()), (bytes, Some(sum.as_str())));
}

#[test]
fn what_is_wrong_with_one_folder() {
    let Some(place) = Place::new() else { return };
    place.pictures("A/whole/%d.jpg", "64x48", "");
    let again = |name: &str| {
        let to = place.path("in").join(name);
        fs::create_dir_all(&to).unwrap();
        for i in 1..=10 {
            fs::copy(place.path(&format!("in/A/whole/{i}.jpg")), to.join(format!("{i}.jpg"))).unwrap();
        }
        to
    };
    fs::remove_file(again("A/gap").join("4.jpg")).unwrap();
    assert!(place.rejected("A/gap").contains("between its pictures 3.jpg and 5.jpg some are missing"));
    let cut = again("A/cut").join("7.jpg");
    let content = fs::read(&cut).unwrap();
    fs::write(&cut, &content[..content.len() / 2]).unwrap();
    assert!(place.rejected("A/cut").starts_with("the picture 7.jpg does not decode: "), "{}", place.rejected("A/cut"));
    fs::write(again("A/empty").join("1.jpg"), "").unwrap();
    assert_eq!(place.rejected("A/empty"), "the picture 1.jpg does not decode: the file is empty");
    again("A/other");
    place.pictures("tmp/%d.jpg", "48x64", "");
    fs::rename(place.path("in/tmp/2.jpg"), place.path("in/A/other/10.jpg")).unwrap();
    fs::remove_dir_all(place.path("in/tmp")).unwrap();
    assert_eq!(place.rejected("A/other"), "the picture 10.jpg is 48x64 pixels, and the first is 64x48");
    // 60000 x 60000, of which nothing follows.
    let mut huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0".to_vec();
    huge.extend(crc32fast::hash(&huge[12..]).to_be_bytes());
    huge.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    place.write("A/huge/1.png", &huge);
    place.write("A/huge/2.png", &huge);
    assert!(place.rejected("A/huge").contains("1.png does not decode: 60000x60000 pixels are too large"), "{}", place.rejected("A/huge"));
    again("A/two");
    place.write("A/two/frame_1.jpg", b"x");
    assert!(place.rejected("A/two").contains("named in two ways"));
    // Of all these only the whole one is packed.
    let set = place.pack(None).unwrap();
    assert_eq!(set.all().iter().map(|v| v.path.as_str()).collect::<Vec<_>>(), ["A/whole"]);
}

#[test]
fn rows_of_lists_name_folders() {
    let Some(place) = Place::new() else { return };
    place.pictures("jump/v_1/image_%05d.jpg", "64x48", "");
    place.pictures("run/v_2/%d.png", "64x48", "");
    // One picture is a video where a list names it.
    place.write("run/v_3/1.png", &fs::read(place.path("in/run/v_2/1.png")).unwrap());
    place.pictures("run/unlisted/%d.webm.png", "64x48", "");
    fs::create_dir_all(place.path("lists")).unwrap();
    fs::write(place.path("lists/classInd.txt"), "1 jump\n2 run\n").unwrap();
    fs::write(place.path("lists/trainlist01.txt"), "jump/v_1 1\nrun/v_2 2\nrun/v_3 2\n").unwrap();
    let set = place.pack(Some("lists")).unwrap();
    assert_eq!(
        set.all().iter().map(|v| (v.path.as_str(), v.frames)).collect::<Vec<_>>(),
        [("jump/v_1", 10), ("run/v_2", 10), ("run/v_3", 1)]
    );
    assert_eq!(set.split("train01").unwrap(), Some(vec![0, 1, 2]));
}

/// Whatever bytes a picture has, it is a frame or a reason.
#[test]
fn damaged_pictures_are_no_panic() {
    let Some(place) = Place::new() else { return };
    place.pictures("A/whole/%d.png", "64x48", "");
    place.pictures("B/whole/%d.jpg", "64x48", "");
    place.pictures("C/whole/%d.jpg", "64x48", "-pix_fmt yuvj444p");
    let mut state = 1u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for (class, ending) in [("A", "png"), ("B", "jpg"), ("C", "jpg")] {
        let whole = fs::read(place.path(&format!("in/{class}/whole/1.{ending}"))).unwrap();
        for i in 0..200 {
            let mut bytes = whole.clone();
            for _ in 0..1 + i % 8 {
                let at = next() % if i % 2 == 0 { bytes.len() } else { bytes.len().min(700) };
                bytes[at] = next() as u8;
            }
            place.write(&format!("{class}/d{i:03}/1.{ending}"), &bytes);
            place.write(&format!("{class}/d{i:03}/2.{ending}"), &whole);
        }
    }
    let set = place.pack(None).unwrap();
    assert_eq!(set.all().len() + set.gone().len(), 603);
    assert!(set.gone().len() > 200, "{}", set.gone().len());
    assert!(set.gone().iter().all(|r| r.reason.starts_with("the picture ")));
}
