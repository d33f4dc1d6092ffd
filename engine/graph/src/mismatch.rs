//! Names of a weights file that do not fit the graph: what is missing, what is left over, and which `names` would fit.

use std::path::Path;

/// Of more names than these the first are listed.
const SHOWN: usize = 8;

/// Says what the two sides look like. `hints` are the settings that would make models fit.
pub fn report(file: &Path, all: &[String], missing: &[String], spare: &[String], hints: &[String]) -> String {
    let mut text = format!("{}: the weights in the file do not match the graph", file.display());
    let mut line = |what: &str, names: &[String]| {
        if !names.is_empty() {
            let more = names.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            text.push_str(&format!("\n  {what} ({}): {}{more}", names.len(), names[..names.len().min(SHOWN)].join(", ")));
        }
    };
    line("missing in the file", missing);
    line("not in the graph", spare);
    // where all that is left over was shown, the file's other names say nothing new
    if !missing.is_empty() && spare.len() < all.len() {
        line("names in the file", all);
    }
    if let Some(prefix) = common_prefixes(all).last().filter(|_| !missing.is_empty()) {
        text.push_str(&format!("\n  every name in the file begins with `{prefix}`"));
    }
    hints.iter().for_each(|hint| text.push_str(&format!("\n  help: {hint}")));
    text
}

/// What all names begin with, up to each dot: `module.`, `module.encoder.`. Nothing of a single name.
pub fn common_prefixes(names: &[String]) -> Vec<&str> {
    let Some((first, rest)) = names.split_first().filter(|(_, rest)| !rest.is_empty()) else { return Vec::new() };
    let ends = first.match_indices('.').map(|(i, _)| &first[..=i]);
    ends.take_while(|prefix| rest.iter().all(|name| name.starts_with(prefix))).collect()
}

/// The path below which a file has all of a model's tensors; empty where they stand at its root. A counter may be lacking.
pub fn found_under<'a>(names: &'a [String], tensors: &[String]) -> Option<&'a str> {
    let needed: Vec<&String> = tensors.iter().filter(|t| !t.ends_with("num_batches_tracked")).collect();
    let first = needed.first()?;
    let paths = names.iter().filter_map(|name| {
        let path = name.strip_suffix(first.as_str())?;
        if path.is_empty() {
            Some("")
        } else {
            path.strip_suffix('.')
        }
    });
    let has = |path: &str, tensor: &str| {
        let full = if path.is_empty() { tensor.to_string() } else { format!("{path}.{tensor}") };
        names.contains(&full)
    };
    let mut fits = paths.filter(|path| needed.iter().all(|tensor| has(path, tensor)));
    // of two that fit, neither is known to be meant
    fits.next().filter(|_| fits.next().is_none())
}

/// The model's paths with something put before each, where the file has them all.
pub fn with_prefix(all: &[String], names: &[String]) -> Option<Vec<String>> {
    let has = |path: &String| all.iter().any(|name| name.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.')));
    let moved = common_prefixes(all).into_iter().map(|prefix| names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>());
    moved.filter(|_| !names.is_empty()).find(|moved| moved.iter().all(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn a_prefix_of_all_names_ends_with_a_dot() {
        assert_eq!(common_prefixes(&list(&["module.a.w", "module.a.b", "module.b"])), ["module."]);
        assert_eq!(common_prefixes(&list(&["module.a.w", "module.a.b"])), ["module.", "module.a."]);
        assert_eq!(common_prefixes(&list(&["module.w", "modules.w"])), Vec::<&str>::new());
        assert_eq!(common_prefixes(&list(&["module.w"])), Vec::<&str>::new());
    }

    #[test]
    fn a_models_tensors_are_found_below_one_path() {
        let tensors = list(&["conv.weight", "bn.running_mean", "bn.num_batches_tracked"]);
        let file = list(&["module.q.conv.weight", "module.q.bn.running_mean", "module.fc.weight"]);
        assert_eq!(found_under(&file, &tensors), Some("module.q"));
        assert_eq!(found_under(&list(&["conv.weight", "bn.running_mean"]), &tensors), Some(""));
        assert_eq!(found_under(&list(&["xconv.weight", "xbn.running_mean"]), &tensors), None);
        assert_eq!(found_under(&list(&["q.conv.weight", "k.bn.running_mean"]), &tensors), None);
        let both = list(&["q.conv.weight", "q.bn.running_mean", "k.conv.weight", "k.bn.running_mean"]);
        assert_eq!(found_under(&both, &tensors), None);
    }

    #[test]
    fn paths_of_layers_are_moved_together() {
        let file = list(&["module.q.2.weight", "module.q.4.weight"]);
        assert_eq!(with_prefix(&file, &list(&["q.2", "q.4"])), Some(list(&["module.q.2", "module.q.4"])));
        let file = list(&["module.q.2.weight", "module.q.4.weight", "module.fc.weight"]);
        assert_eq!(with_prefix(&file, &list(&["q.2", "q.4"])), Some(list(&["module.q.2", "module.q.4"])));
        assert_eq!(with_prefix(&file, &list(&["q.2", "q.6"])), None);
    }

    #[test]
    fn both_sides_are_shown() {
        let many: Vec<String> = (0..20).map(|i| format!("module.l{i}.w")).collect();
        let text = report(Path::new("w.st"), &many, &list(&["encoder.l0.w"]), &[], &list(&["names = \"module\""]));
        for part in [
            "w.st: the weights",
            "missing in the file (1): encoder.l0.w",
            "names in the file (20): module.l0.w, ",
            "and 12 more",
            "every name in the file begins with `module.`",
            "help: names = \"module\"",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
        assert!(!text.contains("not in the graph") && !text.contains("none"));
    }
}
