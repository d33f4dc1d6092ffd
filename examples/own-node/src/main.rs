//! The engine with a kind of our own.

mod solarize;

use dv_engine::prelude::NodeEntry;

static NODES: &[NodeEntry] = &[NodeEntry::batch::<solarize::Solarize>()];

fn main() -> std::process::ExitCode {
    dv_engine::main(NODES)
}
