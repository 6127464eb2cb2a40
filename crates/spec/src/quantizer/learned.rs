//! Quantizers with parameters of their own that training changes, as text: `learned_bits(6.0,per='weight')`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::Parameter;
use super::grammar::{self, Argument, Call, GrammarError};

/// Which values share a learned parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// All of a tensor.
    Tensor,
    /// Those with the same index along this axis.
    Axis(u32),
    /// None: each has its own.
    #[default]
    Weight,
}

impl Parameter for Sharing {
    fn read(argument: &Argument) -> Result<Self, &'static str> {
        match (argument.as_word(), argument.as_integer()) {
            (Some("tensor"), _) => Ok(Self::Tensor),
            (Some("weight"), _) => Ok(Self::Weight),
            (_, Some(axis)) => u32::try_from(axis).map(Self::Axis).map_err(|_| WANTED),
            _ => Err(WANTED),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor => f.write_str("'tensor'"),
            Self::Axis(axis) => write!(f, "{axis}"),
            Self::Weight => f.write_str("'weight'"),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Tensor => Value::from("tensor"),
            Self::Axis(axis) => Value::from(*axis),
            Self::Weight => Value::from("weight"),
        }
    }
}

const WANTED: &str = "'tensor', 'weight' or the number of an axis";

quantizers! {
    /// The kind and the settings of a quantizer with parameters of its own.
    LearnedQuantizer:
    /// LSQ: the step between levels is trained.
    LearnedStep = "learned_step" {
        /// Bits in all, 2..=24.
        bits: u32 = 4,
        /// Whether negative values are kept.
        signed: bool = true,
        /// The axis that has a step for each index; one step for the tensor where None.
        axis: Option<u32> = None,
    }
    /// PACT: the upper end of a rectifier is trained.
    Pact = "pact" {
        /// Bits in all, 1..=24.
        bits: u32 = 4,
    }
    /// HGQ: the number of bits behind the point is trained.
    LearnedBits = "learned_bits" {
        /// Bits behind the point to begin with, -23 to 23.
        fractional: f64 = 6.0,
        /// Which values share a number of bits.
        per: Sharing = Sharing::Weight,
    }
}

impl Serialize for LearnedQuantizer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LearnedQuantizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: GrammarError| de::Error::custom(error.in_text(&text)))
    }
}
