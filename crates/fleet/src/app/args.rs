//! Arguments of the commands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tinsmith_foundation::ByteSize;

use crate::models::{ModelList, ModelName};
use crate::outcome::Cause;
use crate::report::Format;
use crate::submission::Ranges;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Make a project: a folder with a plan of many trainings
    Generate(GenerateArgs),
    /// Plan more trainings in a project
    Add(AddArgs),
    /// List projects: description, models, progress, notes
    Show(ShowArgs),
    /// Tell what became of every run: state, job, node, reason, log
    Status(StatusArgs),
    /// Hand what is open to Slurm, or train it here
    Submit(SubmitArgs),
    /// Train what is open in this process
    Run(RunArgs),
    /// Try again what failed
    Retry(RetryArgs),
    /// Cancel what was submitted
    Cancel(CancelArgs),
    /// Write a note about a project or a run
    Annotate(AnnotateArgs),
    /// Compare models, or values of a sweep, by a score
    Compare(CompareArgs),
    /// Write every run as a row
    Export(ExportArgs),
    /// Fold results into the index and a table; what the last job of a submission does
    Collect(ProjectArgs),
    /// What a job of an array does
    #[command(hide = true)]
    Task(TaskArgs),
}

/// Which project.
#[derive(Debug, Args)]
pub struct ProjectArgs {
    /// The project's folder
    pub(crate) project: PathBuf,
}

/// Which runs.
#[derive(Debug, Args)]
pub(crate) struct SelectArgs {
    /// Only runs of this model
    #[arg(long, value_name = "CLASS.ARCHITECTURE")]
    pub(crate) only: Option<ModelName>,
    /// Only runs with these numbers, for example 0-99,105
    #[arg(long, value_name = "NUMBERS")]
    pub(crate) runs: Option<Ranges>,
}

/// What is planned.
#[derive(Debug, Args)]
pub(crate) struct PartArgs {
    /// Models and how many networks of each an array element trains: class.architecture=count, apart by commas; an entry
    /// without a class takes that of the entry before it
    #[arg(long)]
    pub(crate) models: ModelList,
    /// Folder with a folder for each class, in which each architecture is a specification
    #[arg(long, value_name = "DIR", default_value = "models")]
    pub(crate) models_folder: PathBuf,
    /// Array elements: every model is trained count times so often
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) array: u64,
    /// Passes over the training rows [default: 30, or what --training says]
    #[arg(long, alias = "nb_epoch", value_name = "N")]
    pub(crate) epochs: Option<u32>,
    /// Samples in one epoch, another random part of the rows in each; 0 means all [default: 0, or what --training says]
    #[arg(long, alias = "epoch_samples", value_name = "N")]
    pub(crate) epoch_samples: Option<usize>,
    /// End a training once it no longer gets better, and keep its best weights
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value = "false", value_parser = truth)]
    pub(crate) intelligent: bool,
    /// A YAML file of the training (losses, optimizers, schedules, augmentation)
    #[arg(long, value_name = "FILE")]
    pub(crate) training: Option<PathBuf>,
    /// A YAML file of a sweep: how its points are chosen, and a space of configuration keys
    #[arg(long, value_name = "FILE")]
    pub(crate) sweep: Option<PathBuf>,
}

/// `true` and `false` as people write them; any other word is refused, not taken for true.
fn truth(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" | "none" => Ok(false),
        _ => Err("want True or False".to_owned()),
    }
}

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// What the project is about
    #[arg(long, default_value = "")]
    pub(crate) desc: String,
    /// The project's folder [default: today's date and a number, in --root]
    #[arg(long, alias = "out", value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Where projects are made
    #[arg(long, value_name = "DIR", default_value = "fleets")]
    pub(crate) root: PathBuf,
    /// A built-in data set, a folder of IDX or NPY files, an .npz archive, a .csv table, or the name of one of these in the
    /// folder `$TINSMITH_DATA`
    #[arg(long, default_value = "digits8x8")]
    pub(crate) data: String,
    /// Share of the training rows that are held out to decide by
    #[arg(long, default_value_t = 0.2)]
    pub(crate) validation: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Ask for a GPU for each task
    #[arg(long)]
    pub(crate) gpu: bool,
    /// Submit at once
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value = "false", value_parser = truth)]
    pub(crate) run: bool,
    /// How to submit: a YAML file as the project's slurm.yaml
    #[arg(long, value_name = "FILE")]
    pub(crate) slurm: Option<PathBuf>,
    /// A template of the batch script instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Option<PathBuf>,
    /// Use this program where it stands, instead of a copy that later builds do not change
    #[arg(long)]
    pub(crate) no_copy: bool,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
}

/// Arguments of `add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The project
    #[arg(long, value_name = "PROJECT")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) part: PartArgs,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A project, or a folder of projects
    #[arg(default_value = "fleets")]
    pub(crate) folder: PathBuf,
    /// Names only
    #[arg(short, long)]
    pub(crate) names: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// A row for every run, not only for those that are neither done nor pending
    #[arg(long)]
    pub(crate) all: bool,
    /// Most rows
    #[arg(long, default_value_t = 50)]
    pub(crate) rows: usize,
    /// Make the index anew from the runs' folders
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// Look again every so many seconds, at least 30, until nothing is open
    #[arg(long, value_name = "SECONDS")]
    pub(crate) follow: Option<u64>,
}

/// What trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorKind {
    /// Slurm where its programs are, else this process
    Auto,
    /// This process
    Local,
    /// Jobs
    Slurm,
}

/// Where to train.
#[derive(Debug, Args)]
pub(crate) struct ExecutorArgs {
    /// What trains
    #[arg(long, value_enum, default_value_t = ExecutorKind::Auto)]
    pub(crate) executor: ExecutorKind,
    /// Networks trained side by side in this process; 0 means one for each core
    #[arg(long, default_value_t = 0)]
    pub(crate) jobs: usize,
    /// Print results only
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// What differs from the project's slurm.yaml.
#[derive(Debug, Args)]
pub(crate) struct OverrideArgs {
    /// Partition
    #[arg(long)]
    pub(crate) partition: Option<String>,
    /// Time of a task: minutes, or as Slurm writes it (16:10:00, 1-12)
    #[arg(long, value_parser = minutes)]
    pub(crate) time: Option<u32>,
    /// Memory of a task: MiB, or with a unit (500M, 4G)
    #[arg(long, value_parser = mebibytes)]
    pub(crate) mem: Option<u64>,
    /// Cores of a task
    #[arg(long)]
    pub(crate) cpus: Option<u32>,
    /// Tasks of an array at the same time
    #[arg(long)]
    pub(crate) throttle: Option<u32>,
    /// Runs of a task
    #[arg(long)]
    pub(crate) runs_per_task: Option<u64>,
    /// Seconds before its limit from which a task begins no new run
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_before_limit: Option<u64>,
    /// Do not requeue tasks
    #[arg(long)]
    pub(crate) no_requeue: bool,
}

/// Minutes as Slurm writes them, rounded up.
fn minutes(text: &str) -> Result<u32, String> {
    let fault =
        || format!("is `{text}`, want minutes, minutes:seconds, hours:minutes:seconds or days-hours:…");
    let (days, rest) = text.split_once('-').map_or((None, text), |(d, r)| (Some(d), r));
    let number = |word: &str| word.parse::<u64>().map_err(|_| fault());
    let parts = rest.split(':').map(number).collect::<Result<Vec<_>, _>>()?;
    let seconds = match (days, &parts[..]) {
        (None, [m]) => m * 60,
        (None, [m, s]) => m * 60 + s,
        (None, [h, m, s]) => h * 3600 + m * 60 + s,
        (Some(d), [h]) => number(d)? * 86_400 + h * 3600,
        (Some(d), [h, m]) => number(d)? * 86_400 + h * 3600 + m * 60,
        (Some(d), [h, m, s]) => number(d)? * 86_400 + h * 3600 + m * 60 + s,
        _ => return Err(fault()),
    };
    u32::try_from(seconds.div_ceil(60)).ok().filter(|&m| m > 0).ok_or_else(fault)
}

/// Memory as Slurm writes it: MiB without a unit.
fn mebibytes(text: &str) -> Result<u64, String> {
    let fault = || format!("is `{text}`, want MiB such as 500, 500M or 4G");
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    let size = if plain { format!("{text}M") } else { text.to_owned() };
    let ByteSize(bytes) = size.parse().map_err(|_| fault())?;
    if bytes.is_multiple_of(1 << 20) { Ok(bytes >> 20) } else { Err(fault()) }
}

/// Arguments of `submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    #[command(flatten)]
    pub(crate) slurm: OverrideArgs,
    /// Print the script and the commands, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Networks trained side by side; 0 means one for each core
    #[arg(long, default_value_t = 0)]
    pub(crate) jobs: usize,
    /// Print results only
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Arguments of `retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    #[command(flatten)]
    pub(crate) submit: SubmitArgs,
    /// Only what failed for this cause
    #[arg(long, value_enum)]
    pub(crate) cause: Option<Cause>,
    /// Start over from another seed
    #[arg(long)]
    pub(crate) new_seed: bool,
}

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

/// Arguments of `annotate`.
#[derive(Debug, Args)]
pub struct AnnotateArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    /// The note
    pub(crate) text: String,
    /// The run that it is about [default: the whole project]
    #[arg(long)]
    pub(crate) run: Option<u64>,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    /// What runs have in common: model, class, architecture, or keys of the sweep, apart by commas
    #[arg(long, value_delimiter = ',', default_value = "model")]
    pub(crate) by: Vec<String>,
    /// A score of the results, such as the loss, or seconds [default: accuracy on the validation part where there are
    /// classes, else the loss on it]
    #[arg(long)]
    pub(crate) score: Option<String>,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub(crate) format: Format,
    /// The file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Arguments of `task`.
#[derive(Debug, Args)]
pub struct TaskArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[arg(long)]
    pub(crate) submission: u32,
    #[arg(long)]
    pub(crate) task: u64,
    #[arg(long)]
    pub(crate) job: String,
    #[arg(long, default_value = "")]
    pub(crate) node: String,
    #[arg(long, default_value_t = 0)]
    pub(crate) restarts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        for (text, wanted) in [("30", 30), ("16:10:00", 970), ("1-12", 2160), ("0:30", 1), ("1-0:0:1", 1441)]
        {
            assert_eq!(minutes(text), Ok(wanted), "{text}");
        }
        assert!(minutes("x").is_err() && minutes("0").is_err() && minutes("1:2:3:4").is_err());
        assert_eq!((mebibytes("4G"), mebibytes("500M"), mebibytes("7")), (Ok(4096), Ok(500), Ok(7)));
        assert!(mebibytes("4T").is_err());
        assert!(truth("False") == Ok(false) && truth("yes") == Ok(true) && truth("perhaps").is_err());
    }
}
