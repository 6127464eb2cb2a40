//! A project: a folder that holds everything about a batch of trainings, readable by itself years later.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tinsmith_foundation::{Seed, config, files};
use tinsmith_network::ModelSpec;
use tinsmith_study::{Params, clock};
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

/// Epochs without a better loss after which an intelligent training ends, unless its configuration says otherwise.
const PATIENCE: u32 = 10;

/// The copied program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its path: below the project where it was copied.
    pub path: PathBuf,
    /// Words between the program and the name of a subcommand.
    pub prefix: Vec<String>,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// The file `project.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format, 1.
    pub schema: u32,
    /// What the project is about.
    pub description: String,
    /// When it was made, in UTC.
    pub created: String,
    /// Version of this crate.
    pub version: String,
    /// Seed of everything random.
    pub seed: Seed,
    /// The data.
    pub data: DataSource,
    /// What trains. None where the project is only worked on from within the program that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// Whether models are specifications in folders, or a user's program knows them.
    pub specifications: bool,
}

/// What is to be planned.
#[derive(Debug, Clone)]
pub struct PartOptions {
    /// The models.
    pub models: ModelList,
    /// Where their specifications are.
    pub folder: PathBuf,
    /// Array elements, each training every model as often as its count says.
    pub array: u64,
    /// Epochs.
    pub epochs: u32,
    /// Samples of an epoch, another random part of the rows in each; 0 means all rows. None: as `training` says.
    pub epoch_samples: Option<usize>,
    /// Whether training ends once it no longer gets better.
    pub intelligent: bool,
    /// The rest of the training.
    pub training: TrainConfig,
    /// The sweep.
    pub sweep: Option<Sweep>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// What a new project is.
#[derive(Debug, Clone)]
pub struct ProjectOptions {
    /// What it is about.
    pub description: String,
    /// Seed of everything random.
    pub seed: Seed,
    /// The data.
    pub data: DataSource,
    /// The program that trains, and the words between it and a subcommand.
    pub program: Option<(PathBuf, Vec<String>)>,
    /// Whether the program is copied; else it is used where it stands.
    pub copy_program: bool,
    /// Whether models are specifications in folders.
    pub specifications: bool,
    /// How to submit.
    pub slurm: SlurmConfig,
    /// A template of the batch script instead of the built-in one.
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
    /// [`FleetError::NoProject`] where it is none; [`FleetError::Config`] where its file is broken.
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

    /// Makes a project with its first part. It is there whole or not at all.
    ///
    /// # Errors
    /// [`FleetError::Occupied`] where `folder` is there; otherwise as [`Project::add`].
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

    /// Plans more runs; those that are there stay as they are. Returns how many were added.
    ///
    /// # Errors
    /// [`FleetError::Usage`] where a specification is missing, [`FleetError::Spec`] and [`FleetError::Config`] where a
    /// network or a point of the sweep cannot be.
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
            let points = match &options.sweep {
                Some(sweep) => sweep.points(seed.derive("part", u64::from(number)))?,
                None => vec![Params::default()],
            };
            for point in &points {
                crate::sweep::with_values(&training, point)?;
            }
            if self.manifest.specifications {
                self.copy_specs(&models, &points, &options.folder, &folder.join("specs"))?;
            }
            let first = before.runs.len() as u64;
            let runs = plan::lay_out(&models, &points, seed, first, &before.models());
            let header = PartHeader {
                created: clock::now(),
                command: options.command.clone(),
                models: models.clone(),
                training: training.clone(),
                sweep: options.sweep.clone(),
                first,
                runs: runs.len() as u64,
            };
            let lines: Vec<String> = runs.iter().filter_map(|r| serde_json::to_string(r).ok()).collect();
            if lines.len() != runs.len() {
                return Err(FleetError::usage("a value of the sweep is not finite, want numbers"));
            }
            files::write_atomic(&folder.join("runs.jsonl"), (lines.join("\n") + "\n").as_bytes())?;
            let header = config::to_yaml("part of a plan", &header)?;
            Ok(files::write_atomic(&folder.join("part.yaml"), header.as_bytes())?)
        })?;
        let place = exclusive::numbers(&self.layout.plan())?.iter().position(|&n| n == number);
        let plan = Plan::load(&self.layout)?;
        Ok(place.and_then(|i| plan.parts.get(i)).map_or(0, |part| part.header.runs))
    }

    /// Copies each model's specification, after a look that every point of the sweep makes a network that the data fit.
    fn copy_specs(&self, models: &[PlannedModel], points: &[Params], from: &Path, to: &Path) -> Result<()> {
        let parts = self.manifest.data.load(self.manifest.seed)?;
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
                let graph = crate::sweep::with_model_values(&spec, point)?.graph()?;
                let input = graph.inputs.first().map_or(&[][..], |&i| graph.shape(i));
                if input != parts.train.sample_shape() {
                    return Err(FleetError::usage(format!(
                        "model {model} takes samples of shape {input:?}, the data set has {:?}",
                        parts.train.sample_shape()
                    )));
                }
            }
            spec.save(&to.join(&model.class).join(format!("{}.yaml", model.architecture)))?;
        }
        Ok(())
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.layout.root()
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What `project.yaml` says.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The runs, as planned.
    ///
    /// # Errors
    /// [`FleetError::Malformed`] where a file of the plan is broken.
    pub fn plan(&self) -> Result<Plan> {
        Plan::load(&self.layout)
    }

    /// How to submit, from `slurm.yaml`.
    ///
    /// # Errors
    /// [`FleetError::Config`] with line and column.
    pub fn slurm(&self) -> Result<SlurmConfig> {
        Ok(config::load(&self.layout.slurm(), SlurmConfig::check)?)
    }

    /// The program that tasks start, and the words before a subcommand.
    ///
    /// # Errors
    /// [`FleetError::Usage`] where the project has none.
    pub fn program(&self) -> Result<(PathBuf, &[String])> {
        let program = self.manifest.program.as_ref().ok_or_else(|| {
            FleetError::usage(
                "the project has no program that tasks could start; make it by the command line",
            )
        })?;
        Ok((self.layout.root().join(&program.path), &program.prefix))
    }
}

/// Copies the program below the project, or leaves it where it is; returns its path and checksum.
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

/// A project's folder that nobody has yet: today's date and the next number, `2026-11-22_1`.
///
/// # Errors
/// [`FleetError::File`] where `root` cannot be read.
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

/// The projects in `root`, oldest first.
///
/// # Errors
/// [`FleetError::File`] where `root` cannot be read; folders that are no projects are left out.
pub fn projects(root: &Path) -> Result<Vec<Project>> {
    let entries = fs::read_dir(root).map_err(FleetError::read(root))?;
    let mut found: Vec<Project> = entries.flatten().filter_map(|e| Project::open(&e.path()).ok()).collect();
    found.sort_by(|a, b| (&a.manifest.created, a.folder()).cmp(&(&b.manifest.created, b.folder())));
    Ok(found)
}
