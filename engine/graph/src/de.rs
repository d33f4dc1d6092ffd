//! serde over a [`tree`](crate::tree): errors know the value that they are about.

use crate::source::At;
use crate::tree::{Item, Table, Value};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use std::fmt;

#[derive(Debug)]
pub struct Error {
    pub at: Option<At>,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Error {}
impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error { at: None, message: message.to_string() }
    }
}

impl Error {
    fn or_at(mut self, at: At) -> Error {
        self.at.get_or_insert(at);
        self
    }
}

impl<'de> de::Deserializer<'de> for &'de Item {
    type Error = Error;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::String(s) => visitor.visit_borrowed_str(s),
            Value::Integer(i) => visitor.visit_i64(*i),
            Value::Float(f) => visitor.visit_f64(*f),
            Value::Boolean(b) => visitor.visit_bool(*b),
            Value::Array(a) => visitor.visit_seq(Elements(a.iter())),
            Value::Table(t) => visitor.visit_map(Pairs { iter: t.0.iter(), value: None }),
        }
        .map_err(|e| e.or_at(self.at))
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.value {
            Value::String(s) => visitor.visit_enum(s.as_str().into_deserializer()),
            Value::Table(_) => de::Deserializer::deserialize_enum(Pairs::of(self), name, variants, visitor),
            _ => Err(de::Error::custom(format!("{} where one of {} was expected", self.type_name(), variants.join(", ")))),
        }
        .map_err(|e: Error| e.or_at(self.at))
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Elements<'de>(std::slice::Iter<'de, Item>);

impl<'de> de::SeqAccess<'de> for Elements<'de> {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|item| seed.deserialize(item)).transpose()
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Pairs<'de> {
    iter: indexmap::map::Iter<'de, String, crate::tree::Entry>,
    value: Option<&'de Item>,
}

impl<'de> Pairs<'de> {
    fn of(item: &'de Item) -> de::value::MapAccessDeserializer<Pairs<'de>> {
        let table = item.as_table().expect("called for tables");
        de::value::MapAccessDeserializer::new(Pairs { iter: table.0.iter(), value: None })
    }
}

impl<'de> de::MapAccess<'de> for Pairs<'de> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, entry)) = self.iter.next() else { return Ok(None) };
        self.value = Some(&entry.item);
        let key_de: de::value::StrDeserializer<'_, Error> = key.as_str().into_deserializer();
        seed.deserialize(key_de).map(Some).map_err(|e| e.or_at(entry.key))
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let item = self.value.take().ok_or_else(|| de::Error::custom("a value was asked for before its key"))?;
        seed.deserialize(item).map_err(|e| e.or_at(item.at))
    }
}

/// Deserialises a table's entries as one struct.
pub fn from_table<T: de::DeserializeOwned>(table: &Table) -> Result<T, Error> {
    T::deserialize(de::value::MapAccessDeserializer::new(Pairs { iter: table.0.iter(), value: None }))
}
