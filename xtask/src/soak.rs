//! `soak`: builds dv, and tries it on random input for as long as one likes.

use crate::{quickstart, setup, sh, Result};

/// `args` are a subject and its options, as the program `dv-soak` of the tests reads them.
pub fn run(args: &[String]) -> Result<()> {
    setup::run(None)?;
    quickstart::build()?;
    let mut command = sh::cargo(&["run", "--release", "--quiet", "--package", "dv-tests", "--bin", "dv-soak", "--"]);
    sh::run("soak", command.args(args))
}
