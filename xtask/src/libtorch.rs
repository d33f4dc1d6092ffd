//! A slim CPU libtorch out of PyPI's wheels: what the build and a machine without a GPU need of it.

use std::path::Path;
use std::process::Command;

use crate::wheel::Wheel;
use crate::{sh, Result};

/// The wheels of libtorch. Versions move together with `tch` in the workspace's `Cargo.toml`.
pub const WHEELS: [Wheel; 3] = [
    Wheel {
        name: "torch",
        version: "2.11.0",
        platform: "manylinux_2_28_x86_64",
        sha256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
        bytes: 530_600_000,
        files: &[
            "torch/include/**=libtorch/include/",
            "torch/version.py=libtorch/version.py",
            "torch/lib/libtorch_cpu.so=libtorch/lib/libtorch_cpu.so",
            "torch/lib/libc10.so=libtorch/lib/libc10.so",
            "torch/lib/libgomp.so.1=libtorch/lib/libgomp.so.1",
        ],
    },
    Wheel {
        name: "nvidia-cuda-runtime",
        version: "13.0.96",
        platform: "manylinux2014_x86_64",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        bytes: 2_200_000,
        files: &["nvidia/cu13/lib/libcudart.so.13=libtorch/lib/libcudart.so.13"],
    },
    Wheel {
        name: "nvidia-cuda-cupti",
        version: "13.0.85",
        platform: "manylinux_2_25_x86_64",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        bytes: 10_700_000,
        files: &["nvidia/cu13/lib/libcupti.so.13=libtorch/lib/libcupti.so.13"],
    },
];

/// The linker asks for a `libtorch.so`; nothing in it is used, so an empty one does.
pub fn empty_library(lib: &Path) -> Result<()> {
    let path = lib.join("libtorch.so");
    if path.exists() {
        return Ok(());
    }
    let part = lib.join("libtorch.so.part");
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-nostdlib", "-Wl,-soname,libtorch.so", "-x", "c", "/dev/null", "-o"]);
    sh::run("making the empty libtorch.so with gcc", gcc.arg(&part))?;
    std::fs::rename(&part, &path).map_err(|fault| format!("cannot write {}: {fault}", path.display()))
}
