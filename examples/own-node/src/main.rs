//! The engine with a kind of our own.

mod solarize;

static NODES: &[dv_train::exec::batch::NodeEntry] = &[dv_train::exec::batch::NodeEntry::batch::<solarize::Solarize>()];

fn main() -> std::process::ExitCode {
    dv_engine::main(NODES)
}
