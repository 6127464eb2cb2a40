//! Project: a self-contained folder that describes and records many trainings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tinsmith_foundation::{Seed, clock, config, files};
use tinsmith_network::ModelSpec;
use tinsmith_study::Params;
use tinsmith_trainer::{EarlyStopping, TrainConfig};

use crate::configurator::SpecFolder;
use crate::data::{DataSource, hex};
use crate::error::{FleetError, Result};
use crate::exclusive;
use crate::layout::Layout;
use crate::models::ModelList;
use crate::plan::{self, PartHeader, Plan, PlannedModel};
use crate::slurm::SlurmConfig;
use crate::slurm::script::TEMPLATE;
use crate::sweep::Sweep;

/// Epochs without improvement after which an `intelligent` training stops, unless its configuration sets its
/// own patience.
const PATIENCE: u32 = 10;

/// The program that tasks start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Path, relative to the project if copied.
    pub path: PathBuf,
    /// Arguments between the program and the subcommand.
    pub prefix: Vec<String>,
    /// SHA-256 of the program file.
    pub sha256: String,
}

/// Content of `project.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format, 1.
    pub schema: u32,
    /// Description.
    pub description: String,
    /// Creation time, in UTC.
    pub created: String,
    /// Version of this crate.
    pub version: String,
    /// Seed of everything random.
    pub seed: Seed,
    /// The data set.
    pub data: DataSource,
    /// The program that tasks start. `None` if the project is only used from within the process that created
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// Models are specifications in folders, rather than configured by a user's program.
    pub specifications: bool,
}

/// Contents of a new part of the plan.
#[derive(Debug, Clone)]
pub struct PartOptions {
    /// The models.
    pub models: ModelList,
    /// Folder of their specifications.
    pub folder: PathBuf,
    /// Array elements, at least 1; each trains every model as often as its count states.
    pub array: u64,
    /// Epochs.
    pub epochs: u32,
    /// Samples per epoch, drawn anew for each epoch; 0 means all rows. `None`: as in `training`.
    pub epoch_samples: Option<usize>,
    /// Stop training early once it stops improving.
    pub intelligent: bool,
    /// Rest of the training configuration.
    pub training: TrainConfig,
    /// The sweep, if any.
    pub sweep: Option<Sweep>,
    /// Command line, for the record.
    pub command: Vec<String>,
}

/// Settings of a new project.
#[derive(Debug, Clone)]
pub struct ProjectOptions {
    /// Description.
    pub description: String,
    /// Seed of everything random.
    pub seed: Seed,
    /// The data set.
    pub data: DataSource,
    /// The training program, and the arguments between it and the subcommand.
    pub program: Option<(PathBuf, Vec<String>)>,
    /// Copy the program into the project; otherwise use it at its present path.
    pub copy_program: bool,
    /// Models are specifications in folders.
    pub specifications: bool,
    /// Submission settings.
    pub slurm: SlurmConfig,
    /// Template of the batch script; `None` means the built-in one.
    pub template: Option<PathBuf>,
}

/// An open project.
#[derive(Debug, Clone)]
pub struct Project {
    layout: Layout,
    manifest: Manifest,
}

impl Project {
    /// Opens the project in `folder`.
    ///
    /// # Errors
    /// [`FleetError::NoProject`] if the folder is not a project, [`FleetError::Config`] if `project.yaml` is
    /// invalid.
    pub fn open(folder: &Path) -> Result<Self> {
        let root = match fs::canonicalize(folder) {
            Ok(root) if root.join("project.yaml").is_file() => root,
            _ => return Err(FleetError::NoProject { path: folder.to_owned() }),
        };
        let layout = Layout::new(root);
        let manifest: Manifest = config::load(&layout.manifest(), |m: &Manifest, faults| {
            if m.schema != 1 {
                faults.add("schema", format!("is {}, this version reads 1", m.schema));
            }
        })?;
        Ok(Self { layout, manifest })
    }

    /// Creates a project with its first part. The folder appears complete or not at all.
    ///
    /// # Errors
    /// [`FleetError::Occupied`] if `folder` exists; otherwise as [`Project::add`].
    pub fn create(folder: &Path, options: &ProjectOptions, part: &PartOptions) -> Result<Self> {
        if folder.exists() {
            return Err(FleetError::Occupied { path: folder.to_owned() });
        }
        let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(FleetError::write(parent))?;
        let draft = exclusive::draft_folder(parent)?;
        let layout = Layout::new(draft.path());
        let program = options.program.as_ref().map(|(path, prefix)| {
            let (path, sha256) = copy_program(&layout, path, options.copy_program)?;
            Ok::<_, FleetError>(Program { path, prefix: prefix.clone(), sha256 })
        });
        let manifest = Manifest {
            schema: 1,
            description: options.description.clone(),
            created: clock::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: options.seed,
            data: options.data.clone(),
            program: program.transpose()?,
            specifications: options.specifications,
        };
        let slurm = config::to_yaml("slurm settings", &options.slurm)?;
        files::write_atomic(&layout.slurm(), slurm.as_bytes())?;
        let template = match &options.template {
            Some(path) => files::read_text(path)?,
            None => TEMPLATE.to_owned(),
        };
        files::write_atomic(&layout.template(), template.as_bytes())?;
        fs::create_dir_all(layout.logs()).map_err(FleetError::write(&layout.logs()))?;
        let text = config::to_yaml("project", &manifest)?;
        files::write_atomic(&layout.manifest(), text.as_bytes())?;
        Self { layout, manifest }.add(part)?;
        match fs::rename(draft.path(), folder) {
            Ok(()) => drop(draft.keep()),
            Err(e) if matches!(e.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                return Err(FleetError::Occupied { path: folder.to_owned() });
            }
            Err(source) => return Err(FleetError::write(folder)(source)),
        }
        Self::open(folder)
    }

    /// Plans more runs; existing runs stay as they are. Returns the number of added runs.
    ///
    /// # Errors
    /// [`FleetError::Usage`] if a specification is missing or the plan would exceed
    /// [`MOST_RUNS`](crate::MOST_RUNS) runs, [`FleetError::Spec`] and [`FleetError::Config`] if a network or
    /// a point of the sweep is invalid.
    pub fn add(&self, options: &PartOptions) -> Result<u64> {
        let training = TrainConfig {
            epochs: options.epochs,
            epoch_samples: options.epoch_samples.unwrap_or(options.training.epoch_samples),
            early_stopping: if options.intelligent && options.training.early_stopping.patience == 0 {
                EarlyStopping { patience: PATIENCE, ..options.training.early_stopping }
            } else {
                options.training.early_stopping
            },
            ..options.training.clone()
        };
        training.validate()?;
        let models: Vec<PlannedModel> = options
            .models
            .0
            .iter()
            .map(|m| PlannedModel {
                model: m.name.clone(),
                count: m.count,
                array: options.array,
                epochs: training.epochs,
                epoch_samples: training.epoch_samples as u64,
                intelligent: options.intelligent,
            })
            .collect();
        let (number, _) = exclusive::numbered_folder(&self.layout.plan(), |folder, number| {
            let before = Plan::load(&self.layout)?;
            let seed = self.manifest.seed;
            let first = before.runs.len() as u64;
            // Counted before anything is laid out: a typing error must not fill the memory.
            let points = options.sweep.as_ref().map_or(Ok(1), Sweep::count)?;
            let total = plan::count(&models, points, first)?;
            let points = match &options.sweep {
                Some(sweep) => sweep.points(seed.derive("part", u64::from(number)))?,
                None => vec![Params::default()],
            };
            for point in &points {
                crate::sweep::with_values(&training, point)?;
            }
            if self.manifest.specifications {
                self.copy_specs(&models, &training, &points, &options.folder, &folder.join("specs"))?;
            }
            let runs = plan::lay_out(&models, &points, seed, first, &before.models());
            let header = PartHeader {
                created: clock::now(),
                command: options.command.clone(),
                models: models.clone(),
                training: training.clone(),
                sweep: options.sweep.clone(),
                first,
                runs: total,
            };
            let lines: Vec<String> =
                runs.iter().map(serde_json::to_string).collect::<Result<_, _>>().map_err(|e| {
                    FleetError::usage(format!("a value of the sweep cannot be written as JSON: {e}"))
                })?;
            files::write_atomic(&folder.join("runs.jsonl"), (lines.join("\n") + "\n").as_bytes())?;
            let header = config::to_yaml("part of a plan", &header)?;
            Ok(files::write_atomic(&folder.join("part.yaml"), header.as_bytes())?)
        })?;
        self.runs_of_part(number)
    }

    /// Returns the number of runs in a part of the plan that was just created.
    fn runs_of_part(&self, number: u32) -> Result<u64> {
        let place = exclusive::numbers(&self.layout.plan())?.iter().position(|&n| n == number);
        let plan = Plan::load(&self.layout)?;
        let part = place
            .and_then(|i| plan.parts.get(i))
            .expect("invariant: a part that was just created is in the plan");
        Ok(part.header.runs)
    }

    /// Copies each model's specification after checking that every point of the sweep gives a training that can
    /// start: the network fits the data, and its head the targets and the loss.
    fn copy_specs(
        &self,
        models: &[PlannedModel],
        training: &TrainConfig,
        points: &[Params],
        from: &Path,
        to: &Path,
    ) -> Result<()> {
        let parts = self.manifest.data.load(self.manifest.seed)?;
        let mut checked = BTreeSet::new();
        for planned in models {
            let model = &planned.model;
            let path = SpecFolder::path(from, model).ok_or_else(|| {
                FleetError::usage(format!(
                    "model {model}: there is no {}/{}.yaml in {}; name the folder by --models-folder",
                    model.class,
                    model.architecture,
                    from.display()
                ))
            })?;
            let spec = ModelSpec::load(&path)?;
            for point in points {
                let varied = crate::sweep::with_model_values(&spec, point)?;
                let graph = varied.graph()?;
                let input = graph.inputs.first().map_or(&[][..], |&i| graph.shape(i));
                if input != parts.train.sample_shape() {
                    return Err(FleetError::usage(format!(
                        "model {model} takes samples of shape {input:?}, the data set has {:?}",
                        parts.train.sample_shape()
                    )));
                }
                let plan = tinsmith_trainer::Plan {
                    spec: varied,
                    config: crate::sweep::with_values(training, point)?,
                    seed: self.manifest.seed,
                    start: None,
                    attributes: BTreeMap::new(),
                };
                // Most points differ in values that no check depends on.
                if checked.insert(check_key(&plan)?) {
                    let validation = Some(&parts.validation).filter(|data| !data.is_empty());
                    plan.check(&parts.train, validation)
                        .map_err(|error| FleetError::usage(format!("model {model}: {error}")))?;
                }
            }
            spec.save(&to.join(&model.class).join(format!("{}.yaml", model.architecture)))?;
        }
        Ok(())
    }

    /// Returns the project's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.layout.root()
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the content of `project.yaml`.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Loads the plan.
    ///
    /// # Errors
    /// [`FleetError::Malformed`] if a file of the plan is invalid.
    pub fn plan(&self) -> Result<Plan> {
        Plan::load(&self.layout)
    }

    /// Loads the submission settings from `slurm.yaml`.
    ///
    /// # Errors
    /// [`FleetError::Config`] with line and column.
    pub fn slurm(&self) -> Result<SlurmConfig> {
        Ok(config::load(&self.layout.slurm(), SlurmConfig::check)?)
    }

    /// Returns the program that tasks start, and the arguments before the subcommand.
    ///
    /// # Errors
    /// [`FleetError::Usage`] if the project has no program.
    pub fn program(&self) -> Result<(PathBuf, &[String])> {
        let program = self.manifest.program.as_ref().ok_or_else(|| {
            FleetError::usage(
                "the project has no program that tasks could start; make it by the command line",
            )
        })?;
        Ok((self.layout.root().join(&program.path), &program.prefix))
    }
}

/// Returns the properties of a training that decide whether it can start.
fn check_key(plan: &tinsmith_trainer::Plan) -> Result<String> {
    let TrainConfig { loss, class_weights, early_stopping, metrics, batch_size, epoch_samples, .. } =
        &plan.config;
    let hash = plan.spec.structural_hash()?;
    let metrics = (early_stopping.monitor, metrics);
    Ok(format!("{hash} {loss:?} {class_weights:?} {metrics:?} {batch_size} {epoch_samples}"))
}

/// Copies the program into the project, unless `copy` is false. Returns its path and checksum.
fn copy_program(layout: &Layout, from: &Path, copy: bool) -> Result<(PathBuf, String)> {
    let mut file = fs::File::open(from).map_err(FleetError::read(from))?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(FleetError::read(from))?;
    let sha256 = hex(&hash.finalize());
    if !copy {
        return Ok((from.to_owned(), sha256));
    }
    let stem = from.file_name().map_or_else(|| "program".to_owned(), |n| n.to_string_lossy().into_owned());
    let path = PathBuf::from("bin").join(format!("{stem}-{}", &sha256[..12]));
    let to = layout.root().join(&path);
    fs::create_dir_all(layout.root().join("bin")).map_err(FleetError::write(&to))?;
    fs::copy(from, &to).map_err(FleetError::write(&to))?;
    Ok((path, sha256))
}

/// Returns an unused project folder below `root`, named by today's date and the next number: `2026-11-22_1`.
///
/// # Errors
/// [`FleetError::File`] if `root` cannot be read.
pub fn new_name(root: &Path) -> Result<PathBuf> {
    let today: String = clock::now().chars().take(10).collect();
    let names = match fs::read_dir(root) {
        Ok(entries) => entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect(),
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(FleetError::read(root)(source)),
    };
    let number = |name: &String| name.strip_prefix(&format!("{today}_"))?.parse::<u32>().ok();
    let last = names.iter().filter_map(number).max().unwrap_or(0);
    Ok(root.join(format!("{today}_{}", last + 1)))
}

/// Lists the projects in `root`, oldest first. Folders that are not projects are skipped.
///
/// # Errors
/// [`FleetError::File`] if `root` cannot be read.
pub fn projects(root: &Path) -> Result<Vec<Project>> {
    let entries = fs::read_dir(root).map_err(FleetError::read(root))?;
    let mut found: Vec<Project> = entries.flatten().filter_map(|e| Project::open(&e.path()).ok()).collect();
    found.sort_by(|a, b| (&a.manifest.created, a.folder()).cmp(&(&b.manifest.created, b.folder())));
    Ok(found)
}
