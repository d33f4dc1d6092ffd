//! The classes of tables, whose rows name them.

use std::collections::HashMap;

use anyhow::{bail, ensure, Result};

/// The distinct classes of rows, each with the first place that names it, in the order of their labels: integers by number, names
/// alphabetically. Errors: a number below zero, one that is no integer, and two spellings of one number.
pub(super) fn ordered<'a>(rows: impl IntoIterator<Item = (&'a str, usize)>, at: &dyn Fn(usize) -> String) -> Result<Vec<String>> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    let mut classes: Vec<&str> = Vec::new();
    for (class, line) in rows {
        if !first.contains_key(class) {
            check(class).map_err(|what| anyhow::anyhow!("{}: {what}", at(line)))?;
            first.insert(class, line);
            classes.push(class);
        }
    }
    let number = |class: &str| class.bytes().all(|b| b.is_ascii_digit()).then(|| class.parse::<u64>().ok()).flatten();
    let numbers: Option<Vec<u64>> = classes.iter().map(|class| number(class)).collect();
    let Some(numbers) = numbers else {
        classes.sort();
        return Ok(classes.into_iter().map(str::to_owned).collect());
    };
    let mut classes: Vec<(u64, &str)> = numbers.into_iter().zip(classes).collect();
    classes.sort();
    if let Some([(_, a), (_, b)]) = classes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let (line, other) = (first[a].max(first[b]), first[a].min(first[b]));
        bail!("{}: classes `{a}` and `{b}` are one number, written in two ways (also on line {other})", at(line));
    }
    Ok(classes.into_iter().map(|(_, class)| class.to_owned()).collect())
}

/// What no class can be: it was a number once.
fn check(class: &str) -> Result<()> {
    ensure!(!is_nan(class), "class `{class}` is no class: leave the field empty where a video has no label");
    let number = class.parse::<f64>().is_ok() && class.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if number && class.starts_with('-') {
        bail!("class `{class}` is below zero: leave the field empty where a video has no label");
    }
    ensure!(
        !number || class.bytes().all(|b| b.is_ascii_digit()),
        "class `{class}` is a number but no integer: write it as `2`, or as a name"
    );
    Ok(())
}

/// Whether a field says that there was no value, as pandas writes it.
pub(super) fn is_nan(field: &str) -> bool {
    field.trim_start_matches(['+', '-']).eq_ignore_ascii_case("nan")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(classes: &[&str]) -> Result<Vec<String>, String> {
        let rows = classes.iter().zip(2..).map(|(class, line)| (*class, line));
        ordered(rows, &|line| format!("set.csv:{line}")).map_err(|e| e.to_string())
    }

    #[test]
    fn integers_keep_their_order() {
        assert_eq!(of(&["11", "2", "0", "10", "1", "2"]).unwrap(), ["0", "1", "2", "10", "11"]);
        assert_eq!(of(&["007", "12", "3"]).unwrap(), ["3", "007", "12"]);
        assert_eq!(of(&["b", "10", "9", "a"]).unwrap(), ["10", "9", "a", "b"]);
        assert_eq!(of(&["-x", "e", "infinity", "1st", "nano"]).unwrap(), ["-x", "1st", "e", "infinity", "nano"]);
    }

    #[test]
    fn what_is_no_class() {
        for (classes, want) in [
            (&["0", "-1"][..], "set.csv:3: class `-1` is below zero"),
            (&["NaN"], "set.csv:2: class `NaN` is no class"),
            (&["a", "a", "nan"], "set.csv:4: class `nan` is no class"),
            (&["1", "2.0"], "set.csv:3: class `2.0` is a number but no integer"),
            (&["1", "2", "01"], "set.csv:4: classes `01` and `1` are one number, written in two ways (also on line 2)"),
        ] {
            let error = of(classes).unwrap_err();
            assert!(error.starts_with(want), "{error}");
        }
    }
}
