//! Names of a state dict: prefixes of wrappers, and where a backbone lies.

use std::collections::{BTreeMap, BTreeSet};

/// What `torch.nn.DataParallel` and `DistributedDataParallel` put before every name.
pub const PARALLEL: &str = "module.";
/// How the names of a backbone's first layers begin, in the published code and torchvision.
const FIRST: [&str; 5] = ["conv1.", "Conv_1a.", "block1.0.", "stem.", "features."];

/// Whether every name begins with `module.`.
pub fn is_parallel<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    let first = names.next().is_some_and(|name| name.starts_with(PARALLEL));
    first && names.all(|name| name.starts_with(PARALLEL))
}

/// The paths below which backbones lie, as `names` in a graph has them; `""` is the root.
pub fn backbones<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for name in names {
        for first in FIRST {
            let below = |at: &usize| *at == 0 || name.as_bytes()[at - 1] == b'.';
            if let Some((at, _)) = name.match_indices(first).find(|(at, _)| below(at)) {
                found.insert(name[..at].trim_end_matches('.').to_string());
            }
        }
    }
    let outer = |path: &String| {
        let within =
            |other: &String| other != path && (other.is_empty() || path.strip_prefix(other.as_str()).is_some_and(|r| r.starts_with('.')));
        !found.iter().any(within)
    };
    found.iter().filter(|path| outer(path)).cloned().collect()
}

/// Counters of batch norm that files of old PyTorch lack: each stands beside a `running_mean`.
pub fn missing_counters<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    const COUNTER: &str = "num_batches_tracked";
    let all: BTreeSet<&str> = names.clone().collect();
    let wanted = names.filter_map(|name| name.strip_suffix("running_mean")).filter(|path| path.is_empty() || path.ends_with('.'));
    wanted.map(|path| format!("{path}{COUNTER}")).filter(|name| !all.contains(name.as_str())).collect()
}

/// Tensors and elements below each first part of the names.
pub fn groups<'a>(tensors: impl Iterator<Item = (&'a str, u64)>) -> Vec<(String, usize, u64)> {
    let mut order = Vec::new();
    let mut sums: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for (name, count) in tensors {
        let group = name.split('.').next().unwrap_or(name);
        let sum = sums.entry(group).or_insert_with(|| {
            order.push(group);
            (0, 0)
        });
        *sum = (sum.0 + 1, sum.1.saturating_add(count));
    }
    order.into_iter().map(|group| (group.to_string(), sums[group].0, sums[group].1)).collect()
}
