//! Plan of a project: all runs with their seeds, written before anything is trained.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Seed, config, files};
use tinsmith_study::Params;
use tinsmith_trainer::TrainConfig;

use crate::error::{FleetError, Result};
use crate::exclusive;
use crate::layout::Layout;
use crate::models::ModelName;
use crate::sweep::Sweep;

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
            for line in text.lines() {
                let run: PlannedRun = serde_json::from_str(line).map_err(|e| FleetError::Malformed {
                    path: path.clone(),
                    wanted: "a list of runs",
                    reason: e.to_string(),
                })?;
                if run.index != plan.runs.len() as u64 {
                    return Err(FleetError::Malformed {
                        path,
                        wanted: "a list of runs",
                        reason: format!("has run {} where run {} is due", run.index, plan.runs.len()),
                    });
                }
                plan.runs.push(run);
            }
            plan.parts.push(Part { header, specs: folder.join("specs") });
        }
        if let Ok(text) = fs::read_to_string(layout.seeds()) {
            // A torn last line belongs to a command that was killed while writing it.
            for new in text.lines().filter_map(|line| serde_json::from_str::<NewSeed>(line).ok()) {
                if let Some(run) = plan.runs.get_mut(usize::try_from(new.index).unwrap_or(usize::MAX)) {
                    run.seed = new.seed;
                }
            }
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
