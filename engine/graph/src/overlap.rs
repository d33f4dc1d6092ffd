//! Videos that a graph both trains on and tests with, or searches and searches for: notes, since a graph may mean it.

use crate::data::behind;
use crate::fault::Faults;
use crate::kind::Source;
use crate::plan::{NodePlan, Plan};
use crate::sample::epoch::Rows;
use anyhow::Result;
use dv_datasets::overlap::{items, same_files, shared, two_classes, two_classes_line};
use std::collections::{BTreeSet, HashMap};

/// What a stage reads of a set.
pub(crate) struct Read<'p> {
    pub source: Source,
    pub rows: Rows,
    pub node: &'p NodePlan,
}

/// Compares what training stages read with what the others read, and tables that a kind keeps apart with each other. Galleries are not
/// compared with training: what is searched is mostly what was trained on. Each finding is reported once.
pub(crate) fn note_overlaps(plan: &Plan, read: &HashMap<&str, Read>, faults: &mut Faults) {
    let mut notes = Notes { told: BTreeSet::new(), faults };
    let mut galleries = BTreeSet::new();
    let mut pairs = Vec::new();
    for stage in &plan.stages {
        for node in &stage.nodes {
            let Some(apart) = node.kind.apart() else { continue };
            let sources = apart.map(|name| {
                let from = &node.inputs.iter().find(|input| input.name == name)?.from;
                behind(plan, stage, from).map(|(stage, ..)| stage.name.as_str())
            });
            let [Some(searched), Some(sought)] = sources else { continue };
            galleries.insert(searched);
            pairs.push((node, searched, sought));
        }
    }
    let mut sets = BTreeSet::new();
    for stage in &plan.stages {
        let Some(own) = read.get(stage.name.as_str()) else { continue };
        if sets.insert(&own.source.set) {
            let lines = two_classes(&own.rows.set).map(|videos| two_classes_line(&videos).into_iter().collect());
            notes.add(own.node, lines, &own.source.set);
        }
        if stage.trains() || galleries.contains(stage.name.as_str()) {
            continue;
        }
        for trained in plan.stages.iter().filter(|stage| stage.trains()).filter_map(|stage| read.get(stage.name.as_str())) {
            if (&trained.source.set, &trained.source.split) != (&own.source.set, &own.source.split) {
                notes.compare(own.node, trained, own, [&trained.source.split, &own.source.split]);
            }
        }
    }
    for (node, searched, sought) in pairs {
        let (Some(searched), Some(sought)) = (read.get(searched), read.get(sought)) else { continue };
        let names = [searched.source.split.as_str(), sought.source.split.as_str()];
        notes.compare(node, searched, sought, if names[0] == names[1] { ["the gallery", "the queries"] } else { names });
    }
}

struct Notes<'f> {
    told: BTreeSet<String>,
    faults: &'f mut Faults,
}

impl Notes<'_> {
    /// Notes what two reads share; of two sets only the files themselves can be the same.
    fn compare(&mut self, at: &NodePlan, first: &Read, second: &Read, names: [&str; 2]) {
        let one = first.source.set == second.source.set;
        let set = if one { first.source.set.clone() } else { format!("{}` and `{}", first.source.set, second.source.set) };
        let both = items(&first.rows.set, &first.rows.videos).and_then(|a| Ok((a, items(&second.rows.set, &second.rows.videos)?)));
        let found = both.map(|(a, b)| if one { shared(a, b) } else { same_files(a, b) });
        self.add(at, found.map(|shared| shared.lines(names[0], names[1])), &set);
    }

    fn add(&mut self, at: &NodePlan, lines: Result<Vec<String>>, set: &str) {
        let lines = match lines {
            Ok(lines) => lines,
            Err(e) => {
                let message = format!("the packed set `{set}`: {e:#}");
                if self.told.insert(message.clone()) {
                    self.faults.add("wrong-set", at.at, message);
                }
                return;
            }
        };
        let message = format!("set `{set}`: {}", lines.join("; "));
        if !lines.is_empty() && self.told.insert(message.clone()) {
            self.faults
                .note("overlap", at.at, message)
                .help("figures on such videos are too good; where it is not meant, correct the lists and pack again");
        }
    }
}
