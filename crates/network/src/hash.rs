//! Structural hash: equal for networks that differ only in names and in the order of declaration.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::canonical::Canonical;
use crate::error::Result;
use crate::graph::Graph;
use crate::model::ModelSpec;

/// 128-bit digest of a network's structure. Printed and stored as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StructuralHash([u8; 16]);

impl StructuralHash {
    /// The bits.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for StructuralHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).expect("invariant: hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for StructuralHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Error for a text that is no [`StructuralHash`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is `{0}`, want 32 hexadecimal digits")]
pub struct NoHash(String);

impl FromStr for StructuralHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let wrong = || NoHash(text.to_owned());
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let bits = u128::from_str_radix(text, 16).map_err(|_| wrong())?;
        Ok(Self(bits.to_be_bytes()))
    }
}

impl Serialize for StructuralHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StructuralHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for StructuralHash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StructuralHash".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F]{32}$" })
    }
}

impl ModelSpec {
    /// Returns a hash of the structure: each layer's operation with all of its configuration, and the connections.
    /// Initializers and quantizers count, since they change the course of training.
    ///
    /// Names of layers, the model's name, the order of declaration and facts do not count; nor does the order of the
    /// inputs of `add` and `multiply`. The order of the inputs of `subtract` and `concat` and of the network's outputs
    /// does. Two identical layers side by side are not one layer that is used twice.
    ///
    /// It is the first half of the SHA-256 of the canonical form ([`ModelSpec::canonical`]): for each layer the length
    /// and the bytes of its kind and configuration as compact JSON, the number of its inputs and their numbers; then the
    /// number of outputs and theirs; all counts as 32 bits, little-endian.
    ///
    /// # Errors
    /// [`crate::NetworkError::Invalid`] if the specification is no network.
    pub fn structural_hash(&self) -> Result<StructuralHash> {
        Ok(StructuralHash::of(self, &self.graph()?))
    }
}

impl StructuralHash {
    /// [`ModelSpec::structural_hash`] of `spec`, resolved as `graph`.
    #[must_use]
    pub fn of(spec: &ModelSpec, graph: &Graph) -> Self {
        let canonical = Canonical::of(spec, graph);
        let mut digest = Sha256::new();
        let count = |n: usize| {
            u32::try_from(n).expect("invariant: a network has fewer than 2^32 layers").to_le_bytes()
        };
        for layer in &canonical.layers {
            digest.update(count(layer.label.len()));
            digest.update(&layer.label);
            digest.update(count(layer.inputs.len()));
            for &input in &layer.inputs {
                digest.update(count(input));
            }
        }
        digest.update(count(canonical.outputs.len()));
        for &output in &canonical.outputs {
            digest.update(count(output));
        }
        let bytes = digest.finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&bytes[..16]);
        Self(half)
    }
}
