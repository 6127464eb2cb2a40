//! A parameter: its values, its domain, and the map between domain and unit interval.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Faults, Rng};

/// A value of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum ParamValue {
    /// No value; valid as a choice of a categorical parameter.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A string.
    Str(String),
}

impl ParamValue {
    /// Returns the number, integer or not.
    #[must_use]
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(i) => Some(*i as f64),
            Self::Float(x) => Some(*x),
            Self::Null | Self::Bool(_) | Self::Str(_) => None,
        }
    }

    /// Returns the integer.
    #[must_use]
    pub const fn as_i64(&self) -> Option<i64> {
        if let Self::Int(i) = self { Some(*i) } else { None }
    }

    /// Returns the string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(s) = self { Some(s) } else { None }
    }

    /// Returns the boolean.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(b) = self { Some(*b) } else { None }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Str(s) => f.write_str(s),
        }
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => { $(
        impl From<$from> for ParamValue {
            fn from(value: $from) -> Self { Self::$variant(value.into()) }
        }
    )* };
}
from!(bool => Bool, i64 => Int, i32 => Int, u32 => Int, f64 => Float, &str => Str, String => Str);

/// A candidate that is a parameter vector: values by name, in the order of the names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Params(pub BTreeMap<String, ParamValue>);

impl Params {
    /// Returns the value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ParamValue> {
        self.0.get(name)
    }

    /// Returns the number under `name`, integer or not.
    #[must_use]
    pub fn f64(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(ParamValue::as_f64)
    }

    /// Returns the integer under `name`.
    #[must_use]
    pub fn i64(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(ParamValue::as_i64)
    }

    /// Returns the string under `name`.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(ParamValue::as_str)
    }
}

impl<N: Into<String>, V: Into<ParamValue>> FromIterator<(N, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect())
    }
}

/// A continuous parameter between `low` and `high`, both included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FloatDomain {
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    /// Uniform in the logarithm; requires `low` > 0 and no step. Default false.
    #[serde(default)]
    pub log: bool,
    /// Restricts values to `low + k * step`. Default: any value.
    #[serde(default)]
    pub step: Option<f64>,
}

/// An integer parameter between `low` and `high`, both included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntDomain {
    /// Smallest value.
    pub low: i64,
    /// Largest value.
    pub high: i64,
    /// Uniform in the logarithm; requires `low` >= 1 and step 1. Default false.
    #[serde(default)]
    pub log: bool,
    /// Restricts values to `low + k * step`. Default 1.
    #[serde(default = "one")]
    pub step: i64,
}

const fn one() -> i64 {
    1
}

/// A parameter with a list of choices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CategoricalDomain {
    /// The choices, without repetition.
    pub choices: Vec<ParamValue>,
}

/// Domain of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Continuous numbers.
    Float(FloatDomain),
    /// Integers.
    Int(IntDomain),
    /// A list of choices.
    Categorical(CategoricalDomain),
}

impl Domain {
    /// Creates a continuous domain from `low` to `high`.
    #[must_use]
    pub const fn float(low: f64, high: f64) -> Self {
        Self::Float(FloatDomain { low, high, log: false, step: None })
    }

    /// Creates a continuous domain from `low` to `high`, uniform in the logarithm.
    #[must_use]
    pub const fn log_float(low: f64, high: f64) -> Self {
        Self::Float(FloatDomain { low, high, log: true, step: None })
    }

    /// Creates an integer domain from `low` to `high`.
    #[must_use]
    pub const fn int(low: i64, high: i64) -> Self {
        Self::Int(IntDomain { low, high, log: false, step: 1 })
    }

    /// Creates an integer domain from `low` to `high`, uniform in the logarithm.
    #[must_use]
    pub const fn log_int(low: i64, high: i64) -> Self {
        Self::Int(IntDomain { low, high, log: true, step: 1 })
    }

    /// Creates a categorical domain.
    #[must_use]
    pub fn categorical<V: Into<ParamValue>>(choices: impl IntoIterator<Item = V>) -> Self {
        Self::Categorical(CategoricalDomain { choices: choices.into_iter().map(Into::into).collect() })
    }

    /// Reports faults of the domain.
    pub fn check(&self, faults: &mut Faults) {
        match self {
            Self::Float(d) => faults.within("float", |f| check_float(d, f)),
            Self::Int(d) => faults.within("int", |f| check_int(d, f)),
            Self::Categorical(d) => faults.within("categorical", |f| check_choices(d, f)),
        }
    }

    /// Returns the number of values; `None` for a continuum or more than 2^64 - 1.
    #[must_use]
    pub fn cardinality(&self) -> Option<u64> {
        match self {
            Self::Categorical(d) => Some(d.choices.len() as u64),
            Self::Float(_) | Self::Int(_) => self.last_index()?.checked_add(1),
        }
    }

    /// Returns the greatest index of a finite domain; `None` for a continuum or an empty list.
    ///
    /// Unlike the number of values, it fits 64 bits for every integer domain.
    fn last_index(&self) -> Option<u64> {
        match self {
            Self::Float(d) if d.low >= d.high => Some(0),
            Self::Float(FloatDomain { low, high, step: Some(step), .. }) => Some(steps(*low, *high, *step)),
            Self::Float(_) => None,
            Self::Int(d) => Some(d.high.abs_diff(d.low) / d.step.unsigned_abs().max(1)),
            Self::Categorical(d) => (d.choices.len() as u64).checked_sub(1),
        }
    }

    /// Returns the value at position `index` of a finite domain; the last one for greater indices.
    #[must_use]
    pub fn at(&self, index: u64) -> Option<ParamValue> {
        let index = index.min(self.last_index()?);
        Some(match self {
            Self::Float(d) => {
                let value = d.low + index as f64 * d.step.unwrap_or(0.0);
                ParamValue::Float(value.min(d.high))
            }
            Self::Int(d) => ParamValue::Int(d.low.wrapping_add((index as i64).wrapping_mul(d.step))),
            Self::Categorical(d) => d.choices.get(usize::try_from(index).ok()?)?.clone(),
        })
    }

    /// Returns the position of `value` in a finite domain.
    #[must_use]
    pub fn index_of(&self, value: &ParamValue) -> Option<u64> {
        if !self.contains(value) {
            return None;
        }
        match self {
            Self::Float(d) => {
                let step = d.step.filter(|_| d.high > d.low);
                step.map_or_else(
                    || (d.low >= d.high).then_some(0),
                    |step| Some(((value.as_f64()? - d.low) / step).round() as u64),
                )
            }
            Self::Int(d) => Some(value.as_i64()?.abs_diff(d.low) / d.step.unsigned_abs().max(1)),
            Self::Categorical(d) => d.choices.iter().position(|c| c == value).map(|i| i as u64),
        }
    }

    /// Returns true if `value` belongs to the domain.
    #[must_use]
    pub fn contains(&self, value: &ParamValue) -> bool {
        match (self, value) {
            (Self::Float(d), ParamValue::Float(x)) => {
                let on_step = d.step.is_none_or(|step| {
                    let k = (x - d.low) / step;
                    (k - k.round()).abs() < 1e-8
                });
                *x >= d.low && *x <= d.high && on_step
            }
            (Self::Int(d), ParamValue::Int(i)) => {
                *i >= d.low && *i <= d.high && i.abs_diff(d.low).is_multiple_of(d.step.unsigned_abs().max(1))
            }
            (Self::Categorical(d), value) => d.choices.contains(value),
            _ => false,
        }
    }

    /// Returns the value at `u` in [0, 1). Continuous domains are stretched (in the logarithm if they ask for
    /// it), finite ones cut into equal intervals, and logarithmic integers into intervals of `ln(i + 1/2) -
    /// ln(i - 1/2)`, as Optuna does. The ends of a domain are returned exactly.
    #[must_use]
    pub fn from_unit(&self, u: f64) -> ParamValue {
        let u = u.clamp(0.0, 1.0);
        match self {
            // `exp(log(x))` and `low + (high - low)` need not return the end itself: 0.001 becomes 0.0010000000000000002.
            Self::Float(d) if d.step.is_none() && u <= 0.0 => ParamValue::Float(d.low),
            Self::Float(d) if d.step.is_none() && u >= 1.0 => ParamValue::Float(d.high),
            Self::Float(d) if d.log => {
                let (low, high) = (libm::log(d.low), libm::log(d.high));
                ParamValue::Float(libm::exp(low + (high - low) * u).clamp(d.low, d.high))
            }
            Self::Float(d) if d.step.is_none() => {
                ParamValue::Float((d.low + (d.high - d.low) * u).clamp(d.low, d.high))
            }
            Self::Int(d) if d.log => {
                let (low, high) = (libm::log(d.low as f64 - 0.5), libm::log(d.high as f64 + 0.5));
                let value = libm::exp(low + (high - low) * u).round() as i64;
                ParamValue::Int(value.clamp(d.low, d.high))
            }
            _ => {
                // `check` refuses an empty list of choices, the only domain without a last index here.
                let count = self.last_index().map_or(1.0, |last| last as f64 + 1.0);
                self.at((u * count) as u64).unwrap_or(ParamValue::Null)
            }
        }
    }

    /// Returns the position in [0, 1] that [`from_unit`](Self::from_unit) maps to `value`: the midpoint of
    /// its interval.
    #[must_use]
    pub fn to_unit(&self, value: &ParamValue) -> Option<f64> {
        if !self.contains(value) {
            return None;
        }
        match self {
            Self::Float(d) if d.log && d.high > d.low => {
                let (low, high) = (libm::log(d.low), libm::log(d.high));
                Some((libm::log(value.as_f64()?) - low) / (high - low))
            }
            Self::Float(d) if d.step.is_none() && d.high > d.low => {
                Some((value.as_f64()? - d.low) / (d.high - d.low))
            }
            Self::Int(d) if d.log => {
                let (low, high) = (libm::log(d.low as f64 - 0.5), libm::log(d.high as f64 + 0.5));
                Some((libm::log(value.as_f64()?) - low) / (high - low))
            }
            _ => Some((self.index_of(value)? as f64 + 0.5) / (self.last_index()? as f64 + 1.0)),
        }
    }

    /// Draws a value uniformly: [`from_unit`](Self::from_unit) of one draw.
    pub fn sample(&self, rng: &mut Rng) -> ParamValue {
        self.from_unit(rng.uniform())
    }
}

/// Returns the number of full steps between `low` and `high`, tolerating a rounding error of 1e-8 steps.
fn steps(low: f64, high: f64, step: f64) -> u64 {
    ((high - low) / step + 1e-8).floor().max(0.0) as u64
}

fn check_float(d: &FloatDomain, faults: &mut Faults) {
    if !d.low.is_finite() || !d.high.is_finite() || d.low > d.high {
        faults.add("low", format!("is {}, want a finite number not above high ({})", d.low, d.high));
    }
    if d.log && d.low <= 0.0 {
        faults.add("low", format!("is {}, want more than 0 where log is true", d.low));
    }
    match d.step {
        Some(_) if d.log => faults.add("step", "stands beside log: true, want only one of them"),
        Some(step) if !step.is_finite() || step <= 0.0 => {
            faults.add("step", format!("is {step}, want more than 0"));
        }
        _ => {}
    }
}

fn check_int(d: &IntDomain, faults: &mut Faults) {
    if d.low > d.high {
        faults.add("low", format!("is {}, want at most high ({})", d.low, d.high));
    }
    if d.step < 1 {
        faults.add("step", format!("is {}, want at least 1", d.step));
    }
    if d.log && d.low < 1 {
        faults.add("low", format!("is {}, want at least 1 where log is true", d.low));
    }
    if d.log && d.step != 1 {
        faults.add("step", format!("is {}, want 1 where log is true", d.step));
    }
}

fn check_choices(d: &CategoricalDomain, faults: &mut Faults) {
    if d.choices.is_empty() {
        faults.add("choices", "is empty, want at least one");
    }
    for (i, choice) in d.choices.iter().enumerate() {
        if matches!(choice, ParamValue::Float(x) if !x.is_finite()) {
            faults.add(&format!("choices[{i}]"), format!("is {choice}, want a finite number"));
        }
        if d.choices[..i].contains(choice) {
            faults.add(&format!("choices[{i}]"), format!("repeats {choice}"));
        }
    }
}

/// A parameter of one candidate, as written to a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name.
    pub name: String,
    /// Domain.
    pub domain: Domain,
    /// Value.
    pub value: ParamValue,
}
