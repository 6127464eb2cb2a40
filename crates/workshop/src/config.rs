//! The configuration of a design as a user writes it: every value may be left out.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_autoq::Goal;
use tinsmith_data::{Augment, TableOptions};
use tinsmith_foundation::{ByteSize, ConfigErrors, Faults, config};
use tinsmith_study::{Budget, EvolutionConfig};

use crate::error::Result;

/// Random networks that a search starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateOptions {
    /// Number of random networks within the limits. Default 64.
    pub candidates: usize,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { candidates: 64 }
    }
}

/// Settings of the architecture search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchOptions {
    /// Training budget of one trial. Default: chosen from the number of training rows.
    pub budget: Option<Budget>,
    /// Number of successive mutations that make a child. Default 2.
    pub mutations: u32,
    /// Selection of parents.
    pub evolution: EvolutionConfig,
    /// Number of best trials that are trained in full before one is chosen. Default 4.
    pub finalists: usize,
}

impl Default for SearchOptions {
    fn default() -> Self {
        let evolution = EvolutionConfig { population: 16, ..EvolutionConfig::default() };
        Self { budget: None, mutations: 2, evolution, finalists: 4 }
    }
}

/// Settings of the quantization search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuantizeOptions {
    /// Number of bit-width assignments that are tried. Default: half of the search's trials.
    pub trials: Option<u64>,
    /// Training budget of one trial. Default: chosen from the number of training rows.
    pub budget: Option<Budget>,
    /// Bit widths that are tried. Default 2, 3, 4, 6, 8.
    pub bits: Vec<u32>,
    /// Exchange rate between bits and accuracy.
    pub goal: Goal,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        let goal = Goal { delta_p: 0.4, ..Goal::default() };
        Self { trials: None, budget: None, bits: vec![2, 3, 4, 6, 8], goal }
    }
}

/// Settings of the pruning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PruneOptions {
    /// Sparsities that are tried. Default 0.2, 0.35, 0.5, 0.65, 0.8.
    pub sparsities: Vec<f64>,
    /// Training budget of one trial. Default: chosen from the number of training rows.
    pub budget: Option<Budget>,
    /// Exchange rate between flash and accuracy.
    pub goal: Goal,
}

impl Default for PruneOptions {
    fn default() -> Self {
        let goal = Goal { delta_p: 0.4, ..Goal::default() };
        Self { sparsities: vec![0.2, 0.35, 0.5, 0.65, 0.8], budget: None, goal }
    }
}

/// A design as a user asks for it: data, limits and effort. Fields that are left out have the stated defaults.
///
/// [`DesignConfig::resolve`] makes a [`crate::DesignPlan`] of it, in which the values that depend on the data are filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DesignConfig {
    /// Version of this format. Default 1, the only one.
    pub schema: u32,
    /// A built-in data set, a folder of IDX or NPY files, an .npz archive, a .csv table, or the name of one of these in
    /// the folder `$TINSMITH_DATA`. Default `digits8x8`.
    pub data: String,
    /// Options for the targets and columns of the data. Default: decided by the data.
    #[serde(skip_serializing_if = "is_default")]
    pub table: TableOptions,
    /// The hardware: a built-in target, or a YAML file of one. Default `mcu-packed`.
    pub target: String,
    /// Limit of flash for weights. Default 8 KiB.
    pub flash: ByteSize,
    /// Limit of RAM for activations, at the peak. Default 2 KiB.
    pub ram: ByteSize,
    /// Limit of multiply-accumulates per inference. Default no limit.
    pub macs: Option<u64>,
    /// Number of architectures that are tried. Default 40.
    pub trials: u64,
    /// Minutes after which the searches start no more trials; the final trainings come after that. With a time limit, results
    /// depend on the machine. Default no limit.
    pub time: Option<f64>,
    /// Seed of all random choices. Default 0.
    pub seed: u64,
    /// Number of networks trained side by side; 0 means one per core. Results do not depend on it. Default 0.
    pub jobs: usize,
    /// Folder of the result. Default `design-` and the name of the data.
    pub out: Option<PathBuf>,
    /// Hides progress. Default false.
    pub quiet: bool,
    /// Number of trainings of the winner, each from a seed of its own. Default 3.
    pub seeds: u64,
    /// Epochs of a full training. Default: chosen from the number of training rows.
    pub epochs: Option<u32>,
    /// Samples in one batch. Default: chosen from the number of training rows.
    pub batch_size: Option<usize>,
    /// Learning rate of Adam at the start of its cosine schedule. Default 0.004.
    pub learning_rate: f64,
    /// Fraction of training rows held out for validation; whole subjects if the data set names them. Default 0.2.
    pub validation: f64,
    /// Includes the validation rows in the final trainings, after all decisions are made; their last weights are then
    /// kept. Default: for fewer than 10,000 rows.
    pub refit: Option<bool>,
    /// Augmentation of training samples. Default: a small shift of larger images; for series shift, stretch and noise, and
    /// gain and offset of each channel.
    pub augment: Option<Augment>,
    /// Random candidates.
    pub generate: GenerateOptions,
    /// Architectures.
    pub search: SearchOptions,
    /// Quantizers.
    pub quantize: QuantizeOptions,
    /// Sparsity.
    pub prune: PruneOptions,
}

impl Default for DesignConfig {
    fn default() -> Self {
        Self {
            schema: 1,
            data: "digits8x8".to_owned(),
            table: TableOptions::default(),
            target: "mcu-packed".to_owned(),
            flash: ByteSize(8 << 10),
            ram: ByteSize(2 << 10),
            macs: None,
            trials: 40,
            time: None,
            seed: 0,
            jobs: 0,
            out: None,
            quiet: false,
            seeds: 3,
            epochs: None,
            batch_size: None,
            learning_rate: 0.004,
            validation: 0.2,
            refit: None,
            augment: None,
            generate: GenerateOptions::default(),
            search: SearchOptions::default(),
            quantize: QuantizeOptions::default(),
            prune: PruneOptions::default(),
        }
    }
}

impl DesignConfig {
    /// Reads a YAML or JSON file.
    ///
    /// # Errors
    /// [`crate::WorkshopError::File`] if it cannot be read, [`crate::WorkshopError::Config`] with line and column if a key
    /// is unknown or a value cannot be used.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(config::load(path, Self::check)?)
    }

    /// Adds a fault for every value that cannot be used.
    pub fn check(&self, faults: &mut Faults) {
        if self.schema != 1 {
            faults.add("schema", format!("is {}, this version reads 1", self.schema));
        }
        for (name, is_zero) in [
            ("trials", self.trials == 0),
            ("seeds", self.seeds == 0),
            ("generate.candidates", self.generate.candidates == 0),
            ("search.mutations", self.search.mutations == 0),
            ("search.finalists", self.search.finalists == 0),
            ("epochs", self.epochs == Some(0)),
            ("batch_size", self.batch_size == Some(0)),
            ("quantize.trials", self.quantize.trials == Some(0)),
        ] {
            if is_zero {
                faults.add(name, "is 0, want at least 1");
            }
        }
        if let Some(minutes) = self.time.filter(|m| !(*m > 0.0 && m.is_finite())) {
            faults.add("time", format!("is {minutes}, want minutes above 0"));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            faults.add("learning_rate", format!("is {}, want a number above 0", self.learning_rate));
        }
        check_validation(self.validation, faults);
        faults.within("table", |faults| self.table.check(faults));
        for (i, s) in self.prune.sparsities.iter().enumerate().filter(|(_, s)| !(0.0..1.0).contains(*s)) {
            faults.add(&format!("prune.sparsities[{i}]"), format!("is {s}, want 0 to below 1"));
        }
        if self.prune.sparsities.is_empty() {
            faults.add("prune.sparsities", "is empty, want at least one fraction");
        }
        if self.quantize.bits.is_empty() {
            faults.add("quantize.bits", "is empty, want at least one bit width");
        }
        for (i, bits) in self.quantize.bits.iter().enumerate().filter(|(_, b)| !(2..=16).contains(*b)) {
            faults.add(&format!("quantize.bits[{i}]"), format!("is {bits}, want 2..=16"));
        }
        if let Some(augment) = &self.augment {
            faults.within("augment", |faults| augment.check(faults));
        }
        faults.within("search.evolution", |faults| self.search.evolution.check(faults));
        faults.within("quantize.goal", |faults| self.quantize.goal.check(faults));
        faults.within("prune.goal", |faults| self.prune.goal.check(faults));
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigErrors`] with all faults.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("design configuration")
    }

    /// Returns the folder of the result: `out`, or `design-` and the last part of the data's name.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            let name =
                Path::new(&self.data).file_name().map_or_else(|| "data".into(), |n| n.to_string_lossy());
            PathBuf::from(format!("design-{name}"))
        })
    }
}

/// Returns true for options of which none is given; they are left out of files.
pub(crate) fn is_default(table: &TableOptions) -> bool {
    *table == TableOptions::default()
}

/// Adds a fault unless `fraction` lies strictly between 0 and 1.
pub(crate) fn check_validation(fraction: f64, faults: &mut Faults) {
    if !(fraction > 0.0 && fraction < 1.0) {
        faults.add("validation", format!("is {fraction}, want a fraction above 0 and below 1"));
    }
}
