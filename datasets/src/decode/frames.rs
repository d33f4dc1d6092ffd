//! Frames from ffmpeg's output.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use anyhow::{bail, Result};

use super::command::Way;
use super::planes::{Converter, Header, MAX_LINE};
use super::{Frame, Pixels, MAX_PIXELS};

/// Frames one after the other: as PPM, or in planes.
pub struct Frames<R> {
    from: BufReader<R>,
    way: Way,
    /// The frame as it came.
    raw: Vec<u8>,
    /// Height and width of all of them.
    size: Option<(usize, usize)>,
    count: u32,
    /// Of frames in planes: what the first line says, and what makes them RGB.
    header: Option<Header>,
    converter: Option<Converter>,
    rows: Vec<u8>,
}

/// What comes next.
pub enum Next {
    Frame,
    /// Nothing; and why, where the output did not end between two frames.
    End(Option<String>),
    /// Nothing came in time.
    Stalled,
    /// Frames in planes that are not for [`Converter`].
    Unsuited,
}

/// Stands before each frame in planes.
const FRAME: &[u8] = b"FRAME\n";

impl<R: Read> Frames<R> {
    pub fn new(from: R, way: Way) -> Self {
        // Small, as it is for headers: a frame itself goes past it.
        let from = BufReader::with_capacity(1 << 12, from);
        Frames { from, way, raw: Vec::new(), size: None, count: 0, header: None, converter: None, rows: Vec::new() }
    }

    /// The frame read last.
    pub fn frame(&mut self, time: Option<i64>) -> Frame<'_> {
        let (height, width) = self.size.unwrap_or_default();
        let pixels = match &mut self.converter {
            Some(converter) => {
                converter.convert(&self.raw[FRAME.len()..], &mut self.rows);
                Pixels::Rows(&self.rows)
            }
            None => Pixels::Rgb(&self.raw),
        };
        Frame { pixels, height, width, time }
    }

    /// Learns from the painted picture how to convert frames in planes; `false`: that is not known.
    pub fn learn(&mut self, probe: &[u8]) -> bool {
        self.converter = self.header.and_then(|header| Converter::new(header, probe));
        self.converter.is_some()
    }

    /// What the frames come from.
    pub fn source(&mut self) -> &mut R {
        self.from.get_mut()
    }

    /// The frames' size, if there was one, and what they came from.
    pub fn end(self) -> (Option<(usize, usize)>, R) {
        (self.size, self.from.into_inner())
    }

    /// Reads a frame.
    pub fn next(&mut self) -> Next {
        match self.way {
            Way::Planes => self.next_planes(),
            Way::Rgb => self.next_ppm(),
        }
    }

    fn next_ppm(&mut self) -> Next {
        let stalled = |e: &anyhow::Error| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::TimedOut);
        let now = match read_header(&mut self.from) {
            Ok(Some(size)) => size,
            Ok(None) => return Next::End(None),
            Err(e) if stalled(&e) => return Next::Stalled,
            Err(e) => return Next::End(Some(format!("{e:#}"))),
        };
        if *self.size.get_or_insert(now) != now {
            return Next::End(Some(format!("after frame {} the size changes", self.count)));
        }
        let (height, width) = now;
        self.raw.resize(height * width * 3, 0);
        self.read()
    }

    fn next_planes(&mut self) -> Next {
        let header = match self.header {
            Some(header) => header,
            None => {
                let mut line = Vec::new();
                match (&mut self.from).take(MAX_LINE as u64).read_until(b'\n', &mut line) {
                    Err(e) if e.kind() == ErrorKind::TimedOut => return Next::Stalled,
                    _ => {}
                }
                match Header::parse(&line).filter(|header| header.height.saturating_mul(header.width) <= MAX_PIXELS) {
                    Some(header) if header.kind.can_be(header.height, header.width) => *self.header.insert(header),
                    _ => return Next::Unsuited,
                }
            }
        };
        match self.from.fill_buf() {
            Ok([]) => return Next::End(None),
            Err(e) if e.kind() == ErrorKind::TimedOut => return Next::Stalled,
            _ => {}
        }
        self.size = Some((header.height, header.width));
        self.raw.resize(FRAME.len() + header.kind.len(header.height, header.width), 0);
        match self.read() {
            Next::Frame if !self.raw.starts_with(FRAME) => Next::End(Some("ffmpeg delivered something that is no frame".to_owned())),
            next => next,
        }
    }

    fn read(&mut self) -> Next {
        match self.from.read_exact(&mut self.raw) {
            Err(e) if e.kind() == ErrorKind::TimedOut => return Next::Stalled,
            Err(_) => return Next::End(Some(format!("frame {} is cut off", self.count))),
            Ok(()) => {}
        }
        self.count += 1;
        Next::Frame
    }
}

/// Height and width from a frame's PPM header, `P6\nW H\n255\n`; `None` at the end of the pipe.
fn read_header(pipe: &mut impl Read) -> Result<Option<(usize, usize)>> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut byte = [0u8];
    while fields.len() < 4 {
        match pipe.read(&mut byte) {
            Ok(0) if fields.is_empty() && field.is_empty() => return Ok(None),
            Ok(0) => bail!("a frame's header is cut off"),
            Ok(_) if byte[0].is_ascii_whitespace() => fields.push(std::mem::take(&mut field)),
            Ok(_) if field.len() < 8 => field.push(byte[0] as char),
            Ok(_) => bail!("ffmpeg delivered something that is no frame"),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let number = |i: usize| fields[i].parse::<usize>().ok().filter(|n| *n > 0);
    match (fields[0].as_str(), number(1), number(2), fields[3].as_str()) {
        ("P6", Some(w), Some(h), "255") if w.saturating_mul(h) <= MAX_PIXELS => Ok(Some((h, w))),
        ("P6", Some(w), Some(h), "255") => bail!("frames of {w}x{h} pixels are too large"),
        _ => bail!("ffmpeg delivered something that is no frame"),
    }
}
