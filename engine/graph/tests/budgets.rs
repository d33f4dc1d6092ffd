//! Graphs that ask for too much: each is refused with a located fault, in little memory and time. Memory is counted by the allocator
//! and time is the thread's own, so that neither depends on what else the machine does.

mod common;

use common::*;
use dv_graph::budget::*;
use dv_graph::show::thousands;
use dv_graph::sweep::{self, Swept};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write;
use std::path::Path;

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it is; the counters are plain cells of the thread, which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's own promise about the layout.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's own promise about pointer and layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

/// CPU seconds of this thread.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Far above what any of these graphs takes, and far below what they took when nothing was limited: gigabytes, and half a minute.
const BYTES: isize = 150_000_000;
const SECONDS: f64 = 4.0;

/// Checks a graph within the limits of memory and time. Every fault that is reported has its place in a file.
#[track_caller]
fn checked_within(dir: &Path, name: &str) -> Swept {
    let path = dir.join("g.toml");
    let (held, start) = (HELD.get(), cpu());
    PEAK.set(held);
    let swept = sweep::check(&path, &[], &library());
    let said = swept.faults.render(&swept.sources);
    let (peak, seconds) = (PEAK.get() - held, cpu() - start);
    println!("{name:32} {:6.1} MB {seconds:5.2} s", peak as f64 / 1e6);
    assert!(peak < BYTES, "{name}: {:.0} MB", peak as f64 / 1e6);
    assert!(seconds < SECONDS, "{name}: {seconds:.1} s");
    assert!(swept.faults.iter().count() <= FAULTS + 1, "{name}");
    assert!(said.len() < 1_000_000, "{name}: {} bytes are printed", said.len());
    for fault in swept.faults.iter() {
        assert!(swept.sources.name(fault.at) != "?", "{name}: {fault:?} has no place");
    }
    swept
}

/// What a graph of these files is refused for.
#[track_caller]
fn refused(name: &str, files: &[(&str, String)], code: &str, words: &str) {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in files {
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    let swept = checked_within(dir.path(), name);
    let fits = swept.faults.iter().any(|f| f.code == code && f.message.contains(words));
    assert!(fits, "{name}: no {code} `{words}`:\n{}", swept.faults.render(&swept.sources).chars().take(2000).collect::<String>());
}

fn one(text: String) -> Vec<(&'static str, String)> {
    vec![("g.toml", text)]
}

/// The good graph with a change.
fn good(from: &str, to: &str) -> String {
    edited(GOOD, &[(from, to)])
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, "{}", line(i));
        text
    })
}

const HEAD: &str = "schema = 1\nname = 'g'\nabout = ''\nseed = 0\n";

#[test]
fn text_that_is_too_long() {
    refused("a file of 2 MB", &one(format!("{GOOD}#{}", "x".repeat(2_000_000))), "no-file", "larger than 1 MB, the limit of a graph file");
    refused("many keys", &one(lines(60_000, |i| format!("a{i} = 1"))), "too-many", "more than 20,000 keys and values");
    refused("a long array", &one(format!("{GOOD}\n[values.long]\nx = [{}]", "1,".repeat(200_000))), "too-many", "keys and values");
    refused("brackets", &one(format!("a = {}", "[".repeat(900_000))), "syntax", "");
    refused("a deep key", &one(format!("{} = 1", "a.".repeat(400_000) + "a")), "syntax", "");
    refused("a deep header", &one(format!("[{}]", "a.".repeat(400_000) + "a")), "syntax", "");
    refused("quotes", &one("'".repeat(900_000)), "syntax", "");
    refused("zeros", &one("\0".repeat(900_000)), "syntax", "");
    refused("empty tables", &one(lines(110_000, |i| format!("[{i}]"))), "too-many", "keys and values");
    refused("tables of arrays", &one("[[a]]\n".repeat(150_000)), "too-many", "keys and values");
    refused("inline tables", &one(format!("a = [{}]", "{},".repeat(300_000))), "too-many", "keys and values");
    refused("strings on one line", &one(format!("a = [{}", "{ x = 'y', ".repeat(80_000))), "syntax", "");
    refused("open strings", &one("a = \"\\\"x ' ".repeat(70_000)), "syntax", "");
    refused("equals signs", &one("= 1\n".repeat(50_000)), "syntax", "");
    refused("equals signs on one line", &one("= 1 ".repeat(240_000)), "syntax", "");
    refused("one key again and again", &one(format!("[t]\n{}", "a = 1\n".repeat(100_000))), "syntax", "is set twice");
}

#[test]
fn faults_without_number() {
    refused("unknown tables", &one(format!("{GOOD}{}", lines(8000, |i| format!("[x{i}]")))), "unknown-key", "a graph has no `x0`");
    refused(
        "unknown settings",
        &one(good("size   = 16", &format!("size = 16\n{}", lines(8000, |i| format!("v{i} = 1"))))),
        "unused-value",
        "v0",
    );
    let names = lines(8000, |i| format!("a{i} = '$b{i}'"));
    refused("unknown values", &one(format!("{GOOD}[published]\n[models.x]\n{names}")), "unknown-value", "b0");
    refused("unused values", &one(format!("{HEAD}[values]\n{}", lines(9000, |i| format!("value_{i} = 1")))), "unused-value", "value_0");
    refused(
        "unknown kinds",
        &one(format!("{HEAD}{}", lines(6000, |i| format!("[models.m{i}]\nkind = 'backbone/tinny'")))),
        "unknown-kind",
        "",
    );
    let nodes = lines(1800, |i| format!("n{i} = {{ kind = 'view/normal', in = 'm{i}.clips' }}"));
    refused("unknown nodes", &one(format!("{HEAD}[stages.s]\nbatch = 1\n[stages.s.nodes]\n{nodes}")), "unknown-node", "no node `m0`");
    let inputs = (0..9000).map(|i| format!("v{i} = 'nowhere.x'")).collect::<Vec<_>>().join(", ");
    let stack = format!("v = {{ kind = 'batch/stack', axis = 'v', in = {{ {inputs} }} }}");
    refused("unknown inputs", &one(format!("{HEAD}[stages.s]\nbatch = 1\n[stages.s.nodes]\n{stack}")), "unknown-node", "");
    let metrics = (0..9000).map(|i| format!("'no{i}.loss'")).collect::<Vec<_>>().join(", ");
    refused("unknown metrics", &one(good("\"contrast.top1\"", &metrics)), "unknown-node", "no0");
    refused("frozen", &one(good("keep       =", &format!("frozen = [{metrics}]\nkeep ="))), "unknown-model", "no0");
    refused("after", &one(good("after = \"seen\"", &format!("after = [{metrics}]"))), "unknown-node", "no0");
    let extends = lines(9000, |i| format!("[models.m{i}]\nextend = 'encoder'"));
    refused("misspelt extends", &one(format!("{GOOD}{extends}")), "unknown-setting", "a table has no `extend`");
    let removes = (0..900).map(|i| format!("'models.m{i}'")).collect::<Vec<_>>().join(", ");
    let base = lines(9000, |i| format!("[models.n{i}]"));
    refused(
        "removals",
        &[("g.toml", format!("extends = 'b.toml'\nremove = [{removes}]")), ("b.toml", base)],
        "remove-missing",
        "models.m0",
    );
}

#[test]
fn names_without_end() {
    let long = "x".repeat(400_000);
    refused("a long key", &one(format!("{GOOD}\n[{long}]")), "unknown-key", "a graph has no");
    refused("a long value", &one(format!("{HEAD}[values]\n{long} = 1\n[stages.s.nodes.n]\nkind = '${long}y'")), "unknown-value", "");
    refused("a long name", &one(good("[models.encoder]", &format!("[models.{}]", "x".repeat(300)))), "bad-name", "at most 255");
    refused("a long edge", &one(good("in = \"views.clips\"", &format!("in = \"{long}.clips\""))), "bad-edge", "at most 1000 characters");
    refused("a long extends", &one(format!("extends = '{long}'")), "no-file", "");
}

#[test]
fn what_multiplies() {
    let doubled = |n: usize| lines(n, |i| format!("v{} = ['$v{i}', '$v{i}']", i + 1));
    let values = format!("{HEAD}[values]\nv0 = [1, 1]\n{}[stages.s.nodes.n]\nkind = '$v22'", doubled(22));
    refused("values that double", &one(values), "too-many", "with the value `v");
    let long = format!("{HEAD}[values]\ns = '{}'\n[stages.s.nodes.n]\nx = [{}]", "x".repeat(500_000), "'$s',".repeat(5000));
    refused("a long value again and again", &one(long), "too-many", "more than 4 MB of text");
    let chain = lines(3000, |i| format!("v{i} = '$v{}'", i + 1));
    refused(
        "a chain of values",
        &one(format!("{HEAD}[values]\n{chain}v3000 = 1\n[stages.s.nodes.n]\nkind = '$v0'")),
        "too-many",
        "values lead into each other",
    );
    let nested = lines(3000, |i| format!("v{i} = {{ a = '$v{}' }}", i + 1));
    refused(
        "values in values",
        &one(format!("{HEAD}[values]\n{nested}v3000 = 1\n[stages.s.nodes.n]\nkind = '$v0'")),
        "too-many",
        "values lead into each other",
    );
    let tables = lines(3000, |i| format!("[models.m{i}]\nextends = 'm{}'", i + 1));
    refused("a chain of tables", &one(format!("{HEAD}{tables}")), "too-many", "tables extend each other");
    let wide =
        format!("{HEAD}[stages.s0]\nx = [{}]\n{}", "1,".repeat(5000), lines(150, |i| format!("[stages.s{}]\nextends = 's0'", i + 1)));
    refused("a table extended again and again", &one(wide), "too-many", "the graph comes to more than 20,000 keys and values");
    let groups = |n: usize, inner: &str| {
        let group = |i: usize, a: &str, b: &str| {
            format!("[groups.g{i}]\nin = ['x']\nout = {{ y = 'a.y' }}\n[groups.g{i}.nodes]\na = {{ {a} }}\nb = {{ {b} }}")
        };
        let apply = |i: usize| format!("apply = 'g{i}', in = 'in.x'");
        let all = lines(n, |i| if i == 0 { group(0, inner, inner) } else { group(i, &apply(i - 1), &apply(i - 1)) });
        format!("{HEAD}[stages.s.nodes]\nn = {{ apply = 'g{}', in = 'n.y' }}\n{all}", n - 1)
    };
    refused(
        "groups that double",
        &one(groups(14, "kind = 'view/normal', in = 'in.x'")),
        "too-many",
        "more than 2,000 nodes, groups expanded",
    );
    let chain = lines(60, |i| {
        format!("[groups.g{i}]\nin = ['x']\nout = {{ y = 'a.y' }}\n[groups.g{i}.nodes]\na = {{ apply = 'g{}', in = 'in.x' }}", i + 1)
    });
    refused(
        "a chain of groups",
        &one(format!("{HEAD}[stages.s.nodes]\nn = {{ apply = 'g0', in = 'n.y' }}\n{chain}")),
        "too-many",
        "groups apply each other",
    );
    let wide = format!("a = {{ kind = 'order/draw', items = 4, x = [{}] }}", "1,".repeat(3000));
    let wide = format!(
        "[groups.g]\nout = {{ y = 'a.y' }}\n[groups.g.nodes]\n{wide}\n[stages.s.nodes]\n{}",
        lines(100, |i| format!("n{i} = {{ apply = 'g' }}"))
    );
    refused("a wide group", &one(format!("{HEAD}{wide}")), "too-many", "the nodes of groups come to more than 20,000");
    let after = (0..300).map(|i| format!("'n{i}'")).collect::<Vec<_>>().join(", ");
    let inner = lines(300, |i| format!("n{i} = {{ kind = 'order/draw', items = 4 }}"));
    let group = format!(
        "[groups.g]\nout = {{ y = 'n0.order' }}\n[groups.g.nodes]\n{inner}\n[stages.s.nodes]\nall = {{ apply = 'g', after = [{after}] }}"
    );
    refused("a group after many", &one(format!("{HEAD}{group}")), "too-many", "names under `after`");
    refused("stages", &one(format!("{HEAD}{}", lines(5000, |i| format!("[stages.s{i}.nodes]")))), "too-many", "more than 200 stages");
    refused(
        "nodes",
        &one(format!("{HEAD}[stages.s.nodes]\n{}", lines(4000, |i| format!("n{i} = {{ kind = 'order/draw' }}")))),
        "too-many",
        "more than 2,000 nodes",
    );
}

#[test]
fn files_that_extend_files() {
    let mut chain: Vec<(String, String)> = (0..200).map(|i| (format!("f{i}.toml"), format!("extends = 'f{}.toml'", i + 1))).collect();
    chain[0].0 = "g.toml".into();
    let chain: Vec<(&str, String)> = chain.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    refused("a chain of files", &chain, "too-many", "more than 100 files");
    let names = (0..5000).map(|i| format!("'none{i}.toml'")).collect::<Vec<_>>().join(", ");
    refused("files that are not there", &one(format!("extends = [{names}]")), "too-many", "more than 100 files");
    let again = format!("extends = [{}]", vec!["'b.toml'"; 3000].join(", "));
    let base = format!("{GOOD}\n[published]\n{}", lines(9000, |i| format!("p{i} = 1")));
    refused(
        "a file again and again",
        &[("g.toml", again), ("b.toml", base.replace("[published]", "[models.many]"))],
        "too-many",
        "the files that are extended",
    );
}

#[test]
fn sweeps() {
    let sweep = |text: &str| one(format!("{GOOD}\n[sweep]\n{text}"));
    let axis = |n: usize| format!("[{}]", (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
    refused("an axis", &one(format!("{HEAD}[sweep]\nseed = {}", axis(15_000))), "too-many", "has 15,000 values; at most 1,000");
    refused("an axis of 64,000 values", &sweep(&format!("seed = {}", axis(64_000))), "too-many", "more than 20,000 keys");
    refused("a grid", &sweep(&lines(20, |i| format!("'models.x{i}' = {}", axis(900)))), "bad-sweep", "at most 1,000 are run");
    refused("axes", &sweep(&lines(40, |i| format!("'models.x{i}' = [1]"))), "too-many", "more than 20 axes");
    let long: Vec<String> = (0..900).map(|i| format!("'{}{i}'", "x".repeat(1000))).collect();
    refused("long values", &sweep(&format!("'models.none.x' = [{}]", long.join(","))), "set-missing", "");
    // a real sweep of many points is still taken, within the same limits
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("g.toml"), format!("{GOOD}\n[sweep]\nseed = {}", axis(500))).unwrap();
    let swept = checked_within(dir.path(), "a sweep of 500 points");
    assert_eq!((swept.points.len(), swept.faults.len()), (500, 0));
    let many = format!("{GOOD}\n[published]\n{}\n[sweep]\nseed = {}", lines(10_000, |i| format!("p{i} = 1")), axis(1000));
    refused("a sweep of large graphs", &one(many), "too-many", "points of the sweep come to more than 1,000,000 keys and values together");
    let arms = lines(900, |i| format!("[sweep.method.a{i}]\nextends = 'b.toml'"));
    let base = format!("[models.encoder]\n{}", lines(3000, |i| format!("x{i} = 1")));
    refused("arms", &[("g.toml", format!("{GOOD}\n{arms}")), ("b.toml", base)], "too-many", "the files that are extended come to");
}

#[test]
fn sizes() {
    let huge = |from: &str, to: &str, code: &str, words: &str| refused(to, &one(good(from, to)), code, words);
    // a number beyond its own range
    huge("clips = 3", "clips = 9223372036854775807", "out-of-range", "from 1 to");
    huge("length = 4", "length = 9223372036854775807", "out-of-range", "from 1 to");
    huge("size   = 16", "size = 9223372036854775807", "out-of-range", "from 1 to");
    huge("width = 8", "width = 9223372036854775807", "out-of-range", "from 1 to");
    huge("batch      = 4", "batch = 1000000000", "out-of-range", "from 1 to");
    // numbers within their ranges, and a product that is not
    let both = edited(GOOD, &[("batch      = 4", "batch = 1000000"), ("length = 4", "length = 4096")]);
    refused("a large batch of long clips", &one(both), "too-large", "for a batch of 1,000,000");
    huge("widths = [8, 6]", &format!("widths = [8, {}6]", "65536, ".repeat(12)), "too-large", "with `proj` the models come to");
    refused("a register", &one(edited(&moco(), &[("rows = 8", "rows = 9223372036854775807")])), "out-of-range", "");
}

/// A graph with a register.
fn moco() -> String {
    edited(
        GOOD,
        &[
            ("contrast = { kind = \"loss/contrast\", in = { a = \"clip.features[v0]\", b = \"clip.features[v1]\" }, temperature = 0.1 }", "ring = { kind = \"memory/ring\", rows = 8, write = { rows = \"other.features\" } }\ncontrast = { kind = \"loss/against\", in = { a = \"clip.features[v0]\", negatives = \"ring.rows\" } }"),
            ("metrics    = [\"contrast.top1\"]", "metrics = [\"contrast.mean\"]"),
        ],
    )
}

#[test]
fn graphs_that_are_large_and_right() {
    // as many nodes as are allowed, each after the others
    let chain = lines(1990, |i| match i {
        0 => "n0 = { kind = 'view/crop', in = 'clip.first', size = 16 }".to_string(),
        i => format!("n{i} = {{ kind = 'view/crop', in = 'n{}.clips', size = 16 }}", i - 1),
    });
    let stage = format!(
        "{HEAD}[stages.s]\nbatch = 1\nfiles = ['table.rows']\n[stages.s.nodes]\n{}\n{chain}flat = {{ kind = 'view/normal', in = 'n1989.clips' }}\ntable = {{ kind = 'collect/mean', in = {{ rows = 'flat.clips', label = 'video.label' }}, over = [] }}",
        "video = { kind = 'source/set', set = 'tiny', split = 'train', height = 24, width = 20 }\nclip = { kind = 'clip/pair', in = 'video.frames', length = 4 }"
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("g.toml"), stage).unwrap();
    let swept = checked_within(dir.path(), "a chain of nodes");
    assert!(swept.points.len() == 1, "{}", swept.faults.render(&swept.sources));
    // as many passes of one model, none of them said to come before another
    let passes = lines(300, |i| {
        let loss =
            format!("k{i} = {{ kind = 'loss/contrast', in = {{ a = 'h{i}.features[v0]', b = 'h{i}.features[v1]' }}, temperature = 0.1 }}");
        format!("m{i} = {{ apply = 'encoder', in = 'views.clips' }}\nh{i} = {{ apply = 'proj', in = 'm{i}.map' }}\n{loss}")
    });
    let (terms, weights) =
        (0..300).fold((String::new(), String::new()), |(t, w), i| (format!("{t}k{i} = 'k{i}.loss', "), format!("{w}k{i} = 1.0, ")));
    let total = format!("total = {{ kind = 'loss/sum', in = {{ {terms}c = \"contrast.loss\"");
    let text = edited(
        GOOD,
        &[
            ("cut      = {", &format!("{passes}cut = {{")),
            ("total    = { kind = \"loss/sum\", in = { c = \"contrast.loss\"", &total),
            ("weights = { c = 1.0", &format!("weights = {{ {weights}c = 1.0")),
        ],
    );
    refused("passes without order", &one(text), "needs-after", "both update the running statistics");
    // stages that each need all before
    let stages = lines(150, |i| {
        let weights = (0..i).map(|j| format!("m{j} = 's{j}'")).collect::<Vec<_>>().join(", ");
        format!("[stages.s{i}]\nweights = {{ {weights} }}\n[stages.s{i}.nodes]\nx = {{ kind = 'order/draw', items = 4 }}")
    });
    let models = lines(150, |i| format!("[models.m{i}]\nkind = 'backbone/tiny'\nwidth = 8"));
    refused("stages that need each other", &one(format!("{HEAD}{models}{stages}")), "unused", "");
}

#[test]
fn the_document_states_the_limits() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/language.md")).unwrap();
    for (what, most) in [
        ("bytes of one file", format!("{} MB", GRAPH_FILE.bytes / 1_000_000)),
        ("files: the graph", thousands(FILES)),
        ("keys and array elements, `extends`", thousands(VALUES)),
        ("text of its keys", format!("{} MB", TEXT / 1_000_000)),
        ("depth at which", thousands(DEPTH)),
        ("paths of one `remove`", thousands(REMOVALS)),
        ("stages |", thousands(STAGES)),
        ("nodes of all stages", thousands(NODES)),
        ("names that nodes of groups", thousands(EDGES)),
        ("items of one output", thousands(ITEMS)),
        ("one output for a whole batch", format!("{} GiB", EDGE_BYTES >> 30)),
        ("numbers in all models", thousands(PARAMETERS)),
        ("parameters and buffers", thousands(TENSORS)),
        ("patterns of a stage's", thousands(PATTERNS)),
        ("axes |", thousands(SWEEP_AXES)),
        ("points, and values", thousands(SWEEP_POINTS)),
        ("keys and array elements of all points", thousands(SWEEP_VALUES)),
        ("nodes of all points", thousands(SWEEP_NODES)),
    ] {
        let line = text.lines().find(|l| l.starts_with(&format!("| {what}"))).unwrap_or_else(|| panic!("no limit of `{what}`"));
        assert!(line.ends_with(&format!("| {most} |")), "{line}");
    }
    assert!(text.contains(&format!("The first {FAULTS} errors are printed in full")));
}
