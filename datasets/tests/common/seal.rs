//! Repairs the checksums of a set after a change, as someone would who means harm.

use std::fs;
use std::path::Path;

/// Bytes of a catalogue's head and of a video's record, and where in the latter its place is.
pub const HEAD: usize = 16;
pub const VIDEO: usize = 180;
const CRC: usize = 120;
const PIECE: usize = 1 << 16;

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut eight = [0; 8];
    eight[..N].copy_from_slice(bytes.get(at..at.checked_add(N)?)?);
    Some(u64::from_le_bytes(eight))
}

/// Makes a changed set consistent: the checksum of each shard's header and of each video's index, those of the catalogue's pieces, and the
/// lengths and checksums in the head. What cannot be found any more stays as it is.
pub fn seal(dir: &Path) {
    let shards = dir.join("shards");
    let mut names: Vec<_> = fs::read_dir(&shards).map_or(Vec::new(), |all| all.flatten().map(|entry| entry.path()).collect());
    names.sort();
    let mut contents: Vec<Vec<u8>> = names.iter().map(|name| fs::read(name).unwrap_or_default()).collect();
    for (name, content) in names.iter().zip(&mut contents) {
        let end = number::<4>(content, 12).map_or(usize::MAX, |length| length as usize + 16);
        if end.saturating_add(4) <= content.len() {
            let sum = crc32fast::hash(&content[..end]);
            content[end..end + 4].copy_from_slice(&sum.to_le_bytes());
            let _ = fs::write(name, &*content);
        }
    }
    let file = dir.join("catalogue.dvc");
    let Ok(text) = fs::read(dir.join("set.json")) else { return };
    let Ok(mut head) = serde_json::from_slice::<serde_json::Value>(&text) else { return };
    if let Ok(mut catalogue) = fs::read(&file) {
        let count = head["videos"].as_u64().unwrap_or(0).min(10_000) as usize;
        for at in (0..count).map(|video| HEAD + video * VIDEO) {
            let place = (number::<4>(&catalogue, at + 116), number::<8>(&catalogue, at + 132), number::<4>(&catalogue, at + 140));
            let (Some(shard), Some(index), Some(length)) = place else { continue };
            let end = index.saturating_add(length) as usize;
            let Some(bytes) = contents.get(shard as usize).and_then(|shard| shard.get(index as usize..end)) else { continue };
            catalogue[at + CRC..at + CRC + 4].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        }
        let length = head["catalogue"]["bytes"].as_u64().unwrap_or(0).min(catalogue.len() as u64) as usize;
        catalogue.truncate(length);
        let sums: Vec<u8> = catalogue.chunks(PIECE).flat_map(|piece| crc32fast::hash(piece).to_le_bytes()).collect();
        catalogue.extend(&sums);
        let _ = fs::write(&file, catalogue);
        if head["catalogue"].is_object() {
            head["catalogue"]["checksum"] = blake3::hash(&sums).to_hex().as_str().into();
        }
    }
    if let Some(lengths) = head["streams"].get_mut(0).and_then(|stream| stream.get_mut("shards")).and_then(|shards| shards.as_array_mut()) {
        for (length, content) in lengths.iter_mut().zip(&contents) {
            *length = content.len().into();
        }
    }
    if let Some(object) = head.as_object_mut() {
        object.shift_remove("checksum");
    }
    let Ok(pretty) = serde_json::to_string_pretty(&head) else { return };
    let body = format!("{},\n", pretty.trim_end_matches("\n}"));
    let sum = blake3::hash(body.as_bytes()).to_hex();
    let _ = fs::write(dir.join("set.json"), format!("{body}  \"checksum\": \"{sum}\"\n}}\n"));
}
