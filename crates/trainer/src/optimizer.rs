//! Optimizers: update rules over plain slices, by kernels where they are in common use.
//!
//! Rules and constants are those of `tf.keras` 2.15 (with its default epsilons), so that a training started from the
//! same weights takes the same path. Lion is Chen et al., 2023 (arXiv 2302.06675), algorithm 2.

mod apply;
mod rare;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::Faults;
use tinsmith_kernels::Threads;

pub(crate) use apply::Tensor;

/// How a gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// `v = momentum v - lr g; w += v`, or Nesterov's `w += momentum v - lr g`.
    Sgd {
        /// Share of the last step that is kept, 0 to 1. Default 0.
        #[serde(default)]
        momentum: f64,
        /// Whether the gradient is looked ahead. Default false.
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
        /// Whether the largest second moment so far is used. Default false.
        #[serde(default)]
        amsgrad: bool,
    },
    /// `v = rho v + (1 - rho) g^2`; step `lr g / sqrt(v + epsilon)`, with momentum `m = momentum m + step`.
    Rmsprop {
        /// Decay of the mean square. Default 0.9.
        #[serde(default = "beta_1")]
        rho: f64,
        /// Share of the last step that is kept. Default 0.
        #[serde(default)]
        momentum: f64,
        /// Added to the mean square. Default 1e-7.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// `a += g^2; w -= lr g / sqrt(a + epsilon)` (Duchi et al., 2011).
    Adagrad {
        /// What the sum of squares starts with. Default 0.1.
        #[serde(default = "accumulator")]
        initial_accumulator: f64,
        /// Added to the sum of squares. Default 1e-7.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// `a = rho a + (1 - rho) g^2`; step `d = g sqrt((u + epsilon) / (a + epsilon))`; `u = rho u + (1 - rho) d^2; w -= lr d`
    /// (Zeiler, arXiv 1212.5701). Wants a learning rate of about 1.
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
    /// Adam with Nesterov's momentum (Dozat, 2016), whose momentum at step t is `b1 (1 - 0.96^t / 2)`.
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
    /// Adam with Keras' constants.
    pub const ADAM: Self = Self::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, amsgrad: false };

    /// How many numbers of state each parameter needs.
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

    /// What the state is before the first step.
    #[must_use]
    pub const fn start(&self) -> f32 {
        match self {
            Self::Adagrad { initial_accumulator, .. } => *initial_accumulator as f32,
            _ => 0.0,
        }
    }
}

/// `base^t` by squaring: the same on every machine, which the library's `pow` need not be.
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

/// `of(1) of(2) ... of(t)`, as far as it can be told from 0.
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

/// A rule with everything around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// How a gradient becomes a step. Default Adam.
    #[serde(deserialize_with = "tinsmith_foundation::plain_word")]
    #[schemars(transform = crate::word_schema::or_word)]
    pub rule: Rule,
    /// Learning rate before the schedule's factor. Default 0.001.
    pub learning_rate: f64,
    /// Share of each weight subtracted at each step, times the learning rate (decoupled, as `AdamW`). Default 0.
    pub weight_decay: f64,
    /// `l1` times the sum of all kernels' magnitudes is minimized too; the loss that is reported is without it. Default 0.
    pub l1: f64,
    /// `l2` times the sum of all kernels' squares is minimized too, as Keras' `L2`. Default 0.
    pub l2: f64,
    /// Largest Euclidean norm of one tensor's gradient; 0 means no limit. Default 0.
    pub clip_norm: f64,
    /// Largest Euclidean norm of all gradients together; 0 means no limit. Default 0.
    pub global_clip_norm: f64,
    /// Largest magnitude of one gradient element; 0 means no limit. Default 0.
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
    /// Notes values that cannot be used.
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
            faults.add("rule", format!("has a decay of {first} or {second}, want at least 0 and below 1"));
        }
    }

    /// Step number `t` (from 1) of one tensor at learning rate `lr`, without penalties and masks: clipping of the
    /// gradient, decay, rule. `scale` multiplies the gradient first: the factor of
    /// [`global_factor`](OptimizerConfig::global_factor). `state` holds [`slots`](Rule::slots) blocks as long as `w`,
    /// all [`start`](Rule::start) before the first step; `g` may be used up.
    ///
    /// # Panics
    /// Where gradient or state are shorter than that.
    pub fn step(&self, lr: f64, t: u64, scale: f32, w: &mut [f32], g: &mut [f32], state: &mut [f32]) {
        let state = state.chunks_exact_mut(w.len().max(1)).collect();
        let tensor = Tensor { weights: w, gradient: g, state, is_kernel: false, prune: None, hold: None };
        self.apply(lr, t, scale, tensor, Threads::ONE);
    }

    /// Whether a step of some elements can be made without the others, at no more cost.
    pub(crate) fn is_elementwise(&self) -> bool {
        // Nadam computes its schedule from the first step on, once for each tensor.
        self.clip_norm == 0.0 && self.global_clip_norm == 0.0 && !matches!(self.rule, Rule::Nadam { .. })
    }

    /// What all gradients are multiplied by, so that their common norm keeps its limit; `squares` is the sum of
    /// their squares.
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
