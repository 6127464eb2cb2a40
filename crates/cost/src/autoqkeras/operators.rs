//! `QTools`' arithmetic: the operator that multiplies two types, the widths of products and sums, and the energy of each in
//! picojoule (Horowitz, "Computing's energy problem", ISSCC 2014, 45 nm).
//!
//! Integer bits do not include the sign here. A power of two of `n` bits besides its sign has
//! exponents `-2^(n-1) ..= 2^(n-1) - 1`, or up to `log2(max_value)` if that is set.

use serde::Serialize;
use tinsmith_network::Quantizer;
use tinsmith_network::quantizer::{InnerFunction, LevelSet};

/// Families of number types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Fixed point.
    Fixed,
    /// Powers of two.
    PowerOfTwo,
    /// -1, 0, 1.
    Ternary,
    /// -1, 1.
    Binary,
    /// 0, 1.
    ZeroOne,
    /// Floating point.
    Float,
}

/// A number type.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Type {
    /// Name of the quantizer that makes such numbers.
    pub name: &'static str,
    /// Family of levels.
    pub family: Family,
    /// Total bits.
    pub bits: u32,
    /// Integer bits without the sign; meaningless for powers of two and floats.
    pub int_bits: i32,
    /// True if negative numbers occur.
    pub is_signed: bool,
    /// Largest magnitude of a power of two, if bounded.
    pub max_value: Option<f64>,
}

impl Type {
    /// Fixed point.
    #[must_use]
    pub const fn fixed(bits: u32, int_bits: i32, is_signed: bool) -> Self {
        Self { name: "quantized_bits", family: Family::Fixed, bits, int_bits, is_signed, max_value: None }
    }

    /// Floating point of 16 or 32 bits.
    #[must_use]
    pub const fn float(bits: u32) -> Self {
        let name = "floating_point";
        Self { name, family: Family::Float, bits, int_bits: -1, is_signed: true, max_value: None }
    }

    /// A power of two.
    #[must_use]
    pub const fn power_of_two(bits: u32, is_signed: bool, max_value: Option<f64>) -> Self {
        let name = if is_signed { "quantized_po2" } else { "quantized_relu_po2" };
        Self { name, family: Family::PowerOfTwo, bits, int_bits: bits as i32, is_signed, max_value }
    }

    /// -1, 0, 1 in `bits` bits.
    const fn ternary(bits: u32) -> Self {
        let int_bits = bits as i32;
        Self { name: "ternary", family: Family::Ternary, bits, int_bits, is_signed: true, max_value: None }
    }

    const fn binary(name: &'static str, family: Family) -> Self {
        let is_signed = matches!(family, Family::Binary);
        Self { name, family, bits: 1, int_bits: 1, is_signed, max_value: None }
    }

    /// Type of the values of a quantizer. `QTools` does not know `quantized_sigmoid`, which is unsigned fixed point here.
    #[must_use]
    pub fn of(quantizer: &Quantizer) -> Self {
        let name = quantizer.kind();
        let facts = quantizer.facts();
        let fixed = |int_bits| Self { name, ..Self::fixed(facts.bits, int_bits, facts.is_signed) };
        match (facts.levels, facts.function) {
            (LevelSet::Uniform, InnerFunction::Rectifier)
                if (facts.bits, facts.integer_bits) == (1, 1) && !facts.is_learned =>
            {
                Self::binary(name, Family::ZeroOne)
            }
            (LevelSet::Uniform, InnerFunction::Tanh) => fixed(-1),
            (LevelSet::PowersOfTwo, _) => {
                Self { name, ..Self::power_of_two(facts.bits, facts.is_signed, facts.max_value) }
            }
            (LevelSet::Ternary, _) => Self { name, ..Self::ternary(2) },
            (LevelSet::Binary, _) => Self::binary(name, Family::Binary),
            (LevelSet::ZeroOne, _) => Self::binary(name, Family::ZeroOne),
            // `QTools` knows no learned quantizers; their bits before the point are those of values below 1.
            _ => fixed(facts.integer_bits),
        }
    }

    /// True for floating point.
    #[must_use]
    pub const fn is_float(&self) -> bool {
        matches!(self.family, Family::Float)
    }

    /// Smallest (negated) and largest exponent of a power of two.
    #[must_use]
    pub fn exponents(&self) -> (i32, i32) {
        let half = 1_i32 << self.bits.saturating_sub(u32::from(self.is_signed) + 1).min(30);
        (half, self.max_value.map_or(half - 1, |max| (max.log2().round() as i32).min(half - 1)))
    }

    /// The fixed-point type that holds these numbers in a sum.
    #[must_use]
    pub fn in_sum(&self) -> Self {
        match self.family {
            Family::Float => *self,
            Family::PowerOfTwo => {
                let (min, max) = self.exponents();
                let bits = u32::try_from(min + max).unwrap_or(0) + u32::from(self.is_signed);
                Self::fixed(bits, max, self.is_signed)
            }
            _ => Self::fixed(self.bits, self.int_bits, self.is_signed),
        }
    }
}

/// Kinds of operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// A multiplier.
    Mul,
    /// An adder (of exponents, or of numbers).
    Add,
    /// A shifter, for a power of two and a fixed-point number.
    Shifter,
    /// A multiplexer, for a number that is -1, (0,) or 1.
    Mux,
    /// For two numbers that are -1 or 1.
    Xor,
    /// For a number that is 0 or 1.
    And,
}

/// An operator with its result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Operator {
    /// Type of the result.
    pub output: Type,
    /// Kind of the operator.
    pub gate: Gate,
    /// Its width, as far as its energy is concerned.
    pub gate_bits: f64,
    /// Its energy relative to an adder of that width (to a multiplier, for [`Gate::Mul`]).
    pub gate_factor: f64,
}

impl Operator {
    /// Picojoule for one operation.
    #[must_use]
    pub fn energy_pj(&self) -> f64 {
        let energy = match (self.output.is_float(), self.gate) {
            (true, Gate::Mul) => float_energy(self.gate_bits, 1.1, 3.7),
            (true, _) => float_energy(self.gate_bits, 0.4, 0.9),
            (false, Gate::Mul) => {
                0.002_994_791_667 * self.gate_bits * self.gate_bits + 0.001_041_666_667 * self.gate_bits
            }
            (false, _) => 0.003_125 * self.gate_bits,
        };
        self.gate_factor * energy
    }
}

fn float_energy(bits: f64, half: f64, single: f64) -> f64 {
    if bits <= 16.0 { half } else { single }
}

/// Picojoule for adding two numbers of a type.
#[must_use]
pub fn add_energy_pj(sum: &Type) -> f64 {
    let gate_bits = f64::from(sum.bits);
    Operator { output: *sum, gate: Gate::Add, gate_bits, gate_factor: 1.0 }.energy_pj()
}

/// Operator that multiplies a weight by an input, by their families:
///
/// | | gate | factor | width | result |
/// | --- | --- | --- | --- | --- |
/// | a float | mul | 1 | of the wider float | that float |
/// | one of 0, 1 | and | 0.1 | of the result | the other's type (two bits if that is -1, (0,) 1) |
/// | both -1, 1 | xor | 0.3 | 1 | -1, 1 |
/// | weight -1, (0,) 1 | mux | 0.3 if the weight's name has "binary" in it, else 0.6 | of the input | the input's type, signed |
/// | input -1, (0,) 1 | mux | 0.3 if the input is exactly `binary`, else 0.6 | of the weight | the weight's type, signed |
/// | both powers of two | add | 1 | the wider and 1 | a power of two |
/// | one power of two, `p` bits, and `f` bits | shifter | 1 | `b log10(b)`, `b = sqrt(2^p f)` | `f` and the range of exponents |
/// | both fixed, `a` and `b` bits | mul | 1 | `sqrt(a b)` | `a + b` bits |
#[must_use]
pub fn multiplier(weight: &Type, input: &Type) -> Operator {
    use Family::{Binary, Fixed, Float, PowerOfTwo, Ternary, ZeroOne};
    let is_signed = weight.is_signed || input.is_signed;
    let operator =
        |output: Type, gate, gate_bits: f64, gate_factor| Operator { output, gate, gate_bits, gate_factor };
    match (weight.family, input.family) {
        (Float, _) | (_, Float) => {
            let float_bits = |t: &Type| if t.is_float() { t.bits } else { 0 };
            let bits = float_bits(weight).max(float_bits(input));
            operator(Type::float(bits), Gate::Mul, f64::from(bits), 1.0)
        }
        (ZeroOne, _) | (_, ZeroOne) => {
            let other = if weight.family == ZeroOne { input } else { weight };
            let output = match other.family {
                Ternary | Binary => Type::ternary(2),
                ZeroOne => Type::binary("binary", ZeroOne),
                PowerOfTwo => Type::power_of_two(other.bits, other.is_signed, other.max_value),
                _ => Type::fixed(other.bits, other.int_bits, other.is_signed),
            };
            operator(output, Gate::And, f64::from(output.bits), 0.1)
        }
        (Binary, Binary) => operator(Type::binary("binary", Binary), Gate::Xor, 1.0, 0.3),
        (Ternary | Binary, _) => {
            let factor = if weight.name.contains("binary") { 0.3 } else { 0.6 };
            operator(made_signed(input), Gate::Mux, f64::from(input.bits), factor)
        }
        (_, Ternary | Binary) => {
            let factor = if input.name == "binary" { 0.3 } else { 0.6 };
            operator(made_signed(weight), Gate::Mux, f64::from(weight.bits), factor)
        }
        (PowerOfTwo, PowerOfTwo) => {
            let bits = weight.bits.max(input.bits) + 1;
            let max_value = weight.max_value.zip(input.max_value).map(|(a, b)| a * b);
            operator(Type::power_of_two(bits, is_signed, max_value), Gate::Add, f64::from(bits), 1.0)
        }
        (PowerOfTwo, Fixed) => shifter(weight, input, is_signed),
        (Fixed, PowerOfTwo) => shifter(input, weight, is_signed),
        (Fixed, Fixed) => {
            let output = Type::fixed(weight.bits + input.bits, weight.int_bits + input.int_bits, is_signed);
            let gate_bits = (f64::from(weight.bits) * f64::from(input.bits)).sqrt();
            operator(output, Gate::Mul, gate_bits, 1.0)
        }
    }
}

/// The type of `other` times -1, (0,) or 1.
fn made_signed(other: &Type) -> Type {
    let sign = u32::from(!other.is_signed);
    match other.family {
        Family::PowerOfTwo => Type::power_of_two(other.bits + sign, true, other.max_value),
        Family::Ternary | Family::Binary => Type::ternary(other.bits),
        _ => Type::fixed(other.bits + sign, other.int_bits, true),
    }
}

fn shifter(power: &Type, fixed: &Type, is_signed: bool) -> Operator {
    let (min, max) = power.exponents();
    let sign = u32::from(power.is_signed && !fixed.is_signed);
    let bits = fixed.bits + u32::try_from(min + max).unwrap_or(0) + sign;
    let b = (f64::from(power.bits).exp2() * f64::from(fixed.bits)).sqrt();
    let output = Type::fixed(bits, fixed.int_bits + max, is_signed);
    Operator { output, gate: Gate::Shifter, gate_bits: b * b.log10(), gate_factor: 1.0 }
}

/// Type of a sum of `terms` products. Layers pass one more than their number of products, with or without a bias.
#[must_use]
pub fn accumulator(product: &Type, terms: u64) -> Type {
    let term = product.in_sum();
    if term.is_float() {
        return term;
    }
    let carry = terms.max(1).next_power_of_two().trailing_zeros();
    Type::fixed(term.bits + carry, term.int_bits + carry as i32, term.is_signed)
}

/// Kinds of layers that merge several inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeKind {
    /// Sums and differences.
    Add,
    /// Products.
    Multiply,
    /// Element-wise maximum or minimum.
    Maximum,
    /// Means.
    Average,
    /// Concatenation.
    Concatenate,
}

/// Operator that merges inputs of these types. A sum has one bit more than the widest input, a product is that of weight
/// and input, and the others have the widest type: the largest total and the largest integer width, taken separately.
/// None without inputs.
#[must_use]
pub fn merge(kind: MergeKind, inputs: &[Type]) -> Option<Operator> {
    let (first, rest) = inputs.split_first()?;
    if kind == MergeKind::Multiply {
        let start =
            Operator { output: *first, gate: Gate::Mul, gate_bits: f64::from(first.bits), gate_factor: 1.0 };
        return Some(rest.iter().fold(start, |so_far, next| multiplier(&so_far.output, next)));
    }
    let gate_factor = match kind {
        MergeKind::Maximum => 0.2,
        MergeKind::Concatenate => 0.0,
        _ => 1.0,
    };
    let floats = inputs.iter().filter(|t| t.is_float()).map(|t| t.bits).max();
    let output = if let Some(bits) = floats {
        Type::float(bits)
    } else {
        let carry = u32::from(kind == MergeKind::Add);
        let widest = inputs.iter().map(Type::in_sum).fold(first.in_sum(), |a, b| {
            Type::fixed(a.bits.max(b.bits), a.int_bits.max(b.int_bits), a.is_signed || b.is_signed)
        });
        Type::fixed(widest.bits + carry, widest.int_bits + carry as i32, widest.is_signed)
    };
    Some(Operator { output, gate: Gate::Add, gate_bits: f64::from(output.bits), gate_factor })
}
