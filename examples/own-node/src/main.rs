//! The engine with a kind of our own.

mod solarize;

static NODES: &[dv_train::batch::NodeEntry] = &[dv_train::batch::NodeEntry::batch::<solarize::Solarize>()];

fn main() -> std::process::ExitCode {
    dv_engine::main(NODES)
}
