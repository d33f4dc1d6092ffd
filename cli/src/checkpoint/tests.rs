//! Damage: no byte of a checkpoint can be such that reading it panics, hangs or takes much memory.

use std::fs;
use std::path::Path;

use super::choose::choose;
use super::source::Source;
use super::{names, pickle};

/// Reads a checkpoint to its last byte.
fn read(path: &Path) -> anyhow::Result<usize> {
    let source = Source::open(path)?;
    let chosen = choose(&source, None, None)?;
    let mut bytes = 0;
    for (_, view) in &chosen.tensors {
        bytes += view.gather(&source.storage(&view.storage)?)?.len();
    }
    Ok(bytes)
}

#[test]
fn damaged_and_truncated_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.pth");
    for name in ["dualvar.pth.tar", "dualvar_legacy.pth.tar", "kinds.pt", "kinds_legacy.pt", "old.pth"] {
        let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch").join(name)).unwrap();
        fs::write(&path, &whole).unwrap();
        let bytes = read(&path).unwrap();
        for at in (0..whole.len()).step_by(9) {
            let mut bad = whole.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, &bad).unwrap();
            let _ = read(&path);
        }
        for length in (0..whole.len()).rev().step_by(23) {
            fs::write(&path, &whole[..length]).unwrap();
            // behind the last part of a tar archive there is only padding
            assert!(read(&path).is_err() || name == "old.pth", "{name} cut to {length}");
        }
        assert!(bytes > 0);
    }
}

/// Random bytes, and random bytes that are opcodes.
#[test]
fn random_pickles() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    let opcodes = b"(0125NIJKMFGSUTXVBC]})ldtaesugjhpqrcRioPQb.\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x8f\x90\x91\x93\x94\x95";
    for round in 0..20_000 {
        let length = usize::from(random()) + 1;
        let bytes: Vec<u8> = (0..length)
            .map(|_| match (round % 2, random()) {
                (0, byte) => byte,
                // few operands: mostly opcodes that take none
                (_, byte) => opcodes[usize::from(byte) % opcodes.len()],
            })
            .collect();
        let _ = pickle::read(&bytes);
    }
}

#[test]
fn where_backbones_lie() {
    let found = |all: &[&str]| names::backbones(all.iter().copied());
    assert_eq!(found(&["conv1.weight", "conv2.block1.conv1.weight"]), [""]);
    assert_eq!(found(&["module.encoder_q.0.conv1.w.weight", "module.encoder_q.0.conv2.block1.conv1.w.weight"]), ["module.encoder_q.0"]);
    assert_eq!(found(&["encoder_q.0.Conv_1a.conv1.weight", "encoder_k.0.Conv_1a.conv1.weight"]), ["encoder_k.0", "encoder_q.0"]);
    assert_eq!(found(&["backbone.stem.0.weight", "fc.weight"]), ["backbone"]);
    assert!(found(&["fc.weight"]).is_empty());
    assert!(names::is_parallel(["module.a", "module.b"].into_iter()) && !names::is_parallel(["module.a", "b"].into_iter()));
    assert_eq!(
        names::missing_counters(["a.running_mean", "b.running_mean", "b.num_batches_tracked"].into_iter()),
        ["a.num_batches_tracked"]
    );
}
