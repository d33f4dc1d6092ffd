//! The node library: one node a file, in families. A family's list stands in its `mod.rs`, a line for each node.

/// The modules of a family and the list of its entries. A line says how a node runs, its file and its type: `both mirror::Mirror`.
macro_rules! family {
    ($($runs:ident $file:ident::$kind:ident,)*) => {
        $(pub mod $file;)*
        pub static NODES: &[dv_train::exec::batch::NodeEntry] = &[$(dv_train::exec::batch::NodeEntry::$runs::<$file::$kind>()),*];
    };
}

pub mod backbone;
pub mod batch;
pub mod clip;
pub mod collect;
pub mod evaluate;
pub mod flow;
pub mod head;
pub mod limits;
pub mod loss;
pub mod memory;
pub mod order;
pub mod pixels;
pub mod ports;
pub mod prelude;
pub mod source;
pub mod testing;
pub mod view;

#[cfg(test)]
mod contract;
#[cfg(test)]
use dv_tests::parity;

use dv_graph::kind::Library;
use dv_train::exec::batch::NodeEntry;

/// All families, in the order in which a graph usually meets them.
pub static NODES: &[&[NodeEntry]] = &[
    source::NODES,
    clip::NODES,
    view::NODES,
    batch::NODES,
    order::NODES,
    flow::NODES,
    backbone::NODES,
    head::NODES,
    memory::NODES,
    loss::NODES,
    collect::NODES,
    evaluate::NODES,
];

pub fn entries() -> impl Iterator<Item = &'static NodeEntry> {
    NODES.iter().copied().flatten()
}

/// The kinds that a graph may name.
pub fn library() -> Library {
    Library::new(entries().map(|e| &e.graph))
}
