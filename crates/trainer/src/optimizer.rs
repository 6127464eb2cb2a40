//! Optimizers: update rules over plain slices, with kernels for the common ones.
//!
//! Rules and constants equal `tf.keras` 2.15 (with its default epsilons), so a training from the same weights takes
//! the same path. Lion is Chen et al., 2023 (arXiv 2302.06675), algorithm 2.

mod apply;
mod rare;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::Faults;
use tinsmith_kernels::Threads;

pub(crate) use apply::Tensor;

/// Update rule: the step that follows from a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// `v = momentum v - lr g; w += v`, or Nesterov's `w += momentum v - lr g`.
    Sgd {
        /// Fraction of the previous step that is kept, 0 to 1. Default 0.
        #[serde(default)]
        momentum: f64,
        /// Uses Nesterov momentum. Default false.
        #[serde(default)]
        nesterov: bool,
    },
    /// `w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)` (Kingma and Ba, 2015).
    Adam {
        /// Decay of the first moment. Default 0.9.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// Decay of the second moment. Default 0.999.
        #[serde(default = "beta_2")]
        beta_2: f64,
        /// Added to the root of the second moment. Default 1e-7.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// Uses the largest second moment so far. Default false.
        #[serde(default)]
        amsgrad: bool,
    },
    /// `v = rho v + (1 - rho) g^2`; step `lr g / sqrt(v + epsilon)`, with momentum `m = momentum m + step`.
    Rmsprop {
        /// Decay of the mean square. Default 0.9.
        #[serde(default = "beta_1")]
        rho: f64,
        /// Fraction of the previous step that is kept. Default 0.
        #[serde(default)]
        momentum: f64,
        /// Added to the mean square. Default 1e-7.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// `a += g^2; w -= lr g / sqrt(a + epsilon)` (Duchi et al., 2011).
    Adagrad {
        /// Initial sum of squares. Default 0.1.
        #[serde(default = "accumulator")]
        initial_accumulator: f64,
        /// Added to the sum of squares. Default 1e-7.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// `a = rho a + (1 - rho) g^2`; step `d = g sqrt((u + epsilon) / (a + epsilon))`; `u = rho u + (1 - rho) d^2; w
    /// -= lr d` (Zeiler, arXiv 1212.5701). Use a learning rate of about 1.
    Adadelta {
        /// Decay of both mean squares. Default 0.95.
        #[serde(default = "adadelta_rho")]
        rho: f64,
        /// Added to both mean squares. Default 1e-7.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// `m` as Adam's; `u = max(b2 u, |g|); w -= lr m / ((1 - b1^t) (u + epsilon))` (Kingma and Ba, 2015, section 7.1).
    Adamax {
        /// Decay of the first moment. Default 0.9.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// Decay of the largest gradient. Default 0.999.
        #[serde(default = "beta_2")]
        beta_2: f64,
        /// Added to the largest gradient. Default 1e-7.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// Adam with Nesterov momentum (Dozat, 2016); the momentum at step t is `b1 (1 - 0.96^t / 2)`.
    Nadam {
        /// Decay of the first moment. Default 0.9.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// Decay of the second moment. Default 0.999.
        #[serde(default = "beta_2")]
        beta_2: f64,
        /// Added to the root of the second moment. Default 1e-7.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// `w -= lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g`.
    Lion {
        /// Weight of the momentum in the step. Default 0.9.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// Decay of the momentum. Default 0.99.
        #[serde(default = "lion_beta_2")]
        beta_2: f64,
    },
}

fn beta_1() -> f64 {
    0.9
}

fn beta_2() -> f64 {
    0.999
}

fn accumulator() -> f64 {
    0.1
}

fn adadelta_rho() -> f64 {
    0.95
}

fn lion_beta_2() -> f64 {
    0.99
}

fn epsilon() -> f64 {
    1e-7
}

impl Rule {
    /// Adam with the constants of Keras.
    pub const ADAM: Self = Self::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, amsgrad: false };

    /// Returns the number of state values per weight.
    #[must_use]
    pub fn slots(&self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            Self::Adam { amsgrad, .. } => 2 + usize::from(*amsgrad),
            Self::Rmsprop { momentum, .. } => 1 + usize::from(*momentum != 0.0),
            Self::Adadelta { .. } | Self::Adamax { .. } | Self::Nadam { .. } => 2,
            Self::Adagrad { .. } | Self::Lion { .. } => 1,
        }
    }

    /// Returns the initial value of the state.
    #[must_use]
    pub const fn start(&self) -> f32 {
        match self {
            Self::Adagrad { initial_accumulator, .. } => *initial_accumulator as f32,
            _ => 0.0,
        }
    }
}

/// Returns `base^t` by squaring: equal on every machine, unlike the `pow` of the platform.
fn power_of(base: f64, t: u64) -> f64 {
    let (mut result, mut square, mut left) = (1.0, base, t);
    while left > 0 {
        if left & 1 == 1 {
            result *= square;
        }
        square *= square;
        left >>= 1;
    }
    result
}

/// Returns `of(1) of(2) ... of(t)`, or 0 once the product is negligible.
fn product_of(of: impl Fn(u64) -> f64, t: u64) -> f64 {
    let mut product = 1.0;
    for i in 1..=t {
        product *= of(i);
        if product < 1e-30 {
            return 0.0;
        }
    }
    product
}

/// Configuration of an optimizer: rule, learning rate, decay, penalties, clipping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Update rule. Default Adam.
    #[serde(deserialize_with = "tinsmith_foundation::plain_word")]
    #[schemars(transform = crate::word_schema::or_word)]
    pub rule: Rule,
    /// Learning rate, before the factor of the schedule. Default 0.001.
    pub learning_rate: f64,
    /// Decoupled weight decay (`AdamW`): fraction of each weight that is subtracted at each step, times the learning
    /// rate. Default 0.
    pub weight_decay: f64,
    /// L1 penalty of all kernels: `l1` times the sum of magnitudes. The reported loss excludes it. Default 0.
    pub l1: f64,
    /// L2 penalty of all kernels: `l2` times the sum of squares, as `L2` in Keras. Default 0.
    pub l2: f64,
    /// Clips the gradient of each tensor to this Euclidean norm; 0 disables it. Default 0.
    pub clip_norm: f64,
    /// Clips all gradients together to this Euclidean norm; 0 disables it. Default 0.
    pub global_clip_norm: f64,
    /// Clips each gradient element to this magnitude; 0 disables it. Default 0.
    pub clip_value: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            rule: Rule::ADAM,
            learning_rate: 1e-3,
            weight_decay: 0.0,
            l1: 0.0,
            l2: 0.0,
            clip_norm: 0.0,
            global_clip_norm: 0.0,
            clip_value: 0.0,
        }
    }
}

impl OptimizerConfig {
    /// Adds every unusable value to `faults`.
    pub fn check(&self, faults: &mut Faults) {
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            faults.add("learning_rate", format!("is {}, want a number above 0", self.learning_rate));
        }
        for (name, value) in [
            ("weight_decay", self.weight_decay),
            ("l1", self.l1),
            ("l2", self.l2),
            ("clip_norm", self.clip_norm),
            ("global_clip_norm", self.global_clip_norm),
            ("clip_value", self.clip_value),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                faults.add(name, format!("is {value}, want 0 or more"));
            }
        }
        let (first, second) = match self.rule {
            Rule::Sgd { momentum, .. } => (momentum, 0.0),
            Rule::Adam { beta_1, beta_2, .. }
            | Rule::Adamax { beta_1, beta_2, .. }
            | Rule::Nadam { beta_1, beta_2, .. }
            | Rule::Lion { beta_1, beta_2 } => (beta_1, beta_2),
            Rule::Adadelta { rho, .. } => (rho, 0.0),
            Rule::Adagrad { initial_accumulator, .. } => {
                if !(initial_accumulator >= 0.0 && initial_accumulator.is_finite()) {
                    faults.add("rule.adagrad", format!("starts from {initial_accumulator}, want 0 or more"));
                }
                (0.0, 0.0)
            }
            Rule::Rmsprop { rho, momentum, .. } => (rho, momentum),
        };
        if !(0.0..1.0).contains(&first) || !(0.0..1.0).contains(&second) {
            faults.add("rule", format!("has a decay of {first} or {second}, want 0 to below 1"));
        }
    }

    /// Makes step `t` (from 1) of one tensor at learning rate `lr`, without penalties and masks: clipping, decay,
    /// rule. `scale` multiplies the gradient first; it is the factor of
    /// [`global_factor`](OptimizerConfig::global_factor). `state` holds [`slots`](Rule::slots) blocks as long as `w`,
    /// all [`start`](Rule::start) before the first step. `g` is overwritten.
    ///
    /// # Panics
    /// Panics if gradient or state are too short.
    pub fn step(&self, lr: f64, t: u64, scale: f32, w: &mut [f32], g: &mut [f32], state: &mut [f32]) {
        let state = state.chunks_exact_mut(w.len().max(1)).collect();
        let tensor = Tensor { weights: w, gradient: g, state, is_kernel: false, prune: None, hold: None };
        self.apply(lr, t, scale, tensor, Threads::ONE);
    }

    /// Returns true if parts of a tensor can be updated separately at no extra cost. Clipping by a norm needs the full
    /// gradient first.
    pub(crate) fn is_elementwise(&self) -> bool {
        // Nadam multiplies its momentum schedule up from the first step, once per call.
        self.clip_norm == 0.0 && self.global_clip_norm == 0.0 && !matches!(self.rule, Rule::Nadam { .. })
    }

    /// Returns the factor that limits the common norm of all gradients; `squares` is the sum of their squares.
    #[must_use]
    pub fn global_factor(&self, squares: f64) -> f32 {
        let norm = squares.sqrt();
        if self.global_clip_norm > 0.0 && norm > self.global_clip_norm {
            (self.global_clip_norm / norm) as f32
        } else {
            1.0
        }
    }
}
