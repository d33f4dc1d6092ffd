//! `tests/parity/run FILE.json...`: one line a case; exit 0 when all pass, 1 when one does not, 2 for a wrong call.

use anyhow::Result;
use dv_parity::case::Case;
use dv_parity::map::Map;
use dv_parity::probe::{program, NotYet};
use dv_parity::run::{Compared, Runner};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
tests/parity/run [--verbose] FILE.json...

Runs cases of the parity kit, each with its .safetensors beside it; prints each with its worst ratio of error to tolerance.
Exit status: 0 every value is there and within its tolerance; 1 one is not, or a piece is not built yet; 2 usage.";

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.len();
    args.retain(|a| a != "--verbose");
    let verbose = args.len() < count;
    if args.iter().any(|a| a == "--help" || a == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if args.is_empty() || args.iter().any(|a| a.starts_with("--")) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    // the script that starts this lies beside the map
    let home = std::env::var_os("DV_PARITY").map_or_else(|| PathBuf::from("tests/parity"), PathBuf::from);
    match run(&home, &args, verbose) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("error: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(home: &Path, files: &[String], verbose: bool) -> Result<bool> {
    let map = Map::read(&home.join("map.toml"))?;
    let (dv, graphs) = (program()?, home.join("graphs"));
    let runner = Runner { map: &map, graphs: &graphs, dv: &dv };
    let mut all = true;
    for file in files {
        let path = Path::new(file);
        let name = path.file_stem().map_or(file.clone(), |s| s.to_string_lossy().into_owned());
        let outcome = Case::open(path).and_then(|case| runner.case(&case));
        let (good, line) = match outcome {
            Ok(compared) => {
                if verbose {
                    compared.iter().for_each(|c| match &c.ratio {
                        Ok(ratio) => println!("  {:10.4}  {}", ratio, c.name),
                        Err(fault) => println!("  {:>10}  {}: {fault:#}", "-", c.name),
                    });
                }
                told(&compared)
            }
            Err(fault) => match fault.downcast_ref::<NotYet>() {
                Some(missing) => (false, format!("not yet: {missing}")),
                None => (false, format!("FAILED {fault:#}")),
            },
        };
        all &= good;
        println!("{name}  {}", line.replace('\n', "; "));
    }
    Ok(all)
}

/// Whether all values passed, and the worst of them.
fn told(compared: &[Compared]) -> (bool, String) {
    let worst = compared.iter().filter_map(|c| Some((*c.ratio.as_ref().ok()?, c))).max_by(|a, b| a.0.total_cmp(&b.0));
    let text = worst.map_or(String::from("nothing compared"), |(ratio, c)| format!("worst {ratio:.3} ({})", c.name));
    let beyond = compared.iter().filter(|c| c.ratio.as_ref().is_ok_and(|r| *r > 1.0)).count();
    let missing: Vec<String> =
        compared.iter().filter_map(|c| c.ratio.as_ref().err().map(|fault| format!("{}: {fault:#}", c.name))).take(5).collect();
    if beyond == 0 && missing.is_empty() {
        return (true, format!("ok  {text}"));
    }
    let missing = if missing.is_empty() { String::new() } else { format!("; {}", missing.join("; ")) };
    (false, format!("FAILED {text}, {beyond} of {} beyond their tolerance{missing}", compared.len()))
}
