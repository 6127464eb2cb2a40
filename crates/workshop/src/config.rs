//! What is to be designed, and how much may be tried on the way.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_autoq::Goal;
use tinsmith_cost::{Limits, Target};
use tinsmith_data::{Augment, Dataset};
use tinsmith_foundation::{ConfigErrors, Faults, config};
use tinsmith_study::{Budget, EvolutionConfig};
use tinsmith_trainer::{Loss, OptimizerConfig, Schedule, TrainConfig};

use crate::bytes::ByteSize;
use crate::error::Result;

/// Which random networks a search starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateStage {
    /// How many random networks that keep the budget are drawn. Default 64.
    pub candidates: usize,
}

impl Default for GenerateStage {
    fn default() -> Self {
        Self { candidates: 64 }
    }
}

/// How architectures are searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchStage {
    /// What one trial may spend. Default: chosen from the size of the data.
    pub budget: Option<Budget>,
    /// How many changes make a child. Default 2.
    pub mutations: u32,
    /// How parents are chosen.
    pub evolution: EvolutionConfig,
    /// How many of the best are trained in full before one is chosen. Default 4.
    pub finalists: usize,
}

impl Default for SearchStage {
    fn default() -> Self {
        let evolution = EvolutionConfig { population: 16, ..EvolutionConfig::default() };
        Self { budget: None, mutations: 2, evolution, finalists: 4 }
    }
}

/// How quantizers are searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuantizeStage {
    /// How many assignments of widths are tried. Default: half of the search's trials.
    pub trials: Option<u64>,
    /// What one trial may spend. Default: chosen from the size of the data.
    pub budget: Option<Budget>,
    /// Widths that are tried, in bits. Default 2, 3, 4, 6, 8.
    pub bits: Vec<u32>,
    /// How bits are traded for accuracy.
    pub goal: Goal,
}

impl Default for QuantizeStage {
    fn default() -> Self {
        let goal = Goal { delta_p: 0.4, ..Goal::default() };
        Self { trials: None, budget: None, bits: vec![2, 3, 4, 6, 8], goal }
    }
}

/// How much is pruned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PruneStage {
    /// Sparsities that are tried. Default 0.2, 0.35, 0.5, 0.65, 0.8.
    pub sparsities: Vec<f64>,
    /// What one trial may spend. Default: chosen from the size of the data.
    pub budget: Option<Budget>,
    /// How flash is traded for accuracy.
    pub goal: Goal,
}

impl Default for PruneStage {
    fn default() -> Self {
        let goal = Goal { delta_p: 0.4, ..Goal::default() };
        Self { sparsities: vec![0.2, 0.35, 0.5, 0.65, 0.8], budget: None, goal }
    }
}

/// A design: the data, the budget, and how much is tried. Fields that are left out have the stated defaults; those
/// that depend on the data are written out in the result's `config.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DesignConfig {
    /// Version of this format. Default 1, the only one.
    pub schema: u32,
    /// A built-in data set, or a folder of IDX files. Default `digits8x8`.
    pub data: String,
    /// Where the network is to run: a built-in target, or a YAML file of one. Default `mcu-packed`.
    pub target: String,
    /// Flash that weights may take. Default 8 KiB.
    pub flash: ByteSize,
    /// RAM that activations may take at any moment. Default 2 KiB.
    pub ram: ByteSize,
    /// Multiply-accumulates of one inference at most. Default no limit.
    pub macs: Option<u64>,
    /// Architectures that are tried. Default 40.
    pub trials: u64,
    /// Minutes after which the searches begin no more trials (training the winner comes after that). Results are
    /// then no longer the same on every machine. Default no limit.
    pub time: Option<f64>,
    /// Seed of everything random. Default 0.
    pub seed: u64,
    /// How many networks are trained side by side; 0 means one for each core. Results do not depend on it.
    /// Default 0.
    pub jobs: usize,
    /// The folder of the result. Default `design-` and the name of the data.
    pub out: Option<PathBuf>,
    /// Whether nothing but the result is printed. Default false.
    pub quiet: bool,
    /// How often the winner is trained, each time from a seed of its own. Default 3.
    pub seeds: u64,
    /// Epochs of a full training. Default: chosen from the size of the data.
    pub epochs: Option<u32>,
    /// Samples in one step. Default: chosen from the size of the data.
    pub batch_size: Option<usize>,
    /// Learning rate of Adam at the start of its cosine. Default 0.004.
    pub learning_rate: f64,
    /// Share of the training rows that are held out to decide by; whole subjects where the data name them.
    /// Default 0.2.
    pub validation: f64,
    /// Whether the final trainings use the validation rows too, once everything is decided; their last weights are then
    /// kept. Default: for fewer than 10,000 rows.
    pub refit: Option<bool>,
    /// How training samples are varied. Default: a small shift of larger images; of series shift,
    /// stretch and noise, and gain and offset of each channel.
    pub augment: Option<Augment>,
    /// Random candidates.
    pub generate: GenerateStage,
    /// Architectures.
    pub search: SearchStage,
    /// Quantizers.
    pub quantize: QuantizeStage,
    /// Sparsity.
    pub prune: PruneStage,
}

impl Default for DesignConfig {
    fn default() -> Self {
        Self {
            schema: 1,
            data: "digits8x8".to_owned(),
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
            generate: GenerateStage::default(),
            search: SearchStage::default(),
            quantize: QuantizeStage::default(),
            prune: PruneStage::default(),
        }
    }
}

impl DesignConfig {
    /// Reads a YAML or JSON file.
    ///
    /// # Errors
    /// [`crate::WorkshopError::File`] where it cannot be read, [`crate::WorkshopError::Config`] with line and column where a key is
    /// unknown or a value cannot be used.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(config::load(path, Self::check)?)
    }

    /// Notes values that cannot be used.
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
        if !(self.validation > 0.0 && self.validation < 1.0) {
            faults.add("validation", format!("is {}, want a share between 0 and 1", self.validation));
        }
        for (i, s) in self.prune.sparsities.iter().enumerate().filter(|(_, s)| !(0.0..1.0).contains(*s)) {
            faults.add(&format!("prune.sparsities[{i}]"), format!("is {s}, want 0 to below 1"));
        }
        if self.prune.sparsities.is_empty() {
            faults.add("prune.sparsities", "is empty, want at least one share");
        }
        if self.quantize.bits.is_empty() {
            faults.add("quantize.bits", "is empty, want at least one width");
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

    /// Whether every value can be used.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every fault.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("design configuration")
    }

    /// The budget.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { flash: Some(self.flash.0), ram: Some(self.ram.0), macs: self.macs, ..Limits::default() }
    }

    /// The target.
    ///
    /// # Errors
    /// [`crate::WorkshopError::Spec`] where there is no such target and no such file, or the file is no target.
    pub fn target(&self) -> Result<Target> {
        Ok(Target::load(&self.target)?)
    }

    /// The folder of the result.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            let name =
                Path::new(&self.data).file_name().map_or_else(|| "data".into(), |n| n.to_string_lossy());
            PathBuf::from(format!("design-{name}"))
        })
    }

    /// The same with everything written out that depends on the data. Budgets count in passes of a row through the
    /// network, so that small data are seen often and large data in part.
    #[must_use]
    pub fn resolved(mut self, train: &Dataset) -> Self {
        let rows = train.len().max(1) as f64;
        let epochs = |passes: f64, least: f64, most: f64| (passes / rows).clamp(least, most).round() as u32;
        let budget = |passes: f64, least: f64, most: f64| {
            let epochs = epochs(passes, least, most);
            let share = passes / (rows * f64::from(epochs));
            Budget { epochs, folds: 1, share: if share < 1.0 { (share * 100.0).ceil() / 100.0 } else { 1.0 } }
        };
        self.search.budget.get_or_insert(budget(36_000.0, 3.0, 16.0));
        self.quantize.budget.get_or_insert(budget(36_000.0, 3.0, 10.0));
        self.prune.budget.get_or_insert(budget(60_000.0, 4.0, 16.0));
        self.quantize.trials.get_or_insert((self.trials / 2).max(1));
        self.epochs.get_or_insert(epochs(480_000.0, 8.0, 60.0));
        self.batch_size.get_or_insert(if rows < 8000.0 { 32 } else { 64 });
        self.refit.get_or_insert(rows < 10_000.0);
        self.augment.get_or_insert(match train.sample_shape() {
            [h, w, _] if *h.min(w) >= 16 => Augment { shift: 1, ..Augment::default() },
            [t, _] => {
                let shift = u32::try_from(t / 16).unwrap_or(0);
                Augment { shift, gain: 0.2, offset: 0.2, stretch: 0.15, noise: 0.1, ..Augment::default() }
            }
            _ => Augment::default(),
        });
        self.out = Some(self.folder());
        self
    }

    /// How networks are trained: `epochs` of Adam along a cosine.
    #[must_use]
    pub fn training(&self, epochs: u32) -> TrainConfig {
        TrainConfig {
            epochs,
            batch_size: self.batch_size.unwrap_or(64),
            loss: Loss::CrossEntropy { label_smoothing: 0.0 },
            optimizer: OptimizerConfig { learning_rate: self.learning_rate, ..OptimizerConfig::default() },
            schedule: Schedule::Cosine { floor: 0.01 },
            warm_up: 0.05,
            augment: self.augment.unwrap_or_default(),
            ..TrainConfig::default()
        }
    }

    /// Epochs of a full training.
    #[must_use]
    pub fn full_epochs(&self) -> u32 {
        self.epochs.unwrap_or(30)
    }
}
