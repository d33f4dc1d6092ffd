//! Still pictures, which are no videos: one rule for every sort, by the file's content. Animations (GIF, APNG, sequences of AVIF) are videos.

use std::io::{Read, Result};
use std::path::Path;

use crate::file;

/// How much of a file is looked at: a picture that is larger counts as a video, and then has one frame.
const LIMIT: u64 = 64 << 20;

/// What sort of still picture a file is; `None`: it is none, or cannot be read.
pub(crate) fn sort(file: &Path) -> Option<&'static str> {
    let mut file = file::open(file).ok()?;
    let mut head = [0; 16];
    let read = read_some(&mut file, &mut head).ok()?;
    let kind = Kind::of(&head[..read])?;
    let mut bytes = head[..read].to_vec();
    file.take(LIMIT).read_to_end(&mut bytes).ok()?;
    kind.is_still(&bytes).then_some(kind.name())
}

#[derive(Clone, Copy)]
enum Kind {
    Jpeg,
    Png,
    Gif,
    Heif,
    Webp,
}

impl Kind {
    fn of(head: &[u8]) -> Option<Kind> {
        match head {
            [0xff, 0xd8, 0xff, ..] => Some(Kind::Jpeg),
            [0x89, b'P', b'N', b'G', ..] => Some(Kind::Png),
            [b'G', b'I', b'F', b'8', ..] => Some(Kind::Gif),
            [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] if brand.len() >= 4 => {
                [b"avif", b"heic", b"heix", b"mif1"].contains(&brand.first_chunk::<4>()?).then_some(Kind::Heif)
            }
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Kind::Webp),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Jpeg => "JPEG",
            Kind::Png => "PNG",
            Kind::Gif => "GIF",
            Kind::Heif => "AVIF or HEIF",
            Kind::Webp => "WebP",
        }
    }

    fn is_still(self, bytes: &[u8]) -> bool {
        let has = |what: &[u8]| bytes.windows(what.len()).any(|w| w == what);
        match self {
            // Motion JPEG without a container is one picture after the other; the thumbnail inside a picture is followed by something else.
            Kind::Jpeg => !has(&[0xff, 0xd9, 0xff, 0xd8, 0xff]),
            Kind::Png => !animated_png(bytes),
            Kind::Gif => gif_pictures(bytes).is_some_and(|pictures| pictures == 1),
            Kind::Heif => true,
            Kind::Webp => !has(b"ANIM"),
        }
    }
}

/// Whether a PNG file has the chunk `acTL` before its pixels.
fn animated_png(bytes: &[u8]) -> bool {
    let mut at = 8;
    while let Some(chunk) = bytes.get(at..at + 8) {
        match &chunk[4..] {
            b"acTL" => return true,
            b"IDAT" => return false,
            _ => {}
        }
        let len = u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]) as usize;
        at += len + 12;
    }
    false
}

/// How many pictures a GIF file has, up to 2; `None`: it is damaged.
fn gif_pictures(bytes: &[u8]) -> Option<usize> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let blocks = |mut at: usize| {
        while let Some(len) = bytes.get(at).filter(|len| **len > 0) {
            at += 1 + *len as usize;
        }
        at + 1
    };
    let mut at = 13 + table(*bytes.get(10)?);
    let mut pictures = 0;
    while pictures < 2 {
        match bytes.get(at)? {
            0x21 => at = blocks(at + 2),
            0x2c => {
                pictures += 1;
                at = blocks(at + 11 + table(*bytes.get(at + 9)?));
            }
            0x3b => break,
            _ => return None,
        }
    }
    Some(pictures)
}

fn read_some(file: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Option<&'static str> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, bytes).unwrap();
        sort(&file)
    }

    fn gif(pictures: usize) -> Vec<u8> {
        let mut bytes = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
        bytes.extend(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0");
        for _ in 0..pictures {
            bytes.extend(b"\x21\xf9\x04\0\x0a\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0");
        }
        bytes.push(0x3b);
        bytes
    }

    #[test]
    fn one_picture_is_still_and_several_are_not() {
        let jpeg = b"\xff\xd8\xff\xe1\0\x09\xff\xd8\xff\xd9\0\xff\xdbpixels\xff\xd9";
        let png = |chunk: &[u8]| [b"\x89PNG\r\n\x1a\n\0\0\0\x02", chunk, b"xxcrc_\0\0\0\0IDAT"].concat();
        for (bytes, want) in [
            (jpeg.to_vec(), Some("JPEG")),
            (jpeg.repeat(2), None),
            (png(b"tEXt"), Some("PNG")),
            (png(b"acTL"), None),
            (gif(1), Some("GIF")),
            (gif(2), None),
            (gif(1)[..30].to_vec(), None),
            (b"\0\0\0\x20ftypavif\0\0\0\0".to_vec(), Some("AVIF or HEIF")),
            (b"\0\0\0\x20ftypavis\0\0\0\0".to_vec(), None),
            (b"\0\0\0\x20ftypisom\0\0\0\0".to_vec(), None),
            (b"RIFF\x04\0\0\0WEBPVP8 ".to_vec(), Some("WebP")),
            (b"RIFF\x04\0\0\0WEBPVP8X____ANIM".to_vec(), None),
            (b"RIFF\x04\0\0\0AVI LIST".to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(of(&bytes), want, "{bytes:?}");
        }
    }
}
