//! Plan of a project: all runs with their seeds, written before anything is trained.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Seed, config, files};
use tinsmith_study::Params;
use tinsmith_trainer::TrainConfig;

use crate::error::{FleetError, Result};
use crate::exclusive;
use crate::layout::Layout;
use crate::lines;
use crate::models::{ModelName, check_part};
use crate::sweep::Sweep;

/// Maximum number of runs of a project. Run folders are numbered by six digits.
pub const MOST_RUNS: u64 = 1_000_000;

/// One model of a part of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedModel {
    /// Class and architecture.
    pub model: ModelName,
    /// Networks per array element.
    pub count: u64,
    /// Array elements.
    pub array: u64,
    /// Requested epochs.
    pub epochs: u32,
    /// Requested samples per epoch; 0 means all rows.
    pub epoch_samples: u64,
    /// Allow training to stop early once it stops improving.
    pub intelligent: bool,
}

/// Header of one part of the plan, written by one `generate` or `add`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartHeader {
    /// Creation time, in UTC.
    pub created: String,
    /// Command line that created it.
    pub command: Vec<String>,
    /// The models.
    pub models: Vec<PlannedModel>,
    /// Training configuration, before the values of a sweep are applied.
    pub training: TrainConfig,
    /// The sweep, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// Index of its first run.
    pub first: u64,
    /// Number of its runs.
    pub runs: u64,
}

/// One run of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedRun {
    /// Index in the project, from 0.
    pub index: u64,
    /// The model's class.
    pub class: String,
    /// The model's architecture.
    pub architecture: String,
    /// Index among the networks of this model in the project, from 0.
    pub replicate: u64,
    /// Seed of everything random in the run.
    pub seed: Seed,
    /// Values of the sweep for this run.
    #[serde(default, skip_serializing_if = "no_values")]
    pub values: Params,
}

fn no_values(values: &Params) -> bool {
    values.0.is_empty()
}

impl PlannedRun {
    /// Returns class and architecture.
    #[must_use]
    pub fn model(&self) -> ModelName {
        ModelName { class: self.class.clone(), architecture: self.architecture.clone() }
    }

    /// Returns true if the run is of this model.
    #[must_use]
    pub fn is_of(&self, model: &ModelName) -> bool {
        self.class == model.class && self.architecture == model.architecture
    }
}

/// A part of the plan, as loaded.
#[derive(Debug, Clone)]
pub struct Part {
    /// Header.
    pub header: PartHeader,
    /// Folder of the copied specifications.
    pub specs: PathBuf,
}

/// All parts of a plan.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Parts, in the order of their creation.
    pub parts: Vec<Part>,
    /// Runs; run `i` is at position `i`.
    pub runs: Vec<PlannedRun>,
}

/// A line of `seeds.jsonl`: restarts a run from another seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSeed {
    pub(crate) index: u64,
    pub(crate) seed: Seed,
}

impl Plan {
    /// Reads all parts of a project's plan.
    pub(crate) fn load(layout: &Layout) -> Result<Self> {
        let mut plan = Self::default();
        for number in exclusive::numbers(&layout.plan())? {
            let folder = layout.plan().join(format!("{number:04}"));
            let header: PartHeader = config::load(&folder.join("part.yaml"), |_, _| {})?;
            let path = folder.join("runs.jsonl");
            let text = files::read_text(&path)?;
            let before = plan.runs.len();
            for (i, line) in text.lines().enumerate() {
                let fault = |reason: &str| FleetError::malformed_line(&path, "a list of runs", i + 1, reason);
                let run: PlannedRun = serde_json::from_str(line).map_err(|e| fault(&e.to_string()))?;
                if run.index != plan.runs.len() as u64 {
                    return Err(fault(&format!("is run {}, want run {}", run.index, plan.runs.len())));
                }
                // The names become paths.
                for part in [&run.class, &run.architecture] {
                    check_part(part).map_err(|reason| fault(&reason))?;
                }
                plan.runs.push(run);
            }
            // The header was written with the runs, so a difference means that lines were lost or added at the end.
            if header.first != before as u64 || header.runs != (plan.runs.len() - before) as u64 {
                return Err(FleetError::Malformed {
                    path,
                    wanted: "the list of runs of its part.yaml",
                    reason: format!(
                        "has {} runs from {before} on, part.yaml has {} from {} on",
                        plan.runs.len() - before,
                        header.runs,
                        header.first
                    ),
                });
            }
            plan.parts.push(Part { header, specs: folder.join("specs") });
        }
        let path = layout.seeds();
        for new in lines::read::<NewSeed>(&path, "a list of seeds")? {
            let place = usize::try_from(new.index).ok();
            let Some(run) = place.and_then(|i| plan.runs.get_mut(i)) else {
                return Err(FleetError::Malformed {
                    path,
                    wanted: "a list of seeds of this project",
                    reason: format!("has run {}, the plan has {} runs", new.index, plan.runs.len()),
                });
            };
            run.seed = new.seed;
        }
        Ok(plan)
    }

    /// Returns the run with this index.
    ///
    /// # Errors
    /// [`FleetError::Usage`] if it does not exist.
    pub fn run(&self, index: u64) -> Result<&PlannedRun> {
        let place = usize::try_from(index).ok();
        place.and_then(|i| self.runs.get(i)).ok_or_else(|| {
            FleetError::usage(format!("there is no run {index}, the project has {} runs", self.runs.len()))
        })
    }

    /// Returns the part that a run belongs to, and its model there.
    ///
    /// # Errors
    /// [`FleetError::Usage`] if no part contains it.
    pub fn part_of(&self, run: &PlannedRun) -> Result<(&Part, &PlannedModel)> {
        let part = self.parts.iter().rfind(|p| p.header.first <= run.index);
        let model = part.and_then(|p| p.header.models.iter().find(|m| run.is_of(&m.model)));
        part.zip(model)
            .ok_or_else(|| FleetError::usage(format!("run {} is in no part of the plan", run.index)))
    }

    /// Returns the number of runs of each model.
    #[must_use]
    pub fn models(&self) -> BTreeMap<ModelName, u64> {
        let mut counts = BTreeMap::new();
        for part in &self.parts {
            for model in &part.header.models {
                counts.entry(model.model.clone()).or_insert(0);
            }
        }
        for run in &self.runs {
            if let Some((_, count)) = counts.iter_mut().find(|(model, _)| run.is_of(model)) {
                *count += 1;
            }
        }
        counts
    }
}

/// Counts the runs of a new part without laying them out.
///
/// # Errors
/// [`FleetError::Usage`] if the project, with `first` runs so far, would exceed [`MOST_RUNS`] runs, or if a model has no
/// runs.
pub(crate) fn count(models: &[PlannedModel], points: u64, first: u64) -> Result<u64> {
    let mut total = first;
    for planned in models {
        let runs = planned.count.checked_mul(planned.array).and_then(|n| n.checked_mul(points));
        if runs == Some(0) {
            return Err(FleetError::usage(format!(
                "model {} has count {}, array {} and {points} points of a sweep, want at least 1 of each",
                planned.model, planned.count, planned.array
            )));
        }
        total = runs.and_then(|n| total.checked_add(n)).filter(|&n| n <= MOST_RUNS).ok_or_else(|| {
            FleetError::usage(format!(
                "model {} has count {} times array {} times {points} points of a sweep; with the {total} runs before it \
                 that is more than the {MOST_RUNS} runs of a project, want fewer",
                planned.model, planned.count, planned.array
            ))
        })?;
    }
    Ok(total - first)
}

/// Lays out the runs of a new part: each model at each point of the sweep, `count` times `array`. Replicates
/// continue from `before`, so no two runs of a project share a seed.
pub(crate) fn lay_out(
    models: &[PlannedModel],
    points: &[Params],
    seed: Seed,
    first: u64,
    before: &BTreeMap<ModelName, u64>,
) -> Vec<PlannedRun> {
    let mut runs = Vec::new();
    for planned in models {
        let name = planned.model.to_string();
        let mut replicate = before.get(&planned.model).copied().unwrap_or(0);
        for point in points {
            for _ in 0..planned.count * planned.array {
                runs.push(PlannedRun {
                    index: first + runs.len() as u64,
                    class: planned.model.class.clone(),
                    architecture: planned.model.architecture.clone(),
                    replicate,
                    seed: seed.derive(&name, replicate),
                    values: point.clone(),
                });
                replicate += 1;
            }
        }
    }
    runs
}
