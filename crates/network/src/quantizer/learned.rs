//! Quantizers with trained parameters, as in `learned_bits(6.0,per='weight')`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::Parameter;
use super::grammar::{self, Argument, Call, GrammarError};

/// Granularity of a learned parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// One for the whole tensor.
    Tensor,
    /// One per index of this axis; -1, also read as `'channel'`, is the last.
    Axis(i32),
    /// One per element.
    #[default]
    Weight,
}

impl Parameter for Sharing {
    fn read(argument: &Argument) -> Result<Self, &'static str> {
        match (argument.as_word(), argument.as_integer()) {
            (Some("tensor"), _) => Ok(Self::Tensor),
            (Some("channel"), _) => Ok(Self::Axis(-1)),
            (Some("weight"), _) => Ok(Self::Weight),
            (_, Some(axis)) => i32::try_from(axis).map(Self::Axis).map_err(|_| WANTED),
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

const WANTED: &str = "'tensor', 'channel', 'weight' or the number of an axis";

quantizers! {
    /// Kind and settings of a quantizer with trained parameters.
    LearnedQuantizer:
    /// LSQ: a trained step size.
    LearnedStep = "learned_step" {
        /// Total bits, 2..=24.
        bits: u32 = 4,
        /// Keeps negative values.
        signed: bool = true,
        /// Axis with one step per index, -1 for the last; one step for the tensor if None.
        axis: Option<i32> = None,
    }
    /// PACT: a rectifier with a trained upper bound.
    Pact = "pact" {
        /// Total bits, 1..=24.
        bits: u32 = 4,
        /// Initial upper bound, above 0.
        upper: f64 = 10.0,
    }
    /// HGQ: a trained number of fractional bits.
    LearnedBits = "learned_bits" {
        /// Initial fractional bits, -23 to 23.
        fractional: f64 = 6.0,
        /// Granularity of the widths.
        per: Sharing = Sharing::Weight,
    }
}

impl LearnedQuantizer {
    /// Bits of one quantized value. For a learned width the initial one: fractional bits and a sign, at most 24. The trained
    /// width is in [`WeightFacts`](crate::WeightFacts).
    #[must_use]
    pub const fn bits(&self) -> u32 {
        match self {
            Self::LearnedStep(q) => q.bits,
            Self::Pact(q) => q.bits,
            Self::LearnedBits(q) => {
                // The cast saturates at 0, and adding a half first rounds to nearest.
                let behind = (q.fractional + 0.5) as u32;
                if behind < 23 { behind + 1 } else { 24 }
            }
        }
    }

    /// True if negative values can come out.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        match self {
            Self::LearnedStep(q) => q.signed,
            Self::Pact(_) => false,
            Self::LearnedBits(_) => true,
        }
    }

    /// Checks the ranges of the parameters.
    ///
    /// # Errors
    /// A message that names the parameter, its value and the accepted range.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            Self::LearnedStep(q) if !(2..=24).contains(&q.bits) => {
                Err(format!("bits is {}, want 2..=24", q.bits))
            }
            Self::Pact(q) if !(1..=24).contains(&q.bits) => Err(format!("bits is {}, want 1..=24", q.bits)),
            Self::Pact(q) if !(q.upper.is_finite() && q.upper > 0.0) => {
                Err(format!("upper is {:?}, want a number above 0", q.upper))
            }
            Self::LearnedBits(q) if !(-23.0..=23.0).contains(&q.fractional) => {
                Err(format!("fractional is {:?}, want -23 to 23", q.fractional))
            }
            _ => Ok(()),
        }
    }

    /// Granularity of the learned parameter.
    #[must_use]
    pub const fn sharing(&self) -> Sharing {
        match self {
            Self::LearnedStep(LearnedStep { axis: Some(axis), .. }) => Sharing::Axis(*axis),
            Self::LearnedStep(_) | Self::Pact(_) => Sharing::Tensor,
            Self::LearnedBits(q) => q.per,
        }
    }
}

impl Sharing {
    /// Number of parameters for a tensor of this shape; None if the axis does not exist.
    #[must_use]
    pub fn count(self, shape: &[usize]) -> Option<usize> {
        match self {
            Self::Tensor => Some(1),
            Self::Axis(axis) => shape.get(Self::place(axis, shape.len())?).copied(),
            Self::Weight => Some(shape.iter().product()),
        }
    }

    /// Index of `axis` from the front among `rank` axes; None if it does not exist.
    #[must_use]
    pub fn place(axis: i32, rank: usize) -> Option<usize> {
        let place = i64::from(axis) + if axis < 0 { rank as i64 } else { 0 };
        usize::try_from(place).ok().filter(|&place| place < rank)
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
