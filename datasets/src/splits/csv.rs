//! CSV files: the records of RFC 4180, and their columns by name.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure, Result};

use super::read_text;

/// A CSV file in memory.
pub(super) struct Table {
    pub file: PathBuf,
    /// Rows that hold something; the first may be a head of names.
    pub rows: Vec<Record>,
}

impl Table {
    /// Errors name the line.
    pub fn read(file: &Path) -> Result<Table> {
        let rows = records(&read_text(file)?).map_err(|(line, what)| anyhow!("{}:{line}: {what}", file.display()))?;
        Ok(Table { file: file.to_owned(), rows })
    }

    /// `FILE:LINE`.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.file.display())
    }

    /// The names of the first row; nothing where the file is empty.
    pub fn head(&self) -> Vec<&str> {
        self.rows.first().map_or(Vec::new(), |row| row.fields.iter().map(|name| name.trim()).collect())
    }

    /// The place of a column. An error where two have its name.
    pub fn column(&self, name: &str) -> Result<Option<usize>> {
        let head = self.head();
        let mut places = (0..head.len()).filter(|i| head[*i] == name);
        let place = places.next();
        ensure!(places.next().is_none(), "{}: column `{name}` is there twice", self.at(self.rows[0].line));
        Ok(place)
    }

    /// The rows below the head. An error where one has more or fewer fields.
    pub fn body(&self) -> Result<&[Record]> {
        let Some((head, rows)) = self.rows.split_first() else { return Ok(&[]) };
        for row in rows {
            let fields = row.fields.len();
            ensure!(fields == head.fields.len(), "{}: {fields} fields, where the first line has {}", self.at(row.line), head.fields.len());
        }
        Ok(rows)
    }
}

/// A row.
pub(super) struct Record {
    /// That it begins on, from 1.
    pub line: usize,
    pub fields: Vec<String>,
}

impl Record {
    /// A field without the spaces around it.
    pub fn get(&self, column: usize) -> &str {
        self.fields[column].trim()
    }
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

    #[test]
    fn quotes_and_line_ends() {
        let text = "a,\"b, \"\"c\"\"\"\r\n\r\n,,\n\"d\" ,\"e\nf\"\ng,h";
        let rows: Vec<_> = records(text).unwrap().into_iter().map(|r| (r.line, r.fields.join("|"))).collect();
        let want = [(1, "a|b, \"c\""), (4, "d|e\nf"), (6, "g|h")];
        assert_eq!(rows, want.map(|(line, fields)| (line, fields.to_owned())));
    }

    #[test]
    fn faults_say_where() {
        for (text, line, want) in [
            ("x\na,\"b\nc\nd,e,f", 2, "a quoted field begins here and does not end"),
            ("\"a\nb\",c\na\"b,c", 3, "a quote inside the field a\"b"),
            ("\"a\"b,c", 1, "`b` follows a quoted field"),
        ] {
            let Err((at, what)) = records(text) else { panic!("{text}") };
            assert!(at == line && what.starts_with(want), "{at}: {what}");
        }
    }
}
