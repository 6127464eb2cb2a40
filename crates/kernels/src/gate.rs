//! Gates: the functions of one value that kernels apply as they store a product, and the record of the gradient.

/// What is done to each value of a product before it is stored.
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
    /// `min(unit clip(round(x per_unit), low, high), bound)`, halves rounded to even, never minus zero: fixed-point
    /// fake quantization. NaN stays NaN.
    Levels {
        /// Levels in 1.
        per_unit: f32,
        /// Distance of the levels.
        unit: f32,
        /// The lowest level's number.
        low: f32,
        /// The highest level's number.
        high: f32,
        /// Upper bound of the result; infinity for none.
        bound: f32,
    },
}

impl GateFunction {
    /// Its value.
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

/// A function and where its gradient passes: strictly between `open.0` and `open.1` of the value before the function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// What is done to the value.
    pub function: GateFunction,
    /// Bounds of the open interval in which the gradient passes unchanged; elsewhere it is 0.
    pub open: (f32, f32),
}

impl Gate {
    /// No function; the gradient always passes.
    pub const LINEAR: Self =
        Self { function: GateFunction::Linear, open: (f32::NEG_INFINITY, f32::INFINITY) };

    /// `max(x, 0)`; gradient 0 at 0.
    pub const RELU: Self =
        Self { function: GateFunction::Clip { low: 0.0, high: f32::INFINITY }, open: (0.0, f32::INFINITY) };

    /// Whether the gradient passes everywhere, so that there is nothing to record.
    #[must_use]
    pub fn is_always_open(&self) -> bool {
        self.open == (f32::NEG_INFINITY, f32::INFINITY)
    }
}

/// Words of gate bits for `rows` rows of `channels` values: bit `c % 16` of word
/// `row * ceil(channels / 16) + c / 16` says that the gradient passes.
#[must_use]
pub const fn gate_words(rows: usize, channels: usize) -> usize {
    rows * channels.div_ceil(16)
}
