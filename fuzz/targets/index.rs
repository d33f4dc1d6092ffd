//! The index of a video, in a shard around it. The first byte says how many frames a block has.
#![no_main]

use dv_datasets::shard::{Place, Scratch, Shard};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((block_frames, index)) = input.split_first() else { return };
    let head = dv_fuzz::shard_head(u32::from(*block_frames).clamp(1, 64));
    // Something that blocks may be: the index itself, before it.
    let start = head.len() as u64;
    let content = [&head, index, index].concat();
    let place = Place { shard: 0, crc: 0, start, index: start + index.len() as u64, length: index.len() as u32 };
    dv_fuzz::file("rgb-00000.dvs", &content, |path| {
        let shard = Shard::open(path).expect("its head is whole");
        let Ok(index) = shard.index(place, true) else { return };
        assert_eq!(shard.times(&index).expect("the index is whole").len(), index.frames as usize);
        for block in (0..index.frames).take(4) {
            let _ = shard.load(&index, block, &mut Scratch::default());
        }
    });
});
