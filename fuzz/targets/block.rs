//! A block's bytes, under a good checksum: frames of 8 x 6 pixels, as many as the first byte says.
#![no_main]

use dv_datasets::shard::{Place, Scratch, Shard};
use libfuzzer_sys::fuzz_target;

const SIZE: (u32, u32) = (8, 6);

fuzz_target!(|input: &[u8]| {
    let Some((frames, block)) = input.split_first() else { return };
    let frames = u32::from(*frames).clamp(1, 64);
    let mut content = dv_fuzz::shard_head(frames);
    let start = content.len() as u64;
    content.extend(block);
    let at = content.len();
    [frames, SIZE.0, SIZE.1, 1].iter().for_each(|number| content.extend(number.to_le_bytes()));
    content.extend(start.to_le_bytes());
    content.extend((block.len() as u32).to_le_bytes());
    content.extend(crc32fast::hash(block).to_le_bytes());
    content.extend(vec![0; frames as usize * 8]);
    let length = (content.len() - at + 8) as u32;
    content.extend(length.to_le_bytes());
    content.extend(b"DVIX");
    let place = Place { shard: 0, crc: crc32fast::hash(&content[at..]), start, index: at as u64, length };
    dv_fuzz::file("rgb-00000.dvs", &content, |path| {
        let shard = Shard::open(path).expect("its head is whole");
        let index = shard.index(place, false).expect("its index is whole");
        let mut scratch = Scratch::default();
        if shard.load(&index, 0, &mut scratch).is_ok() {
            let mut rgb = vec![0; index.size.rgb_len()];
            for frame in 0..frames {
                shard.rgb(&index, frame, &mut scratch, &mut rgb);
                assert_eq!(shard.content(&index, frame, &mut scratch), rgb, "the codec keeps every bit");
            }
        }
    });
});
