//! The search: a study over bit widths, with quantized networks as candidates.

use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::Seed;
use tinsmith_network::ModelSpec;
use tinsmith_study::{
    Check, Decision, Ended, Evaluate, EvaluateError, Objective, Outcome, Params, Report, Request, Runner,
    SearchRun, StartWith, Study, StudyConfig, Tpe, Trial,
};

use crate::config::AutoqConfig;
use crate::error::Result;
use crate::slots::{Ranges, Slots};

/// A quantization search: bit widths for each open slot of one network, for the best score and few bits.
#[derive(Debug, Clone)]
pub struct QuantizationSearch {
    config: AutoqConfig,
    spec: ModelSpec,
    slots: Slots,
    limits: Limits,
    target: Target,
    score: Objective,
    /// Names of the limits that are set, one constraint each.
    constraints: Vec<String>,
}

/// Measure that is minimized besides the score.
pub const BITS: &str = "weight_bits";

impl QuantizationSearch {
    /// Creates a search over the quantizers of `spec` that maximizes `val_accuracy`; `ranges` are the output ranges of its
    /// layers.
    ///
    /// # Errors
    /// [`crate::AutoqError::Config`], [`crate::AutoqError::NothingToQuantize`], and [`crate::AutoqError::Spec`] if the
    /// network is invalid.
    pub fn new(
        config: AutoqConfig,
        spec: ModelSpec,
        ranges: Ranges,
        limits: Limits,
        target: Target,
    ) -> Result<Self> {
        let slots = Slots::of(&spec, &config, ranges)?;
        let cost = Cost::of(&spec, &target)?;
        let constraints = limits.constraints(&cost).into_iter().map(|(name, _)| name.to_owned()).collect();
        let score = Objective::maximize("val_accuracy");
        Ok(Self { config, spec, slots, limits, target, score, constraints })
    }

    /// Sets another score, for example `val_loss`, minimized.
    #[must_use]
    pub fn for_score(mut self, score: Objective) -> Self {
        self.score = score;
        self
    }

    /// Returns the open slots.
    #[must_use]
    pub const fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Returns the network with the bit widths of a trial.
    ///
    /// # Errors
    /// [`crate::AutoqError::Parameter`] if the parameters belong to another network.
    pub fn apply(&self, params: &Params) -> Result<ModelSpec> {
        self.slots.apply(&self.spec, params)
    }

    /// Returns the study's configuration: the score and the bits of all weights as objectives, and one constraint per
    /// limit.
    #[must_use]
    pub fn study_config(&self, seed: Seed) -> StudyConfig {
        StudyConfig {
            name: "quantize".to_owned(),
            seed: seed.value(),
            trials: self.config.trials,
            window: self.config.window,
            time_limit_s: self.config.time_limit_s,
            objectives: vec![self.score.clone(), Objective::minimize(BITS)],
            constraints: self.constraints.clone(),
            report: Some(self.score.name.clone()),
            budget: self.config.budget,
            evaluate_infeasible: false,
        }
    }

    /// Runs the trials that are missing in the journal. The first trials use one bit width for all slots, from the widest
    /// down, as a baseline for the others.
    ///
    /// # Errors
    /// [`crate::AutoqError::Study`] if the journal belongs to another study or the evaluation is broken.
    pub fn run(&self, run: &SearchRun<'_, ModelSpec>) -> Result<(Study<Params>, Ended)> {
        let space = self.slots.space()?;
        let mut study = Study::open(self.study_config(run.seed), run.journal)?;
        let mut widths = self.config.bits.clone();
        widths.sort_unstable_by(|a, b| b.cmp(a));
        let uniform = widths.iter().map(|&bits| self.slots.uniform(bits)).collect();
        let proposer = StartWith::new(uniform, Tpe::new(space.clone(), self.config.tpe.clone())?);
        let evaluate = Quantized { search: self, inner: run.evaluate };
        let check = |params: &Params| self.check(params);
        let describe = |params: &Params| space.describe(params);
        let runner = Runner {
            check: Some(&check),
            describe: Some(&describe),
            scope: run.scope,
            jobs: run.jobs,
            progress: run.progress,
            cancel: run.cancel.clone(),
            ..Runner::new(&proposer, &evaluate)
        };
        let ended = study.run(&runner)?;
        Ok((study, ended))
    }

    /// Returns the feasible trial with the best forgiving score, relative to the size of the widest trial.
    #[must_use]
    pub fn best<'s>(&self, study: &'s Study<Params>) -> Option<&'s Trial<Params>> {
        // A journal written by another program may lack a score; such trials have no finite forgiving score and drop out.
        let usable = || study.trials().iter().filter(|t| t.is_feasible() && t.values.is_some());
        let bits = |t: &Trial<Params>| t.scores.get(BITS).copied().unwrap_or(f64::INFINITY);
        let reference = usable().map(|t| bits(t)).filter(|b| b.is_finite()).fold(0.0, f64::max);
        let more = matches!(self.score.direction, tinsmith_study::Direction::Maximize);
        let score = |t: &Trial<Params>| {
            let metric = t.scores.get(&self.score.name).copied().unwrap_or(f64::NAN);
            let score = self.config.goal.score(metric, more, reference, bits(t));
            if more { score } else { -score }
        };
        usable().filter(|t| score(t).is_finite()).fold(None, |best: Option<&Trial<Params>>, t| match best {
            Some(b) if score(b) >= score(t) => Some(b),
            _ => Some(t),
        })
    }

    fn check(&self, params: &Params) -> Check {
        let cost = self.apply(params).and_then(|spec| Ok(Cost::of(&spec, &self.target)?));
        match cost {
            Ok(cost) => Check {
                constraints: self
                    .limits
                    .constraints(&cost)
                    .into_iter()
                    .map(|(n, v)| (n.to_owned(), v))
                    .collect(),
                measures: [
                    (BITS, cost.total.weight_bits as f64),
                    ("flash_bytes", cost.total.flash_bytes as f64),
                    ("ram_bytes", cost.peak_ram.bytes as f64),
                    ("bops", cost.total.bops),
                ]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
                refused: None,
            },
            Err(error) => Check { refused: Some(error.to_string()), ..Check::default() },
        }
    }
}

/// Evaluates bit widths through the network that they produce.
struct Quantized<'a> {
    search: &'a QuantizationSearch,
    inner: &'a dyn Evaluate<ModelSpec>,
}

impl Evaluate<Params> for Quantized<'_> {
    fn evaluate(
        &self,
        request: Request<'_, Params>,
        report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        let spec = self
            .search
            .apply(request.candidate)
            .map_err(|error| EvaluateError::Failed { reason: error.to_string() })?;
        let request = Request {
            candidate: &spec,
            trial: request.trial,
            budget: request.budget,
            seed: request.seed,
            grant: request.grant,
            resume: request.resume,
            inherit: request.inherit,
            cancel: request.cancel,
        };
        self.inner.evaluate(request, report)
    }
}
