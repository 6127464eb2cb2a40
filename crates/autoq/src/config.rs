//! Configuration of a quantization search.

use regex::Regex;
use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults};
use tinsmith_study::{Budget, TpeConfig};

use crate::goal::Goal;

/// Maximum bit widths of the layers that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerLimit {
    /// Regular expression for whole layer names, or a kind of layer such as `conv2d`. The first matching limit applies to
    /// a layer.
    pub layers: String,
    /// Maximum bits of a kernel weight; 0 leaves kernels unchanged. Default 8.
    #[serde(default = "eight")]
    pub kernel: u32,
    /// Maximum bits of a bias; 0 leaves biases unchanged. Default 0.
    #[serde(default)]
    pub bias: u32,
    /// Maximum bits of an activation; 0 leaves activations unchanged. Default 8.
    #[serde(default = "eight")]
    pub activation: u32,
    /// Shares one choice per slot among all matching layers. Default false.
    #[serde(default)]
    pub shared: bool,
}

fn eight() -> u32 {
    8
}

impl LayerLimit {
    /// Compiles the pattern for whole layer names.
    pub(crate) fn pattern(&self) -> Result<Regex, regex::Error> {
        Regex::new(&format!("^(?:{})$", self.layers))
    }
}

impl Default for LayerLimit {
    fn default() -> Self {
        Self { layers: ".*".to_owned(), kernel: 8, bias: 0, activation: 8, shared: false }
    }
}

/// Configuration of a quantization search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AutoqConfig {
    /// Number of trials. Default 24.
    pub trials: u64,
    /// Budget of a trial. Default 10 epochs on all rows.
    pub budget: Budget,
    /// Seconds after which no new trial starts. Default no limit.
    pub time_limit_s: Option<f64>,
    /// Trial k is proposed from the results of trials up to k - window. Default 8.
    pub window: u64,
    /// Model of past trials that proposes new ones.
    pub tpe: TpeConfig,
    /// Candidate bit widths, within the limits. Default 2, 3, 4, 6, 8.
    pub bits: Vec<u32>,
    /// Limits per layer. A layer without a matching limit stays unchanged. Default 8 bits for all layers.
    pub limits: Vec<LayerLimit>,
    /// Trains a batch normalization after a quantized layer folded into it, so that the quantized weights are those that
    /// ship. Default true.
    pub fold_batch_norms: bool,
    /// Trade-off between size and quality.
    pub goal: Goal,
}

impl Default for AutoqConfig {
    fn default() -> Self {
        Self {
            trials: 24,
            budget: Budget::default(),
            time_limit_s: None,
            window: 8,
            tpe: TpeConfig::default(),
            bits: vec![2, 3, 4, 6, 8],
            limits: vec![LayerLimit::default()],
            fold_batch_norms: true,
            goal: Goal::default(),
        }
    }
}

impl AutoqConfig {
    /// Notes every invalid value.
    pub fn check(&self, faults: &mut Faults) {
        if self.trials == 0 {
            faults.add("trials", "is 0, want at least 1");
        }
        if self.bits.is_empty() {
            faults.add("bits", "is empty, want at least one width");
        }
        for (i, bits) in self.bits.iter().enumerate().filter(|(_, b)| !(2..=16).contains(*b)) {
            faults.add(&format!("bits[{i}]"), format!("is {bits}, want 2..=16"));
        }
        for (i, limit) in self.limits.iter().enumerate() {
            if let Err(error) = limit.pattern() {
                faults.add(&format!("limits[{i}].layers"), format!("is not a regular expression: {error}"));
            }
            for (name, most) in
                [("kernel", limit.kernel), ("bias", limit.bias), ("activation", limit.activation)]
            {
                let least = self.bits.iter().min().copied().unwrap_or(2);
                if most != 0 && most < least {
                    faults.add(
                        &format!("limits[{i}].{name}"),
                        format!(
                            "is {most}, below the smallest candidate width, {least}; want 0 or at least {least}"
                        ),
                    );
                }
            }
        }
        faults.within("tpe", |faults| self.tpe.check(faults));
        faults.within("goal", |faults| self.goal.check(faults));
    }

    /// Returns the limits with their compiled patterns. The configuration has been checked.
    pub(crate) fn compiled_limits(&self) -> Vec<(&LayerLimit, Regex)> {
        let compiled = |limit: &LayerLimit| limit.pattern().expect("invariant: patterns are validated");
        self.limits.iter().map(|limit| (limit, compiled(limit))).collect()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every invalid value.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("quantization search configuration")
    }
}
