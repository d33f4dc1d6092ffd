//! `test`: all that must hold before a change goes in, each part with its time.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::{fmt, python, quickstart, setup, sh, Result};

struct Report {
    rows: Vec<(&'static str, String)>,
    start: Instant,
}

impl Report {
    fn part(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        eprintln!("== {name}");
        let start = Instant::now();
        let done = work();
        let took = sh::time(start.elapsed().as_secs_f64());
        self.rows.push((
            name,
            match &done {
                Ok(()) => took,
                Err(_) => format!("{took}  FAILED"),
            },
        ));
        done.map_err(|fault| format!("part `{name}`: {fault}"))
    }

    /// A part that needs a component of the toolchain: without it a loud skip, on CI a fault.
    fn component(&mut self, name: &'static str, component: &str, commands: &mut [Command]) -> Result<()> {
        if sh::capture("cargo", &[component, "--version"]).is_some() {
            return self.part(name, || commands.iter_mut().try_for_each(|command| sh::run(name, command)));
        }
        let advice = format!("`cargo {component}` is not installed (`rustup component add {component}`)");
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            return Err(format!("part `{name}`: {advice}, and CI is true"));
        }
        eprintln!("== {name}: SKIPPED: {advice}");
        self.rows.push((name, format!("SKIPPED: {advice}")));
        Ok(())
    }

    fn print(&self) {
        eprintln!();
        for (name, text) in &self.rows {
            eprintln!("{name:14} {text}");
        }
        eprintln!("{:14} {}", "total", sh::time(self.start.elapsed().as_secs_f64()));
    }
}

/// Runs every part in turn and stops at the first that fails.
pub fn run(offline: Option<&Path>) -> Result<()> {
    let mut report = Report { rows: Vec::new(), start: Instant::now() };
    let done = parts(&mut report, offline);
    report.print();
    done
}

fn parts(report: &mut Report, offline: Option<&Path>) -> Result<()> {
    const OWN: [&str; 2] = ["--manifest-path", "xtask/Cargo.toml"];
    report.part("set-up", || setup::run(offline))?;
    let packages = python::run(offline)?;
    eprintln!("== python: {packages}");
    report.rows.push(("python", packages));
    report.component("format", "fmt", &mut fmt::commands(true))?;
    report.component(
        "lints",
        "clippy",
        &mut [
            sh::cargo(&[&["clippy", "--release"], &OWN[..], &["--", "-D", "warnings"]].concat()),
            sh::cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        ],
    )?;
    report.part("build", quickstart::build)?;
    // All of them, also where one fails: one run tells all that is wrong.
    report.part("tests", || sh::run("cargo test", &mut sh::cargo(&["test", "--release", "--workspace", "--no-fail-fast"])))?;
    report.part("documentation", || {
        let mut doc = sh::cargo(&["doc", "--release", "--workspace", "--no-deps"]);
        sh::run("cargo doc", doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    // Sanitizers need a nightly compiler, which the rest does without.
    if sh::capture("cargo", &["+nightly", "fuzz", "--version"]).is_none() {
        report.rows.push(("fuzz targets", "not built: cargo-fuzz and a nightly toolchain are not installed".to_owned()));
        return Ok(());
    }
    report.part("fuzz targets", || {
        let mut build = sh::tool("cargo");
        build.args(["+nightly", "fuzz", "build"]).current_dir(sh::root().join("fuzz"));
        build.env("LIBTORCH", sh::root().join(".deps/libtorch")).env("LIBTORCH_CXX11_ABI", "1");
        sh::run("cargo fuzz", &mut build)
    })
}
