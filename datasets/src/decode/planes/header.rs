//! The first line of frames in planes, as ffmpeg's muxer `yuv4mpegpipe` writes it.

use super::Kind;

/// What is known of a file's frames before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub height: usize,
    pub width: usize,
    /// Whether the file says that bytes are of full range.
    pub full: bool,
}

/// Longest line, in bytes; real ones have under 100.
pub const MAX_LINE: usize = 256;

impl Header {
    /// `None`: the line is none, or the frames are of a kind that [`super::Converter`] does not know.
    pub fn parse(line: &[u8]) -> Option<Header> {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.trim_end().split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return None;
        }
        let (mut kind, mut height, mut width, mut full) = (None, None, None, false);
        for word in words {
            let (name, value) = word.split_at_checked(1)?;
            match name {
                "W" => width = value.parse().ok(),
                "H" => height = value.parse().ok(),
                // Where chroma lies matters to no version.
                "C" => match value {
                    "420jpeg" | "420mpeg2" | "420paldv" => kind = Some(Kind::Yuv420),
                    "mono" => kind = Some(Kind::Grey),
                    _ => return None,
                },
                "X" => full |= value == "COLORRANGE=FULL",
                _ => {}
            }
        }
        Some(Header { kind: kind?, height: height.filter(|n| *n > 0)?, width: width.filter(|n| *n > 0)?, full })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ffmpeg() {
        let header = |kind, full| Some(Header { kind, height: 16, width: 32, full });
        for (line, want) in [
            ("YUV4MPEG2 W32 H16 F25:1 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2\n", header(Kind::Yuv420, false)),
            ("YUV4MPEG2 W32 H16 F30000:1001 Ip A0:0 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL\n", header(Kind::Yuv420, true)),
            ("YUV4MPEG2 W32 H16 F25:1 Ip A1:1 Cmono XCOLORRANGE=FULL\n", header(Kind::Grey, true)),
            ("YUV4MPEG2 W32 H16 F25:1 Ip A1:1 C444 XYSCSS=444\n", None),
            ("YUV4MPEG2 W32 H16 F25:1 Ip A1:1 C420p10 XYSCSS=420P10\n", None),
            ("YUV4MPEG2 W32 H0 C420jpeg\n", None),
            ("YUV4MPEG2 W32 H16\n", None),
            ("P6\n", None),
            ("", None),
        ] {
            assert_eq!(Header::parse(line.as_bytes()), want, "{line}");
        }
    }
}
