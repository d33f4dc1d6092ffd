//! Reads pickles of protocols 0 to 5 into [`Values`]. Nothing is imported, called or executed: a call stays a name with arguments. Each opcode
//! makes at most one node and every length is compared with the bytes that are there, so memory is bounded by the pickle's size.

use std::collections::HashMap;

use anyhow::{bail, ensure, Context, Result};

use super::value::{Id, Node, Values};

/// Values of one pickle. A checkpoint with optimiser state has some thousands.
const NODES: usize = 2_000_000;
/// Classes and functions that one pickle names, and the length of such a name.
const GLOBALS: usize = 10_000;
const NAME: usize = 1000;

/// Classes that are dictionaries, whatever else they do.
const DICTS: [&str; 4] = ["collections.OrderedDict", "collections.defaultdict", "builtins.dict", "__builtin__.dict"];

/// Reads the pickle at the start of `bytes`: its value, and how many bytes it has.
pub fn read(bytes: &[u8]) -> Result<(Values, usize)> {
    let mut machine = Machine { bytes, ..Machine::default() };
    loop {
        let at = machine.at;
        let [code] = *machine.array::<1>()?;
        if code == b'.' {
            break;
        }
        machine.step(code).with_context(|| format!("the pickle's opcode {} at byte {at}", printed(code)))?;
    }
    machine.values.root = machine.pop().context("the pickle's end")?;
    Ok((machine.values, machine.at))
}

fn printed(code: u8) -> String {
    if code.is_ascii_graphic() {
        format!("`{}`", code as char)
    } else {
        format!("0x{code:02x}")
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Values,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Of the globals.
    numbers: HashMap<String, u32>,
    /// Items that calls took over from lists.
    copied: usize,
}

impl<'a> Machine<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let left = &self.bytes[self.at..];
        let Some(taken) = left.get(..length) else {
            bail!("the pickle is truncated: {length} bytes are needed at byte {}, and {} are left", self.at, left.len());
        };
        self.at += length;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        Ok(self.take(N)?.first_chunk().expect("as many as were taken"))
    }
    fn length1(&mut self) -> Result<usize> {
        Ok(usize::from(self.array::<1>()?[0]))
    }
    fn length4(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(*self.array()?) as usize)
    }
    fn length8(&mut self) -> Result<usize> {
        usize::try_from(u64::from_le_bytes(*self.array()?)).context("a length beyond what memory can hold")
    }
    /// Text up to the next line end.
    fn line(&mut self) -> Result<&'a str> {
        let left = &self.bytes[self.at..];
        let end = left.iter().position(|b| *b == b'\n').context("the pickle is truncated within a line")?;
        self.at += end + 1;
        std::str::from_utf8(&left[..end]).context("a line that is not UTF-8")
    }
    fn text(&mut self, length: usize) -> Result<()> {
        let bytes = self.take(length)?;
        self.push(Node::Text(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn push(&mut self, node: Node) -> Result<()> {
        ensure!(self.values.nodes.len() < NODES, "a pickle of more than {NODES} values");
        self.stack.push(self.values.nodes.len() as Id);
        self.values.nodes.push(node);
        Ok(())
    }
    /// The stack does not go below the last mark.
    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        ensure!(self.stack.len() > floor, "it needs a value, and the stack is empty");
        Ok(self.stack.pop().expect("it is not empty"))
    }
    fn top(&mut self) -> Result<Id> {
        let top = self.pop()?;
        self.stack.push(top);
        Ok(top)
    }
    /// All values above the last mark.
    fn marked(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().context("it needs a mark, and there is none")?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, index: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }
    fn recall(&mut self, index: u32) -> Result<()> {
        let id = *self.memo.get(&index).with_context(|| format!("memo {index} is empty"))?;
        ensure!(self.stack.len() < NODES, "a stack of more than {NODES} values");
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let full = format!("{module}.{name}");
        ensure!(full.len() <= NAME, "the name of a class is longer than {NAME} bytes");
        let number = match self.numbers.get(&full) {
            Some(number) => *number,
            None => {
                let number = self.values.globals.len();
                ensure!(number < GLOBALS, "the pickle names more than {GLOBALS} classes");
                self.values.globals.push(full.clone());
                self.numbers.insert(full, number as u32);
                number as u32
            }
        };
        self.push(Node::Global(number))
    }
    /// A call of `class`: a name and arguments.
    fn object(&mut self, class: Id, args: Id) -> Result<()> {
        if !self.values.global(class).is_some_and(|name| DICTS.contains(&name)) {
            return self.push(Node::Object { class, args, state: None });
        }
        // Python 2 gives the items as a list of pairs
        let mut items = Vec::new();
        for list in self.values.list(args).unwrap_or_default() {
            for pair in self.values.list(*list).unwrap_or_default() {
                if let Some([key, value]) = self.values.list(*pair) {
                    items.push((*key, *value));
                }
            }
        }
        // one list may be the argument of many calls
        self.copied += items.len();
        ensure!(self.copied <= NODES, "a pickle of more than {NODES} values");
        self.push(Node::Dict(items))
    }
    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let list = self.top()?;
        if let Some(Node::List(own)) = self.values.nodes.get_mut(list as usize) {
            own.extend(items);
        }
        Ok(())
    }
    fn set_items(&mut self, items: Vec<Id>) -> Result<()> {
        let pairs = Self::pairs(&items)?;
        let dict = self.top()?;
        if let Some(Node::Dict(own)) = self.values.nodes.get_mut(dict as usize) {
            own.extend(pairs);
        }
        Ok(())
    }
    fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>> {
        ensure!(items.len().is_multiple_of(2), "a key without a value");
        Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }
    fn tuple(&mut self, length: usize) -> Result<()> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        items.reverse();
        self.push(Node::List(items))
    }

    fn step(&mut self, code: u8) -> Result<()> {
        match code {
            0x80 => {
                let [version] = *self.array::<1>()?;
                ensure!(version <= 5, "the pickle has protocol {version}; 0 to 5 are read");
            }
            0x95 => drop(self.length8()?),
            b'(' => {
                ensure!(self.marks.len() < NODES, "more than {NODES} marks");
                self.marks.push(self.stack.len());
            }
            // a mark is taken like a value
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => {
                let top = self.top()?;
                ensure!(self.stack.len() < NODES, "a stack of more than {NODES} values");
                self.stack.push(top);
            }
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'I' => match self.line()? {
                "00" => self.push(Node::Bool(false))?,
                "01" => self.push(Node::Bool(true))?,
                text => self.integer(text)?,
            },
            b'L' => {
                let line = self.line()?;
                self.integer(line.trim_end_matches('L'))?;
            }
            b'J' => {
                let number = i32::from_le_bytes(*self.array()?);
                self.push(Node::Int(number.into()))?;
            }
            b'K' => {
                let [number] = *self.array::<1>()?;
                self.push(Node::Int(number.into()))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(*self.array()?);
                self.push(Node::Int(number.into()))?;
            }
            0x8a => {
                let length = self.length1()?;
                self.long(length)?;
            }
            0x8b => {
                let length = self.length4()?;
                self.long(length)?;
            }
            b'F' => {
                let number = self.line()?.parse().context("not a number")?;
                self.push(Node::Float(number))?;
            }
            b'G' => {
                let number = f64::from_be_bytes(*self.array()?);
                self.push(Node::Float(number))?;
            }
            b'S' => {
                let line = self.line()?;
                let text = line.trim_matches(['\'', '"']).to_string();
                self.push(Node::Text(text))?;
            }
            b'V' => {
                let text = self.line()?.to_string();
                self.push(Node::Text(text))?;
            }
            b'T' | b'X' => {
                let length = self.length4()?;
                self.text(length)?;
            }
            b'U' | 0x8c => {
                let length = self.length1()?;
                self.text(length)?;
            }
            0x8d => {
                let length = self.length8()?;
                self.text(length)?;
            }
            b'B' | b'C' | 0x8e | 0x96 => {
                let length = match code {
                    b'B' => self.length4()?,
                    b'C' => self.length1()?,
                    _ => self.length8()?,
                };
                self.take(length)?;
                self.push(Node::Bytes(length))?;
            }
            b']' | b')' | 0x8f => self.push(Node::List(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'l' | b't' | 0x91 => {
                let items = self.marked()?;
                self.push(Node::List(items))?;
            }
            b'd' => {
                let items = self.marked()?;
                self.push(Node::Dict(Self::pairs(&items)?))?;
            }
            0x85..=0x87 => self.tuple(usize::from(code - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.marked()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.marked()?;
                self.set_items(items)?;
            }
            b'g' => {
                let index = self.index()?;
                self.recall(index)?;
            }
            b'h' => {
                let [index] = *self.array::<1>()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(*self.array()?);
                self.recall(index)?;
            }
            b'p' => {
                let index = self.index()?;
                self.remember(index)?;
            }
            b'q' => {
                let [index] = *self.array::<1>()?;
                self.remember(index.into())?;
            }
            b'r' => {
                let index = u32::from_le_bytes(*self.array()?);
                self.remember(index)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let word = |id| self.values.text(id).map(String::from).context("the name of a class that is not text");
                let (module, name) = (word(module)?, word(name)?);
                self.global(&module, &name)?;
            }
            b'R' | 0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.object(class, args)?;
            }
            0x92 => {
                let (_named, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.object(class, args)?;
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                let args = self.marked()?;
                self.global(module, name)?;
                let class = self.pop()?;
                self.called(class, args)?;
            }
            b'o' => {
                let mut args = self.marked()?;
                ensure!(!args.is_empty(), "an object without a class");
                let class = args.remove(0);
                self.called(class, args)?;
            }
            b'b' => {
                let state = self.pop()?;
                let top = self.top()?;
                // what OrderedDict has beside its items, as state dicts their `_metadata`, is left out
                if let Some(Node::Object { state: own, .. }) = self.values.nodes.get_mut(top as usize) {
                    *own = Some(state);
                }
            }
            b'P' => {
                let line = self.line()?.to_string();
                self.push(Node::Text(line))?;
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            // buffers within the pickle are read-only, which changes nothing here
            0x98 => {}
            _ => bail!("it is unknown: torch writes no such pickle"),
        }
        Ok(())
    }

    fn called(&mut self, class: Id, args: Vec<Id>) -> Result<()> {
        self.push(Node::List(args))?;
        let args = self.pop()?;
        self.object(class, args)
    }
    fn index(&mut self) -> Result<u32> {
        self.line()?.parse().context("not the number of a memo")
    }
    fn integer(&mut self, text: &str) -> Result<()> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        ensure!(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()), "not an integer");
        self.push(text.parse().map_or(Node::Large, Node::Int))
    }
    /// A two's complement integer of any length.
    fn long(&mut self, length: usize) -> Result<()> {
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        match whole.get_mut(..length) {
            Some(own) => own.copy_from_slice(bytes),
            None => return self.push(Node::Large),
        }
        self.push(Node::Int(i64::from_le_bytes(whole)))
    }
}
