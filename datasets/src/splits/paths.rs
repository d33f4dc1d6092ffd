//! Paths in lists, as a set names its videos: below the folder of videos, with `/` between their parts.

use anyhow::{ensure, Result};

/// A path without `.`, empty parts and backslashes. Errors: none, one that leaves the folder of videos, one from the root.
pub(super) fn clean(path: &str) -> Result<String> {
    let path = path.trim();
    ensure!(!path.is_empty(), "the path is empty");
    let slashes = path.replace('\\', "/");
    let drive = slashes.as_bytes().get(1) == Some(&b':') && slashes.as_bytes()[0].is_ascii_alphabetic() && slashes.get(2..3) == Some("/");
    ensure!(!slashes.starts_with('/') && !drive, "{path} must lie below --videos: give it relative to that folder");
    let parts = parts(&slashes);
    ensure!(!parts.contains(&".."), "{path} must lie below --videos: it may not hold `..`");
    ensure!(!parts.is_empty(), "{path} names no file");
    Ok(parts.join("/"))
}

/// The parts of a path that name something.
pub(super) fn parts(path: &str) -> Vec<&str> {
    path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect()
}

/// A path without the ending of its file's name.
pub(crate) fn stem(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].rfind('.') {
        Some(dot) if dot > 0 => &path[..name + dot],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for path in ["a/b c.avi", "./a/b c.avi", "a//b c.avi", "a\\b c.avi", ".\\a\\.\\b c.avi", "././a/./b c.avi ", "a/b c.avi/"] {
            assert_eq!(clean(path).unwrap(), "a/b c.avi", "{path}");
        }
        assert_eq!(clean("x:y.avi").unwrap(), "x:y.avi");
        for path in ["", " ", "/a", "\\a", "C:\\a", "d:/a", "..", "a/../../b", "a\\..\\b", ".", "./"] {
            assert!(clean(path).is_err(), "{path}");
        }
    }

    #[test]
    fn stems() {
        for (path, want) in [("a.b/c.d.avi", "a.b/c.d"), ("a.b/c", "a.b/c"), (".x", ".x"), ("a/.x", "a/.x"), ("ü.mp4", "ü"), ("", "")] {
            assert_eq!(stem(path), want);
        }
    }
}
