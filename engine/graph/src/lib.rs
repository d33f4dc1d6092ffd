//! The graph language (parse, merge, check, plan) and the sample plane with its scheduler. No libtorch here.

pub mod check;
pub mod de;
pub mod docs;
pub mod draw;
pub mod edges;
pub mod experiment;
pub mod fault;
pub mod group;
pub mod infer;
pub mod kind;
pub mod layer;
pub mod live;
pub mod merge;
pub mod plan;
pub mod port;
pub mod sample;
pub mod setting;
pub mod settings;
pub mod show;
pub use sample::host;
pub mod source;
pub mod stage;
pub mod tree;
mod values;
