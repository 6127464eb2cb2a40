//! Gates: functions that kernels apply to values before storing them, and the bits that record if the gradient
//! passes.

/// Function of a value that a product can apply in registers before storing it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GateFunction {
    /// `x`
    Linear,
    /// `min(max(x, low), high)`; NaN stays NaN.
    Clip {
        /// Lower bound; minus infinity for none.
        low: f32,
        /// Upper bound; infinity for none.
        high: f32,
    },
    /// `min(unit clip(round(x per_unit), low, high), bound)`, with halves rounded to even, and never minus zero:
    /// fixed-point fake quantization. NaN stays NaN.
    Levels {
        /// Levels per 1; the inverse of `unit`.
        per_unit: f32,
        /// Distance between levels.
        unit: f32,
        /// Number of the lowest level.
        low: f32,
        /// Number of the highest level.
        high: f32,
        /// Upper bound of the result; infinity for none.
        bound: f32,
    },
}

impl GateFunction {
    /// Applies the function to one value.
    #[inline(always)]
    #[must_use]
    pub fn apply(self, x: f32) -> f32 {
        let clip = |x: f32, low: f32, high: f32| {
            let x = if x < low { low } else { x };
            if x > high { high } else { x }
        };
        match self {
            Self::Linear => x,
            Self::Clip { low, high } => clip(x, low, high),
            Self::Levels { per_unit, unit, low, high, bound } => {
                let y = unit * clip((x * per_unit).round_ties_even(), low, high);
                (if y > bound { bound } else { y }) + 0.0
            }
        }
    }
}

/// A function and the open interval of its argument in which the gradient passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// Function applied to the value.
    pub function: GateFunction,
    /// Bounds of the interval in which the gradient passes unchanged; outside it is 0.
    pub open: (f32, f32),
}

impl Gate {
    /// The identity, through which the gradient always passes.
    pub const LINEAR: Self =
        Self { function: GateFunction::Linear, open: (f32::NEG_INFINITY, f32::INFINITY) };

    /// `max(x, 0)`; gradient 0 at 0.
    pub const RELU: Self =
        Self { function: GateFunction::Clip { low: 0.0, high: f32::INFINITY }, open: (0.0, f32::INFINITY) };

    /// Tells if the gradient passes everywhere, so that no bits need to be recorded.
    #[must_use]
    pub fn is_always_open(&self) -> bool {
        self.open == (f32::NEG_INFINITY, f32::INFINITY)
    }
}

/// Number of words that record gate bits for `rows` rows of `channels` values. Bit `c % 16` of word `row *
/// ceil(channels / 16) + c / 16` is 1 if the gradient passes.
#[must_use]
pub const fn gate_words(rows: usize, channels: usize) -> usize {
    rows * channels.div_ceil(16)
}
