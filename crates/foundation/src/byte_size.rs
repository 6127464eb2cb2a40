//! Memory sizes as people write them: `8 KiB`, `64KiB`, `2048`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// A number of bytes, at least 1.
///
/// Parses a plain number or a number with a unit, in any case: `B`; `K`, `KiB`, `M`, `MiB`, `G`, `GiB` (powers of 1,024);
/// `kB`, `MB`, `GB` (powers of 1,000).
///
/// ```
/// use tinsmith_foundation::ByteSize;
///
/// assert_eq!("64KiB".parse(), Ok(ByteSize(65_536)));
/// assert_eq!(ByteSize(65_536).to_string(), "64 KiB");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Units and their factors. Longer suffixes come first, because `kib` also ends in `b`.
const UNITS: [(&str, u64); 10] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("b", 1),
];

/// A text that is not a memory size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size, want bytes such as 8192, 8KiB or 1.5MiB")]
pub struct ParseSizeError(String);

impl FromStr for ByteSize {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let wrong = || ParseSizeError(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let found =
            UNITS.iter().find_map(|(unit, factor)| Some((lower.strip_suffix(unit)?.trim_end(), *factor)));
        let (number, factor) = found.unwrap_or((lower.as_str(), 1));
        let value: f64 = number.parse().map_err(|_| wrong())?;
        let bytes = value * factor as f64;
        if (1.0..=1e15).contains(&bytes) { Ok(Self(bytes.round() as u64)) } else { Err(wrong()) }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b if b >= 1 << 20 && b.is_multiple_of(1 << 20) => write!(f, "{} MiB", b >> 20),
            b if b >= 1 << 10 && b.is_multiple_of(1 << 10) => write!(f, "{} KiB", b >> 10),
            b => write!(f, "{b} B"),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a [`ByteSize`] from a number or a text.
struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size in bytes such as 8192 or 8KiB")
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<ByteSize, E> {
        if v == 0 { Err(E::invalid_value(de::Unexpected::Unsigned(v), &self)) } else { Ok(ByteSize(v)) }
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<ByteSize, E> {
        v.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes, or a text with a unit such as 8KiB.",
            "oneOf": [{ "type": "integer", "minimum": 1 }, { "type": "string" }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_and_print() {
        for (text, bytes, shown) in [
            ("8192", 8192, "8 KiB"),
            ("8KiB", 8192, "8 KiB"),
            ("64 k", 65536, "64 KiB"),
            ("1.5 MiB", 1_572_864, "1536 KiB"),
            ("100 kB", 100_000, "100000 B"),
            ("7b", 7, "7 B"),
            ("2G", 2 << 30, "2048 MiB"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size, ByteSize(bytes), "{text}");
            assert_eq!(size.to_string(), shown);
            assert_eq!(shown.parse(), Ok(size));
        }
        for text in ["", "KiB", "-1", "0", "8 GiX", "nan", "inf"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
