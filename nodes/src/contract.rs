//! What holds for every kind of the list.

use dv_graph::fault::Faults;
use dv_graph::kind::{Inputs, Library};
use dv_graph::port::{Axis, Dim, Port, Type};
use dv_graph::source::{At, Sources};
use dv_graph::tree;
use std::collections::HashSet;

/// Settings and inputs with which each kind can be asked for its outputs.
fn example(name: &str) -> Option<(&'static str, Vec<(&'static str, Port)>)> {
    let clips = || ("clips", Port::bytes([3, 8, 64, 80].map(Dim::from)));
    let floats = || ("clips", Port::float([3, 8, 64, 64].map(Dim::from)));
    let frames = || ("frames", Port::video([3.into(), Dim::Symbol("frames".into()), 64.into(), 80.into()]));
    let map = || ("map", Port::float([16, 2, 4, 4].map(Dim::from)));
    let feature = |name| (name, Port::float([16.into()]));
    let series = |name| (name, Port::float([4.into(), 16.into()]));
    let order = || ("order", Port::index([4.into()]));
    let whole = |name, shape: [usize; 2]| (name, Port::whole(Type::Float, shape.map(Dim::from)));
    let bank = |name| whole(name, [20, 16]);
    let items = |count| Port::float([16.into()]).with_axis(Axis::counted("clip", count));
    let banks =
        || vec![feature("features"), ("index", Port::index([])), bank("positives"), bank("negatives"), ("drawn", Port::index([8.into()]))];
    let table = |name| (name, Port::table([16.into()]));
    Some(match name {
        "source/shards" => ("set = 'a'\nsplit = 'b'\nhold_out = 0\nheight = 64\nwidth = 80", vec![]),
        "clip/stage_prototype" => ("length = 8\nstride = 4\ntime_flip = 0.5", vec![frames()]),
        "clip/random_padded" => ("length = 8\nstride = 4", vec![frames()]),
        "clip/windows" => ("clips = 3\nlength = 8\nstride = 4", vec![frames()]),
        "clip/uniform" => ("clips = 10\nlength = 8\nstride = 4", vec![frames()]),
        "clip/random" => ("length = 16\nstride = 1", vec![frames()]),
        "clip/tuple" => ("clips = 3\nlength = 16\nstride = 1\ngap = 8", vec![frames()]),
        "clip/trim" => ("first = 0\nlast = 1", vec![frames()]),
        "clip/at" => ("position = 'middle'\nlength = 1\nstride = 1", vec![frames()]),
        "view/random_crop" | "view/center_crop" | "view/resize" => ("size = 56", vec![clips()]),
        "view/random_sized_crop" => ("side = [48, 64]\nsize = 56", vec![clips()]),
        "view/mirror" => ("probability = 0.5", vec![clips()]),
        "view/corner_crop" => ("size = 56\ncorner = 'top_left'", vec![clips()]),
        "view/color_jitter" | "view/color_jitter_frames" => {
            ("brightness = 0.8\ncontrast = 0.8\nsaturation = 0.8\nhue = 0.2\nprobability = 0.64", vec![clips()])
        }
        "view/gaussian_blur" => ("sigma = [0.1, 2.0]\nprobability = 0.5", vec![clips()]),
        "view/normalize" => ("mean = [0, 0, 0]\ndeviation = [1, 1, 1]", vec![clips()]),
        "view/residual" => ("rescale = true", vec![clips()]),
        "view/repeat_frame" => ("", vec![clips()]),
        "view/choose" => ("odds = { clips = 1 }", vec![clips()]),
        "batch/stack" => ("axis = 'view'", vec![clips()]),
        "batch/shuffle" => ("", vec![("rows", clips().1)]),
        "batch/unshuffle" => ("", vec![("rows", feature("rows").1), ("order", Port::index([]))]),
        "flow/stop_gradient" => ("", vec![feature("value")]),
        "order/swap" => ("items = 4", vec![]),
        "order/class" => ("among = 'all'\nundirected = false", vec![order()]),
        "order/permute_items" => ("", vec![("items", items(4)), order()]),
        "order/permutation" => ("items = 4", vec![]),
        "order/permute_segments" => ("", vec![clips(), order()]),
        "order/restore" => ("", vec![("items", Port::float([4.into(), 16.into()])), order()]),
        "backbone/r3d" | "backbone/r21d" | "backbone/c3d" => ("width = 2", vec![floats()]),
        "backbone/r2d3d" => ("depth = 50\nwidth = 2", vec![floats()]),
        "backbone/s3d" => ("gating = true", vec![floats()]),
        "head/projection" => ("widths = [16, 8]", vec![map()]),
        "head/series" => ("segments = 4\ndim = 8", vec![map()]),
        "head/global_pool" => ("", vec![map()]),
        "head/max_pool" => ("window = [1, 2, 2]", vec![map()]),
        "head/classifier" => ("classes = 5\ndropout = 0.5\nl2_norm = true\nbatch_norm = true", vec![feature("features")]),
        "head/order" => ("classes = 6\nwidth = 8\ndropout = 0.5", vec![("features", items(3))]),
        "head/linear" => ("classes = 5", vec![feature("features")]),
        "head/softmax" => ("", vec![feature("logits")]),
        "memory/queue" => ("rows = 12", vec![]),
        "memory/bank" => ("momentum = 0.5", vec![]),
        "memory/constant" => ("", vec![]),
        "memory/draw" => ("count = 4", vec![("index", Port::index([]).with_range(9.into()))]),
        "loss/nt_xent" => ("temperature = 0.07\ngradient = 'published'", vec![feature("a"), feature("b")]),
        "loss/temporal_coherence" => ("temperature = 0.07\ngradient = 'exact'", vec![series("a"), series("b")]),
        "loss/rank" => ("theta = 0.05\nclamp = 5", vec![series("series"), series("shuffled")]),
        "loss/info_nce" => ("temperature = 0.07", vec![feature("query"), feature("key"), bank("negatives")]),
        "loss/temporal_coherence_queue" => ("temperature = 0.07", vec![series("query"), series("key"), whole("negatives", [12, 64])]),
        "loss/nce_softmax" | "loss/nce" | "loss/nce_constant" => ("temperature = 0.07", banks()),
        "loss/mean_square" => ("", vec![feature("values")]),
        "loss/sum" => ("weights = { a = 1, b = false }", vec![("a", Port::scalar())]),
        "loss/cross_entropy" => ("", vec![feature("logits"), ("label", Port::index([]))]),
        "collect/mean" => ("over = ['clip']", vec![("rows", feature("rows").1.with_axis(Axis::counted("clip", 10)))]),
        "evaluate/retrieval" => ("centre = 'each'\nk = [1, 5]", vec![table("gallery"), table("query")]),
        "evaluate/difference" => {
            let ranks = |name| (name, Port::table([1.into()]));
            ("k = 1\nresamples = 1000", vec![ranks("better"), ranks("worse")])
        }
        "evaluate/accuracy" => ("", vec![table("table")]),
        _ => return None,
    })
}

/// What is written to a register in its example.
fn written(name: &str) -> Vec<(&'static str, Port)> {
    let rows = ("rows", Port::float([16.into()]));
    match name {
        "memory/queue" => vec![rows],
        "memory/bank" => vec![("index", Port::index([]).with_range(9.into())), rows],
        _ => vec![],
    }
}

fn library() -> Library {
    crate::library()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[test]
fn the_document_is_what_the_library_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/nodes.md");
    let written = std::fs::read_to_string(path).expect("docs/nodes.md: write it with `cargo xtask docs`");
    let now = dv_graph::docs::library(&crate::library());
    assert!(written.trim_end() == now.trim_end(), "docs/nodes.md is out of date: write it with `cargo xtask docs`");
}

#[test]
fn the_schema_is_what_the_library_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/graph.json");
    let written = std::fs::read_to_string(path).expect("schema/graph.json: write it with `cargo xtask docs`");
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    let now = dv_graph::editor::schema(&crate::library()).unwrap();
    assert!(written == now, "schema/graph.json is out of date: write it with `cargo xtask docs`");
}

#[test]
fn names_are_unique_and_of_the_form_family_and_name() {
    let mut seen = HashSet::new();
    for entry in library().entries() {
        let (family, name) = entry.name.split_once('/').unwrap_or_else(|| panic!("{} has no family", entry.name));
        assert!(is_name(family) && is_name(name), "{}", entry.name);
        assert!(seen.insert(entry.name), "{} stands twice in the list", entry.name);
    }
    for family in crate::NODES {
        assert_eq!(family.iter().map(|e| e.graph.family()).collect::<HashSet<_>>().len(), 1);
    }
}

#[test]
fn every_kind_port_and_setting_is_documented() {
    for entry in library().entries() {
        let schema = (entry.schema)();
        let text = |pointer: &str| schema.pointer(pointer).and_then(|d| d.as_str()).unwrap_or("").to_string();
        assert!(text("/description").len() > 20, "{} has no documentation", entry.name);
        let properties = schema.get("properties").and_then(|p| p.as_object()).cloned().unwrap_or_default();
        for setting in properties.keys() {
            assert!(!text(&format!("/properties/{setting}/description")).is_empty(), "{}: `{setting}` has no documentation", entry.name);
        }
        for (port, doc) in entry.inputs.iter().map(|i| (i.name, i.doc)).chain(entry.outputs.iter().map(|o| (o.name, o.doc))) {
            assert!(is_name(port) && !doc.is_empty(), "{}: `{port}` has no documentation", entry.name);
        }
    }
}

#[test]
fn settings_are_closed_required_and_no_reserved_words() {
    let reserved = ["kind", "apply", "in", "out", "write", "after", "initial", "mode", "passes", "extends", "remove", "names", "ema_of"];
    for entry in library().entries() {
        let schema = (entry.schema)();
        assert_eq!(schema.get("additionalProperties"), Some(&false.into()), "{} takes unknown settings", entry.name);
        let settings: Vec<String> =
            schema.get("properties").and_then(|p| p.as_object()).map(|p| p.keys().cloned().collect()).unwrap_or_default();
        let required: Vec<&str> =
            schema.get("required").and_then(|r| r.as_array()).map(|r| r.iter().filter_map(|v| v.as_str()).collect()).unwrap_or_default();
        for setting in &settings {
            assert!(is_name(setting) && !reserved.contains(&setting.as_str()), "{}: `{setting}`", entry.name);
            // what changes a result has no silent default: a setting that may be left out says what holds then
            let doc = schema.pointer(&format!("/properties/{setting}/description")).and_then(|d| d.as_str()).unwrap_or_default();
            let says = doc.contains("Without it") || doc.contains("Required where");
            assert!(
                required.contains(&setting.as_str()) || says,
                "{}: `{setting}` may be left out, and its doc does not say what then",
                entry.name
            );
        }
    }
}

#[test]
fn every_number_has_bounds() {
    for entry in library().entries() {
        let found = dv_graph::range::unbounded(&serde_json::to_value((entry.schema)()).unwrap());
        assert!(found.is_empty(), "{}: declare a range with #[schemars(range(min = ..., max = ...))]: {found:?}", entry.name);
    }
}

/// The places of numbers in settings as the examples write them.
fn numbers(settings: &str) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut start, mut quoted) = (Vec::new(), None, false);
    for (i, c) in settings.char_indices().chain([(settings.len(), ' ')]) {
        quoted ^= c == '\'';
        let in_word = i > 0 && settings[..i].ends_with(|p: char| p.is_ascii_alphanumeric() || p == '_');
        match start {
            None if c.is_ascii_digit() && !quoted && !in_word => start = Some(i),
            Some(from) if !c.is_ascii_digit() && c != '.' => {
                found.push(from..i);
                start = None;
            }
            _ => {}
        }
    }
    found
}

#[test]
fn numbers_beyond_all_bounds_are_faults_of_the_check() {
    let mut tried = 0;
    for entry in library().entries() {
        let (settings, _) = example(entry.name).unwrap_or_else(|| panic!("{} has no example in this test", entry.name));
        for place in numbers(settings) {
            for odd in ["9223372036854775807", "-9223372036854775808", "1e300", "nan", "-inf"] {
                let text = format!("{}{odd}{}", &settings[..place.start], &settings[place.end..]);
                let (mut sources, mut faults) = (Sources::default(), Faults::default());
                let table = tree::parse("example", &text, &mut sources, &mut faults);
                let kind = (entry.build)(&table, At::default(), &mut faults);
                let expected = |code| ["out-of-range", "wrong-type"].contains(&code);
                assert!(kind.is_none() && faults.len() == 1 && faults.iter().all(|f| expected(f.code)), "{}: {text}", entry.name);
                assert!(
                    faults.iter().all(|f| sources.excerpt(f.at).1.matches('^').count() == odd.len()),
                    "{}: {text}",
                    faults.render(&sources)
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried} numbers");
}

#[test]
fn ports_have_names_of_their_own_and_draws_come_back_as_inputs() {
    for entry in library().entries() {
        let inputs: HashSet<&str> = entry.inputs.iter().map(|i| i.name).collect();
        let outputs: HashSet<&str> = entry.outputs.iter().map(|o| o.name).collect();
        assert_eq!((inputs.len(), outputs.len()), (entry.inputs.len(), entry.outputs.len()), "{}", entry.name);
        assert!(entry.outputs.iter().all(|o| !o.draw || !inputs.contains(o.name)), "{}: a draw is an input already", entry.name);
        assert!(entry.sample.is_some() || entry.batch, "{} runs nowhere", entry.name);
    }
}

#[test]
fn the_shape_rule_gives_what_is_declared() {
    for entry in library().entries() {
        let (settings, ports) = example(entry.name).unwrap_or_else(|| panic!("{} has no example in this test", entry.name));
        let (mut sources, mut faults) = (Sources::default(), Faults::default());
        let table = tree::parse("example", settings, &mut sources, &mut faults);
        let kind = (entry.build)(&table, At::default(), &mut faults);
        let kind = kind.unwrap_or_else(|| panic!("{}: {}", entry.name, faults.render(&sources)));
        let named = |list: Vec<(&str, Port)>| list.into_iter().map(|(n, p)| (n.to_string(), p)).collect::<Vec<_>>();
        let inputs = Inputs::new(named(ports)).with_written(named(written(entry.name)));
        let outputs = kind.ports(&inputs).unwrap_or_else(|f| panic!("{}: {}", entry.name, f.message));
        assert_eq!(outputs.len(), entry.outputs.len(), "{}", entry.name);
        let lengths = |text: &str| text.split_whitespace().filter(|w| !w.ends_with("..")).count();
        for (port, declared) in outputs.iter().zip(entry.outputs).filter(|(_, o)| !o.shape.contains("...")) {
            assert_eq!(port.shape.len(), lengths(declared.shape), "{}.{}: {port}", entry.name, declared.name);
        }
        if let Some(state) = entry.state {
            let names: Vec<&str> = state(kind.as_any(), &inputs).into_iter().map(|s| s.name).collect();
            assert!(
                !names.is_empty() && names.iter().collect::<HashSet<_>>().len() == names.len(),
                "{}: its tensors {names:?}",
                entry.name
            );
        }
        if let Some(parameters) = entry.parameters {
            let names: Vec<String> = parameters(kind.as_any(), &inputs).into_iter().map(|p| p.name).collect();
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{} declares a parameter twice", entry.name);
        }
    }
}
