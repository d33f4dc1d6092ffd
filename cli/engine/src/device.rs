//! What a verb computes on.

use anyhow::{bail, Result};
use dv_cli::args::Compute;
use dv_cli::value::Device;

/// Sets torch's threads, and gives the device and how many threads there are.
pub fn set(asked: &Compute) -> Result<(tch::Device, i32)> {
    if let Some(Device::Cuda(number)) = asked.device {
        let cards = cards();
        let there = match cards {
            0 => "no NVIDIA driver or no card".to_string(),
            1 => "cuda:0".to_string(),
            n => format!("cuda:0 to cuda:{}", n - 1),
        };
        if number >= cards {
            bail!("--device cuda:{number}: there is no such device (available: {there}); --device cpu always works");
        }
        bail!("unsupported: `--device cuda`; use --device cpu");
    }
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = asked.compute_threads.map_or(cores, |n| n.get()) as i32;
    tch::set_num_threads(threads);
    Ok((tch::Device::Cpu, threads))
}

/// Cards that the driver knows, asked without loading CUDA.
fn cards() -> usize {
    std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, |cards| cards.flatten().count())
}
