//! libtorch's exceptions reach Rust as panics of tch: they are caught here and told as errors.

use anyhow::{anyhow, Result};
use dv_graph::sample::loader::panic_text;

thread_local! {
    /// Panics that the executor catches and tells as an error of a node.
    static CAUGHT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Keeps the panic hook silent about panics that the executor catches.
pub fn quiet_caught_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !CAUGHT.get() {
            hook(info);
        }
    }));
}

/// libtorch's message without its C++ frames.
fn torch_text(text: &str) -> String {
    let text = text.split("\nException raised from").next().unwrap_or(text);
    let text = text.rsplit_once("Torch(\"").map_or(text, |(_, t)| t);
    format!("libtorch: {}", text.trim_end_matches("\")").trim())
}

/// Runs what may panic inside of tch.
pub fn caught(work: impl FnOnce() -> Result<()>) -> Result<()> {
    CAUGHT.set(true);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    CAUGHT.set(false);
    outcome.unwrap_or_else(|p| Err(anyhow!("{}", torch_text(&panic_text(&p)))))
}
