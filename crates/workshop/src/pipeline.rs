//! The design from the data to the result.
//!
//! Every stage continues from its folder and depends only on the plan, the data and the stages before it. Resuming a design is
//! therefore running all of it again: finished parts take no time.

use std::path::Path;

use tinsmith_cost::Limits;
use tinsmith_foundation::{FoundationError, config, files};
use tinsmith_network::ModelSpec;
use tinsmith_study::{Ended, TrialState};

use crate::bench::{BenchOptions, Session, Workbench};
use crate::config::DesignConfig;
use crate::error::{Result, WorkshopError};
use crate::folder::DesignFolder;
use crate::identity::{Claim, WorkRecord};
use crate::page;
use crate::plan::DesignPlan;
use crate::recipe::fine_tuning;
use crate::result::{Counts, DesignResult};
use crate::stage::candidates::CandidateStage;
use crate::stage::finalists::{self, ChosenNetwork};
use crate::stage::prune::{PruneOutcome, PruneStage};
use crate::stage::quantize::{QuantizeOutcome, QuantizeStage};
use crate::stage::search::{SearchOutcome, SearchStage};
use crate::stage::ship;
use crate::stage::winner::WinnerStage;

/// Everything that the stages of a design found, for the report.
pub(crate) struct Findings {
    pub(crate) search: SearchOutcome,
    pub(crate) chosen: ChosenNetwork,
    pub(crate) quantized: QuantizeOutcome,
    pub(crate) pruned: PruneOutcome,
}

/// Runs a design in its folder from the beginning, or from the point at which the same design was interrupted.
///
/// ```no_run
/// use tinsmith_foundation::{CancelToken, Silent};
/// use tinsmith_workshop::{DesignConfig, Session, design};
///
/// let config = DesignConfig { flash: "4KiB".parse()?, ..DesignConfig::default() };
/// let result = design(config, &Session::new(&Silent, CancelToken::new()))?;
/// println!("{:.1} % in {} bytes", 100.0 * result.winner.mean, result.winner.flash_bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`WorkshopError::Occupied`] and [`WorkshopError::OtherWork`] if the folder holds something else;
/// [`WorkshopError::Config`], [`WorkshopError::Data`] and [`WorkshopError::Budget`] if it cannot start;
/// [`WorkshopError::Cancelled`] after a requested stop.
pub fn design(mut config: DesignConfig, session: &Session<'_>) -> Result<DesignResult> {
    config.validate()?;
    // The folder's default name follows the name as the user gave it; the stored path is absolute, because a design may be
    // resumed from another working directory.
    config.out = Some(config.folder());
    config.data = tinsmith_data::locate(&config.data, session.data_folder.as_deref())?;
    let bench = open(&config, session)?;
    let plan = config.resolve(&bench.data.train);
    DesignRun::new(plan, bench)?.run()
}

/// Resumes the design in a folder, with `jobs` networks side by side if given. A finished design is only read.
///
/// # Errors
/// [`WorkshopError::Nothing`] if there is none, [`WorkshopError::OtherWork`] if the data or a setting changed since it was
/// started; as [`design`] otherwise.
pub fn resume(folder: &Path, jobs: Option<usize>, session: &Session<'_>) -> Result<DesignResult> {
    let folder = DesignFolder::new(folder);
    if !folder.config().is_file() {
        return Err(WorkshopError::Nothing { path: folder.root().to_owned() });
    }
    if let Some(result) = DesignResult::load(&folder)? {
        return Ok(result);
    }
    let mut plan = DesignPlan::load(&folder.config())?;
    plan.jobs = jobs.unwrap_or(plan.jobs);
    // The folder may have been moved.
    plan.out = folder.root().to_owned();
    let bench = open(&plan.as_config(), session)?;
    DesignRun::new(plan, bench)?.run()
}

fn open<'a>(config: &DesignConfig, session: &Session<'a>) -> Result<Workbench<'a>> {
    let limits = Limits {
        flash: Some(config.flash.0),
        ram: Some(config.ram.0),
        macs: config.macs,
        ..Limits::default()
    };
    let options = BenchOptions {
        data: config.data.clone(),
        table: config.table.clone(),
        validation: config.validation,
        seed: config.seed,
        jobs: config.jobs,
        limits,
        target: config.target.clone(),
    };
    let bench = Workbench::open(&options, session)?;
    bench.require_classes()?;
    Ok(bench)
}

/// A design under way.
pub(crate) struct DesignRun<'a> {
    pub(crate) bench: Workbench<'a>,
    pub(crate) plan: DesignPlan,
    pub(crate) folder: DesignFolder,
    record: WorkRecord,
    claim: Claim,
}

impl<'a> DesignRun<'a> {
    /// Checks that the folder is free or holds the same design. Nothing is written yet.
    fn new(plan: DesignPlan, bench: Workbench<'a>) -> Result<Self> {
        let folder = DesignFolder::new(&plan.out);
        let record = WorkRecord::new("design", &bench.splits, plan.settings(&bench.target)?);
        let claim = record.check(folder.root())?;
        Ok(Self { bench, plan, folder, record, claim })
    }

    fn run(&self) -> Result<DesignResult> {
        let (bench, plan, folder) = (&self.bench, &self.plan, &self.folder);
        if let Some(result) = DesignResult::load(folder)? {
            bench.progress.note(format!("{} holds this design, finished already", folder.root().display()));
            return Ok(result);
        }
        let candidates = CandidateStage { count: plan.generate.candidates }.run(bench)?;
        // Only now: limits that no network keeps must not leave a folder behind.
        self.begin(&candidates)?;
        let found = self.find(candidates.clone())?;
        let winner = WinnerStage {
            plan,
            folder,
            chosen: &found.chosen,
            quantized: &found.quantized,
            pruned: &found.pruned,
        };
        let trained = winner.run(bench)?;
        let result = DesignResult {
            data: self.record.data.clone(),
            data_checksum: self.record.data_checksum.clone(),
            seed: plan.seed,
            limits: bench.limits,
            baseline: trained.baseline,
            winner: trained.winner,
            run: trained.run,
            layers: trained.layers,
            confusion: trained.confusion,
            classes: bench.data.test.class_names().to_vec(),
            counts: counts(candidates.len(), &found),
        };
        trained.spec.save(&folder.spec())?;
        files::write_atomic(&folder.weights(), &trained.weights)?;
        ship::run(folder, bench.progress)?;
        files::write_atomic(&folder.metrics(), trained.metrics.as_bytes())?;
        page::write(self, &result, &trained.spec, &found)?;
        // Last of all: a design with a result is finished.
        files::write_atomic(&folder.result(), config::to_json("result", &result)?.as_bytes())?;
        Ok(result)
    }

    /// Claims the folder, and writes the plan, the normalization and the candidates.
    fn begin(&self, candidates: &[ModelSpec]) -> Result<()> {
        let (plan, folder) = (&self.plan, &self.folder);
        self.record.claim(folder.root())?;
        if self.claim == Claim::New || !folder.config().is_file() {
            let text = config::to_yaml("configuration", plan)?;
            files::write_atomic(&folder.config(), text.as_bytes())?;
        }
        self.bench.save_data_record(folder.root())?;
        let mut lines = String::new();
        for spec in candidates {
            let line = serde_json::to_string(spec)
                .map_err(|e| FoundationError::Serialize { what: "candidate", reason: e.to_string() })?;
            lines.push_str(&line);
            lines.push('\n');
        }
        Ok(files::write_atomic(&folder.candidates(), lines.as_bytes())?)
    }

    /// Searches architecture, bit widths and sparsity.
    fn find(&self, start: Vec<ModelSpec>) -> Result<Findings> {
        let (bench, plan, folder) = (&self.bench, &self.plan, &self.folder);
        let search = SearchStage {
            config: plan.search_config(),
            start,
            training: plan.training(plan.search.budget.epochs),
            folder: &folder.search(),
        };
        let search = search.run(bench).map_err(|error| self.whole(error))?;
        let chosen = finalists::run(bench, plan, folder, &search)?;
        let quantize = QuantizeStage {
            config: plan.quantize_config(),
            weights: &chosen.weights,
            training: fine_tuning(plan.training(plan.quantize.budget.epochs)),
            folder: &folder.quantize(),
        };
        let quantized = quantize.run(bench).map_err(|error| self.whole(error))?;
        let prune = PruneStage {
            candidates: plan.prunings(),
            budget: plan.prune.budget,
            goal: plan.prune.goal,
            time_limit_s: plan.time_limit_s(0.2),
            network: quantized.spec.clone(),
            weights: quantized.weights.clone(),
            training: fine_tuning(plan.training(plan.prune.budget.epochs)),
            folder: &folder.prune(),
        };
        let pruned = prune.run(bench).map_err(|error| self.whole(error))?;
        Ok(Findings { search, chosen, quantized, pruned })
    }

    /// An interruption of a stage as one of the design, whose folder is to be resumed.
    fn whole(&self, error: WorkshopError) -> WorkshopError {
        match error {
            WorkshopError::Cancelled { .. } => {
                WorkshopError::Cancelled { path: self.folder.root().to_owned() }
            }
            error => error,
        }
    }
}

fn counts(candidates: usize, found: &Findings) -> Counts {
    let refused = found.search.study.trials().iter().filter(|t| t.state == TrialState::Refused);
    let ended_by_time =
        [("search", found.search.ended), ("quantize", found.quantized.ended), ("prune", found.pruned.ended)]
            .into_iter()
            .filter(|(_, ended)| *ended == Ended::TimeLimit)
            .map(|(name, _)| name.to_owned())
            .collect();
    Counts {
        candidates: candidates as u64,
        search: found.search.study.trials().len() as u64,
        refused: refused.count() as u64,
        quantize: found.quantized.study.trials().len() as u64,
        prune: found.pruned.study.trials().len() as u64,
        ended_by_time,
    }
}
