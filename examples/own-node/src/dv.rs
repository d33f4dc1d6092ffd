//! `own-dv`: the small program, which needs no libtorch.

fn main() -> std::process::ExitCode {
    dv_cli::main()
}
