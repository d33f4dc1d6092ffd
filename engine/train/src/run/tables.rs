//! Tables as tensors in files.

use crate::exec::batch::Table;
use anyhow::{ensure, Context, Result};
use dv_graph::draw::Sample;
use std::collections::BTreeMap;
use tch::Tensor;

/// A table as tensors: `rows` `[N, ...]`; where there are labels `label` `[N]`; `samples` and `groups`, the videos' paths and groups as UTF-8 bytes with
/// a zero byte between them, and `occurrences` `[N]` where a video comes more than once; of a table whose rows are positions in another table `of`, the
/// paths there.
pub(super) fn tensors_of(table: &Table) -> BTreeMap<String, Tensor> {
    let names = |names: Vec<&str>| Tensor::from_slice(names.join("\0").as_bytes());
    let paths = |samples: &[Sample]| names(samples.iter().map(|s| &*s.path).collect());
    let mut all = BTreeMap::from([
        ("samples".to_string(), paths(&table.samples)),
        ("groups".to_string(), names(table.samples.iter().map(|s| &*s.group).collect())),
        ("rows".to_string(), table.rows.shallow_clone()),
    ]);
    if table.samples.iter().any(|s| s.occurrence > 0) {
        let occurrences: Vec<i64> = table.samples.iter().map(|s| s.occurrence as i64).collect();
        all.insert("occurrences".into(), Tensor::from_slice(&occurrences));
    }
    if let Some(label) = &table.label {
        all.insert("label".into(), label.shallow_clone());
    }
    if let Some(of) = &table.of {
        all.insert("of".into(), paths(of));
    }
    all
}

pub(super) fn table_of(mut all: BTreeMap<String, Tensor>) -> Result<Table> {
    let mut names = |key: &str| -> Result<Vec<String>> {
        let bytes = Vec::<u8>::try_from(all.remove(key).with_context(|| format!("it has no `{key}`"))?)?;
        Ok(String::from_utf8(bytes).with_context(|| format!("`{key}` is not UTF-8"))?.split('\0').map(String::from).collect())
    };
    let (paths, groups) = (names("samples")?, names("groups")?);
    let of = names("of").ok().map(|of| of.iter().map(|path| Sample::new(path)).collect());
    let occurrences = match all.remove("occurrences") {
        Some(list) => Vec::<i64>::try_from(list)?,
        None => vec![0; paths.len()],
    };
    let rows = all.remove("rows").context("it has no `rows`")?;
    let n = rows.size().first().copied().unwrap_or(0) as usize;
    ensure!(paths.len() == n && groups.len() == n && occurrences.len() == n, "{n} rows, and {} samples", paths.len());
    let samples = paths.iter().zip(&groups).zip(occurrences);
    let samples =
        samples.map(|((path, group), o)| Sample { path: path.as_str().into(), group: group.as_str().into(), occurrence: o as u64 });
    Ok(Table { samples: samples.collect(), rows, label: all.remove("label"), of })
}
