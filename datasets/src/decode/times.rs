//! What ffmpeg says of the frames besides their pixels: when each is shown, and how many a second there should be.
//!
//! It comes from two further outputs of the same process, by the muxers `framecrc` and `framehash`, through one pipe. No title, tag or
//! name of the file enters it. `framecrc` has a line for each frame, whose third number is the frame's time in units of `tb` seconds:
//!
//! ```text
//! #software: Lavf59.27.100
//! #tb 0: 1/12800
//! 0, -1152921504606846976,        512,      512,      472, 0x2d101346
//! ```
//!
//! A third output, the picture of [`super::planes`], comes as a PPM of one write, `P6`, its size, `255` and the pixels.
//!
//! `framehash` has the first frame alone, in units of its own: those of the nominal rate, which are ffmpeg's default. It begins with
//! `#format:`. Both write whole lines, and all that stands before the first frame at once, so that neither comes into the other's.

use std::collections::VecDeque;

use super::pipes::Take;
use super::planes::PROBE_BYTES;

/// Longest line kept, in bytes; those that count have under 100.
const MAX_LINE: usize = 256;

/// The decoding time that [`super::command`] gives to every frame. A muxer mends times that go backwards by their decoding times,
/// of which nothing depends here, and takes that for the time of a frame that has none.
pub const NO_TIME: i64 = -(1 << 60);

#[derive(Default)]
pub struct Times {
    line: Vec<u8>,
    /// Microseconds, one a frame; `None`: the frame has none.
    times: VecDeque<Option<i64>>,
    unit: Option<(i64, i64)>,
    rate: Option<f64>,
    /// The next unit is that of the rate.
    of_rate: bool,
    /// Lines of the picture's header, and bytes of its pixels, that are to come.
    picture: (usize, usize),
    probe: Vec<u8>,
}

impl Times {
    /// The time of the next frame in microseconds, if it has one; `None`: its line has not come.
    pub fn next(&mut self) -> Option<Option<i64>> {
        self.times.pop_front()
    }

    /// What ffmpeg made of the painted picture, RGB24, once it is there.
    pub fn probe(&self) -> Option<&[u8]> {
        (self.probe.len() == PROBE_BYTES).then_some(&self.probe)
    }

    /// Nominal frames a second.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    fn line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if self.picture.0 > 0 {
            self.picture.0 -= 1;
            self.picture.1 = if self.picture.0 == 0 { PROBE_BYTES } else { 0 };
        } else if line == "P6\n" {
            self.picture.0 = 2;
            self.probe.clear();
        } else if line.starts_with("#format:") {
            self.of_rate = true;
        } else if let Some(unit) = line.strip_prefix("#tb 0: ") {
            let unit = ratio(unit.trim());
            match std::mem::take(&mut self.of_rate) {
                true => self.rate = unit.map(|(n, d)| d as f64 / n as f64),
                false => self.unit = unit,
            }
        } else if let Some(pts) = frame(&line) {
            let time = self.unit.filter(|_| pts > NO_TIME).and_then(|unit| micros(pts, unit));
            self.times.push_back(time);
        }
    }
}

impl Take for Times {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let pixels = self.picture.1.min(bytes.len());
            self.probe.extend_from_slice(&bytes[..pixels]);
            self.picture.1 -= pixels;
            bytes = &bytes[pixels..];
            let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
            let (part, rest) = bytes.split_at(line);
            bytes = rest;
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.line();
                self.line.clear();
            }
        }
    }

    fn end(&mut self) {}
}

/// The time in a line of `framecrc`, `0, DTS, PTS, DURATION, SIZE, 0xCRC`.
fn frame(line: &str) -> Option<i64> {
    let mut fields = line.split(',').map(str::trim);
    let (stream, pts) = (fields.next()?, fields.nth(1)?);
    let is_frame = stream == "0" && fields.nth(2)?.starts_with("0x");
    pts.parse().ok().filter(|_| is_frame)
}

/// A time in units of `unit` seconds as microseconds, rounded down, negative ones too.
fn micros(pts: i64, unit: (i64, i64)) -> Option<i64> {
    let micros = (pts as i128 * unit.0 as i128 * 1_000_000).div_euclid(unit.1 as i128);
    i64::try_from(micros).ok()
}

/// A positive ratio such as `30000/1001`.
fn ratio(text: &str) -> Option<(i64, i64)> {
    let (n, d) = text.split_once('/')?;
    let (n, d) = (n.parse::<i64>().ok()?, d.parse::<i64>().ok()?);
    (n > 0 && d > 0).then_some((n, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As versions 5.1 and 7.0 write it, the lines of one output before and between those of the other.
    #[test]
    fn lines_of_ffmpeg() {
        let crc = "#software: Lavf59.27.100\n#tb 0: 1001/30000\n#media_type 0: video\n#codec_id 0: wrapped_avframe\n\
                   #extradata 0:       16, 0x2d101346\n#dimensions 0: 320x240\n#sar 0: 1/1\n";
        let hash = "#format: frame checksums\n#version: 2\n#hash: adler32\n#software: Lavf59.27.100\n#tb 0: 1001/60000\n\
                    #media_type 0: video\n#stream#, dts,        pts, duration,     size, hash\n0,          0,          0,        1,      472, c85d1670\n";
        let row = |pts: i64| format!("0, {NO_TIME}, {pts:10},        1,      472, 0xb18414b2\n");
        let picture = [b"P6\n16 16\n255\n".to_vec(), (0..PROBE_BYTES).map(|i| b"\nP6\n\0\xff"[i % 6]).collect()].concat();
        let rows = [row(0), row(1), row(NO_TIME), row(i64::MIN), row(-30), row(512)];
        let long = format!("0, {}\n", "7".repeat(1000));
        for text in [
            format!("{crc}{}{hash}{}", rows[0], rows[1..].concat()),
            format!("{hash}{crc}{}", rows.concat()),
            format!("{crc}{hash}{long}{}", rows.concat()),
        ] {
            let (before, after) = text.split_at(text.find("#software").unwrap());
            let text = [before.as_bytes(), &picture, after.as_bytes()].concat();
            for step in [1, 7, text.len()] {
                let mut times = Times::default();
                text.chunks(step).for_each(|bytes| times.take(bytes));
                assert_eq!(times.probe(), Some(&picture[13..]));
                let got: Vec<_> = std::iter::from_fn(|| times.next()).collect();
                assert_eq!(got, [Some(0), Some(33_366), None, None, Some(-1_001_000), Some(17_083_733)]);
                assert_eq!(times.rate(), Some(60_000.0 / 1001.0));
            }
        }
    }
}
