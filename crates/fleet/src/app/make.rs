//! `generate` and `add`.

use tinsmith_foundation::{Seed, config};
use tinsmith_trainer::{Loss, TrainConfig};

use super::args::{AddArgs, GenerateArgs, PartArgs, RunArgs, SelectArgs};
use super::{Exit, Fleet, Surroundings};
use crate::configurator::ModelConfigurator;
use crate::data::DataSource;
use crate::error::Result;
use crate::project::{PartOptions, Project, ProjectOptions, new_name};
use crate::slurm::SlurmConfig;
use crate::sweep::Sweep;

/// Returns the contents of a part of the plan. The loss follows the targets of the data unless a file names it.
fn part(args: &PartArgs, data: &DataSource, seed: Seed, command: &[String]) -> Result<PartOptions> {
    let (mut training, names_loss) = match &args.training {
        Some(path) => (config::load(path, TrainConfig::check)?, TrainConfig::file_names_loss(path)?),
        None => (TrainConfig::default(), false),
    };
    if !names_loss {
        training.loss = Loss::for_targets(&data.load(seed)?.train);
    }
    Ok(PartOptions {
        models: args.models.clone(),
        folder: args.models_folder.clone(),
        array: args.array,
        epochs: args.epochs.unwrap_or(training.epochs),
        epoch_samples: args.epoch_samples,
        intelligent: args.intelligent,
        training,
        sweep: args.sweep.as_deref().map(Sweep::load).transpose()?,
        command: command.to_vec(),
    })
}

/// Executes `add`: plans more runs.
pub(super) fn add(args: &AddArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
    let project = Project::open(&args.to)?;
    let (data, seed) = (&project.manifest().data, project.manifest().seed);
    let added = project.add(&part(&args.part, data, seed, &surroundings.command)?)?;
    surroundings.line(format!("{added} runs added to {}", args.to.display()))?;
    Ok(Exit::SUCCESS)
}

impl<C: ModelConfigurator> Fleet<C> {
    pub(super) fn generate(&self, args: &GenerateArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
        let mut slurm = match &args.slurm {
            Some(path) => config::load(path, SlurmConfig::check)?,
            None => SlurmConfig::default(),
        };
        if args.gpu && slurm.gpus == 0 {
            slurm.gpus = 1;
        }
        if slurm.gpus > 0 {
            surroundings.progress.note(
                "each task requests a GPU, but training runs on the CPU: the GPU stays idle unless your own program uses it"
                    .to_owned(),
            );
        }
        let folder = match &args.output {
            Some(folder) => folder.clone(),
            None => new_name(&args.root)?,
        };
        let data = tinsmith_data::locate(&args.data, surroundings.data_folder.as_deref())?;
        let prefix = self.prefix.iter().map(|w| (*w).to_owned()).collect();
        let options = ProjectOptions {
            description: args.desc.clone(),
            seed: Seed::new(args.seed),
            data: DataSource::of(&data, args.table.options(), args.validation, surroundings.progress)?,
            program: surroundings.program.clone().map(|path| (path, prefix)),
            copy_program: !args.no_copy,
            specifications: self.specifications,
            slurm,
            template: args.template.clone(),
        };
        let part = part(&args.part, &options.data, options.seed, &surroundings.command)?;
        let project = Project::create(&folder, &options, &part)?;
        surroundings.line(folder.display())?;
        let runs = project.plan()?.runs.len();
        surroundings.progress.note(format!("{runs} runs planned"));
        if args.run {
            let select = SelectArgs { only: None, runs: None };
            return self.hand_out(
                &project,
                &select,
                &args.executor,
                &super::control::no_overrides(),
                false,
                surroundings,
            );
        }
        Ok(Exit::SUCCESS)
    }

    /// Executes `run`: trains open runs in this process.
    pub(super) fn train_here(&self, args: &RunArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
        let project = Project::open(&args.project.project)?;
        self.train_open(&project, &args.select, args.jobs, args.quiet, surroundings)
    }
}
