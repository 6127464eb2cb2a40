//! Learning-rate schedules: a factor for each step. Formulas are those of `tf.keras.optimizers.schedules` 2.15 where
//! it has the schedule; one-cycle is Smith and Topin, 2017 (arXiv 1708.07120), with cosine slopes.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::Faults;

/// What the learning rate is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// 1 throughout.
    #[default]
    Constant,
    /// `factor` to the number of whole `every` epochs that are over.
    Step {
        /// Epochs between changes.
        every: f64,
        /// Factor of each change.
        factor: f64,
    },
    /// From 1 along half a cosine to `floor` at the end.
    Cosine {
        /// The factor at the end. Default 0.
        #[serde(default)]
        floor: f64,
        /// Share of all steps, at the start, in which the factor rises from 0 to 1. Default 0.
        #[serde(default)]
        warm_up: f64,
    },
    /// Up from `1 / start_div` to 1 in the share `rise` of all steps, then down to `1 / end_div`, along cosines.
    OneCycle {
        /// Share of the steps that go up. Default 0.3.
        #[serde(default = "rise")]
        rise: f64,
        /// 1 over the first factor. Default 25.
        #[serde(default = "start_div")]
        start_div: f64,
        /// 1 over the last factor. Default 10000.
        #[serde(default = "end_div")]
        end_div: f64,
    },
}

fn rise() -> f64 {
    0.3
}

fn start_div() -> f64 {
    25.0
}

fn end_div() -> f64 {
    1e4
}

impl Schedule {
    /// The factor of step `step` (from 0) of `total`, at `steps_per_epoch`.
    #[must_use]
    pub fn factor(&self, step: u64, total: u64, steps_per_epoch: u64) -> f64 {
        let done = step as f64;
        let all = total.max(1) as f64;
        match *self {
            Self::Constant => 1.0,
            Self::Step { every, factor } => {
                let epochs = done / steps_per_epoch.max(1) as f64;
                factor.powi((epochs / every).floor() as i32)
            }
            Self::Cosine { floor, warm_up } => {
                let rising = warm_up * all;
                if done < rising {
                    done / rising
                } else {
                    cosine(1.0, floor, (done - rising) / (all - rising).max(1.0))
                }
            }
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

    /// Notes values that cannot be used.
    pub fn check(&self, faults: &mut Faults) {
        let (fits, wanted) = match *self {
            Self::Constant => (true, ""),
            Self::Step { every, factor } => (every > 0.0 && factor > 0.0, "every and factor above 0"),
            Self::Cosine { floor, warm_up } => (
                (0.0..=1.0).contains(&floor) && (0.0..1.0).contains(&warm_up),
                "floor 0 to 1 and warm_up 0 to below 1",
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

/// Half a cosine from `a` (at 0) to `b` (at 1 and beyond).
fn cosine(a: f64, b: f64, x: f64) -> f64 {
    b + (a - b) * 0.5 * (1.0 + (std::f64::consts::PI * x.min(1.0)).cos())
}
