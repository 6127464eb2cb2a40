//! Learning-rate schedules: one factor per step. Formulas equal `tf.keras.optimizers.schedules` 2.15; one-cycle is
//! Smith and Topin, 2017 (arXiv 1708.07120), with cosine slopes.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::Faults;

use crate::metric::Direction;

/// Factor of the learning rate over a training.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Constant 1.
    #[default]
    Constant,
    /// `factor^n` after `n` complete intervals of `every` epochs.
    Step {
        /// Epochs between changes.
        every: f64,
        /// Factor of each change.
        factor: f64,
    },
    /// Half a cosine from 1 to `floor` at the end.
    Cosine {
        /// Factor at the end. Default 0.
        #[serde(default)]
        floor: f64,
    },
    /// `factor^x` after `x` intervals of `every` epochs, fractions included.
    Exponential {
        /// Epochs per factor.
        every: f64,
        /// Factor per interval.
        factor: f64,
    },
    /// `floor + (1 - floor) (1 - x)^power`, with x the fraction of the steps that are done.
    Polynomial {
        /// Exponent. Default 1: linear.
        #[serde(default = "one")]
        power: f64,
        /// Factor at the end. Default 0.
        #[serde(default)]
        floor: f64,
    },
    /// Multiplies by `factor` each time the monitored value (see [`EarlyStopping::monitor`](crate::EarlyStopping))
    /// has not improved for `patience` epochs.
    Plateau {
        /// Factor of each change, above 0 and below 1. Default 0.5.
        #[serde(default = "half")]
        factor: f64,
        /// Epochs without improvement. Default 5.
        #[serde(default = "patience")]
        patience: u32,
        /// Smallest change that counts as an improvement. Default 0.0001.
        #[serde(default = "min_delta")]
        min_delta: f64,
        /// Smallest total factor. Default 0.
        #[serde(default)]
        floor: f64,
    },
    /// Rises from `1 / start_div` to 1 in the fraction `rise` of all steps, then falls to `1 / end_div`, along
    /// cosines.
    OneCycle {
        /// Fraction of the steps that rise. Default 0.3.
        #[serde(default = "rise")]
        rise: f64,
        /// Reciprocal of the first factor. Default 25.
        #[serde(default = "start_div")]
        start_div: f64,
        /// Reciprocal of the last factor. Default 10000.
        #[serde(default = "end_div")]
        end_div: f64,
    },
}

fn rise() -> f64 {
    0.3
}

fn one() -> f64 {
    1.0
}

fn half() -> f64 {
    0.5
}

fn patience() -> u32 {
    5
}

fn min_delta() -> f64 {
    1e-4
}

fn start_div() -> f64 {
    25.0
}

fn end_div() -> f64 {
    1e4
}

impl Schedule {
    /// Returns the factor after `done` of `total` steps, at `steps_per_epoch`. A plateau returns 1, because its
    /// factor depends on measured values.
    #[must_use]
    pub fn factor(&self, done: f64, total: f64, steps_per_epoch: u64) -> f64 {
        let all = total.max(1.0);
        let epochs = done / steps_per_epoch.max(1) as f64;
        match *self {
            Self::Constant | Self::Plateau { .. } => 1.0,
            Self::Step { every, factor } => factor.powi((epochs / every).floor() as i32),
            Self::Exponential { every, factor } => libm::pow(factor, epochs / every),
            Self::Polynomial { power, floor } => {
                floor + (1.0 - floor) * libm::pow(1.0 - (done / all).min(1.0), power)
            }
            Self::Cosine { floor } => cosine(1.0, floor, done / all),
            Self::OneCycle { rise, start_div, end_div } => {
                let rising = rise * all;
                if done < rising {
                    cosine(1.0 / start_div, 1.0, done / rising)
                } else {
                    cosine(1.0, 1.0 / end_div, (done - rising) / (all - rising).max(1.0))
                }
            }
        }
    }

    /// Adds every unusable value to `faults`.
    pub fn check(&self, faults: &mut Faults) {
        let (fits, wanted) = match *self {
            Self::Constant => (true, ""),
            Self::Step { every, factor } | Self::Exponential { every, factor } => {
                (every > 0.0 && factor > 0.0, "every and factor above 0")
            }
            Self::Cosine { floor } => ((0.0..=1.0).contains(&floor), "floor 0 to 1"),
            Self::Polynomial { power, floor } => {
                ((0.0..=1.0).contains(&floor) && power > 0.0, "floor 0 to 1 and power above 0")
            }
            Self::Plateau { factor, patience, min_delta, floor } => (
                factor > 0.0
                    && factor < 1.0
                    && patience > 0
                    && min_delta >= 0.0
                    && (0.0..=1.0).contains(&floor),
                "factor above 0 and below 1, patience 1 or more, min_delta 0 or more, floor 0 to 1",
            ),
            Self::OneCycle { rise, start_div, end_div } => (
                (0.0..1.0).contains(&rise) && start_div >= 1.0 && end_div >= 1.0,
                "rise 0 to below 1, divisors 1 or more",
            ),
        };
        if !fits {
            faults.add("", format!("is {self:?}, want {wanted}"));
        }
    }
}

/// State of a plateau: the factor so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plateau {
    pub(crate) factor: f64,
    direction: Direction,
    /// None before the first epoch.
    best: Option<f64>,
    waited: u32,
}

impl Plateau {
    pub(crate) const fn new(direction: Direction) -> Self {
        Self { factor: 1.0, direction, best: None, waited: 0 }
    }

    /// Checks that a stored state can come from this schedule; returns the fault.
    pub(crate) fn check(&self, schedule: &Schedule, direction: Direction) -> Result<(), String> {
        let (least, patience) = match *schedule {
            Schedule::Plateau { floor, patience, .. } => (floor, patience),
            _ => (1.0, 1),
        };
        if !(least..=1.0).contains(&self.factor) {
            return Err(format!("has factor {}, want {least} to 1", self.factor));
        }
        if self.waited >= patience {
            return Err(format!("has waited {} epochs, want less than {patience}", self.waited));
        }
        if self.direction != direction {
            return Err(format!("has direction {:?}, want {direction:?}", self.direction));
        }
        Ok(())
    }

    /// Records the value of an epoch; does nothing for other schedules.
    pub(crate) fn see(&mut self, schedule: &Schedule, value: f64) {
        let Schedule::Plateau { factor, patience, min_delta, floor } = *schedule else { return };
        if self.best.is_none_or(|best| self.direction.is_better(value, best, min_delta)) {
            self.best = Some(value);
            self.waited = 0;
            return;
        }
        self.waited += 1;
        if self.waited >= patience {
            self.factor = (self.factor * factor).max(floor);
            self.waited = 0;
        }
    }
}

/// Half a cosine from `a` (at 0) to `b` (at 1 and beyond).
fn cosine(a: f64, b: f64, x: f64) -> f64 {
    b + (a - b) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * x.min(1.0)))
}
