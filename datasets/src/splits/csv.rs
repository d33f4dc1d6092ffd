//! A set's classes, splits and groups from one table: a CSV file with the columns `path`, `class` and `split`, and perhaps `group`.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};

use super::{read_text, Entry, List, Lists};

/// The columns that a table must have, in any order.
const COLUMNS: [&str; 3] = ["path", "class", "split"];
/// The column that it may have: videos with the same value come from the same source.
const GROUP: &str = "group";

/// Reads the table. Each row puts a video into a split; a video may have one row for each of several splits. A row without a class
/// is a video without a label; one without a group says nothing of it. Classes are sorted by name, splits and their videos keep the rows' order.
pub(super) fn read(file: &Path) -> Result<Lists> {
    let text = read_text(file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let rows = records(&text).map_err(|(line, what)| anyhow::anyhow!("{}:{line}: {what}", file.display()))?;
    let Some((head, rows)) = rows.split_first() else {
        bail!("{}:1: is empty: its first line must be path,class,split", file.display());
    };
    let (columns, group) = columns(&head.fields).with_context(|| format!("{}:{}", file.display(), head.line))?;

    let mut classes: Vec<String> = Vec::new();
    let mut lines: Vec<(Entry, &str, &str)> = Vec::new();
    let mut seen: HashMap<(String, &str), usize> = HashMap::new();
    let mut labels: HashMap<String, (&str, usize)> = HashMap::new();
    let mut groups: HashMap<String, (&str, usize)> = HashMap::new();
    for row in rows {
        let at = || format!("{}:{}", file.display(), row.line);
        let fields = row.fields.len();
        ensure!(fields == head.fields.len(), "{}: {fields} fields, where the first line has {}", at(), head.fields.len());
        let [path, class, split] = columns.map(|column| row.fields[column].trim());
        let path = clean(path).with_context(at)?;
        ensure!(!split.is_empty(), "{}: {path} has no split: name one, such as train", at());
        if let Some(first) = seen.insert((path.clone(), split), row.line) {
            bail!("{}: {path} is in split {split} twice, first on line {first}", at());
        }
        let (label, first) = *labels.entry(path.clone()).or_insert((class, row.line));
        ensure!(label == class, "{}: {path} has class `{class}` here and `{label}` on line {first}", at());
        if let Some(group) = group.map(|column| row.fields[column].trim()).filter(|group| !group.is_empty()) {
            let (before, first) = *groups.entry(path.clone()).or_insert((group, row.line));
            ensure!(before == group, "{}: {path} has group `{group}` here and `{before}` on line {first}", at());
        }
        if !class.is_empty() {
            classes.push(class.to_owned());
        }
        lines.push((Entry { path, class: None, line: format!("{name}:{}", row.line) }, class, split));
    }
    ensure!(!lines.is_empty(), "{}:{}: names no video", file.display(), head.line);

    classes.sort();
    classes.dedup();
    let mut splits: Vec<List> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (mut entry, class, split) in lines {
        entry.class = classes.binary_search_by(|c| c.as_str().cmp(class)).ok().map(|c| c as u32);
        let place = *places.entry(split).or_insert(splits.len());
        if place == splits.len() {
            splits.push(List { name: split.to_owned(), entries: Vec::new() });
        }
        splits[place].entries.push(entry);
    }
    let groups = groups.into_iter().map(|(path, (group, _))| (path, group.to_owned())).collect();
    Ok(Lists { classes, splits, groups, only_listed: true })
}

/// Where each of [`COLUMNS`] stands, and [`GROUP`].
fn columns(head: &[String]) -> Result<([usize; 3], Option<usize>)> {
    let names: Vec<&str> = head.iter().map(|name| name.trim()).collect();
    let found = names.join(",");
    for name in &names {
        ensure!(
            COLUMNS.contains(name) || *name == GROUP,
            "unknown column `{name}`: the first line must be path,class,split (with commas, in any order), and may also have {GROUP}"
        );
    }
    let find = |column: &str| {
        let mut places = (0..names.len()).filter(|i| names[*i] == column);
        let place = places.next();
        ensure!(places.next().is_none(), "column `{column}` is there twice");
        Ok(place)
    };
    let need =
        |column: &str| find(column)?.with_context(|| format!("no column `{column}` in `{found}`: the first line must be path,class,split"));
    Ok(([need(COLUMNS[0])?, need(COLUMNS[1])?, need(COLUMNS[2])?], find(GROUP)?))
}

/// A path as the set names it: below the folder of videos, without `.` and empty parts.
fn clean(path: &str) -> Result<String> {
    ensure!(!path.is_empty(), "the path is empty");
    ensure!(!path.starts_with('/'), "{path} must lie below --videos: give it relative to that folder");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    ensure!(!parts.contains(&".."), "{path} must lie below --videos: it may not hold `..`");
    ensure!(!parts.is_empty(), "{path} names no file");
    Ok(parts.join("/"))
}

struct Record {
    /// That it begins on, from 1.
    line: usize,
    fields: Vec<String>,
}

/// The records of RFC 4180 text, blank lines left out. Stricter than most readers, which take a stray quote for text: here it
/// would join rows unseen. The error is a line and what is wrong there.
fn records(text: &str) -> Result<Vec<Record>, (usize, String)> {
    let mut records = Vec::new();
    let (mut line, mut rest) = (1, text);
    while !rest.is_empty() {
        let mut record = Record { line, fields: Vec::new() };
        loop {
            let (field, after) = field(rest, &mut line)?;
            record.fields.push(field);
            rest = after;
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix('\r').unwrap_or(rest);
        rest = rest.strip_prefix('\n').unwrap_or(rest);
        line += 1;
        if record.fields.iter().any(|field| !field.trim().is_empty()) {
            records.push(record);
        }
    }
    Ok(records)
}

/// One field, and what follows it: a comma, the end of a line, or nothing.
fn field<'a>(text: &'a str, line: &mut usize) -> Result<(String, &'a str), (usize, String)> {
    let plain = |rest: &'a str| {
        let end = rest.find([',', '\n']).unwrap_or(rest.len());
        // The \r of a line's end is not the field's.
        let end = if rest[..end].ends_with('\r') && !rest[end..].starts_with(',') { end - 1 } else { end };
        (&rest[..end], &rest[end..])
    };
    let Some(mut rest) = text.strip_prefix('"') else {
        let (field, after) = plain(text);
        return match field.contains('"') {
            true => Err((*line, format!("a quote inside the field {field}: put the whole field in quotes and double those inside"))),
            false => Ok((field.to_owned(), after)),
        };
    };
    let first = *line;
    let mut field = String::new();
    loop {
        let Some(end) = rest.find('"') else {
            return Err((first, "a quoted field begins here and does not end".to_owned()));
        };
        *line += rest[..end].matches('\n').count();
        field += &rest[..end];
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => break,
        }
    }
    let (behind, after) = plain(rest);
    match behind.trim().is_empty() {
        true => Ok((field, after)),
        false => Err((*line, format!("`{behind}` follows a quoted field: expected a comma or the line's end"))),
    }
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
            ("path,label,split\n".into(), "set.csv:1: unknown column `label`: the first line must be path,class,split"),
            ("\npath;class;split\n".into(), "set.csv:2: unknown column `path;class;split`"),
            ("path,class\n".into(), "set.csv:1: no column `split` in `path,class`"),
            ("path,class,split,path\n".into(), "set.csv:1: column `path` is there twice"),
            ("a.avi,Punch,train\n".into(), "set.csv:1: unknown column `a.avi`"),
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
