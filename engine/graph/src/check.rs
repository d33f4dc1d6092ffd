//! From a graph file to a plan: every fault on the way is told, none stops the others.

pub use crate::data::check_data;
use crate::fault::Faults;
use crate::kind::Library;
use crate::merge::Setting;
use crate::plan::Plan;
use crate::source::Sources;
use crate::sweep::{self, Swept};
use std::path::Path;

/// The outcome of reading a graph: the texts, the faults, and the plan where there is no fault.
pub struct Checked {
    pub sources: Sources,
    pub faults: Faults,
    pub plan: Option<Plan>,
    /// The names of a sweep's points; empty where the graph is none.
    pub points: Vec<String>,
}

/// Reads and checks a graph file. Nothing heavy is built or opened.
///
/// Of a sweep ([`sweep::check`]) the faults of all points are told, and the plan is that of the point which is
/// named, or of the first; there is none where no point has the name.
pub fn check(path: &Path, settings: &[Setting], library: &Library, point: Option<&str>) -> Checked {
    let Swept { sources, faults, points, at, .. } = sweep::check(path, settings, library);
    let names = points.iter().filter(|_| at.is_some()).map(|p| p.name.clone()).collect();
    let mut plans = points.into_iter().filter(|p| point.is_none_or(|name| at.is_some() && p.name == name)).map(|p| p.plan);
    Checked { sources, plan: plans.next().filter(|_| faults.is_empty()), faults, points: names }
}
