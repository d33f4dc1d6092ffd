//! ffmpeg's log without the name of the file that it reads.

/// Stands for the file's name. ffmpeg replaces this byte by `?` in whatever it prints.
pub const MARK: u8 = 1;

/// Puts [`MARK`] in the place of every occurrence of a name. A name may hold any bytes, line ends and words such as `[error]` too, so it
/// must go before the log is split into lines.
pub struct Unnamed {
    /// As ffmpeg prints it; not empty.
    name: Vec<u8>,
    /// Not yet searched: at most the beginning of a name.
    held: Vec<u8>,
}

impl Unnamed {
    pub fn new(name: &[u8]) -> Self {
        // What ffmpeg makes of control characters.
        let printed = |b: &u8| if matches!(b, ..0x08 | 0x0e..0x20) { b'?' } else { *b };
        Unnamed { name: name.iter().map(printed).collect(), held: Vec::new() }
    }

    /// What is known so far of the text that goes on with `bytes`, up to what may be the beginning of a name.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.search(false)
    }

    /// What is left when no more comes.
    pub fn end(&mut self) -> Vec<u8> {
        self.search(true)
    }

    fn search(&mut self, end: bool) -> Vec<u8> {
        let (name, held) = (&self.name, &self.held);
        let (mut at, mut ready) = (0, Vec::new());
        while let Some(found) = held[at..].windows(name.len()).position(|part| part == name) {
            ready.extend_from_slice(&held[at..at + found]);
            ready.push(MARK);
            at += found + name.len();
        }
        let rest = &held[at..];
        let begun = (1..name.len().min(rest.len() + 1)).rev().find(|len| rest.ends_with(&name[..*len]));
        let sure = rest.len() - begun.filter(|_| !end).unwrap_or(0);
        ready.extend_from_slice(&rest[..sure]);
        self.held.drain(..at + sure);
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_however_it_is_cut() {
        let name = b"file:ab\n[error] \x02.avi";
        let printed = b"file:ab\n[error] ?.avi";
        let log = [b"from '", &printed[..], b"':\n", printed, printed, b": x\nfile:a", b"file:ab\n[error] ?.av\n"].concat();
        let want = b"from '\x01':\n\x01\x01: x\nfile:afile:ab\n[error] ?.av\n";
        for step in 1..=log.len() {
            let mut unnamed = Unnamed::new(name);
            let mut got: Vec<u8> = log.chunks(step).flat_map(|bytes| unnamed.push(bytes)).collect();
            got.extend(unnamed.end());
            assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(want), "{step} bytes at a time");
        }
    }

    /// A line that is complete is not held back until the next one comes.
    #[test]
    fn lines_come_at_once() {
        let mut unnamed = Unnamed::new(b"file:/x/y");
        assert_eq!(unnamed.push(b"a line\nfile:/x"), b"a line\n");
    }
}
