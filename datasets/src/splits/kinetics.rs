//! Kinetics' tables: CSV files with the columns `label`, `youtube_id`, `time_start` and `time_end`, in seconds, and mostly `split`. A row's
//! video is the file `ID_000010_000020` with any ending, in any folder. The classes are the labels in alphabetical order.

use std::collections::HashMap;

use anyhow::{bail, ensure, Context, Result};

use super::csv::Table;
use super::{classes, name_of, stem, Entry, List, Lists, Named};

const ID: &str = "youtube_id";

/// Whether a CSV file is such a table.
pub(super) fn is(table: &Table) -> bool {
    table.head().contains(&ID)
}

/// Reads tables of one set. A table without the column `split` is the split of its file's name; one without labels (the test rows of some
/// releases) gives videos without a class.
pub(super) fn read(tables: Vec<Table>) -> Result<Lists> {
    let mut rows: Vec<(Entry, &str, String)> = Vec::new();
    for table in &tables {
        let need = |column: &str| {
            let what = || format!("{}: no column `{column}`, which Kinetics' tables have beside `{ID}`", table.at(table.rows[0].line));
            table.column(column)?.with_context(what)
        };
        let [id, start, end] = [need(ID)?, need("time_start")?, need("time_end")?];
        let (label, split) = (table.column("label")?, table.column("split")?);
        let file = name_of(&table.file);
        let before = rows.len();
        for row in table.body()? {
            let at = || table.at(row.line);
            let label = label.map_or("", |column| row.get(column));
            let [start, end] = [seconds(row.get(start)).with_context(at)?, seconds(row.get(end)).with_context(at)?];
            let id = row.get(id);
            let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            ensure!(plain, "{}: `{id}` is no {ID}", at());
            let name = format!("{id}_{start:06}_{end:06}");
            let path = if label.is_empty() { name } else { format!("{}/{name}", label.replace(['/', '\\'], "_")) };
            let split = split.map_or_else(|| stem(&file).to_owned(), |column| row.get(column).to_owned());
            ensure!(!split.is_empty(), "{}: {path} has no split", at());
            rows.push((Entry { path, class: None, line: format!("{file}:{}", row.line) }, label, split));
        }
        ensure!(rows.len() > before, "{}: names no video", table.file.display());
    }
    let at = |row: usize| rows[row].0.line.clone();
    let named = rows.iter().map(|(_, label, _)| *label).zip(0..).filter(|(label, _)| !label.is_empty());
    let classes = classes::ordered(named, &at)?;
    let places: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let mut splits: Vec<List> = Vec::new();
    let mut seen: HashMap<(String, String), String> = HashMap::new();
    for (mut entry, label, split) in rows {
        entry.class = places.get(label).copied();
        if let Some(first) = seen.insert((entry.path.clone(), split.clone()), entry.line.clone()) {
            bail!("{}: {} is in split {split} twice, first at {first}", entry.line, entry.path);
        }
        match splits.iter_mut().find(|list| list.name == split) {
            Some(list) => list.entries.push(entry),
            None => splits.push(List { name: split, entries: vec![entry] }),
        }
    }
    splits.sort_by_key(|list| list.name != "train");
    Ok(Lists { classes, splits, named: Named::Name, ..Lists::default() })
}

/// Whole seconds; `10.0` as pandas writes them too.
fn seconds(field: &str) -> Result<u32> {
    let whole = field.split_once('.').map_or(field, |(whole, rest)| if rest.bytes().all(|b| b == b'0') { whole } else { field });
    whole.parse().ok().with_context(|| format!("`{field}` is no time in whole seconds"))
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn tables_of_one_set() {
        let head = "label,youtube_id,time_start,time_end,split,is_cc\n";
        let dir = written(&[
            ("validate.csv", &format!("{head}zumba,-x_1,0,10,validate,0\n")),
            ("train.csv", &format!("{head}\"testifying, \"\"a\"\"\",---QUuC4vJs,84,94,train,0\nair drumming,0aB,110.0,120.0,train,1\n")),
            ("test.csv", "youtube_id,time_start,time_end\n--6bJUbfpnQ,17,27\n"),
            ("readme.csv", "a,b\n"),
        ]);
        let lists = Lists::read(dir.path()).unwrap();
        assert_eq!(lists.classes, ["air drumming", "testifying, \"a\"", "zumba"]);
        let rows: Vec<_> = lists
            .splits
            .iter()
            .map(|s| (s.name.as_str(), s.entries.iter().map(|e| (e.path.as_str(), e.class)).collect::<Vec<_>>()))
            .collect();
        let train = vec![("testifying, \"a\"/---QUuC4vJs_000084_000094", Some(1)), ("air drumming/0aB_000110_000120", Some(0))];
        let test = vec![("--6bJUbfpnQ_000017_000027", None)];
        assert_eq!(rows, [("train", train), ("test", test), ("validate", vec![("zumba/-x_1_000000_000010", Some(2))])]);
        let one = Lists::read(&dir.path().join("train.csv")).unwrap();
        assert_eq!((one.named, one.classes.len(), one.splits.len()), (Named::Name, 2, 1));
    }

    #[test]
    fn faults_say_where() {
        for (text, want) in [
            ("label,youtube_id,time_start\n", "t.csv:1: no column `time_end`"),
            ("label,youtube_id,time_start,time_end\n", "t.csv: names no video"),
            ("label,youtube_id,time_start,time_end\na,b,1,2\na,b,1,x\n", "t.csv:3: `x` is no time"),
            ("label,youtube_id,time_start,time_end\na,b,1.5,2\n", "t.csv:2: `1.5` is no time"),
            ("label,youtube_id,time_start,time_end\na,../b,1,2\n", "t.csv:2: `../b` is no youtube_id"),
            (
                "label,youtube_id,time_start,time_end\na,b,1,2\na,b,1,2\n",
                "t.csv:3: a/b_000001_000002 is in split t twice, first at t.csv:2",
            ),
            ("label,youtube_id,time_start,time_end\n-1,b,1,2\n", "t.csv:2: class `-1` is below zero"),
        ] {
            let dir = written(&[("t.csv", text)]);
            let error = format!("{:#}", Lists::read(&dir.path().join("t.csv")).unwrap_err());
            assert!(error.contains(want), "{error}");
        }
    }
}
