//! Time and peak memory of `evaluate/retrieval` at the size of Kinetics-400:
//! `LD_LIBRARY_PATH=$PWD/.deps/libtorch/lib cargo bench -p dv-nodes --bench retrieval [-- QUERIES GALLERY NUMBERS]`.

use dv_graph::draw::Sample;
use dv_nodes::evaluate::retrieval::Retrieval;
use dv_nodes::testing::{self, With};
use dv_train::exec::batch::{Table, Value};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

const K: usize = 50;

fn table(rows: usize, numbers: usize) -> Value {
    let label = Tensor::randint(400, [rows as i64], (Kind::Int64, Device::Cpu));
    let rows_of = Tensor::randn([rows as i64, numbers as i64], (Kind::Float, Device::Cpu));
    Value::Table(Table::new(Sample::numbered(rows), rows_of, Some(label)))
}

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let [queries, gallery, numbers] = sizes.try_into().unwrap_or([20_000, 240_000, 512]);
    let kind: Retrieval = testing::kind(&format!("centre = 'each'\nk = [1, 5, 10, 20, {K}]"));
    tch::manual_seed(0);
    let _off = tch::no_grad_guard();
    let inputs = vec![("gallery", table(gallery, numbers)), ("query", table(queries, numbers))];
    println!("{queries} queries, {gallery} rows of {numbers} numbers, {K} neighbours; tables alone: {:.2} GB", peak() as f64 / 1e9);
    let with = With { wanted: vec!["neighbours", "ranks", "top1"], ..With::default() };
    let start = Instant::now();
    let out = testing::run_with(&kind, 0, &with, inputs).expect("retrieval runs");
    let seconds = start.elapsed().as_secs_f64();
    let top1 = out.tensor("top1").double_value(&[]);
    println!(
        "{seconds:.1} s, {:.0} queries/s, {} threads, peak memory {:.2} GB, top1 {top1:.4}",
        queries as f64 / seconds,
        tch::get_num_threads(),
        peak() as f64 / 1e9
    );
}
