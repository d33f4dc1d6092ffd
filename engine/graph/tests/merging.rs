//! The rules of merging, one test each: files, `--set`, tables' `extends`, values, and what is never merged.

use dv_graph::fault::Faults;
use dv_graph::merge::{load, Setting};
use dv_graph::source::Sources;
use toml::{Table, Value};

/// The resolved tree of the first file, and the faults as `line:column code`.
fn loaded(files: &[(&str, &str)], sets: &[&str]) -> (Table, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap_or_else(|| panic!("{s}"))).collect();
    let tree = load(&dir.path().join(files[0].0), &sets, &mut sources, &mut faults);
    let told = faults.iter().map(|f| {
        let (line, column) = sources.line_column(f.at);
        let name = sources.name(f.at).rsplit('/').next().unwrap_or_default();
        format!("{name}:{line}:{column} {}", f.code)
    });
    (tree.to_toml().parse().unwrap(), told.collect())
}

#[track_caller]
fn gives(files: &[(&str, &str)], sets: &[&str], wanted: &str) {
    let (tree, told) = loaded(files, sets);
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(tree, wanted.parse::<Table>().unwrap());
}

#[track_caller]
fn tells(files: &[(&str, &str)], sets: &[&str], wanted: &[&str]) {
    assert_eq!(loaded(files, sets).1, wanted);
}

#[test]
fn files_are_extended_from_left_to_right_and_own_keys_come_last() {
    let files = [
        ("a.toml", "extends = ['b.toml', 'c.toml']\nx = 'a'\n"),
        ("b.toml", "x = 'b'\ny = 'b'\nz = 'b'\n"),
        ("c.toml", "x = 'c'\ny = 'c'\n"),
    ];
    gives(&files, &[], "x = 'a'\ny = 'c'\nz = 'b'");
    gives(&[("a.toml", "extends = ['c.toml', 'b.toml']\n"), files[1], files[2]], &[], "x = 'b'\ny = 'b'\nz = 'b'");
    // paths start at the folder of the file that names them
    let deep = [("a.toml", "extends = 'd/b.toml'\n"), ("d/b.toml", "extends = '../c.toml'\ny = 2\n"), ("c.toml", "x = 1\n")];
    gives(&deep, &[], "x = 1\ny = 2");
}

#[test]
fn tables_merge_and_scalars_and_arrays_are_replaced() {
    let base = ("b.toml", "[t]\nlist = [1, 2, 3]\nnumber = 1\n[t.deep]\nkept = 1\ngone = 1\n");
    gives(
        &[("a.toml", "extends = 'b.toml'\n[t]\nlist = [4]\nnumber = 'two'\ndeep.gone = 2\n"), base],
        &[],
        "[t]\nlist = [4]\nnumber = 'two'\n[t.deep]\nkept = 1\ngone = 2",
    );
    // also of tables in arrays nothing is merged
    let tables = ("b.toml", "list = [{ x = 1, y = 1 }]\n");
    gives(&[("a.toml", "extends = 'b.toml'\nlist = [{ x = 2 }]\n"), tables], &[], "list = [{ x = 2 }]");
    // a table in the place of a scalar, and the other way round
    gives(
        &[("a.toml", "extends = 'b.toml'\n[t]\nnumber = { x = 1 }\ndeep = 3\nlist = 1\n"), base],
        &[],
        "[t]\nlist = 1\nnumber = { x = 1 }\ndeep = 3",
    );
}

#[test]
fn a_table_whose_kind_or_apply_changes_is_replaced() {
    let base = ("b.toml", "[n]\nkind = 'view/one'\nsize = 1\n[m]\napply = 'one'\nin = 'x.y'\n[k]\nsize = 1\n");
    let over = |text: &str| format!("extends = 'b.toml'\n{text}");
    gives(
        &[("a.toml", &over("[n]\nkind = 'view/two'\n")), base],
        &[],
        "n = { kind = 'view/two' }\nm = { apply = 'one', in = 'x.y' }\nk = { size = 1 }",
    );
    gives(
        &[("a.toml", &over("[n]\nkind = 'view/one'\nstep = 2\n")), base],
        &[],
        "n = { kind = 'view/one', size = 1, step = 2 }\nm = { apply = 'one', in = 'x.y' }\nk = { size = 1 }",
    );
    gives(
        &[("a.toml", &over("[m]\napply = 'two'\n[n]\napply = 'two'\n")), base],
        &[],
        "n = { apply = 'two' }\nm = { apply = 'two' }\nk = { size = 1 }",
    );
    // one that gets its kind only now keeps what it has
    gives(
        &[("a.toml", &over("[k]\nkind = 'view/one'\n")), base],
        &[],
        "n = { kind = 'view/one', size = 1 }\nm = { apply = 'one', in = 'x.y' }\nk = { kind = 'view/one', size = 1 }",
    );
    // by --set too
    gives(&[("a.toml", "[n]\nkind = 'view/one'\nsize = 1\n")], &["n.kind=view/two"], "n = { kind = 'view/two' }");
}

#[test]
fn remove_is_relative_to_its_table_and_acts_before_own_keys() {
    let base = ("b.toml", "[t]\nx = 1\ny = 1\n[t.deep]\nx = 1\nz = 1\n['odd.name']\nx = 1\n");
    let over = "extends = 'b.toml'\nremove = ['t.x', 't.deep', '\"odd.name\".x']\n[t.deep]\nown = 2\n['odd.name']\ny = 2\n";
    gives(&[("a.toml", over), base], &[], "[t]\ny = 1\n[t.deep]\nown = 2\n['odd.name']\ny = 2");
    // in a table, from that table
    let table = "[s.a]\nx = 1\n[s.a.deep]\nx = 1\ny = 1\n[s.b]\nextends = 'a'\nremove = ['x', 'deep.y']\n";
    gives(&[("a.toml", table)], &[], "[s.a]\nx = 1\ndeep = { x = 1, y = 1 }\n[s.b]\ndeep = { x = 1 }");
    // what a file removes its own users still have
    let two =
        [("a.toml", "extends = ['b.toml', 'c.toml']\n"), ("b.toml", "x = 1\n"), ("c.toml", "extends = 'b.toml'\nremove = ['x']\ny = 1\n")];
    gives(&two, &[], "x = 1\ny = 1");
}

#[test]
fn what_is_not_there_cannot_be_removed_or_extended_or_set() {
    let base = ("b.toml", "[t]\nx = 1\n");
    tells(
        &[("a.toml", "extends = 'b.toml'\nremove = ['t.y', 'u.x', 't.x.z']\n"), base],
        &[],
        &["a.toml:2:11 remove-missing", "a.toml:2:18 remove-missing", "a.toml:2:25 remove-missing"],
    );
    // own keys cannot be removed: they come after
    tells(&[("a.toml", "extends = 'b.toml'\nremove = ['own']\nown = 1\n"), base], &[], &["a.toml:2:11 remove-missing"]);
    tells(
        &[("a.toml", "remove = ['t']\n[t]\nremove = ['x']\n")],
        &[],
        &["a.toml:1:1 remove-without-extends", "a.toml:3:1 remove-without-extends"],
    );
    tells(&[("a.toml", "[s.a]\nextends = 'c'\n[s.b]\n[c]\n")], &[], &["a.toml:2:11 extends-missing"]);
    tells(&[("a.toml", "[t]\nx = 1\n")], &["u.x=1", "t.x.y=1", "t.y=1", "new=1"], &["--set:1:1 set-missing", "--set:1:3 set-missing"]);
    tells(&[("a.toml", "extends = ['none.toml', 'a.toml']\n")], &[], &["a.toml:1:12 no-file", "a.toml:1:25 extends-cycle"]);
    tells(
        &[("a.toml", "[s.a]\nextends = ['b', 'a']\n[s.b]\nextends = 'a'\n")],
        &[],
        &["a.toml:4:11 extends-cycle", "a.toml:2:17 extends-cycle"],
    );
}

#[test]
fn tables_extend_siblings_after_files_and_settings() {
    let text = "[s.a]\nx = 1\n[s.a.n]\nk = 1\n[s.b]\nextends = 'a'\ny = 2\n[s.c]\nextends = ['a', 'b']\ny = 3\nn.k = 2\n";
    gives(&[("a.toml", text)], &[], "[s.a]\nx = 1\nn = { k = 1 }\n[s.b]\nx = 1\ny = 2\nn = { k = 1 }\n[s.c]\nx = 1\ny = 3\nn = { k = 2 }");
    // the sibling as files and --set leave it
    gives(
        &[("a.toml", "extends = 'b.toml'\n[s.a]\nx = 5\n"), ("b.toml", "[s.a]\nx = 1\n[s.b]\nextends = 'a'\n")],
        &["s.a.y=7"],
        "[s.a]\nx = 5\ny = 7\n[s.b]\nx = 5\ny = 7",
    );
    // what is set in the table itself wins, also below it where it has no such table of its own yet
    gives(&[("a.toml", "[s.a.n]\nk = 1\n[s.b]\nextends = 'a'\n")], &["s.b.n.k=3"], "[s.a.n]\nk = 1\n[s.b.n]\nk = 3");
    // at any depth, groups and nodes alike
    gives(
        &[("a.toml", "[g.x.nodes]\na = { kind = 'k', size = 1 }\nb = { extends = 'a', size = 2 }\n")],
        &[],
        "[g.x.nodes]\na = { kind = 'k', size = 1 }\nb = { kind = 'k', size = 2 }",
    );
}

#[test]
fn values_are_whole_texts_and_keep_their_type() {
    let text = "[values]\nn = 16\nf = 0.5\nb = false\ns = 'x'\nl = [1, '$n']\nt = { k = '$f' }\ndeep = '$n'\n[t]\nall = ['$n', '$f', '$b', '$s', '$l', '$t', '$deep']\n";
    let (tree, told) = loaded(&[("a.toml", text)], &[]);
    assert_eq!(told, Vec::<String>::new());
    let all: Value = "v = [16, 0.5, false, 'x', [1, 16], { k = 0.5 }, 16]".parse::<Table>().unwrap()["v"].clone();
    assert_eq!(tree["t"]["all"], all);
    assert!(tree.get("values").is_none(), "the resolved graph has none");
    // a dollar inside of a text is a dollar; two at its start are one
    gives(
        &[("a.toml", "[values]\nn = 1\n[t]\na = 'x $n'\nb = '$$n'\nc = '$$'\nd = '$$$n'\ne = '$n'\n")],
        &[],
        "[t]\na = 'x $n'\nb = '$n'\nc = '$'\nd = '$$n'\ne = 1",
    );
    // keys are no places of values, and name, about and published no users
    gives(
        &[("a.toml", "name = '$n'\nabout = '$5'\n[published]\nx = '$y'\n[t]\n'$n' = 1\n")],
        &[],
        "name = '$n'\nabout = '$5'\npublished = { x = '$y' }\nt = { '$n' = 1 }",
    );
}

#[test]
fn values_come_last() {
    let files =
        [("a.toml", "extends = 'b.toml'\n[values]\nn = 2\n"), ("b.toml", "[values]\nn = 1\n[s.a]\nx = '$n'\n[s.b]\nextends = 'a'\n")];
    gives(&files, &[], "[s]\na = { x = 2 }\nb = { x = 2 }");
    gives(&files, &["values.n=3"], "[s]\na = { x = 3 }\nb = { x = 3 }");
    gives(&files, &["s.a.x=$n", "values.n='$$'"], "[s]\na = { x = '$' }\nb = { x = '$' }");
    // a misspelt name is told once, and not as an unread value too
    tells(&[("a.toml", "[values]\nlength = 1\n[t]\nx = '$lenght'\n")], &[], &["a.toml:4:5 unknown-value"]);
    tells(
        &[("a.toml", "[values]\nlength = 1\nother = 1\n[t]\nx = '$lenght'\n")],
        &[],
        &["a.toml:5:5 unknown-value", "a.toml:3:1 unused-value"],
    );
}

#[test]
fn name_about_sweep_and_published_are_not_inherited() {
    let base = "name = 'b'\nabout = 'b'\nseed = 1\n[sweep]\nseed = [1]\n[published]\nx = 1\n";
    gives(&[("a.toml", "extends = 'b.toml'\nname = 'a'\n"), ("b.toml", base)], &[], "name = 'a'\nseed = 1");
    gives(&[("a.toml", "extends = 'm.toml'\n"), ("m.toml", "extends = 'b.toml'\n"), ("b.toml", base)], &[], "seed = 1");
}

#[test]
fn a_path_is_a_toml_key_and_a_value_is_toml_or_else_text() {
    let text = [("a.toml", "[t]\n['odd.name']\nx = 1\n")];
    let set = |set: &str, wanted: &str| gives(&text, &[set], &format!("[t]\n{wanted}"));
    for (value, wanted) in [
        ("1", "1"),
        ("1.5", "1.5"),
        ("true", "true"),
        ("word", "'word'"),
        ("two words", "'two words'"),
        ("'1'", "'1'"),
        ("\"a\"", "'a'"),
        ("[1, 2]", "[1, 2]"),
        ("{ a = 1 }", "{ a = 1 }"),
        ("1, 2", "'1, 2'"),
        ("a=b", "'a=b'"),
        ("# no comment", "'# no comment'"),
        ("", "''"),
        ("1\nx = 2", "'1\\nx = 2'"),
    ] {
        let wanted = wanted.replace("'1\\nx = 2'", "\"1\\nx = 2\"");
        set(&format!("t.v={value}"), &format!("v = {wanted}\n['odd.name']\nx = 1"));
    }
    set("\"odd.name\".x=2", "['odd.name']\nx = 2");
    set("'odd.name'.\"x=y\" = 2", "['odd.name']\nx = 1\n'x=y' = 2");
    for path in ["t v=1", "t.=1", "t[0]=1", "ö=1"] {
        let (_, told) = loaded(&text, &[path]);
        assert!(told.len() == 1 && told[0].ends_with("bad-path"), "{path}: {told:?}");
    }
}

#[test]
fn keys_stand_in_the_order_of_the_files_those_of_the_extended_first() {
    let order = |files: &[(&str, &str)], sets: &[&str]| {
        loaded(files, sets).0["t"].as_table().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let base = ("b.toml", "[t]\nz = 1\nb = 1\na = 1\n");
    assert_eq!(order(&[("a.toml", base.1)], &[]), "z b a");
    // what is changed keeps its place, what is new comes last
    assert_eq!(order(&[("a.toml", "extends = 'b.toml'\n[t]\nc = 2\na = 2\nx = 2\n"), base], &["t.d=1"]), "z b a c x d");
    // removed and set again, it is new
    assert_eq!(order(&[("a.toml", "extends = 'b.toml'\nremove = ['t.z']\n[t]\nc = 2\nz = 2\n"), base], &[]), "b a c z");
    assert_eq!(order(&[("a.toml", "[s]\nq = 1\n[t]\nextends = 's'\nb = 1\na = 1\n")], &[]), "q b a");
    // a table stands where its own header does, else where it is first named
    let tables = "[t.c.x]\nv = 1\n[t.b]\nv = 1\n[t.a.x]\nv = 1\n[t.c]\nw = 1\n[t.a.y]\nv = 1\n";
    assert_eq!(order(&[("a.toml", tables)], &[]), "b a c");
}
