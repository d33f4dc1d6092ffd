//! Asking kinds. A kind may be anybody's: where its code panics, the graph's check reports the kind and goes on.

use crate::fault::{Fault, Faults};
use crate::sample::loader::panic_text;
use crate::source::At;
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};

thread_local! {
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is caught here and reported as a fault: a panic hook need not print it.
pub fn is_asking() -> bool {
    ASKING.get()
}

/// What a kind answers; nothing where it panics, which is reported at `at` as the kind's fault. `what` says what was asked for.
pub(crate) fn ask<T>(kind: &str, what: &str, at: At, faults: &mut Faults, question: impl FnOnce() -> T) -> Option<T> {
    let before = ASKING.replace(true);
    let answer = catch_unwind(AssertUnwindSafe(question));
    ASKING.set(before);
    match answer {
        Ok(answer) => Some(answer),
        Err(panic) => {
            let fault = report(kind, &format!("{what} failed: {}", panic_text(&panic)), at, faults);
            fault.help("report it to the author of the kind; RUST_BACKTRACE=1 prints where it happened");
            None
        }
    }
}

/// Reports that a kind does not do what it declares.
pub(crate) fn report<'f>(kind: &str, what: &str, at: At, faults: &'f mut Faults) -> &'f mut Fault {
    let fault = faults.add("kind-defect", at, format!("the kind `{kind}` has a defect: {what}"));
    fault.help("report it to the author of the kind");
    fault
}
