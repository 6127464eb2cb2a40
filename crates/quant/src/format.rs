//! Number formats of integer codes.

use std::fmt;

use crate::error::{QuantError, Result};
use crate::operator::{Kernel, QuantizerOp, with_pointwise};
use crate::pointwise::Pointwise;
use crate::power_of_two::{Exponents, PowerOfTwo};
use crate::ulaw::MuLaw;

/// Meaning of a code before any scale. Displayed as `fixed<b,i>` (b bits in total, i before the point without the
/// sign bit, as in `quantized_bits(b,i)` and `ap_fixed<b,i+1>` of high-level synthesis), `ufixed<b,i>` without a sign
/// bit, `po2<b,lowest,highest>` and `upo2<...>` with the exponents' range, `ulaw<b,i>`, `binary`, `binary01`,
/// `ternary`.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    kind: FormatKind,
    bits: u32,
    min_code: i32,
    max_code: i32,
}

#[derive(Debug, Clone, Copy)]
enum FormatKind {
    /// `code * unit`, at most `bound`.
    Fixed {
        unit: f32,
        bound: f32,
    },
    PowerOfTwo {
        exponents: Exponents,
    },
    MuLaw(MuLaw),
    Sign,
    Bit,
    Ternary,
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        let same_kind = match (&self.kind, &other.kind) {
            (FormatKind::Fixed { unit: a, bound: b }, FormatKind::Fixed { unit: c, bound: d }) => {
                a == c && b == d
            }
            (FormatKind::MuLaw(a), FormatKind::MuLaw(b)) => {
                (a.levels, a.span, a.low, a.u) == (b.levels, b.span, b.low, b.u)
            }
            (FormatKind::PowerOfTwo { exponents: a }, FormatKind::PowerOfTwo { exponents: b }) => {
                (a.lowest(), a.highest()) == (b.lowest(), b.highest())
            }
            (FormatKind::Sign, FormatKind::Sign)
            | (FormatKind::Bit, FormatKind::Bit)
            | (FormatKind::Ternary, FormatKind::Ternary) => true,
            _ => false,
        };
        same_kind && (self.bits, self.min_code, self.max_code) == (other.bits, other.min_code, other.max_code)
    }
}

impl Format {
    /// Storage bits of a code.
    #[must_use]
    pub const fn storage_bits(&self) -> u32 {
        self.bits
    }

    /// Smallest code.
    #[must_use]
    pub const fn min_code(&self) -> i32 {
        self.min_code
    }

    /// Largest code.
    #[must_use]
    pub const fn max_code(&self) -> i32 {
        self.max_code
    }

    /// True if there are negative levels.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.min_value() < 0.0
    }

    /// The code of level 0. None if there is none (powers of two, -1 and 1).
    #[must_use]
    pub fn zero_code(&self) -> Option<i32> {
        match self.kind {
            FormatKind::Fixed { .. } => Some(0).filter(|zero| (self.min_code..=self.max_code).contains(zero)),
            FormatKind::MuLaw(law) => Some((law.levels / 2.0) as i32).filter(|code| self.level(*code) == 0.0),
            FormatKind::Bit | FormatKind::Ternary => Some(0),
            FormatKind::Sign | FormatKind::PowerOfTwo { .. } => None,
        }
    }

    /// Factor from codes to levels, for linear formats (fixed point, binary, ternary).
    #[must_use]
    pub fn unit(&self) -> Option<f32> {
        match self.kind {
            FormatKind::Fixed { unit, .. } => Some(unit),
            FormatKind::Sign | FormatKind::Bit | FormatKind::Ternary => Some(1.0),
            FormatKind::PowerOfTwo { .. } | FormatKind::MuLaw(_) => None,
        }
    }

    /// The level of a code, at scale 1.
    #[must_use]
    pub fn level(&self, code: i32) -> f32 {
        let code = code as f32;
        match self.kind {
            FormatKind::Fixed { unit, bound } => (code * unit).min(bound),
            FormatKind::PowerOfTwo { exponents } => PowerOfTwo { exponents }.level(code),
            FormatKind::MuLaw(law) => law.level(code),
            FormatKind::Sign | FormatKind::Bit | FormatKind::Ternary => code,
        }
    }

    /// Smallest level.
    #[must_use]
    pub fn min_value(&self) -> f32 {
        self.level(self.min_code)
    }

    /// Largest level.
    #[must_use]
    pub fn max_value(&self) -> f32 {
        self.level(self.max_code)
    }

    /// True if the format has this code. Powers of two have neither a code 0 nor a value 0.
    #[must_use]
    pub fn has_code(&self, code: i32) -> bool {
        let gap = matches!(self.kind, FormatKind::PowerOfTwo { .. } | FormatKind::Sign);
        (self.min_code..=self.max_code).contains(&code) && !(gap && code == 0)
    }

    /// Integers from `low` to `high`, at most 2^24 in magnitude; their value is given by the scale.
    pub(crate) fn whole_numbers(low: f32, high: f32, bits: u32) -> Self {
        let kind = FormatKind::Fixed { unit: 1.0, bound: f32::INFINITY };
        Self { kind, bits, min_code: low as i32, max_code: high as i32 }
    }

    fn fixed(unit: f32, bound: f32, low: f32, high: f32, bits: u32) -> Option<Self> {
        // 2^31 saturates to the largest code when cast, and rounds back when decoded.
        if low < -2_147_483_648.0 || high > 2_147_483_648.0 {
            return None;
        }
        let high = high.min((bound / unit).ceil());
        let (min_code, max_code) = (low as i32, high as i32);
        let magnitude = max_code.unsigned_abs().max(if min_code < 0 { !min_code as u32 } else { 0 });
        let needed = 32 - magnitude.leading_zeros() + u32::from(min_code < 0);
        Some(Self { kind: FormatKind::Fixed { unit, bound }, bits: bits.max(needed), min_code, max_code })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsigned = if self.is_signed() { "" } else { "u" };
        match self.kind {
            FormatKind::Fixed { unit, .. } => {
                // The unit is a power of two, so its logarithm is exact.
                let integer = unit.log2() as i32 + self.bits as i32 - i32::from(self.is_signed());
                write!(f, "{unsigned}fixed<{},{integer}>", self.bits)
            }
            FormatKind::PowerOfTwo { exponents } => {
                write!(f, "{unsigned}po2<{},{},{}>", self.bits, exponents.lowest(), exponents.highest())
            }
            FormatKind::MuLaw(law) => write!(f, "ulaw<{},{}>", self.bits, law.span.log2()),
            FormatKind::Sign => f.write_str("binary"),
            FormatKind::Bit => f.write_str("binary01"),
            FormatKind::Ternary => f.write_str("ternary"),
        }
    }
}

impl QuantizerOp {
    /// Returns the format of this quantizer's codes.
    ///
    /// # Errors
    /// [`QuantError::NoCodes`] if values are not discrete (`qnoise_factor` below 1) or codes take more than 32 bits
    /// with their sign.
    pub fn format(&self) -> Result<Format> {
        let refuse = |reason| QuantError::NoCodes { quantizer: self.quantizer().to_string(), reason };
        if !self.is_discrete() {
            return Err(refuse("a qnoise_factor below 1 mixes levels with unquantized values"));
        }
        let bits = self.quantizer().bits();
        let sign = Format { kind: FormatKind::Sign, bits: 1, min_code: -1, max_code: 1 };
        let bit = Format { kind: FormatKind::Bit, bits: 1, min_code: 0, max_code: 1 };
        let ternary = Format { kind: FormatKind::Ternary, bits: 2, min_code: -1, max_code: 1 };
        let powers = |exponents: &Exponents, signed: bool| {
            let codes = (exponents.highest() - exponents.lowest() + 1.0) as i32;
            let min_code = if signed { -codes } else { 1 };
            Some(Format {
                kind: FormatKind::PowerOfTwo { exponents: *exponents },
                bits,
                min_code,
                max_code: codes,
            })
        };
        let no_bound = f32::INFINITY;
        let format = match &self.kernel {
            Kernel::FixedPoint(p) => Format::fixed(p.unit, no_bound, p.low, p.high, bits),
            Kernel::SwishFixed(p) => Format::fixed(p.inner.unit, no_bound, p.inner.low, p.inner.high, bits),
            Kernel::Scaled(p, _) => Format::fixed(p.unit(), no_bound, -p.half, p.half, bits),
            Kernel::Relu(p) => Format::fixed(p.unit, p.bound, 0.0, p.high, bits),
            Kernel::LeakyRelu(p) => {
                let low = -p.span * p.negative_slope / p.unit;
                Format::fixed(p.unit, p.bound, low, p.span * (1.0 - 1.0 / p.levels) / p.unit, bits)
            }
            Kernel::Squashed(p) => Format::fixed(1.0 / p.levels, no_bound, p.low, p.high, bits),
            Kernel::MuLaw(law) if law.levels < 2_147_483_648.0 => {
                Some(Format { kind: FormatKind::MuLaw(*law), bits, min_code: 0, max_code: law.levels as i32 })
            }
            Kernel::MuLaw(_) => None,
            Kernel::PowerOfTwo(p) => powers(&p.exponents, true),
            Kernel::ReluPowerOfTwo(p) => powers(&p.exponents, p.negative_slope > 0.0),
            Kernel::SignBit(_) | Kernel::SwishSign(_) => Some(sign),
            Kernel::TwoLevels(p) => Some(if p.rule.zero_one { bit } else { sign }),
            Kernel::Binary(p) => Some(if p.plain.rule.zero_one { bit } else { sign }),
            Kernel::ThreeLevels(_) | Kernel::Ternary(_) => Some(ternary),
        };
        format.ok_or_else(|| refuse("32 bits hold no more than 31 and a sign"))
    }

    /// Smallest and largest possible value. Includes a fixed scale; a fitted scale counts as 1.
    ///
    /// # Errors
    /// Those of [`format`](Self::format).
    pub fn range(&self) -> Result<(f32, f32)> {
        let format = self.format()?;
        let (a, b) = (self.fixed_alpha() * format.min_value(), self.fixed_alpha() * format.max_value());
        Ok((a.min(b), a.max(b)))
    }

    /// Writes the codes of an element-wise kernel as integers. Returns false for kernels that are not element-wise.
    pub(crate) fn pointwise_codes(&self, xs: &[f32], out: &mut [f32]) -> bool {
        with_pointwise!(&self.kernel, p => {
                for (y, &x) in out.iter_mut().zip(xs) {
                    *y = p.code(p.raw(x, &mut crate::rounding::HalfEven));
                }
                true
            },
            Kernel::Scaled(..) | Kernel::Binary(_) | Kernel::Ternary(_) => false,
        )
    }
}
