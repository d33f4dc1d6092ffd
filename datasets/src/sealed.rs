//! JSON that ends with its own checksum: the last line but one is `  "checksum": "..."`, the BLAKE3 of all bytes before it.

use anyhow::{bail, ensure, Result};
use serde::Serialize;

const LINE: &[u8] = b"  \"checksum\": \"";
/// 64 hex digits, then `"\n}\n`.
const DIGITS: usize = 64;
const END: &[u8] = b"\"\n}\n";

/// The text of an object with its checksum.
pub fn seal(object: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(object)?;
    ensure!(text.ends_with(b"\n}"), "only an object with a key can have a checksum");
    text.truncate(text.len() - "\n}".len());
    text.extend_from_slice(b",\n");
    let sum = blake3::hash(&text).to_hex();
    text.extend_from_slice(LINE);
    text.extend_from_slice(sum.as_bytes());
    text.extend_from_slice(END);
    Ok(text)
}

/// Compares a text's checksum with the bytes before it.
pub fn check(text: &[u8]) -> Result<()> {
    let Some(at) = text.len().checked_sub(LINE.len() + DIGITS + END.len()) else {
        bail!("is truncated");
    };
    let sum = blake3::hash(&text[..at]).to_hex();
    let last = &text[at..];
    let whole = last.starts_with(LINE) && &last[LINE.len()..LINE.len() + DIGITS] == sum.as_bytes() && last.ends_with(END);
    ensure!(whole, "fails its checksum: it was changed or damaged");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_is_seen() {
        let text = seal(&serde_json::json!({ "a": 1, "b": ["}", "#"] })).unwrap();
        check(&text).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap()["a"], 1);
        for at in 0..text.len() {
            let mut bad = text.clone();
            bad[at] ^= 1;
            assert!(check(&bad).is_err(), "byte {at}");
            assert!(check(&text[..at]).is_err(), "cut to {at}");
        }
        assert!(seal(&serde_json::json!({})).is_err() && seal(&3).is_err());
    }
}
