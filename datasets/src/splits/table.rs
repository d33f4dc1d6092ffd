//! dv's own table of splits: a CSV file with the columns `path`, `class` and `split`, and perhaps `group`.

use std::collections::HashMap;

use anyhow::{anyhow, bail, ensure, Context, Result};

use super::csv::Table;
use super::{classes, name_of, paths, Entry, List, Lists};

/// The columns that a table must have, in any order.
const COLUMNS: [&str; 3] = ["path", "class", "split"];
/// The column that it may have: videos with the same value come from the same source.
const GROUP: &str = "group";

/// Whether a CSV file has the columns.
pub(super) fn is(table: &Table) -> bool {
    COLUMNS.iter().all(|column| table.head().contains(column))
}

/// Reads the table. Each row puts a video into a split; a video may have one row for each of several splits. A row without a class
/// is a video without a label; one without a group says nothing of it. Splits and their videos keep the rows' order.
pub(super) fn read(table: &Table) -> Result<Lists> {
    let file = table.file.display();
    let Some(head) = table.rows.first() else {
        bail!("{file}:1: is empty: its first line must be path,class,split");
    };
    let (columns, group, notes) = columns(table).with_context(|| table.at(head.line))?;
    let name = name_of(&table.file);
    let mut lines: Vec<(Entry, &str, &str)> = Vec::new();
    let mut seen: HashMap<(String, &str), usize> = HashMap::new();
    let mut labels: HashMap<String, (&str, usize)> = HashMap::new();
    let mut groups: HashMap<String, (&str, usize)> = HashMap::new();
    for row in table.body()? {
        let at = || table.at(row.line);
        let [path, class, split] = columns.map(|column| row.get(column));
        let path = paths::clean(path).with_context(at)?;
        ensure!(!split.is_empty() && !classes::is_nan(split), "{}: {path} has no split: name one, such as train", at());
        if let Some(first) = seen.insert((path.clone(), split), row.line) {
            bail!("{}: {path} is in split {split} twice, first on line {first}", at());
        }
        let (label, first) = *labels.entry(path.clone()).or_insert((class, row.line));
        ensure!(label == class, "{}: {path} has class `{class}` here and `{label}` on line {first}", at());
        if let Some(group) = group.map(|column| row.get(column)).filter(|group| !group.is_empty()) {
            ensure!(!classes::is_nan(group), "{}: group `{group}` is no group: leave the field empty where there is none", at());
            let (before, first) = *groups.entry(path.clone()).or_insert((group, row.line));
            ensure!(before == group, "{}: {path} has group `{group}` here and `{before}` on line {first}", at());
        }
        lines.push((Entry { path, class: None, line: format!("{name}:{}", row.line) }, class, split));
    }
    ensure!(!lines.is_empty(), "{}: names no video", table.at(head.line));

    let named = table.body()?.iter().map(|row| (row.get(columns[1]), row.line)).filter(|(class, _)| !class.is_empty());
    let classes = classes::ordered(named, &|line| table.at(line))?;
    let labels: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let mut splits: Vec<List> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (mut entry, class, split) in lines {
        entry.class = labels.get(class).copied();
        let place = *places.entry(split).or_insert(splits.len());
        if place == splits.len() {
            splits.push(List { name: split.to_owned(), entries: Vec::new() });
        }
        splits[place].entries.push(entry);
    }
    let groups = groups.into_iter().map(|(path, (group, _))| (path, group.to_owned())).collect();
    Ok(Lists { classes, splits, groups, notes, ..Lists::default() })
}

/// Where each of [`COLUMNS`] stands, and [`GROUP`]; and a note of those that are not read. They may stay, since tables have columns for
/// other programs, and pandas writes its index as a first one without a name; but one whose name is nearly [`GROUP`] is a mistake
/// that would make clips of one source independent.
fn columns(table: &Table) -> Result<([usize; 3], Option<usize>, Vec<String>)> {
    let head = table.head();
    let need = |column: &str| {
        let what = || {
            anyhow!("no column `{column}` in `{}`: the first line must be path,class,split (with commas, in any order), and may also have {GROUP}", head.join(","))
        };
        table.column(column)?.with_context(what)
    };
    let columns = [need(COLUMNS[0])?, need(COLUMNS[1])?, need(COLUMNS[2])?];
    let group = table.column(GROUP)?;
    let further: Vec<&str> = head.iter().copied().filter(|name| !COLUMNS.contains(name) && *name != GROUP).collect();
    let near = |name: &&&str| !name.is_empty() && strsim::levenshtein(&name.to_lowercase(), GROUP) <= 2;
    if let Some(name) = further.iter().find(near).filter(|_| group.is_none()) {
        bail!("unknown column `{name}`: is it meant to be `{GROUP}`? (columns are path, class, split and {GROUP})");
    }
    let names: Vec<String> = further.iter().filter(|name| !name.is_empty()).map(|name| format!("`{name}`")).collect();
    let mut notes = Vec::new();
    if !names.is_empty() {
        let columns = if names.len() == 1 { "is the column" } else { "are the columns" };
        notes.push(format!("{}: not read {columns} {}: dv reads path, class, split and {GROUP}", name_of(&table.file), names.join(", ")));
    }
    Ok((columns, group, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(bytes: impl AsRef<[u8]>) -> Result<Lists> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("set.csv");
        std::fs::write(&file, bytes).unwrap();
        Lists::read(&file)
    }

    #[test]
    fn rows_quotes_and_line_ends() {
        let text = "\u{feff}split,path,class\r\ntrain,\"a, b/\"\"x\"\".avi\",Übung\r\n\r\ntest,./c//d e.avi,Punch\r\n\
            train,c/d e.avi,Punch\r\n,,\r\n\"train\" , none.avi ,\r\n\"test\",\"new\nline.avi\",Punch\r\nval,last.avi,Punch";
        let lists = lists(text).unwrap();
        assert_eq!(lists.classes, ["Punch", "Übung"]);
        let splits: Vec<_> = lists.splits.iter().map(|s| (s.name.as_str(), s.entries.len())).collect();
        assert_eq!(splits, [("train", 3), ("test", 2), ("val", 1)]);
        let entry = |path: &str, class, line: &str| Entry { path: path.into(), class, line: format!("set.csv:{line}") };
        let train = &lists.splits[0].entries;
        assert_eq!(train[..2], [entry("a, b/\"x\".avi", Some(1), "2"), entry("c/d e.avi", Some(0), "5")]);
        assert_eq!(train[2], entry("none.avi", None, "7"));
        assert_eq!(lists.splits[1].entries, [entry("c/d e.avi", Some(0), "4"), entry("new\nline.avi", Some(0), "8")]);
        assert_eq!(lists.splits[2].entries, [entry("last.avi", Some(0), "10")]);
    }

    #[test]
    fn integer_classes_keep_their_order() {
        let rows: String = [11, 2, 0, 10, 1].iter().map(|class| format!("{class}.avi,{class},train\n")).collect();
        let lists = lists(format!("path,class,split\n{rows}")).unwrap();
        assert_eq!(lists.classes, ["0", "1", "2", "10", "11"]);
        let labels: Vec<_> = lists.splits[0].entries.iter().map(|e| e.class.unwrap()).collect();
        assert_eq!(labels, [4, 2, 0, 3, 1]);
    }

    #[test]
    fn further_columns_are_not_read() {
        let of = |head: &str| lists(format!("{head}\n0,a.avi,b,train,7\n")).unwrap();
        let pandas = of(",path,class,split,");
        assert_eq!((pandas.splits[0].entries[0].path.as_str(), pandas.notes.len()), ("a.avi", 0));
        let further = of("Unnamed: 0,path,class,split,frames");
        assert_eq!(further.notes, ["set.csv: not read are the columns `Unnamed: 0`, `frames`: dv reads path, class, split and group"]);
    }

    #[test]
    fn groups_are_optional() {
        let lists =
            lists("group,path,class,split\n one two ,./a.avi,b,train\n,c.avi,b,train\n,a.avi,b,test\n\"x,y\",d.avi,,test\n").unwrap();
        let want = [("a.avi", "one two"), ("d.avi", "x,y")].map(|(path, group)| (path.to_owned(), group.to_owned()));
        assert_eq!(lists.groups, HashMap::from(want));
    }

    #[test]
    fn faults_say_where() {
        let row = |text: &str| format!("path,class,split\n{text}\n");
        for (text, want) in [
            (String::new(), "set.csv:1: is empty"),
            ("path,label,split\n".into(), "set.csv:1: no column `class` in `path,label,split`: the first line must be path,class,split"),
            ("\npath;class;split\n".into(), "set.csv:2: no column `path` in `path;class;split`"),
            ("path,class\n".into(), "set.csv:1: no column `split` in `path,class`"),
            ("path,class,split,Groups\n".into(), "set.csv:1: unknown column `Groups`: is it meant to be `group`?"),
            ("path,class,split,path\n".into(), "set.csv:1: column `path` is there twice"),
            ("a.avi,Punch,train\n".into(), "set.csv:1: no column `path` in `a.avi,Punch,train`"),
            (row(""), "set.csv:1: names no video"),
            (row("a,b,train\na.avi,b"), "set.csv:3: 2 fields, where the first line has 3"),
            (row("a,b,train\nx,b,train\n\na,b,train"), "set.csv:5: a is in split train twice, first on line 2"),
            (row("a,b,train\n./a,b,train"), "set.csv:3: a is in split train twice"),
            ("path,class,split,group,group\n".into(), "set.csv:1: column `group` is there twice"),
            (
                "path,group,class,split\na,one,b,train\nx,,b,train\n\na,two,b,test".into(),
                "set.csv:5: a has group `two` here and `one` on line 2",
            ),
            (row("a,b,train\na,c,test"), "set.csv:3: a has class `c` here and `b` on line 2"),
            (row(",b,train"), "set.csv:2: the path is empty"),
            (row("a,b,"), "set.csv:2: a has no split"),
            (row("a,b,train\nc,d,NaN"), "set.csv:3: c has no split"),
            (row("a,0,train\n\nc,-1,train"), "set.csv:4: class `-1` is below zero"),
            (row("a,nan,train"), "set.csv:2: class `nan` is no class"),
            (row("a,2.0,train"), "set.csv:2: class `2.0` is a number but no integer"),
            ("path,class,split,group\na,b,c,NaN\n".into(), "set.csv:2: group `NaN` is no group"),
            (row("/a,b,train"), "set.csv:2: /a must lie below --videos"),
            (row("x/../../a,b,train"), "may not hold `..`"),
            (row("a,\"b\nc,train\nd,e,f"), "set.csv:2: a quoted field begins here and does not end"),
            (row("\"a\nb\",c,train\na\"b,c,train"), "set.csv:4: a quote inside the field a\"b"),
            (row("\"a\"b,c,train"), "set.csv:2: `b` follows a quoted field"),
        ] {
            let error = format!("{:#}", lists(&text).unwrap_err());
            assert!(error.contains(want), "{text:?}: {error}");
        }
        let error = format!("{:#}", lists(b"path,class,split\na,b,c\nd\xff,e,f\n").unwrap_err());
        assert!(error.contains("set.csv:3: is not UTF-8 text"), "{error}");
    }
}
