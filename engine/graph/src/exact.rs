//! Floating-point state in JSON, to the bit: `0x3fb999999999999a (0.1)`. Decimal numbers would lose infinities and NaN.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// The text of a number.
pub fn text(value: f64) -> String {
    format!("0x{:016x} ({value})", value.to_bits())
}

/// The number of a text; nothing of any other text.
pub fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix("0x")?.split(' ').next()?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok().map(f64::from_bits))?
}

pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&text(*value))
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let text = String::deserialize(from)?;
    number(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no number to the bit")))
}

/// The same of a number that may be absent.
pub mod optional {
    use super::{number, text};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        value.map(text).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        number(&text).map(Some).ok_or_else(|| D::Error::custom(format!("`{text}` is no number to the bit")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_comes_back() {
        for value in [0.0, -0.0, 0.1, f64::MIN_POSITIVE / 3.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(number(&text(value)).unwrap().to_bits(), value.to_bits());
        }
        for wrong in ["", "0.1", "0x", "0x12", "0x3fb999999999999g", "3fb999999999999a"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
