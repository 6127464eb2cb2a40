//! The search: a study over networks with costs known before training.

use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::Seed;
use tinsmith_network::ModelSpec;
use tinsmith_study::{Check, Ended, Evolution, Objective, Runner, Scores, SearchRun, Study, StudyConfig};

use crate::breed::Architectures;
use crate::config::SearchConfig;
use crate::error::{NasError, Result};

/// An architecture search: an evolution of start networks under hard limits, for the best score and the least flash.
#[derive(Debug, Clone)]
pub struct ArchitectureSearch {
    config: SearchConfig,
    start: Vec<ModelSpec>,
    limits: Limits,
    target: Target,
    score: Objective,
    /// Names of the limits that are set, one constraint each.
    constraints: Vec<String>,
}

impl ArchitectureSearch {
    /// Creates a search from the networks of `start` that fit, maximizing `val_accuracy`.
    ///
    /// # Errors
    /// [`NasError::Config`] if the configuration is invalid, [`NasError::Spec`] if a start network is invalid,
    /// [`NasError::NothingFits`] if no start network keeps the limits.
    pub fn new(config: SearchConfig, start: Vec<ModelSpec>, limits: Limits, target: Target) -> Result<Self> {
        config.validate()?;
        let given = start.len();
        let mut fitting = Vec::new();
        let mut nearest: Option<(f64, String)> = None;
        for spec in start {
            let violations = limits.check(&Cost::of(&spec, &target)?);
            let excess: f64 = violations.iter().map(|v| v.value / (v.limit.max(1) as f64)).sum();
            let reason: Vec<String> = violations
                .iter()
                .map(|v| format!("{} ({} of at most {})", v.what, v.value, v.limit))
                .collect();
            if violations.is_empty() {
                fitting.push(spec);
            } else if nearest.as_ref().is_none_or(|(least, _)| excess < *least) {
                nearest = Some((excess, reason.join(", ")));
            }
        }
        let Some(first) = fitting.first() else {
            let nearest =
                nearest.map_or_else(|| "nothing, since none was given".to_owned(), |(_, reason)| reason);
            return Err(NasError::NothingFits { given, nearest });
        };
        let constraints = limits.constraints(&Cost::of(first, &target)?);
        let constraints = constraints.into_iter().map(|(name, _)| name.to_owned()).collect();
        let score = Objective::maximize("val_accuracy");
        Ok(Self { config, start: fitting, limits, target, score, constraints })
    }

    /// Sets another score, for example `val_loss`, minimized.
    #[must_use]
    pub fn for_score(mut self, score: Objective) -> Self {
        self.score = score;
        self
    }

    /// Returns the start networks that fit.
    #[must_use]
    pub fn start(&self) -> &[ModelSpec] {
        &self.start
    }

    /// Returns the study's configuration: the score and flash as objectives, and one constraint per limit.
    #[must_use]
    pub fn study_config(&self, seed: Seed) -> StudyConfig {
        StudyConfig {
            name: "search".to_owned(),
            seed: seed.value(),
            trials: self.config.trials,
            window: self.config.window,
            time_limit_s: self.config.time_limit_s,
            objectives: vec![self.score.clone(), Objective::minimize("flash_bytes")],
            constraints: self.constraints.clone(),
            report: Some(self.score.name.clone()),
            budget: self.config.budget,
            evaluate_infeasible: false,
        }
    }

    /// Runs the trials that are missing in the journal.
    ///
    /// # Errors
    /// [`NasError::Study`] if the journal belongs to another study or the evaluation is broken.
    pub fn run(&self, run: &SearchRun<'_, ModelSpec>) -> Result<(Study<ModelSpec>, Ended)> {
        let mut study = Study::open(self.study_config(run.seed), run.journal)?;
        let breed =
            Architectures::new(self.start.clone(), self.config.mutations, self.limits, self.target.clone());
        let proposer = Evolution::new(breed, self.config.evolution.clone())?;
        let check = |spec: &ModelSpec| check(spec, &self.limits, &self.target);
        let runner = Runner {
            check: Some(&check),
            scope: run.scope,
            jobs: run.jobs,
            progress: run.progress,
            cancel: run.cancel.clone(),
            ..Runner::new(&proposer, run.evaluate)
        };
        let ended = study.run(&runner)?;
        Ok((study, ended))
    }
}

/// Costs a network for a study: its measures, and one constraint per limit. A network without a cost is refused.
#[must_use]
pub fn check(spec: &ModelSpec, limits: &Limits, target: &Target) -> Check {
    match Cost::of(spec, target) {
        Ok(cost) => Check {
            constraints: limits
                .constraints(&cost)
                .into_iter()
                .map(|(name, v)| (name.to_owned(), v))
                .collect(),
            measures: measures(&cost),
            refused: None,
        },
        Err(error) => Check { refused: Some(error.to_string()), ..Check::default() },
    }
}

/// Returns the measures of a cost by the names used in studies.
#[must_use]
pub fn measures(cost: &Cost) -> Scores {
    [
        ("params", cost.total.params as f64),
        ("macs", cost.total.macs as f64),
        ("flash_bytes", cost.total.flash_bytes as f64),
        ("ram_bytes", cost.peak_ram.bytes as f64),
        ("weight_bits", cost.total.weight_bits as f64),
        ("bops", cost.total.bops),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
