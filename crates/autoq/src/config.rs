//! How a quantization search goes, as data.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults};
use tinsmith_study::{Budget, TpeConfig};

use crate::goal::Goal;

/// How far the layers that a pattern matches may be quantized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// A regular expression that matches whole layer names, or a kind of layer (`conv2d`). The first limit that
    /// matches a layer counts.
    pub layers: String,
    /// Most bits of a kernel's weight; 0 leaves kernels as they are. Default 8.
    #[serde(default = "eight")]
    pub kernel: u32,
    /// Most bits of a bias; 0 leaves biases as they are. Default 0.
    #[serde(default)]
    pub bias: u32,
    /// Most bits of an activation; 0 leaves activations as they are. Default 8.
    #[serde(default = "eight")]
    pub activation: u32,
    /// Whether all layers that match share one choice for each slot. Default false.
    #[serde(default)]
    pub shared: bool,
}

fn eight() -> u32 {
    8
}

impl Default for Limit {
    fn default() -> Self {
        Self { layers: ".*".to_owned(), kernel: 8, bias: 0, activation: 8, shared: false }
    }
}

/// A quantization search's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AutoqConfig {
    /// How many assignments of quantizers are tried. Default 24.
    pub trials: u64,
    /// What a trial may spend. Default 10 epochs on all rows.
    pub budget: Budget,
    /// Seconds after which no trial begins. Default no limit.
    pub time_limit_s: Option<f64>,
    /// Trial k sees the results of trials up to k - window. Default 8.
    pub window: u64,
    /// How a model of past trials proposes new ones.
    pub tpe: TpeConfig,
    /// Widths that are tried, in bits, within the limits. Default 2, 3, 4, 6, 8.
    pub bits: Vec<u32>,
    /// Which layers, and how far. A layer that no limit matches stays as it is. Default: all, 8 bits.
    pub limits: Vec<Limit>,
    /// Whether a batch normalization behind a quantized layer is trained folded into it, so that the quantized weights are
    /// those that are shipped. Default true.
    pub fold_batch_norms: bool,
    /// How size is traded for quality.
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
            limits: vec![Limit::default()],
            fold_batch_norms: true,
            goal: Goal::default(),
        }
    }
}

impl AutoqConfig {
    /// Notes values that cannot be used.
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
            if let Err(error) = regex::Regex::new(&limit.layers) {
                faults.add(&format!("limits[{i}].layers"), format!("is no regular expression: {error}"));
            }
            for (name, most) in
                [("kernel", limit.kernel), ("bias", limit.bias), ("activation", limit.activation)]
            {
                let least = self.bits.iter().min().copied().unwrap_or(2);
                if most != 0 && most < least {
                    faults.add(
                        &format!("limits[{i}].{name}"),
                        format!(
                            "is {most}, below the smallest width tried, {least}; want 0 or at least {least}"
                        ),
                    );
                }
            }
        }
        faults.within("tpe", |faults| self.tpe.check(faults));
        faults.within("goal", |faults| self.goal.check(faults));
    }

    /// Whether every value can be used.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every fault.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("quantization search configuration")
    }
}
