//! libtorch's exceptions reach Rust as panics of tch: they are caught here and told as errors.

use anyhow::{anyhow, Result};
use dv_graph::defect;
use dv_graph::sample::loader::panic_text;

thread_local! {
    /// Panics that the executor catches and tells as an error of a node.
    static CAUGHT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Keeps the panic hook silent about panics that the executor catches.
pub fn quiet_caught_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
        // of a kind's own code the place is worth printing, where someone asks for it
        let of_kind = defect::is_asking() && std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value == "0");
        if !CAUGHT.get() && !of_kind && text.and_then(memory).is_none() {
            hook(info);
        }
    }));
}

/// What to do where a message says that memory ran out.
fn memory(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if !(lower.contains("can't allocate memory") || lower.contains("not enough memory") || lower.contains("out of memory")) {
        return None;
    }
    // "you tried to allocate 123 bytes"
    let asked = text.split("tried to allocate ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    let asked = asked.map_or(String::new(), |bytes| format!(" ({:.1} GB were asked for at once)", bytes / 1e9));
    Some(format!("out of memory{asked}: reduce the stage's `batch`, its clips or its models, or use a machine with more memory"))
}

/// Runs all of a program's work: memory that runs out anywhere in libtorch is an error like another, and what libtorch says is one line.
pub fn memory_told<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    let outcome = outcome.unwrap_or_else(|p| match memory(&panic_text(&p)) {
        Some(text) => Err(anyhow!(text)),
        None => std::panic::resume_unwind(p),
    });
    outcome.map_err(plain)
}

/// An error in whose chain libtorch speaks, on one line.
fn plain(error: anyhow::Error) -> anyhow::Error {
    if !error.chain().any(|cause| cause.is::<tch::TchError>()) {
        return error;
    }
    let text = |cause: &(dyn std::error::Error + 'static)| match cause.is::<tch::TchError>() {
        true => torch_text(&cause.to_string()),
        false => cause.to_string(),
    };
    anyhow!(error.chain().map(text).collect::<Vec<_>>().join(": "))
}

/// libtorch's message on one line, without its C++ frames.
pub fn torch_text(text: &str) -> String {
    if let Some(text) = memory(text) {
        return text;
    }
    // a panic of tch holds the message as Rust's debug format has it
    let text = match text.rsplit_once("Torch(\"") {
        Some((_, rest)) => rest.trim_end().trim_end_matches("\")").replace("\\n", "\n").replace("\\\"", "\"").replace("\\'", "'"),
        None => text.to_string(),
    };
    let text = text.split("Exception raised from").next().unwrap_or_default();
    let text = text.split("\nframe #").next().unwrap_or_default();
    // how tch introduces it
    let text = text.trim().trim_start_matches("Internal torch error: ");
    let words: Vec<&str> = text.split_whitespace().collect();
    format!("libtorch: {}", words.join(" "))
}

/// Runs what may panic inside of tch.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    CAUGHT.set(true);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    CAUGHT.set(false);
    outcome.unwrap_or_else(|p| Err(anyhow!("{}", torch_text(&panic_text(&p)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_libtorch_is_one_line_without_frames() {
        let (a, b) = (tch::Tensor::zeros([2, 3], tch::kind::FLOAT_CPU), tch::Tensor::zeros([4, 5], tch::kind::FLOAT_CPU));
        let text = caught(|| {
            let _ = a.matmul(&b);
            Ok(())
        });
        let text = text.unwrap_err().to_string();
        assert_eq!(text, "libtorch: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)");
        let error = a.f_matmul(&b).unwrap_err().to_string();
        assert_eq!(torch_text(&error), text);
    }

    #[test]
    fn memory_that_runs_out_is_told_with_what_to_do() {
        let text = "called `Result::unwrap()` on an `Err` value: Torch(\"[enforce fail at alloc_cpu.cpp:118] err == 0. \
                    DefaultCPUAllocator: can't allocate memory: you tried to allocate 64000000000 bytes. Error code 12\")";
        let told = memory_told(|| -> Result<()> { std::panic::panic_any(text.to_string()) }).unwrap_err().to_string();
        assert!(told.contains("64.0 GB") && told.contains("`batch`"), "{told}");
        assert!(torch_text(text).contains("`batch`") && memory("The size of tensor a must match").is_none());
    }
}
