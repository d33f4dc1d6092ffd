//! From files to one tree: `extends` files left to right, then `--set`, then tables' `extends`, then values.

use crate::budget::{Meter, DEPTH, FILES, FILE_VALUES, GRAPH_FILE, REMOVALS, TEXT};
use crate::fault::{nearest, Faults};
pub use crate::setting::Setting;
use crate::setting::{key_path, Change, PATH};
use crate::show::thousands;
use crate::source::{At, Sources};
use crate::spelling;
use crate::tree::{self, Entry, Item, Table, Value};
use crate::values::substitute;
use crate::weights;
use dv_datasets::file::{self, Why};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The newest `schema` that this dv reads.
pub const SCHEMA: i64 = 1;

/// Reads a graph file with all that it extends, and applies settings and values. Faults are collected; what could be
/// read comes back.
pub fn load(path: &Path, settings: &[Setting], sources: &mut Sources, faults: &mut Faults) -> Table {
    let mut tree = Reader::default().read(path, sources, faults);
    for change in settings.iter().filter_map(|s| Change::of_setting(s, sources, faults)).collect::<Vec<_>>() {
        change.apply(&mut tree, faults);
    }
    resolve(&mut tree, sources, faults);
    tree
}

/// What comes after files and settings: tables' `extends`, then values, then the files that paths mean.
pub(crate) fn resolve(tree: &mut Table, sources: &Sources, faults: &mut Faults) {
    let mut meter = Meter::of_graph();
    if let Err(at) = meter.table(tree) {
        faults.stop("too-many", at, format!("the graph comes to {}", meter.words()));
    }
    extend_tables(tree, &mut meter, faults);
    if !faults.stopped() {
        substitute(tree, sources, faults);
        weights::anchor(tree, sources, faults);
    }
}

pub(crate) struct Reader {
    /// Files that wait for what they extend.
    open: Vec<PathBuf>,
    /// A file that several extend is read once, and so its faults are reported once. Here is what it hands down.
    read: HashMap<PathBuf, Rc<Table>>,
    /// What all files hold, counted as often as it is merged.
    meter: Meter,
    /// Whether an `extends` could not be read.
    pub(crate) unread: bool,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { open: Vec::new(), read: HashMap::new(), meter: Meter::new(FILE_VALUES, FILES * TEXT), unread: false }
    }
}

impl Reader {
    /// The graph itself, with what it extends.
    pub(crate) fn read(&mut self, path: &Path, sources: &mut Sources, faults: &mut Faults) -> Table {
        let this = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        self.file(path, this, None, sources, faults)
    }

    /// What a file hands down that another extends at `from`.
    fn upper(&mut self, path: &Path, from: At, sources: &mut Sources, faults: &mut Faults) -> Rc<Table> {
        let this = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if let Some(table) = self.read.get(&this) {
            return Rc::clone(table);
        }
        if self.open.contains(&this) {
            faults.add("extends-cycle", from, format!("{} extends itself", path.display()));
            return Rc::default();
        }
        if self.open.len() + self.read.len() >= FILES {
            faults.stop("too-many", from, format!("the graph reads more than {FILES} files"));
            return Rc::default();
        }
        let mut table = self.file(path, this.clone(), Some(from), sources, faults);
        for own_only in ["name", "about", "sweep", "published"] {
            table.take(own_only);
        }
        let table = Rc::new(table);
        self.read.insert(this, Rc::clone(&table));
        table
    }

    fn file(&mut self, path: &Path, this: PathBuf, from: Option<At>, sources: &mut Sources, faults: &mut Faults) -> Table {
        let text = match file::read_text(path, GRAPH_FILE) {
            Ok(text) => text,
            Err(e) => {
                let at = from.unwrap_or_else(|| At { file: sources.add(&path.display().to_string(), ""), ..At::default() });
                let fault = faults.add("no-file", at, format!("cannot read {}: {}", path.display(), unreadable(&e.why)));
                if fault.is_reported() {
                    beside(path, &e.why).into_iter().for_each(|near| fault.help(format!("did you mean `{near}`?")));
                }
                return Table::default();
            }
        };
        self.open.push(this);
        let mut own = tree::parse(&path.display().to_string(), &text, sources, faults);
        let mut counted = Meter::of_graph();
        if let Err(at) = counted.table(&own) {
            faults.stop("too-many", at, format!("the file holds {}", counted.words()));
            own = Table::default();
        }
        spelling::mend_top(&mut own, faults);
        schema(&own, faults);
        let mut base = Table::default();
        let extends = own.take("extends");
        self.unread |= extends.as_ref().is_some_and(|e| !is_texts(&e.item));
        let folder = path.parent().unwrap_or(Path::new(""));
        for upper in extends.iter().flat_map(|e| self.bases(&e.item, folder, sources, faults)).collect::<Vec<_>>() {
            merge(&mut base, Table::clone(&upper));
        }
        self.open.pop();
        if let Some(entry) = own.take("remove") {
            if extends.is_some() {
                remove(&mut base, &entry.item, faults);
            } else {
                faults.add("remove-without-extends", entry.key, "`remove` needs `extends` in the same table");
            }
        }
        merge(&mut base, own);
        base
    }

    /// The files that an `extends` names, from left to right, without what is not inherited.
    pub(crate) fn bases(&mut self, extends: &Item, folder: &Path, sources: &mut Sources, faults: &mut Faults) -> Vec<Rc<Table>> {
        let mut uppers = Vec::new();
        for (name, at) in texts(extends, "extends", faults) {
            let upper = self.upper(&folder.join(&name), at, sources, faults);
            if self.meter.table(&upper).is_err() {
                faults.stop("too-many", at, format!("the files that are extended come to {}", self.meter.words()));
            }
            if faults.stopped() {
                break;
            }
            uppers.push(upper);
        }
        uppers
    }
}

/// Why a graph cannot be read.
fn unreadable(why: &Why) -> String {
    match why {
        Why::Sort("a folder") => "it is a folder, and a graph is a .toml file".into(),
        Why::NotText { line } => format!("it is not UTF-8 text (line {line})"),
        other => other.to_string(),
    }
}

/// The graph beside one that is not there that may be meant.
fn beside(path: &Path, why: &Why) -> Option<String> {
    if !matches!(why, Why::Io(e) if e.kind() == std::io::ErrorKind::NotFound) {
        return None;
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MOST_BESIDE);
    let names: Vec<String> = names.filter_map(|f| f.file_name().into_string().ok()).filter(|n| n.ends_with(".toml")).collect();
    let wanted = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    nearest(wanted, &names.iter().map(String::as_str).collect::<Vec<_>>()).map(String::from)
}

/// In a folder of more files none is looked for that may be meant.
const MOST_BESIDE: usize = 1000;

fn schema(table: &Table, faults: &mut Faults) {
    match table.entry("schema").map(|e| &e.item) {
        Some(Item { value: Value::Integer(n), at }) if *n > SCHEMA => {
            faults
                .add("newer-schema", *at, format!("this graph has schema {n}; dv {} supports up to {SCHEMA}", env!("CARGO_PKG_VERSION")))
                .help(format!("use a dv newer than {}, or write the graph in schema {SCHEMA}", env!("CARGO_PKG_VERSION")));
        }
        Some(Item { value: Value::Integer(1..), .. }) | None => {}
        Some(item) => {
            faults.add("wrong-type", item.at, "`schema` takes an integer from 1");
        }
    }
}

fn is_texts(item: &Item) -> bool {
    match &item.value {
        Value::Array(a) => a.iter().all(|i| i.as_str().is_some()),
        _ => item.as_str().is_some(),
    }
}

/// A string or an array of strings.
fn texts(item: &Item, what: &str, faults: &mut Faults) -> Vec<(String, At)> {
    let all = match &item.value {
        Value::Array(a) => a.as_slice(),
        _ => std::slice::from_ref(item),
    };
    if !is_texts(item) {
        faults.add("wrong-type", item.at, format!("`{what}` takes a string or an array of strings, not {}", item.type_name()));
        return Vec::new();
    }
    all.iter().filter_map(|i| Some((i.as_str()?.to_string(), i.at))).collect()
}

/// Tables merge; scalars and arrays are replaced, and so is a table whose `kind` or `apply` changes, and an origin in
/// `weights` with another `stage` or `file`.
pub fn merge(base: &mut Table, over: Table) {
    merge_below(base, over, false);
}

/// `of_weights`: whether the table is a `weights`, whose entries may be origins as it may be one itself.
fn merge_below(base: &mut Table, over: Table, of_weights: bool) {
    for (key, entry) in over.0 {
        let is_weights = key == "weights";
        match (base.0.get_mut(&key), entry) {
            (
                Some(Entry { key: at, item: Item { value: Value::Table(old), at: old_at } }),
                Entry { key, item: Item { value: Value::Table(new), at: new_at } },
            ) => {
                if replaces(old, &new) || (is_weights || of_weights) && weights::replaces(old, &new) {
                    *old = new;
                } else {
                    merge_below(old, new, is_weights);
                }
                (*at, *old_at) = (key, new_at);
            }
            (Some(old), entry) => *old = entry,
            (None, entry) => {
                base.0.insert(key, entry);
            }
        }
    }
}

fn replaces(old: &Table, new: &Table) -> bool {
    ["kind", "apply"].iter().any(|key| match (old.get(key), new.get(key)) {
        (Some(a), Some(b)) => a.value != b.value,
        (None, Some(_)) => old.get("kind").is_some() || old.get("apply").is_some(),
        _ => false,
    })
}

pub(crate) fn remove(table: &mut Table, list: &Item, faults: &mut Faults) {
    let paths = texts(list, "remove", faults);
    if let Some((_, at)) = paths.get(REMOVALS) {
        return faults.stop("too-many", *at, format!("`remove` names more than {} paths", thousands(REMOVALS)));
    }
    for (path, at) in paths {
        let parts = match key_path(&path) {
            Some(parts) => parts,
            None => {
                faults.add("bad-path", at, format!("`{path}` is not a path")).help(PATH);
                continue;
            }
        };
        let mut place = Some(&mut *table);
        for part in &parts[..parts.len() - 1] {
            place = place.and_then(|t| match t.0.get_mut(part).map(|e| &mut e.item.value) {
                Some(Value::Table(t)) => Some(t),
                _ => None,
            });
        }
        let last = &parts[parts.len() - 1];
        if place.as_mut().and_then(|t| t.take(last)).is_none() {
            let names = place.iter().flat_map(|t| t.keys());
            faults.add("remove-missing", at, format!("nothing to remove at `{path}`")).nearest(last, names);
        }
    }
}

/// `extends = "sibling"` inside of tables. `meter` counts what they bring.
fn extend_tables(table: &mut Table, meter: &mut Meter, faults: &mut Faults) {
    let keys: Vec<String> = table.keys().map(String::from).collect();
    let mut done = BTreeSet::new();
    for key in keys {
        extend_one(table, &key, &mut Vec::new(), &mut done, meter, faults);
    }
    for entry in table.0.values_mut() {
        if let Value::Table(t) = &mut entry.item.value {
            if let Some(stray) = t.take("remove") {
                faults.add("remove-without-extends", stray.key, "`remove` needs `extends` in the same table");
            }
            extend_tables(t, meter, faults);
        }
    }
}

fn extend_one(table: &mut Table, key: &str, open: &mut Vec<String>, done: &mut BTreeSet<String>, meter: &mut Meter, faults: &mut Faults) {
    if faults.stopped() || !done.insert(key.to_string()) && !open.iter().any(|o| o == key) {
        return;
    }
    let Some(Entry { item: Item { value: Value::Table(own), .. }, .. }) = table.0.get_mut(key) else { return };
    let Some(extends) = own.take("extends") else { return };
    let mut own = std::mem::take(own);
    let removals = own.take("remove");
    open.push(key.to_string());
    let mut base = Table::default();
    for (name, at) in texts(&extends.item, "extends", faults) {
        if open.contains(&name) {
            faults.add("extends-cycle", at, format!("`{key}` extends itself through `{name}`"));
            continue;
        }
        if open.len() > DEPTH {
            faults.stop("too-many", at, format!("tables extend each other through more than {DEPTH} others"));
        }
        extend_one(table, &name, open, done, meter, faults);
        if faults.stopped() {
            break;
        }
        match table.get(&name).and_then(Item::as_table) {
            Some(t) if meter.table(t).is_err() => {
                faults.stop("too-many", at, format!("with `{name}` the graph comes to {}", meter.words()));
            }
            Some(t) => merge(&mut base, t.clone()),
            None => {
                faults
                    .add("extends-missing", at, format!("`{key}` extends `{name}`, and there is no table `{name}` next to it"))
                    .nearest(&name, table.keys().filter(|k| *k != key));
            }
        }
    }
    open.pop();
    if let Some(list) = removals {
        remove(&mut base, &list.item, faults);
    }
    merge(&mut base, own);
    if let Some(entry) = table.0.get_mut(key) {
        entry.item.value = Value::Table(base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }
    fn loaded(files: &[(&str, &str)], sets: &[&str]) -> (String, Vec<&'static str>) {
        let dir = folder(files);
        let (mut sources, mut faults) = Default::default();
        let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
        let tree = load(&dir.path().join(files[0].0), &sets, &mut sources, &mut faults);
        (tree.to_toml(), faults.iter().map(|f| f.code).collect())
    }

    #[test]
    fn files_merge_left_to_right_and_own_keys_win() {
        let (text, faults) = loaded(
            &[
                ("a.toml", "extends = ['b.toml', 'c.toml']\nremove = ['t.gone']\n[t]\nz = 3\n"),
                ("b.toml", "name = 'b'\nabout = 'x'\n[t]\nx = 1\ny = [1, 2]\ngone = 1\n[n]\nkind = 'k/one'\nold = 1\n"),
                ("c.toml", "[t]\ny = [3]\n[n]\nkind = 'k/two'\nnew = 2\n"),
            ],
            &[],
        );
        assert_eq!(faults, Vec::<&str>::new());
        let t: toml::Table = text.parse().unwrap();
        assert_eq!(t, "[t]\nx = 1\ny = [3]\nz = 3\n[n]\nkind = 'k/two'\nnew = 2".parse::<toml::Table>().unwrap());
    }

    #[test]
    fn an_origin_replaces_another() {
        let base = |weights: &str| format!("[stages.s]\nweights = {weights}\n");
        for (old, new, merged) in [
            ("{ '*' = { stage = 'a', epoch = 9 } }", "{ stage = 'a', epoch = 5 }", "{ stage = 'a', epoch = 5 }"),
            ("{ stage = 'a', epoch = 9 }", "{ file = 'f', names = 'n' }", ""),
            ("{ stage = 'a', epoch = 9 }", "{ stage = 'b' }", "{ stage = 'b' }"),
            ("{ stage = 'a', epoch = 9 }", "{ epoch = 5 }", "{ stage = 'a', epoch = 5 }"),
            ("{ stage = 'a', epoch = 9 }", "{ '*' = 'a' }", "{ '*' = 'a' }"),
            ("{ m = { file = 'f' }, '*' = 'a' }", "{ m = { stage = 'a' } }", "{ m = { stage = 'a' }, '*' = 'a' }"),
            ("{ clip = 1.0, order = 0.5 }", "{ clip = 0.5 }", "{ clip = 0.5, order = 0.5 }"),
        ] {
            let (text, faults) = loaded(&[("a.toml", &format!("extends = 'b.toml'\n{}", base(new))), ("b.toml", &base(old))], &[]);
            assert_eq!(faults, Vec::<&str>::new());
            let weights = text.parse::<toml::Table>().unwrap()["stages"]["s"]["weights"].clone();
            if merged.is_empty() {
                // a path becomes absolute
                assert!(weights.get("stage").is_none() && weights["file"].as_str().unwrap().ends_with("/f"), "{weights}");
            } else {
                assert_eq!(weights, base(merged).parse::<toml::Table>().unwrap()["stages"]["s"]["weights"]);
            }
        }
    }

    #[test]
    fn tables_extend_siblings_and_remove() {
        let (text, faults) =
            loaded(&[("a.toml", "[s.b]\nextends = 'a'\nremove = ['n.x']\nz = 1\n[s.a]\ny = 2\n[s.a.n]\nx = 1\nw = 1\n")], &[]);
        assert_eq!(faults, Vec::<&str>::new());
        let t: toml::Table = text.parse().unwrap();
        assert_eq!(t["s"]["b"], toml::Value::Table("y = 2\nz = 1\nn = { w = 1 }".parse().unwrap()));
    }

    #[test]
    fn values_keep_their_type_and_set_comes_before_them() {
        let (text, faults) = loaded(&[("a.toml", "[values]\nn = 16\n[t]\nx = '$n'\nd = '$$n'\n")], &["values.n=8", "t.s=word", "t.f=0.5"]);
        assert_eq!(faults, Vec::<&str>::new());
        let t: toml::Table = text.parse().unwrap();
        assert_eq!(t["t"], toml::Value::Table("x = 8\nd = '$n'\ns = 'word'\nf = 0.5".parse().unwrap()));
    }

    #[test]
    fn what_is_not_there_is_a_fault() {
        let cases: [(&[(&str, &str)], &[&str], &str); 8] = [
            (&[("a.toml", "extends = 'b.toml'\n")], &[], "no-file"),
            (&[("a.toml", "extends = 'a.toml'\n")], &[], "extends-cycle"),
            (&[("a.toml", "extends = 'b.toml'\nremove = ['t.y']\n"), ("b.toml", "[t]\nx = 1\n")], &[], "remove-missing"),
            (&[("a.toml", "remove = ['t.y']\n")], &[], "remove-without-extends"),
            (&[("a.toml", "[t.a]\nextends = 'c'\n[t.b]\nx=1\n")], &[], "extends-missing"),
            (&[("a.toml", "[t]\nx = '$n'\n")], &[], "unknown-value"),
            (&[("a.toml", "[t]\nx = 1\n")], &["tt.x=2"], "set-missing"),
            (&[("a.toml", "schema = 2\n")], &[], "newer-schema"),
        ];
        for (files, sets, code) in cases {
            assert_eq!(loaded(files, sets).1, vec![code], "{files:?}");
        }
    }

    #[test]
    fn several_syntax_faults_are_told_at_once() {
        let (_, faults) = loaded(&[("a.toml", "a = \nb = 1\nc = = 2\n")], &[]);
        assert!(faults.len() >= 2 && faults.iter().all(|c| *c == "syntax"), "{faults:?}");
    }
}
