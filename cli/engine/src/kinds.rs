//! The kinds that a graph may name here: the node library's, and those of the program's own.

use anyhow::{bail, Result};
use dv_graph::kind::Library;
use dv_train::exec::batch::NodeEntry;
use dv_train::exec::executor::Registry;

pub struct Kinds {
    own: &'static [NodeEntry],
}

impl Kinds {
    /// A kind of one's own has a name of its own: a graph means the same thing in every dv that reads it.
    pub fn with(own: &'static [NodeEntry]) -> Result<Kinds> {
        for (i, entry) in own.iter().enumerate() {
            let name = entry.graph.name;
            if dv_nodes::entries().chain(&own[..i]).any(|e| e.graph.name == name) {
                bail!("two kinds are called `{name}`: rename your own");
            }
        }
        Ok(Kinds { own })
    }
    fn entries(&self) -> impl Iterator<Item = &'static NodeEntry> {
        dv_nodes::entries().chain(self.own)
    }
    /// What the check asks.
    pub fn library(&self) -> Library {
        Library::new(self.entries().map(|e| &e.graph))
    }
    /// How they run.
    pub fn registry(&self) -> Registry {
        Registry::new(self.entries())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_is_refused() {
        assert!(Kinds::with(&[]).is_ok());
        let taken = dv_nodes::NODES[0];
        let told = Kinds::with(taken).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(told.contains("two kinds are called `source/shards`"), "{told}");
    }
}
