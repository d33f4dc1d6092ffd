//! Which files of a folder are frames, and in what order: by their names alone.

use std::collections::BTreeSet;
use std::fmt;

/// Endings of pictures, the ones that are decoded first.
const PICTURES: [&str; 13] = ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "ppm", "pgm", "pnm", "avif", "heic", "jp2"];
const DECODED: usize = 3;

/// Why the pictures of a folder are not the frames of a video.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Stored in a way that dv does not take, which is true of other folders beside it as well.
    Unsupported(String),
    /// Something is wrong with this folder.
    Names(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Fault::Unsupported(why) | Fault::Names(why)) = self;
        f.write_str(why)
    }
}

fn ending(name: &str) -> String {
    name.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_ascii_lowercase())
}

/// Whether a file is a picture by its name.
pub(crate) fn is_picture(name: &str) -> bool {
    PICTURES.contains(&ending(name).as_str())
}

/// The pictures among the names, in the order of the numbers that stand before their endings: `image_00001.jpg`, `1.jpg`. What stands before
/// the number is the same for all, and no number is left out.
pub(crate) fn order<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<&'a str>, Fault> {
    let pictures: Vec<&str> = names.into_iter().filter(|name| is_picture(name)).collect();
    let first = *pictures.first().ok_or_else(|| Fault::Names("it holds no pictures".to_owned()))?;
    let sorts: BTreeSet<String> = pictures.iter().map(|name| ending(name).replace("jpeg", "jpg")).collect();
    if let Some(other) = sorts.iter().find(|sort| !PICTURES[..DECODED].contains(&sort.as_str())) {
        return Err(Fault::Unsupported(format!("frames as .{other} are unsupported: only .jpg and .png are decoded")));
    }
    if sorts.len() > 1 {
        return Err(Fault::Unsupported(
            "its pictures are of several formats, .jpg and .png: only folders of one format are frames".to_owned(),
        ));
    }
    let mut numbered: Vec<(u64, &str)> = Vec::with_capacity(pictures.len());
    let mut befores: BTreeSet<&str> = BTreeSet::new();
    for name in &pictures {
        let stem = name.rsplit_once('.').map_or(*name, |(stem, _)| stem);
        let before = stem.trim_end_matches(|c: char| c.is_ascii_digit());
        let Ok(number) = stem[before.len()..].parse() else {
            return Err(Fault::Names(format!("its pictures are not numbered: {name} has no number before its ending")));
        };
        befores.insert(before);
        numbered.push((number, name));
    }
    if let Some(flow) = befores.iter().find(|before| before.to_ascii_lowercase().contains("flow")) {
        return Err(Fault::Unsupported(format!(
            "pictures of optical flow ({flow}...) are unsupported: only folders of RGB frames are taken"
        )));
    }
    let mut kinds = befores.iter();
    if let (Some(a), Some(b)) = (kinds.next(), kinds.next()) {
        return Err(Fault::Names(format!("its pictures are named in two ways, {a:?} and {b:?} before the number: a folder is one video")));
    }
    numbered.sort();
    for pair in numbered.windows(2) {
        let [(a, name), (b, next)] = pair else { continue };
        match b - a {
            0 => return Err(Fault::Names(format!("two of its pictures have the number {a}: {name} and {next}"))),
            1 => {}
            _ => {
                return Err(Fault::Names(format!(
                    "between its pictures {name} and {next} some are missing (of {}, such as {first})",
                    pictures.len()
                )))
            }
        }
    }
    Ok(numbered.into_iter().map(|(_, name)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_order() {
        let ordered = |names: &[&'static str]| order(names.iter().copied()).unwrap();
        assert_eq!(ordered(&["10.jpg", "9.jpg", "11.JPEG", "n_frames", "x.txt"]), ["9.jpg", "10.jpg", "11.JPEG"]);
        assert_eq!(ordered(&["v_g01_c02_0002.png", "v_g01_c02_0001.png"]), ["v_g01_c02_0001.png", "v_g01_c02_0002.png"]);
        assert_eq!(ordered(&["image_00000.jpg"]), ["image_00000.jpg"]);
        for (names, unsupported, said) in [
            (&["1.jpg", "3.jpg"][..], false, "between its pictures 1.jpg and 3.jpg some are missing"),
            (&["1.jpg", "01.jpg"], false, "two of its pictures have the number 1: 01.jpg and 1.jpg"),
            (&["cat.jpg", "1.jpg"], false, "not numbered: cat.jpg has no number"),
            (&["99999999999999999999999.jpg"], false, "not numbered"),
            (&["a_1.jpg", "b_2.jpg"], false, "named in two ways, \"a_\" and \"b_\""),
            (&["1.jpg", "2.png"], true, "of several formats"),
            (&["flow_x_1.jpg", "flow_y_1.jpg"], true, "optical flow (flow_x_...)"),
            (&["1.webp", "2.webp"], true, "frames as .webp are unsupported"),
            (&["x.txt"], false, "no pictures"),
        ] {
            let fault = order(names.iter().copied()).unwrap_err();
            assert_eq!(matches!(fault, Fault::Unsupported(_)), unsupported, "{fault}");
            assert!(fault.to_string().contains(said), "{fault}");
        }
    }
}
