//! ffmpeg's log without the name of the file that it reads.

use std::io::{ErrorKind, Read};

/// Stands for the file's name. ffmpeg replaces this byte by `?` in whatever it prints.
pub const MARK: u8 = 1;

/// Reads on with [`MARK`] in the place of every occurrence of a name. A name may hold any bytes, line ends and words such as `[error]`
/// too, so it must go before the log is split into lines.
pub struct Unnamed<R> {
    from: R,
    /// As ffmpeg prints it; not empty.
    name: Vec<u8>,
    /// Read and not yet searched: at most the beginning of a name.
    held: Vec<u8>,
    /// Searched; given out up to `given`.
    ready: Vec<u8>,
    given: usize,
}

impl<R: Read> Unnamed<R> {
    pub fn new(from: R, name: &[u8]) -> Self {
        // What ffmpeg makes of control characters.
        let printed = |b: &u8| if matches!(b, ..0x08 | 0x0e..0x20) { b'?' } else { *b };
        Unnamed { from, name: name.iter().map(printed).collect(), held: Vec::new(), ready: Vec::new(), given: 0 }
    }

    /// Moves what can be no part of a name, or all where `end`, from `held` to `ready`.
    fn search(&mut self, end: bool) {
        let (name, held) = (&self.name, &self.held);
        let mut at = 0;
        while let Some(found) = held[at..].windows(name.len()).position(|part| part == name) {
            self.ready.extend_from_slice(&held[at..at + found]);
            self.ready.push(MARK);
            at += found + name.len();
        }
        let rest = &held[at..];
        let begun = (1..name.len().min(rest.len() + 1)).rev().find(|len| rest.ends_with(&name[..*len]));
        let sure = rest.len() - begun.filter(|_| !end).unwrap_or(0);
        self.ready.extend_from_slice(&rest[..sure]);
        self.held.drain(..at + sure);
    }
}

impl<R: Read> Read for Unnamed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.given == self.ready.len() {
            self.ready.clear();
            self.given = 0;
            let mut chunk = [0; 4096];
            let got = match self.from.read(&mut chunk) {
                Ok(got) => got,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.held.extend_from_slice(&chunk[..got]);
            self.search(got == 0);
            if got == 0 && self.ready.is_empty() {
                return Ok(0);
            }
        }
        let count = (&self.ready[self.given..]).read(buffer)?;
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(buffer.len());
            (&mut self.0).take(count as u64).read(buffer)
        }
    }

    #[test]
    fn a_name_goes_however_it_is_cut() {
        let name = b"file:/a/ab\n[error] \x02.avi";
        let printed = b"file:/a/ab\n[error] ?.avi";
        let log = [b"from '", &printed[..], b"':\n", printed, printed, b": x\nfile:/a/a", b"file:/a/ab\n[error] ?.av\n"].concat();
        let want = b"from '\x01':\n\x01\x01: x\nfile:/a/afile:/a/ab\n[error] ?.av\n";
        for step in 1..=log.len() {
            let mut got = Vec::new();
            Unnamed::new(Slow(&log, step), name).read_to_end(&mut got).unwrap();
            assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(want), "{step} bytes at a time");
        }
    }

    /// A line that is complete is not held back until the next one comes.
    #[test]
    fn lines_come_at_once() {
        let mut log = Unnamed::new(Slow(b"a line\nfile:/x", 7), b"file:/x/y");
        let mut buffer = [0; 64];
        assert_eq!(log.read(&mut buffer).unwrap(), 7);
        assert_eq!(&buffer[..7], b"a line\n");
    }
}
