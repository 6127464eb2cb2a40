//! Execution of one run, from its claim to its result.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tinsmith_data::Parts;
use tinsmith_foundation::{CancelToken, FoundationError, Grant, clock, config, files};
use tinsmith_trainer::{Callback, Context, Run, RunResult, TrainConfig, TrainError};

use crate::attempt::{Attempt, Begin, Claimant, RunFolder};
use crate::configurator::{EVALUATION_LIMIT, ModelConfigurator, ModelRequest, ModelSetup, TRAINING_LIMIT};
use crate::data::hex;
use crate::error::{FleetError, Result};
use crate::outcome::{Cause, Outcome};
use crate::plan::{Plan, PlannedRun};
use crate::project::Project;
use crate::pulse::Pulse;
use crate::sweep;

/// Minimum interval between checks for a superseding attempt.
const LOOK: Duration = Duration::from_secs(2);

/// Trains runs of a project.
pub(crate) struct Executor<'a> {
    pub(crate) project: &'a Project,
    pub(crate) plan: &'a Plan,
    pub(crate) parts: Parts,
    pub(crate) configurator: &'a dyn ModelConfigurator,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) who: Claimant,
    pub(crate) pulse: Pulse,
}

/// Outcome of a run for this process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ended {
    /// This process finished it.
    Done(Box<Outcome>),
    /// Another process finished it, before or meanwhile.
    Elsewhere,
    /// Another process is training it.
    Busy,
    /// It failed; with the reason if it failed in this call, `None` if it had failed before.
    Failed(Option<String>),
    /// A stop was requested, and the run resumes later. `None` if no attempt had begun.
    Interrupted(Option<Attempt>),
}

impl<'a> Executor<'a> {
    pub(crate) fn new(
        project: &'a Project,
        plan: &'a Plan,
        configurator: &'a dyn ModelConfigurator,
        cancel: &'a CancelToken,
        who: Claimant,
    ) -> Result<Self> {
        let manifest = project.manifest();
        let parts = manifest.data.load(manifest.seed)?;
        Ok(Self { project, plan, parts, configurator, cancel, who, pulse: Pulse::start() })
    }

    pub(crate) fn run(&self, run: &PlannedRun, grant: Grant) -> Result<Ended> {
        if self.cancel.is_cancelled() {
            return Ok(Ended::Interrupted(None));
        }
        let folder = RunFolder(self.project.layout().run(run.index));
        let attempt = match folder.begin(&self.who, run.seed)? {
            Begin::Done => return Ok(Ended::Elsewhere),
            Begin::Busy => return Ok(Ended::Busy),
            Begin::Failed => return Ok(Ended::Failed(None)),
            Begin::Mine(attempt) => attempt,
        };
        let start = Instant::now();
        let work = || self.train(run, &attempt, grant, start);
        // A panic in one run must not end the others.
        let caught =
            self.pulse.during(run.index, &attempt, || std::panic::catch_unwind(AssertUnwindSafe(work)));
        let reason = match caught {
            Ok(Ok(outcome)) => {
                return Ok(if attempt.publish(&outcome)? {
                    Ended::Done(Box::new(outcome))
                } else {
                    Ended::Elsewhere
                });
            }
            Ok(Err(FleetError::Train(TrainError::Cancelled { .. }))) => {
                return Ok(Ended::Interrupted(Some(attempt)));
            }
            Ok(Err(_)) if attempt.is_superseded() => return Ok(Ended::Elsewhere),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                format!("panicked: {}", text.unwrap_or("without a message"))
            }
        };
        attempt.fail(Cause::Exit, &reason)?;
        Ok(Ended::Failed(Some(reason)))
    }

    fn train(&self, run: &PlannedRun, attempt: &Attempt, grant: Grant, start: Instant) -> Result<Outcome> {
        let (part, planned) = self.plan.part_of(run)?;
        let training = sweep::with_values(&part.header.training, &run.values)?;
        let model = run.model();
        let request = ModelRequest {
            model: &model,
            epochs: training.epochs,
            epoch_samples: training.epoch_samples as u64,
            count: planned.count,
            intelligent: planned.intelligent,
            weights_path: &attempt.folder,
            architecture_path: &attempt.folder,
            metrics_path: &attempt.folder,
            training_run: run.replicate / planned.count.max(1),
            replicate: run.replicate,
            index: run.index,
            seed: run.seed,
            values: &run.values,
            training: &training,
            specs: &part.specs,
            data: &self.parts,
        };
        let refuse = |reason: String| FleetError::Configurator { model: model.to_string(), reason };
        let setup = self.configurator.configure(&request).map_err(|error| refuse(error.to_string()))?;
        let copies = Copies::of(&setup);
        let ModelSetup {
            name,
            epochs,
            model: spec,
            training: samples,
            evaluation,
            optimizer,
            loss,
            config,
            ..
        } = setup;
        let data = samples.draw(&name, TRAINING_LIMIT, loss)?;
        let validation = evaluation.map(|s| s.draw(&name, EVALUATION_LIMIT, loss)).transpose()?;
        let plan = tinsmith_trainer::Plan {
            spec,
            config: TrainConfig { epochs, optimizer, loss, ..config },
            seed: run.seed,
            start: None,
            attributes: model_values(run)?,
        };
        let context = Context { seed: run.seed, grant, cancel: self.cancel };
        let place = Run::new(&attempt.folder);
        let mut fence = Fence { attempt, looked: Instant::now() };
        let trained = place.train(&plan, &data, validation.as_ref(), &context, &mut fence);
        let result = match trained {
            // The earlier attempt's files are of another network or configuration, corrected since, so
            // training restarts.
            Err(TrainError::OtherRun { .. }) => {
                attempt.clear()?;
                place.train(&plan, &data, validation.as_ref(), &context, &mut fence)?
            }
            trained => trained?,
        };
        copies.make(&place)?;
        // A user's own configurator may train on other samples, to which this normalization does not belong.
        if self.project.manifest().specifications {
            let text = config::to_yaml("normalizer", &self.parts.normalizer)?;
            files::write_atomic(&place.folder().join("normalizer.yaml"), text.as_bytes())?;
        }
        outcome(run, attempt, &place, &result, start, &self.who)
    }
}

/// Returns the values of the sweep that lie in the specification. The training configuration does not contain them, so
/// the run records them as attributes, which TensorBoard shows among the hyper-parameters.
fn model_values(run: &PlannedRun) -> Result<BTreeMap<String, serde_json::Value>> {
    let own = run.values.0.iter().filter(|(name, _)| name.starts_with(sweep::MODEL));
    own.map(|(name, value)| {
        let value = serde_json::to_value(value)
            .map_err(|e| FleetError::usage(format!("value of `{name}` has no JSON form: {e}")))?;
        Ok((name.clone(), value))
    })
    .collect()
}

fn outcome(
    run: &PlannedRun,
    attempt: &Attempt,
    place: &Run,
    result: &RunResult,
    start: Instant,
    who: &Claimant,
) -> Result<Outcome> {
    let mut scores = BTreeMap::new();
    let mut score = |name: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            scores.insert(name.to_owned(), value);
        }
    };
    score("loss", result.history.epochs.last().map(|e| e.loss));
    score("val_loss", result.validation.as_ref().map(|v| v.loss));
    score("val_accuracy", result.validation.as_ref().and_then(tinsmith_trainer::Evaluation::accuracy));
    let path = place.weights();
    let bytes = std::fs::read(&path).map_err(FleetError::read(&path))?;
    Ok(Outcome {
        index: run.index,
        attempt: attempt.number,
        seed: run.seed,
        scores,
        epochs: result.history.epochs.last().map_or(0, |e| e.epoch),
        weights: hex(&Sha256::digest(&bytes)),
        seconds: start.elapsed().as_secs_f64(),
        finished: clock::now(),
        node: who.node.clone(),
        job: who.job.clone(),
    })
}

/// Copies requested by a configurator.
struct Copies(Vec<(&'static str, std::path::PathBuf)>);

impl Copies {
    fn of(setup: &ModelSetup) -> Self {
        let target = |folder: &Path, extension: &str| folder.join(format!("{}.{extension}", setup.name));
        Self(vec![
            ("spec.yaml", target(&setup.architecture_path, "yaml")),
            ("weights.safetensors", target(&setup.weights_path, "safetensors")),
            ("metrics.jsonl", target(&setup.metrics_path, "jsonl")),
        ])
    }

    fn make(&self, run: &Run) -> Result<()> {
        for (name, to) in &self.0 {
            let from = run.folder().join(name);
            if to.parent() == Some(run.folder()) {
                continue;
            }
            let bytes = std::fs::read(&from)
                .map_err(|source| FoundationError::Read { path: from.clone(), source })?;
            files::write_atomic(to, &bytes)?;
        }
        Ok(())
    }
}

/// Callback that ends a superseded attempt.
struct Fence<'a> {
    attempt: &'a Attempt,
    looked: Instant,
}

impl Callback for Fence<'_> {
    fn before_epoch(&mut self, _model: &mut tinsmith_layers::Model, _epoch: u32) -> Result<(), TrainError> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        if self.attempt.is_superseded() {
            return Err(TrainError::Callback { reason: "another attempt has taken over".to_owned() });
        }
        Ok(())
    }
}
