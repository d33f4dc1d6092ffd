//! What is declared of one port.

use crate::port::Type;

/// A port as its struct declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub holds: Holds,
    pub presence: Presence,
    /// Space-separated lengths, `3 T H W`; equal names are equal lengths; `...` at the beginning or the end is any number of lengths.
    pub shape: &'static str,
    pub doc: &'static str,
    /// Of an index, or of a table with labels: the length, by its name in the declared shapes, that it counts along. Labels count the
    /// classes: there must be as many.
    pub counts: Option<&'static str>,
    /// Of an index: it lies in `0..range`; a number, a length of the inputs, a setting, or a name for what the data knows.
    pub range: Option<&'static str>,
    /// Of an output: a random draw of the node. It is shown here, and an optional input of the same name reuses one.
    pub draw: bool,
}

/// The type of a port, by the name that a plane gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Video,
    Bytes,
    Pixels,
    Any,
    Float,
    Index,
    Scalar,
    Whole,
    Table,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Required,
    /// An input that may be left open; an output that is there by the settings, or where something reads it.
    Optional,
    /// Any number of inputs under names that the graph chooses.
    Many,
}

impl Field {
    /// What an input accepts.
    pub fn types(&self) -> &'static [Type] {
        match self.holds {
            Holds::Video => &[Type::Video],
            Holds::Bytes => &[Type::Bytes],
            Holds::Pixels => &[Type::Bytes, Type::Float],
            Holds::Any => &[Type::Bytes, Type::Float, Type::Index],
            Holds::Float | Holds::Scalar | Holds::Whole => &[Type::Float],
            Holds::Index => &[Type::Index],
            Holds::Table => &[Type::Table],
        }
    }
    pub fn optional(&self) -> bool {
        self.presence == Presence::Optional
    }
    pub fn many(&self) -> bool {
        self.presence == Presence::Many
    }
    /// Where a length of that name stands in a shape of `rank` lengths.
    pub(crate) fn place(&self, length: &str, rank: usize) -> Option<usize> {
        let words: Vec<&str> = self.shape.split_whitespace().collect();
        let at = words.iter().position(|w| *w == length)?;
        // of an open beginning, from the end
        let place = if words[0] == "..." { (rank + at).checked_sub(words.len())? } else { at };
        (place < rank).then_some(place)
    }
}

/// Most outputs and draws of one kind.
const MOST: usize = 24;

const NONE: Field =
    Field { name: "", holds: Holds::Float, presence: Presence::Required, shape: "", doc: "", counts: None, range: None, draw: false };

/// Outputs, then draws, in one list, and its length.
pub const fn joined(outputs: &[Field], draws: &[Field]) -> ([Field; MOST], usize) {
    assert!(outputs.len() + draws.len() <= MOST, "a kind has more than 24 outputs and draws");
    let (mut all, mut i) = ([NONE; MOST], 0);
    while i < outputs.len() + draws.len() {
        all[i] = if i < outputs.len() { outputs[i] } else { Field { draw: true, ..draws[i - outputs.len()] } };
        i += 1;
    }
    (all, i)
}
