//! What a pickle describes: nodes in one list, which refer to each other by number, so that a pickle may hold cycles.

/// A node's number.
pub type Id = u32;

/// A value. Classes and calls are names and arguments: nothing of them is ever run.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits.
    Large,
    Float(f64),
    Text(String),
    /// Bytes, of which only the number matters.
    Bytes(usize),
    /// Lists, tuples and sets.
    List(Vec<Id>),
    /// Dictionaries of any class.
    Dict(Vec<(Id, Id)>),
    /// By its number in [`Values::globals`].
    Global(u32),
    /// A call, or a new object of a class, with its arguments and the state that it was given.
    Object {
        class: Id,
        args: Id,
        state: Option<Id>,
    },
    /// What lies outside the pickle: a storage, a tensor.
    Persistent(Id),
}

/// A whole pickle.
#[derive(Debug, Default)]
pub struct Values {
    pub nodes: Vec<Node>,
    pub root: Id,
    /// The classes and functions that are named, each once, in order.
    pub globals: Vec<String>,
}

impl Values {
    pub fn node(&self, id: Id) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }
    /// A key or name as text; integers are such in pickles of old torch.
    pub fn name(&self, id: Id) -> Option<String> {
        match self.node(id) {
            Node::Text(text) => Some(text.clone()),
            Node::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }
    pub fn int(&self, id: Id) -> Option<i64> {
        match self.node(id) {
            Node::Int(number) => Some(*number),
            _ => None,
        }
    }
    pub fn list(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::List(items) => Some(items),
            _ => None,
        }
    }
    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.node(id) {
            Node::Dict(items) => Some(items),
            _ => None,
        }
    }
    pub fn global(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Global(number) => self.globals.get(*number as usize).map(String::as_str),
            _ => None,
        }
    }
    /// The value under a key of a dictionary; the last, where there are several.
    pub fn get(&self, dict: Id, key: &str) -> Option<Id> {
        self.dict(dict)?.iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, v)| *v)
    }
    /// A few words for what a value is.
    pub fn describe(&self, id: Id) -> String {
        match self.node(id) {
            Node::None => "None".into(),
            Node::Bool(b) => if *b { "True" } else { "False" }.into(),
            Node::Int(n) => n.to_string(),
            Node::Large => "a large integer".into(),
            Node::Float(x) => x.to_string(),
            Node::Text(text) if text.chars().count() <= 32 => format!("{text:?}"),
            Node::Text(_) => "a string".into(),
            Node::Bytes(n) => format!("{n} bytes"),
            Node::List(items) => format!("a list of {}", items.len()),
            Node::Dict(items) => format!("a dictionary of {}", items.len()),
            Node::Global(_) => format!("the class {}", self.global(id).unwrap_or_default()),
            Node::Object { class, .. } => match self.global(*class) {
                Some(name) => format!("an object of {name}"),
                None => "an object".into(),
            },
            Node::Persistent(_) => "a storage".into(),
        }
    }
}
