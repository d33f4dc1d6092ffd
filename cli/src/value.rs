//! Values on the command line that have a form of their own.

use std::path::PathBuf;
use std::str::FromStr;

/// `PATH=VALUE` of `--set`: a dotted TOML key and the text that replaces what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub path: String,
    pub value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The first `=` outside quotes: a quoted part of a key may hold one.
        let mut quote = None;
        let equals = text.char_indices().find_map(|(at, c)| match (quote, c) {
            (None, '=') => Some(at),
            (None, '"' | '\'') => {
                quote = Some(c);
                None
            }
            (Some(open), _) if open == c => {
                quote = None;
                None
            }
            _ => None,
        });
        let (path, value) = match equals {
            Some(at) => (text[..at].trim(), text[at + 1..].trim()),
            None => return Err("expected PATH=VALUE, as in stages.pretrain.batch=32".into()),
        };
        if path.is_empty() {
            return Err("the PATH before `=` is empty".into());
        }
        Ok(Self { path: path.into(), value: value.into() })
    }
}

/// `HxW` of `--size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub height: u32,
    pub width: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected HEIGHTxWIDTH in pixels from 1 to 8192, as in 128x171".to_string();
        let side = |text: &str| text.parse::<u32>().ok().filter(|side| (1..=8192).contains(side));
        let (height, width) = text.split_once('x').ok_or_else(wrong)?;
        Ok(Self { height: side(height).ok_or_else(wrong)?, width: side(width).ok_or_else(wrong)? })
    }
}

/// `cpu`, `cuda` or `cuda:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Cpu,
    Cuda(usize),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |n: &str| n.parse().ok().filter(|n| *n < 1024).map(Device::Cuda);
        match text {
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            _ => text.strip_prefix("cuda:").and_then(number),
        }
        .ok_or_else(|| "expected cpu, cuda or cuda:N".into())
    }
}

/// `node.port=FILE#KEY` of `--feed`: the tensor KEY of a safetensors file, in place of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub edge: String,
    pub file: PathBuf,
    pub key: String,
}

impl FromStr for Feed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(edge, rest)| {
            let (file, key) = rest.rsplit_once('#')?;
            let whole = !edge.is_empty() && !file.is_empty() && !key.is_empty();
            whole.then(|| Self { edge: edge.into(), file: file.into(), key: key.into() })
        });
        parts.ok_or_else(|| "expected node.port=FILE.safetensors#KEY".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let set = |path: &str, value: &str| Ok(Setting { path: path.into(), value: value.into() });
        assert_eq!("values.length=8".parse(), set("values.length", "8"));
        assert_eq!("a.'b=c'.d = \"x=y\"".parse(), set("a.'b=c'.d", "\"x=y\""));
        assert_eq!("name=".parse(), set("name", ""));
        assert!("batch".parse::<Setting>().is_err());
        assert!("=3".parse::<Setting>().is_err());
    }

    #[test]
    fn sizes() {
        assert_eq!("128x171".parse(), Ok(Size { height: 128, width: 171 }));
        for bad in ["", "128", "0x4", "1x", "-1x3", "9000x2", "1x2x3"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn devices() {
        assert_eq!("cuda:3".parse(), Ok(Device::Cuda(3)));
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        assert_eq!("cpu".parse(), Ok(Device::Cpu));
        assert!("gpu".parse::<Device>().is_err());
        assert!("cuda:".parse::<Device>().is_err());
        assert!("cuda:4294967296".parse::<Device>().is_err());
    }

    #[test]
    fn feeds() {
        let feed: Feed = "seen.map[v0]=a=b.safetensors#x#y".parse().unwrap();
        assert_eq!((feed.edge.as_str(), feed.key.as_str()), ("seen.map[v0]", "y"));
        assert_eq!(feed.file, PathBuf::from("a=b.safetensors#x"));
        assert!("seen.map=file".parse::<Feed>().is_err());
    }
}
