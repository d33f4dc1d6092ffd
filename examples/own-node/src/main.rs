//! The engine with a kind of our own.

mod solarize;

fn main() -> std::process::ExitCode {
    dv_engine::main(&[dv_train::batch::NodeEntry::batch::<solarize::Solarize>()])
}
